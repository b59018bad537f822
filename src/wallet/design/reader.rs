//! Reads a TOML file so that every fault is found, not only the first, and each with its line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a design, with the place to mend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BadDesign {
    pub file: String,
    /// From 1; `None` where the whole file is meant.
    pub line: Option<usize>,
    pub reason: String,
}

impl Display for BadDesign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// Everything that is wrong with a design, in the order of its files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<BadDesign>);

/// Where in a file something stands: a byte.
pub type At = usize;

/// One file being read, and what was found wrong with it.
pub struct File<'a> {
    pub name: &'a str,
    text: &'a str,
    /// Where each line but the first begins.
    lines: Vec<At>,
    faults: &'a RefCell<Vec<BadDesign>>,
    /// The line of everything in the tables that were looked into, by its path.
    places: RefCell<BTreeMap<String, usize>>,
}

/// Bytes of one TOML file at most.
const FILE_MAX: usize = 256 * 1024;

/// Faults that are told at most; nobody mends more at a time.
pub const FAULTS_MAX: usize = 100;

impl<'a> File<'a> {
    /// A file that is too long is a fault, and read as an empty one.
    pub fn new(name: &'a str, text: &'a str, faults: &'a RefCell<Vec<BadDesign>>) -> Self {
        if text.len() > FILE_MAX {
            let reason = format!("is over {} KiB", FILE_MAX / 1024);
            faults.borrow_mut().push(BadDesign { file: name.to_owned(), line: None, reason });
            return Self { name, text: "", lines: Vec::new(), faults, places: RefCell::default() };
        }
        let lines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect();
        Self { name, text, lines, faults, places: RefCell::default() }
    }

    pub fn fault(&self, at: At, reason: impl Into<String>) {
        if self.faults.borrow().len() >= FAULTS_MAX {
            return;
        }
        let line = self.line(at);
        self.faults.borrow_mut().push(BadDesign {
            file: self.name.to_owned(),
            line: Some(line),
            reason: reason.into(),
        });
    }

    pub fn line(&self, at: At) -> usize {
        self.lines.partition_point(|start| *start <= at) + 1
    }

    /// The line of everything in the tables that were looked into, by its path.
    pub fn take_places(&self) -> BTreeMap<String, usize> {
        self.places.take()
    }

    /// The table at the top; what is not TOML is a fault, and the rest is read as far as it goes.
    pub fn table(&self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors.iter().take(20) {
            self.fault(error.span().map_or(0, |span| span.start), format!("is not TOML: {}", error.message()));
        }
        table.into_inner()
    }
}

