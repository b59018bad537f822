//! What classes and objects of every kind have in common.

use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::domain::barcode::Symbology;
use crate::domain::content::{Content, Field, FieldRole, GoogleArea, Offer, Text};
use crate::domain::locale::Locale;
use crate::domain::pass::{PassKind, PassStatus};
use crate::domain::shown::shown;
use crate::wallet::google::Surroundings;

pub fn put(object: &mut Json, member: &str, value: Json) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}

/// A text on a class or an object, and its translations beside it (`title`, `localizedTitle`).
pub fn put_text(object: &mut Json, member: &str, text: Option<&Text>, locale: Locale) {
    let Some(text) = text else { return };
    let mut capital = member.chars();
    let rest: String = capital.next().into_iter().flat_map(char::to_uppercase).chain(capital).collect();
    put(object, member, json!(text.default));
    put(object, &format!("localized{rest}"), localized(text, locale));
}

/// `<issuer>.p.<serial>`: a serial is letters and digits; what a moved pass brings along else becomes `_` and a digest.
pub fn object_id(issuer_id: &str, serial: &str) -> String {
    let is_plain = serial.len() <= 60 && serial.bytes().all(is_id_byte);
    if is_plain { format!("{issuer_id}.p.{serial}") } else { format!("{issuer_id}.p._{}", digest(serial, 16)) }
}

/// What tells an offer from others by its texts, and an event by its name, its place and its begin.
pub fn own_key(content: &Content) -> Option<String> {
    let identity = match content.kind {
        PassKind::Coupon => {
            let Offer { title, provider, details, fine_print, redemption } = content.offer.as_ref()?;
            json!([title, provider, details, fine_print, redemption])
        }
        PassKind::Event => {
            let event = content.event.as_ref()?;
            json!([event.name, event.starts_at, event.venue.name])
        }
        PassKind::Loyalty | PassKind::Generic => return None,
    };
    Some(format!("_{}", digest(&identity.to_string(), 8)))
}

/// Items of a row, and rows of a card. (Google Wallet API, `CardTemplateOverride`.)
const ITEMS: usize = 3;
const ROWS: usize = 3;

/// The rows of the card's face; `None`: as Google has them by itself.
pub fn card_rows(keys: &[&str]) -> Option<Json> {
    let item = |key: &&str| {
        let path = format!("object.textModulesData['{key}']");
        json!({ "firstValue": { "fields": [{ "fieldPath": path }] } })
    };
    let row = |keys: &[&str]| match keys {
        [one] => json!({ "oneItem": { "item": item(one) } }),
        [start, end] => json!({ "twoItems": { "startItem": item(start), "endItem": item(end) } }),
        [start, middle, end, ..] => {
            json!({ "threeItems": { "startItem": item(start), "middleItem": item(middle), "endItem": item(end) } })
        }
        [] => Json::Null,
    };
    let rows: Vec<Json> = keys.chunks(ITEMS).take(ROWS).map(row).collect();
    (!rows.is_empty()).then(|| json!({ "cardTemplateOverride": { "cardRowTemplateInfos": rows } }))
}

/// All that Google takes in an id beside the dot.
const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn digest(text: &str, bytes: usize) -> String {
    hex::encode(Sha256::digest(text).get(..bytes).unwrap_or_default())
}

/// `<issuer>.t.<template>`, with what tells the offer or event apart, by the template's own key or by itself, and with the
/// tier: Google keeps them on the class.
pub fn class_id(content: &Content, place: Surroundings<'_>) -> String {
    let mut id = format!("{}.t.{}", place.issuer_id, place.template.uuid().simple());
    if let Some(key) = &content.extras.google_class_key {
        let is_plain = key.len() <= 18 && key.bytes().all(is_id_byte);
        id.push_str(&if is_plain { format!(".{key}") } else { format!("._{}", digest(key, 8)) });
    } else if let Some(key) = own_key(content) {
        id.push_str(&format!(".{key}"));
    }
    if let (PassKind::Loyalty, Some(tier)) = (content.kind, content.field(FieldRole::Tier)) {
        id.push_str(&format!(".{}", digest(&shown(&tier.value, content.default_locale), 4)));
    }
    id
}

pub const fn state(status: PassStatus) -> &'static str {
    match status {
        PassStatus::Active => "ACTIVE",
        PassStatus::Voided => "INACTIVE",
        PassStatus::Expired => "EXPIRED",
    }
}

/// What every object has.
pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    let end = content.expires_at.map(|end| end.to_rfc3339_opts(SecondsFormat::Secs, true));
    json!({
        "id": object_id(place.issuer_id, &content.serial),
        "classId": class_id(content, place),
        "state": state(content.status),
        // Null clears what an earlier version of the pass had.
        "barcode": content.barcodes.iter().find_map(|code| Some(json!({
            "type": code_type(code.symbology, &code.message)?,
            "value": code.message,
            "alternateText": code.alt_text,
        }))),
        "textModulesData": modules(content),
        "linksModuleData": { "uris": links(content) },
        "validTimeInterval": end.map(|end| json!({ "end": { "date": end } })),
        "merchantLocations": content.relevance.places.iter().map(|place| json!({
            "latitude": place.position.latitude, "longitude": place.position.longitude,
        })).collect::<Vec<_>>(),
    })
}

