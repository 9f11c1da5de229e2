//! Small multiples: plots of one size in rows, with shared axes, each under the mark and the name of what it shows.

use super::WIDTH;
use super::color::SOFT_INK;
use super::font::{Weight, shorten, width};
use super::runs;
use super::svg::{Anchor, Rect, Svg, TextStyle};

const LEFT: f64 = 62.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 46.0;
const TITLE_LINE: f64 = 13.5;
const GAP: f64 = 16.0;
const PANEL_HEIGHT: f64 = 150.0;
/// Wider plots would be stretched.
const MOST_PANEL_WIDTH: f64 = 413.0;
/// Most plots in a row: with four, fifteen pairs and their control fill a square.
const COLUMNS: usize = 4;
const TITLE_SIZE: f64 = 11.5;
const COUNT_SIZE: f64 = 9.5;

/// What stands above a plot.
#[derive(Debug, Clone)]
pub struct Title {
    /// The mark of its condition.
    pub mark: String,
    /// The name.
    pub name: String,
    /// Runs, where the plot has any.
    pub runs: Option<usize>,
}

/// Where the plots lie.
#[derive(Debug)]
pub struct Grid {
    count: usize,
    columns: usize,
    left: f64,
    panel: (f64, f64),
    title_height: f64,
    /// Height of the whole figure.
    pub height: f64,
}

impl Grid {
    /// Room for plots under these titles, with `right` pixels kept free at the right. Names that do not fit get a second line.
    pub fn new(titles: &[Title], right: f64) -> Grid {
        let count = titles.len();
        let columns = count.clamp(1, COLUMNS);
        let rows = count.div_ceil(columns).max(1);
        let gaps = GAP * (columns - 1) as f64;
        let panel_width = ((WIDTH - LEFT - right - gaps) / columns as f64).min(MOST_PANEL_WIDTH);
        let plots_width = columns as f64 * panel_width + gaps;
        let two_lines = titles.iter().any(|title| title.full_width() > panel_width);
        let title_height = if two_lines { 2.0 * TITLE_LINE + 8.0 } else { TITLE_LINE + 8.0 };
        let panel_height = if columns <= 2 { 1.6 * PANEL_HEIGHT } else { PANEL_HEIGHT };
        Grid {
            count,
            columns,
            // Few plots stand in the middle of the figure.
            left: LEFT + (WIDTH - LEFT - right - plots_width) / 2.0,
            panel: (panel_width, panel_height),
            title_height,
            height: TOP + rows as f64 * (title_height + panel_height + GAP) - GAP + BOTTOM,
        }
    }

    /// The place of the `index`-th plot.
    pub fn area(&self, index: usize) -> Rect {
        let (row, column) = (index / self.columns, index % self.columns);
        Rect {
            x: self.left + column as f64 * (self.panel.0 + GAP),
            y: TOP + row as f64 * (self.title_height + self.panel.1 + GAP) + self.title_height,
            width: self.panel.0,
            height: self.panel.1,
        }
    }

    /// Whether no plot lies below.
    pub fn is_lowest(&self, index: usize) -> bool {
        index + self.columns >= self.count
    }

    /// Whether no plot lies to the left.
    pub fn is_leftmost(&self, index: usize) -> bool {
        index.is_multiple_of(self.columns)
    }

    /// The rectangle around all plots.
    pub fn plots(&self) -> Rect {
        let y = TOP + self.title_height;
        let width = self.columns as f64 * (self.panel.0 + GAP) - GAP;
        Rect { x: self.left, y, width, height: self.height - y - BOTTOM }
    }

    /// Draws a plot's title.
    pub fn draw_title(&self, svg: &mut Svg, index: usize, title: &Title) {
        let area = self.area(index);
        let mark_width = if title.mark.is_empty() { 0.0 } else { width(&title.mark, TITLE_SIZE, Weight::Bold) + 6.0 };
        let count = title.count();
        let count_width = width(&count, COUNT_SIZE, Weight::Regular);
        let broken = title.full_width() > area.width;
        let (first, second) = if broken { title.lines() } else { (title.name.clone(), String::new()) };
        let base = area.y - 6.0;
        let top = if second.is_empty() { base } else { base - TITLE_LINE };
        let mark = TextStyle { size: TITLE_SIZE, color: SOFT_INK, weight: Weight::Bold, ..TextStyle::default() };
        svg.text((area.x, top), &title.mark, mark);
        let style = TextStyle { size: TITLE_SIZE, ..TextStyle::default() };
        let beside = area.width - mark_width - count_width - 8.0;
        let room = if second.is_empty() { beside } else { area.width - mark_width };
        svg.text((area.x + mark_width, top), &shorten(&first, room, TITLE_SIZE, Weight::Regular), style);
        if !second.is_empty() {
            let name = shorten(&second, beside, TITLE_SIZE, Weight::Regular);
            svg.text((area.x + mark_width, base), &name, style);
        }
        let style = TextStyle { size: COUNT_SIZE, color: SOFT_INK, anchor: Anchor::End, ..TextStyle::default() };
        svg.text((area.right(), base), &count, style);
    }
}

impl Title {
    fn count(&self) -> String {
        self.runs.map(runs).unwrap_or_default()
    }

    fn full_width(&self) -> f64 {
        let mark = if self.mark.is_empty() { 0.0 } else { width(&self.mark, TITLE_SIZE, Weight::Bold) + 6.0 };
        mark + width(&self.name, TITLE_SIZE, Weight::Regular) + 8.0 + width(&self.count(), COUNT_SIZE, Weight::Regular)
    }

    /// The name on two lines: broken after the minus between two conditions, the slash between two classes, or else the space nearest to
    /// the middle.
    fn lines(&self) -> (String, String) {
        let name = &self.name;
        if let Some((first, second)) = name.split_once(" − ") {
            return (format!("{first} −"), second.to_string());
        }
        let middle = name.len() / 2;
        let nearest = |found: char| {
            name.match_indices(found).map(|(place, _)| place + 1).min_by_key(|place| place.abs_diff(middle))
        };
        match nearest('/').or_else(|| nearest(' ')) {
            Some(place) => (name[..place].trim_end().to_string(), name[place..].to_string()),
            None => (name.clone(), String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(name: &str) -> Title {
        Title { mark: "1".to_string(), name: name.to_string(), runs: Some(5) }
    }

    #[test]
    fn long_pairs_break_at_the_slash() {
        assert_eq!(
            title("I have command/Spread wings").lines(),
            ("I have command/".to_string(), "Spread wings".to_string())
        );
        assert_eq!(title("shuffled labels").lines(), ("shuffled".to_string(), "labels".to_string()));
        assert_eq!(title("joy").lines(), ("joy".to_string(), String::new()));
    }

    #[test]
    fn plots_do_not_overlap_and_stay_inside() {
        for count in 1..40 {
            let titles: Vec<Title> = (0..count).map(|_| title("a rather long name/another rather long name")).collect();
            let grid = Grid::new(&titles, 96.0);
            for i in 0..count {
                let area = grid.area(i);
                assert!(area.x >= 0.0 && area.right() <= WIDTH && area.bottom() <= grid.height);
                let apart = |other: Rect| area.x >= other.right() || area.y >= other.bottom();
                assert!((0..i).all(|j| apart(grid.area(j))), "{count}: {i}");
            }
        }
    }
}
