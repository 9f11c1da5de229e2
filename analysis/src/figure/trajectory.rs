//! Trajectories: where the mean curve of each condition stands after every epoch, in the two planes of the paper.

use super::badge::{self, Entry};
use super::frame::{Frame, draw_x_title, draw_y_title};
use super::hover::{Line, Plot};
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
    /// The metrics of its axes: across, up.
    pub fn metrics(self) -> (Metric, Metric) {
        match self {
            Plane::InformationProcessing => (Metric::Tmax, Metric::EndMinusStart),
            Plane::Developmental => (Metric::Start, Metric::Max),
        }
    }

    /// Its name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Plane::InformationProcessing => "information-processing",
            Plane::Developmental => "developmental",
        }
    }

    /// The title of its figure.
    pub fn title(self) -> &'static str {
        match self {
            Plane::InformationProcessing => "Information-processing trajectories",
            Plane::Developmental => "Developmental trajectories",
        }
    }
}

/// One condition's way.
pub(super) struct Path<'a> {
    pub(super) entry: Entry<'a>,
    /// The epoch and the means after it, where there are any.
    points: Vec<(usize, (f64, f64))>,
}

/// The ways of a group's conditions and controls.
pub(super) fn paths<'a>(group: &Group<'a>, plane: Plane) -> Vec<Path<'a>> {
    let paths = badge::entries(group).into_iter().map(|entry| Path::new(entry, plane));
    paths.filter(|path| !path.points.is_empty()).collect()
}

/// The values that both axes show; `None` where there is no point.
pub(super) fn ranges(paths: &[Path<'_>]) -> Option<((f64, f64), (f64, f64))> {
    let all = || paths.iter().flat_map(|path| &path.points).map(|(_, point)| point);
    let x = padded(range(all().map(|point| point.0))?, 0.07, 0.1);
    let y = padded(range(all().map(|point| point.1))?, 0.07, 0.1);
    Some((x, y))
}

/// Draws the trajectories of a group; `None` where there is no curve at all.
pub fn draw(group: &Group<'_>, plane: Plane) -> Option<Figure> {
    let (across, up) = plane.metrics();
    let paths = paths(group, plane);
    let (x, y) = ranges(&paths)?;
    let frame = Frame::new(PLOT, x, y);
    let legend = Rect { height: LEGEND.height.max(badge::legend_height(paths.len())), ..LEGEND };
    let mut svg = Svg::new(WIDTH, HEIGHT.max(legend.bottom() + 14.0));
    frame.draw_axes(&mut svg, (7, 7));
    draw_x_title(&mut svg, PLOT.x + PLOT.width / 2.0, HEIGHT - 14.0, across.axis());
    draw_y_title(&mut svg, 18.0, PLOT.y + PLOT.height / 2.0, up.axis());
    for path in &paths {
        svg.open("line", &path.entry.mark);
        path.draw(&mut svg, &frame, 1.0);
        svg.close();
    }
    draw_ends(&mut svg, &frame, &paths);
    let hover =
        vec![Plot::lines(&frame, across.name(), up.name(), Some("epoch"), paths.iter().map(Path::hover).collect())];
    let entries: Vec<Entry> = paths.into_iter().map(|path| path.entry).collect();
    badge::draw_legend(&mut svg, legend, &entries);
    let title = format!("{}: {}, {}", plane.title(), group.data, group.model);
    let control =
        if entries.iter().any(|entry| entry.control) { " Grey, marked S: all runs with shuffled labels." } else { "" };
    let caption = format!(
        "Mean over runs of {} and {} after every epoch; markers grow from the first epoch to the last, where the number stands.{control}",
        across.name(),
        up.axis().split(':').next().unwrap_or(up.name())
    );
    let document = svg.finish(&title, &caption);
    let name = file_name(&format!("{}-trajectory", plane.name()), group);
    Some(Figure { name, title, caption, svg: document, hover })
}

impl<'a> Path<'a> {
    fn new(entry: Entry<'a>, plane: Plane) -> Path<'a> {
        let (across, up) = plane.metrics();
        let means = |metric| by_epoch(&entry.cells, Quantity::Metric(metric));
        let pairs = means(across).into_iter().zip(means(up)).enumerate();
        let points = pairs.filter_map(|(index, (x, y))| Some((index + 1, (x?.mean, y?.mean)))).collect();
        Path { entry, points }
    }

    /// Its points in a frame.
    pub(super) fn pixels(&self, frame: &Frame) -> Vec<(f64, f64)> {
        self.points.iter().map(|(_, point)| frame.at(point.0, point.1)).collect()
    }

    /// Draws it with markers of `scale` times their usual size.
    pub(super) fn draw(&self, svg: &mut Svg, frame: &Frame, scale: f64) {
        let pixels = self.pixels(frame);
        let entry = &self.entry;
        svg.polyline(&pixels, Stroke { color: entry.color, width: 1.0, dashes: entry.dashes }, 0.45);
        let last = pixels.len() - 1;
        let every = pixels.len().div_ceil(MOST_MARKERS);
        for (index, pixel) in pixels.iter().enumerate() {
            if index % every == 0 || index == last {
                let share = if last == 0 { 1.0 } else { index as f64 / last as f64 };
                let radius = scale * (MARKERS.0 + share * (MARKERS.1 - MARKERS.0));
                svg.circle(*pixel, radius, entry.color, 0.8, Stroke::solid("#ffffff", 0.5));
            }
        }
    }

    /// What a pointer finds: x, y and, in the place of an interval's ends, the epoch twice.
    fn hover(&self) -> Line {
        let points = self.points.iter().map(|(epoch, (x, y))| (*x, *y, Some((*epoch as f64, *epoch as f64))));
        Line::new(&self.entry.mark, &self.entry.name, points)
    }

    /// The same as a plot by itself.
    pub(super) fn plot(&self, frame: &Frame, plane: Plane) -> Plot {
        let (across, up) = plane.metrics();
        Plot::lines(frame, across.name(), up.name(), Some("epoch"), vec![self.hover()])
    }
}

/// Puts every line's badge near its last epoch, joined to it by a hair line where it had to move.
fn draw_ends(svg: &mut Svg, frame: &Frame, paths: &[Path<'_>]) {
    let ends: Vec<(f64, f64)> = paths.iter().filter_map(|path| path.pixels(frame).last().copied()).collect();
    let places = badge::spread_plane(&ends, frame.area);
    for ((path, end), place) in paths.iter().zip(&ends).zip(&places) {
        svg.open("line", &path.entry.mark);
        svg.line(*end, *place, Stroke::solid(path.entry.color, 1.0));
        svg.close();
    }
    for (path, place) in paths.iter().zip(places) {
        svg.open("line", &path.entry.mark);
        badge::draw(svg, place, &path.entry);
        svg.close();
    }
}
