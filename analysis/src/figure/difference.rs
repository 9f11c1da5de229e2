//! Differences of two learning-curve maps, with the clusters that the permutation test found: true less shuffled labels (selectivity),
//! or one condition less another.

use super::color::cividis;
use super::grid::{Grid, Title};
use super::heat::{Cells, Heat, RIGHT, draw_nothing, outlines};
use super::hover::Plot;
use super::scale::{range, rounded};
use super::svg::{Rect, Svg};
use super::{Figure, WIDTH};
use crate::compare::over_map::{Found, MapTest, MapTests};

/// Clusters with a p below this are outlined.
pub const LEVEL: f64 = 0.05;
/// The colour scale's ends are multiples of this difference.
const SCALE_STEP: f64 = 0.05;

/// Draws the selectivity maps of a data set and model; `None` where there is none.
pub fn draw_selectivity(tests: &MapTests) -> Option<Figure> {
    let caption = format!(
        "Probe accuracy with true labels less that with shuffled ones at every time step after every epoch (selectivity), as the difference of means over runs. \
         {}",
        outlined("true labels")
    );
    draw(tests, &tests.controls, "selectivity-map", "Selectivity maps", "accuracy above control", &caption)
}

/// Draws the maps of pairs of conditions; `None` where there is none.
pub fn draw_pairs(tests: &MapTests) -> Option<Figure> {
    let caption = format!(
        "Probe accuracy in the first condition less that in the second at every time step after every epoch, as the difference of means over runs. {}",
        outlined("the first condition")
    );
    draw(tests, &tests.pairs, "difference-map", "Difference maps", "difference in accuracy", &caption)
}

fn outlined(higher: &str) -> String {
    format!(
        "Outlines: clusters of cells with p below {LEVEL} in the cluster-based permutation test, solid where {higher} score higher and dashed where lower; \
         they say that the maps differ, not where a difference ends."
    )
}

fn draw(
    tests: &MapTests,
    list: &[MapTest],
    kind: &str,
    title: &str,
    value: &'static str,
    caption: &str,
) -> Option<Figure> {
    let found = || list.iter().filter_map(|test| test.found.as_ref().ok());
    let domain = range(found().flat_map(|found| found.difference.iter().copied()))?;
    // Zero is always on the scale.
    let domain = rounded((domain.0.min(0.0), domain.1.max(0.0)), SCALE_STEP);
    let extent = found().fold((0, 0), |most, found| (most.0.max(found.steps), most.1.max(found.epochs())));
    let heat = Heat { domain, palette: cividis, title: value, extent };
    let caption = format!("{caption}{}", few_assignments(list));
    let titles: Vec<Title> = list.iter().enumerate().map(|(index, test)| name(index, test)).collect();
    let grid = Grid::new(&titles, RIGHT);
    let mut svg = Svg::new(WIDTH, grid.height);
    let mut hover = Vec::new();
    for (index, (test, title)) in list.iter().zip(&titles).enumerate() {
        svg.open(if test.second.is_none() { "panel" } else { "pair" }, &title.mark);
        grid.draw_title(&mut svg, index, title);
        heat.draw_ticks(&mut svg, &grid, index);
        match &test.found {
            Err(_) => draw_nothing(&mut svg, grid.area(index), "not tested"),
            Ok(found) => {
                let values: Vec<Option<f64>> = found.difference.iter().copied().map(Some).collect();
                let cells = Cells { steps: found.steps, values: &values };
                heat.draw(&mut svg, &grid, index, cells, false);
                let area = heat.filled(grid.area(index), cells);
                draw_clusters(&mut svg, area, found);
                hover.push(Plot::map(area, &title.name, value, found.steps, values.iter().copied()));
            }
        }
        svg.close();
    }
    heat.draw_legend(&mut svg, &grid);
    let title = format!("{title}: {}, {}", tests.data, tests.model);
    let document = svg.finish(&title, &caption);
    Some(Figure { name: format!("{kind}-{}-{}", tests.data, tests.model), title, caption, svg: document, hover })
}

/// What to say where so few runs can be assigned in so few ways that no p falls below the level.
fn few_assignments(list: &[MapTest]) -> String {
    // Turned around, every assignment has the same largest mass once more, where both sides have as many runs.
    let smallest = |test: &MapTest| {
        let found = test.found.as_ref().ok()?;
        let turned = found.test.exact && test.runs.0 == test.runs.1;
        Some(found.test.smallest_p() * if turned { 2.0 } else { 1.0 })
    };
    let least = list.iter().filter_map(smallest).reduce(f64::min);
    match least {
        Some(least) if least >= LEVEL => {
            format!(
                " With so few runs no p can be below {least:.2}, so that nothing is outlined; more seeds are needed."
            )
        }
        _ => String::new(),
    }
}

/// A test's title: a condition's number is its place in the plan, as in the other figures.
fn name(index: usize, test: &MapTest) -> Title {
    match &test.second {
        None => Title { mark: test.mark.clone(), name: test.first.clone(), runs: Some(test.runs.0 + test.runs.1) },
        Some(second) => Title {
            mark: format!("{}", index + 1),
            name: format!("{} − {second}", test.first),
            runs: Some(test.runs.0 + test.runs.1),
        },
    }
}

fn draw_clusters(svg: &mut Svg, area: Rect, found: &Found) {
    let clear = || found.test.clusters.iter().filter(|cluster| cluster.p < LEVEL);
    for (higher, dashes) in [(true, None), (false, Some("3 2"))] {
        let of_sign = clear().filter(|cluster| (cluster.mass > 0.0) == higher);
        let shapes: Vec<Vec<(f64, f64)>> =
            of_sign.flat_map(|cluster| outlines(&cluster.cells, found.steps, found.epochs(), area)).collect();
        svg.outlines(&shapes, dashes);
    }
}
