//! Puts the content of one pass together, part by part.

use std::fmt;

use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value as Json};

use crate::domain::content::{
    Barcode, Beacon, Content, Event, Extras, Field, Link, Occasion, Offer, Place, Position, Relevance, Seat, Venue,
};
use crate::wallet::apple::nfc;
use crate::wallet::design::extras::Extra;
use crate::wallet::design::phrase::Plain;
use crate::wallet::design::{
    BeaconDesign, Design, EventDesign, OccasionDesign, OfferDesign, PlaceDesign, SeatDesign, VenueDesign,
};
use crate::wallet::dictionary::coerce;
use crate::wallet::render::page::Page;
use crate::wallet::render::{BadRender, State};

pub fn content(page: &Page<'_>, design: &Design, state: &State<'_>) -> Result<Content, BadRender> {
    let links =
        design.links.iter().map(|link| Ok(Link { label: page.phrase(&link.label)?, uri: page.plain(&link.uri)? }));
    Ok(Content {
        kind: design.kind,
        status: state.pass_status,
        serial: state.pass_serial.to_owned(),
        organization: page.required("organization", &design.organization)?,
        description: page.required("description", &design.description)?,
        program_name: page.required("program_name", &design.program_name)?,
        logo_text: page.some_phrase(design.logo_text.as_ref())?,
        colors: design.colors.clone(),
        fields: fields(page, design)?,
        barcodes: barcodes(page, design)?,
        links: links.collect::<Result<_, BadRender>>()?,
        relevance: relevance(page, design)?,
        offer: design.offer.as_ref().map(|offer| self::offer(page, offer)).transpose()?,
        event: design.event.as_ref().map(|event| self::event(page, event)).transpose()?,
        expires_at: page.end("expires_at", design.expires_at.as_ref())?,
        is_shareable: design.is_shareable,
        wants_sign_up: design.sign_up.is_some() && !state.is_signed_up,
        extras: Extras {
            apple: with_compressed_key(members(page, &Path::Top("apple"), &design.apple.keys)?)?,
            google_class: members(page, &Path::Top("google.class"), &design.google.class)?,
            google_object: members(page, &Path::Top("google.object"), &design.google.object)?,
            google_class_key: page.some(design.google.class_key.as_ref())?,
        },
        default_locale: design.default_locale,
    })
}

/// The merchant's key as phones read it (a key that stands in the template already is).
fn with_compressed_key(mut keys: Map<String, Json>) -> Result<Map<String, Json>, BadRender> {
    if let Some(Json::String(key)) = keys.get_mut("nfc").and_then(|nfc| nfc.get_mut("encryptionPublicKey"))
        && !key.starts_with(nfc::COMPRESSED_START)
    {
        let read = nfc::read_key(key);
        *key =
            read.map_err(|error| BadRender::new("apple.nfc.encryptionPublicKey".to_owned(), error.to_string()))?.text;
    }
    Ok(keys)
}

/// A field that says nothing is left out: a member without a tier has no tier field.
fn fields(page: &Page<'_>, design: &Design) -> Result<Vec<Field>, BadRender> {
    let mut fields = Vec::with_capacity(design.fields.len());
    for field in &design.fields {
        let text = page.phrase(&field.value)?;
        if text.default.is_empty() {
            if field.is_required {
                return Err(BadRender::new(format!("fields.{}.value", field.key), "is empty, but required".to_owned()));
            }
            continue;
        }
        fields.push(Field {
            role: field.role,
            key: field.key.clone(),
            label: page.some_phrase(field.label.as_ref())?,
            value: page.value(field, text)?,
            change_message: field.change_message.clone(),
            apple_area: field.apple_area,
            google_area: field.google_area,
            apple: members(page, &Path::Field(&field.key), &field.apple)?,
        });
    }
    Ok(fields)
}

