//! Files of rows, as CSV or NDJSON: where each row begins and ends, and what it says as a JSON object.
//!
//! A file is read through windows of bytes, so that its length does not matter; a row is read alone, so that a bad one
//! spoils no other.

mod columns;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use super::text::text_enum;

pub use columns::{BadHeader, Column, Known, guard};

text_enum! {
    pub enum RowFormat {
        Csv = "csv",
        /// One JSON object on each line.
        Ndjson = "ndjson",
    }
}

/// Bytes of a row at most, its line end included.
pub const ROW_MAX: usize = 64 * 1024;

/// How the rows of one file are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    Csv { delimiter: u8, columns: Vec<Column> },
    Ndjson,
}

/// Why a row cannot be read. Says nothing of what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    #[error("longer than {ROW_MAX} bytes")]
    TooLong,
    #[error("a quotation mark is missing, or one too many")]
    Quotes,
    #[error("not UTF-8; save the file as CSV UTF-8")]
    NotUtf8,
    #[error("has {cells} cells, the header has {columns}")]
    Cells { cells: usize, columns: usize },
    #[error("{column}: {reason}")]
    Cell { column: String, reason: &'static str },
    #[error("is not a JSON object: {0}")]
    NotJson(String),
}

/// One row; blank ones are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the file that it begins on, from 1.
    pub line: i64,
    pub value: Result<Value, BadRow>,
}

/// What was read of a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    pub rows: Vec<Row>,
    /// Where each row ends: bytes from the window's beginning, and line ends passed. As long as `rows`.
    pub ends: Vec<End>,
    /// Where reading stopped: behind the last row, and blank lines after it.
    pub end: End,
    /// Whether that is inside a line that goes on behind the window, and was refused already.
    pub is_torn: bool,
}

impl Taken {
    /// Where the first `count` rows end.
    pub fn end_of(&self, count: usize) -> End {
        count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or_default()
    }
}

/// A place in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    pub bytes: usize,
    pub lines: i64,
}

/// A mark that some programs put before UTF-8.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

impl Layout {
    /// Reads up to `max` rows. `window` begins at the beginning of a line, of number `line`; `is_last` says that the file
    /// ends with it, otherwise it is longer than [`ROW_MAX`], and a row that may go on behind it is left.
    pub fn take(&self, window: &[u8], is_last: bool, line: i64, max: usize) -> Taken {
        let mut taken = Taken::default();
        let mut reader = match self {
            Self::Csv { delimiter, .. } => Some(columns::Reader::new(*delimiter)),
            Self::Ndjson => None,
        };
        while taken.rows.len() < max {
            let rest = window.get(taken.end.bytes..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let Some((length, value)) = self.first(rest, is_last, reader.as_mut()) else { break };
            let here = line + taken.end.lines;
            let passed = rest.get(..length).unwrap_or_default();
            taken.end.bytes += length;
            taken.end.lines += count_lines(passed);
            taken.is_torn = !is_last && !passed.ends_with(b"\n");
            if let Some(value) = value {
                taken.rows.push(Row { line: here, value });
                taken.ends.push(taken.end);
            }
        }
        taken
    }

    /// The first row of `rest` (`None` inside: a blank line) and its length; `None`: it may go on behind.
    fn first(
        &self,
        rest: &[u8],
        is_last: bool,
        reader: Option<&mut columns::Reader>,
    ) -> Option<(usize, Option<Result<Value, BadRow>>)> {
        let first_line = line_length(rest);
        let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
        if let Some(length) = first_line.filter(|length| rest.get(..*length).is_some_and(is_blank)) {
            return Some((length, None));
        }
        let whole = match self {
            Self::Ndjson => first_line,
            Self::Csv { delimiter, .. } => match record_length(rest, *delimiter, is_last) {
                // A mark that is missing must not swallow the lines behind it: the next one is looked at for itself.
                Err(BadQuotes) => return Some((first_line.unwrap_or(rest.len()), Some(Err(BadRow::Quotes)))),
                Ok(length) => length,
            },
        };
        let whole = whole.or_else(|| is_last.then_some(rest.len()));
        match whole {
            Some(length) if length <= ROW_MAX => {
                let row = rest.get(..length).unwrap_or_default();
                if is_blank(row) { Some((length, None)) } else { Some((length, Some(self.read(row, reader)))) }
            }
            Some(_) => Some((first_line.unwrap_or(rest.len()), Some(Err(BadRow::TooLong)))),
            None if rest.len() > ROW_MAX => match first_line {
                Some(length) => Some((length, Some(Err(BadRow::TooLong)))),
                // A line without an end: whoever reads the file looks for it.
                None => Some((rest.len(), Some(Err(BadRow::TooLong)))),
            },
            None => None,
        }
    }

    fn read(&self, row: &[u8], reader: Option<&mut columns::Reader>) -> Result<Value, BadRow> {
        let row = row.strip_prefix(BOM).unwrap_or(row);
        if let (Self::Csv { columns, .. }, Some(reader)) = (self, reader) {
            return reader.read_row(row, columns);
        }
        match json::strict(row) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(BadRow::NotJson("begin the line with {".to_owned())),
            Err(error) => Err(BadRow::NotJson(error.to_string())),
        }
    }

