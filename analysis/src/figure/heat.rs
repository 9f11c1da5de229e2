//! Maps over time step × epoch as coloured cells on one scale, with outlines around sets of cells.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use resvg::tiny_skia::{Color, Pixmap};

use super::color::{AXIS, CONTROL, NO_DATA, NO_DATA_RGB, SOFT_INK};
use super::frame::{TICK_SIZE, TITLE_SIZE, draw_x_tick, draw_x_title, draw_y_tick, draw_y_title};
use super::grid::Grid;
use super::scale::{Scale, counting_ticks, ticks};
use super::svg::{Anchor, Rect, Stroke, Svg, TextStyle};

/// Room for the colour bar at the right of the plots.
pub const RIGHT: f64 = 96.0;

/// From values to colours.
#[derive(Debug, Clone, Copy)]
pub struct Heat {
    /// The values at both ends of the palette.
    pub domain: (f64, f64),
    /// The colour at a share between 0 and 1.
    pub palette: fn(f64) -> [u8; 3],
    /// What the values are.
    pub title: &'static str,
    /// Time steps and epochs of all plots, whose axes are the same; a map with fewer fills its share.
    pub extent: (usize, usize),
}

/// A map's values.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    /// Time steps of an epoch.
    pub steps: usize,
    /// Epoch after epoch.
    pub values: &'a [Option<f64>],
}

impl Cells<'_> {
    /// Its epochs.
    pub fn epochs(&self) -> usize {
        self.values.len() / self.steps.max(1)
    }
}

impl Heat {
    /// Draws the cells of a plot.
    pub fn draw(&self, svg: &mut Svg, grid: &Grid, index: usize, cells: Cells<'_>, control: bool) {
        let area = grid.area(index);
        let filled = self.filled(area, cells);
        if filled != area {
            svg.fill(area, NO_DATA);
        }
        if let Some(url) = self.pixels(cells) {
            svg.pixels(filled, &url);
        }
        svg.outline(area, if control { Stroke::solid(CONTROL, 2.0) } else { Stroke::solid(AXIS, 0.8) });
    }

    /// Draws a plot's ticks, where no plot lies below it or to its left.
    pub fn draw_ticks(&self, svg: &mut Svg, grid: &Grid, index: usize) {
        let area = grid.area(index);
        if grid.is_lowest(index) {
            let x = Scale::new((0.5, self.extent.0 as f64 + 0.5), (area.x, area.right()));
            for step in counting_ticks(self.extent.0, 5) {
                draw_x_tick(svg, x.at(step as f64), area.bottom(), &step.to_string());
            }
        }
        if grid.is_leftmost(index) {
            let y = Scale::new((0.5, self.extent.1 as f64 + 0.5), (area.bottom(), area.y));
            for epoch in counting_ticks(self.extent.1, 5) {
                draw_y_tick(svg, area.x, y.at(epoch as f64), &epoch.to_string());
            }
        }
    }

    /// The share of a plot that a map fills.
    pub fn filled(&self, area: Rect, cells: Cells<'_>) -> Rect {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let (width, height) =
            (area.width * share(cells.steps, self.extent.0), area.height * share(cells.epochs(), self.extent.1));
        Rect { x: area.x, y: area.bottom() - height, width, height }
    }

    /// The cells as a PNG with one pixel per time step and epoch, the first epoch at the bottom, as a `data:` URL.
    fn pixels(&self, cells: Cells<'_>) -> Option<String> {
        let mut picture = Pixmap::new(u32::try_from(cells.steps).ok()?, u32::try_from(cells.epochs()).ok()?)?;
        let (low, high) = self.domain;
        let colours = cells.values.chunks(cells.steps).rev().flatten().map(|value| match value {
            Some(value) => (self.palette)((value - low) / (high - low)),
            None => NO_DATA_RGB,
        });
        for (pixel, [red, green, blue]) in picture.pixels_mut().iter_mut().zip(colours) {
            *pixel = Color::from_rgba8(red, green, blue, u8::MAX).premultiply().to_color_u8();
        }
        let png = picture.encode_png().ok()?;
        Some(format!("data:image/png;base64,{}", STANDARD.encode(png)))
    }

