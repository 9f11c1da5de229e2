//! The figures of a report, drawn by hand as SVG: one set for every data set and model.
//!
//! - [`map`]: learning-curve maps, accuracy over time step × epoch; [`difference`]: the differences of two, with clusters outlined;
//!   [`heat`]: cells, colour bar and outlines of both
//! - [`trajectory`]: where each condition goes over the epochs, in two planes
//! - [`ribbon`]: metrics by epoch with intervals and the shuffled control
//! - [`multiples`]: the last two with a plot for each condition, where there are many; [`grid`]: how small multiples are laid out
//! - [`curves`]: single runs; [`profile`]: the share of runs above every threshold
//! - [`frame`], [`badge`], [`scale`], [`color`], [`font`]: axes, numbered labels, ticks, colours, text widths
//! - [`svg`]: the writer; [`parsed`], [`png`], [`pdf`]: the same SVG read back and rendered; [`hover`]: values for the page's script

pub mod badge;
pub mod color;
pub mod curves;
pub mod difference;
pub mod font;
pub mod frame;
pub mod grid;
pub mod heat;
pub mod hover;
pub mod map;
pub mod multiples;
pub mod parsed;
pub mod pdf;
pub mod png;
pub mod profile;
pub mod ribbon;
pub mod scale;
pub mod svg;
pub mod trajectory;

use crate::aggregate::Group;
use crate::compare::Comparisons;
use crate::compare::aggregates::Aggregate;
use crate::curve::metrics::Metric;
use hover::Plot;

/// A finished figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its file name without ending.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What a reader must know: what is averaged, over how many runs, which interval.
    pub caption: String,
    /// The picture.
    pub svg: String,
    /// What a pointer finds in its plots.
    pub hover: Vec<Plot>,
}

/// Width of every figure, in pixels.
pub const WIDTH: f64 = 1000.0;

/// The figures of a group, in the report's order. Figures for which there is no data are left out. `comparisons` adds those of the
/// tests, where there are any.
pub fn draw(group: &Group<'_>, comparisons: Option<&Comparisons>) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(map::draw(group));
    let of_group = |data: &str, model: &str| data == group.data && model == group.model;
    let maps = comparisons.and_then(|found| found.maps.iter().find(|tests| of_group(&tests.data, &tests.model)));
    if let Some(tests) = maps {
        figures.extend(difference::draw_selectivity(tests));
        figures.extend(difference::draw_pairs(tests));
    }
    for plane in [trajectory::Plane::InformationProcessing, trajectory::Plane::Developmental] {
        figures.extend(trajectory::draw(group, plane));
        figures.extend(multiples::draw_trajectories(group, plane));
    }
    figures.extend(ribbon::draw(group));
    figures.extend(Metric::ALL.into_iter().filter_map(|metric| multiples::draw_ribbons(group, metric)));
    figures.extend(curves::draw(group));
    if let Some(found) = comparisons {
        let of_group: Vec<&Aggregate> =
            found.aggregates.iter().filter(|found| of_group(&found.outcome.data, &found.outcome.model)).collect();
        figures.extend(profile::draw(&of_group, &found.level));
    }
    figures
}

/// A figure's file name: its kind, the data set and the model.
fn file_name(kind: &str, group: &Group<'_>) -> String {
    format!("{kind}-{}-{}", group.data, group.model)
}

/// `1 run`, `20 runs`.
pub(crate) fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_string() } else { format!("{count} runs") }
}
