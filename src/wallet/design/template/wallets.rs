//! `[apple]`, `[google]` and `[sign_up]`: what only one wallet knows.

use super::Reading;
use crate::domain::pass::PassKind;
use crate::wallet::apple::dictionary::PASS;
use crate::wallet::apple::nfc;
use crate::wallet::design::extras::Extra;
use crate::wallet::design::reader::Section;
use crate::wallet::design::{AppleDesign, AppleStyle, Files, GoogleDesign, SignUp, SignUpField, extras};
use crate::wallet::google::dictionary as google;

const TRANSIT_TYPES: &[&str] =
    &["PKTransitTypeAir", "PKTransitTypeBoat", "PKTransitTypeBus", "PKTransitTypeGeneric", "PKTransitTypeTrain"];

impl Reading<'_> {
    pub(super) fn apple(&self, top: &Section<'_>) -> AppleDesign {
        let default = match self.kind {
            PassKind::Loyalty => AppleStyle::StoreCard,
            PassKind::Coupon => AppleStyle::Coupon,
            PassKind::Event => AppleStyle::EventTicket,
            PassKind::Generic => AppleStyle::Generic,
        };
        let mut apple = AppleDesign { style: default, transit_type: None, is_poster: false, keys: Vec::new() };
        let Some(section) = top.section("apple") else { return apple };
        if let Some((_, at)) = section.text("style") {
            apple.style = section.word("style").unwrap_or(default);
            if self.kind != PassKind::Generic && apple.style != default {
                section.fault("style", at, format!("a {} is always a {default}; the kind generic chooses", self.kind));
            }
        }
        apple.is_poster = section.bool("poster").unwrap_or(false);
        if apple.is_poster && matches!(apple.style, AppleStyle::BoardingPass) {
            section.fault(
                "poster",
                section.at,
                "a boarding pass has no poster; semanticBoardingPass is a style scheme",
            );
        }
        if let Some((text, at)) = section.text("transitType") {
            if apple.style != AppleStyle::BoardingPass {
                section.fault("transitType", at, "is for boarding passes");
            } else if !TRANSIT_TYPES.contains(&text) {
                section.fault("transitType", at, format!("must be one of {}", TRANSIT_TYPES.join(", ")));
            }
            apple.transit_type = Some(text.to_owned());
        } else if apple.style == AppleStyle::BoardingPass {
            section.fault("transitType", section.at, "is missing: a boarding pass has one");
        }
        apple.keys = extras::read(self.phrases, &section, PASS, &["style", "poster", "transitType"]);
        for (_, extra) in apple.keys.iter_mut().filter(|(name, _)| *name == "nfc") {
            if let Some(Err(error)) = compress_key(extra) {
                section.fault("nfc.encryptionPublicKey", section.at, error);
            }
        }
        self.check_apple(&section, &apple);
        apple
    }

    /// What Apple's keys mean to each other, as far as it can be seen before a pass is made.
    fn check_apple(&self, section: &Section<'_>, apple: &AppleDesign) {
        let at = |key: &str| section.members().find(|(name, _, _)| *name == key).map_or(section.at, |(_, at, _)| at);
        let has = |key: &str| apple.keys.iter().any(|(name, _)| *name == key);
        let ticket = matches!(apple.style, AppleStyle::EventTicket | AppleStyle::BoardingPass);
        if has("groupingIdentifier") && !ticket {
            section.fault("groupingIdentifier", at("groupingIdentifier"), "is for event tickets and boarding passes");
        }
        if has("appLaunchURL") && !has("associatedStoreIdentifiers") {
            section.fault("appLaunchURL", at("appLaunchURL"), "needs associatedStoreIdentifiers");
        }
    }

    pub(super) fn sign_up(&self, top: &Section<'_>, apple: &AppleDesign, images: &Files) -> Option<SignUp> {
        let section = top.section("sign_up")?;
        let (description, _) = section.required_text("description").unwrap_or_default();
        let fields: Vec<SignUpField> = section
            .texts("fields")
            .into_iter()
            .filter_map(|(text, at)| text.parse().map_err(|error| section.fault("fields", at, error)).ok())
            .collect();
        if fields.is_empty() {
            section.fault("fields", section.at, "must ask for something");
        }
        let terms = section.text("terms").map(|(text, _)| text.to_owned());
        if !apple.keys.iter().any(|(name, _)| *name == "nfc") {
            section.fault("fields", section.at, "phones sign up for passes with apple.nfc only");
        }
        if !images.keys().any(|name| name.contains("personalizationLogo")) {
            section.fault("fields", section.at, "phones show the form with the image personalizationLogo only");
        }
        section.finish();
        Some(SignUp { description: description.to_owned(), terms, fields })
    }

    pub(super) fn google(&self, top: &Section<'_>) -> GoogleDesign {
        let Some(section) = top.section("google") else { return GoogleDesign::default() };
        let (class, object) = match self.kind {
            PassKind::Loyalty => (google::LOYALTY_CLASS, google::LOYALTY_OBJECT),
            PassKind::Coupon => (google::OFFER_CLASS, google::OFFER_OBJECT),
            PassKind::Event => (google::EVENT_TICKET_CLASS, google::EVENT_TICKET_OBJECT),
            PassKind::Generic => (google::GENERIC_CLASS, google::GENERIC_OBJECT),
        };
        let read = |key, keys| section.section(key).map(|table| extras::read(self.phrases, &table, keys, &[]));
        let google = GoogleDesign {
            class_key: self.phrases.take_plain(&section, "class_key"),
            class: read("class", class).unwrap_or_default(),
            object: read("object", object).unwrap_or_default(),
        };
        section.finish();
        google
    }
}

/// Writes a known key the way phones read it, once for all passes.
fn compress_key(nfc: &mut Extra) -> Option<Result<(), nfc::BadKey>> {
    let Extra::Table(members) = nfc else { return None };
    let (_, key) = members.iter_mut().find(|(name, _)| *name == "encryptionPublicKey")?;
    let Extra::Known(serde_json::Value::String(text)) = key else { return None };
    Some(nfc::read_key(text).map(|read| *text = read.text))
}