/// A table of a file: what is asked for is taken, and what nobody asked for is a fault.
pub struct Section<'a> {
    pub file: &'a File<'a>,
    table: &'a DeTable<'a>,
    /// How faults name it: `fields.points`.
    path: String,
    pub at: At,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn top(file: &'a File<'a>, table: &'a DeTable<'a>) -> Self {
        Self { file, table, path: String::new(), at: 0, asked: RefCell::default() }.noted()
    }

    fn inner(&self, table: &'a DeTable<'a>, path: String, at: At) -> Self {
        Self { file: self.file, table, path, at, asked: RefCell::default() }.noted()
    }

    fn noted(self) -> Self {
        let places = self.members().map(|(name, at, _)| (self.path(name), self.file.line(at)));
        self.file.places.borrow_mut().extend(places);
        self
    }

    /// Names it more clearly than by its position: by the key of a field.
    pub fn renamed(self, path: String) -> Self {
        Self { path, ..self }.noted()
    }

    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn fault(&self, key: &str, at: At, reason: impl Display) {
        self.file.fault(at, format!("{}: {reason}", self.path(key)));
    }

    pub fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    /// A value of one type; another type is a fault.
    fn typed<T>(
        &self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<(T, At)> {
        let value = self.get(key)?;
        let at = value.span().start;
        let read = read(value.get_ref());
        if read.is_none() {
            self.fault(key, at, format!("must be {wanted}, not {}", value.get_ref().type_str()));
        }
        read.map(|read| (read, at))
    }

    pub fn text(&self, key: &'static str) -> Option<(&'a str, At)> {
        self.typed(key, "a string", |value| value.as_str())
    }

    pub fn required_text(&self, key: &'static str) -> Option<(&'a str, At)> {
        if self.get(key).is_none() {
            self.fault(key, self.at, "is missing");
        }
        self.text(key)
    }

    /// A string, or a number as its text.
    pub fn text_or_number(&self, key: &'static str) -> Option<(&'a str, At)> {
        self.typed(key, "a number, or a string with an expression", |value| match value {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
            DeValue::Float(number) => Some(number.as_str()),
            _ => None,
        })
    }

    pub fn bool(&self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", DeValue::as_bool).map(|(value, _)| value)
    }

    pub fn integer(&self, key: &'static str) -> Option<(i64, At)> {
        self.typed(key, "a whole number", |value| {
            value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
        })
    }

    /// One of an enum's words, or another type that is read from text.
    pub fn word<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        let (text, at) = self.text(key)?;
        text.parse().map_err(|error| self.fault(key, at, format!("{error}; it is \"{text}\""))).ok()
    }

    pub fn required_word<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        if self.get(key).is_none() {
            self.fault(key, self.at, "is missing");
        }
        self.word(key)
    }

    pub fn section(&self, key: &'static str) -> Option<Self> {
        let (table, at) = self.typed(key, "a table", DeValue::as_table)?;
        Some(self.inner(table, self.path(key), at))
    }

    /// `[[key]]`: tables one after the other.
    pub fn sections(&self, key: &'static str) -> Vec<Self> {
        let Some((items, _)) = self.typed(key, "a list of tables", DeValue::as_array) else { return Vec::new() };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let (at, path) = (item.span().start, format!("{}[{index}]", self.path(key)));
            match item.get_ref().as_table() {
                Some(table) => sections.push(self.inner(table, path, at)),
                None => self.file.fault(at, format!("{path}: must be a table")),
            }
        }
        sections
    }

    pub fn texts(&self, key: &'static str) -> Vec<(&'a str, At)> {
        let Some((items, _)) = self.typed(key, "a list of strings", DeValue::as_array) else { return Vec::new() };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text, item.span().start)),
                None => self.fault(key, item.span().start, "must hold strings only"),
            }
        }
        texts
    }

    /// Every member as it stands, with its place.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, At, &'a Spanned<DeValue<'a>>)> + use<'a> {
        self.table.iter().map(|(name, value)| (name.get_ref().as_ref(), name.span().start, value))
    }

    /// Ends the reading: what was not asked for is a fault, with the name that was perhaps meant.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (name, at, _) in self.members() {
            if !asked.contains(name) {
                let meant = nearest(name, asked.iter().copied());
                self.fault(name, at, format!("there is no such key{meant}"));
            }
        }
    }
}

/// `; did you mean "format"?` for the known name that is one or two slips away.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    known
        .map(|known| (slips(name, known), known))
        .filter(|(slips, known)| *slips <= 2 && *slips < known.len())
        .min()
        .map(|(_, known)| format!("; did you mean \"{known}\"?"))
        .unwrap_or_default()
}

/// Letters to insert, drop or change (Levenshtein), of names that are short.
fn slips(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(&to) {
            let best = (corner + usize::from(a != *b)).min(left + 1).min(*cell + 1);
            corner = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        assert_eq!(slips("kitten", "sitting"), 3);
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(nearest("colour", ["color", "label"].into_iter()), "; did you mean \"color\"?");
        assert_eq!(nearest("banana", ["color", "label"].into_iter()), "");
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "name = 1\n[inner]\nword = \"x\"\nmore = true\nmiss = 2\n";
        let faults = RefCell::default();
        let file = File::new("a.toml", text, &faults);
        let table = file.table();
        let top = Section::top(&file, &table);
        assert_eq!(top.required_text("name"), None);
        assert_eq!(top.required_text("other"), None);
        let inner = top.section("inner").unwrap();
        assert_eq!(inner.text("word").unwrap().0, "x");
        inner.bool("more");
        inner.bool("mist");
        inner.finish();
        top.finish();
        let found: Vec<String> = faults.borrow().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "a.toml:1: name: must be a string, not integer",
                "a.toml:1: other: is missing",
                "a.toml:5: inner.miss: there is no such key; did you mean \"mist\"?",
            ]
        );
    }
}
