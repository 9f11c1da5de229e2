//! Figures as PNG.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::Tree;

/// PNG pixels per SVG pixel; figures 1000 wide become 2500 wide, which is 333 dots per inch over a page's full width.
const PIXELS_PER_UNIT: f32 = 2.5;

/// Renders a figure.
///
/// # Errors
/// If the picture is larger than the renderer takes.
pub fn render(tree: &Tree) -> Result<Vec<u8>, String> {
    let pixels = |length: f32| (length * PIXELS_PER_UNIT).ceil() as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| format!("{width} × {height} pixels are too many"))?;
    resvg::render(tree, Transform::from_scale(PIXELS_PER_UNIT, PIXELS_PER_UNIT), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| error.to_string())
}
