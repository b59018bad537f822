//! The front of a classic pass in Apple Wallet. Sizes in points, after Apple's guide and its design guidelines.

use crate::domain::content::Field;
use crate::domain::pass::PassStatus;
use crate::domain::shown::shown;
use crate::wallet::apple::pass_json::placed;
use crate::wallet::design::AppleStyle;
use crate::wallet::preview::canvas::{Align, Canvas, Label, rounded};
use crate::wallet::preview::{Scene, codes, letters};

pub const WIDTH: f64 = 375.0;
const MARGIN: f64 = 15.0;
const HEIGHT_MIN: f64 = 490.0;
const HEADER: f64 = 62.0;
const LABEL: f64 = 11.0;

/// One field as it is drawn.
pub struct Cell {
    pub label: String,
    pub value: String,
}

/// The fields of an area, as the reader sees them; at most so many are drawn.
pub fn cells(scene: Scene<'_>, is_poster: bool, area: &str, max: usize) -> Vec<Cell> {
    let cell = |field: &Field| Cell {
        label: field.label.as_ref().map(|label| scene.text(label).to_owned()).unwrap_or_default(),
        value: shown(&field.value, scene.locale),
    };
    let fields = placed(scene.content, is_poster).into_iter().filter(|(name, _)| *name == area);
    fields.take(max).map(|(_, field)| cell(field)).collect()
}

pub fn draw(scene: Scene<'_>) -> Canvas {
    let style = scene.design.apple.style;
    let code = scene.content.barcodes.first();
    let mut front = Front {
        canvas: Canvas::new(WIDTH, 2_000.0),
        scene,
        foreground: scene.content.colors.foreground.to_string(),
        label: scene.content.colors.label.to_string(),
        y: HEADER,
    };
    front.canvas.rect(0.0, 0.0, WIDTH, 2_000.0, 0.0, &scene.content.colors.background.to_string());
    front.header();
    match style {
        AppleStyle::StoreCard | AppleStyle::Coupon => front.over_strip(144.0),
        AppleStyle::EventTicket if scene.image("strip").is_some() => front.over_strip(98.0),
        AppleStyle::EventTicket | AppleStyle::Generic => front.beside_thumbnail(),
        AppleStyle::BoardingPass => front.journey(),
    }
    match style {
        AppleStyle::StoreCard | AppleStyle::Coupon => {
            let mut together = cells(scene, false, "secondaryFields", 4);
            together.extend(cells(scene, false, "auxiliaryFields", 4));
            together.truncate(4);
            front.row(&together);
        }
        AppleStyle::BoardingPass => {
            front.row(&cells(scene, false, "auxiliaryFields", 5));
            front.row(&cells(scene, false, "secondaryFields", 4));
        }
        AppleStyle::EventTicket | AppleStyle::Generic => {
            front.row(&cells(scene, false, "secondaryFields", 4));
            front.row(&cells(scene, false, "auxiliaryFields", 4));
        }
    }
    let below = code.map_or(0.0, |code| codes::height(code) + 20.0);
    let height = (front.y + below + 20.0).max(HEIGHT_MIN);
    if let Some(code) = code {
        codes::draw(&mut front.canvas, code, WIDTH / 2.0, height - codes::height(code) - 20.0);
    }
    if scene.content.status != PassStatus::Active {
        front.canvas.rect(0.0, 0.0, WIDTH, height, 0.0, "rgba(255,255,255,0.55)");
    }
    front.canvas.clip(&outline(style, height));
    resized(front.canvas, height)
}

/// The drawing, as high as it turned out to be.
pub fn resized(canvas: Canvas, height: f64) -> Canvas {
    let mut whole = Canvas::new(canvas.width(), height);
    whole.nest(canvas, 0.0, 0.0);
    whole
}

/// Coupons are torn off a sheet, tickets have a notch, the others have round corners.
fn outline(style: AppleStyle, height: f64) -> String {
    match style {
        AppleStyle::Coupon => {
            let (count, depth) = (25, 4.0);
            let step = WIDTH / f64::from(count);
            let mut path = format!("M0 {depth}");
            for _ in 0..count {
                path.push_str(&format!("a{0:.3} {0:.3} 0 0 0 {step:.3} 0", step / 2.0));
            }
            path.push_str(&format!("V{:.1}", height - depth));
            for _ in 0..count {
                path.push_str(&format!("a{0:.3} {0:.3} 0 0 0 -{step:.3} 0", step / 2.0));
            }
            path + "Z"
        }
        AppleStyle::EventTicket => {
            let (radius, notch, middle) = (12.0, 15.0, WIDTH / 2.0);
            let round = rounded(WIDTH, height, radius);
            let cut = format!("M{radius} 0H{}A{notch} {notch} 0 0 0 {} 0H", middle - notch, middle + notch);
            round.replacen(&format!("M{radius} 0H"), &cut, 1)
        }
        AppleStyle::BoardingPass | AppleStyle::Generic | AppleStyle::StoreCard => rounded(WIDTH, height, 12.0),
    }
}

struct Front<'a> {
    canvas: Canvas,
    scene: Scene<'a>,
    foreground: String,
    label: String,
    /// Where the next row begins.
    y: f64,
}

