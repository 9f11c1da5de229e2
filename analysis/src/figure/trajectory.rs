//! Trajectories: where the mean curve of each condition stands after every epoch, in the two planes of the paper.

use super::badge::{self, Entry};
use super::frame::{Frame, draw_x_title, draw_y_title};
use super::scale::{padded, range};
use super::svg::{Rect, Stroke, Svg};
use super::{Figure, WIDTH, file_name};
use crate::aggregate::{Group, Quantity, by_epoch};
use crate::curve::metrics::Metric;

const HEIGHT: f64 = 590.0;
const PLOT: Rect = Rect { x: 74.0, y: 18.0, width: 650.0, height: 520.0 };
const LEGEND: Rect = Rect { x: 752.0, y: 18.0, width: 236.0, height: 520.0 };
/// Radius of the marker of the first and of the last epoch.
const MARKERS: (f64, f64) = (0.9, 4.2);
/// Markers on one line at most; with more epochs, evenly chosen ones are drawn.
const MOST_MARKERS: usize = 60;

/// A plane of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// (tmax, end − start): how a sequence is processed.
    InformationProcessing,
    /// (start, max): how the network develops.
    Developmental,
}

impl Plane {
    fn metrics(self) -> (Metric, Metric) {
        match self {
            Plane::InformationProcessing => (Metric::Tmax, Metric::EndMinusStart),
            Plane::Developmental => (Metric::Start, Metric::Max),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Plane::InformationProcessing => "information-processing",
            Plane::Developmental => "developmental",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Plane::InformationProcessing => "Information-processing trajectories",
            Plane::Developmental => "Developmental trajectories",
        }
    }
}

struct Path<'a> {
    entry: Entry<'a>,
    /// The means after each epoch that has them.
    points: Vec<(f64, f64)>,
}

/// Draws the trajectories of a group; `None` where there is no curve at all.
pub fn draw(group: &Group<'_>, plane: Plane) -> Option<Figure> {
    let (across, up) = plane.metrics();
    let paths: Vec<Path> = badge::entries(group).into_iter().map(|entry| path(entry, across, up)).collect();
    let paths: Vec<Path> = paths.into_iter().filter(|path| !path.points.is_empty()).collect();
    let all = || paths.iter().flat_map(|path| &path.points);
    let x = padded(range(all().map(|point| point.0))?, 0.07, 0.1);
    let y = padded(range(all().map(|point| point.1))?, 0.07, 0.1);
    let frame = Frame::new(PLOT, x, y);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    frame.draw_axes(&mut svg, (7, 7));
    draw_x_title(&mut svg, PLOT.x + PLOT.width / 2.0, HEIGHT - 14.0, across.axis());
    draw_y_title(&mut svg, 18.0, PLOT.y + PLOT.height / 2.0, up.axis());
    for path in &paths {
        draw_path(&mut svg, &frame, path);
    }
    draw_ends(&mut svg, &frame, &paths);
    let entries: Vec<Entry> = paths.into_iter().map(|path| path.entry).collect();
    badge::draw_legend(&mut svg, LEGEND, &entries);
    let title = format!("{}: {}, {}", plane.title(), group.data, group.model);
    let control =
        if entries.iter().any(|entry| entry.control) { " Grey, marked S: all runs with shuffled labels." } else { "" };
    let caption = format!(
        "Mean over runs of {} and {} after every epoch; markers grow from the first epoch to the last, where the number stands.{control}",
        across.name(),
        up.axis().split(':').next().unwrap_or(up.name())
    );
    let document = svg.finish(&title, &caption);
    Some(Figure { name: file_name(&format!("{}-trajectory", plane.name()), group), title, caption, svg: document })
}

fn path(entry: Entry<'_>, across: Metric, up: Metric) -> Path<'_> {
    let means = |metric| by_epoch(&entry.cells, Quantity::Metric(metric));
    let points = means(across).iter().zip(means(up)).filter_map(|(x, y)| Some((x.as_ref()?.mean, y?.mean))).collect();
    Path { entry, points }
}

fn draw_path(svg: &mut Svg, frame: &Frame, path: &Path<'_>) {
    let pixels: Vec<(f64, f64)> = path.points.iter().map(|point| frame.at(point.0, point.1)).collect();
    let entry = &path.entry;
    svg.polyline(&pixels, Stroke { color: entry.color, width: 1.0, dashes: entry.dashes }, 0.45);
    let last = pixels.len() - 1;
    let every = pixels.len().div_ceil(MOST_MARKERS);
    for (index, pixel) in pixels.iter().enumerate() {
        if index % every == 0 || index == last {
            let share = if last == 0 { 1.0 } else { index as f64 / last as f64 };
            let radius = MARKERS.0 + share * (MARKERS.1 - MARKERS.0);
            svg.circle(*pixel, radius, entry.color, 0.8, Stroke::solid("#ffffff", 0.5));
        }
    }
}

/// Puts every line's badge near its last epoch, joined to it by a hair line where it had to move.
fn draw_ends(svg: &mut Svg, frame: &Frame, paths: &[Path<'_>]) {
    let ends: Vec<(f64, f64)> =
        paths.iter().filter_map(|path| path.points.last()).map(|point| frame.at(point.0, point.1)).collect();
    let places = badge::spread_plane(&ends, frame.area);
    for ((path, end), place) in paths.iter().zip(&ends).zip(&places) {
        svg.line(*end, *place, Stroke::solid(path.entry.color, 1.0));
    }
    for (path, place) in paths.iter().zip(places) {
        badge::draw(svg, place, &path.entry);
    }
}
