//! Long lists as files of rows: CSV for spreadsheets, NDJSON for programs, written a page at a time.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Map, Value};

use crate::domain::rows::{RowFormat, guard};
use crate::service::Problem;

/// A file's columns, in order. A dot makes a member of a member: `customer.id`.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub format: RowFormat,
    pub columns: &'static [&'static str],
}

impl Table {
    /// What stands before the first row.
    pub fn head(self) -> Vec<u8> {
        match self.format {
            RowFormat::Csv => record(self.columns),
            RowFormat::Ndjson => Vec::new(),
        }
    }

    /// A row; its cells are in the columns' order, null where there is none.
    pub fn row(self, cells: Vec<Value>) -> Vec<u8> {
        match self.format {
            RowFormat::Csv => record(&cells.iter().map(cell).collect::<Vec<_>>()),
            RowFormat::Ndjson => {
                let mut row = Map::new();
                for (column, cell) in self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_null()) {
                    match column.split_once('.') {
                        None => drop(row.insert((*column).to_owned(), cell)),
                        Some((outer, inner)) => {
                            let place = row.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                            if let Value::Object(place) = place {
                                place.insert(inner.to_owned(), cell);
                            }
                        }
                    }
                }
                let mut line = Value::Object(row).to_string().into_bytes();
                line.push(b'\n');
                line
            }
        }
    }

    /// The file as an answer that is written while it is read: `page` gives the rows after a place and the next place.
    pub fn answer<At, Page, Next>(self, name: &str, first: At, page: Page) -> HttpResponse
    where
        At: 'static,
        Page: Fn(At) -> Next + 'static,
        Next: Future<Output = Result<(Vec<u8>, Option<At>), Problem>>,
    {
        let extension = self.format.as_str();
        let content_type = match self.format {
            RowFormat::Csv => "text/csv; charset=utf-8",
            RowFormat::Ndjson => "application/x-ndjson",
        };
        let begin = (self.head(), Some(first), page);
        let pages = stream::unfold(Some(begin), |state| async {
            let (head, at, page) = state?;
            let at = at?;
            match page(at).await {
                Ok((rows, next)) => Some((Ok(Bytes::from([head, rows].concat())), Some((Vec::new(), next, page)))),
                // The head is sent: what is cut off in the middle is seen to be.
                Err(problem) => {
                    tracing::error!("a file could not be written to its end: {problem}");
                    Some((Err(problem), None))
                }
            }
        });
        HttpResponse::Ok()
            .content_type(content_type)
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{extension}\"")))
            .streaming(Box::pin(pages))
    }
}

/// A cell as text; what a spreadsheet would compute is guarded.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => guard(text),
        other => other.to_string(),
    }
}

fn record<T: AsRef<[u8]>>(cells: &[T]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells).expect("a record can be written into memory");
    writer.into_inner().expect("memory takes what is left")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_reads_the_same_in_both_formats() {
        const COLUMNS: &[&str] = &["id", "customer.id", "data"];
        let cells = || vec![json!("=1+1"), json!("a\"b,c\nd"), json!({ "points": -5 })];
        let csv = Table { format: RowFormat::Csv, columns: COLUMNS };
        assert_eq!(csv.head(), b"id,customer.id,data\r\n");
        assert_eq!(String::from_utf8(csv.row(cells())).unwrap(), "'=1+1,\"a\"\"b,c\nd\",\"{\"\"points\"\":-5}\"\r\n");
        let ndjson = Table { format: RowFormat::Ndjson, columns: COLUMNS };
        let line: Value = serde_json::from_slice(&ndjson.row(cells())).unwrap();
        assert_eq!(line, json!({ "id": "=1+1", "customer": { "id": "a\"b,c\nd" }, "data": { "points": -5 } }));
    }
}
