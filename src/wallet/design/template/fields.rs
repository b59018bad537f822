//! `[[fields]]`, `[barcode]` and `[[links]]`: what a pass shows.

use std::collections::BTreeSet;

use super::{Format, Reading};
use crate::domain::barcode::Symbology;
use crate::domain::content::{FieldRole, GoogleArea, MomentStyle, Text};
use crate::wallet::apple::dictionary::FIELD;
use crate::wallet::design::phrase::{Phrase, Plain};
use crate::wallet::design::reader::Section;
use crate::wallet::design::{BarcodeDesign, FieldDesign, LinkDesign, extras};

/// Entries of each list at most.
const FIELDS_MAX: usize = 60;
const BARCODES_MAX: usize = 5;
const LINKS_MAX: usize = 20;

const LINK_SCHEMES: &[&str] = &["https:", "tel:", "mailto:", "geo:"];

impl Reading<'_> {
    pub(super) fn fields(&self, top: &Section<'_>) -> Vec<FieldDesign> {
        let sections = top.sections("fields");
        if let Some(surplus) = sections.get(FIELDS_MAX) {
            top.fault("fields", surplus.at, format!("has over {FIELDS_MAX} entries"));
        }
        let mut keys = BTreeSet::new();
        sections.into_iter().take(FIELDS_MAX).filter_map(|section| self.field(section, &mut keys)).collect()
    }

    fn field(&self, section: Section<'_>, keys: &mut BTreeSet<String>) -> Option<FieldDesign> {
        let key = section.required_text("key");
        let path = key.map_or_else(|| section.path(""), |(key, _)| format!("fields.{key}"));
        let section = section.renamed(path.trim_end_matches('.').to_owned());
        let role = section.required_word::<FieldRole>("role");
        let label = self.phrases.take_phrase(&section, "label");
        let value = self.required_phrase(&section, "value");
        let is_required = section.bool("required").unwrap_or(false);
        let format = section.word("format").unwrap_or(Format::Text);
        let currency = self.currency(&section, format);
        let style = |key, default| self.moment_style(&section, key, format, default);
        let (date, time) = match format {
            Format::Time => (MomentStyle::None, MomentStyle::Short),
            Format::DateTime | Format::Relative => (MomentStyle::Medium, MomentStyle::Short),
            _ => (MomentStyle::Medium, MomentStyle::None),
        };
        let (date_style, time_style) = (style("date_style", date), style("time_style", time));
        let zone = self.zone(&section);
        let change_message = self.change_message(&section);
        let apple_area = section.word("apple_area");
        let google_area = section.word::<GoogleArea>("google_area");
        let apple = section.section("apple").map(|table| extras::read(self.phrases, &table, FIELD, &[]));
        let (key, at) = key?;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if key.is_empty() || key.len() > 64 || !key.bytes().all(word) {
            section.fault("key", at, "must be 1 to 64 of a-z, A-Z, 0-9, _ and -");
        }
        if !keys.insert(key.to_owned()) {
            section.fault("key", at, "is the key of another field too; phones tell fields apart by their keys");
        }
        if key.starts_with("link") && key.strip_prefix("link").is_some_and(|rest| rest.parse::<u8>().is_ok()) {
            section.fault("key", at, "link1, link2 … are the keys of links");
        }
        section.finish();
        Some(FieldDesign {
            role: role?,
            key: key.to_owned(),
            label,
            value,
            is_required,
            format,
            currency,
            date_style,
            time_style,
            zone,
            change_message,
            apple_area,
            google_area,
            apple: apple.unwrap_or_default(),
        })
    }

    fn currency(&self, section: &Section<'_>, format: Format) -> Option<Plain> {
        let currency = self.phrases.take_plain(section, "currency");
        let at = section.get("currency").map_or(section.at, |value| value.span().start);
        match (&currency, format == Format::Currency) {
            (None, true) => section.fault("currency", at, "is missing: the format is currency"),
            (Some(_), false) => section.fault("currency", at, "is for the format currency"),
            (Some(Plain::Literal(code)), true) if iso_currency::Currency::from_code(code).is_none() => {
                section.fault("currency", at, format!("{code} is no currency of ISO 4217"));
            }
            _ => {}
        }
        currency
    }

    fn moment_style(
        &self,
        section: &Section<'_>,
        key: &'static str,
        format: Format,
        default: MomentStyle,
    ) -> MomentStyle {
        let is_moment = matches!(format, Format::Date | Format::Time | Format::DateTime | Format::Relative);
        if let (Some(value), false) = (section.get(key), is_moment) {
            section.fault(key, value.span().start, "is for the formats date, time and date_time");
        }
        section.word(key).unwrap_or(default)
    }

    fn zone(&self, section: &Section<'_>) -> Option<Plain> {
        let zone = self.phrases.take_plain(section, "zone");
        if let (Some(Plain::Literal(name)), Some((_, at))) = (&zone, section.text("zone"))
            && name.parse::<chrono_tz::Tz>().is_err()
        {
            section.fault("zone", at, format!("{name} is no zone such as America/Sao_Paulo"));
        }
        zone
    }

    fn change_message(&self, section: &Section<'_>) -> Option<Text> {
        let (text, at) = section.text("change_message")?;
        match self.phrases.find_phrase(section, "change_message", text, at)? {
            Phrase::Expression(_) => {
                section.fault("change_message", at, "must be the same on every pass; %@ stands for the new value");
                None
            }
            Phrase::Literal(text) => {
                let mut all = std::iter::once(&text.default).chain(text.translations.iter().map(|(_, text)| text));
                // Without %@ a phone shows no notification at all (Apple, "Updating a pass").
                if !all.all(|text| text.contains("%@")) {
                    section.fault("change_message", at, "must contain %@, in every language, or phones stay silent");
                }
                Some(text)
            }
        }
    }

    /// `[barcode]` for one code, `[[barcodes]]` for several in order of preference.
    pub(super) fn barcodes(&self, top: &Section<'_>) -> Vec<BarcodeDesign> {
        let several = top.get("barcodes").map(|value| value.span().start);
        let mut sections = if several.is_some() { top.sections("barcodes") } else { Vec::new() };
        if top.get("barcode").is_some() {
            if let Some(at) = several {
                top.fault("barcodes", at, "stands beside barcode: keep one of them");
            }
            sections.extend(top.section("barcode"));
        }
        if sections.len() > BARCODES_MAX {
            top.fault("barcodes", several.unwrap_or_default(), format!("has over {BARCODES_MAX} entries"));
        }
        sections.into_iter().map(|section| self.barcode(section)).collect()
    }

    fn barcode(&self, section: Section<'_>) -> BarcodeDesign {
        let symbology = section.word("format").unwrap_or(Symbology::Qr);
        let message = self.required_plain(&section, "message");
        if let (Plain::Literal(text), Some((_, at))) = (&message, section.text("message"))
            && let Err(error) = symbology.check(text)
        {
            section.fault("message", at, error);
        }
        let alt_text = self.phrases.take_plain(&section, "alt_text");
        section.finish();
        BarcodeDesign { symbology, message, alt_text }
    }

    pub(super) fn links(&self, top: &Section<'_>) -> Vec<LinkDesign> {
        let sections = top.sections("links");
        if let Some(surplus) = sections.get(LINKS_MAX) {
            top.fault("links", surplus.at, format!("has over {LINKS_MAX} entries"));
        }
        let link = |section: Section<'_>| {
            let label = self.required_phrase(&section, "label");
            let uri = self.required_plain(&section, "uri");
            let (text, at) = section.text("uri").unwrap_or(("", section.at));
            if !LINK_SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
                section.fault("uri", at, format!("must begin with one of {}", LINK_SCHEMES.join(", ")));
            }
            section.finish();
            LinkDesign { label, uri }
        };
        sections.into_iter().map(link).collect()
    }
}
