//! `pass.json` from neutral content. Keys and rules: Apple, Wallet Passes, "Pass".

use std::borrow::Cow;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Number, Value as Json};

use crate::domain::barcode::Symbology;
use crate::domain::content::{
    AppleArea, Barcode, Beacon, Content, Field, FieldRole, Moment, MomentStyle, Occasion, Place, Text, Value,
};
use crate::domain::pass::PassKind;
use crate::wallet::apple::dictionary::AREAS;
use crate::wallet::apple::semantics;
use crate::wallet::design::{AppleDesign, AppleStyle};

/// What the content does not know: who signs and where updates come from.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub pass_type: &'a str,
    pub team: &'a str,
    /// Without a slash at its end: some clients append `/v1/…` naively. `None` for a pass that is never updated.
    pub web_service_url: Option<&'a str>,
}

/// `pass.json` without its `authenticationToken`: what is kept and hashed holds no secret. [`with_token`] adds it.
pub fn render(content: &Content, design: &AppleDesign, identity: Identity<'_>) -> Vec<u8> {
    serde_json::to_vec(&Pass { content, design, identity }).expect("a pass is made of strings and numbers")
}

/// The bytes that go into the bundle of a pass that is updated. A token of another vendor's may be any text.
pub fn with_token(pass_json: &[u8], token: &str) -> Vec<u8> {
    let mut whole = Vec::with_capacity(pass_json.len() + token.len() + 26);
    whole.extend_from_slice(b"{\"authenticationToken\":");
    serde_json::to_writer(&mut whole, token).expect("a text can be written into memory");
    whole.push(b',');
    whole.extend_from_slice(pass_json.strip_prefix(b"{").unwrap_or(pass_json));
    whole
}

/// The same for another team, of which the certificate is now: a phone refuses a pass that names another than its signer.
pub fn of_team<'a>(pass_json: &'a [u8], team: &str) -> Cow<'a, [u8]> {
    // The first of this name: what `Pass` writes before it holds no quotes.
    const NAME: &[u8] = b"\"teamIdentifier\":";
    let wanted = serde_json::to_vec(team).expect("a text can be written into memory");
    let Some(at) = pass_json.windows(NAME.len()).position(|window| window == NAME) else { return pass_json.into() };
    let (before, rest) = pass_json.split_at_checked(at + NAME.len()).unwrap_or_default();
    if rest.starts_with(&wanted) {
        return pass_json.into();
    }
    let mut texts = serde_json::Deserializer::from_slice(rest).into_iter::<String>();
    drop(texts.next());
    let after = rest.get(texts.byte_offset()..).unwrap_or_default();
    [before, &wanted, after].concat().into()
}

struct Pass<'a> {
    content: &'a Content,
    design: &'a AppleDesign,
    identity: Identity<'a>,
}

impl Serialize for Pass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (content, identity) = (self.content, self.identity);
        let mut pass = serializer.serialize_map(None)?;
        pass.serialize_entry("formatVersion", &1)?;
        pass.serialize_entry("passTypeIdentifier", identity.pass_type)?;
        pass.serialize_entry("teamIdentifier", identity.team)?;
        pass.serialize_entry("serialNumber", &content.serial)?;
        if let Some(url) = identity.web_service_url {
            pass.serialize_entry("webServiceURL", url)?;
        }
        pass.serialize_entry("organizationName", &content.organization.default)?;
        pass.serialize_entry("description", &content.description.default)?;
        if let Some(text) = &content.logo_text {
            pass.serialize_entry("logoText", &text.default)?;
        }
        pass.serialize_entry("backgroundColor", &content.colors.background.to_rgb())?;
        pass.serialize_entry("foregroundColor", &content.colors.foreground.to_rgb())?;
        pass.serialize_entry("labelColor", &content.colors.label.to_rgb())?;
        if !content.status.is_good() {
            pass.serialize_entry("voided", &true)?;
        }
        if let Some(end) = content.expires_at {
            pass.serialize_entry("expirationDate", &utc(end))?;
        }
        if !content.is_shareable {
            pass.serialize_entry("sharingProhibited", &true)?;
        }
        self.codes(&mut pass)?;
        self.relevance(&mut pass)?;
        let semantics = semantics::of(content);
        if !semantics.is_empty() {
            pass.serialize_entry("semantics", &semantics)?;
        }
        for (name, value) in content.extras.apple.iter().filter(|(name, _)| *name != "semantics") {
            pass.serialize_entry(name, value)?;
        }
        let classic = Style { pass: self, is_poster: false };
        pass.serialize_entry(self.design.style.as_str(), &classic)?;
        if self.design.is_poster {
            pass.serialize_entry("posterGeneric", &Style { pass: self, is_poster: true })?;
        }
        pass.end()
    }
}

