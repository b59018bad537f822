//! A pass design: a folder with `template.toml`, its texts per language, and images. Read once per version.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::domain::color::Color;
use crate::domain::content::{AppleArea, Colors, FieldRole, Text};
use crate::domain::locale::Locale;
use crate::domain::pass::PassKind;
use crate::domain::text;

/// The files of a design by name: what is read from a folder and kept in the database.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is wrong with a design, with the file to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct BadDesign {
    pub file: String,
    pub reason: String,
}

fn bad(file: &str, reason: impl Into<String>) -> BadDesign {
    BadDesign { file: file.to_owned(), reason: reason.into() }
}

/// `template.toml` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateFile {
    name: String,
    kind: PassKind,
    default_locale: Locale,
    organization: String,
    description: String,
    program_name: String,
    logo_text: Option<String>,
    expires_at: Option<String>,
    colors: ColorsTable,
    barcode: BarcodeTable,
    #[serde(default)]
    fields: Vec<FieldTable>,
    #[serde(default)]
    links: Vec<LinkTable>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColorsTable {
    background: Color,
    foreground: Color,
    label: Color,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BarcodeTable {
    message: String,
    alt_text: Option<String>,
}

/// How a field's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Text,
    Integer,
    Date,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldTable {
    role: FieldRole,
    key: String,
    label: Option<String>,
    value: String,
    #[serde(default = "Format::text")]
    format: Format,
    change_message: Option<String>,
    apple_area: Option<AppleArea>,
}

impl Format {
    const fn text() -> Self {
        Self::Text
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkTable {
    label: String,
    uri: String,
}

/// Text that may hold `minijinja` expressions, or the whole of a translated text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    /// `text:welcome` names a text of the `<locale>.toml` files.
    Translated(Text),
    /// Rendered for each pass.
    Expression(String),
}

#[derive(Debug, Clone)]
pub struct FieldDesign {
    pub role: FieldRole,
    pub key: String,
    pub label: Option<Phrase>,
    pub value: Phrase,
    pub format: Format,
    pub change_message: Option<Text>,
    pub apple_area: Option<AppleArea>,
}

#[derive(Debug, Clone)]
pub struct LinkDesign {
    pub label: Phrase,
    pub uri: String,
}

/// A design that can be rendered: every name resolved, every image looked at.
#[derive(Debug, Clone)]
pub struct Design {
    pub name: String,
    pub kind: PassKind,
    pub default_locale: Locale,
    pub locales: Vec<Locale>,
    pub organization: Phrase,
    pub description: Phrase,
    pub program_name: Phrase,
    pub logo_text: Option<Phrase>,
    pub expires_at: Option<String>,
    pub colors: Colors,
    pub barcode_message: String,
    pub barcode_alt_text: Option<String>,
    pub fields: Vec<FieldDesign>,
    pub links: Vec<LinkDesign>,
    /// Every translated text once: what a phone looks up by the default text.
    pub texts: Vec<Text>,
    /// Images by bundle name (`strip@2x.png`).
    pub images: Files,
}

/// Images that a design may hold, with the size in points that they must not exceed.
const IMAGES: &[(&str, u32, u32)] = &[("icon", 38, 38), ("logo", 160, 50), ("strip", 375, 144)];

/// Bytes of one image at most.
const IMAGE_MAX_BYTES: usize = 5 * 1024 * 1024;

impl Design {
    /// Reads every file of a folder (not of folders in it).
    pub fn read_folder(folder: &Path) -> std::io::Result<Files> {
        let mut files = Files::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !name.starts_with('.') {
                files.insert(name, std::fs::read(entry.path())?);
            }
        }
        Ok(files)
    }

    pub fn parse(files: &Files) -> Result<Self, BadDesign> {
        let toml = files.get("template.toml").ok_or_else(|| bad("template.toml", "is missing"))?;
        let toml = std::str::from_utf8(toml).map_err(|_| bad("template.toml", "is not UTF-8"))?;
        let file: TemplateFile = toml::from_str(toml).map_err(|error| bad("template.toml", error.to_string()))?;
        let name_good =
            file.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !name_good || !(1..=64).contains(&file.name.len()) {
            return Err(bad("template.toml", "name: 1 to 64 of a-z, 0-9 and -"));
        }
        let catalog = Catalog::parse(files, file.default_locale)?;
        let fields = file.fields.into_iter().map(|field| field.resolve(&catalog)).collect::<Result<Vec<_>, _>>()?;
        for (index, field) in fields.iter().enumerate() {
            if fields.iter().take(index).any(|earlier| earlier.key == field.key) {
                return Err(bad("template.toml", format!("field {}: two fields have this key", field.key)));
            }
        }
        let links = file.links.into_iter().map(|link| link.resolve(&catalog)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            name: file.name,
            kind: file.kind,
            default_locale: file.default_locale,
            locales: catalog.locales.clone(),
            organization: catalog.phrase(&file.organization)?,
            description: catalog.phrase(&file.description)?,
            program_name: catalog.phrase(&file.program_name)?,
            logo_text: file.logo_text.as_deref().map(|text| catalog.phrase(text)).transpose()?,
            expires_at: file.expires_at,
            colors: Colors {
                background: file.colors.background,
                foreground: file.colors.foreground,
                label: file.colors.label,
            },
            barcode_message: file.barcode.message,
            barcode_alt_text: file.barcode.alt_text,
            fields,
            links,
            images: images(files)?,
            texts: catalog.texts.into_values().collect(),
        })
    }
}

