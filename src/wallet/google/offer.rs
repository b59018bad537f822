//! `OfferClass` and `OfferObject`.

use serde_json::{Value as Json, json};

use crate::domain::content::{Content, Redemption};
use crate::wallet::google::Surroundings;
use crate::wallet::google::parts::{self, class_id, image, put, put_text};

/// All texts of an offer live on its class; the object carries the code, the validity and the state.
pub fn class(content: &Content, place: Surroundings<'_>) -> Json {
    let locale = content.default_locale;
    let mut class = json!({
        "id": class_id(content, place),
        "titleImage": image(place, &["googleLogo", "logo"], &content.organization, locale),
        "heroImage": image(place, &["googleHero", "strip"], &content.description, locale),
        "hexBackgroundColor": content.colors.background.to_string(),
        "reviewStatus": "UNDER_REVIEW",
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    });
    put_text(&mut class, "issuerName", Some(&content.organization), locale);
    if let Some(offer) = &content.offer {
        put_text(&mut class, "title", Some(&offer.title), locale);
        put_text(&mut class, "provider", Some(&offer.provider), locale);
        put_text(&mut class, "details", offer.details.as_ref(), locale);
        put_text(&mut class, "finePrint", offer.fine_print.as_ref(), locale);
        let channel = match offer.redemption {
            Redemption::InStore => "INSTORE",
            Redemption::Online => "ONLINE",
            Redemption::Both => "BOTH",
        };
        put(&mut class, "redemptionChannel", json!(channel));
    }
    class
}

pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    parts::object(content, place)
}
