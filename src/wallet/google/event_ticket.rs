//! `EventTicketClass` and `EventTicketObject`.

use serde_json::{Map, Value as Json, json};

use crate::domain::content::{Content, Event, Text};
use crate::wallet::google::Surroundings;
use crate::wallet::google::parts::{self, class_id, image, localized, moment, own_key, put, put_text};

pub fn class(content: &Content, place: Surroundings<'_>) -> Json {
    let locale = content.default_locale;
    let mut class = json!({
        "id": class_id(content, place),
        "logo": image(place, &["googleLogo", "logo"], &content.organization, locale),
        "heroImage": image(place, &["googleHero", "strip", "background"], &content.description, locale),
        "hexBackgroundColor": content.colors.background.to_string(),
        "reviewStatus": "UNDER_REVIEW",
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
    });
    put_text(&mut class, "issuerName", Some(&content.organization), locale);
    let Some(event) = &content.event else { return class };
    put(&mut class, "eventName", localized(&event.name, locale));
    // Groups the tickets of one event.
    let key = content.extras.google_class_key.clone().filter(|key| key.len() <= 64).or_else(|| own_key(content));
    put(&mut class, "eventId", json!(key));
    // A venue has both or is refused.
    if let (Some(name), Some(address)) = (&event.venue.name, &event.venue.address) {
        let said = |text: &String| localized(&Text::literal(text.clone()), locale);
        put(&mut class, "venue", json!({ "name": said(name), "address": said(address) }));
    }
    let times = [("start", event.starts_at), ("end", event.ends_at), ("doorsOpen", event.doors_at)];
    let times: Map<String, Json> =
        times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), json!(moment(at?))))).collect();
    if !times.is_empty() {
        put(&mut class, "dateTime", Json::Object(times));
    }
    class
}

pub fn object(content: &Content, place: Surroundings<'_>) -> Json {
    let mut object = parts::object(content, place);
    let Some(event) = &content.event else { return object };
    put(&mut object, "hexBackgroundColor", json!(content.colors.background.to_string()));
    put(&mut object, "ticketHolderName", json!(event.holder));
    put(&mut object, "ticketNumber", json!(event.ticket_number));
    let said = |text: &String| localized(&Text::literal(text.clone()), content.default_locale);
    put(&mut object, "ticketType", json!(event.ticket_type.as_ref().map(said)));
    put(&mut object, "seatInfo", seat(event, said));
    object
}

fn seat(event: &Event, said: impl Fn(&String) -> Json) -> Json {
    let seat = &event.seat;
    let parts = [("section", &seat.section), ("row", &seat.row), ("seat", &seat.number), ("gate", &seat.gate)];
    let parts: Map<String, Json> =
        parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), said(part.as_ref()?)))).collect();
    if parts.is_empty() { Json::Null } else { Json::Object(parts) }
}
