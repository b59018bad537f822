//! `pass.strings` in every encoding that passes were seen to use.

use std::collections::BTreeMap;

use crate::wallet::apple::verify::Report;
use crate::wallet::fault::Fault;

/// Texts of one language by key.
pub type Strings = BTreeMap<String, String>;

/// Bytes of one file at most.
const MAX_BYTES: usize = 1024 * 1024;

/// Reads every language's texts into the report.
pub fn check(report: &mut Report) {
    for (path, content) in &report.files {
        let Some(language) = path.strip_suffix("/pass.strings").and_then(|folder| folder.strip_suffix(".lproj")) else {
            if path == "pass.strings" {
                let detail = "pass.strings stands at the top, where no language is";
                report.faults.push(Fault::ignored("strings", detail));
            }
            continue;
        };
        match read_strings(content) {
            Ok(strings) => drop(report.strings.insert(language.to_owned(), strings)),
            Err(reason) => report.faults.push(Fault::refused("strings", format!("{path} {reason}"))),
        }
    }
    let mut languages = report.strings.iter();
    let Some((first, texts)) = languages.next() else { return };
    for (language, other) in languages {
        let lacking = texts.keys().find(|key| !other.contains_key(*key)).map(|key| (language, key));
        let lacking = lacking.or_else(|| other.keys().find(|key| !texts.contains_key(*key)).map(|key| (first, key)));
        if let Some((language, key)) = lacking {
            let detail = format!("{language} has no text for {key:?}, which another language has");
            report.faults.push(Fault::ignored("strings-language", detail));
        }
    }
}

/// Reads `"key" = "value";` pairs and comments, in UTF-8 or UTF-16 with or without a byte order mark.
pub fn read_strings(bytes: &[u8]) -> Result<Strings, String> {
    if bytes.len() > MAX_BYTES {
        return Err("is over 1 MiB".to_owned());
    }
    let text = decode(bytes).ok_or("is neither UTF-8 nor UTF-16")?;
    let mut reader = Reader { rest: &text };
    let mut strings = Strings::new();
    while reader.skip_to_content()? {
        let key = reader.word()?;
        reader.skip_to_content()?;
        reader.expect('=')?;
        reader.skip_to_content()?;
        let value = reader.word()?;
        reader.skip_to_content()?;
        reader.expect(';')?;
        strings.insert(key, value);
    }
    Ok(strings)
}

fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(read)).collect();
        bytes.len().is_multiple_of(2).then(|| String::from_utf16(&units).ok()).flatten()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0, _, ..] => utf16(bytes, u16::from_be_bytes),
        [_, 0, ..] => utf16(bytes, u16::from_le_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Past blanks and comments; false at the end.
    fn skip_to_content(&mut self) -> Result<bool, String> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("/*") {
                let (_, after) = comment.split_once("*/").ok_or("has a comment without an end")?;
                self.rest = after;
            } else if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.split_once('\n').map_or("", |(_, after)| after);
            } else {
                return Ok(!self.rest.is_empty());
            }
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(wanted).ok_or_else(|| format!("lacks a {wanted}"))?;
        Ok(())
    }

    /// A quoted text, or a bare word of letters and digits.
    fn word(&mut self) -> Result<String, String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '/' | ':');
            let end = self.rest.find(|c| !is_bare(c)).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at_checked(end).unwrap_or_default();
            self.rest = rest;
            return if word.is_empty() { Err("has a text without quotes".to_owned()) } else { Ok(word.to_owned()) };
        };
        let mut word = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = quoted.get(at + 1..).unwrap_or_default();
                    return Ok(word);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => word.push('\n'),
                    Some('r') => word.push('\r'),
                    Some('t') => word.push('\t'),
                    Some('U' | 'u') => {
                        let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        word.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some(c) => word.push(c),
                    None => break,
                },
                c => word.push(c),
            }
        }
        Err("has a text without an end".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::content::Text;
    use crate::domain::locale::Locale;
    use crate::wallet::apple::strings::pass_strings;

    #[test]
    fn every_encoding_and_form_is_read() {
        let text = "/* a */ \"olá\" = \"hi \\\"you\\\"\\n\";\n// b\nbare = \"x\";";
        let utf16 = |bom: &[u8], write: fn(u16) -> [u8; 2]| {
            let mut bytes = bom.to_vec();
            bytes.extend(text.encode_utf16().flat_map(write));
            bytes
        };
        let forms = [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            utf16(&[0xff, 0xfe], u16::to_le_bytes),
            utf16(&[0xfe, 0xff], u16::to_be_bytes),
            utf16(&[], u16::to_le_bytes),
            utf16(&[], u16::to_be_bytes),
        ];
        for bytes in forms {
            let strings = read_strings(&bytes).unwrap();
            assert_eq!((strings["olá"].as_str(), strings["bare"].as_str()), ("hi \"you\"\n", "x"));
        }
        for wrong in ["\"a\" = \"b\"", "\"a\" \"b\";", "\"a\" = \"b;", "/* a", "\"a\" = ;", "\u{e9}=\"", "\"\\"] {
            assert!(read_strings(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(read_strings(&[0xff, 0xfe, 0]).is_err());
        assert!(read_strings(&[0xc3]).is_err());
        assert_eq!(read_strings(b"").unwrap().len(), 0);
    }

    proptest! {
        /// Whatever a text holds, the file that we write says it.
        #[test]
        fn what_is_written_is_read_again(key in ".{1,30}", value in ".{0,30}") {
            let text = Text { default: key.clone(), translations: vec![(Locale::En, value.clone())] };
            let strings = read_strings(&pass_strings(&[text], Locale::En)).unwrap();
            prop_assert_eq!(strings.get(&key), Some(&value));
        }
    }
}
