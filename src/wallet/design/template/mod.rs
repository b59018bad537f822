//! `template.toml`: what a pass says, for every wallet.

mod fields;
mod kinds;
mod relevance;
mod wallets;

use std::cell::RefCell;

use chrono::NaiveDate;

use crate::domain::color::Color;
use crate::domain::content::Colors;
use crate::domain::locale::Locale;
use crate::domain::pass::PassKind;
use crate::domain::text::text_enum;
use crate::wallet::design::catalog::Catalog;
use crate::wallet::design::phrase::{Phrase, Phrases, Plain};
use crate::wallet::design::reader::{BadDesign, File, Section};
use crate::wallet::design::{Design, Files, Sample, extras, images, is_known_file};

text_enum! {
    /// How a field's text becomes a value.
    pub enum Format {
        Text = "text",
        Integer = "integer",
        Number = "number",
        /// 0.15 reads 15 %.
        Percent = "percent",
        Currency = "currency",
        /// A calendar day.
        Date = "date",
        /// A time of day.
        Time = "time",
        DateTime = "date_time",
        /// "In two hours".
        Relative = "relative",
    }
}

/// `None` when it is so wrong that nothing can be made of it.
pub fn read(files: &Files, faults: &RefCell<Vec<BadDesign>>) -> Option<Design> {
    let whole = |file: &str, reason: &str| {
        faults.borrow_mut().push(BadDesign { file: file.to_owned(), line: None, reason: reason.to_owned() });
    };
    for path in files.keys().filter(|path| !is_known_file(path)) {
        whole(path, "is no file of a design: template.toml, <locale>.toml and PNG images are");
    }
    let Some(text) = files.get("template.toml") else {
        whole("template.toml", "is missing");
        return None;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        whole("template.toml", "is not UTF-8");
        return None;
    };
    let file = File::new("template.toml", text, faults);
    let table = file.table();
    let top = Section::top(&file, &table);

    let name = take_name(&top);
    let kind: Option<PassKind> = top.required_word("kind");
    let default_locale = top.required_word("default_locale").unwrap_or(Locale::PtBr);
    let catalog = Catalog::read(files, default_locale, faults);
    let phrases = Phrases { catalog: &catalog, expressions: RefCell::default() };
    // Where the kind is at fault, what it was meant to be: the rest is not to be blamed for it.
    let meant = || match (top.get("offer"), top.get("event")) {
        (Some(_), _) => PassKind::Coupon,
        (None, Some(_)) => PassKind::Event,
        (None, None) => PassKind::Loyalty,
    };
    let reading = Reading { phrases: &phrases, kind: kind.unwrap_or_else(meant) };

    let organization = reading.required_phrase(&top, "organization");
    let description = reading.required_phrase(&top, "description");
    let program_name = reading.required_phrase(&top, "program_name");
    let logo_text = phrases.take_phrase(&top, "logo_text");
    let expires_at = phrases.take_plain(&top, "expires_at");
    let is_shareable = top.bool("shareable").unwrap_or(true);
    let max_distance = reading.max_distance(&top);
    let colors = reading.colors(&top);
    let barcodes = reading.barcodes(&top);
    let fields = reading.fields(&top);
    let links = reading.links(&top);
    let places = reading.places(&top);
    let beacons = reading.beacons(&top);
    let occasions = reading.occasions(&top);
    let offer = reading.offer(&top);
    let event = reading.event(&top);
    let images = images::read(files, reading.kind, &catalog.locales, faults);
    let apple = reading.apple(&top);
    let sign_up = reading.sign_up(&top, &apple, &images);
    let google = reading.google(&top);
    let sample = sample(&top);
    top.finish();
    let expressions = phrases.expressions.take();
    Some(Design {
        name: name?,
        kind: kind?,
        default_locale,
        locales: catalog.locales.clone(),
        organization,
        description,
        program_name,
        logo_text,
        expires_at,
        is_shareable,
        colors: colors?,
        barcodes,
        fields,
        links,
        places,
        beacons,
        occasions,
        max_distance,
        offer,
        event,
        sign_up,
        apple,
        google,
        sample,
        expressions,
        lines: file.take_places(),
        texts: catalog.into_texts(),
        images,
    })
}

