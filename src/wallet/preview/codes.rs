//! Barcodes as bars and squares.

use barcoders::sym::{codabar::Codabar, code39::Code39, code128::Code128, ean13::EAN13, tf::TF};
use qrcode::{Color, EcLevel, QrCode};

use crate::domain::barcode::Symbology;
use crate::domain::content::Barcode;
use crate::wallet::preview::canvas::{Align, Canvas, Label};

const INK: &str = "#000000";
const PAPER: &str = "#ffffff";

/// Height of the panel that the code stands on.
pub fn height(code: &Barcode) -> f64 {
    let text = if code.alt_text.is_some() { 20.0 } else { 0.0 };
    text + if code.symbology.is_square() { 160.0 } else { 96.0 }
}

pub fn width(code: &Barcode) -> f64 {
    if code.symbology.is_square() { 160.0 } else { 296.0 }
}

/// The code on white, and its text below, centred at `middle`.
pub fn draw(canvas: &mut Canvas, code: &Barcode, middle: f64, y: f64) {
    let (width, height) = (width(code), height(code));
    let x = middle - width / 2.0;
    canvas.rect(x, y, width, height, 6.0, PAPER);
    if let Some(text) = &code.alt_text {
        let label = Label {
            x: middle,
            y: y + height - 9.0,
            size: 12.0,
            color: "#333333",
            align: Align::Middle,
            room: width - 16.0,
            ..Label::new(text)
        };
        canvas.text(label);
    }
    if code.symbology.is_square() {
        square(canvas, code, x + 12.0, y + 12.0, 136.0);
    } else {
        bars(canvas, code, x + 16.0, y + 12.0, width - 32.0, 72.0);
    }
}

fn square(canvas: &mut Canvas, code: &Barcode, x: f64, y: f64, side: f64) {
    let drawn =
        QrCode::with_error_correction_level(&code.message, EcLevel::M).ok().filter(|_| code.symbology == Symbology::Qr);
    let Some(drawn) = drawn else { return place(canvas, code, x, y, side, side) };
    let count = drawn.width();
    let module = side / count as f64;
    let mut path = String::new();
    for (index, color) in drawn.into_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (column, row) = ((index % count) as f64, (index / count) as f64);
            path.push_str(&format!(
                "M{:.2} {:.2}h{module:.2}v{module:.2}h-{module:.2}z",
                x + column * module,
                y + row * module
            ));
        }
    }
    canvas.path(&path, INK);
}

fn bars(canvas: &mut Canvas, code: &Barcode, x: f64, y: f64, width: f64, height: f64) {
    // The library wants the subset of Code 128 named first: B, letters and digits.
    let modules = match code.symbology {
        Symbology::Code128 => Code128::new(format!("Ɓ{}", code.message)).ok().map(|code| code.encode()),
        Symbology::Code39 => Code39::new(&code.message).ok().map(|code| code.encode()),
        Symbology::Codabar => Codabar::new(&code.message).ok().map(|code| code.encode()),
        // The library computes the thirteenth digit by itself.
        Symbology::Ean13 => code.message.get(..12).and_then(|digits| EAN13::new(digits).ok()).map(|code| code.encode()),
        Symbology::I2of5 => TF::interleaved(&code.message).ok().map(|code| code.encode()),
        Symbology::Qr | Symbology::Pdf417 | Symbology::Aztec => None,
    };
    let Some(modules) = modules.filter(|modules| !modules.is_empty()) else {
        return place(canvas, code, x, y, width, height);
    };
    let module = width / modules.len() as f64;
    let dark = modules.iter().enumerate().filter(|(_, module)| **module == 1);
    let path: String = dark
        .map(|(index, _)| format!("M{:.2} {y:.1}h{module:.2}v{height:.1}h-{module:.2}z", x + index as f64 * module))
        .collect();
    canvas.path(&path, INK);
}

/// The place of a code that these pictures do not draw.
fn place(canvas: &mut Canvas, code: &Barcode, x: f64, y: f64, width: f64, height: f64) {
    canvas.rect(x, y, width, height, 4.0, "#ececf1");
    let name = code.symbology.as_str().to_uppercase();
    let label = Label {
        x: x + width / 2.0,
        y: y + height / 2.0 + 5.0,
        size: 15.0,
        is_bold: true,
        color: "#8a8a93",
        align: Align::Middle,
        ..Label::new(&name)
    };
    canvas.text(label);
}
