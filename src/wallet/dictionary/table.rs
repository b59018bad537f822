//! The dictionaries as a page for people: every key, what it holds, and who gives it.

use std::fmt::Write as _;

use super::{Giver, Key, Shape};

impl Shape {
    /// In a few words.
    pub fn words(&self) -> String {
        match self {
            Self::Text | Self::Url => self.sentence().trim_start_matches("a ").to_owned(),
            Self::Localized => "string, translated".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Integer(low, high) if *high < 1_000_000 => format!("whole number, {low} to {high}"),
            Self::Integer(..) => "whole number".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Moment => "date and time".to_owned(),
            Self::Color => "colour".to_owned(),
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
            Self::List(item, max) => format!("list of at most {max}: {}", item.words()),
            Self::Object(keys) if keys.len() > 16 => "object".to_owned(),
            Self::Object(keys) => {
                let members = keys.iter().map(|key| {
                    let mark = if key.is_required { "*" } else { "" };
                    format!("`{}`{mark}", key.name)
                });
                format!("object of {}", members.collect::<Vec<_>>().join(", "))
            }
            Self::Scalar => "string, number or date".to_owned(),
            Self::Any => "anything".to_owned(),
        }
    }
}

/// A Markdown table of one object's keys; `own` is how a template's table for one wallet is called.
pub fn table(keys: &[Key], own: &str) -> String {
    let mut page = "| Key | Holds | Given by | Since |\n|---|---|---|---|\n".to_owned();
    for key in keys {
        let giver = match key.giver {
            Giver::House => "the service".to_owned(),
            Giver::Neutral => "the template, for every wallet".to_owned(),
            Giver::Either => format!("the template, for every wallet; `{own}` goes on top"),
            Giver::Own => format!("`{own}`"),
        };
        let mark = if key.is_required { "*" } else { "" };
        let words = key.shape.words();
        writeln!(page, "| `{}`{mark} | {words} | {giver} | {} |", key.name, key.since).expect("memory takes it");
    }
    page
}