impl Front<'_> {
    fn header(&mut self) {
        let mut x = MARGIN;
        let fields = cells(self.scene, false, "headerFields", 3);
        let fields_width: f64 = fields.iter().map(|cell| cell_width(cell, 17.0).min(150.0) + 14.0).sum();
        let room = WIDTH - 2.0 * MARGIN - fields_width;
        if let Some(logo) = self.scene.image("logo") {
            let width = logo_width(&self.scene, "logo", 38.0).min(160.0).min(room);
            self.canvas.fit(&logo, x, 12.0, width, 38.0);
            x += width + 9.0;
        }
        if let Some(text) = &self.scene.content.logo_text {
            let text = self.scene.text(text).to_owned();
            let room = (MARGIN + room - x).max(0.0);
            self.canvas.text(Label {
                x,
                y: 37.0,
                size: 17.0,
                is_bold: true,
                color: &self.foreground,
                room,
                ..Label::new(&text)
            });
        }
        let mut right = WIDTH - MARGIN;
        for cell in fields.iter().rev() {
            self.cell(cell, right, 26.0, 17.0, Align::Right, 150.0);
            right -= cell_width(cell, 17.0).min(150.0) + 14.0;
        }
    }

    /// Label above, value below, its label's base line at `y`.
    fn cell(&mut self, cell: &Cell, x: f64, y: f64, size: f64, align: Align, room: f64) {
        let label =
            Label { x, y, size: LABEL, is_bold: true, color: &self.label, align, room, ..Label::new(&cell.label) };
        self.canvas.text(label);
        let value =
            Label { x, y: y + size + 3.0, size, color: &self.foreground, align, room, ..Label::new(&cell.value) };
        self.canvas.text(value);
    }

    fn over_strip(&mut self, height: f64) {
        if let Some(strip) = self.scene.image("strip") {
            self.canvas.cover(&strip, 0.0, self.y, WIDTH, height);
            self.canvas.veil(0.0, self.y, WIDTH, height, "#000000", (0.0, 0.25));
        }
        if let Some(cell) = cells(self.scene, false, "primaryFields", 1).into_iter().next() {
            let (size, middle, room) = (44.0, self.y + height / 2.0, WIDTH - 2.0 * MARGIN);
            let color = self.foreground.clone();
            let value = Label { x: MARGIN, y: middle + 12.0, size, color: &color, room, ..Label::new(&cell.value) };
            self.canvas.text(value);
            let label = Label {
                x: MARGIN,
                y: middle + 34.0,
                size: 13.0,
                is_bold: true,
                color: &color,
                room,
                ..Label::new(&cell.label)
            };
            self.canvas.text(label);
        }
        self.y += height + 24.0;
    }

    fn beside_thumbnail(&mut self) {
        let mut room = WIDTH - 2.0 * MARGIN;
        if let Some(thumbnail) = self.scene.image("thumbnail") {
            self.canvas.fit(&thumbnail, WIDTH - MARGIN - 90.0, self.y, 90.0, 90.0);
            room -= 104.0;
        }
        if let Some(cell) = cells(self.scene, false, "primaryFields", 1).into_iter().next() {
            self.cell(&cell, MARGIN, self.y + 20.0, 28.0, Align::Left, room);
        }
        self.y += 108.0;
    }

    fn journey(&mut self) {
        let ends = cells(self.scene, false, "primaryFields", 2);
        let room = (WIDTH - 2.0 * MARGIN) / 2.0 - 30.0;
        for (cell, (x, align)) in ends.iter().zip([(MARGIN, Align::Left), (WIDTH - MARGIN, Align::Right)]) {
            self.cell(cell, x, self.y + 20.0, 40.0, align, room);
        }
        let (x, y) = (WIDTH / 2.0, self.y + 46.0);
        let arrow = format!("M{} {}h20v-6l12 9-12 9v-6h-20z", x - 16.0, y - 3.0);
        self.canvas.path(&arrow, &self.label);
        self.y += 96.0;
    }

    /// Fields next to each other: the first at the left edge, the last at the right.
    fn row(&mut self, cells: &[Cell]) {
        if cells.is_empty() {
            return;
        }
        let gaps = cells.len().saturating_sub(1) as f64;
        let whole = WIDTH - 2.0 * MARGIN - 12.0 * gaps;
        let natural: Vec<f64> = cells.iter().map(|cell| cell_width(cell, 17.0)).collect();
        let sum: f64 = natural.iter().sum();
        let scale = (whole / sum.max(1.0)).min(1.0);
        let spare = if gaps > 0.0 { (whole - sum * scale) / gaps } else { 0.0 };
        let (mut x, y, last) = (MARGIN, self.y, cells.len() - 1);
        for (index, (cell, natural)) in cells.iter().zip(&natural).enumerate() {
            let width = natural * scale;
            if index == last && index > 0 {
                self.cell(cell, WIDTH - MARGIN, y, 17.0, Align::Right, width + 1.0);
            } else {
                self.cell(cell, x, y, 17.0, Align::Left, if last == 0 { whole } else { width + 1.0 });
            }
            x += width + 12.0 + spare;
        }
        self.y += 50.0;
    }
}

fn cell_width(cell: &Cell, size: f64) -> f64 {
    letters::width(&cell.label, LABEL, true).max(letters::width(&cell.value, size, false))
}

/// How wide an image is at this height.
pub fn logo_width(scene: &Scene<'_>, kind: &str, height: f64) -> f64 {
    let images = &scene.design.images;
    let names = ["@2x", "@3x", ""].map(|scale| format!("{kind}{scale}.png"));
    let content = names.iter().find_map(|name| images.get(name));
    let size = content.and_then(|content| {
        image::ImageReader::with_format(std::io::Cursor::new(content), image::ImageFormat::Png).into_dimensions().ok()
    });
    size.map_or(height, |(wide, high)| height * f64::from(wide) / f64::from(high.max(1)))
}