impl Pass<'_> {
    fn codes<M: serde::ser::SerializeMap>(&self, pass: &mut M) -> Result<(), M::Error> {
        let codes = &self.content.barcodes;
        if codes.is_empty() {
            return Ok(());
        }
        pass.serialize_entry("barcodes", &codes.iter().map(BarcodeJson::new).collect::<Vec<_>>())?;
        // A copy of the first that the old key can hold: many third-party readers look nowhere else.
        let old = [Symbology::Qr, Symbology::Pdf417, Symbology::Aztec];
        match codes.iter().find(|code| old.contains(&code.symbology)) {
            Some(code) => pass.serialize_entry("barcode", &BarcodeJson::new(code)),
            None => Ok(()),
        }
    }

    fn relevance<M: serde::ser::SerializeMap>(&self, pass: &mut M) -> Result<(), M::Error> {
        let relevance = &self.content.relevance;
        if !relevance.places.is_empty() {
            pass.serialize_entry("locations", &relevance.places.iter().map(LocationJson::new).collect::<Vec<_>>())?;
        }
        if !relevance.beacons.is_empty() {
            pass.serialize_entry("beacons", &relevance.beacons.iter().map(BeaconJson::new).collect::<Vec<_>>())?;
        }
        if let Some(metres) = relevance.max_distance {
            pass.serialize_entry("maxDistance", &metres)?;
        }
        let occasions = self.occasions();
        if let Some(first) = occasions.first() {
            // For phones before iOS 18; the newer key says the same.
            let (Occasion::At(at) | Occasion::Between(at, _)) = first;
            pass.serialize_entry("relevantDate", &moment(*at))?;
            pass.serialize_entry("relevantDates", &occasions.iter().map(occasion).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// What the template says; else, when an event begins.
    fn occasions(&self) -> Vec<Occasion> {
        let said = &self.content.relevance.occasions;
        if !said.is_empty() || self.content.kind != PassKind::Event {
            return said.clone();
        }
        self.content.event.as_ref().and_then(|event| event.starts_at).map(Occasion::At).into_iter().collect()
    }
}

fn default(text: &Text) -> &str {
    &text.default
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BarcodeJson<'a> {
    format: &'static str,
    message: &'a str,
    message_encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alt_text: Option<&'a str>,
}

impl<'a> BarcodeJson<'a> {
    fn new(code: &'a Barcode) -> Self {
        Self {
            format: format(code.symbology),
            message: &code.message,
            message_encoding: if code.message.is_ascii() { "iso-8859-1" } else { "utf-8" },
            alt_text: code.alt_text.as_deref(),
        }
    }
}

const fn format(symbology: Symbology) -> &'static str {
    match symbology {
        Symbology::Qr => "PKBarcodeFormatQR",
        Symbology::Pdf417 => "PKBarcodeFormatPDF417",
        Symbology::Aztec => "PKBarcodeFormatAztec",
        Symbology::Code128 => "PKBarcodeFormatCode128",
        Symbology::Code39 => "PKBarcodeFormatCode39",
        Symbology::Codabar => "PKBarcodeFormatCodabar",
        Symbology::Ean13 => "PKBarcodeFormatEAN13",
        Symbology::I2of5 => "PKBarcodeFormatI2of5",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LocationJson<'a> {
    latitude: f64,
    longitude: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    altitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relevant_text: Option<&'a str>,
}

impl<'a> LocationJson<'a> {
    fn new(place: &'a Place) -> Self {
        Self {
            latitude: place.position.latitude,
            longitude: place.position.longitude,
            altitude: place.altitude,
            relevant_text: place.text.as_ref().map(default),
        }
    }
}

#[derive(Serialize)]
struct BeaconJson<'a> {
    #[serde(rename = "proximityUUID")]
    proximity_uuid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minor: Option<u16>,
    #[serde(rename = "relevantText", skip_serializing_if = "Option::is_none")]
    relevant_text: Option<&'a str>,
}

impl<'a> BeaconJson<'a> {
    fn new(beacon: &'a Beacon) -> Self {
        Self {
            proximity_uuid: &beacon.uuid,
            major: beacon.major,
            minor: beacon.minor,
            relevant_text: beacon.text.as_ref().map(default),
        }
    }
}

/// Both spellings of a single moment: iOS 18 knows `relevantDate`, iOS 26 calls it `date`.
fn occasion(occasion: &Occasion) -> Json {
    match occasion {
        Occasion::At(at) => serde_json::json!({ "date": moment(*at), "relevantDate": moment(*at) }),
        Occasion::Between(from, to) => serde_json::json!({ "startDate": moment(*from), "endDate": moment(*to) }),
    }
}

/// The fields of a style, area by area.
struct Style<'a> {
    pass: &'a Pass<'a>,
    is_poster: bool,
}

