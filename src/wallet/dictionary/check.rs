//! Values against the dictionary.

use serde_json::{Map, Number, Value};

use super::{Key, Shape};
use crate::wallet::fault::{Consequence, Fault};

/// Every key of `object` that has another shape than the dictionary says, and every required one that is missing. Keys that
/// the dictionary does not know are let through: phones do the same, and real passes carry private ones.
pub fn check(keys: &[Key], object: &Map<String, Value>, path: &str, faults: &mut Vec<Fault>) {
    for key in keys {
        let place = || if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        match object.get(key.name) {
            // An explicit null is as good as nothing.
            None | Some(Value::Null) if key.is_required => {
                faults.push(Fault::refused("key-missing", format!("{} is missing", place())));
            }
            None | Some(Value::Null) => {}
            Some(value) => check_value(&key.shape, value, &place(), key.consequence, faults),
        }
    }
}

fn check_value(shape: &Shape, value: &Value, place: &str, consequence: Consequence, faults: &mut Vec<Fault>) {
    let mut fault =
        |code, reason: String| faults.push(Fault { code, detail: format!("{place} {reason}"), consequence });
    match (shape, value) {
        (Shape::Text | Shape::Localized | Shape::Scalar, Value::String(_))
        | (Shape::Number | Shape::Scalar, Value::Number(_))
        | (Shape::Bool, Value::Bool(_))
        | (Shape::Any, _) => {}
        (Shape::Integer(low, high), Value::Number(number)) => {
            if !number.as_i64().is_some_and(|number| (*low..=*high).contains(&number)) {
                fault("key-value", format!("must be a whole number from {low} to {high}"));
            }
        }
        (Shape::Moment, Value::String(text)) => {
            if let Err(reason) = is_moment(text) {
                fault("date", format!("{reason}: {}", shown(text)));
            }
        }
        (Shape::Color, Value::String(text)) => {
            if !is_color(text) {
                fault("color", format!("must be rgb(r, g, b) with numbers from 0 to 255: {}", shown(text)));
            }
        }
        (Shape::Url, Value::String(text)) => {
            if !is_url(text) {
                fault("url", format!("must be an absolute address: {}", shown(text)));
            }
        }
        (Shape::Word(words), Value::String(text)) => {
            if !words.contains(&text.as_str()) {
                fault("key-value", format!("must be one of {}: {}", words.join(", "), shown(text)));
            }
        }
        (Shape::List(item, max), Value::Array(items)) => {
            if items.len() > *max {
                faults.push(Fault::ignored(
                    "too-many",
                    format!("{place} has {} entries; {max} are looked at", items.len()),
                ));
            }
            for (index, value) in items.iter().enumerate() {
                check_value(item, value, &format!("{place}[{index}]"), consequence, faults);
            }
        }
        (Shape::Object(keys), Value::Object(object)) => {
            // What is required inside spoils no more than what it stands in.
            let before = faults.len();
            check(keys, object, place, faults);
            for inner in faults.iter_mut().skip(before) {
                inner.consequence = inner.consequence.max(consequence);
            }
        }
        // A number in the place of a text makes iOS refuse the whole pass; a text in the place of a number is dropped.
        (shape, Value::Number(_)) if shape.is_written() => {
            let detail = format!("{place} must be {}, not a number", shape.sentence());
            faults.push(Fault::refused("key-type", detail));
        }
        (shape, value) => fault("key-type", format!("must be {}, not {}", shape.sentence(), kind(value))),
    }
}

impl Shape {
    /// Whether it is a string in JSON.
    const fn is_written(&self) -> bool {
        matches!(self, Self::Text | Self::Localized | Self::Moment | Self::Color | Self::Url | Self::Word(_))
    }

    /// What it is, after "must be".
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::Text | Self::Localized | Self::Word(_) => "a string",
            Self::Number => "a number",
            Self::Integer(..) => "a whole number",
            Self::Bool => "true or false",
            Self::Moment => "a date and time in a string",
            Self::Color => "a colour in a string",
            Self::Url => "an address in a string",
            Self::List(..) => "a list",
            Self::Object(_) => "an object",
            Self::Scalar => "a string or a number",
            Self::Any => "anything",
        }
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The start of a text, for a message about it.
fn shown(text: &str) -> String {
    let start: String =
        text.chars().take(60).map(|c| if crate::domain::text::is_control(c) { ' ' } else { c }).collect();
    format!("\"{start}\"")
}

