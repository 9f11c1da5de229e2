//! Performance profiles: the share of runs whose metric after the last epoch lies above a threshold, for every threshold.

use super::color::{CONTROL, SOFT_INK};
use super::font::{Weight, width};
use super::frame::{Frame, TITLE_SIZE, draw_heading, draw_x_title, draw_y_title};
use super::hover::{Line, Plot};
use super::scale::ticks;
use super::svg::{Rect, Stroke, Svg, TextStyle};
use super::{Figure, WIDTH, runs};
use crate::compare::aggregates::{Aggregate, Side, thresholds};

/// Most plots in a row.
const COLUMNS: usize = 4;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const HEIGHT: f64 = 190.0;
/// Wider plots would be stretched.
const MOST_WIDTH: f64 = 280.0;
const GAP: f64 = 36.0;
const TOP: f64 = 56.0;
const ROW: f64 = HEIGHT + 76.0;
/// The runs with true labels.
const TRUE_COLOR: &str = "#332288";

/// Draws the profiles of a data set and model; `None` where there is none.
pub fn draw(aggregates: &[&Aggregate], level: &str) -> Option<Figure> {
    let first = aggregates.first()?;
    if aggregates.iter().all(|aggregate| sides(aggregate).iter().all(|(_, side, _)| side.profile.is_err())) {
        return None;
    }
    let columns = aggregates.len().min(COLUMNS);
    let rows = aggregates.len().div_ceil(columns);
    let plot_width = ((WIDTH - LEFT - RIGHT - GAP * (columns - 1) as f64) / columns as f64).min(MOST_WIDTH);
    let height = TOP + rows as f64 * ROW - 8.0;
    let mut svg = Svg::new(WIDTH, height);
    draw_key(&mut svg, first);
    let mut hover = Vec::new();
    for (index, aggregate) in aggregates.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let area = Rect {
            x: LEFT + column as f64 * (plot_width + GAP),
            y: TOP + row as f64 * ROW,
            width: plot_width,
            height: HEIGHT,
        };
        hover.extend(draw_plot(&mut svg, area, aggregate));
    }
    let plots_height = rows as f64 * ROW - (ROW - HEIGHT);
    draw_y_title(&mut svg, LEFT - 46.0, TOP + plots_height / 2.0, "share of runs above");
    let (data, model) = (&first.outcome.data, &first.outcome.model);
    let title = format!("Performance profiles: {data}, {model}");
    let caption = format!(
        "Share of runs whose metric after the last epoch lies above the threshold, as the mean over conditions, with its pointwise {level} bootstrap interval \
         (runs resampled within conditions). A curve further to the right is a higher score in all quantiles."
    );
    let document = svg.finish(&title, &caption);
    Some(Figure { name: format!("performance-profile-{data}-{model}"), title, caption, svg: document, hover })
}

fn sides(aggregate: &Aggregate) -> [(&'static str, &Side, &'static str); 2] {
    [("shuffled labels", &aggregate.shuffled, CONTROL), ("true labels", &aggregate.truth, TRUE_COLOR)]
}

fn draw_key(svg: &mut Svg, aggregate: &Aggregate) {
    let mut x = LEFT;
    for (name, side, color) in sides(aggregate).into_iter().rev().filter(|(_, side, _)| side.runs > 0) {
        svg.line((x, 14.0), (x + 24.0, 14.0), Stroke::solid(color, 2.4));
        let text = format!("{name}, {}", runs(side.runs));
        svg.text((x + 31.0, 18.0), &text, TextStyle { color: SOFT_INK, ..TextStyle::default() });
        x += 31.0 + width(&text, 11.0, Weight::Regular) + 26.0;
    }
}

fn draw_plot(svg: &mut Svg, area: Rect, aggregate: &Aggregate) -> Option<Plot> {
    let metric = aggregate.outcome.metric;
    let at = thresholds(metric);
    let frame = Frame::new(area, (*at.first()?, *at.last()?), (0.0, 1.0));
    frame.draw_axes_at(svg, &ticks((frame.x.low, frame.x.high), 5), &ticks((0.0, 1.0), 5));
    draw_heading(svg, area.x, area.y - 9.0, metric.name());
    draw_x_title(svg, area.x + area.width / 2.0, area.bottom() + 17.0 + TITLE_SIZE, "threshold");
    let mut lines = Vec::new();
    for (name, side, color) in sides(aggregate) {
        let Ok(points) = &side.profile else { continue };
        let at = |share: fn(&crate::stats::robust::ProfilePoint) -> f64| {
            points.iter().map(move |point| (point.threshold, share(point))).collect::<Vec<_>>()
        };
        let pixels = |points: &[(f64, f64)]| points.iter().map(|(x, y)| frame.at(*x, *y)).collect::<Vec<_>>();
        let mut band = pixels(&at(|point| point.interval.1));
        band.extend(pixels(&at(|point| point.interval.0)).into_iter().rev());
        svg.polygon(&band, color, 0.2);
        svg.polyline(&pixels(&at(|point| point.share)), Stroke::solid(color, 1.8), 1.0);
        let values = points.iter().map(|point| (point.threshold, point.share, Some(point.interval)));
        lines.push(Line::new("", name, values));
    }
    Some(Plot::lines(&frame, "threshold", "share above", None, lines))
}
