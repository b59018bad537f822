//! The keys of a style and of a field.

use super::semantics::SEMANTICS;
use crate::wallet::dictionary::Giver::{Either, Neutral};
use crate::wallet::dictionary::Shape::{Bool, Integer, List, Localized, Object, Scalar, Text, Word};
use crate::wallet::dictionary::{Key, key};

/// The lists of fields that a style may have.
pub const AREAS: [&str; 7] = [
    "headerFields",
    "primaryFields",
    "secondaryFields",
    "auxiliaryFields",
    "backFields",
    "additionalInfoFields",
    "footerFields",
];

const MOMENT_STYLES: &[&str] =
    &["PKDateStyleNone", "PKDateStyleShort", "PKDateStyleMedium", "PKDateStyleLong", "PKDateStyleFull"];

/// One field.
pub const FIELD: &[Key] = &[
    key("key", Text).required().by(Neutral),
    key("value", Scalar).required().by(Neutral),
    key("label", Localized).refuses().by(Neutral),
    key("changeMessage", Localized).by(Neutral),
    key("attributedValue", Scalar),
    key(
        "textAlignment",
        Word(&["PKTextAlignmentLeft", "PKTextAlignmentCenter", "PKTextAlignmentRight", "PKTextAlignmentNatural"]),
    ),
    key("dateStyle", Word(MOMENT_STYLES)).by(Neutral),
    key("timeStyle", Word(MOMENT_STYLES)).by(Neutral),
    key("ignoresTimeZone", Bool).by(Neutral),
    key("isRelative", Bool).by(Neutral),
    key(
        "numberStyle",
        Word(&["PKNumberStyleDecimal", "PKNumberStylePercent", "PKNumberStyleScientific", "PKNumberStyleSpellOut"]),
    )
    .by(Either),
    key("currencyCode", Text).by(Neutral),
    key(
        "dataDetectorTypes",
        List(
            &Word(&[
                "PKDataDetectorTypePhoneNumber",
                "PKDataDetectorTypeLink",
                "PKDataDetectorTypeAddress",
                "PKDataDetectorTypeCalendarEvent",
            ]),
            4,
        ),
    ),
    key("row", Integer(0, 1)),
    key("semantics", Object(SEMANTICS)).since("iOS 12"),
];

/// What stands under a style key.
pub const STYLE: &[Key] = &[
    key("headerFields", List(&Object(FIELD), 50)).refuses().by(Neutral),
    key("primaryFields", List(&Object(FIELD), 50)).refuses().by(Neutral),
    key("secondaryFields", List(&Object(FIELD), 50)).refuses().by(Neutral),
    key("auxiliaryFields", List(&Object(FIELD), 50)).refuses().by(Neutral),
    key("backFields", List(&Object(FIELD), 100)).refuses().by(Neutral),
    key("additionalInfoFields", List(&Object(FIELD), 50)).by(Neutral).since("iOS 18"),
    key("footerFields", List(&Object(FIELD), 10)).by(Neutral).since("iOS 27"),
    key(
        "transitType",
        Word(&[
            "PKTransitTypeAir",
            "PKTransitTypeBoat",
            "PKTransitTypeBus",
            "PKTransitTypeGeneric",
            "PKTransitTypeTrain",
        ]),
    )
    .refuses(),
];
