//! Ribbons: each metric by epoch, as the mean over runs with its confidence interval, and the shuffled control in grey.

use super::badge::{self, Entry, RADIUS};
use super::frame::{Frame, draw_heading, draw_x_title};
use super::scale::{counting_ticks, padded, range, ticks};
use super::svg::{Rect, Stroke, Svg};
use super::{Figure, WIDTH, file_name};
use crate::aggregate::{Group, Quantity, by_epoch, epochs};
use crate::curve::metrics::Metric;
use crate::stats::summary::Summary;

const COLUMNS: usize = 2;
const LEFT: f64 = 52.0;
const PLOT_WIDTH: f64 = 398.0;
const PLOT_HEIGHT: f64 = 272.0;
/// Between the plots of a row: the badges of the left one and the tick labels of the right one.
const GAP: f64 = 96.0;
const ROW: f64 = PLOT_HEIGHT + 82.0;
const TOP: f64 = 34.0;
/// From a plot's right edge to the middle of its badges.
const BADGE_OFFSET: f64 = 20.0;

struct Ribbon {
    /// Its entry's place.
    entry: usize,
    means: Vec<Option<Summary>>,
}

/// Draws a plot for each metric; `None` where there is no curve at all.
pub fn draw(group: &Group<'_>) -> Option<Figure> {
    let entries = badge::entries(group);
    let cells: Vec<_> = entries.iter().flat_map(|entry| entry.cells.iter().copied()).collect();
    let last_epoch = epochs(&cells);
    let mut svg = Svg::new(WIDTH, TOP + 3.0 * ROW - 20.0);
    for (index, metric) in Metric::ALL.into_iter().enumerate() {
        draw_plot(&mut svg, slot(index), metric, &entries, last_epoch)?;
    }
    let rest = slot(Metric::ALL.len());
    draw_heading(&mut svg, rest.x, rest.y - 10.0, "Conditions");
    badge::draw_legend(
        &mut svg,
        Rect { width: rest.width + BADGE_OFFSET + RADIUS, height: ROW - 60.0, ..rest },
        &entries,
    );
    let title = format!("Metrics by epoch: {}, {}", group.data, group.model);
    let control =
        if entries.iter().any(|entry| entry.control) { " Grey, marked S: all runs with shuffled labels." } else { "" };
    let caption = format!(
        "Lines: mean over runs. Ribbons: its 95% confidence interval by Student's t, where there are two runs or more.{control}"
    );
    let document = svg.finish(&title, &caption);
    Some(Figure { name: file_name("metrics-by-epoch", group), title, caption, svg: document })
}

/// The place of the `index`-th plot; the one after the last holds the legend.
fn slot(index: usize) -> Rect {
    let (row, column) = (index / COLUMNS, index % COLUMNS);
    let x = LEFT + column as f64 * (PLOT_WIDTH + GAP);
    Rect { x, y: TOP + row as f64 * ROW, width: PLOT_WIDTH, height: PLOT_HEIGHT }
}

