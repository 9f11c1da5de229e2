//! The figures of a report, drawn by hand as SVG: one set for every data set and model.
//!
//! - [`map`]: learning-curve maps, accuracy over time step × epoch
//! - [`trajectory`]: where each condition goes over the epochs, in two planes
//! - [`ribbon`]: metrics by epoch with intervals and the shuffled control
//! - [`frame`], [`badge`], [`scale`], [`color`], [`font`]: axes, numbered labels, ticks, colours, text widths
//! - [`svg`], [`png`]: the writer and the renderer

pub mod badge;
pub mod color;
pub mod font;
pub mod frame;
pub mod map;
pub mod png;
pub mod ribbon;
pub mod scale;
pub mod svg;
pub mod trajectory;

use crate::aggregate::Group;

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
}

/// Width of every figure, in pixels.
pub const WIDTH: f64 = 1000.0;

/// The figures of a group, in the report's order. Figures for which there is no data are left out.
pub fn draw(group: &Group<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(map::draw(group));
    figures.extend(trajectory::draw(group, trajectory::Plane::InformationProcessing));
    figures.extend(trajectory::draw(group, trajectory::Plane::Developmental));
    figures.extend(ribbon::draw(group));
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
