//! `pass.strings`: the texts of one language, looked up by their default form.

use crate::domain::content::Text;
use crate::domain::locale::Locale;

/// The file for `locale`. UTF-16 with a byte order mark: the one encoding that Apple documents for text beyond ASCII.
pub fn pass_strings(texts: &[Text], locale: Locale) -> Vec<u8> {
    let mut file = String::new();
    let mut texts: Vec<&Text> = texts.iter().collect();
    texts.sort_unstable();
    texts.dedup_by(|a, b| a.default == b.default);
    for text in texts {
        file.push_str(&format!("\"{}\" = \"{}\";\n", escape(&text.default), escape(text.in_locale(locale))));
    }
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(file.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_the_default_text_and_its_translation_escaped() {
        let text =
            Text { default: "Diz \"olá\"".to_owned(), translations: vec![(Locale::En, "Says\n\\ \"hi\"".to_owned())] };
        let bytes = pass_strings(&[text], Locale::En);
        assert_eq!(bytes[..2], [0xff, 0xfe]);
        let units: Vec<u16> = bytes[2..].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!(String::from_utf16(&units).unwrap(), "\"Diz \\\"olá\\\"\" = \"Says\\n\\\\ \\\"hi\\\"\";\n");
    }
}
