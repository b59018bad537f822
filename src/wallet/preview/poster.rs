//! A pass as a poster: event tickets since iOS 18, generic ones since iOS 27.

use crate::domain::content::{Content, MomentStyle};
use crate::domain::shown;
use crate::wallet::preview::canvas::{Align, Canvas, Label, rounded};
use crate::wallet::preview::front::{self, Cell, cells};
use crate::wallet::preview::{Scene, codes};

const WIDTH: f64 = 358.0;
const ART: f64 = 448.0;
const MARGIN: f64 = 16.0;
const WHITE: &str = "#ffffff";
const DIM: &str = "#e3e3ea";

pub fn draw(scene: Scene<'_>) -> Canvas {
    let code = scene.content.barcodes.first().filter(|_| scene.content.event.is_none());
    let height = ART + code.map_or(64.0, |code| codes::height(code) + 28.0);
    let mut canvas = Canvas::new(WIDTH, height);
    canvas.rect(0.0, 0.0, WIDTH, height, 0.0, &scene.content.colors.background.to_string());
    if let Some(artwork) = scene.image("artwork").or_else(|| scene.image("background")) {
        canvas.cover(&artwork, 0.0, 0.0, WIDTH, ART);
    }
    canvas.veil(0.0, 0.0, WIDTH, 96.0, "#000000", (0.45, 0.0));
    canvas.veil(0.0, ART - 190.0, WIDTH, 190.0, "#000000", (0.0, 0.72));
    header(&mut canvas, scene);
    if let Some(event) = &scene.content.event {
        let name = scene.text(&event.name).to_owned();
        let line = |y, size, is_bold, color, text| Label {
            x: MARGIN,
            y,
            size,
            is_bold,
            color,
            room: WIDTH - 2.0 * MARGIN,
            ..Label::new(text)
        };
        canvas.text(line(ART - 92.0, 26.0, true, WHITE, &name));
        let venue =
            [&event.venue.name, &event.venue.region].into_iter().flatten().cloned().collect::<Vec<_>>().join(" · ");
        canvas.text(line(ART - 68.0, 15.0, false, DIM, &venue));
        row(&mut canvas, &seats(scene.content), ART - 36.0);
    } else {
        let primary = cells(scene, true, "primaryFields", 4);
        let (first, rest) = primary.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        if let Some(first) = first {
            let value = Label {
                x: MARGIN,
                y: ART - 70.0,
                size: 26.0,
                is_bold: true,
                color: WHITE,
                room: WIDTH - 2.0 * MARGIN,
                ..Label::new(&first.value)
            };
            canvas.text(value);
        }
        row(&mut canvas, rest, ART - 36.0);
    }
    let footer = cells(scene, true, "footerFields", 1);
    if let Some(code) = code {
        codes::draw(&mut canvas, code, WIDTH / 2.0, ART + 14.0);
    } else {
        let begins = scene.content.event.as_ref().and_then(|event| event.starts_at).map(|at| {
            let moment = crate::domain::content::Moment {
                at,
                date: MomentStyle::Full,
                time: MomentStyle::Short,
                in_own_zone: true,
                is_relative: false,
            };
            shown::moment(&moment, scene.locale)
        });
        let text = begins.or_else(|| footer.into_iter().next().map(|cell| cell.value)).unwrap_or_default();
        let color = scene.content.colors.foreground.to_string();
        let label = Label {
            x: WIDTH / 2.0,
            y: ART + 38.0,
            size: 15.0,
            is_bold: true,
            color: &color,
            align: Align::Middle,
            room: WIDTH - 2.0 * MARGIN,
            ..Label::new(&text)
        };
        canvas.text(label);
    }
    canvas.clip(&rounded(WIDTH, height, 22.0));
    canvas
}

fn header(canvas: &mut Canvas, scene: Scene<'_>) {
    let kind = if scene.image("primaryLogo").is_some() { "primaryLogo" } else { "logo" };
    let mut x = MARGIN;
    if let Some(logo) = scene.image(kind) {
        let width = front::logo_width(&scene, kind, 30.0).min(126.0);
        canvas.fit(&logo, x, 16.0, width, 30.0);
        x += width + 8.0;
    }
    // A poster of an event takes its own text beside the logo, and not the classic one.
    if let Some(text) = scene.content.logo_text.as_ref().filter(|_| scene.content.event.is_none()) {
        let label =
            Label { x, y: 37.0, size: 16.0, is_bold: true, color: WHITE, room: 170.0, ..Label::new(scene.text(text)) };
        canvas.text(label);
    }
    let field = cells(scene, scene.design.apple.is_poster, "headerFields", 1).into_iter().next();
    if let Some(Cell { label, value }) = field {
        let x = WIDTH - MARGIN;
        canvas.text(Label {
            x,
            y: 26.0,
            size: 11.0,
            is_bold: true,
            color: DIM,
            align: Align::Right,
            room: 130.0,
            ..Label::new(&label)
        });
        canvas.text(Label {
            x,
            y: 44.0,
            size: 16.0,
            color: WHITE,
            align: Align::Right,
            room: 130.0,
            ..Label::new(&value)
        });
    }
}

fn seats(content: &Content) -> Vec<Cell> {
    let Some(event) = &content.event else { return Vec::new() };
    let parts = [&event.ticket_type, &event.seat.section, &event.seat.row, &event.seat.number, &event.seat.gate];
    parts.into_iter().flatten().map(|part| Cell { label: String::new(), value: part.clone() }).collect()
}

fn row(canvas: &mut Canvas, cells: &[Cell], y: f64) {
    let count = cells.len().clamp(1, 4);
    let room = (WIDTH - 2.0 * MARGIN) / count as f64;
    for (index, cell) in cells.iter().take(count).enumerate() {
        let x = MARGIN + room * index as f64;
        canvas.text(Label { x, y, size: 10.0, is_bold: true, color: DIM, room: room - 8.0, ..Label::new(&cell.label) });
        canvas.text(Label { x, y: y + 17.0, size: 15.0, color: WHITE, room: room - 8.0, ..Label::new(&cell.value) });
    }
}
