//! The columns of a CSV file: `customer.name` is a member of a member, `data.points:number` says what the cell is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{BadRow, ROW_MAX};
use crate::domain::json;
use crate::domain::text::{is_control, paragraphs};

/// Columns at most.
const COLUMNS_MAX: usize = 200;

/// Characters of a column's name at most: refusals repeat it.
const NAME_MAX: usize = 100;

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Number,
    Boolean,
    Json,
    /// Written by an export for people; not read.
    Ignored,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    path: Vec<String>,
    kind: Kind,
}

/// A column that a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Text(&'static str),
    /// Several of them: what many kinds of files have alike.
    EachText(&'static [&'static str]),
    /// A JSON object in the cell, or columns of its members: `data`, `data.points`, `data.points:number`.
    Object(&'static str),
    /// A list or an object in the cell, as JSON.
    Json(&'static str),
    /// Members whose names are the file's own, each a text: `identifier.employee_no`.
    Texts(&'static str),
    /// Exports have these; imports do not read them.
    Ignored(&'static [&'static str]),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    #[error("the file is empty: its first line names the columns")]
    Empty,
    #[error("the first line is too long to be a header")]
    TooLong,
    #[error("the header is not UTF-8; save the file as CSV UTF-8")]
    NotUtf8,
    #[error("a quotation mark is missing in the header, or one too many")]
    Quotes,
    #[error("more than {COLUMNS_MAX} columns")]
    TooMany,
    #[error("the column {0:?} occurs twice")]
    Twice(String),
    #[error("there is no column {name:?}; there are {known}")]
    Unknown { name: String, known: String },
    #[error("{name:?}: after the colon stands number, boolean or json")]
    Kind { name: String },
}

/// The delimiter that a header's line has most of; of equals the comma.
pub(super) fn guess_delimiter(line: &[u8]) -> u8 {
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

pub(super) fn read_header(header: &[u8], delimiter: u8, known: &[Known]) -> Result<Vec<Column>, BadHeader> {
    let mut reader = Reader::new(delimiter);
    let cells = reader.cells(header).map_err(|_| BadHeader::NotUtf8)?;
    if cells.iter().all(|cell| cell.trim().is_empty()) {
        return Err(BadHeader::Empty);
    }
    if cells.len() > COLUMNS_MAX {
        return Err(BadHeader::TooMany);
    }
    let mut columns: Vec<Column> = Vec::with_capacity(cells.len());
    for cell in cells {
        let column = read_column(cell.trim(), known)?;
        if columns.iter().any(|other| other.path == column.path) {
            return Err(BadHeader::Twice(shown(cell)));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn read_column(text: &str, known: &[Known]) -> Result<Column, BadHeader> {
    let (name, kind) = match text.rsplit_once(':') {
        None => (text, None),
        Some((name, "number")) => (name, Some(Kind::Number)),
        Some((name, "boolean")) => (name, Some(Kind::Boolean)),
        Some((name, "json")) => (name, Some(Kind::Json)),
        Some(_) => return Err(BadHeader::Kind { name: shown(text) }),
    };
    let unknown = || BadHeader::Unknown { name: shown(text), known: names(known) };
    let is_member = |of: &str| name.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
    let found = known.iter().find_map(|column| match *column {
        Known::Text(known) if known == name && kind.is_none() => Some(Kind::Text),
        Known::EachText(known) if known.contains(&name) && kind.is_none() => Some(Kind::Text),
        Known::Texts(known) if is_member(known) && kind.is_none() => Some(Kind::Text),
        Known::Object(known) | Known::Json(known) if known == name => Some(Kind::Json),
        Known::Object(known) if is_member(known) => Some(kind.unwrap_or(Kind::Text)),
        Known::Ignored(known) if known.contains(&name) => Some(Kind::Ignored),
        _ => None,
    });
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    // serde_json gives names of its own a meaning: such a member would be parsed again, past every check.
    let is_word = |word: &String| !word.is_empty() && !word.starts_with('$');
    if !path.iter().all(is_word) || path.len() > 8 || name.chars().count() > NAME_MAX || name.chars().any(is_control) {
        return Err(unknown());
    }
    found.map(|kind| Column { path, kind }).ok_or_else(unknown)
}

/// What a refusal repeats of a header: the file may be no CSV at all.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !is_control(*c)).take(60).collect()
}

fn names(known: &[Known]) -> String {
    let name = |column: &Known| match column {
        Known::Text(name) | Known::Json(name) => Some((*name).to_owned()),
        Known::EachText(names) => Some(names.join(", ")),
        Known::Object(name) => Some(format!("{name}, {name}.…")),
        Known::Texts(name) => Some(format!("{name}.…")),
        Known::Ignored(_) => None,
    };
    known.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}

/// Reads records one by one.
pub(super) struct Reader {
    core: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Reader {
    pub fn new(delimiter: u8) -> Self {
        let mut core = csv_core::ReaderBuilder::new();
        // What is left of an older line end is a control character like any other.
        let core = core.delimiter(delimiter).terminator(csv_core::Terminator::Any(b'\n')).build();
        Self { core, text: vec![0; ROW_MAX], ends: vec![0; COLUMNS_MAX + 2] }
    }

    /// The cells of one record.
    fn cells(&mut self, record: &[u8]) -> Result<Vec<&str>, BadRow> {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        self.core.reset();
        let (result, _, written, count) = self.core.read_record(record, &mut self.text, &mut self.ends);
        let (written, count) = match result {
            csv_core::ReadRecordResult::InputEmpty => {
                let (text, ends) = (self.text.get_mut(written..), self.ends.get_mut(count..));
                let (_, _, more, last) = self.core.read_record(&[], text.unwrap_or_default(), ends.unwrap_or_default());
                (written + more, count + last)
            }
            _ => (written, count),
        };
        let text = self.text.get(..written).and_then(|text| str::from_utf8(text).ok()).ok_or(BadRow::NotUtf8)?;
        let ends = self.ends.get(..count).unwrap_or_default();
        let begins = std::iter::once(0).chain(ends.iter().copied());
        begins.zip(ends).map(|(begin, end)| text.get(begin..*end).ok_or(BadRow::NotUtf8)).collect()
    }

    /// An empty cell says nothing; to remove something takes NDJSON, or `null` in a column of JSON.
    pub fn read_row(&mut self, record: &[u8], columns: &[Column]) -> Result<Value, BadRow> {
        let cells = self.cells(record)?;
        if cells.len() != columns.len() {
            return Err(BadRow::Cells { cells: cells.len(), columns: columns.len() });
        }
        let mut row = Map::new();
        for (column, cell) in columns.iter().zip(cells) {
            if cell.is_empty() || column.kind == Kind::Ignored {
                continue;
            }
            let refused = |reason| BadRow::Cell { column: column.path.join("."), reason };
            let value = column.kind.read(cell).map_err(refused)?;
            put(&mut row, &column.path, value).map_err(refused)?;
        }
        Ok(Value::Object(row))
    }
}

impl Kind {
    fn read(self, cell: &str) -> Result<Value, &'static str> {
        match self {
            Self::Text | Self::Ignored => text(cell).map(Value::String),
            Self::Number => {
                let number = serde_json::from_str::<Number>(cell.trim());
                number.map(Value::Number).map_err(|_| "is not a number, such as 12 or 12.5")
            }
            Self::Boolean => match cell.trim() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err("is neither true nor false"),
            },
            Self::Json => json::strict(cell.as_bytes()).map_err(|_| "is not JSON"),
        }
    }
}

/// A text as it was before [`guard`].
fn text(cell: &str) -> Result<String, &'static str> {
    let cell = paragraphs(cell).ok_or("control characters are not allowed")?;
    Ok(match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest.to_owned(),
        _ => cell,
    })
}

/// Whether a spreadsheet might compute the cell instead of showing it, perhaps after apostrophes.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\0'])
}

/// A text for a cell: with an apostrophe before it where a spreadsheet would compute it. Reading takes that off again.
pub fn guard(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_owned() }
}

fn put(object: &mut Map<String, Value>, path: &[String], value: Value) -> Result<(), &'static str> {
    const TAKEN: &str = "another column gives the same in another way";
    let Some((first, rest)) = path.split_first() else { return Err(TAKEN) };
    if rest.is_empty() {
        return match object.insert(first.clone(), value) {
            None => Ok(()),
            Some(_) => Err(TAKEN),
        };
    }
    match object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => put(inner, rest, value),
        _ => Err(TAKEN),
    }
}
