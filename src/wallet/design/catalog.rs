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
    /// Whether the default language was read: only then can a text be said to be in no file.
    pub is_whole: bool,
}

struct Entry {
    value: String,
    line: usize,
}

/// One language's file.
struct Table {
    entries: BTreeMap<String, Entry>,
    /// Whether every text in it was found: only then can one be said to be missing.
    is_whole: bool,
}

impl Catalog {
    pub fn read(files: &Files, default_locale: Locale, faults: &RefCell<Vec<BadDesign>>) -> Self {
        let mut tables: BTreeMap<Locale, Table> = BTreeMap::new();
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
            return Self { locales: vec![default_locale], texts: BTreeMap::new(), is_whole: false };
        };
        let mut texts: BTreeMap<String, Text> = BTreeMap::new();
        // Phones look a text up by its default form, so two texts that begin alike must be translated alike.
        let mut by_default: BTreeMap<String, Text> = BTreeMap::new();
        for (key, entry) in default_table.entries {
            let mut text = Text::literal(entry.value);
            for (locale, table) in &mut tables {
                match table.entries.remove(&key) {
                    Some(translated) => text.translations.push((*locale, translated.value)),
                    None if table.is_whole => {
                        fault(*locale, None, format!("{key} is missing; every language has the same texts"));
                    }
                    None => {}
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
        for (locale, table) in tables.iter().filter(|_| default_table.is_whole) {
            for (key, entry) in &table.entries {
                fault(*locale, Some(entry.line), format!("{key} is not in {}", file_name(default_locale)));
            }
        }
        let locales = std::iter::once(default_locale).chain(tables.keys().copied()).collect();
        Self { locales, texts, is_whole: default_table.is_whole }
    }
}

pub fn file_name(locale: Locale) -> String {
    format!("{locale}.toml")
}

fn read_table(name: &str, content: &[u8], faults: &RefCell<Vec<BadDesign>>) -> Table {
    let Ok(content) = std::str::from_utf8(content) else {
        faults.borrow_mut().push(BadDesign { file: name.to_owned(), line: None, reason: "is not UTF-8".to_owned() });
        return Table { entries: BTreeMap::new(), is_whole: false };
    };
    let known = faults.borrow().len();
    let file = File::new(name, content, faults);
    let table = file.table();
    let is_whole = faults.borrow().len() == known;
    let mut entries = BTreeMap::new();
    for (key, value) in table {
        let (at, key) = (key.span().start, key.into_inner().into_owned());
        // One that is wrong is there all the same.
        let mut entry = Entry { value: String::new(), line: file.line(at) };
        match value.into_inner() {
            DeValue::String(value) => entry.value = checked(&file, at, &key, &value),
            _ => file.fault(at, format!("{key}: must be a string")),
        }
        entries.insert(key, entry);
    }
    Table { entries, is_whole }
}

/// The text as it will be shown, whatever is wrong with it.
fn checked(file: &File<'_>, at: At, key: &str, value: &str) -> String {
    let value = value.replace("\r\n", "\n");
    let plain: String = value.chars().filter(|c| *c != '\n').collect();
    if value.contains("{{") || value.contains("{%") {
        file.fault(
            at,
            format!("{key}: a translated text is the same on every pass; give what differs a field of its own, in template.toml"),
        );
    } else if let Err(error) = text::line(&plain, TEXT_MAX) {
        file.fault(at, format!("{key} {error}"));
    }
    value.trim().to_owned()
}