    /// Draws what all plots share: the axes' titles and the colour bar.
    pub fn draw_legend(&self, svg: &mut Svg, grid: &Grid) {
        const BANDS: usize = 128;
        let plots = grid.plots();
        draw_x_title(svg, plots.x + plots.width / 2.0, grid.height - 8.0, "time step");
        draw_y_title(svg, plots.x - 46.0, plots.y + plots.height / 2.0, "epoch");
        let height = plots.height.min(320.0);
        let bar = Rect { x: plots.right() + 22.0, y: plots.y + (plots.height - height) / 2.0, width: 14.0, height };
        let bands: Vec<Option<f64>> = (0..BANDS).map(|band| Some(band as f64 / (BANDS - 1) as f64)).collect();
        if let Some(url) = (Heat { domain: (0.0, 1.0), ..*self }).pixels(Cells { steps: 1, values: &bands }) {
            svg.pixels(bar, &url);
        }
        svg.outline(bar, Stroke::solid(AXIS, 0.8));
        let scale = Scale::new(self.domain, (bar.bottom(), bar.y));
        for (value, label) in ticks(self.domain, 6) {
            let y = scale.at(value);
            svg.line((bar.right(), y), (bar.right() + 4.0, y), Stroke::solid(AXIS, 1.0));
            let style = TextStyle { size: TICK_SIZE, color: SOFT_INK, ..TextStyle::default() };
            svg.text((bar.right() + 7.0, y + 3.8), &label, style);
        }
        let title = TextStyle { size: TITLE_SIZE, anchor: Anchor::Middle, upward: true, ..TextStyle::default() };
        svg.text((bar.right() + 48.0, bar.y + bar.height / 2.0), self.title, title);
    }
}

/// A plot without values, and why.
pub fn draw_nothing(svg: &mut Svg, area: Rect, why: &str) {
    svg.fill(area, NO_DATA);
    let middle = (area.x + area.width / 2.0, area.y + area.height / 2.0);
    svg.text(middle, why, TextStyle { color: SOFT_INK, anchor: Anchor::Middle, ..TextStyle::default() });
}

/// The outlines of some cells (`epoch * steps + step`) of a map that fills `area`, in pixels.
pub fn outlines(cells: &[usize], steps: usize, epochs: usize, area: Rect) -> Vec<Vec<(f64, f64)>> {
    let x = |step: usize| area.x + step as f64 / steps as f64 * area.width;
    let y = |epoch: usize| area.bottom() - epoch as f64 / epochs as f64 * area.height;
    let corners = corners(cells, steps);
    corners.into_iter().map(|outline| outline.into_iter().map(|(step, epoch)| (x(step), y(epoch))).collect()).collect()
}

/// The corners `(step, epoch)` of every outline. The cells lie to the left of the way around them.
fn corners(cells: &[usize], steps: usize) -> Vec<Vec<(usize, usize)>> {
    let inside = |step: Option<usize>, epoch: Option<usize>| match (step, epoch) {
        (Some(step), Some(epoch)) if step < steps => cells.binary_search(&(epoch * steps + step)).is_ok(),
        _ => false,
    };
    let mut edges: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
    for cell in cells {
        let (step, epoch) = (cell % steps, cell / steps);
        let sides = [
            (inside(Some(step), epoch.checked_sub(1)), (step, epoch), (step + 1, epoch)),
            (inside(Some(step + 1), Some(epoch)), (step + 1, epoch), (step + 1, epoch + 1)),
            (inside(Some(step), Some(epoch + 1)), (step + 1, epoch + 1), (step, epoch + 1)),
            (inside(step.checked_sub(1), Some(epoch)), (step, epoch + 1), (step, epoch)),
        ];
        for (_, from, to) in sides.into_iter().filter(|(neighbour, ..)| !neighbour) {
            edges.entry(from).or_default().push(to);
        }
    }
    let mut outlines = Vec::new();
    while let Some((&start, _)) = edges.first_key_value() {
        let mut outline = vec![start];
        let mut at = start;
        while let Some(ends) = edges.get_mut(&at) {
            let Some(next) = ends.pop() else { break };
            if ends.is_empty() {
                edges.remove(&at);
            }
            at = next;
            if at == start {
                break;
            }
            outline.push(at);
        }
        outlines.push(without_straight_corners(outline));
    }
    outlines
}

fn without_straight_corners(outline: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let count = outline.len();
    let turns = |place: usize| {
        let (before, at, after) = (outline[(place + count - 1) % count], outline[place], outline[(place + 1) % count]);
        !(before.0 == at.0 && at.0 == after.0 || before.1 == at.1 && at.1 == after.1)
    };
    (0..count).filter(|place| turns(*place)).map(|place| outline[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_goes_around_its_cells() {
        assert_eq!(corners(&[0], 3), [vec![(0, 0), (1, 0), (1, 1), (0, 1)]]);
        // Two cells side by side are one rectangle.
        assert_eq!(corners(&[0, 1], 3), [vec![(0, 0), (2, 0), (2, 1), (0, 1)]]);
        // A ring has an outline outside and one inside.
        let ring = [0, 1, 2, 3, 5, 6, 7, 8];
        let found = corners(&ring, 3);
        assert_eq!(found.len(), 2);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
        assert!(corners(&[], 3).is_empty());
    }

    #[test]
    fn every_outer_side_is_drawn_once() {
        // Two cells that touch at a corner.
        let length: usize = corners(&[0, 4], 3).iter().map(Vec::len).sum();
        assert_eq!(length, 8);
    }
}