/// What a template's text becomes in a place of this shape; `None` when it says nothing.
pub fn coerce(shape: &Shape, text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let value = match shape {
        Shape::Number | Shape::Integer(..) => {
            Value::Number(text.parse::<Number>().map_err(|_| format!("must be {}", shape.sentence()))?)
        }
        Shape::Bool => match text {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            _ => return Err(format!("must be {}", shape.sentence())),
        },
        Shape::List(..) | Shape::Object(_) => {
            serde_json::from_str(text).map_err(|error| format!("must be {} in JSON: {error}", shape.sentence()))?
        }
        Shape::Color => {
            Value::String(text.parse::<crate::domain::color::Color>().map_or(text.to_owned(), |c| c.to_rgb()))
        }
        Shape::Text | Shape::Localized | Shape::Moment | Shape::Url | Shape::Word(_) | Shape::Scalar | Shape::Any => {
            Value::String(text.to_owned())
        }
    };
    let mut faults = Vec::new();
    check_value(shape, &value, "", Consequence::Refused, &mut faults);
    match faults.into_iter().next() {
        None => Ok(Some(value)),
        Some(fault) => Err(fault.detail.trim().to_owned()),
    }
}

/// Whether iOS reads this as a date: `YYYY-MM-DDTHH:MM`, perhaps `:SS`, then `Z` or `±HH:MM`.
pub fn is_moment(text: &str) -> Result<(), &'static str> {
    const GRAMMAR: &str = "must be a date such as 2026-12-24T19:30:00-03:00";
    let (date, rest) = text.split_at_checked(10).ok_or(GRAMMAR)?;
    chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| GRAMMAR)?;
    let rest = rest.strip_prefix('T').ok_or("must have a time after the date, parted by T")?;
    let (clock, mut rest) = rest.split_at_checked(5).ok_or(GRAMMAR)?;
    let two = |text: &str, below: u8| {
        text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u8>().is_ok_and(|n| n < below)
    };
    let is_clock = |text: &str| text.split_once(':').is_some_and(|(hours, minutes)| two(hours, 24) && two(minutes, 60));
    if !is_clock(clock) {
        return Err(GRAMMAR);
    }
    if let Some(seconds) = rest.strip_prefix(':') {
        let (seconds, after) = seconds.split_at_checked(2).ok_or(GRAMMAR)?;
        if !two(seconds, 61) {
            return Err(GRAMMAR);
        }
        rest = after;
    }
    if rest.starts_with('.') {
        return Err("must not have fractions of a second");
    }
    match rest {
        "" => Err("must have a zone: Z or an offset"),
        "Z" => Ok(()),
        offset => {
            let digits = offset.strip_prefix(['+', '-']).ok_or("must end in Z or an offset such as -03:00")?;
            if !digits.contains(':') {
                return Err("must have a colon in its offset");
            }
            let is_real = digits.split_once(':').is_some_and(|(hours, minutes)| two(hours, 15) && two(minutes, 60));
            if is_real { Ok(()) } else { Err("has an offset that no zone has") }
        }
    }
}

/// The moment that such a text means.
pub fn read_moment(text: &str) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    is_moment(text).ok()?;
    let has_seconds = text.as_bytes().get(16) == Some(&b':');
    let (start, zone) = text.split_at_checked(16)?;
    let whole = if has_seconds { text.to_owned() } else { format!("{start}:00{zone}") };
    chrono::DateTime::parse_from_rfc3339(&whole).ok()
}

