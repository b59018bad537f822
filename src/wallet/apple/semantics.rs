//! Semantic tags from neutral content, and what a template says in Apple's words on top.

use serde_json::{Map, Value as Json, json};

use crate::domain::content::{Content, Event, EventKind, FieldRole, Value};
use crate::wallet::apple::pass_json::moment;

/// The tags of a pass. A template's own win over those of the event.
pub fn of(content: &Content) -> Map<String, Json> {
    let mut tags = Map::new();
    if let Some(event) = &content.event {
        put_event(&mut tags, event);
    }
    if let Some(Value::Money(amount, currency)) = content.field(FieldRole::Balance).map(|field| &field.value) {
        // Apple wants the amount of money in a tag as text, unlike a field's.
        tags.insert("balance".to_owned(), json!({ "amount": amount.to_string(), "currencyCode": currency.code() }));
    }
    if let Some(own) = content.extras.apple.get("semantics").and_then(Json::as_object) {
        tags.extend(own.clone());
    }
    tags
}

fn put_event(tags: &mut Map<String, Json>, event: &Event) {
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            tags.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Json::String);
    put("eventName", Some(Json::String(event.name.default.clone())));
    put("eventType", Some(Json::String(event_type(event.kind).to_owned())));
    put("eventStartDate", event.starts_at.map(|at| Json::String(moment(at))));
    put("eventEndDate", event.ends_at.map(|at| Json::String(moment(at))));
    put("venueDoorsOpenDate", event.doors_at.map(|at| Json::String(moment(at))));
    put("venueName", text(&event.venue.name));
    put("venueRegionName", text(&event.venue.region));
    put("venueRoom", text(&event.venue.room));
    let position = event.venue.position;
    put("venueLocation", position.map(|at| json!({ "latitude": at.latitude, "longitude": at.longitude })));
    put("venueEntranceGate", text(&event.seat.gate));
    put("attendeeName", text(&event.holder));
    put("admissionLevel", text(&event.ticket_type));
    let seat = [("seatSection", &event.seat.section), ("seatRow", &event.seat.row), ("seatNumber", &event.seat.number)];
    let seat: Map<String, Json> =
        seat.into_iter().filter_map(|(name, part)| Some((name.to_owned(), Json::String(part.clone()?)))).collect();
    put("seats", (!seat.is_empty()).then(|| json!([seat])));
    put("performerNames", (!event.performers.is_empty()).then(|| json!(event.performers)));
    if let Some((home, away)) = &event.teams {
        put("homeTeamName", Some(json!(home)));
        put("awayTeamName", Some(json!(away)));
    }
}

const fn event_type(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Generic => "PKEventTypeGeneric",
        EventKind::LivePerformance => "PKEventTypeLivePerformance",
        EventKind::Movie => "PKEventTypeMovie",
        EventKind::Sports => "PKEventTypeSports",
        EventKind::Conference => "PKEventTypeConference",
        EventKind::Convention => "PKEventTypeConvention",
        EventKind::Workshop => "PKEventTypeWorkshop",
        EventKind::SocialGathering => "PKEventTypeSocialGathering",
    }
}
