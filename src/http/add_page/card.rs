//! The front of a card as HTML shows it, read from the published `pass.json`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::locale::Locale;
use crate::wallet::apple::field_text::value;
use crate::wallet::apple::rules::classic_style;

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
    let image = |name: &str| {
        let local = format!("{locale}/{name}");
        let found = images.iter().find(|known| **known == local || *known == name);
        found.map(|path| format!("{base}{path}")).unwrap_or_default()
    };
    let style = classic_style(pass).map(|(_, style)| style);
    let fields = |area: &str| -> Vec<Shown> {
        let list = style.and_then(|style| style.get(area)).and_then(Value::as_array);
        let field = |field: &Value| Shown {
            label: translate(field.get("label").and_then(Value::as_str).unwrap_or_default()),
            value: value(field, &translate, locale),
        };
        list.into_iter().flatten().map(field).collect()
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
