//! Learning-curve maps: probe accuracy over time step × epoch, one small map per condition and the pooled shuffled control beside
//! them, all on one colour scale.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use resvg::tiny_skia::{Color, Pixmap};

use super::color::{AXIS, CONTROL, NO_DATA, NO_DATA_RGB, SOFT_INK, viridis};
use super::font::{Weight, shorten, width};
use super::frame::{TITLE_SIZE, draw_x_tick, draw_x_title, draw_y_tick, draw_y_title};
use super::scale::{Scale, counting_ticks, range, rounded, ticks};
use super::svg::{Anchor, Rect, Stroke, Svg, TextStyle};
use super::{Figure, WIDTH, badge, file_name, runs};
use crate::aggregate::{Group, MeanMap, mean_map};

const LEFT: f64 = 62.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 46.0;
const TITLE_HEIGHT: f64 = 24.0;
const GAP: f64 = 16.0;
const PANEL_HEIGHT: f64 = 150.0;
/// Wider maps would be stretched.
const MOST_PANEL_WIDTH: f64 = 413.0;
/// Most maps in a row: with four, fifteen pairs and their control fill a square.
const COLUMNS: usize = 4;
/// The colour scale's ends are multiples of this accuracy.
const SCALE_STEP: f64 = 0.05;

struct Panel {
    mark: String,
    name: String,
    control: bool,
    map: Option<MeanMap>,
}

/// Draws the maps of a group; `None` where there is no curve at all.
pub fn draw(group: &Group<'_>) -> Option<Figure> {
    let panels = panels(group);
    let values = panels.iter().filter_map(|panel| panel.map.as_ref()).flat_map(MeanMap::values);
    let domain = rounded(range(values)?, SCALE_STEP);
    let columns = panels.len().clamp(1, COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let gaps = GAP * (columns - 1) as f64;
    let panel_width = ((WIDTH - LEFT - RIGHT - gaps) / columns as f64).min(MOST_PANEL_WIDTH);
    let plots_width = columns as f64 * panel_width + gaps;
    // Few maps stand in the middle of the figure.
    let left = LEFT + (WIDTH - LEFT - RIGHT - plots_width) / 2.0;
    let panel_height = if columns <= 2 { 1.6 * PANEL_HEIGHT } else { PANEL_HEIGHT };
    let row_height = TITLE_HEIGHT + panel_height + GAP;
    let height = TOP + rows as f64 * row_height - GAP + BOTTOM;
    let mut svg = Svg::new(WIDTH, height);
    for (index, panel) in panels.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let area = Rect {
            x: left + column as f64 * (panel_width + GAP),
            y: TOP + row as f64 * row_height + TITLE_HEIGHT,
            width: panel_width,
            height: panel_height,
        };
        let lowest = index + columns >= panels.len();
        draw_panel(&mut svg, area, panel, domain, (lowest, column == 0));
    }
    let plots =
        Rect { x: left, y: TOP + TITLE_HEIGHT, width: plots_width, height: height - TOP - TITLE_HEIGHT - BOTTOM };
    draw_x_title(&mut svg, plots.x + plots.width / 2.0, height - 8.0, "time step");
    draw_y_title(&mut svg, left - 46.0, plots.y + plots.height / 2.0, "epoch");
    draw_colour_bar(&mut svg, plots, domain);
    let title = format!("Learning-curve maps: {}, {}", group.data, group.model);
    let caption = caption(&panels);
    let document = svg.finish(&title, &caption);
    Some(Figure { name: file_name("learning-curve-map", group), title, caption, svg: document })
}

fn panels(group: &Group<'_>) -> Vec<Panel> {
    let mut panels = Vec::new();
    for (index, condition) in group.conditions.iter().enumerate() {
        if let Some(cell) = condition.truth {
            let (mark, name) = ((index + 1).to_string(), condition.name.to_string());
            panels.push(Panel { mark, name, control: false, map: mean_map(&[cell]) });
        }
    }
    for entry in badge::entries(group).into_iter().filter(|entry| entry.control) {
        panels.push(Panel { mark: entry.mark, name: entry.name, control: true, map: mean_map(&entry.cells) });
    }
    panels
}

fn caption(panels: &[Panel]) -> String {
    let counts =
        panels.iter().filter(|panel| !panel.control).filter_map(|panel| panel.map.as_ref()).map(|map| map.runs as f64);
    let each = match range(counts) {
        None => String::new(),
        Some((low, high)) if low == high => format!(" ({} each)", runs(low as usize)),
        Some((low, high)) => format!(" ({low} to {} each)", runs(high as usize)),
    };
    let control = if panels.iter().any(|panel| panel.control) {
        " Maps marked S pool all runs with shuffled labels: what the probe reads when there is nothing to learn."
    } else {
        ""
    };
    format!(
        "Accuracy of the probe on the hidden states at every time step after every epoch, as the mean over \
runs{each}; one colour scale for all maps.{control}"
    )
}

