//! `pass.json` of a store card, from neutral content. Keys and rules: Apple, Wallet Passes, "Pass".

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::domain::content::{AppleArea, Content, Field, FieldRole, Value};

/// What the content does not know: who signs and where updates come from.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub pass_type: &'a str,
    pub team: &'a str,
    /// Without a slash at its end: some clients append `/v1/…` naively.
    pub web_service_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PassJson<'a> {
    format_version: u8,
    pass_type_identifier: &'a str,
    team_identifier: &'a str,
    serial_number: &'a str,
    #[serde(rename = "webServiceURL")]
    web_service_url: &'a str,
    organization_name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_text: Option<&'a str>,
    background_color: String,
    foreground_color: String,
    label_color: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    voided: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<String>,
    barcodes: [BarcodeJson<'a>; 1],
    /// A copy of the first: many third-party readers look nowhere else.
    barcode: BarcodeJson<'a>,
    store_card: Areas<'a>,
}

#[derive(Serialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct BarcodeJson<'a> {
    format: &'static str,
    message: &'a str,
    message_encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alt_text: Option<&'a str>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Areas<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    header_fields: Vec<FieldJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    primary_fields: Vec<FieldJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secondary_fields: Vec<FieldJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    auxiliary_fields: Vec<FieldJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    back_fields: Vec<FieldJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldJson<'a> {
    key: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    value: ValueJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number_style: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_style: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_style: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_message: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueJson<'a> {
    Text(&'a str),
    Integer(i64),
    Date(String),
}

/// `pass.json` without its `authenticationToken`: what is kept and hashed holds no secret. [`with_token`] adds it.
pub fn render(content: &Content, identity: Identity<'_>) -> Vec<u8> {
    let barcode = BarcodeJson {
        format: "PKBarcodeFormatQR",
        message: &content.barcode.message,
        message_encoding: if content.barcode.message.is_ascii() { "iso-8859-1" } else { "utf-8" },
        alt_text: content.barcode.alt_text.as_deref(),
    };
    let pass = PassJson {
        format_version: 1,
        pass_type_identifier: identity.pass_type,
        team_identifier: identity.team,
        serial_number: &content.serial,
        web_service_url: identity.web_service_url,
        organization_name: &content.organization.default,
        description: &content.description.default,
        logo_text: content.logo_text.as_ref().map(|text| text.default.as_str()),
        background_color: content.colors.background.to_rgb(),
        foreground_color: content.colors.foreground.to_rgb(),
        label_color: content.colors.label.to_rgb(),
        voided: !content.status.is_good(),
        expiration_date: content.expires_at.map(date),
        barcodes: [barcode],
        barcode,
        store_card: areas(content),
    };
    serde_json::to_vec(&pass).expect("a pass is made of strings and numbers")
}

/// The bytes that go into the bundle.
pub fn with_token(pass_json: &[u8], token: &str) -> Vec<u8> {
    let mut whole = Vec::with_capacity(pass_json.len() + token.len() + 26);
    whole.extend_from_slice(b"{\"authenticationToken\":\"");
    whole.extend_from_slice(token.as_bytes());
    whole.extend_from_slice(b"\",");
    whole.extend_from_slice(pass_json.strip_prefix(b"{").unwrap_or(pass_json));
    whole
}

fn areas(content: &Content) -> Areas<'_> {
    let mut areas = Areas::default();
    for field in &content.fields {
        let list = match field.apple_area.unwrap_or_else(|| area_of(field.role)) {
            AppleArea::Header => &mut areas.header_fields,
            AppleArea::Primary => &mut areas.primary_fields,
            AppleArea::Secondary => &mut areas.secondary_fields,
            AppleArea::Auxiliary => &mut areas.auxiliary_fields,
            AppleArea::Back => &mut areas.back_fields,
        };
        list.push(field_json(field));
    }
    for (index, link) in content.links.iter().enumerate() {
        areas.back_fields.push(FieldJson {
            key: format!("link{}", index + 1).into(),
            label: Some(&link.label.default),
            value: ValueJson::Text(link.uri.strip_prefix("tel:").unwrap_or(&link.uri)),
            number_style: None,
            date_style: None,
            time_style: None,
            change_message: None,
        });
    }
    areas
}

const fn area_of(role: FieldRole) -> AppleArea {
    match role {
        FieldRole::Balance => AppleArea::Header,
        FieldRole::MemberName | FieldRole::Tier | FieldRole::SecondaryBalance => AppleArea::Secondary,
        FieldRole::NextReward | FieldRole::Expiry => AppleArea::Auxiliary,
        FieldRole::MemberNumber | FieldRole::Note | FieldRole::Info => AppleArea::Back,
    }
}

fn field_json(field: &Field) -> FieldJson<'_> {
    let is_date = matches!(field.value, Value::Date(_));
    FieldJson {
        key: field.key.as_str().into(),
        label: field.label.as_ref().map(|label| label.default.as_str()),
        value: match &field.value {
            Value::Text(text) => ValueJson::Text(&text.default),
            Value::Integer(number) => ValueJson::Integer(*number),
            Value::Date(moment) => ValueJson::Date(date(*moment)),
        },
        number_style: matches!(field.value, Value::Integer(_)).then_some("PKNumberStyleDecimal"),
        date_style: is_date.then_some("PKDateStyleMedium"),
        time_style: is_date.then_some("PKDateStyleNone"),
        change_message: field.change_message.as_ref().map(|text| text.default.as_str()),
    }
}

/// With a zone and without fractions: the form that every iOS takes.
fn date(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