fn take_name(top: &Section<'_>) -> Option<String> {
    let (name, at) = top.required_text("name")?;
    let is_good = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_good || !(1..=64).contains(&name.len()) {
        top.fault("name", at, "must be 1 to 64 of a-z, 0-9 and -");
        return None;
    }
    Some(name.to_owned())
}

struct Reading<'a> {
    phrases: &'a Phrases<'a>,
    kind: PassKind,
}

impl Reading<'_> {
    fn required_phrase(&self, section: &Section<'_>, key: &'static str) -> Phrase {
        let text = section.required_text(key);
        if let Some(("", at)) = text {
            section.fault(key, at, "must not be empty");
        }
        text.map_or_else(Phrase::empty, |(text, at)| self.phrases.phrase(section, key, text, at))
    }

    fn required_plain(&self, section: &Section<'_>, key: &'static str) -> Plain {
        let text = section.required_text(key);
        text.map_or_else(|| Plain::Literal(String::new()), |(text, at)| self.phrases.plain(section, key, text, at))
    }

    fn required_number(&self, section: &Section<'_>, key: &'static str) -> Plain {
        if section.get(key).is_none() {
            section.fault(key, section.at, "is missing");
        }
        self.phrases.take_number(section, key).unwrap_or_else(|| Plain::Literal(String::new()))
    }

    fn colors(&self, top: &Section<'_>) -> Option<Colors> {
        let Some(section) = top.section("colors") else {
            top.fault("colors", 0, "is missing: background, foreground and label");
            return None;
        };
        let color = |key| section.required_word::<Color>(key);
        let (background, foreground, label) = (color("background"), color("foreground"), color("label"));
        for (key, of) in [("foreground", foreground), ("label", label)] {
            let Some(contrast) = of.zip(background).map(|(of, background)| of.contrast(background)) else { continue };
            if contrast < 2.0 {
                let at = section.get(key).map_or(section.at, |value| value.span().start);
                section.fault(
                    key,
                    at,
                    format!("cannot be read on the background (contrast {contrast:.1}, at least 2)"),
                );
            }
        }
        section.finish();
        Some(Colors { background: background?, foreground: foreground?, label: label? })
    }
}

/// `[sample]`: whoever leaves it out gets somebody.
fn sample(top: &Section<'_>) -> Sample {
    let section = top.section("sample");
    let customer = section.as_ref().and_then(|section| section.section("customer"));
    let text = |section: &Option<Section<'_>>, key, default: &str| {
        section.as_ref().and_then(|section| section.text(key)).map_or(default, |(text, _)| text).to_owned()
    };
    let table = |section: &Option<Section<'_>>, key| {
        let found = section.as_ref().and_then(|section| section.get(key)).map(|value| extras::json(value.get_ref()));
        found.and_then(|value| value.as_object().cloned()).unwrap_or_default()
    };
    let today = section.as_ref().and_then(|section| {
        let (text, at) = section.text("today")?;
        let day = text.parse().ok();
        if day.is_none() {
            section.fault("today", at, format!("must be a day such as {SAMPLE_DAY}, not \"{text}\""));
        }
        day
    });
    let sample = Sample {
        brand: text(&section, "brand", "Padaria Aurora"),
        program: text(&section, "program", "Clube Aurora"),
        customer_name: text(&customer, "name", "Ana Souza"),
        card_number: text(&customer, "card_number", "7401 8835 2290"),
        attributes: table(&customer, "attributes"),
        data: table(&section, "data"),
        today: today.unwrap_or(SAMPLE_DAY),
    };
    for section in [customer, section].into_iter().flatten() {
        section.finish();
    }
    sample
}

/// The day of samples that name none.
const SAMPLE_DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 12, 1).expect("is a day");
