//! Numbered badges that say which line is which condition, and the legend that says what the numbers mean.
//!
//! A number needs no colour vision and survives a black-and-white printer; the colour makes lines easy to follow.

use super::color::{CONTROL, SOFT_INK, dashes, line};
use super::font::{Weight, shorten, width};
use super::runs;
use super::svg::{Anchor, Rect, Stroke, Svg, TextStyle};
use crate::aggregate::{Family, Group};
use crate::read::results::Cell;

/// Radius of a badge.
pub const RADIUS: f64 = 8.0;
/// Space that two badges keep between their centres.
const SPACING: f64 = 2.0 * RADIUS + 1.0;
/// Rounds of pushing badges apart; they settle far earlier.
const PUSHES: usize = 400;

/// One line of a figure: a condition, or a pooled control.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What stands in its badge.
    pub mark: String,
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub color: &'static str,
    /// Its dash pattern.
    pub dashes: Option<&'static str>,
    /// Whether it is a control.
    pub control: bool,
    /// The cells whose runs it averages.
    pub cells: Vec<&'a Cell>,
}

impl Entry<'_> {
    /// Whether both are of one family of conditions, so that one is the other's control.
    pub fn is_of_the_family_of(&self, other: &Entry<'_>) -> bool {
        let family =
            |entry: &Entry<'_>| entry.cells.first().map(|cell| (cell.planned.set.clone(), cell.planned.classes));
        family(self) == family(other)
    }

    /// Runs that it averages.
    pub fn runs(&self) -> usize {
        self.cells.iter().map(|cell| cell.runs.len()).sum()
    }
}

/// The lines of a group's figures: the controls first, so that they are drawn below, then the conditions. What has no runs has no
/// line; the numbers are the conditions' places in the plan all the same, so that they agree between figures.
pub fn entries<'a>(group: &Group<'a>) -> Vec<Entry<'a>> {
    let families = group.families();
    let mut entries = Vec::new();
    for (index, family) in families.iter().enumerate() {
        let cells = group.controls(*family);
        if !cells.is_empty() {
            let mark = if families.len() == 1 { "S".to_string() } else { format!("S{}", letter(index)) };
            let name = control_name(*family, families.len());
            entries.push(Entry { mark, name, color: CONTROL, dashes: dashes(15 * index), control: true, cells });
        }
    }
    for (index, condition) in group.conditions.iter().enumerate() {
        if let Some(cell) = condition.truth.filter(|cell| !cell.runs.is_empty()) {
            entries.push(Entry {
                mark: (index + 1).to_string(),
                name: condition.name.to_string(),
                color: line(index),
                dashes: dashes(index),
                control: false,
                cells: vec![cell],
            });
        }
    }
    entries
}

/// What a family's pooled control is called among `families` of them.
pub fn control_name(family: Family<'_>, families: usize) -> String {
    let title = family.title();
    if families == 1 || title.is_empty() { "shuffled labels".to_string() } else { format!("shuffled, {title}") }
}

fn letter(index: usize) -> char {
    char::from(b'a' + (index % 26) as u8)
}

/// Draws a badge centred at a point.
pub fn draw(svg: &mut Svg, center: (f64, f64), entry: &Entry<'_>) {
    svg.circle(center, RADIUS, entry.color, 1.0, Stroke::solid("#ffffff", 1.2));
    let size = if entry.mark.chars().count() > 2 { 7.5 } else { 9.5 };
    let style =
        TextStyle { size, color: "#ffffff", weight: Weight::Bold, anchor: Anchor::Middle, ..TextStyle::default() };
    svg.text((center.0, center.1 + 0.36 * size), &entry.mark, style);
}

