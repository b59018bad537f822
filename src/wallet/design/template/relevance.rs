//! `[[places]]`, `[[beacons]]` and `[[dates]]`: where and when phones offer a pass by themselves.

use std::collections::BTreeSet;

use super::Reading;
use crate::domain::pass::PassKind;
use crate::wallet::design::phrase::Plain;
use crate::wallet::design::reader::Section;
use crate::wallet::design::{BeaconDesign, OccasionDesign, PlaceDesign};

/// Entries of each list at most: phones look at no more places.
const PLACES_MAX: usize = 10;
const BEACONS_MAX: usize = 50;
const OCCASIONS_MAX: usize = 20;

impl Reading<'_> {
    pub(super) fn max_distance(&self, top: &Section<'_>) -> Option<u32> {
        let (metres, at) = top.integer("max_distance")?;
        let read = u32::try_from(metres).ok().filter(|metres| (1..=100_000).contains(metres));
        if read.is_none() {
            top.fault("max_distance", at, "must be metres, from 1 to 100000");
        }
        read
    }

    pub(super) fn places(&self, top: &Section<'_>) -> Vec<PlaceDesign> {
        let sections = top.sections("places");
        if let Some(surplus) = sections.get(PLACES_MAX) {
            top.fault("places", surplus.at, "has over 10 entries; phones look at no more");
        }
        let place = |section: Section<'_>| {
            let place = PlaceDesign {
                latitude: self.required_number(&section, "latitude"),
                longitude: self.required_number(&section, "longitude"),
                altitude: self.phrases.take_number(&section, "altitude"),
                text: self.phrases.take_phrase(&section, "text"),
            };
            for (key, plain, bound) in [("latitude", &place.latitude, 90.0), ("longitude", &place.longitude, 180.0)] {
                if let Plain::Literal(text) = plain
                    && text.parse::<f64>().is_ok_and(|degrees| degrees.abs() > bound)
                {
                    section.fault(key, section.at, format!("must be from -{bound} to {bound}"));
                }
            }
            section.finish();
            place
        };
        sections.into_iter().map(place).collect()
    }

    pub(super) fn beacons(&self, top: &Section<'_>) -> Vec<BeaconDesign> {
        let mut uuids = BTreeSet::new();
        let mut beacons = Vec::new();
        let sections = top.sections("beacons");
        if let Some(surplus) = sections.get(BEACONS_MAX) {
            top.fault("beacons", surplus.at, format!("has over {BEACONS_MAX} entries"));
        }
        for section in sections.into_iter().take(BEACONS_MAX) {
            let beacon = BeaconDesign {
                uuid: self.required_plain(&section, "uuid"),
                major: self.phrases.take_number(&section, "major"),
                minor: self.phrases.take_number(&section, "minor"),
                text: self.phrases.take_phrase(&section, "text"),
            };
            if let (Plain::Literal(uuid), Some((_, at))) = (&beacon.uuid, section.text("uuid")) {
                if uuid.len() != 36 || uuid::Uuid::parse_str(uuid).is_err() {
                    section.fault("uuid", at, "is no UUID with hyphens");
                }
                uuids.insert(uuid.to_ascii_uppercase());
                if uuids.len() > PLACES_MAX {
                    section.fault("uuid", at, "is the 11th different UUID; phones take 10");
                }
            }
            section.finish();
            beacons.push(beacon);
        }
        beacons
    }

    pub(super) fn occasions(&self, top: &Section<'_>) -> Vec<OccasionDesign> {
        let sections = top.sections("dates");
        if let Some(first) = sections.first()
            && matches!(self.kind, PassKind::Loyalty | PassKind::Coupon)
        {
            top.fault("dates", first.at, format!("phones offer a {} at places, never by date", self.kind));
        }
        if let Some(surplus) = sections.get(OCCASIONS_MAX) {
            top.fault("dates", surplus.at, format!("has over {OCCASIONS_MAX} entries"));
        }
        let occasion = |section: Section<'_>| {
            let part = |key| self.phrases.take_plain(&section, key);
            let found = match (part("at"), part("from"), part("to")) {
                (Some(at), None, None) => Some(OccasionDesign::At(at)),
                (None, Some(from), Some(to)) => Some(OccasionDesign::Between(from, to)),
                _ => {
                    section.file.fault(
                        section.at,
                        format!("{}: wants at, or from and to", section.path("").trim_end_matches('.')),
                    );
                    None
                }
            };
            section.finish();
            found
        };
        sections.into_iter().filter_map(occasion).collect()
    }
}