/// A code without a message is left out.
fn barcodes(page: &Page<'_>, design: &Design) -> Result<Vec<Barcode>, BadRender> {
    let mut barcodes = Vec::with_capacity(design.barcodes.len());
    for barcode in &design.barcodes {
        let Some(message) = page.some(Some(&barcode.message))? else { continue };
        let symbology = barcode.symbology;
        symbology.check(&message).map_err(|error| BadRender::new("barcodes.message".to_owned(), error.to_string()))?;
        barcodes.push(Barcode { symbology, message, alt_text: page.some(barcode.alt_text.as_ref())? });
    }
    Ok(barcodes)
}

fn position(
    page: &Page<'_>,
    place: &str,
    latitude: Option<&Plain>,
    longitude: Option<&Plain>,
) -> Result<Option<Position>, BadRender> {
    let (latitude, longitude) = (page.number::<f64>(place, latitude)?, page.number::<f64>(place, longitude)?);
    let (Some(latitude), Some(longitude)) = (latitude, longitude) else { return Ok(None) };
    // Also false for what is no number.
    if !(latitude.abs() <= 90.0 && longitude.abs() <= 180.0) {
        return Err(BadRender::new(place.to_owned(), "is not on this planet".to_owned()));
    }
    Ok(Some(Position { latitude, longitude }))
}

fn relevance(page: &Page<'_>, design: &Design) -> Result<Relevance, BadRender> {
    let mut relevance = Relevance { max_distance: design.max_distance, ..Relevance::default() };
    for place in &design.places {
        relevance.places.extend(self::place(page, place)?);
    }
    for beacon in &design.beacons {
        relevance.beacons.extend(self::beacon(page, beacon)?);
    }
    let moment = |plain: &Plain| page.moment("dates", Some(plain), None);
    for occasion in &design.occasions {
        match occasion {
            OccasionDesign::At(at) => relevance.occasions.extend(moment(at)?.map(Occasion::At)),
            OccasionDesign::Between(from, to) => {
                let (Some(from), Some(to)) = (moment(from)?, moment(to)?) else { continue };
                relevance.occasions.push(interval(from, to)?);
            }
        }
    }
    Ok(relevance)
}

fn interval(from: DateTime<FixedOffset>, to: DateTime<FixedOffset>) -> Result<Occasion, BadRender> {
    let wrong = |reason: &str| BadRender::new("dates".to_owned(), reason.to_owned());
    if to < from {
        return Err(wrong("ends before it begins"));
    }
    if to - from > chrono::TimeDelta::hours(24) {
        return Err(wrong("is longer than 24 hours, which phones do not take"));
    }
    Ok(Occasion::Between(from, to))
}

/// A place that is not known for this pass is left out.
fn place(page: &Page<'_>, place: &PlaceDesign) -> Result<Option<Place>, BadRender> {
    let Some(position) = position(page, "places", Some(&place.latitude), Some(&place.longitude))? else {
        return Ok(None);
    };
    let altitude = page.number::<f64>("places.altitude", place.altitude.as_ref())?.filter(|metres| metres.is_finite());
    Ok(Some(Place { position, altitude, text: page.some_phrase(place.text.as_ref())? }))
}

fn beacon(page: &Page<'_>, beacon: &BeaconDesign) -> Result<Option<Beacon>, BadRender> {
    let Some(uuid) = page.some(Some(&beacon.uuid))? else { return Ok(None) };
    let uuid =
        uuid::Uuid::parse_str(&uuid).map_err(|_| BadRender::new("beacons.uuid".to_owned(), "is no UUID".to_owned()))?;
    Ok(Some(Beacon {
        uuid: uuid.hyphenated().to_string().to_ascii_uppercase(),
        major: page.number("beacons.major", beacon.major.as_ref())?,
        minor: page.number("beacons.minor", beacon.minor.as_ref())?,
        text: page.some_phrase(beacon.text.as_ref())?,
    }))
}

