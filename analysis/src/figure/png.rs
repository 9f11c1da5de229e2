//! SVG to PNG, with the bundled fonts alone, so that every machine draws the same pixels.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::font::{BOLD, REGULAR};

/// PNG pixels per SVG pixel; figures 1000 wide become 2500 wide, enough for 300 dots per inch at 21 cm.
const PIXELS_PER_UNIT: f32 = 2.5;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Renders an SVG document.
///
/// # Errors
/// If the document is not SVG or the picture is larger than the renderer takes.
pub fn render(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options { fontdb: FONTS.clone(), font_family: "DejaVu Sans".to_string(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let pixels = |length: f32| (length * PIXELS_PER_UNIT).ceil() as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| format!("{width} × {height} pixels are too many"))?;
    resvg::render(&tree, Transform::from_scale(PIXELS_PER_UNIT, PIXELS_PER_UNIT), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| error.to_string())
}
