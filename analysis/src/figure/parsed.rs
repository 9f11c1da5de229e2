//! SVG read back with the bundled fonts alone, so that every machine draws the same pixels and pages.

use std::sync::{Arc, LazyLock};

use resvg::usvg::{Options, Tree, fontdb};

use super::font::{BOLD, REGULAR};

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// Reads an SVG document.
///
/// # Errors
/// If the document is not SVG.
pub fn parse(svg: &str) -> Result<Tree, String> {
    let options = Options { fontdb: FONTS.clone(), font_family: "DejaVu Sans".to_string(), ..Options::default() };
    Tree::from_str(svg, &options).map_err(|error| error.to_string())
}