fn draw_panel(svg: &mut Svg, area: Rect, panel: &Panel, domain: (f64, f64), (lowest, leftmost): (bool, bool)) {
    draw_panel_title(svg, area, panel);
    let Some(map) = &panel.map else {
        svg.fill(area, NO_DATA);
        let middle = (area.x + area.width / 2.0, area.y + area.height / 2.0);
        svg.text(
            middle,
            "no finished runs",
            TextStyle { color: SOFT_INK, anchor: Anchor::Middle, ..TextStyle::default() },
        );
        return;
    };
    if let Some(url) = pixels(map, domain) {
        svg.pixels(area, &url);
    }
    let outline = if panel.control { Stroke::solid(CONTROL, 2.0) } else { Stroke::solid(AXIS, 0.8) };
    svg.outline(area, outline);
    if lowest {
        let x = Scale::new((0.5, map.steps as f64 + 0.5), (area.x, area.right()));
        for step in counting_ticks(map.steps, 5) {
            draw_x_tick(svg, x.at(step as f64), area.bottom(), &step.to_string());
        }
    }
    if leftmost {
        let y = Scale::new((0.5, map.epochs.len() as f64 + 0.5), (area.bottom(), area.y));
        for epoch in counting_ticks(map.epochs.len(), 5) {
            draw_y_tick(svg, area.x, y.at(epoch as f64), &epoch.to_string());
        }
    }
}

fn draw_panel_title(svg: &mut Svg, area: Rect, panel: &Panel) {
    const SIZE: f64 = 11.5;
    let count = panel.map.as_ref().map(|map| runs(map.runs)).unwrap_or_default();
    let count_width = width(&count, SIZE - 2.0, Weight::Regular);
    let mark_width = width(&panel.mark, SIZE, Weight::Bold) + 6.0;
    let y = area.y - 6.0;
    let mark = TextStyle { size: SIZE, color: SOFT_INK, weight: Weight::Bold, ..TextStyle::default() };
    svg.text((area.x, y), &panel.mark, mark);
    let name = shorten(&panel.name, area.width - mark_width - count_width - 8.0, SIZE, Weight::Regular);
    svg.text((area.x + mark_width, y), &name, TextStyle { size: SIZE, ..TextStyle::default() });
    let style = TextStyle { size: SIZE - 2.0, color: SOFT_INK, anchor: Anchor::End, ..TextStyle::default() };
    svg.text((area.right(), y), &count, style);
}

/// The map as a PNG with one pixel per time step and epoch, the first epoch at the bottom, as a `data:` URL.
fn pixels(map: &MeanMap, (low, high): (f64, f64)) -> Option<String> {
    let mut picture = Pixmap::new(u32::try_from(map.steps).ok()?, u32::try_from(map.epochs.len()).ok()?)?;
    let colours = map.epochs.iter().rev().flatten().map(|value| match value {
        Some(value) => viridis((value - low) / (high - low)),
        None => NO_DATA_RGB,
    });
    for (pixel, [red, green, blue]) in picture.pixels_mut().iter_mut().zip(colours) {
        *pixel = Color::from_rgba8(red, green, blue, u8::MAX).premultiply().to_color_u8();
    }
    let png = picture.encode_png().ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

fn draw_colour_bar(svg: &mut Svg, plots: Rect, domain: (f64, f64)) {
    const BANDS: usize = 128;
    let height = plots.height.min(320.0);
    let bar = Rect { x: plots.right() + 22.0, y: plots.y + (plots.height - height) / 2.0, width: 14.0, height };
    let gradient = MeanMap {
        steps: 1,
        epochs: (0..BANDS).map(|band| vec![Some(band as f64 / (BANDS - 1) as f64)]).collect(),
        runs: 0,
    };
    if let Some(url) = pixels(&gradient, (0.0, 1.0)) {
        svg.pixels(bar, &url);
    }
    svg.outline(bar, Stroke::solid(AXIS, 0.8));
    let scale = Scale::new(domain, (bar.bottom(), bar.y));
    for (value, label) in ticks(domain, 6) {
        let y = scale.at(value);
        svg.line((bar.right(), y), (bar.right() + 4.0, y), Stroke::solid(AXIS, 1.0));
        svg.text(
            (bar.right() + 7.0, y + 3.8),
            &label,
            TextStyle { size: 10.5, color: SOFT_INK, ..TextStyle::default() },
        );
    }
    let title = TextStyle { size: TITLE_SIZE, anchor: Anchor::Middle, upward: true, ..TextStyle::default() };
    svg.text((bar.right() + 48.0, bar.y + bar.height / 2.0), "probe accuracy", title);
}