fn offer(page: &Page<'_>, offer: &OfferDesign) -> Result<Offer, BadRender> {
    Ok(Offer {
        title: page.required("offer.title", &offer.title)?,
        provider: page.required("offer.provider", &offer.provider)?,
        details: page.some_phrase(offer.details.as_ref())?,
        fine_print: page.some_phrase(offer.fine_print.as_ref())?,
        redemption: offer.redemption,
    })
}

fn event(page: &Page<'_>, event: &EventDesign) -> Result<Event, BadRender> {
    let moment = |place, plain: Option<&Plain>| page.moment(place, plain, None);
    let mut performers = Vec::new();
    for performer in &event.performers {
        performers.extend(page.some(Some(performer))?);
    }
    let teams = (page.some(event.home_team.as_ref())?, page.some(event.away_team.as_ref())?);
    Ok(Event {
        name: page.required("event.name", &event.name)?,
        kind: event.kind,
        starts_at: moment("event.starts_at", event.starts_at.as_ref())?,
        ends_at: moment("event.ends_at", event.ends_at.as_ref())?,
        doors_at: moment("event.doors_at", event.doors_at.as_ref())?,
        venue: venue(page, &event.venue)?,
        seat: seat(page, &event.seat)?,
        holder: page.some(event.holder.as_ref())?,
        ticket_type: page.some(event.ticket_type.as_ref())?,
        ticket_number: page.some(event.ticket_number.as_ref())?,
        performers,
        teams: teams.0.zip(teams.1),
    })
}

fn venue(page: &Page<'_>, venue: &VenueDesign) -> Result<Venue, BadRender> {
    Ok(Venue {
        name: page.some(venue.name.as_ref())?,
        address: page.some(venue.address.as_ref())?,
        region: page.some(venue.region.as_ref())?,
        room: page.some(venue.room.as_ref())?,
        position: position(page, "event.venue", venue.latitude.as_ref(), venue.longitude.as_ref())?,
    })
}

fn seat(page: &Page<'_>, seat: &SeatDesign) -> Result<Seat, BadRender> {
    Ok(Seat {
        section: page.some(seat.section.as_ref())?,
        row: page.some(seat.row.as_ref())?,
        number: page.some(seat.number.as_ref())?,
        gate: page.some(seat.gate.as_ref())?,
    })
}

/// Where a value stands in the design, written out only when it is at fault.
enum Path<'a> {
    Top(&'static str),
    Field(&'a str),
    Member(&'a Self, &'static str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top(name) => f.write_str(name),
            Self::Field(key) => write!(f, "fields.{key}.apple"),
            Self::Member(of, name) => write!(f, "{of}.{name}"),
        }
    }
}

/// A table in a wallet's words; members that say nothing are left out.
fn members(page: &Page<'_>, path: &Path<'_>, table: &[(&'static str, Extra)]) -> Result<Map<String, Json>, BadRender> {
    let mut members = Map::new();
    for (name, extra) in table {
        if let Some(value) = value(page, &Path::Member(path, name), extra)? {
            members.insert((*name).to_owned(), value);
        }
    }
    Ok(members)
}

fn value(page: &Page<'_>, path: &Path<'_>, extra: &Extra) -> Result<Option<Json>, BadRender> {
    match extra {
        Extra::Known(value) => Ok(Some(value.clone())),
        Extra::Phrase(phrase) => {
            let text = page.phrase(phrase)?;
            Ok(Some(text.default).filter(|text| !text.is_empty()).map(Json::String))
        }
        Extra::Rendered(slot, shape) => {
            let text = page.expression(*slot)?;
            coerce(shape, &text).map_err(|reason| BadRender::new(path.to_string(), reason))
        }
        Extra::List(items) => {
            let mut values = Vec::new();
            for item in items {
                values.extend(value(page, path, item)?);
            }
            Ok(Some(Json::Array(values)).filter(|list| list.as_array().is_some_and(|list| !list.is_empty())))
        }
        Extra::Table(table) => {
            let members = members(page, path, table)?;
            Ok(Some(Json::Object(members)).filter(|table| table.as_object().is_some_and(|table| !table.is_empty())))
        }
    }
}
