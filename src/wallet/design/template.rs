//! `template.toml`: what a pass says, for every wallet.

use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::domain::barcode::Symbology;
use crate::domain::color::Color;
use crate::domain::content::{Colors, EventKind, FieldRole, GoogleArea, MomentStyle, Redemption, Text};
use crate::domain::locale::Locale;
use crate::domain::pass::PassKind;
use crate::domain::text::text_enum;
use crate::wallet::apple::dictionary::{FIELD, PASS};
use crate::wallet::apple::nfc;
use crate::wallet::design::catalog::Catalog;
use crate::wallet::design::extras::Extra;
use crate::wallet::design::phrase::{Phrase, Phrases, Plain};
use crate::wallet::design::reader::{BadDesign, File, Section};
use crate::wallet::design::{
    AppleDesign, AppleStyle, BarcodeDesign, BeaconDesign, Design, EventDesign, FieldDesign, Files, GoogleDesign,
    LinkDesign, OccasionDesign, OfferDesign, PlaceDesign, Sample, SeatDesign, SignUp, SignUpField, VenueDesign, extras,
    images, is_known_file,
};
use crate::wallet::google::dictionary as google;

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

/// Entries of a list at most: places and beacons that a phone looks for, fields that somebody reads.
const PLACES_MAX: usize = 10;
const FIELDS_MAX: usize = 60;
const LINKS_MAX: usize = 20;
const BARCODES_MAX: usize = 5;
const OCCASIONS_MAX: usize = 20;
const BEACONS_MAX: usize = 50;
const PERFORMERS_MAX: usize = 20;

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

    fn max_distance(&self, top: &Section<'_>) -> Option<u32> {
        let (metres, at) = top.integer("max_distance")?;
        let read = u32::try_from(metres).ok().filter(|metres| (1..=100_000).contains(metres));
        if read.is_none() {
            top.fault("max_distance", at, "must be metres, from 1 to 100000");
        }
        read
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

    /// `[barcode]` for one code, `[[barcodes]]` for several in order of preference.
    fn barcodes(&self, top: &Section<'_>) -> Vec<BarcodeDesign> {
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

    fn fields(&self, top: &Section<'_>) -> Vec<FieldDesign> {
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
        match self.phrases.phrase(section, "change_message", text, at) {
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

    fn links(&self, top: &Section<'_>) -> Vec<LinkDesign> {
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

    fn places(&self, top: &Section<'_>) -> Vec<PlaceDesign> {
        let sections = top.sections("places");
        if let Some(surplus) = sections.get(PLACES_MAX) {
            top.fault("places", surplus.at, "has over 10 entries; phones look at no more");
        }
        let place = |section: Section<'_>| {
            let place = PlaceDesign {
                latitude: self.required_number(&section, "latitude"),
                longitude: self.required_number(&section, "longitude"),
                altitude: self.phrases.take_number(&section, "altitude"),
                text: self.phrases.take_phrase(&section, "text"),
            };
            for (key, plain, bound) in [("latitude", &place.latitude, 90.0), ("longitude", &place.longitude, 180.0)] {
                if let Plain::Literal(text) = plain
                    && text.parse::<f64>().is_ok_and(|degrees| degrees.abs() > bound)
                {
                    section.fault(key, section.at, format!("must be from -{bound} to {bound}"));
                }
            }
            section.finish();
            place
        };
        sections.into_iter().map(place).collect()
    }

    fn beacons(&self, top: &Section<'_>) -> Vec<BeaconDesign> {
        let mut uuids = BTreeSet::new();
        let mut beacons = Vec::new();
        let sections = top.sections("beacons");
        if let Some(surplus) = sections.get(BEACONS_MAX) {
            top.fault("beacons", surplus.at, format!("has over {BEACONS_MAX} entries"));
        }
        for section in sections.into_iter().take(BEACONS_MAX) {
            let beacon = BeaconDesign {
                uuid: self.required_plain(&section, "uuid"),
                major: self.phrases.take_number(&section, "major"),
                minor: self.phrases.take_number(&section, "minor"),
                text: self.phrases.take_phrase(&section, "text"),
            };
            if let (Plain::Literal(uuid), Some((_, at))) = (&beacon.uuid, section.text("uuid")) {
                if uuid.len() != 36 || uuid::Uuid::parse_str(uuid).is_err() {
                    section.fault("uuid", at, "is no UUID with hyphens");
                }
                uuids.insert(uuid.to_ascii_uppercase());
                if uuids.len() > PLACES_MAX {
                    section.fault("uuid", at, "is the 11th different UUID; phones take 10");
                }
            }
            section.finish();
            beacons.push(beacon);
        }
        beacons
    }

    fn occasions(&self, top: &Section<'_>) -> Vec<OccasionDesign> {
        let sections = top.sections("dates");
        if let Some(first) = sections.first()
            && matches!(self.kind, PassKind::Loyalty | PassKind::Coupon)
        {
            top.fault("dates", first.at, format!("phones offer a {} at places, never by date", self.kind));
        }
        if let Some(surplus) = sections.get(OCCASIONS_MAX) {
            top.fault("dates", surplus.at, format!("has over {OCCASIONS_MAX} entries"));
        }
        let occasion = |section: Section<'_>| {
            let part = |key| self.phrases.take_plain(&section, key);
            let found = match (part("at"), part("from"), part("to")) {
                (Some(at), None, None) => Some(OccasionDesign::At(at)),
                (None, Some(from), Some(to)) => Some(OccasionDesign::Between(from, to)),
                _ => {
                    section.file.fault(
                        section.at,
                        format!("{}: wants at, or from and to", section.path("").trim_end_matches('.')),
                    );
                    None
                }
            };
            section.finish();
            found
        };
        sections.into_iter().filter_map(occasion).collect()
    }

    fn offer(&self, top: &Section<'_>) -> Option<OfferDesign> {
        let section = self.own_section(top, "offer", PassKind::Coupon)?;
        let offer = OfferDesign {
            title: self.required_phrase(&section, "title"),
            provider: self.required_phrase(&section, "provider"),
            details: self.phrases.take_phrase(&section, "details"),
            fine_print: self.phrases.take_phrase(&section, "fine_print"),
            redemption: section.word("redemption").unwrap_or(Redemption::Both),
        };
        section.finish();
        Some(offer)
    }

    fn event(&self, top: &Section<'_>) -> Option<EventDesign> {
        let section = self.own_section(top, "event", PassKind::Event)?;
        let plain = |key| self.phrases.take_plain(&section, key);
        let event = EventDesign {
            name: self.required_phrase(&section, "name"),
            kind: section.word("kind").unwrap_or(EventKind::Generic),
            starts_at: plain("starts_at"),
            ends_at: plain("ends_at"),
            doors_at: plain("doors_at"),
            venue: section.section("venue").map(|section| self.venue(section)).unwrap_or_default(),
            seat: section.section("seat").map(|section| self.seat(section)).unwrap_or_default(),
            holder: plain("holder"),
            ticket_type: plain("ticket_type"),
            ticket_number: plain("ticket_number"),
            performers: section
                .texts("performers")
                .into_iter()
                .take(PERFORMERS_MAX)
                .map(|(text, at)| self.phrases.plain(&section, "performers", text, at))
                .collect(),
            home_team: plain("home_team"),
            away_team: plain("away_team"),
        };
        section.finish();
        Some(event)
    }

    fn venue(&self, section: Section<'_>) -> VenueDesign {
        let plain = |key| self.phrases.take_plain(&section, key);
        let number = |key| self.phrases.take_number(&section, key);
        let venue = VenueDesign {
            name: plain("name"),
            address: plain("address"),
            region: plain("region"),
            room: plain("room"),
            latitude: number("latitude"),
            longitude: number("longitude"),
        };
        if venue.latitude.is_some() != venue.longitude.is_some() {
            section.fault("latitude", section.at, "and longitude go together");
        }
        section.finish();
        venue
    }

    fn seat(&self, section: Section<'_>) -> SeatDesign {
        let plain = |key| self.phrases.take_plain(&section, key);
        let seat =
            SeatDesign { section: plain("section"), row: plain("row"), number: plain("number"), gate: plain("gate") };
        section.finish();
        seat
    }

    /// A table that one kind of pass must have and no other may.
    fn own_section<'s>(&self, top: &Section<'s>, key: &'static str, kind: PassKind) -> Option<Section<'s>> {
        match (top.get(key).map(|value| value.span().start), self.kind == kind) {
            (None, true) => top.fault(key, 0, format!("is missing: a {kind} has this table")),
            (Some(at), false) => top.fault(key, at, format!("is for the kind {kind}; this is a {}", self.kind)),
            _ => {}
        }
        top.section(key)
    }

    fn apple(&self, top: &Section<'_>) -> AppleDesign {
        let default = match self.kind {
            PassKind::Loyalty => AppleStyle::StoreCard,
            PassKind::Coupon => AppleStyle::Coupon,
            PassKind::Event => AppleStyle::EventTicket,
            PassKind::Generic => AppleStyle::Generic,
        };
        let mut apple = AppleDesign { style: default, transit_type: None, is_poster: false, keys: Vec::new() };
        let Some(section) = top.section("apple") else { return apple };
        if let Some((_, at)) = section.text("style") {
            apple.style = section.word("style").unwrap_or(default);
            if self.kind != PassKind::Generic && apple.style != default {
                section.fault("style", at, format!("a {} is always a {default}; the kind generic chooses", self.kind));
            }
        }
        apple.is_poster = section.bool("poster").unwrap_or(false);
        if apple.is_poster && matches!(apple.style, AppleStyle::BoardingPass) {
            section.fault(
                "poster",
                section.at,
                "a boarding pass has no poster; semanticBoardingPass is a style scheme",
            );
        }
        if let Some((text, at)) = section.text("transitType") {
            if apple.style != AppleStyle::BoardingPass {
                section.fault("transitType", at, "is for boarding passes");
            } else if !TRANSIT_TYPES.contains(&text) {
                section.fault("transitType", at, format!("must be one of {}", TRANSIT_TYPES.join(", ")));
            }
            apple.transit_type = Some(text.to_owned());
        } else if apple.style == AppleStyle::BoardingPass {
            section.fault("transitType", section.at, "is missing: a boarding pass has one");
        }
        apple.keys = extras::read(self.phrases, &section, PASS, &["style", "poster", "transitType"]);
        for (_, extra) in apple.keys.iter_mut().filter(|(name, _)| *name == "nfc") {
            if let Some(Err(error)) = compress_key(extra) {
                section.fault("nfc.encryptionPublicKey", section.at, error);
            }
        }
        self.check_apple(&section, &apple);
        apple
    }

    /// What Apple's keys mean to each other, as far as it can be seen before a pass is made.
    fn check_apple(&self, section: &Section<'_>, apple: &AppleDesign) {
        let at = |key: &str| section.members().find(|(name, _, _)| *name == key).map_or(section.at, |(_, at, _)| at);
        let has = |key: &str| apple.keys.iter().any(|(name, _)| *name == key);
        let ticket = matches!(apple.style, AppleStyle::EventTicket | AppleStyle::BoardingPass);
        if has("groupingIdentifier") && !ticket {
            section.fault("groupingIdentifier", at("groupingIdentifier"), "is for event tickets and boarding passes");
        }
        if has("appLaunchURL") && !has("associatedStoreIdentifiers") {
            section.fault("appLaunchURL", at("appLaunchURL"), "needs associatedStoreIdentifiers");
        }
    }

    fn sign_up(&self, top: &Section<'_>, apple: &AppleDesign, images: &Files) -> Option<SignUp> {
        let section = top.section("sign_up")?;
        let (description, _) = section.required_text("description").unwrap_or_default();
        let fields: Vec<SignUpField> = section
            .texts("fields")
            .into_iter()
            .filter_map(|(text, at)| text.parse().map_err(|error| section.fault("fields", at, error)).ok())
            .collect();
        if fields.is_empty() {
            section.fault("fields", section.at, "must ask for something");
        }
        let terms = section.text("terms").map(|(text, _)| text.to_owned());
        if !apple.keys.iter().any(|(name, _)| *name == "nfc") {
            section.fault("fields", section.at, "phones sign up for passes with apple.nfc only");
        }
        if !images.keys().any(|name| name.contains("personalizationLogo")) {
            section.fault("fields", section.at, "phones show the form with the image personalizationLogo only");
        }
        section.finish();
        Some(SignUp { description: description.to_owned(), terms, fields })
    }

    fn google(&self, top: &Section<'_>) -> GoogleDesign {
        let Some(section) = top.section("google") else { return GoogleDesign::default() };
        let (class, object) = match self.kind {
            PassKind::Loyalty => (google::LOYALTY_CLASS, google::LOYALTY_OBJECT),
            PassKind::Coupon => (google::OFFER_CLASS, google::OFFER_OBJECT),
            PassKind::Event => (google::EVENT_TICKET_CLASS, google::EVENT_TICKET_OBJECT),
            PassKind::Generic => (google::GENERIC_CLASS, google::GENERIC_OBJECT),
        };
        let read = |key, keys| section.section(key).map(|table| extras::read(self.phrases, &table, keys, &[]));
        let google = GoogleDesign {
            class_key: self.phrases.take_plain(&section, "class_key"),
            class: read("class", class).unwrap_or_default(),
            object: read("object", object).unwrap_or_default(),
        };
        section.finish();
        google
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
    let today = section.as_ref().and_then(|section| section.word("today"));
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

/// Writes a known key the way phones read it, once for all passes.
fn compress_key(nfc: &mut Extra) -> Option<Result<(), nfc::BadKey>> {
    let Extra::Table(members) = nfc else { return None };
    let (_, key) = members.iter_mut().find(|(name, _)| *name == "encryptionPublicKey")?;
    let Extra::Known(serde_json::Value::String(text)) = key else { return None };
    Some(nfc::read_key(text).map(|read| *text = read.text))
}

const LINK_SCHEMES: &[&str] = &["https:", "tel:", "mailto:", "geo:"];

const TRANSIT_TYPES: &[&str] =
    &["PKTransitTypeAir", "PKTransitTypeBoat", "PKTransitTypeBus", "PKTransitTypeGeneric", "PKTransitTypeTrain"];