impl FieldTable {
    fn resolve(self, catalog: &Catalog) -> Result<FieldDesign, BadDesign> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if self.key.is_empty() || self.key.len() > 64 || !self.key.bytes().all(word) {
            return Err(bad("template.toml", format!("field {}: a key is 1 to 64 of a-z, 0-9, _ and -", self.key)));
        }
        let change_message = match self.change_message.as_deref().map(|text| catalog.phrase(text)).transpose()? {
            None => None,
            Some(Phrase::Translated(text)) => Some(text),
            Some(Phrase::Expression(text)) => Some(Text::literal(text)),
        };
        if let Some(message) = &change_message {
            let all = std::iter::once(&message.default).chain(message.translations.iter().map(|(_, text)| text));
            // Without %@ a phone shows no notification at all (Apple, "Updating a pass").
            if !all.clone().all(|text| text.contains("%@")) {
                return Err(bad("template.toml", format!("field {}: a change message must contain %@", self.key)));
            }
        }
        Ok(FieldDesign {
            role: self.role,
            label: self.label.as_deref().map(|text| catalog.phrase(text)).transpose()?,
            value: catalog.phrase(&self.value)?,
            format: self.format,
            change_message,
            apple_area: self.apple_area,
            key: self.key,
        })
    }
}

impl LinkTable {
    fn resolve(self, catalog: &Catalog) -> Result<LinkDesign, BadDesign> {
        if !["https:", "tel:", "mailto:"].iter().any(|scheme| self.uri.starts_with(scheme)) {
            return Err(bad("template.toml", format!("link {}: must be https:, tel: or mailto:", self.uri)));
        }
        Ok(LinkDesign { label: catalog.phrase(&self.label)?, uri: self.uri })
    }
}

/// The `<locale>.toml` files: the same keys in each.
struct Catalog {
    locales: Vec<Locale>,
    texts: BTreeMap<String, Text>,
}