/// Heights for badges in one column, each as near as possible to the wanted one, in order, within `low..high` and apart; closer
/// together only where the column is too short for all.
pub fn spread_column(wanted: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(a.cmp(b)));
    let gaps = wanted.len().saturating_sub(1).max(1) as f64;
    let spacing = SPACING.min((high - low) / gaps);
    let mut placed: Vec<f64> = order.iter().map(|index| wanted[*index].clamp(low, high)).collect();
    // Neighbours that are too close form blocks; a block sits around the mean of where its members want to be.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for place in placed.iter().copied() {
        blocks.push((place, 1));
        while let [.., (a, n), (b, m)] = blocks[..] {
            let (reach_a, reach_b) = ((n - 1) as f64 * spacing / 2.0, (m - 1) as f64 * spacing / 2.0);
            if b - reach_b - (a + reach_a) >= spacing {
                break;
            }
            let joined = n + m;
            let half = (joined - 1) as f64 * spacing / 2.0;
            let center = (a * n as f64 + b * m as f64) / joined as f64;
            blocks.truncate(blocks.len() - 2);
            blocks.push((center.clamp((low + half).min(high - half), (high - half).max(low + half)), joined));
        }
    }
    let mut heights = Vec::with_capacity(placed.len());
    for (center, members) in blocks {
        let first = center - (members - 1) as f64 * spacing / 2.0;
        heights.extend((0..members).map(|member| first + member as f64 * spacing));
    }
    for (index, height) in order.into_iter().zip(heights) {
        placed[index] = height;
    }
    placed
}

/// Columns beside a plot at most; further ones would reach into the next plot.
const MOST_COLUMNS: usize = 3;
/// From one column to the next.
pub const COLUMN_WIDTH: f64 = 2.0 * RADIUS + 1.5;

/// Column and height for badges beside a plot: as [`spread_column`], in as many columns as they need, neighbours in different ones.
/// `None` where there are more than the columns hold.
pub fn spread_columns(wanted: &[f64], low: f64, high: f64) -> Option<Vec<(usize, f64)>> {
    let in_column = ((high - low) / SPACING).floor() as usize + 1;
    let columns = wanted.len().div_ceil(in_column).max(1);
    if columns > MOST_COLUMNS {
        return None;
    }
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(a.cmp(b)));
    let mut places = vec![(0, 0.0); wanted.len()];
    for column in 0..columns {
        let members: Vec<usize> = order.iter().copied().skip(column).step_by(columns).collect();
        let heights = spread_column(&members.iter().map(|member| wanted[*member]).collect::<Vec<_>>(), low, high);
        for (member, height) in members.into_iter().zip(heights) {
            places[member] = (column, height);
        }
    }
    Some(places)
}

/// Places for badges in the plane: each starts beside its point, away from the middle of all points, and is pushed until no two
/// overlap and all lie within `area`.
pub fn spread_plane(points: &[(f64, f64)], area: Rect) -> Vec<(f64, f64)> {
    let count = points.len().max(1) as f64;
    let middle = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let offset = 1.9 * RADIUS;
    let mut places: Vec<(f64, f64)> = points
        .iter()
        .map(|point| {
            let away = (point.0 - middle.0, point.1 - middle.1);
            let length = away.0.hypot(away.1);
            let unit = if length > 1.0 { (away.0 / length, away.1 / length) } else { (1.0, 0.0) };
            (point.0 + offset * unit.0, point.1 + offset * unit.1)
        })
        .collect();
    for _ in 0..PUSHES {
        let mut moved = false;
        for i in 0..places.len() {
            for j in 0..i {
                moved |= push_apart(&mut places, i, j);
            }
            for point in points {
                moved |= push_off(&mut places[i], *point);
            }
            let place = &mut places[i];
            place.0 = place.0.clamp(area.x + RADIUS, area.right() - RADIUS);
            place.1 = place.1.clamp(area.y + RADIUS, area.bottom() - RADIUS);
        }
        if !moved {
            break;
        }
    }
    places
}

fn push_apart(places: &mut [(f64, f64)], i: usize, j: usize) -> bool {
    let (dx, dy) = (places[i].0 - places[j].0, places[i].1 - places[j].1);
    let distance = dx.hypot(dy);
    if distance >= SPACING {
        return false;
    }
    // Two badges on one spot part along a direction that their numbers give.
    let unit = if distance > 1e-6 { (dx / distance, dy / distance) } else { ((i as f64).cos(), (i as f64).sin()) };
    let push = (SPACING - distance) / 2.0 + 0.01;
    places[i] = (places[i].0 + push * unit.0, places[i].1 + push * unit.1);
    places[j] = (places[j].0 - push * unit.0, places[j].1 - push * unit.1);
    true
}

