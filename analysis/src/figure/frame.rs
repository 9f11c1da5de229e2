//! A plot's frame: grid, ticks and axis titles around a rectangle, and the map from values into it.

use super::color::{AXIS, GRID, SOFT_INK};
use super::font::Weight;
use super::scale::{Scale, ticks};
use super::svg::{Anchor, Rect, Stroke, Svg, TextStyle};

/// Size of tick labels.
pub const TICK_SIZE: f64 = 10.5;
/// Size of axis titles.
pub const TITLE_SIZE: f64 = 12.0;

/// A plot with two number axes.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// The plot's rectangle, inside the axes.
    pub area: Rect,
    /// From x values to pixels.
    pub x: Scale,
    /// From y values to pixels.
    pub y: Scale,
}

impl Frame {
    /// A frame for these ranges of values.
    pub fn new(area: Rect, x: (f64, f64), y: (f64, f64)) -> Frame {
        Frame { area, x: Scale::new(x, (area.x, area.right())), y: Scale::new(y, (area.bottom(), area.y)) }
    }

    /// The pixel of a pair of values.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// Draws grid, axis lines and ticks at round values, about `most` of them.
    pub fn draw_axes(&self, svg: &mut Svg, most: (usize, usize)) {
        self.draw_axes_at(svg, &ticks((self.x.low, self.x.high), most.0), &ticks((self.y.low, self.y.high), most.1));
    }

    /// Draws a plot of small multiples: grid and axis lines, with ticks only where no plot lies below, or to the left.
    pub fn draw_shared_axes(
        &self,
        svg: &mut Svg,
        x_ticks: &[(f64, String)],
        y_ticks: &[(f64, String)],
        (lowest, leftmost): (bool, bool),
    ) {
        let area = self.area;
        for (value, label) in x_ticks {
            let x = self.x.at(*value);
            svg.line((x, area.y), (x, area.bottom()), Stroke::solid(GRID, 0.8));
            if lowest {
                draw_x_tick(svg, x, area.bottom(), label);
            }
        }
        for (value, label) in y_ticks {
            let y = self.y.at(*value);
            svg.line((area.x, y), (area.right(), y), Stroke::solid(GRID, 0.8));
            if leftmost {
                draw_y_tick(svg, area.x, y, label);
            }
        }
        svg.line((area.x, area.y), (area.x, area.bottom()), Stroke::solid(AXIS, 1.0));
        svg.line((area.x, area.bottom()), (area.right(), area.bottom()), Stroke::solid(AXIS, 1.0));
    }

    /// Draws grid, axis lines and the given ticks.
    pub fn draw_axes_at(&self, svg: &mut Svg, x_ticks: &[(f64, String)], y_ticks: &[(f64, String)]) {
        let area = self.area;
        for (value, label) in x_ticks {
            let x = self.x.at(*value);
            svg.line((x, area.y), (x, area.bottom()), Stroke::solid(GRID, 0.8));
            draw_x_tick(svg, x, area.bottom(), label);
        }
        for (value, label) in y_ticks {
            let y = self.y.at(*value);
            svg.line((area.x, y), (area.right(), y), Stroke::solid(GRID, 0.8));
            draw_y_tick(svg, area.x, y, label);
        }
        svg.line((area.x, area.y), (area.x, area.bottom()), Stroke::solid(AXIS, 1.0));
        svg.line((area.x, area.bottom()), (area.right(), area.bottom()), Stroke::solid(AXIS, 1.0));
    }
}

/// A tick below a horizontal axis at height `y`.
pub fn draw_x_tick(svg: &mut Svg, x: f64, y: f64, label: &str) {
    svg.line((x, y), (x, y + 4.0), Stroke::solid(AXIS, 1.0));
    let style = TextStyle { size: TICK_SIZE, color: SOFT_INK, anchor: Anchor::Middle, ..TextStyle::default() };
    svg.text((x, y + 15.5), label, style);
}

/// A tick left of a vertical axis at `x`.
pub fn draw_y_tick(svg: &mut Svg, x: f64, y: f64, label: &str) {
    svg.line((x - 4.0, y), (x, y), Stroke::solid(AXIS, 1.0));
    let style = TextStyle { size: TICK_SIZE, color: SOFT_INK, anchor: Anchor::End, ..TextStyle::default() };
    svg.text((x - 7.0, y + 0.36 * TICK_SIZE), label, style);
}

/// A title below a horizontal axis, centred on `x`.
pub fn draw_x_title(svg: &mut Svg, x: f64, y: f64, title: &str) {
    svg.text((x, y), title, TextStyle { size: TITLE_SIZE, anchor: Anchor::Middle, ..TextStyle::default() });
}

/// A title beside a vertical axis, centred on `y`, reading upwards.
pub fn draw_y_title(svg: &mut Svg, x: f64, y: f64, title: &str) {
    svg.text(
        (x, y),
        title,
        TextStyle { size: TITLE_SIZE, anchor: Anchor::Middle, upward: true, ..TextStyle::default() },
    );
}

/// A heading above a plot.
pub fn draw_heading(svg: &mut Svg, x: f64, y: f64, heading: &str) {
    svg.text((x, y), heading, TextStyle { size: TITLE_SIZE, weight: Weight::Bold, ..TextStyle::default() });
}
