//! The pictures as PNG, drawn with letters of our own: the same on every machine.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::wallet::preview::letters::{REGULAR, SEMI_BOLD};

/// Pixels of a picture at most.
const PIXELS_MAX: f32 = 16_000_000.0;

#[derive(Debug, thiserror::Error)]
#[error("cannot draw the picture: {0}")]
pub struct BadPicture(String);

/// `scale` pixels for each point; fewer for a picture that would be over 16 megapixels.
pub fn rasterize(svg: &str, scale: f32) -> Result<Vec<u8>, BadPicture> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(SEMI_BOLD.to_vec());
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| BadPicture(error.to_string()))?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = scale.min((PIXELS_MAX / (width * height).max(1.0)).sqrt());
    let pixels = |points: f32| (points * scale).ceil().max(1.0) as u32;
    let mut pixmap = Pixmap::new(pixels(width), pixels(height)).ok_or_else(|| BadPicture("no size".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| BadPicture(error.to_string()))
}