/// `None` for what Google does not draw.
fn code_type(symbology: Symbology, message: &str) -> Option<&'static str> {
    match symbology {
        Symbology::Qr => Some("QR_CODE"),
        Symbology::Pdf417 => Some("PDF_417"),
        Symbology::Aztec => Some("AZTEC"),
        Symbology::Code128 => Some("CODE_128"),
        Symbology::Code39 => Some("CODE_39"),
        Symbology::Codabar => Some("CODABAR"),
        Symbology::Ean13 => Some("EAN_13"),
        Symbology::I2of5 => (message.len() == 14).then_some("ITF_14"),
    }
}

/// Where Google shows a field.
pub fn area(content: &Content, field: &Field) -> GoogleArea {
    use PassKind::{Coupon, Event, Generic, Loyalty};
    if let Some(area) = field.google_area {
        return area;
    }
    match (field.role, content.kind) {
        (FieldRole::Balance, Loyalty) => GoogleArea::Points,
        (FieldRole::SecondaryBalance, Loyalty) => GoogleArea::SecondaryPoints,
        (FieldRole::MemberName, Loyalty) => GoogleArea::AccountName,
        (FieldRole::MemberNumber, Loyalty) => GoogleArea::AccountId,
        // These have places of their own, filled from the class, the offer or the event.
        (FieldRole::Tier, Loyalty) | (FieldRole::Offer, Coupon) | (FieldRole::Heading, Generic) => GoogleArea::Hidden,
        (role, Event) if is_in_event(content, role) => GoogleArea::Hidden,
        _ => GoogleArea::Text,
    }
}

/// Whether Google shows what a field says from `[event]` already.
fn is_in_event(content: &Content, role: FieldRole) -> bool {
    let Some(event) = &content.event else { return false };
    match role {
        FieldRole::EventName => true,
        FieldRole::EventStart => event.starts_at.is_some(),
        FieldRole::DoorsOpen => event.doors_at.is_some(),
        // A venue has both or is left out.
        FieldRole::Venue => event.venue.name.is_some() && event.venue.address.is_some(),
        FieldRole::Gate => event.seat.gate.is_some(),
        FieldRole::Section => event.seat.section.is_some(),
        FieldRole::Row => event.seat.row.is_some(),
        FieldRole::Seat => event.seat.number.is_some(),
        FieldRole::TicketType => event.ticket_type.is_some(),
        FieldRole::TicketNumber => event.ticket_number.is_some(),
        FieldRole::MemberName => event.holder.is_some(),
        _ => false,
    }
}

/// The first field that Google shows in an area.
pub fn field_in(content: &Content, wanted: GoogleArea) -> Option<&Field> {
    content.fields.iter().find(|field| area(content, field) == wanted)
}

fn modules(content: &Content) -> Vec<Json> {
    let texts =
        content.fields.iter().filter(|field| matches!(area(content, field), GoogleArea::Text | GoogleArea::Card));
    texts
        .map(|field| {
            let mut module = json!({ "id": field.key });
            put_text(&mut module, "header", field.label.as_ref(), content.default_locale);
            put_text(&mut module, "body", Some(&content.spoken(&field.value)), content.default_locale);
            module
        })
        .collect()
}

fn links(content: &Content) -> Vec<Json> {
    let links = content.links.iter().enumerate().map(|(index, link)| {
        let mut uri = json!({ "id": format!("link{}", index + 1), "uri": link.uri });
        put_text(&mut uri, "description", Some(&link.label), content.default_locale);
        uri
    });
    links.collect()
}

pub fn localized(text: &Text, default_locale: Locale) -> Json {
    let translation = |language: Locale, value: &str| json!({ "language": language.as_str(), "value": value });
    json!({
        "defaultValue": translation(default_locale, &text.default),
        "translatedValues":
            text.translations.iter().map(|(locale, text)| translation(*locale, text)).collect::<Vec<_>>(),
    })
}

/// The largest image of the first kind that the design has; null where it has none.
pub fn image(place: Surroundings<'_>, kinds: &[&str], description: &Text, default_locale: Locale) -> Json {
    let names = kinds.iter().flat_map(|kind| ["@3x", "@2x", ""].map(|scale| format!("{kind}{scale}.png")));
    // Google has one image for all languages: of an image that differs by language, the default language's.
    let paths = names.flat_map(|name| [name.clone(), format!("{default_locale}/{name}")]);
    let Some(path) = paths.into_iter().find(|path| place.images.contains(&path.as_str())) else { return Json::Null };
    json!({
        "sourceUri": { "uri": format!("{}{path}", place.images_url) },
        "contentDescription": localized(description, default_locale),
    })
}

/// With the offset of the place where it happens: Google turns the features of a time without one off.
pub fn moment(at: DateTime<FixedOffset>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
