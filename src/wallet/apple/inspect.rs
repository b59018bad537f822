//! Draws a card as text, for a terminal.

use serde_json::{Map, Value};

use crate::domain::locale::Locale;
use crate::domain::text::is_control;
use crate::wallet::apple::dictionary::{EVENT_LINKS, STYLES};
use crate::wallet::apple::field_text::value;
use crate::wallet::apple::rules::classic_style;
use crate::wallet::apple::signer::{moment, readable};
use crate::wallet::apple::verify::Report;

const WIDTH: usize = 46;

/// The card's face, its back, and who signed it. Nothing in it can steer the terminal.
pub fn draw(report: &Report) -> String {
    let pass = &report.pass;
    let mut lines = vec![rule('┌', '┐')];
    let header = fields(pass, "headerFields").map(|(label, value)| format!("{label} {value}")).collect::<Vec<_>>();
    lines.push(row(
        &text(pass, "logoText").or_else(|| text(pass, "organizationName")).unwrap_or_default(),
        &header.join("  "),
    ));
    for area in ["primaryFields", "secondaryFields", "auxiliaryFields"] {
        let (labels, values): (Vec<_>, Vec<_>) = fields(pass, area).unzip();
        if !values.is_empty() {
            lines.push(row("", ""));
            lines.push(columns(&labels));
            lines.push(columns(&values));
        }
    }
    lines.push(row("", ""));
    let barcode = pass.get("barcodes").and_then(|codes| codes.get(0)).or_else(|| pass.get("barcode"));
    if let Some(code) = barcode.and_then(Value::as_object) {
        let format = text(code, "format").unwrap_or_default();
        lines.push(row(format.trim_start_matches("PKBarcodeFormat"), &text(code, "altText").unwrap_or_default()));
    }
    lines.push(rule('└', '┘'));
    for area in ["backFields", "additionalInfoFields"] {
        lines.extend(fields(pass, area).map(|(label, value)| format!("  {label}: {value}")));
    }
    lines.extend(about(pass));
    if let Some(signature) = &report.signature {
        let end = moment(signature.signer().not_after()).map(|end| end.format("%Y-%m-%d").to_string());
        let signer = safe(&readable(signature.signer().subject_name()));
        lines.push(format!("  signed by: {signer} (until {})", end.unwrap_or_default()));
        lines.extend(signature.signed_at.map(|at| format!("  signed at: {at}")));
    }
    for (language, strings) in &report.strings {
        lines.push(format!("  language: {} ({} texts)", safe(language), strings.len()));
    }
    for (name, content) in &report.files {
        lines.push(format!("  {:>8} bytes  {}", content.len(), safe(name)));
    }
    lines.join("\n")
}

/// Keys that say who, until when, and where to, in the order in which they are asked after.
const TOLD: &[&str] = &[
    "passTypeIdentifier",
    "teamIdentifier",
    "serialNumber",
    "webServiceURL",
    "expirationDate",
    "voided",
    "relevantDate",
    "groupingIdentifier",
    "sharingProhibited",
    "appLaunchURL",
    "preferredStyleSchemes",
];

/// Dates, places, beacons, links and tags.
fn about(pass: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    let style = STYLES.iter().filter(|style| pass.contains_key(**style)).copied().collect::<Vec<_>>().join(", ");
    lines.push(format!("  style: {style}"));
    lines.extend(TOLD.iter().filter_map(|key| Some(format!("  {key}: {}", plain(pass.get(*key)?)))));
    let list = |key: &str| pass.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    for date in list("relevantDates") {
        let dates = ["date", "relevantDate", "startDate", "endDate"].iter().filter_map(|key| text(date, key));
        let mut dates: Vec<String> = dates.collect();
        dates.dedup();
        lines.push(format!("  relevant: {}", dates.join(" to ")));
    }
    for place in list("locations") {
        let part = |key| text(place, key).unwrap_or_default();
        lines.push(format!("  place: {}, {}  {}", part("latitude"), part("longitude"), part("relevantText")));
    }
    for beacon in list("beacons") {
        let part = |key| text(beacon, key).unwrap_or_default();
        let (major, minor) = (part("major"), part("minor"));
        lines.push(format!("  beacon: {} {major} {minor}  {}", part("proximityUUID"), part("relevantText")));
    }
    for key in EVENT_LINKS.iter().filter_map(|key| Some((key.name, pass.get(key.name)?))) {
        lines.push(format!("  {}: {}", key.0, plain(key.1)));
    }
    if let Some(nfc) = pass.get("nfc").and_then(Value::as_object) {
        lines.push(format!("  nfc: {}", text(nfc, "message").unwrap_or_default()));
    }
    for (tag, value) in pass.get("semantics").and_then(Value::as_object).into_iter().flatten() {
        lines.push(format!("  {}: {}", safe(tag), plain(value)));
    }
    lines
}

fn fields<'a>(pass: &'a Map<String, Value>, area: &str) -> impl Iterator<Item = (String, String)> + 'a {
    let style = classic_style(pass).map(|(_, style)| style);
    let list = style.and_then(|style| style.get(area)).and_then(Value::as_array);
    list.into_iter().flatten().map(|field| {
        let label = field.get("label").map(plain).unwrap_or_default();
        (label, safe(&value(field, &ToOwned::to_owned, Locale::En)))
    })
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).map(plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => safe(text),
        other => safe(&other.to_string()),
    }
}

/// The text without what could steer a terminal.
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect()
}

fn rule(left: char, right: char) -> String {
    format!("{left}{}{right}", "─".repeat(WIDTH))
}

fn row(left: &str, right: &str) -> String {
    let room = WIDTH - 2;
    let right = cut(right, room / 2);
    let left = cut(left, room - right.chars().count());
    let gap = room - left.chars().count() - right.chars().count();
    format!("│ {left}{}{right} │", " ".repeat(gap))
}

fn columns(texts: &[String]) -> String {
    let room = (WIDTH - 2) / texts.len().max(1);
    let cells = texts.iter().map(|text| {
        let text = cut(text, room.saturating_sub(1));
        let gap = room - text.chars().count();
        text + &" ".repeat(gap)
    });
    row(&cells.collect::<String>(), "")
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    // Where there is room for nothing, not for the mark either.
    text.chars().take(room.saturating_sub(1)).chain(['…']).take(room).collect()
}
