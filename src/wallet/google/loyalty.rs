//! `LoyaltyClass` and `LoyaltyObject`.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Value as Json, json};

use crate::domain::content::{Content, Field, FieldRole, GoogleArea, Value};
use crate::domain::shown::shown;
use crate::wallet::google::Surroundings;
use crate::wallet::google::parts::{self, class_id, field_in, image, localized, put, put_text};

/// Names of tiers live on classes (a class-wide `rewardsTier`), so each tier has its own class.
pub fn class(content: &Content, place: Surroundings<'_>) -> Json {
    let locale = content.default_locale;
    let mut class = json!({
        "id": class_id(content, place),
        "programLogo": image(place, &["googleLogo", "logo"], &content.organization, locale),
        "heroImage": image(place, &["googleHero", "strip"], &content.description, locale),
        "hexBackgroundColor": content.colors.background.to_string(),
        // The only status that a class may be sent with, also after Google approved it.
        "reviewStatus": "UNDER_REVIEW",
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    });
    put_text(&mut class, "issuerName", Some(&content.organization), locale);
    put_text(&mut class, "programName", Some(&content.program_name), locale);
    if let Some(tier) = content.field(FieldRole::Tier) {
        put_text(&mut class, "rewardsTier", Some(&content.spoken(&tier.value)), locale);
        put_text(&mut class, "rewardsTierLabel", tier.label.as_ref(), locale);
    }
    class
}

pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    let mut object = parts::object(content, place);
    let said = |area| field_in(content, area).map(|field| shown(&field.value, content.default_locale));
    let balance = |area| field_in(content, area).map(|field| points(content, field));
    put(&mut object, "loyaltyPoints", json!(balance(GoogleArea::Points)));
    put(&mut object, "secondaryLoyaltyPoints", json!(balance(GoogleArea::SecondaryPoints)));
    put(&mut object, "accountName", json!(said(GoogleArea::AccountName)));
    put(&mut object, "accountId", json!(said(GoogleArea::AccountId)));
    object
}

/// A balance has one member of four; the others are nulled, or an update of another type would leave the old one behind.
fn points(content: &Content, field: &Field) -> Json {
    let mut balance = json!({ "int": null, "double": null, "string": null, "money": null });
    let said = || json!(shown(&field.value, content.default_locale));
    match &field.value {
        // int is an int32 on Google's side.
        Value::Number(number) if number.is_integer() => match number.to_i32() {
            Some(number) => put(&mut balance, "int", json!(number)),
            None => put(&mut balance, "string", said()),
        },
        Value::Number(number) => put(&mut balance, "double", json!(number.to_f64())),
        Value::Money(amount, currency) => {
            let micros = amount.checked_mul(Decimal::from(1_000_000)).and_then(|micros| micros.round().to_i64());
            let money = micros.map(|micros| json!({ "currencyCode": currency.code(), "micros": micros.to_string() }));
            put(&mut balance, "money", json!(money));
        }
        Value::Text(_) | Value::Percent(_) | Value::Moment(_) => put(&mut balance, "string", said()),
    }
    json!({
        "label": field.label.as_ref().map(|label| &label.default),
        "localizedLabel": field.label.as_ref().map(|label| localized(label, content.default_locale)),
        "balance": balance,
    })
}
