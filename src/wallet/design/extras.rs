//! `[apple]` and `[google]`: what only one wallet knows, in that wallet's words, checked against its dictionary.

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::DeValue;

use crate::wallet::design::phrase::{Phrase, Phrases, Plain};
use crate::wallet::design::reader::{At, Section, nearest};
use crate::wallet::dictionary::{Giver, Key, Shape, coerce};

/// A value in a wallet's words: known, or rendered for each pass.
#[derive(Debug, Clone)]
pub enum Extra {
    Known(Json),
    /// Translated where the wallet translates.
    Phrase(Phrase),
    Rendered(usize, &'static Shape),
    List(Vec<Self>),
    Table(Vec<(&'static str, Self)>),
}

/// Reads a table whose keys are those of a wallet's dictionary. `own` names keys of ours that stand in the same table.
pub fn read(
    phrases: &Phrases<'_>,
    section: &Section<'_>,
    keys: &'static [Key],
    own: &[&str],
) -> Vec<(&'static str, Extra)> {
    let mut extras = Vec::new();
    for (name, at, value) in section.members().filter(|(name, _, _)| !own.contains(name)) {
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            let known = keys.iter().filter(|key| matches!(key.giver, Giver::Own | Giver::Either)).map(|key| key.name);
            let meant = nearest(name, known.chain(own.iter().copied()));
            section.fault(name, at, format!("there is no such key{meant}"));
            continue;
        };
        match key.giver {
            Giver::House => section.fault(name, at, "is given by the service; a template cannot"),
            Giver::Neutral => section.fault(name, at, "is given by the rest of template.toml, for every wallet"),
            Giver::Either | Giver::Own => {
                let reading = Reading { phrases, section };
                if let Some(extra) = reading.value(name, &key.shape, value) {
                    extras.push((key.name, extra));
                }
            }
        }
    }
    extras
}

struct Reading<'a, 'b> {
    phrases: &'a Phrases<'b>,
    section: &'a Section<'b>,
}

impl Reading<'_, '_> {
    fn fault(&self, path: &str, at: At, reason: impl std::fmt::Display) {
        self.section.fault(path, at, reason);
    }

    fn value(&self, path: &str, shape: &'static Shape, value: &Spanned<DeValue<'_>>) -> Option<Extra> {
        let at = value.span().start;
        match (value.get_ref(), shape) {
            (DeValue::String(text), Shape::Localized) => {
                Some(Extra::Phrase(self.phrases.phrase(self.section, path, text, at)))
            }
            (DeValue::String(text), _) => match self.phrases.plain(self.section, path, text, at) {
                Plain::Expression(slot) => Some(Extra::Rendered(slot, shape)),
                Plain::Literal(text) => match coerce(shape, &text) {
                    Ok(value) => Some(Extra::Known(value.unwrap_or(Json::String(text)))),
                    Err(reason) => {
                        self.fault(path, at, reason);
                        None
                    }
                },
            },
            (DeValue::Array(items), Shape::List(item, max)) => {
                if items.len() > *max {
                    self.fault(path, at, format!("has {} entries; at most {max}", items.len()));
                }
                let items = items.iter().enumerate();
                Some(Extra::List(
                    items.filter_map(|(index, value)| self.value(&format!("{path}[{index}]"), item, value)).collect(),
                ))
            }
            (DeValue::Table(_), Shape::Object(keys)) => self.table(path, keys, value),
            (DeValue::Array(_) | DeValue::Table(_), Shape::Any) => {
                let known = json(value.get_ref());
                if known.to_string().contains("{{") {
                    self.fault(path, at, "is handed on as it is: an expression in it would not be evaluated");
                }
                Some(Extra::Known(known))
            }
            (DeValue::Array(_) | DeValue::Table(_), _) => {
                self.fault(path, at, format!("must be {}", shape.sentence()));
                None
            }
            (scalar, _) => {
                // A date of TOML reads as text; a number or a truth stands for itself.
                let text = match scalar {
                    DeValue::Datetime(moment) => moment.to_string(),
                    other => json(other).to_string(),
                };
                let is_text =
                    matches!(shape, Shape::Text | Shape::Localized | Shape::Url | Shape::Word(_) | Shape::Color);
                match coerce(shape, &text) {
                    Ok(Some(_)) if is_text && !matches!(scalar, DeValue::Datetime(_)) => {
                        self.fault(path, at, format!("must be {}; put it in quotes", shape.sentence()));
                        None
                    }
                    Ok(Some(_)) if matches!(shape, Shape::Any | Shape::Scalar) => Some(Extra::Known(json(scalar))),
                    Ok(value) => value.map(Extra::Known),
                    Err(reason) => {
                        self.fault(path, at, reason);
                        None
                    }
                }
            }
        }
    }

    fn table(&self, path: &str, keys: &'static [Key], value: &Spanned<DeValue<'_>>) -> Option<Extra> {
        let mut members = Vec::new();
        let table = value.get_ref().as_table()?;
        for (name, value) in table {
            let (name, at) = (name.get_ref().as_ref(), name.span().start);
            match keys.iter().find(|key| key.name == name) {
                None => {
                    let meant = nearest(name, keys.iter().map(|key| key.name));
                    self.fault(path, at, format!("{name}: there is no such key{meant}"));
                }
                Some(key) => {
                    members.extend(
                        self.value(&format!("{path}.{name}"), &key.shape, value).map(|value| (key.name, value)),
                    );
                }
            }
        }
        for key in keys.iter().filter(|key| key.is_required && !table.contains_key(key.name)) {
            self.fault(path, value.span().start, format!("{} is missing", key.name));
        }
        Some(Extra::Table(members))
    }
}

/// The value as JSON; dates as their text.
pub fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Json::Null, |number| Json::Number(number.into())),
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(truth) => Json::Bool(*truth),
        DeValue::Datetime(moment) => Json::String(moment.to_string()),
        DeValue::Array(items) => Json::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => {
            let members = table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}
