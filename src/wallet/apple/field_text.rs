//! A field of a `pass.json` as text.

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::domain::content::{Moment, MomentStyle};
use crate::domain::locale::Locale;
use crate::domain::shown;
use crate::wallet::dictionary::read_moment;

/// What a phone makes of a field's value and its formats, for a reader of `locale`; texts are looked up by `translate`.
pub fn value(field: &Value, translate: &impl Fn(&str) -> String, locale: Locale) -> String {
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
