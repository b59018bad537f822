//! The front of a card as HTML shows it, read from the published `pass.json`.

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::content::{Moment, MomentStyle};
use crate::domain::locale::Locale;
use crate::domain::shown;
use crate::wallet::apple::rules::classic_style;
use crate::wallet::dictionary::read_moment;

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

/// What a phone makes of a field's value and its formats.
fn value(field: &Value, translate: &impl Fn(&str) -> String, locale: Locale) -> String {
    let format = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
    match field.get("value") {
        Some(Value::Number(number)) => {
            let Ok(number) = number.to_string().parse::<Decimal>() else { return number.to_string() };
            match (Currency::from_code(format("currencyCode")), format("numberStyle")) {
                (Some(currency), _) => shown::money(number, currency, locale),
                (None, "PKNumberStylePercent") => shown::percent(number, locale),
                _ => shown::number(number, locale),
            }
        }
        Some(Value::String(text)) => {
            let at = read_moment(text).filter(|_| !format("dateStyle").is_empty() || !format("timeStyle").is_empty());
            let Some(at) = at else { return translate(text) };
            let (date, time) = (style(format("dateStyle")), style(format("timeStyle")));
            shown::moment(&Moment { at, date, time, in_own_zone: true, is_relative: false }, locale)
        }
        _ => String::new(),
    }
}

/// `PKDateStyleMedium` as ours.
fn style(name: &str) -> MomentStyle {
    name.trim_start_matches("PKDateStyle").to_ascii_lowercase().parse().unwrap_or(MomentStyle::None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_as_a_phone_would_show_them() {
        let cases = [
            (json!({ "value": 1240, "numberStyle": "PKNumberStyleDecimal" }), "1.240"),
            (json!({ "value": 12.5, "currencyCode": "BRL" }), "R$\u{a0}12,50"),
            (json!({ "value": 0.2, "numberStyle": "PKNumberStylePercent" }), "20%"),
            (
                json!({ "value": "2026-12-24T19:30:00-03:00", "dateStyle": "PKDateStyleShort", "timeStyle": "PKDateStyleShort" }),
                "24/12/2026 19:30",
            ),
            (json!({ "value": "2026-12-24T19:30:00-03:00" }), "2026-12-24T19:30:00-03:00"),
            (json!({ "value": "Ouro" }), "OURO"),
            (json!({}), ""),
        ];
        for (field, wanted) in cases {
            assert_eq!(value(&field, &|text| text.replace("Ouro", "OURO"), Locale::PtBr), wanted, "{field}");
        }
    }
}
