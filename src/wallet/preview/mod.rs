//! Pictures of a pass as phones show it, for people who design one. Drawn after the layout rules that Apple and Google
//! publish; a phone's own drawing differs in fonts and in details that its makers change from year to year.

mod back;
mod canvas;
mod codes;
mod front;
mod google;
mod letters;
mod png;
mod poster;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::png::rasterize;

use self::canvas::Canvas;
use crate::domain::content::{Content, Text};
use crate::domain::locale::Locale;
use crate::domain::text::text_enum;
use crate::wallet::apple::pass_json::is_poster_event;
use crate::wallet::design::{Design, Files};

text_enum! {
    /// A side of a pass, or all of them on one sheet.
    pub enum Look {
        Front = "front",
        Back = "back",
        Poster = "poster",
        Google = "google",
        Sheet = "sheet",
    }
}

/// What is drawn, and for a reader of which language.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    content: &'a Content,
    design: &'a Design,
    locale: Locale,
}

impl<'a> Scene<'a> {
    /// For a reader of `locale`, or of the design's own language.
    pub fn new(content: &'a Content, design: &'a Design, locale: Option<Locale>) -> Self {
        Self { content, design, locale: locale.unwrap_or(design.default_locale) }
    }

    fn text(&self, text: &'a Text) -> &'a str {
        text.in_locale(self.locale)
    }

    /// An image as an address that holds it; the sharpest there is, in the reader's language.
    fn image(&self, kind: &str) -> Option<String> {
        let images: &Files = &self.design.images;
        let names = ["@2x", "@3x", ""].map(|scale| format!("{kind}{scale}.png"));
        let found =
            names.iter().find_map(|name| images.get(&format!("{}/{name}", self.locale)).or_else(|| images.get(name)));
        found.map(|content| format!("data:image/png;base64,{}", STANDARD.encode(content)))
    }

    /// Whether a phone would show the poster look.
    fn has_poster(&self) -> bool {
        let is_asked_for = self.design.apple.is_poster || is_poster_event(self.content);
        is_asked_for && (self.image("artwork").is_some() || self.image("background").is_some())
    }
}

/// The picture as SVG.
pub fn draw(scene: Scene<'_>, look: Look) -> String {
    match look {
        Look::Front => front::draw(scene).finish(),
        Look::Back => back::draw(scene).finish(),
        Look::Poster => poster::draw(scene).finish(),
        Look::Google => google::draw(scene).finish(),
        Look::Sheet => sheet(scene).finish(),
    }
}

const GAP: f64 = 28.0;
const CAPTION: f64 = 30.0;

/// Every side that the pass has, next to each other.
fn sheet(scene: Scene<'_>) -> Canvas {
    let mut sides = vec![("Apple Wallet", front::draw(scene))];
    if scene.has_poster() {
        sides.push(("Apple Wallet, poster", poster::draw(scene)));
    }
    sides.push(("Google Wallet", google::draw(scene)));
    sides.push((
        match scene.locale {
            Locale::PtBr => "Verso",
            Locale::En => "Back",
            Locale::Es => "Reverso",
        },
        back::draw(scene),
    ));
    let width = sides.iter().map(|(_, side)| side.width() + GAP).sum::<f64>() + GAP;
    let height = sides.iter().map(|(_, side)| side.height()).fold(0.0, f64::max) + 2.0 * GAP + CAPTION;
    let mut sheet = Canvas::new(width, height);
    sheet.rect(0.0, 0.0, width, height, 0.0, "#e9e9ee");
    let mut x = GAP;
    for (caption, side) in sides {
        sheet.text(canvas::Label {
            x,
            y: GAP + 12.0,
            size: 14.0,
            is_bold: true,
            color: "#55555c",
            ..canvas::Label::new(caption)
        });
        let width = side.width();
        sheet.nest(side, x, GAP + CAPTION);
        x += width + GAP;
    }
    sheet
}