impl Catalog {
    fn parse(files: &Files, default_locale: Locale) -> Result<Self, BadDesign> {
        let mut tables: BTreeMap<Locale, BTreeMap<String, String>> = BTreeMap::new();
        for locale in Locale::ALL {
            let file = format!("{locale}.toml");
            let Some(content) = files.get(&file) else { continue };
            let content = std::str::from_utf8(content).map_err(|_| bad(&file, "is not UTF-8"))?;
            let table = toml::from_str(content).map_err(|error| bad(&file, error.to_string()))?;
            tables.insert(*locale, table);
        }
        let Some(default_table) = tables.remove(&default_locale) else {
            return Err(bad(&format!("{default_locale}.toml"), "is missing, and is the template's default language"));
        };
        let mut texts = BTreeMap::new();
        for (key, default) in default_table {
            let mut text = Text::literal(checked(&default, &format!("{default_locale}.toml"), &key)?);
            for (locale, table) in &mut tables {
                let file = format!("{locale}.toml");
                let translated = table.remove(&key).ok_or_else(|| bad(&file, format!("{key} is missing")))?;
                text.translations.push((*locale, checked(&translated, &file, &key)?));
            }
            texts.insert(key, text);
        }
        if let Some((locale, key)) =
            tables.iter().find_map(|(locale, table)| table.keys().next().map(|key| (locale, key)))
        {
            return Err(bad(&format!("{locale}.toml"), format!("{key} is not in {default_locale}.toml")));
        }
        // Phones look a text up by its default form, so two texts that begin alike must be translated alike.
        let mut by_default: BTreeMap<&str, &Text> = BTreeMap::new();
        for (key, text) in &texts {
            let twin = by_default.insert(&text.default, text);
            if twin.is_some_and(|twin| twin != text) {
                let file = format!("{default_locale}.toml");
                return Err(bad(&file, format!("{key}: another key has the same text but other translations")));
            }
        }
        let locales = std::iter::once(default_locale).chain(tables.keys().copied()).collect();
        Ok(Self { locales, texts })
    }

    fn phrase(&self, text: &str) -> Result<Phrase, BadDesign> {
        let Some(key) = text.strip_prefix("text:") else {
            return Ok(Phrase::Expression(text.to_owned()));
        };
        let text =
            self.texts.get(key).ok_or_else(|| bad("template.toml", format!("text:{key} is in no language file")))?;
        Ok(Phrase::Translated(text.clone()))
    }
}

fn checked(value: &str, file: &str, key: &str) -> Result<String, BadDesign> {
    let plain: String = value.chars().filter(|c| *c != '\n').collect();
    text::line(&plain, 4_000).map_err(|error| bad(file, format!("{key} {error}")))?;
    Ok(value.trim().to_owned())
}

fn images(files: &Files) -> Result<Files, BadDesign> {
    let mut images = Files::new();
    for (name, content) in files {
        let Some(stem) = name.strip_suffix(".png") else {
            let known = name == "template.toml" || Locale::ALL.iter().any(|locale| *name == format!("{locale}.toml"));
            if known {
                continue;
            }
            return Err(bad(name, "is no file of a design: template.toml, <locale>.toml and PNG images are"));
        };
        let (kind, scale) = match stem.split_once('@') {
            None => (stem, 1),
            Some((kind, "2x")) => (kind, 2),
            Some((kind, "3x")) => (kind, 3),
            Some(_) => return Err(bad(name, "a scale is @2x or @3x")),
        };
        let Some((_, width, height)) = IMAGES.iter().find(|(known, _, _)| *known == kind) else {
            return Err(bad(name, "a loyalty card has the images icon, logo and strip"));
        };
        if content.len() > IMAGE_MAX_BYTES {
            return Err(bad(name, "is over 5 MiB"));
        }
        let reader = image::ImageReader::with_format(std::io::Cursor::new(content), image::ImageFormat::Png);
        let (wide, high) =
            reader.into_dimensions().map_err(|error| bad(name, format!("is not a PNG image: {error}")))?;
        if wide > width * scale || high > height * scale {
            return Err(bad(name, format!("is {wide}×{high} pixels; at most {}×{}", width * scale, height * scale)));
        }
        images.insert(name.clone(), content.clone());
    }
    for required in ["icon.png", "icon@2x.png", "icon@3x.png", "logo.png"] {
        if !images.contains_key(required) {
            return Err(bad(
                required,
                "is missing: a phone refuses a pass without its icon, Google a class without a logo",
            ));
        }
    }
    Ok(images)
}
