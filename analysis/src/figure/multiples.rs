//! Small multiples of lines: where a figure with all conditions in one plot is crowded, one plot for each, with the others in light
//! grey behind it.

use super::badge::{self, Entry};
use super::color::{CONTROL, FAINT};
use super::frame::{Frame, draw_x_title, draw_y_title};
use super::grid::{Grid, Title};
use super::hover::Plot;
use super::ribbon::{self, Ribbon};
use super::scale::{counting_ticks, ticks};
use super::svg::{Stroke, Svg};
use super::trajectory::{self, Path, Plane};
use super::{Figure, WIDTH, file_name};
use crate::aggregate::{Group, epochs};
use crate::curve::metrics::Metric;

/// With more conditions than these, figures get small multiples beside them.
pub const CROWD: usize = 6;
const RIGHT: f64 = 14.0;

/// Whether the conditions of a group crowd a plot.
pub fn is_crowded(entries: &[Entry<'_>]) -> bool {
    entries.iter().filter(|entry| !entry.control).count() > CROWD
}

fn titles(entries: &[&Entry<'_>]) -> Vec<Title> {
    let title =
        |entry: &&Entry<'_>| Title { mark: entry.mark.clone(), name: entry.name.clone(), runs: Some(entry.runs()) };
    entries.iter().map(title).collect()
}

/// One metric by epoch, a plot for each condition; `None` where there is no curve or no crowd.
pub fn draw_ribbons(group: &Group<'_>, metric: Metric) -> Option<Figure> {
    let entries = badge::entries(group);
    if !is_crowded(&entries) {
        return None;
    }
    let ribbons: Vec<Ribbon> =
        entries.iter().enumerate().map(|(index, entry)| Ribbon::new(index, entry, metric)).collect();
    let (low, high) = ribbon::value_range(&ribbons, metric)?;
    let cells: Vec<_> = entries.iter().flat_map(|entry| entry.cells.iter().copied()).collect();
    let last = epochs(&cells);
    let shown: Vec<&Entry> = entries.iter().filter(|entry| !entry.control).collect();
    let titles = titles(&shown);
    let grid = Grid::new(&titles, RIGHT);
    let mut svg = Svg::new(WIDTH, grid.height);
    let name = file_name(&format!("{}-by-epoch", metric.name().replace('_', "-")), group);
    let behind = format!("behind-{name}");
    let x_range = if last > 1 { (1.0, last as f64) } else { (0.0, 1.0) };
    let frame = |index: usize| Frame::new(grid.area(index), x_range, (low, high));
    svg.define(&behind, |svg| {
        for ribbon in ribbons.iter().filter(|ribbon| !entries[ribbon.entry].control) {
            svg.polyline(&ribbon.line(&frame(0)), Stroke::solid(FAINT, 0.8), 1.0);
        }
    });
    let x_ticks: Vec<(f64, String)> =
        counting_ticks(last, 5).into_iter().map(|epoch| (epoch as f64, epoch.to_string())).collect();
    let y_ticks = ticks((low, high), 5);
    let mut hover = Vec::new();
    for (index, entry) in shown.iter().enumerate() {
        let frame = frame(index);
        svg.open("panel", &entry.mark);
        grid.draw_title(&mut svg, index, &titles[index]);
        frame.draw_shared_axes(&mut svg, &x_ticks, &y_ticks, (grid.is_lowest(index), grid.is_leftmost(index)));
        svg.place(&behind, (frame.area.x - grid.area(0).x, frame.area.y - grid.area(0).y));
        let mut lines = Vec::new();
        for ribbon in &ribbons {
            let found = &entries[ribbon.entry];
            if found.mark == entry.mark || found.control && found.is_of_the_family_of(entry) {
                ribbon.draw(&mut svg, &frame, found, metric, 0.25);
                lines.push(ribbon.hover(found, metric));
            }
        }
        hover.push(Plot::lines(&frame, "epoch", metric.name(), None, lines));
        svg.close();
    }
    let plots = grid.plots();
    draw_x_title(&mut svg, plots.x + plots.width / 2.0, grid.height - 8.0, "epoch");
    draw_y_title(&mut svg, plots.x - 46.0, plots.y + plots.height / 2.0, metric.axis());
    let title = format!("{} by epoch: {}, {}", capital(metric.name()), group.data, group.model);
    let caption = format!(
        "{} Each condition by itself, all on one scale; in light grey the means of the others.",
        ribbon::caption(&entries)
    );
    let document = svg.finish(&title, &caption);
    Some(Figure { name, title, caption, svg: document, hover })
}

/// Trajectories in a plane, a plot for each condition; `None` where there is no curve or no crowd.
pub fn draw_trajectories(group: &Group<'_>, plane: Plane) -> Option<Figure> {
    let paths = trajectory::paths(group, plane);
    let shown: Vec<&Path> = paths.iter().filter(|path| !path.entry.control).collect();
    if shown.len() <= CROWD {
        return None;
    }
    let (x, y) = trajectory::ranges(&paths)?;
    let entries: Vec<&Entry> = shown.iter().map(|path| &path.entry).collect();
    let titles = titles(&entries);
    let grid = Grid::new(&titles, RIGHT);
    let mut svg = Svg::new(WIDTH, grid.height);
    let name = file_name(&format!("{}-trajectories-apart", plane.name()), group);
    let behind = format!("behind-{name}");
    let frame = |index: usize| Frame::new(grid.area(index), x, y);
    svg.define(&behind, |svg| {
        for path in &paths {
            let color = if path.entry.control { CONTROL } else { FAINT };
            svg.polyline(&path.pixels(&frame(0)), Stroke::solid(color, 0.8), 1.0);
        }
    });
    let (x_ticks, y_ticks) = (ticks(x, 4), ticks(y, 5));
    let mut hover = Vec::new();
    for (index, path) in shown.iter().enumerate() {
        let frame = frame(index);
        svg.open("panel", &path.entry.mark);
        grid.draw_title(&mut svg, index, &titles[index]);
        frame.draw_shared_axes(&mut svg, &x_ticks, &y_ticks, (grid.is_lowest(index), grid.is_leftmost(index)));
        svg.place(&behind, (frame.area.x - grid.area(0).x, frame.area.y - grid.area(0).y));
        path.draw(&mut svg, &frame, 0.8);
        hover.push(path.plot(&frame, plane));
        svg.close();
    }
    let (across, up) = plane.metrics();
    let plots = grid.plots();
    draw_x_title(&mut svg, plots.x + plots.width / 2.0, grid.height - 8.0, across.axis());
    draw_y_title(&mut svg, plots.x - 46.0, plots.y + plots.height / 2.0, up.axis());
    let title = format!("{}, one by one: {}, {}", plane.title(), group.data, group.model);
    let caption =
        "The same trajectories, each by itself; in light grey the others, in darker grey the shuffled control. Markers grow from the first epoch to the last."
            .to_string();
    let document = svg.finish(&title, &caption);
    Some(Figure { name, title, caption, svg: document, hover })
}

/// A metric's name at the beginning of a title.
fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