fn draw_plot(svg: &mut Svg, area: Rect, metric: Metric, entries: &[Entry<'_>], last_epoch: usize) -> Option<()> {
    let ribbons: Vec<Ribbon> = entries
        .iter()
        .enumerate()
        .map(|(entry, found)| Ribbon { entry, means: by_epoch(&found.cells, Quantity::Metric(metric)) })
        .collect();
    let bounds = ribbons.iter().flat_map(|ribbon| ribbon.means.iter().flatten()).flat_map(|summary| {
        let half = summary.half_width().unwrap_or(0.0);
        [summary.mean - half, summary.mean + half]
    });
    // An interval over two or three runs can be wider than all accuracies; the plot shows what is possible.
    let possible = if metric == Metric::EndMinusStart { (-1.0, 1.0) } else { (0.0, 1.0) };
    let (low, high) = range(bounds)?;
    let (low, high) = padded((low.max(possible.0), high.min(possible.1)), 0.05, 0.05);
    let last = last_epoch as f64;
    let frame = Frame::new(area, if last_epoch > 1 { (1.0, last) } else { (0.0, 1.0) }, (low, high));
    let epoch_ticks: Vec<(f64, String)> =
        counting_ticks(last_epoch, 8).into_iter().map(|epoch| (epoch as f64, epoch.to_string())).collect();
    frame.draw_axes_at(svg, &epoch_ticks, &ticks((low, high), 6));
    draw_heading(svg, area.x, area.y - 10.0, metric.axis());
    draw_x_title(svg, area.x + area.width / 2.0, area.bottom() + 34.0, "epoch");
    for ribbon in &ribbons {
        let entry = &entries[ribbon.entry];
        draw_ribbon(svg, &frame, ribbon, entry, (possible, opacity(entry, ribbons.len())));
    }
    draw_badges(svg, &frame, &ribbons, entries);
    Some(())
}

/// How dense a ribbon is: the more there are, the lighter, so that those below still show.
fn opacity(entry: &Entry<'_>, ribbons: usize) -> f64 {
    match ribbons {
        _ if entry.control => 0.28,
        0..=4 => 0.2,
        5..=8 => 0.15,
        _ => 0.09,
    }
}

fn draw_ribbon(
    svg: &mut Svg,
    frame: &Frame,
    ribbon: &Ribbon,
    entry: &Entry<'_>,
    (possible, opacity): ((f64, f64), f64),
) {
    let epochs = || ribbon.means.iter().zip(1..).filter_map(|(mean, epoch)| Some((f64::from(epoch), mean.as_ref()?)));
    let bounds: Vec<(f64, f64, f64)> = epochs()
        .filter_map(|(epoch, mean)| {
            let half = mean.half_width()?;
            Some((epoch, (mean.mean - half).max(possible.0), (mean.mean + half).min(possible.1)))
        })
        .collect();
    let upper = bounds.iter().map(|(epoch, _, high)| frame.at(*epoch, *high));
    let lower = bounds.iter().rev().map(|(epoch, low, _)| frame.at(*epoch, *low));
    let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
    if bounds.len() > 1 {
        svg.polygon(&outline, entry.color, opacity);
    } else if let [from, to] = outline[..] {
        svg.line(from, to, Stroke::solid(entry.color, 1.2));
    }
    let line: Vec<(f64, f64)> = epochs().map(|(epoch, mean)| frame.at(epoch, mean.mean)).collect();
    svg.polyline(&line, Stroke { color: entry.color, width: 1.6, dashes: entry.dashes }, 0.95);
    if let [only] = line[..] {
        svg.circle(only, 3.0, entry.color, 1.0, Stroke::solid("#ffffff", 0.6));
    }
}

/// Badges in a column right of the plot, joined to the lines' ends.
fn draw_badges(svg: &mut Svg, frame: &Frame, ribbons: &[Ribbon], entries: &[Entry<'_>]) {
    let ends: Vec<(usize, (f64, f64))> = ribbons
        .iter()
        .filter_map(|ribbon| {
            let place = ribbon.means.iter().rposition(Option::is_some)?;
            let mean = ribbon.means[place].as_ref()?.mean;
            Some((ribbon.entry, frame.at((place + 1) as f64, mean)))
        })
        .collect();
    let area = frame.area;
    let wanted: Vec<f64> = ends.iter().map(|(_, end)| end.1).collect();
    let heights = badge::spread_column(&wanted, area.y, area.bottom());
    let x = area.right() + BADGE_OFFSET;
    for ((entry, end), height) in ends.iter().zip(&heights) {
        svg.line(*end, (x, *height), Stroke::solid(entries[*entry].color, 0.8));
    }
    for ((entry, _), height) in ends.iter().zip(&heights) {
        badge::draw(svg, (x, *height), &entries[*entry]);
    }
}
