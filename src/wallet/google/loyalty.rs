//! Google's `LoyaltyClass` and `LoyaltyObject`, from neutral content.

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::domain::content::{Content, Field, FieldRole, Text, Value};
use crate::domain::ids::TemplateId;
use crate::domain::locale::Locale;
use crate::domain::pass::PassStatus;

/// Whose objects these are and where Google fetches their images.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub issuer_id: &'a str,
    pub template: TemplateId,
    /// `https://…/i/<brand>/<template>/<version>/`: images follow by name. Versioned, because Google caches.
    pub images_url: &'a str,
    /// The names of the design's images.
    pub images: &'a [&'a str],
}

/// The class of a template. Names of tiers live on classes (a class-wide `rewardsTier`), so each tier has its own class.
pub fn class(content: &Content, place: Surroundings<'_>) -> Json {
    let mut class = json!({
        "id": class_id(content, place),
        "issuerName": content.organization.default,
        "localizedIssuerName": localized(&content.organization, content.default_locale),
        "programName": content.program_name.default,
        "localizedProgramName": localized(&content.program_name, content.default_locale),
        "programLogo": image(place, "logo", &content.organization, content.default_locale),
        "heroImage": image(place, "strip", &content.description, content.default_locale),
        "hexBackgroundColor": content.colors.background.to_string(),
        // The only status that a class may be sent with, also after Google approved it.
        "reviewStatus": "UNDER_REVIEW",
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    });
    if let Some(Field { label, value: Value::Text(tier), .. }) = content.field(FieldRole::Tier) {
        put(&mut class, "rewardsTier", json!(tier.default));
        put(&mut class, "localizedRewardsTier", localized(tier, content.default_locale));
        if let Some(label) = label {
            put(&mut class, "rewardsTierLabel", json!(label.default));
            put(&mut class, "localizedRewardsTierLabel", localized(label, content.default_locale));
        }
    }
    class
}

/// The object of a pass.
pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    let barcode = &content.barcode;
    let mut object = json!({
        "id": object_id(place.issuer_id, &content.serial),
        "classId": class_id(content, place),
        "state": match content.status {
            PassStatus::Active => "ACTIVE",
            PassStatus::Voided => "INACTIVE",
            PassStatus::Expired => "EXPIRED",
        },
        "barcode": {
            "type": "QR_CODE",
            "value": barcode.message,
            // Null clears what an earlier version of the pass had.
            "alternateText": barcode.alt_text,
        },
        "loyaltyPoints": content.field(FieldRole::Balance).map(|field| points(field, content.default_locale)),
        "secondaryLoyaltyPoints":
            content.field(FieldRole::SecondaryBalance).map(|field| points(field, content.default_locale)),
        "accountName": content.field(FieldRole::MemberName).map(|field| plain(&field.value)),
        "accountId": content.field(FieldRole::MemberNumber).map(|field| plain(&field.value)),
        "textModulesData": content.fields.iter().filter_map(|field| module(field, content.default_locale)).collect::<Vec<_>>(),
        "linksModuleData": { "uris": links(content) },
    });
    let end = content.expires_at.map(|end| end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    put(&mut object, "validTimeInterval", end.map_or(Json::Null, |end| json!({ "end": { "date": end } })));
    object
}

fn put(object: &mut Json, member: &str, value: Json) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}

/// `<issuer>.p.<serial>`: a serial is letters and digits, which is all that Google takes beside `.`, `_` and `-`.
pub fn object_id(issuer_id: &str, serial: &str) -> String {
    format!("{issuer_id}.p.{serial}")
}

fn class_id(content: &Content, place: Surroundings<'_>) -> String {
    let template = place.template.uuid().simple();
    match content.field(FieldRole::Tier) {
        None => format!("{}.t.{template}", place.issuer_id),
        Some(tier) => {
            // Tier names hold letters that an id must not.
            let digest = Sha256::digest(plain(&tier.value));
            format!("{}.t.{template}.{}", place.issuer_id, hex::encode(digest.get(..4).unwrap_or_default()))
        }
    }
}

fn points(field: &Field, default_locale: Locale) -> Json {
    let balance = match &field.value {
        // int is an int32 on Google's side.
        Value::Integer(number) => match i32::try_from(*number) {
            Ok(number) => json!({ "int": number, "string": null }),
            Err(_) => json!({ "int": null, "string": number.to_string() }),
        },
        other => json!({ "int": null, "string": plain(other) }),
    };
    json!({
        "label": field.label.as_ref().map(|label| &label.default),
        "localizedLabel": field.label.as_ref().map(|label| localized(label, default_locale)),
        "balance": balance,
    })
}

/// The fields that have no place of their own on Google's card.
fn module(field: &Field, default_locale: Locale) -> Option<Json> {
    match field.role {
        FieldRole::Balance | FieldRole::SecondaryBalance | FieldRole::Tier => return None,
        FieldRole::MemberName | FieldRole::MemberNumber => return None,
        FieldRole::NextReward | FieldRole::Expiry | FieldRole::Note | FieldRole::Info => {}
    }
    let mut module = json!({ "id": field.key });
    if let Some(label) = &field.label {
        put(&mut module, "header", json!(label.default));
        put(&mut module, "localizedHeader", localized(label, default_locale));
    }
    put(&mut module, "body", json!(plain(&field.value)));
    if let Value::Text(text) = &field.value {
        put(&mut module, "localizedBody", localized(text, default_locale));
    }
    Some(module)
}

fn links(content: &Content) -> Vec<Json> {
    let link = |(index, link): (usize, &crate::domain::content::Link)| {
        json!({
            "id": format!("link{}", index + 1),
            "uri": link.uri,
            "description": link.label.default,
            "localizedDescription": localized(&link.label, content.default_locale),
        })
    };
    content.links.iter().enumerate().map(link).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.default.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Date(moment) => moment.format("%Y-%m-%d").to_string(),
    }
}

fn localized(text: &Text, default_locale: Locale) -> Json {
    let translation = |language: Locale, value: &str| json!({ "language": language.as_str(), "value": value });
    json!({
        "defaultValue": translation(default_locale, &text.default),
        "translatedValues":
            text.translations.iter().map(|(locale, text)| translation(*locale, text)).collect::<Vec<_>>(),
    })
}

/// The largest that the design has; null where it has none.
fn image(place: Surroundings<'_>, kind: &str, description: &Text, default_locale: Locale) -> Json {
    let names = ["@3x", "@2x", ""].map(|scale| format!("{kind}{scale}.png"));
    let Some(name) = names.iter().find(|name| place.images.contains(&name.as_str())) else { return Json::Null };
    json!({
        "sourceUri": { "uri": format!("{}{name}", place.images_url) },
        "contentDescription": localized(description, default_locale),
    })
}
