//! The back of a pass: what is behind the details button, as a list.

use crate::domain::shown::shown;
use crate::wallet::apple::pass_json::{address, placed};
use crate::wallet::preview::canvas::{Canvas, Label, rounded};
use crate::wallet::preview::{Scene, front, letters};

const WIDTH: f64 = front::WIDTH;
const MARGIN: f64 = 16.0;
const INSET: f64 = 14.0;
const ROOM: f64 = WIDTH - 2.0 * MARGIN - 2.0 * INSET;

pub fn draw(scene: Scene<'_>) -> Canvas {
    let content = scene.content;
    let hidden =
        placed(content, false).into_iter().filter(|(area, _)| matches!(*area, "backFields" | "additionalInfoFields"));
    let mut rows: Vec<(String, String, &str)> = hidden
        .map(|(_, field)| {
            let label = field.label.as_ref().map(|label| scene.text(label).to_owned()).unwrap_or_default();
            (label, shown(&field.value, scene.locale), "#1c1c1e")
        })
        .collect();
    rows.extend(
        content.links.iter().map(|link| (scene.text(&link.label).to_owned(), address(&link.uri).to_owned(), "#0a60d0")),
    );

    let wrapped: Vec<_> =
        rows.iter().map(|(label, value, color)| (label, letters::wrap(value, 15.0, ROOM, 40), *color)).collect();
    let list: f64 = wrapped.iter().map(|(_, lines, _)| 36.0 + 20.0 * lines.len() as f64).sum();
    let height = 64.0 + list + 24.0;
    let mut canvas = Canvas::new(WIDTH, height);
    canvas.rect(0.0, 0.0, WIDTH, height, 0.0, "#f2f2f7");
    let title = Label {
        x: MARGIN,
        y: 40.0,
        size: 20.0,
        is_bold: true,
        color: "#1c1c1e",
        room: WIDTH - 2.0 * MARGIN,
        ..Label::new(scene.text(&content.organization))
    };
    canvas.text(title);
    canvas.rect(MARGIN, 56.0, WIDTH - 2.0 * MARGIN, list, 12.0, "#ffffff");
    let mut y = 56.0;
    for (index, (label, lines, color)) in wrapped.iter().enumerate() {
        if index > 0 {
            canvas.rect(MARGIN + INSET, y, WIDTH - 2.0 * MARGIN - INSET, 0.7, 0.0, "#dcdce2");
        }
        let x = MARGIN + INSET;
        canvas.text(Label { x, y: y + 22.0, size: 12.0, color: "#75757d", room: ROOM, ..Label::new(label) });
        for (line, text) in lines.iter().enumerate() {
            canvas.text(Label {
                x,
                y: y + 42.0 + 20.0 * line as f64,
                size: 15.0,
                color,
                room: ROOM,
                ..Label::new(text)
            });
        }
        y += 36.0 + 20.0 * lines.len() as f64;
    }
    canvas.clip(&rounded(WIDTH, height, 12.0));
    canvas
}
