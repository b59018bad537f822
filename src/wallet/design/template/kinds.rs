//! `[offer]` and `[event]`: what only one kind of pass has.

use super::Reading;
use crate::domain::content::{EventKind, Redemption};
use crate::domain::pass::PassKind;
use crate::wallet::design::reader::Section;
use crate::wallet::design::{EventDesign, OfferDesign, SeatDesign, VenueDesign};

/// Names of an event's performers at most.
const PERFORMERS_MAX: usize = 20;

impl Reading<'_> {
    pub(super) fn offer(&self, top: &Section<'_>) -> Option<OfferDesign> {
        let section = self.own_section(top, "offer", PassKind::Coupon)?;
        let offer = OfferDesign {
            title: self.required_phrase(&section, "title"),
            provider: self.required_phrase(&section, "provider"),
            details: self.phrases.take_phrase(&section, "details"),
            fine_print: self.phrases.take_phrase(&section, "fine_print"),
            redemption: section.word("redemption").unwrap_or(Redemption::Both),
        };
        section.finish();
        Some(offer)
    }

    pub(super) fn event(&self, top: &Section<'_>) -> Option<EventDesign> {
        let section = self.own_section(top, "event", PassKind::Event)?;
        let plain = |key| self.phrases.take_plain(&section, key);
        let event = EventDesign {
            name: self.required_phrase(&section, "name"),
            kind: section.word("kind").unwrap_or(EventKind::Generic),
            starts_at: plain("starts_at"),
            ends_at: plain("ends_at"),
            doors_at: plain("doors_at"),
            venue: section.section("venue").map(|section| self.venue(section)).unwrap_or_default(),
            seat: section.section("seat").map(|section| self.seat(section)).unwrap_or_default(),
            holder: plain("holder"),
            ticket_type: plain("ticket_type"),
            ticket_number: plain("ticket_number"),
            performers: section
                .texts("performers")
                .into_iter()
                .take(PERFORMERS_MAX)
                .map(|(text, at)| self.phrases.plain(&section, "performers", text, at))
                .collect(),
            home_team: plain("home_team"),
            away_team: plain("away_team"),
        };
        section.finish();
        Some(event)
    }

    fn venue(&self, section: Section<'_>) -> VenueDesign {
        let plain = |key| self.phrases.take_plain(&section, key);
        let number = |key| self.phrases.take_number(&section, key);
        let venue = VenueDesign {
            name: plain("name"),
            address: plain("address"),
            region: plain("region"),
            room: plain("room"),
            latitude: number("latitude"),
            longitude: number("longitude"),
        };
        if venue.latitude.is_some() != venue.longitude.is_some() {
            section.fault("latitude", section.at, "and longitude go together");
        }
        section.finish();
        venue
    }

    fn seat(&self, section: Section<'_>) -> SeatDesign {
        let plain = |key| self.phrases.take_plain(&section, key);
        let seat =
            SeatDesign { section: plain("section"), row: plain("row"), number: plain("number"), gate: plain("gate") };
        section.finish();
        seat
    }

    /// A table that one kind of pass must have and no other may.
    fn own_section<'s>(&self, top: &Section<'s>, key: &'static str, kind: PassKind) -> Option<Section<'s>> {
        match (top.get(key).map(|value| value.span().start), self.kind == kind) {
            (None, true) => top.fault(key, 0, format!("is missing: a {kind} has this table")),
            (Some(at), false) => top.fault(key, at, format!("is for the kind {kind}; this is a {}", self.kind)),
            _ => {}
        }
        top.section(key)
    }
}
