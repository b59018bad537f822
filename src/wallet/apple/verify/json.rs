//! `pass.json` as it is found in the wild.

use serde_json::{Map, Value};

use crate::wallet::fault::Fault;

/// The object, and what a phone dislikes about its text. Trailing commas are refused by phones, but whoever looks at such a
/// pass wants to know what else is wrong with it.
pub fn read(bytes: &[u8]) -> (Option<Map<String, Value>>, Option<Fault>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match serde_json::from_slice(bytes) {
        Ok(object) => (Some(object), None),
        Err(error) => {
            let repaired = serde_json::from_slice(&without_trailing_commas(bytes)).ok();
            (repaired, Some(Fault::refused("pass-json", format!("pass.json is not JSON: {error}"))))
        }
    }
}

/// Drops each comma after which a list or an object ends, outside strings.
fn without_trailing_commas(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for (index, byte) in text.iter().enumerate() {
        if in_string {
            (in_string, is_escaped) = (is_escaped || *byte != b'"', !is_escaped && *byte == b'\\');
        } else if *byte == b'"' {
            in_string = true;
        } else if *byte == b',' {
            let next = text.iter().skip(index + 1).find(|byte| !byte.is_ascii_whitespace());
            if matches!(next, Some(b'}' | b']')) {
                continue;
            }
        }
        kept.push(*byte);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_json_is_read_and_reported() {
        let cases: [(&[u8], bool, bool); 5] = [
            (b"{\"a\":1}", true, false),
            (b"\xef\xbb\xbf{\"a\":1}", true, false),
            (b"{\"a\":[1,2,],\n}", true, true),
            (b"{\"a\":\",}\\\",]\",}", true, true),
            (b"{\"a\"", false, true),
        ];
        for (text, is_read, is_faulty) in cases {
            let (object, fault) = read(text);
            assert_eq!((object.is_some(), fault.is_some()), (is_read, is_faulty), "{}", String::from_utf8_lossy(text));
        }
        let (object, _) = read(b"{\"a\":\",}\\\",]\",}");
        assert_eq!(object.unwrap()["a"], ",}\",]");
    }
}
