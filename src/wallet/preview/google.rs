//! The card in Google Wallet.

use crate::domain::color::Color;
use crate::domain::content::{Field, FieldRole, GoogleArea, Moment, MomentStyle};
use crate::domain::pass::PassKind;
use crate::domain::shown::{moment, shown};
use crate::wallet::google::field_in;
use crate::wallet::preview::canvas::{Align, Canvas, Label, rounded};
use crate::wallet::preview::front::{Cell, resized};
use crate::wallet::preview::{Scene, codes, letters};

const WIDTH: f64 = 364.0;
const MARGIN: f64 = 20.0;
const ROOM: f64 = WIDTH - 2.0 * MARGIN;

pub fn draw(scene: Scene<'_>) -> Canvas {
    let content = scene.content;
    let background = content.colors.background;
    let ink = readable_on(background);
    let mut canvas = Canvas::new(WIDTH, 2_000.0);
    canvas.rect(0.0, 0.0, WIDTH, 2_000.0, 0.0, &background.to_string());
    head(&mut canvas, scene, ink);
    let mut y = 84.0;
    // The label of the heading stands above it.
    let heading = scene.content.field(FieldRole::Heading).filter(|_| content.kind == PassKind::Generic);
    if let Some(label) = heading.and_then(|field| field.label.as_ref()) {
        canvas.text(Label {
            x: MARGIN,
            y: y + 12.0,
            size: 13.0,
            color: ink,
            room: ROOM,
            ..Label::new(scene.text(label))
        });
        y += 20.0;
    }
    for line in letters::wrap(&title(scene), 22.0, ROOM, 2) {
        canvas.text(Label { x: MARGIN, y: y + 22.0, size: 22.0, color: ink, room: ROOM, ..Label::new(&line) });
        y += 28.0;
    }
    y += 14.0;
    for row in rows(scene) {
        for (index, cell) in row.iter().enumerate() {
            let (x, align) = if index == 0 { (MARGIN, Align::Left) } else { (WIDTH - MARGIN, Align::Right) };
            let room = ROOM / row.len() as f64 - 8.0;
            canvas.text(Label { x, y: y + 12.0, size: 12.0, color: ink, align, room, ..Label::new(&cell.label) });
            canvas.text(Label {
                x,
                y: y + 32.0,
                size: 17.0,
                is_bold: true,
                color: ink,
                align,
                room,
                ..Label::new(&cell.value)
            });
        }
        y += 52.0;
    }
    if let Some(code) = content.barcodes.first() {
        y += 10.0;
        codes::draw(&mut canvas, code, WIDTH / 2.0, y);
        y += codes::height(code) + 22.0;
    }
    if let Some(hero) = ["googleHero", "strip", "artwork", "background"].iter().find_map(|kind| scene.image(kind)) {
        canvas.cover(&hero, 0.0, y, WIDTH, WIDTH / 3.0);
        y += WIDTH / 3.0;
    }
    canvas.clip(&rounded(WIDTH, y, 24.0));
    resized(canvas, y)
}

/// Google chooses white or black by the colour behind.
fn readable_on(background: Color) -> &'static str {
    let white = Color { red: 255, green: 255, blue: 255 };
    if background.contrast(white) >= 3.0 { "#ffffff" } else { "#1f1f1f" }
}

fn head(canvas: &mut Canvas, scene: Scene<'_>, ink: &str) {
    if let Some(logo) = scene.image("googleLogo").or_else(|| scene.image("logo")) {
        let mut circle = Canvas::new(40.0, 40.0);
        circle.rect(0.0, 0.0, 40.0, 40.0, 0.0, "rgba(255,255,255,0.14)");
        circle.cover(&logo, 0.0, 0.0, 40.0, 40.0);
        circle.clip(&rounded(40.0, 40.0, 20.0));
        canvas.nest(circle, MARGIN, 20.0);
    }
    let label =
        Label { x: MARGIN + 52.0, y: 45.0, size: 15.0, color: ink, room: ROOM - 52.0, ..Label::new(head_text(scene)) };
    canvas.text(label);
    canvas.rect(0.0, 76.0, WIDTH, 0.8, 0.0, "rgba(255,255,255,0.28)");
}

/// Who issues it; of a generic pass, what it is (`cardTitle`).
fn head_text(scene: Scene<'_>) -> &str {
    let content = scene.content;
    scene.text(if content.kind == PassKind::Generic { &content.program_name } else { &content.organization })
}

fn title(scene: Scene<'_>) -> String {
    let content = scene.content;
    match content.kind {
        PassKind::Loyalty => scene.text(&content.program_name).to_owned(),
        PassKind::Coupon => {
            content.offer.as_ref().map_or_else(String::new, |offer| scene.text(&offer.title).to_owned())
        }
        PassKind::Event => content.event.as_ref().map_or_else(String::new, |event| scene.text(&event.name).to_owned()),
        PassKind::Generic => {
            let heading = content.field(FieldRole::Heading).map(|field| shown(&field.value, scene.locale));
            heading.unwrap_or_else(|| scene.text(&content.description).to_owned())
        }
    }
}

/// What Google's own layout of each kind shows on the card, two to a row.
fn rows(scene: Scene<'_>) -> Vec<Vec<Cell>> {
    let content = scene.content;
    let mut cells = Vec::new();
    let on_card: Vec<_> = content.fields.iter().filter(|field| field.google_area == Some(GoogleArea::Card)).collect();
    if !on_card.is_empty() {
        let cell = |field: &Field| {
            let label = field.label.as_ref().map(|label| scene.text(label).to_owned()).unwrap_or_default();
            Cell { label, value: shown(&field.value, scene.locale) }
        };
        return on_card.chunks(3).map(|row| row.iter().map(|field| cell(field)).collect()).collect();
    }
    match content.kind {
        PassKind::Loyalty => {
            let points = [GoogleArea::Points, GoogleArea::SecondaryPoints].map(|area| field_in(content, area));
            for field in points.into_iter().flatten().chain(content.field(FieldRole::Tier)) {
                let label = field.label.as_ref().map(|label| scene.text(label).to_owned()).unwrap_or_default();
                cells.push(Cell { label, value: shown(&field.value, scene.locale) });
            }
        }
        PassKind::Event => {
            if let Some(event) = &content.event {
                let when = event.starts_at.map(|at| {
                    moment(
                        &Moment {
                            at,
                            date: MomentStyle::Medium,
                            time: MomentStyle::Short,
                            in_own_zone: true,
                            is_relative: false,
                        },
                        scene.locale,
                    )
                });
                let parts = [
                    when,
                    event.venue.name.clone(),
                    event.seat.section.clone(),
                    event.seat.row.clone(),
                    event.seat.number.clone(),
                ];
                cells.extend(parts.into_iter().flatten().map(|value| Cell { label: String::new(), value }));
            }
        }
        // A generic pass has nothing on its card but its header, unless its class says otherwise.
        PassKind::Generic => {}
        PassKind::Coupon => {
            if let Some(field) = content.field(FieldRole::Expiry) {
                let label = field.label.as_ref().map(|label| scene.text(label).to_owned()).unwrap_or_default();
                cells.push(Cell { label, value: shown(&field.value, scene.locale) });
            }
        }
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for cell in cells {
        match rows.last_mut() {
            Some(row) if row.len() < 2 => row.push(cell),
            _ => rows.push(vec![cell]),
        }
    }
    rows
}
