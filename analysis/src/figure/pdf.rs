//! Figures as PDF: one page of vectors and text, with the fonts that it uses inside.

use krilla::Document;
use krilla::geom::Size;
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::usvg::Tree;

use super::WIDTH;

/// A figure's width on paper: 7.5 inches, the most that journals print.
const PAGE_WIDTH_POINTS: f32 = 540.0;

/// Renders a figure. There is no date in it, so that the same figure gives the same bytes.
///
/// # Errors
/// If the page cannot be written.
pub fn render(tree: &Tree, title: &str) -> Result<Vec<u8>, String> {
    let scale = PAGE_WIDTH_POINTS / WIDTH as f32;
    let size = Size::from_wh(tree.size().width() * scale, tree.size().height() * scale);
    let size = size.ok_or_else(|| "the figure has no area".to_string())?;
    let mut document = Document::new();
    document.set_metadata(
        Metadata::new().title(title.to_string()).creator("curvefleet".to_string()).language("en".to_string()),
    );
    let mut page = document.start_page_with(PageSettings::new(size));
    let mut surface = page.surface();
    let drawn = surface.draw_svg(tree, size, SvgSettings::default());
    surface.finish();
    page.finish();
    drawn.ok_or_else(|| "the figure cannot be drawn as PDF".to_string())?;
    document.finish().map_err(|error| format!("{error:?}"))
}
