//! The front of a card as HTML shows it, read from the published `pass.json`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::locale::Locale;

#[derive(Clone, Serialize)]
pub struct Shown {
    pub label: String,
    pub value: String,
}

/// The card as a picture of HTML.
#[derive(Clone, Default, Serialize)]
pub struct Card {
    pub title: String,
    pub description: String,
    pub background: String,
    pub foreground: String,
    pub label: String,
    pub logo: String,
    pub strip: String,
    pub header: Vec<Shown>,
    pub fields: Vec<Shown>,
}

impl Card {
    /// Leaves the design, and nothing about a person.
    pub fn forget_fields(&mut self) {
        self.header.clear();
        self.fields.clear();
    }
}

/// The front of the published pass.
pub fn draw(
    pass: &Map<String, Value>,
    base: &str,
    images: &[String],
    translate: impl Fn(&str) -> String,
    locale: Locale,
) -> Card {
    let text = |key: &str| pass.get(key).and_then(Value::as_str).unwrap_or_default();
    let image =
        |name: &str| if images.iter().any(|known| known == name) { format!("{base}{name}") } else { String::new() };
    let fields = |area: &str| {
        let list = pass.get("storeCard").and_then(|card| card.get(area)).and_then(Value::as_array);
        let list = list.cloned().unwrap_or_default();
        list.iter()
            .map(|field| Shown {
                label: translate(field.get("label").and_then(Value::as_str).unwrap_or_default()),
                value: match field.get("value") {
                    Some(Value::String(text)) => translate(text),
                    Some(Value::Number(number)) => grouped(&number.to_string(), locale),
                    _ => String::new(),
                },
            })
            .collect::<Vec<_>>()
    };
    let title = if text("logoText").is_empty() { text("organizationName") } else { text("logoText") };
    Card {
        title: translate(title),
        description: translate(text("description")),
        background: text("backgroundColor").to_owned(),
        foreground: text("foregroundColor").to_owned(),
        label: text("labelColor").to_owned(),
        logo: image("logo@2x.png"),
        strip: image("strip@2x.png"),
        header: fields("headerFields"),
        fields: ["primaryFields", "secondaryFields", "auxiliaryFields"].iter().flat_map(|area| fields(area)).collect(),
    }
}

/// `12345` as `12.345` or `12,345`.
fn grouped(number: &str, locale: Locale) -> String {
    let separator = match locale {
        Locale::PtBr | Locale::Es => '.',
        Locale::En => ',',
    };
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_as_the_language_does() {
        assert_eq!(grouped("1234567", Locale::PtBr), "1.234.567");
        assert_eq!(grouped("-1234", Locale::En), "-1,234");
        assert_eq!(grouped("999", Locale::Es), "999");
    }
}
