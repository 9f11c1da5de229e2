//! Ribbons: each metric by epoch, as the mean over runs with its confidence interval, and the shuffled control in grey.

use super::badge::{self, Entry, RADIUS};
use super::frame::{Frame, draw_heading, draw_x_title};
use super::hover::{Line, Plot};
use super::multiples::is_crowded;
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

/// One line with its intervals.
pub(super) struct Ribbon {
    /// Its entry's place.
    pub(super) entry: usize,
    means: Vec<Option<Summary>>,
}

/// Draws a plot for each metric; `None` where there is no curve at all.
pub fn draw(group: &Group<'_>) -> Option<Figure> {
    let entries = badge::entries(group);
    let cells: Vec<_> = entries.iter().flat_map(|entry| entry.cells.iter().copied()).collect();
    let last_epoch = epochs(&cells);
    // The legend stands where a sixth plot would; a long one reaches further down.
    let legend_height = badge::legend_height(entries.len()).max(ROW - 60.0);
    let mut svg = Svg::new(WIDTH, TOP + 2.0 * ROW + legend_height + 40.0);
    let mut hover = Vec::new();
    for (index, metric) in Metric::ALL.into_iter().enumerate() {
        hover.push(draw_plot(&mut svg, slot(index), metric, &entries, last_epoch)?);
    }
    let rest = slot(Metric::ALL.len());
    draw_heading(&mut svg, rest.x, rest.y - 10.0, "Conditions");
    badge::draw_legend(
        &mut svg,
        Rect { width: rest.width + BADGE_OFFSET + RADIUS, height: legend_height, ..rest },
        &entries,
    );
    let title = format!("Metrics by epoch: {}, {}", group.data, group.model);
    let caption = if is_crowded(&entries) {
        format!(
            "Lines: mean over runs. The intervals of so many conditions would hide one another; the figures of each metric have them.{}",
            control_words(&entries)
        )
    } else {
        caption(&entries)
    };
    let document = svg.finish(&title, &caption);
    Some(Figure { name: file_name("metrics-by-epoch", group), title, caption, svg: document, hover })
}