/// `rgb(…)`, and the other forms that phones were seen to read.
fn is_color(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix('#') {
        return matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let inner = |name: &str| {
        text.strip_prefix(name).and_then(|rest| rest.trim().strip_prefix('(')).and_then(|rest| rest.strip_suffix(')'))
    };
    let parts = |text: &str, count: usize| {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        parts.len() == count
            && parts.iter().take(3).all(|part| part.parse::<f64>().is_ok_and(|part| (0.0..=255.0).contains(&part)))
            && parts.get(3).is_none_or(|alpha| alpha.parse::<f64>().is_ok())
    };
    inner("rgba").map_or_else(|| inner("rgb").is_some_and(|text| parts(text, 3)), |text| parts(text, 4))
}

/// A scheme, a colon and something behind it, without blanks.
fn is_url(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wallet::apple::dictionary::{FIELD, PASS, SEMANTICS};

    #[test]
    fn dates_are_read_as_phones_read_them() {
        for good in ["2026-12-24T19:30Z", "2026-12-24T19:30:00Z", "2026-12-24T19:30:00-03:00", "2026-12-24T19:30+14:00"]
        {
            assert_eq!(is_moment(good), Ok(()), "{good}");
            assert!(read_moment(good).is_some(), "{good}");
        }
        for wrong in [
            "",
            "2026-12-24",
            "2026-12-24T19:30:00",
            "2026-12-24 19:30:00Z",
            "2026-12-24T19:30:00.5Z",
            "2026-12-24T19:30:00-0300",
            "2026-12-24T19:30:00 03:00",
            "2026-12-24T19:30:00ZZ",
            "2026-13-24T19:30Z",
            "2026-02-30T19:30Z",
            "2026-12-24T25:30Z",
            "2026-12-24T19:30:00-57:00",
            "24/12/2026",
            "2026-12-24T1é:30Z",
        ] {
            assert!(is_moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_key_refuses_another_shape_and_takes_its_own() {
        let wrong = json!({ "no": "such thing" });
        for (keys, name) in [(PASS, "pass"), (FIELD, "field"), (SEMANTICS, "semantics")] {
            for key in keys {
                let wrong = if matches!(key.shape, Shape::Object(_)) { json!([1]) } else { wrong.clone() };
                let mut faults = Vec::new();
                check_value(&key.shape, &wrong, key.name, key.consequence, &mut faults);
                assert!(!faults.is_empty() || matches!(key.shape, Shape::Any), "{name} {}", key.name);
                let mut faults = Vec::new();
                let right = sample(&key.shape);
                check_value(&key.shape, &right, key.name, key.consequence, &mut faults);
                assert_eq!(faults, [], "{name} {} {right}", key.name);
            }
        }
    }

    /// A value of the shape, with every key that an object may have.
    fn sample(shape: &Shape) -> Value {
        match shape {
            Shape::Text | Shape::Localized | Shape::Scalar | Shape::Any => json!("text"),
            Shape::Number => json!(1.5),
            Shape::Integer(low, _) => json!(low),
            Shape::Bool => json!(true),
            Shape::Moment => json!("2026-12-24T19:30:00-03:00"),
            Shape::Color => json!("rgb(1, 2, 3)"),
            Shape::Url => json!("https://example.com/"),
            Shape::Word(words) => json!(words[0]),
            Shape::List(item, _) => json!([sample(item)]),
            Shape::Object(keys) => keys.iter().map(|key| (key.name.to_owned(), sample(&key.shape))).collect(),
        }
    }

    #[test]
    fn a_name_stands_once_in_its_table() {
        for keys in [PASS, FIELD, SEMANTICS] {
            for (index, key) in keys.iter().enumerate() {
                assert!(keys[..index].iter().all(|earlier| earlier.name != key.name), "{}", key.name);
            }
        }
    }

    #[test]
    fn rendered_text_becomes_what_its_place_wants() {
        let cases = [
            (Shape::Number, "12.5", Ok(Some(json!(12.5)))),
            (Shape::Integer(0, 9), "7", Ok(Some(json!(7)))),
            (Shape::Bool, "true", Ok(Some(json!(true)))),
            (Shape::Text, "7", Ok(Some(json!("7")))),
            (Shape::Number, " ", Ok(None)),
            (Shape::Color, "#7a1f3d", Ok(Some(json!("rgb(122, 31, 61)")))),
            (Shape::List(&Shape::Text, 3), "[\"a\"]", Ok(Some(json!(["a"])))),
        ];
        for (shape, text, wanted) in cases {
            assert_eq!(coerce(&shape, text), wanted, "{text}");
        }
        for (shape, text) in [
            (Shape::Number, "x"),
            (Shape::Integer(0, 9), "10"),
            (Shape::Moment, "tomorrow"),
            (Shape::Number, "NaN"),
            (Shape::List(&Shape::Text, 1), "[1]"),
        ] {
            assert!(coerce(&shape, text).is_err(), "{text}");
        }
    }
}