/// Keeps a badge off the ends of the lines, which it must not cover.
fn push_off(place: &mut (f64, f64), point: (f64, f64)) -> bool {
    const CLEARANCE: f64 = RADIUS + 5.0;
    let (dx, dy) = (place.0 - point.0, place.1 - point.1);
    let distance = dx.hypot(dy);
    if distance >= CLEARANCE {
        return false;
    }
    let unit = if distance > 1e-6 { (dx / distance, dy / distance) } else { (1.0, 0.0) };
    *place = (point.0 + CLEARANCE * unit.0, point.1 + CLEARANCE * unit.1);
    true
}

/// Height of one line of a legend, where there is room.
const LEGEND_LINE: f64 = 21.0;
/// Its height where there is not; badges just do not touch.
const LEAST_LEGEND_LINE: f64 = 2.0 * RADIUS + 1.0;

/// The height that a legend of so many entries needs.
pub fn legend_height(entries: usize) -> f64 {
    entries as f64 * LEAST_LEGEND_LINE
}

/// Draws the legend in a column: badge, name and number of runs on every line, as close together as the column needs, the controls last.
pub fn draw_legend(svg: &mut Svg, area: Rect, entries: &[Entry<'_>]) {
    const SIZE: f64 = 11.0;
    let lines = entries.len().max(1) as f64;
    let step = LEGEND_LINE.min(area.height / lines);
    let (controls, conditions): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.control);
    for (index, entry) in conditions.into_iter().chain(controls).enumerate() {
        let y = area.y + (index as f64 + 0.5) * step;
        svg.open("key", &entry.mark);
        draw(svg, (area.x + RADIUS, y), entry);
        let count = runs(entry.runs());
        let count_width = width(&count, SIZE - 1.0, Weight::Regular);
        let name_x = area.x + 2.0 * RADIUS + 7.0;
        let name = shorten(&entry.name, area.right() - name_x - count_width - 10.0, SIZE, Weight::Regular);
        svg.text((name_x, y + 0.36 * SIZE), &name, TextStyle { size: SIZE, ..TextStyle::default() });
        let style = TextStyle { size: SIZE - 1.0, color: SOFT_INK, anchor: Anchor::End, ..TextStyle::default() };
        svg.text((area.right(), y + 0.36 * SIZE), &count, style);
        svg.close();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn badges_in_a_column_never_overlap_and_stay_inside() {
        let wanted = [50.0, 50.0, 51.0, 10.0, 200.0, 199.0];
        let placed = spread_column(&wanted, 0.0, 200.0);
        for i in 0..placed.len() {
            assert!((0.0..=200.0).contains(&placed[i]), "{placed:?}");
            for j in 0..i {
                assert!((placed[i] - placed[j]).abs() >= SPACING - 1e-9, "{placed:?}");
            }
        }
    }

    #[test]
    fn many_badges_take_several_columns_and_too_many_none() {
        let wanted: Vec<f64> = (0..40).map(|i| f64::from(i % 7)).collect();
        let placed = spread_columns(&wanted, 0.0, 272.0).unwrap();
        for i in 0..placed.len() {
            for j in 0..i {
                let apart = (placed[i].1 - placed[j].1).abs() >= SPACING - 1e-9;
                assert!(placed[i].0 != placed[j].0 || apart, "{i} and {j}: {placed:?}");
            }
        }
        assert!(spread_columns(&vec![1.0; 100], 0.0, 272.0).is_none());
    }

    #[test]
    fn badges_in_the_plane_never_overlap() {
        let area = Rect { x: 0.0, y: 0.0, width: 400.0, height: 300.0 };
        let points: Vec<(f64, f64)> = (0..15).map(|i| (200.0 + f64::from(i % 4), 150.0 + f64::from(i / 4))).collect();
        let places = spread_plane(&points, area);
        for i in 0..places.len() {
            for j in 0..i {
                let distance = (places[i].0 - places[j].0).hypot(places[i].1 - places[j].1);
                assert!(distance >= SPACING - 0.5, "{i} and {j}: {distance}");
            }
        }
    }
}
