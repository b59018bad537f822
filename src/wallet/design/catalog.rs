//! The `<locale>.toml` files of a design: the same keys in each.

use std::cell::RefCell;
use std::collections::BTreeMap;

use toml::de::DeValue;

use crate::domain::content::Text;
use crate::domain::locale::Locale;
use crate::domain::text;
use crate::wallet::design::Files;
use crate::wallet::design::reader::{At, BadDesign, FAULTS_MAX, File};

/// Characters of one text at most.
const TEXT_MAX: usize = 4_000;

pub struct Catalog {
    /// The default first.
    pub locales: Vec<Locale>,
    pub texts: BTreeMap<String, Text>,
}

struct Entry {
    value: String,
    line: usize,
}

impl Catalog {
    pub fn read(files: &Files, default_locale: Locale, faults: &RefCell<Vec<BadDesign>>) -> Self {
        let mut tables: BTreeMap<Locale, BTreeMap<String, Entry>> = BTreeMap::new();
        for locale in Locale::ALL {
            if let Some(content) = files.get(&file_name(*locale)) {
                tables.insert(*locale, read_table(&file_name(*locale), content, faults));
            }
        }
        let fault = |locale: Locale, line: Option<usize>, reason: String| {
            if faults.borrow().len() < FAULTS_MAX {
                faults.borrow_mut().push(BadDesign { file: file_name(locale), line, reason });
            }
        };
        let Some(default_table) = tables.remove(&default_locale) else {
            fault(default_locale, None, "is missing, and is the template's default language".to_owned());
            return Self { locales: vec![default_locale], texts: BTreeMap::new() };
        };
        let mut texts: BTreeMap<String, Text> = BTreeMap::new();
        // Phones look a text up by its default form, so two texts that begin alike must be translated alike.
        let mut by_default: BTreeMap<String, Text> = BTreeMap::new();
        for (key, entry) in default_table {
            let mut text = Text::literal(entry.value);
            for (locale, table) in &mut tables {
                match table.remove(&key) {
                    Some(translated) => text.translations.push((*locale, translated.value)),
                    None => fault(*locale, None, format!("{key} is missing; every language has the same texts")),
                }
            }
            let twin = by_default.insert(text.default.clone(), text.clone());
            if twin.is_some_and(|twin| twin != text) {
                let reason = format!(
                    "{key}: another key has the same text but other translations, and phones look a text up by the text"
                );
                fault(default_locale, Some(entry.line), reason);
            }
            texts.insert(key, text);
        }
        for (locale, table) in &tables {
            for (key, entry) in table {
                fault(*locale, Some(entry.line), format!("{key} is not in {}", file_name(default_locale)));
            }
        }
        let locales = std::iter::once(default_locale).chain(tables.keys().copied()).collect();
        Self { locales, texts }
    }
}

pub fn file_name(locale: Locale) -> String {
    format!("{locale}.toml")
}

fn read_table(name: &str, content: &[u8], faults: &RefCell<Vec<BadDesign>>) -> BTreeMap<String, Entry> {
    let Ok(content) = std::str::from_utf8(content) else {
        faults.borrow_mut().push(BadDesign { file: name.to_owned(), line: None, reason: "is not UTF-8".to_owned() });
        return BTreeMap::new();
    };
    let file = File::new(name, content, faults);
    let mut entries = BTreeMap::new();
    for (key, value) in file.table() {
        let (at, key) = (key.span().start, key.into_inner().into_owned());
        let DeValue::String(value) = value.into_inner() else {
            file.fault(at, format!("{key}: must be a string"));
            continue;
        };
        if let Some(value) = checked(&file, at, &key, &value) {
            entries.insert(key, Entry { value, line: file.line(at) });
        }
    }
    entries
}

fn checked(file: &File<'_>, at: At, key: &str, value: &str) -> Option<String> {
    if value.contains("{{") || value.contains("{%") {
        file.fault(
            at,
            format!("{key}: a translated text is the same on every pass; give what differs a field of its own, in template.toml"),
        );
        return None;
    }
    let plain: String = value.chars().filter(|c| *c != '\n').collect();
    match text::line(&plain, TEXT_MAX) {
        Ok(_) => Some(value.trim().to_owned()),
        Err(error) => {
            file.fault(at, format!("{key} {error}"));
            None
        }
    }
}
