//! Texts of a design: as they stand, translated, or an expression.

use std::cell::RefCell;

use crate::domain::content::Text;
use crate::domain::locale::Locale;
use crate::wallet::design::catalog::Catalog;
use crate::wallet::design::reader::{At, Section};

/// Characters of one text at most, and expressions of one design.
const LITERAL_MAX: usize = 4_000;
const EXPRESSIONS_MAX: usize = 300;

/// A `minijinja` expression of `template.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    pub source: String,
    /// `fields.points.value`: how faults name it.
    pub place: String,
    pub line: usize,
}

/// The position of an expression in its design's list.
pub type Slot = usize;

/// Text that a wallet shows in the reader's language, if it is translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    Literal(Text),
    Expression(Slot),
}

/// Text that no wallet translates: a code, an address, a number, a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    Literal(String),
    Expression(Slot),
}

/// What reading a phrase needs: the translated texts, and the list of expressions that grows.
pub struct Phrases<'a> {
    pub catalog: &'a Catalog,
    pub expressions: RefCell<Vec<Expression>>,
}

impl Phrases<'_> {
    pub fn phrase(&self, section: &Section<'_>, key: &str, text: &str, at: At) -> Phrase {
        self.find_phrase(section, key, text, at).unwrap_or(Phrase::empty())
    }

    /// `None`: a translated text that is nowhere, which is a fault.
    pub fn find_phrase(&self, section: &Section<'_>, key: &str, text: &str, at: At) -> Option<Phrase> {
        if let Some(name) = text.strip_prefix("text:") {
            let found = self.catalog.texts.get(name).cloned();
            if found.is_none() && self.catalog.is_whole {
                section.fault(key, at, format!("text:{name} is in no language file"));
            }
            return found.map(Phrase::Literal);
        }
        Some(match self.plain(section, key, text, at) {
            Plain::Literal(text) => Phrase::Literal(Text::literal(text)),
            Plain::Expression(slot) => Phrase::Expression(slot),
        })
    }

    pub fn plain(&self, section: &Section<'_>, key: &str, text: &str, at: At) -> Plain {
        if text.starts_with("text:") {
            section.fault(key, at, "no wallet translates this; write the text itself");
        }
        if !is_expression(text) {
            if text.chars().count() > LITERAL_MAX {
                section.fault(key, at, format!("must not be longer than {LITERAL_MAX} characters"));
                return Plain::Literal(String::new());
            }
            return Plain::Literal(text.trim().to_owned());
        }
        let mut expressions = self.expressions.borrow_mut();
        if expressions.len() == EXPRESSIONS_MAX {
            section.fault(key, at, format!("is one expression more than the {EXPRESSIONS_MAX} that a design may have"));
            return Plain::Literal(String::new());
        }
        expressions.push(Expression { source: text.to_owned(), place: section.path(key), line: section.file.line(at) });
        Plain::Expression(expressions.len() - 1)
    }

    pub fn take_phrase(&self, section: &Section<'_>, key: &'static str) -> Option<Phrase> {
        section.text(key).map(|(text, at)| self.phrase(section, key, text, at))
    }

    pub fn take_plain(&self, section: &Section<'_>, key: &'static str) -> Option<Plain> {
        section.text(key).map(|(text, at)| self.plain(section, key, text, at))
    }

    pub fn take_number(&self, section: &Section<'_>, key: &'static str) -> Option<Plain> {
        let (text, at) = section.text_or_number(key)?;
        let plain = self.plain(section, key, text, at);
        if matches!(&plain, Plain::Literal(text) if text.parse::<f64>().is_err()) {
            section.fault(key, at, "must be a number");
        }
        Some(plain)
    }
}

impl Phrase {
    pub const fn empty() -> Self {
        Self::Literal(Text::literal(String::new()))
    }

    /// The text for a reader, where it is known before a pass is.
    pub fn literal(&self, locale: Locale) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text.in_locale(locale)),
            Self::Expression(_) => None,
        }
    }
}

pub fn is_expression(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}