/// Primary fields of a generic poster at most.
const POSTER_PRIMARY_MAX: usize = 4;

impl Serialize for Style<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut areas = AREAS.map(|name| (name, Vec::new()));
        let mut put = |area: &str, field| {
            if let Some((_, fields)) = areas.iter_mut().find(|(name, _)| *name == area) {
                fields.push(field);
            }
        };
        for (area, field) in placed(self.pass.content, self.is_poster) {
            put(area, FieldJson::new(field, self.key(&field.key)));
        }
        for (index, link) in self.pass.content.links.iter().enumerate() {
            let key = format!("link{}", index + 1);
            put("backFields", FieldJson::link(self.key(&key).into_owned(), default(&link.label), address(&link.uri)));
        }
        let mut style = serializer.serialize_map(None)?;
        if let (AppleStyle::BoardingPass, Some(transit_type)) = (self.pass.design.style, &self.pass.design.transit_type)
        {
            style.serialize_entry("transitType", transit_type)?;
        }
        for (name, fields) in areas.iter().filter(|(_, fields)| !fields.is_empty()) {
            style.serialize_entry(name, fields)?;
        }
        style.end()
    }
}

/// A link as the back of a pass shows it: a phone finds numbers and mail addresses by itself.
pub fn address(uri: &str) -> &str {
    uri.strip_prefix("tel:").or_else(|| uri.strip_prefix("mailto:")).unwrap_or(uri)
}

/// The fields with the area that each is in, of the classic style or of a generic poster.
pub fn placed(content: &Content, is_poster: bool) -> Vec<(&'static str, &Field)> {
    let is_poster_event = is_poster_event(content);
    let mut primary = 0;
    let mut placed = Vec::with_capacity(content.fields.len());
    for field in &content.fields {
        let area = field.apple_area.unwrap_or_else(|| area_of(field.role));
        let Some(mut name) = area_name(area, is_poster, is_poster_event) else { continue };
        if name == "primaryFields" {
            primary += 1;
            if is_poster && primary > POSTER_PRIMARY_MAX {
                name = "additionalInfoFields";
            }
        }
        placed.push((name, field));
    }
    placed
}

/// Whether the pass asks for the poster look of an event ticket.
pub fn is_poster_event(content: &Content) -> bool {
    let schemes = content.extras.apple.get("preferredStyleSchemes").and_then(Json::as_array);
    schemes.is_some_and(|schemes| schemes.iter().any(|scheme| scheme == "posterEventTicket"))
}

/// Where an area of ours is in a style; `None` for what is not shown.
const fn area_name(area: AppleArea, is_poster: bool, is_poster_event: bool) -> Option<&'static str> {
    let name = match (area, is_poster) {
        (AppleArea::Hidden, _) => return None,
        (AppleArea::Header, _) => "headerFields",
        (AppleArea::Primary, _) | (AppleArea::Secondary, true) => "primaryFields",
        (AppleArea::Secondary, false) => "secondaryFields",
        (AppleArea::Footer, true) => "footerFields",
        (AppleArea::Auxiliary | AppleArea::Footer, false) => "auxiliaryFields",
        (AppleArea::Auxiliary | AppleArea::AdditionalInfo, true) => "additionalInfoFields",
        (AppleArea::AdditionalInfo, false) if is_poster_event => "additionalInfoFields",
        (AppleArea::Back, _) | (AppleArea::AdditionalInfo, false) => "backFields",
    };
    Some(name)
}

impl Style<'_> {
    /// Keys are unique in the whole pass, and a poster repeats the fields of the classic style beside it.
    fn key<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if self.is_poster { Cow::Owned(format!("poster_{key}")) } else { Cow::Borrowed(key) }
    }
}

const fn area_of(role: FieldRole) -> AppleArea {
    match role {
        FieldRole::Balance | FieldRole::EventStart => AppleArea::Header,
        FieldRole::Offer | FieldRole::EventName | FieldRole::Heading => AppleArea::Primary,
        FieldRole::MemberName
        | FieldRole::Tier
        | FieldRole::SecondaryBalance
        | FieldRole::Venue
        | FieldRole::DoorsOpen
        | FieldRole::Subheading => AppleArea::Secondary,
        FieldRole::NextReward
        | FieldRole::Expiry
        | FieldRole::Gate
        | FieldRole::Section
        | FieldRole::Row
        | FieldRole::Seat
        | FieldRole::TicketType => AppleArea::Auxiliary,
        FieldRole::MemberNumber | FieldRole::TicketNumber | FieldRole::Note | FieldRole::Info => AppleArea::Back,
    }
}

