//! What the page's script needs to answer a pointer: where a figure's plots lie, and the values that are drawn in them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::frame::Frame;
use super::svg::Rect;

/// Values of maps are kept as whole ten-thousandths, which two bytes hold.
const MAP_UNITS: f64 = 1e4;
/// A cell without a value.
const MAP_NONE: i16 = i16::MIN;

/// One plot of a figure.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Plot {
    /// A map over time step × epoch.
    Map(MapPlot),
    /// Lines through points.
    Lines(LinesPlot),
}

/// A map.
#[derive(Debug, Clone, Serialize)]
pub struct MapPlot {
    area: [f64; 4],
    name: String,
    value: &'static str,
    steps: usize,
    epochs: usize,
    /// Base64 of little-endian 16-bit whole numbers, epoch after epoch from the first.
    cells: String,
}

/// Lines.
#[derive(Debug, Clone, Serialize)]
pub struct LinesPlot {
    area: [f64; 4],
    x: Axis,
    y: Axis,
    /// What counts the points, where it is not x: the epoch of a trajectory.
    #[serde(skip_serializing_if = "Option::is_none")]
    along: Option<&'static str>,
    lines: Vec<Line>,
}

/// A number axis.
#[derive(Debug, Clone, Serialize)]
struct Axis {
    name: String,
    range: [f64; 2],
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The mark of its badge.
    mark: String,
    name: String,
    /// x, y, and where there is one the interval's ends.
    points: Vec<Vec<f64>>,
}

impl Plot {
    /// A map of `steps` time steps, its values epoch after epoch.
    pub fn map(
        area: Rect,
        name: &str,
        value: &'static str,
        steps: usize,
        values: impl Iterator<Item = Option<f64>>,
    ) -> Plot {
        let mut bytes = Vec::new();
        for value in values {
            let unit = value.map_or(MAP_NONE, |value| (value * MAP_UNITS).round().clamp(-32767.0, 32767.0) as i16);
            bytes.extend(unit.to_le_bytes());
        }
        let epochs = bytes.len() / 2 / steps.max(1);
        Plot::Map(MapPlot {
            area: pixels(area),
            name: name.to_string(),
            value,
            steps,
            epochs,
            cells: STANDARD.encode(bytes),
        })
    }

    /// Lines in a frame whose axes have these names.
    pub fn lines(frame: &Frame, x: &str, y: &str, along: Option<&'static str>, lines: Vec<Line>) -> Plot {
        let axis = |name: &str, low: f64, high: f64| Axis { name: name.to_string(), range: [short(low), short(high)] };
        Plot::Lines(LinesPlot {
            area: pixels(frame.area),
            x: axis(x, frame.x.low, frame.x.high),
            y: axis(y, frame.y.low, frame.y.high),
            along,
            lines,
        })
    }
}

impl Line {
    /// A line through points `(x, y, interval)`.
    pub fn new(mark: &str, name: &str, points: impl Iterator<Item = (f64, f64, Option<(f64, f64)>)>) -> Line {
        let point = |(x, y, interval): (f64, f64, Option<(f64, f64)>)| {
            let ends = interval.into_iter().flat_map(|(low, high)| [low, high]);
            [x, y].into_iter().chain(ends).map(short).collect()
        };
        Line { mark: mark.to_string(), name: name.to_string(), points: points.map(point).collect() }
    }
}

fn pixels(area: Rect) -> [f64; 4] {
    [area.x, area.y, area.width, area.height].map(|length| (length * 100.0).round() / 100.0)
}

/// A value with the digits that a reader can use.
fn short(value: f64) -> f64 {
    (value * 1e5).round() / 1e5 + 0.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_sixteen_bit_numbers() {
        let area = Rect { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let plot = Plot::map(area, "a/b", "accuracy", 2, [Some(0.5), None, Some(-0.25), Some(1.0)].into_iter());
        let json = serde_json::to_value(&plot).unwrap();
        let bytes = STANDARD.decode(json["cells"].as_str().unwrap()).unwrap();
        let values: Vec<i16> = bytes.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!((values, json["epochs"].as_u64()), (vec![5000, i16::MIN, -2500, 10000], Some(2)));
        assert_eq!(json["kind"], "map");
    }
}