/// What lines and ribbons are.
pub(super) fn caption(entries: &[Entry<'_>]) -> String {
    format!(
        "Lines: mean over runs. Ribbons: its 95% confidence interval by Student's t, where there are two runs or more.{}",
        control_words(entries)
    )
}

fn control_words(entries: &[Entry<'_>]) -> &'static str {
    if entries.iter().any(|entry| entry.control) { " Grey, marked S: all runs with shuffled labels." } else { "" }
}

/// The place of the `index`-th plot; the one after the last holds the legend.
fn slot(index: usize) -> Rect {
    let (row, column) = (index / COLUMNS, index % COLUMNS);
    let x = LEFT + column as f64 * (PLOT_WIDTH + GAP);
    Rect { x, y: TOP + row as f64 * ROW, width: PLOT_WIDTH, height: PLOT_HEIGHT }
}

fn draw_plot(svg: &mut Svg, area: Rect, metric: Metric, entries: &[Entry<'_>], last_epoch: usize) -> Option<Plot> {
    let ribbons: Vec<Ribbon> =
        entries.iter().enumerate().map(|(index, entry)| Ribbon::new(index, entry, metric)).collect();
    let (low, high) = value_range(&ribbons, metric)?;
    let last = last_epoch as f64;
    let frame = Frame::new(area, if last_epoch > 1 { (1.0, last) } else { (0.0, 1.0) }, (low, high));
    let epoch_ticks: Vec<(f64, String)> =
        counting_ticks(last_epoch, 8).into_iter().map(|epoch| (epoch as f64, epoch.to_string())).collect();
    frame.draw_axes_at(svg, &epoch_ticks, &ticks((low, high), 6));
    draw_heading(svg, area.x, area.y - 10.0, metric.axis());
    draw_x_title(svg, area.x + area.width / 2.0, area.bottom() + 34.0, "epoch");
    let crowded = is_crowded(entries);
    for ribbon in &ribbons {
        let entry = &entries[ribbon.entry];
        svg.open("line", &entry.mark);
        ribbon.draw(svg, &frame, entry, metric, opacity(entry, crowded));
        svg.close();
    }
    draw_badges(svg, &frame, &ribbons, entries);
    let lines = ribbons.iter().map(|ribbon| ribbon.hover(&entries[ribbon.entry], metric)).collect();
    Some(Plot::lines(&frame, "epoch", metric.name(), None, lines))
}

/// The values that the plot of a metric shows; `None` where there is none.
pub(super) fn value_range(ribbons: &[Ribbon], metric: Metric) -> Option<(f64, f64)> {
    let bounds = ribbons.iter().flat_map(|ribbon| ribbon.means.iter().flatten()).flat_map(|summary| {
        let half = summary.half_width().unwrap_or(0.0);
        [summary.mean - half, summary.mean + half]
    });
    // An interval over two or three runs can be wider than all accuracies; the plot shows what is possible.
    let possible = possible(metric);
    let (low, high) = range(bounds)?;
    Some(padded((low.max(possible.0), high.min(possible.1)), 0.05, 0.05))
}

fn possible(metric: Metric) -> (f64, f64) {
    if metric == Metric::EndMinusStart { (-1.0, 1.0) } else { (0.0, 1.0) }
}

/// How dense a ribbon is; where they crowd, that of the control alone is drawn.
fn opacity(entry: &Entry<'_>, crowded: bool) -> f64 {
    match (entry.control, crowded) {
        (true, _) => 0.28,
        (false, true) => 0.0,
        (false, false) => 0.18,
    }
}

impl Ribbon {
    /// The means of an entry, which stands at `place` of the entries.
    pub(super) fn new(place: usize, entry: &Entry<'_>, metric: Metric) -> Ribbon {
        Ribbon { entry: place, means: by_epoch(&entry.cells, Quantity::Metric(metric)) }
    }

    fn epochs(&self) -> impl Iterator<Item = (f64, &Summary)> {
        self.means.iter().zip(1..).filter_map(|(mean, epoch)| Some((f64::from(epoch), mean.as_ref()?)))
    }

    /// The means in a frame.
    pub(super) fn line(&self, frame: &Frame) -> Vec<(f64, f64)> {
        self.epochs().map(|(epoch, mean)| frame.at(epoch, mean.mean)).collect()
    }

    /// The mean and, where there is one, its interval after every epoch.
    fn bounds(&self, metric: Metric) -> impl Iterator<Item = (f64, f64, Option<(f64, f64)>)> {
        let possible = possible(metric);
        self.epochs().map(move |(epoch, mean)| {
            let ends =
                mean.half_width().map(|half| ((mean.mean - half).max(possible.0), (mean.mean + half).min(possible.1)));
            (epoch, mean.mean, ends)
        })
    }

    /// What a pointer finds.
    pub(super) fn hover(&self, entry: &Entry<'_>, metric: Metric) -> Line {
        Line::new(&entry.mark, &entry.name, self.bounds(metric))
    }

    /// Draws line and ribbon.
    pub(super) fn draw(&self, svg: &mut Svg, frame: &Frame, entry: &Entry<'_>, metric: Metric, opacity: f64) {
        let bounds: Vec<(f64, (f64, f64))> =
            self.bounds(metric).filter_map(|(epoch, _, ends)| Some((epoch, ends?))).collect();
        let upper = bounds.iter().map(|(epoch, (_, high))| frame.at(*epoch, *high));
        let lower = bounds.iter().rev().map(|(epoch, (low, _))| frame.at(*epoch, *low));
        let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
        if bounds.len() > 1 && opacity > 0.0 {
            svg.polygon(&outline, entry.color, opacity);
        } else if let [from, to] = outline[..] {
            svg.line(from, to, Stroke::solid(entry.color, 1.2));
        }
        let line = self.line(frame);
        svg.polyline(&line, Stroke { color: entry.color, width: 1.6, dashes: entry.dashes }, 0.95);
        if let [only] = line[..] {
            svg.circle(only, 3.0, entry.color, 1.0, Stroke::solid("#ffffff", 0.6));
        }
    }
}

/// Badges in columns right of the plot, joined to the lines' ends; none where there are too many for that.
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
    let Some(places) = badge::spread_columns(&wanted, area.y, area.bottom()) else { return };
    let center =
        |(column, height): (usize, f64)| (area.right() + BADGE_OFFSET + column as f64 * badge::COLUMN_WIDTH, height);
    for ((entry, end), place) in ends.iter().zip(&places) {
        svg.open("line", &entries[*entry].mark);
        // Faint where the line ends before the last epoch, so that it is not taken for one that goes on.
        let opacity = if end.0 < area.right() - 0.5 { 0.3 } else { 1.0 };
        svg.polyline(&[*end, center(*place)], Stroke::solid(entries[*entry].color, 0.8), opacity);
        svg.close();
    }
    for ((entry, _), place) in ends.iter().zip(&places) {
        svg.open("line", &entries[*entry].mark);
        badge::draw(svg, center(*place), &entries[*entry]);
        svg.close();
    }
}