/// One field.
struct FieldJson<'a> {
    key: Cow<'a, str>,
    label: Option<&'a str>,
    value: ValueRef<'a>,
    change_message: Option<&'a str>,
    own: Option<&'a Map<String, Json>>,
}

enum ValueRef<'a> {
    Text(&'a str),
    Of(&'a Value),
}

impl<'a> FieldJson<'a> {
    fn new(field: &'a Field, key: Cow<'a, str>) -> Self {
        Self {
            key,
            label: field.label.as_ref().map(default),
            value: ValueRef::Of(&field.value),
            change_message: field.change_message.as_ref().map(default),
            own: Some(&field.apple),
        }
    }

    const fn link(key: String, label: &'a str, address: &'a str) -> Self {
        Self {
            key: Cow::Owned(key),
            label: Some(label),
            value: ValueRef::Text(address),
            change_message: None,
            own: None,
        }
    }
}

impl Serialize for FieldJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut field = serializer.serialize_map(None)?;
        field.serialize_entry("key", &self.key)?;
        if let Some(label) = self.label {
            field.serialize_entry("label", label)?;
        }
        match self.value {
            ValueRef::Text(text) => field.serialize_entry("value", text)?,
            ValueRef::Of(Value::Text(text)) => field.serialize_entry("value", &text.default)?,
            ValueRef::Of(Value::Number(amount)) => {
                field.serialize_entry("value", &number(*amount))?;
                if !self.own.is_some_and(|own| own.contains_key("numberStyle")) {
                    field.serialize_entry("numberStyle", "PKNumberStyleDecimal")?;
                }
            }
            ValueRef::Of(Value::Percent(share)) => {
                field.serialize_entry("value", &number(*share))?;
                field.serialize_entry("numberStyle", "PKNumberStylePercent")?;
            }
            ValueRef::Of(Value::Money(amount, currency)) => {
                field.serialize_entry("value", &number(*amount))?;
                field.serialize_entry("currencyCode", currency.code())?;
            }
            ValueRef::Of(Value::Moment(shown)) => moment_field(&mut field, shown)?,
        }
        if let Some(message) = self.change_message {
            field.serialize_entry("changeMessage", message)?;
        }
        for (name, value) in self.own.into_iter().flatten() {
            field.serialize_entry(name, value)?;
        }
        field.end()
    }
}

fn moment_field<M: serde::ser::SerializeMap>(field: &mut M, shown: &Moment) -> Result<(), M::Error> {
    field.serialize_entry("value", &moment(shown.at))?;
    field.serialize_entry("dateStyle", style(shown.date))?;
    field.serialize_entry("timeStyle", style(shown.time))?;
    if shown.in_own_zone {
        field.serialize_entry("ignoresTimeZone", &true)?;
    }
    if shown.is_relative {
        field.serialize_entry("isRelative", &true)?;
    }
    Ok(())
}

/// Dates and times of day share the words.
const fn style(style: MomentStyle) -> &'static str {
    match style {
        MomentStyle::None => "PKDateStyleNone",
        MomentStyle::Short => "PKDateStyleShort",
        MomentStyle::Medium => "PKDateStyleMedium",
        MomentStyle::Long => "PKDateStyleLong",
        MomentStyle::Full => "PKDateStyleFull",
    }
}

/// A JSON number, never a string: with at most 15 digits it is exact.
fn number(number: Decimal) -> Number {
    let whole = i64::try_from(number).ok().filter(|_| number.is_integer()).map(Number::from);
    let part = || number.to_string().parse::<f64>().ok().and_then(Number::from_f64);
    whole.or_else(part).unwrap_or_else(|| Number::from(0))
}

/// With a zone and without fractions: the form that every iOS takes.
pub(super) fn moment(moment: DateTime<FixedOffset>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn utc(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_names_the_team_of_whoever_signs_it() {
        let of = |team: &str| {
            let text =
                |team| format!("{{\"a\":1,\"teamIdentifier\":{},\"b\":\"\\\"teamIdentifier\"}}", Json::from(team));
            let changed = of_team(text(team).as_bytes(), "NEW").into_owned();
            assert_eq!(String::from_utf8(changed).unwrap(), text("NEW"), "{team}");
        };
        ["OLD", "NEW", "", "a\"b,\\"].into_iter().for_each(of);
        assert_eq!(of_team(b"{}", "NEW").as_ref(), b"{}");
    }
}
