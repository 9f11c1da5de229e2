//! Learning-curve maps: probe accuracy over time step × epoch, one small map per condition and the pooled shuffled control beside
//! them, all on one colour scale.

use super::color::viridis;
use super::grid::{Grid, Title};
use super::heat::{Cells, Heat, RIGHT, draw_nothing};
use super::hover::Plot;
use super::scale::{range, rounded};
use super::svg::Svg;
use super::{Figure, WIDTH, badge, file_name, runs};
use crate::aggregate::{Group, MeanMap, mean_map};

/// The colour scale's ends are multiples of this accuracy.
const SCALE_STEP: f64 = 0.05;

struct Panel {
    title: Title,
    control: bool,
    map: Option<MeanMap>,
}

/// Draws the maps of a group; `None` where there is no curve at all.
pub fn draw(group: &Group<'_>) -> Option<Figure> {
    let panels = panels(group);
    let values = panels.iter().filter_map(|panel| panel.map.as_ref()).flat_map(MeanMap::values);
    let maps = || panels.iter().filter_map(|panel| panel.map.as_ref());
    let extent = maps().fold((0, 0), |most, map| (most.0.max(map.steps), most.1.max(map.epochs.len())));
    let heat = Heat { domain: rounded(range(values)?, SCALE_STEP), palette: viridis, title: "probe accuracy", extent };
    let titles: Vec<Title> = panels.iter().map(|panel| panel.title.clone()).collect();
    let grid = Grid::new(&titles, RIGHT);
    let mut svg = Svg::new(WIDTH, grid.height);
    let mut hover = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        svg.open("panel", &panel.title.mark);
        grid.draw_title(&mut svg, index, &panel.title);
        heat.draw_ticks(&mut svg, &grid, index);
        match &panel.map {
            None => draw_nothing(&mut svg, grid.area(index), "no finished runs"),
            Some(map) => {
                let values: Vec<Option<f64>> = map.epochs.iter().flatten().copied().collect();
                let cells = Cells { steps: map.steps, values: &values };
                heat.draw(&mut svg, &grid, index, cells, panel.control);
                let area = heat.filled(grid.area(index), cells);
                let name = &panel.title.name;
                hover.push(Plot::map(area, name, "accuracy", map.steps, values.iter().copied()));
            }
        }
        svg.close();
    }
    heat.draw_legend(&mut svg, &grid);
    let title = format!("Learning-curve maps: {}, {}", group.data, group.model);
    let caption = caption(&panels);
    let document = svg.finish(&title, &caption);
    Some(Figure { name: file_name("learning-curve-map", group), title, caption, svg: document, hover })
}

fn panels(group: &Group<'_>) -> Vec<Panel> {
    let panel = |mark: String, name: String, control: bool, map: Option<MeanMap>| Panel {
        title: Title { mark, name, runs: map.as_ref().map(|map| map.runs) },
        control,
        map,
    };
    let mut panels = Vec::new();
    for (index, condition) in group.conditions.iter().enumerate() {
        if let Some(cell) = condition.truth {
            panels.push(panel((index + 1).to_string(), condition.name.to_string(), false, mean_map(&[cell])));
        }
    }
    for entry in badge::entries(group).into_iter().filter(|entry| entry.control) {
        panels.push(panel(entry.mark, entry.name, true, mean_map(&entry.cells)));
    }
    panels
}

fn caption(panels: &[Panel]) -> String {
    let counts =
        panels.iter().filter(|panel| !panel.control).filter_map(|panel| panel.map.as_ref()).map(|map| map.runs as f64);
    let each = match range(counts) {
        None => String::new(),
        Some((low, high)) if low == high => format!(" ({} each)", runs(low as usize)),
        Some((low, high)) => format!(" ({low} to {} each)", runs(high as usize)),
    };
    let control = if panels.iter().any(|panel| panel.control) {
        " Maps marked S pool all runs with shuffled labels: what the probe reads when there is nothing to learn."
    } else {
        ""
    };
    format!(
        "Accuracy of the probe on the hidden states at every time step after every epoch, as the mean over \
runs{each}; one colour scale for all maps.{control}"
    )
}
