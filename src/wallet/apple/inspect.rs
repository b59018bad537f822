//! Draws a card as text, for a terminal.

use serde_json::{Map, Value};

use crate::domain::text::is_control;
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
    for (label, value) in fields(pass, "backFields") {
        lines.push(format!("  {label}: {value}"));
    }
    for key in ["passTypeIdentifier", "teamIdentifier", "serialNumber", "webServiceURL", "expirationDate", "voided"] {
        if let Some(value) = pass.get(key) {
            lines.push(format!("  {key}: {}", plain(value)));
        }
    }
    if let Some(signer) = report.signer() {
        let end = moment(signer.not_after()).map(|end| end.format("%Y-%m-%d").to_string()).unwrap_or_default();
        lines.push(format!("  signed by: {} (until {end})", safe(&readable(signer.subject_name()))));
    }
    for (name, content) in &report.files {
        lines.push(format!("  {:>8} bytes  {}", content.len(), safe(name)));
    }
    lines.join("\n")
}

fn style(pass: &Map<String, Value>) -> Option<&Value> {
    ["storeCard", "coupon", "eventTicket", "generic", "boardingPass"].iter().find_map(|style| pass.get(*style))
}

fn fields<'a>(pass: &'a Map<String, Value>, area: &str) -> impl Iterator<Item = (String, String)> + 'a {
    let list = style(pass).and_then(|style| style.get(area)).and_then(Value::as_array);
    list.into_iter().flatten().map(|field| {
        let part = |key| field.get(key).map(plain).unwrap_or_default();
        (part("label"), part("value"))
    })
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).map(plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => safe(text),
        other => other.to_string(),
    }
}

fn safe(text: &str) -> String {
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
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}
