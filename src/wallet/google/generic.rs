//! `GenericClass` and `GenericObject`: everything that is seen is on the object.

use serde_json::{Value as Json, json};

use crate::domain::content::{Content, Field, FieldRole};
use crate::wallet::google::Surroundings;
use crate::wallet::google::parts::{self, class_id, image, localized, put};

pub fn class(content: &Content, place: Surroundings<'_>) -> Json {
    json!({
        "id": class_id(content, place),
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    })
}

pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    let locale = content.default_locale;
    let mut object = parts::object(content, place);
    let said = |field: &Field| localized(&content.spoken(&field.value), locale);
    let heading = content.field(FieldRole::Heading);
    put(&mut object, "cardTitle", localized(&content.program_name, locale));
    // Required: a pass without a heading is headed by what it is.
    put(&mut object, "header", heading.map_or_else(|| localized(&content.description, locale), said));
    put(
        &mut object,
        "subheader",
        json!(heading.and_then(|field| field.label.as_ref()).map(|label| localized(label, locale))),
    );
    put(&mut object, "logo", image(place, &["googleLogo", "logo"], &content.organization, locale));
    put(&mut object, "heroImage", image(place, &["googleHero", "strip", "artwork"], &content.description, locale));
    put(&mut object, "hexBackgroundColor", json!(content.colors.background.to_string()));
    object
}
