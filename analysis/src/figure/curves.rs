//! Sample curves: probe accuracy over time after the last epoch, in single runs of every condition.

use super::badge::{self, Entry};
use super::color::CONTROL;
use super::frame::{Frame, draw_x_title, draw_y_title};
use super::grid::{Grid, Title};
use super::hover::{Line, Plot};
use super::scale::{counting_ticks, padded, range, ticks};
use super::svg::{Stroke, Svg};
use super::{Figure, WIDTH, file_name};
use crate::aggregate::{Group, mean_map};
use crate::curve::smooth::smooth_3rs3r;
use crate::read::kept::{SAMPLE_RUNS, SampleCurve};

const RIGHT: f64 = 14.0;

/// Draws the curves of a group; `None` where there is none.
pub fn draw(group: &Group<'_>) -> Option<Figure> {
    let entries = badge::entries(group);
    let (controls, conditions): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.control);
    let shown: Vec<&Entry> =
        conditions.iter().chain(&controls).filter(|entry| samples(entry).next().is_some()).collect();
    let all = || shown.iter().flat_map(|entry| samples(entry)).map(|sample| &sample.curve);
    let (low, high) = padded(range(all().flatten().copied())?, 0.04, 0.1);
    let steps = all().map(Vec::len).max().unwrap_or(1);
    let titles: Vec<Title> = shown.iter().map(|entry| title(entry)).collect();
    let grid = Grid::new(&titles, RIGHT);
    let mut svg = Svg::new(WIDTH, grid.height);
    let x_ticks: Vec<(f64, String)> =
        counting_ticks(steps, 5).into_iter().map(|step| (step as f64, step.to_string())).collect();
    let x_range = if steps > 1 { (1.0, steps as f64) } else { (0.0, 1.0) };
    let mut hover = Vec::new();
    for (index, entry) in shown.iter().enumerate() {
        let frame = Frame::new(grid.area(index), x_range, (low, high));
        svg.open("panel", &entry.mark);
        grid.draw_title(&mut svg, index, &titles[index]);
        let sides = (grid.is_lowest(index), grid.is_leftmost(index));
        frame.draw_shared_axes(&mut svg, &x_ticks, &ticks((low, high), 5), sides);
        let chance = chance(group, entry);
        let mut lines = Vec::new();
        if let Some(chance) = &chance {
            svg.polyline(&pixels(&frame, chance), Stroke::solid(CONTROL, 2.0), 0.9);
            lines.push(line("S", "shuffled labels, mean", chance));
        }
        lines.extend(draw_samples(&mut svg, &frame, entry));
        hover.push(Plot::lines(&frame, "time step", "accuracy", None, lines));
        svg.close();
    }
    let plots = grid.plots();
    draw_x_title(&mut svg, plots.x + plots.width / 2.0, grid.height - 8.0, "time step");
    draw_y_title(&mut svg, plots.x - 46.0, plots.y + plots.height / 2.0, "probe accuracy");
    let title = format!("Sample curves: {}, {}", group.data, group.model);
    let caption = format!(
        "Accuracy of the probe at every time step after the last epoch, in single runs (thin; those with the lowest seeds, at most {SAMPLE_RUNS}). Thick: the \
         run with the lowest seed, smoothed (3RS3R) as for the metrics, with a dot at its maximum.{}",
        if controls.is_empty() {
            ""
        } else {
            " Grey: the mean over all runs with shuffled labels, the probe's chance level."
        }
    );
    let document = svg.finish(&title, &caption);
    Some(Figure { name: file_name("sample-curves", group), title, caption, svg: document, hover })
}

fn title(entry: &Entry<'_>) -> Title {
    Title { mark: entry.mark.clone(), name: entry.name.clone(), runs: Some(samples(entry).count()) }
}

/// The curves of an entry that are drawn.
fn samples<'a>(entry: &'a Entry<'_>) -> impl Iterator<Item = &'a SampleCurve> {
    entry.cells.iter().flat_map(|cell| &cell.kept.samples).take(SAMPLE_RUNS)
}

/// The mean curve of the control that belongs to a condition; a control has none beside it.
fn chance(group: &Group<'_>, entry: &Entry<'_>) -> Option<Vec<f64>> {
    if entry.control {
        return None;
    }
    let condition = group.conditions.iter().find(|condition| condition.name == entry.name)?;
    let map = mean_map(&group.controls(condition.family))?;
    map.epochs.last()?.iter().copied().collect()
}

fn draw_samples(svg: &mut Svg, frame: &Frame, entry: &Entry<'_>) -> Vec<Line> {
    for sample in samples(entry) {
        svg.polyline(&pixels(frame, &sample.curve), Stroke::solid(entry.color, 0.7), 0.4);
    }
    let Some(first) = samples(entry).next() else { return Vec::new() };
    let smoothed = smooth_3rs3r(&first.curve);
    let line_pixels = pixels(frame, &smoothed);
    svg.polyline(&line_pixels, Stroke::solid(entry.color, 1.8), 1.0);
    let peak = (0..smoothed.len()).reduce(|best, step| if smoothed[step] > smoothed[best] { step } else { best });
    if let Some(peak) = peak {
        svg.circle(line_pixels[peak], 3.4, entry.color, 1.0, Stroke::solid("#ffffff", 1.0));
    }
    samples(entry)
        .map(|sample| line(&entry.mark, &format!("{}, seed {}", entry.name, sample.run.0), &sample.curve))
        .collect()
}

fn pixels(frame: &Frame, curve: &[f64]) -> Vec<(f64, f64)> {
    curve.iter().enumerate().map(|(step, value)| frame.at((step + 1) as f64, *value)).collect()
}

fn line(mark: &str, name: &str, curve: &[f64]) -> Line {
    Line::new(mark, name, curve.iter().enumerate().map(|(step, value)| ((step + 1) as f64, *value, None)))
}