    /// The layout of a CSV file by its header, and how many bytes and lines that takes. `head` is the file's beginning, up
    /// to a length that holds the header whole.
    pub fn of_csv(head: &[u8], known: &[Known]) -> Result<(Self, End), BadHeader> {
        let mark = if head.starts_with(BOM) { BOM.len() } else { 0 };
        let text = head.get(mark..).unwrap_or_default();
        let delimiter =
            columns::guess_delimiter(text.get(..line_length(text).unwrap_or(text.len())).unwrap_or_default());
        let length = record_length(text, delimiter, true).map_err(|BadQuotes| BadHeader::Quotes)?;
        let length = length.unwrap_or(text.len());
        if length > ROW_MAX {
            return Err(BadHeader::TooLong);
        }
        let header = text.get(..length).unwrap_or_default();
        let columns = columns::read_header(header, delimiter, known)?;
        let lines = count_lines(header);
        Ok((Self::Csv { delimiter, columns }, End { bytes: mark + length, lines }))
    }
}

fn count_lines(bytes: &[u8]) -> i64 {
    let count = bytes.iter().filter(|byte| **byte == b'\n').count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The first line with its end; `None`: it has none.
fn line_length(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

/// A mark that never ends, or text behind one that did.
struct BadQuotes;

/// The first CSV record with its end; `None`: it has none. A quotation mark opens a cell only at its beginning, and closes
/// it at its end: anything else is a slip, which would take the lines behind along.
fn record_length(bytes: &[u8], delimiter: u8, is_last: bool) -> Result<Option<usize>, BadQuotes> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let mut at = At::Start;
    let mut rest = bytes.iter().enumerate().peekable();
    while let Some((place, byte)) = rest.next() {
        at = match (at, *byte) {
            // Two of them are one that is meant.
            (At::Quoted, b'"') if rest.next_if(|(_, next)| **next == b'"').is_some() => At::Quoted,
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (_, b'\n') => return Ok(Some(place + 1)),
            (_, byte) if byte == delimiter => At::Start,
            (At::Start, b'"') => At::Quoted,
            (At::Closed, b'\r') => At::Closed,
            (At::Closed, _) => return Err(BadQuotes),
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    // A cell may go on behind the window, but not for ever.
    if at == At::Quoted && (is_last || bytes.len() > ROW_MAX) { Err(BadQuotes) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KNOWN: &[Known] = &[
        Known::Text("external_id"),
        Known::Text("customer.name"),
        Known::Object("data"),
        Known::Texts("identifier"),
        Known::Ignored(&["id"]),
    ];

    fn csv(file: &[u8]) -> Vec<Row> {
        let (layout, end) = Layout::of_csv(file, KNOWN).unwrap();
        layout.take(&file[end.bytes..], true, 1 + end.lines, usize::MAX).rows
    }

    #[test]
    fn a_row_is_the_object_that_its_columns_say() {
        let file = "\u{feff}external_id;customer.name;data.points:number;data.coupon.code;data.vip:boolean;id\r\n\
                    a1;\"Ana \"\"Nina\"\"\nSouza\";12.5;0123;true;x\r\n\
                    \r\n\
                    a2;'+5;;;;";
        let rows = csv(file.as_bytes());
        let value = json!({
            "external_id": "a1", "customer": { "name": "Ana \"Nina\"\nSouza" },
            "data": { "points": 12.5, "coupon": { "code": "0123" }, "vip": true },
        });
        assert_eq!(rows[0], Row { line: 2, value: Ok(value) });
        let value = json!({ "external_id": "a2", "customer": { "name": "+5" } });
        assert_eq!(rows[1], Row { line: 5, value: Ok(value) });
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_bad_row_spoils_no_other() {
        let long = "x".repeat(ROW_MAX);
        let cases: Vec<(Vec<u8>, BadRow)> = vec![
            (b"a1,x,y".to_vec(), BadRow::Cells { cells: 3, columns: 2 }),
            (b"a1,\xe1".to_vec(), BadRow::NotUtf8),
            (
                b"a1,a\x1bb".to_vec(),
                BadRow::Cell { column: "customer.name".to_owned(), reason: "control characters are not allowed" },
            ),
            (format!("a1,{long}").into_bytes(), BadRow::TooLong),
            (b"a1,\"y,z".to_vec(), BadRow::Quotes),
            (b"a1,\"y\"z".to_vec(), BadRow::Quotes),
        ];
        for (row, fault) in cases {
            let filler = "a3,Rui\n".repeat(20_000);
            let file =
                [b"external_id,customer.name\na0,Ana\n", row.as_slice(), b"\na2,Bia\n", filler.as_bytes()].concat();
            let rows = csv(&file);
            assert_eq!(rows[0].value, Ok(json!({ "external_id": "a0", "customer": { "name": "Ana" } })));
            assert_eq!(rows[1], Row { line: 3, value: Err(fault) });
            let rest: Vec<_> = rows.iter().skip(2).filter(|row| row.value.is_ok()).collect();
            assert_eq!(rest[0].value, Ok(json!({ "external_id": "a2", "customer": { "name": "Bia" } })));
            assert_eq!(rest.len(), 20_001);
        }
    }

    #[test]
    fn a_header_names_columns_that_there_are() {
        let refused: [(&[u8], BadHeader); 9] = [
            (b"", BadHeader::Empty),
            (b"\n", BadHeader::Empty),
            (b"external_id,external_id\n", BadHeader::Twice("external_id".to_owned())),
            (b"data.a:text\n", BadHeader::Kind { name: "data.a:text".to_owned() }),
            (
                b"data.$serde_json::private::RawValue:json\n",
                BadHeader::Unknown { name: "data.$serde_json::private::RawValue:json".to_owned(), known: names() },
            ),
            (b"external_id,\"data.a\"b\n", BadHeader::Quotes),
            (b"data..a\n", BadHeader::Unknown { name: "data..a".to_owned(), known: names() }),
            (b"nome\n", BadHeader::Unknown { name: "nome".to_owned(), known: names() }),
            (b"external_id:number\n", BadHeader::Unknown { name: "external_id:number".to_owned(), known: names() }),
        ];
        for (header, fault) in refused {
            assert_eq!(Layout::of_csv(header, KNOWN).unwrap_err(), fault);
        }
        assert!(matches!(Layout::of_csv(b"\xff\n", KNOWN), Err(BadHeader::NotUtf8)));
        assert!(matches!(Layout::of_csv(&[b'"'; 70_000], KNOWN), Err(BadHeader::TooLong)));
        assert!(Layout::of_csv(b"data\tdata.a\tidentifier.no", KNOWN).is_ok());
    }

    fn names() -> String {
        "external_id, customer.name, data, data.…, identifier.…".to_owned()
    }

    #[test]
    fn two_columns_that_give_the_same_are_refused() {
        let rows = csv(b"data,data.a\n\"{\"\"b\"\":1}\",2\n\"{\"\"a\"\":1}\",2\n7,2\n");
        assert_eq!(rows[0].value, Ok(json!({ "data": { "b": 1, "a": "2" } })));
        assert!(rows[1].value.is_err() && rows[2].value.is_err());
    }

    #[test]
    fn ndjson_is_an_object_on_each_line() {
        let file = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n[1]\n{\"a\":1,\"a\":2}\n{\"a\":\n{\"b\":2}";
        let rows = Layout::Ndjson.take(file, true, 1, 100).rows;
        let lines: Vec<_> = rows.iter().map(|row| (row.line, row.value.is_ok())).collect();
        assert_eq!(lines, [(1, true), (4, false), (5, false), (6, false), (7, true)]);
    }

    fn written(names: &[(String, String)]) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["external_id", "customer.name"]).unwrap();
        for (id, name) in names {
            writer.write_record([guard(id), guard(name)]).unwrap();
        }
        writer.into_inner().unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(names in prop::collection::vec(("[a-z'=+@-]{1,9}", "[\\PC\n\t]{1,40}"), 1..20)) {
            let names: Vec<_> = names.into_iter().filter(|(_, name)| !name.chars().any(|c| {
                crate::domain::text::is_control(c) && !matches!(c, '\n' | '\t')
            })).collect();
            let rows = csv(&written(&names));
            let expected: Vec<_> =
                names.iter().map(|(id, name)| Ok(json!({ "external_id": id, "customer": { "name": name } }))).collect();
            prop_assert_eq!(rows.into_iter().map(|row| row.value).collect::<Vec<_>>(), expected);
        }

        /// However a file is cut into windows, its rows are the same.
        #[test]
        fn windows_do_not_matter(file in prop::collection::vec(prop::sample::select(b"ab,\"\n{}'\r".to_vec()), 0..400), step in 1usize..5) {
            let layout = Layout::Csv { delimiter: b',', columns: Layout::of_csv(b"external_id,data.a", KNOWN).map(|(layout, _)| match layout {
                Layout::Csv { columns, .. } => columns,
                Layout::Ndjson => Vec::new(),
            }).unwrap() };
            for layout in [layout, Layout::Ndjson] {
                let whole = layout.take(&file, true, 1, usize::MAX);
                let (mut at, mut rows) = (End::default(), Vec::new());
                loop {
                    let taken = layout.take(&file[at.bytes..], true, 1 + at.lines, step);
                    if taken.rows.is_empty() {
                        at = End { bytes: at.bytes + taken.end.bytes, lines: at.lines + taken.end.lines };
                        break;
                    }
                    // Somebody may stop at any row.
                    let last = taken.ends[0];
                    rows.push(taken.rows[0].clone());
                    at = End { bytes: at.bytes + last.bytes, lines: at.lines + last.lines };
                }
                prop_assert_eq!(&rows, &whole.rows);
                prop_assert_eq!(at, whole.end);
                prop_assert_eq!(at.bytes, file.len());
            }
        }

        /// A window that is not the last gives no row that the bytes behind it could still change.
        #[test]
        fn a_row_that_may_go_on_is_left(file in prop::collection::vec(prop::sample::select(b"ab,\"\n".to_vec()), 0..200), cut in 0usize..200) {
            let (layout, _) = Layout::of_csv(b"external_id", KNOWN).unwrap();
            let head = &file[..cut.min(file.len())];
            let (part, whole) = (layout.take(head, false, 1, usize::MAX), layout.take(&file, true, 1, usize::MAX));
            prop_assert_eq!(&part.rows[..], &whole.rows[..part.rows.len()]);
        }
    }
}
