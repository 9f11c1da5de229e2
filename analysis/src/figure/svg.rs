//! A small SVG writer: shapes, text and images, with coordinates rounded to a hundredth of a pixel so that files are short and the
//! same on every machine.

use std::fmt::Write;

use super::color::INK;
use super::font::{FAMILY, Weight};

/// A drawing under construction.
#[derive(Debug, Clone)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text's given point lies on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its left end.
    Start,
    /// In its middle.
    Middle,
    /// At its right end.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct TextStyle<'a> {
    /// Letter size, in pixels.
    pub size: f64,
    /// Colour.
    pub color: &'a str,
    /// Weight.
    pub weight: Weight,
    /// Which point is given.
    pub anchor: Anchor,
    /// Whether it reads from bottom to top.
    pub upward: bool,
}

impl Default for TextStyle<'_> {
    fn default() -> Self {
        TextStyle { size: 11.0, color: INK, weight: Weight::Regular, anchor: Anchor::Start, upward: false }
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub struct Stroke<'a> {
    /// Colour.
    pub color: &'a str,
    /// Width, in pixels.
    pub width: f64,
    /// Dash pattern.
    pub dashes: Option<&'a str>,
}

impl<'a> Stroke<'a> {
    /// A solid line.
    pub fn solid(color: &'a str, width: f64) -> Stroke<'a> {
        Stroke { color, width, dashes: None }
    }

    fn attributes(&self) -> String {
        let dashes = self.dashes.map(|dashes| format!(" stroke-dasharray=\"{dashes}\"")).unwrap_or_default();
        format!("stroke=\"{}\" stroke-width=\"{}\"{dashes}", self.color, number(self.width))
    }
}

/// A rectangle in pixels, y downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Rect {
    /// Right edge.
    pub fn right(&self) -> f64 {
        self.x + self.width
    }

    /// Lower edge.
    pub fn bottom(&self) -> f64 {
        self.y + self.height
    }
}

impl Svg {
    /// An empty drawing on white.
    pub fn new(width: f64, height: f64) -> Svg {
        let mut svg = Svg { width, height, body: String::new() };
        svg.fill(Rect { x: 0.0, y: 0.0, width, height }, "#ffffff");
        svg
    }

    /// Begins a group of elements that belong to one condition, by the mark of its badge. `class` says what kind of elements; the page's
    /// script hides and shows them by both. Groups are not nested.
    pub fn open(&mut self, class: &str, mark: &str) {
        self.element(format_args!("<g class=\"{class}\" data-c=\"{}\">", escape(mark)));
    }

    /// Ends the group.
    pub fn close(&mut self) {
        self.element(format_args!("</g>"));
    }

    /// Defines what [`Svg::place`] puts in places. `id` must not stand in another figure of the page.
    pub fn define(&mut self, id: &str, draw: impl FnOnce(&mut Svg)) {
        self.element(format_args!("<defs><g id=\"{}\">", escape(id)));
        draw(self);
        self.element(format_args!("</g></defs>"));
    }

    /// Adds what was defined, shifted.
    pub fn place(&mut self, id: &str, shift: (f64, f64)) {
        let (x, y) = (number(shift.0), number(shift.1));
        self.element(format_args!("<use href=\"#{}\" transform=\"translate({x} {y})\"/>", escape(id)));
    }

    /// Adds a straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke<'_>) {
        self.element(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {}/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            stroke.attributes()
        ));
    }

    /// Adds a line through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke<'_>, opacity: f64) {
        if points.len() > 1 {
            self.element(format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\" {} stroke-opacity=\"{}\"/>",
                coordinates(points),
                stroke.attributes(),
                number(opacity)
            ));
        }
    }

    /// Adds a filled shape without an outline.
    pub fn polygon(&mut self, points: &[(f64, f64)], fill: &str, opacity: f64) {
        self.element(format_args!(
            "<polygon points=\"{}\" fill=\"{fill}\" fill-opacity=\"{}\"/>",
            coordinates(points),
            number(opacity)
        ));
    }

    /// Adds closed outlines without a fill, as one path; every outline is drawn twice, dark on a wider light line, so that it shows on any
    /// ground.
    pub fn outlines(&mut self, outlines: &[Vec<(f64, f64)>], dashes: Option<&str>) {
        let path: Vec<String> = outlines.iter().map(|outline| format!("M{}Z", coordinates(outline))).collect();
        if path.is_empty() {
            return;
        }
        let path = path.concat();
        for stroke in [Stroke::solid("#ffffff", 2.2), Stroke { color: "#111111", width: 1.0, dashes }] {
            self.element(format_args!("<path d=\"{path}\" fill=\"none\" {}/>", stroke.attributes()));
        }
    }

    /// Adds a filled rectangle.
    pub fn fill(&mut self, rect: Rect, fill: &str) {
        self.element(format_args!("<rect {} fill=\"{fill}\"/>", place(rect)));
    }

    /// Adds a rectangle's outline.
    pub fn outline(&mut self, rect: Rect, stroke: Stroke<'_>) {
        self.element(format_args!("<rect {} fill=\"none\" {}/>", place(rect), stroke.attributes()));
    }

    /// Adds a filled circle with an outline.
    pub fn circle(&mut self, center: (f64, f64), radius: f64, fill: &str, opacity: f64, outline: Stroke<'_>) {
        self.element(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\" fill-opacity=\"{}\" {}/>",
            number(center.0),
            number(center.1),
            number(radius),
            number(opacity),
            outline.attributes()
        ));
    }

    /// Adds a line of text; `at` lies on its baseline.
    pub fn text(&mut self, at: (f64, f64), text: &str, style: TextStyle<'_>) {
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if style.weight == Weight::Bold { " font-weight=\"bold\"" } else { "" };
        let (x, y) = (number(at.0), number(at.1));
        let turn = if style.upward { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
        self.element(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\"{anchor}{weight}{turn}>{}</text>",
            number(style.size),
            style.color,
            escape(text)
        ));
    }

    /// Adds a picture of square-edged pixels, given as a `data:` URL, stretched over the rectangle.
    pub fn pixels(&mut self, rect: Rect, data_url: &str) {
        self.element(format_args!(
            "<image {} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"{data_url}\"/>",
            place(rect)
        ));
    }

    /// The drawing as an SVG document. `title` and `description` are for screen readers.
    pub fn finish(self, title: &str, description: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
role=\"img\" font-family=\"{FAMILY}\">\n<title>{}</title>\n<desc>{}</desc>\n{}</svg>\n",
            escape(title),
            escape(description),
            self.body
        )
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

fn place(rect: Rect) -> String {
    format!(
        "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
        number(rect.x),
        number(rect.y),
        number(rect.width),
        number(rect.height)
    )
}

fn coordinates(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect::<Vec<_>>().join(" ")
}

/// A coordinate with at most two decimals.
fn number(value: f64) -> String {
    let hundredths = (value * 100.0).round();
    // Adding zero turns −0 into 0.
    format!("{}", hundredths / 100.0 + 0.0)
}

/// Text as XML content.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no way to write other control characters.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_data_sets_cannot_break_the_document() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text((1.0, 2.0), "<a> & \"b\"\u{0}", TextStyle::default());
        let document = svg.finish("t", "d");
        assert!(document.contains("&lt;a&gt; &amp; &quot;b&quot; </text>"), "{document}");
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([number(1.0 / 3.0), number(-0.001), number(12.0)], ["0.33", "0", "12"]);
    }
}
