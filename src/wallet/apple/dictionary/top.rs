//! The keys at the top of `pass.json`.

use super::fields::{FIELD, STYLE};
use super::semantics::SEMANTICS;
use crate::wallet::dictionary::Giver::{Either, House, Neutral};
use crate::wallet::dictionary::Shape::{
    Any, Bool, Color, Integer, List, Localized, Moment, Number, Object, Text, Url, Word,
};
use crate::wallet::dictionary::{Key, key};

/// The style keys: exactly one of the first five, or the last with one of them beside it.
pub const STYLES: &[&str] = &["boardingPass", "coupon", "eventTicket", "generic", "storeCard", "posterGeneric"];

/// The addresses of an event's guide and menu.
pub const EVENT_LINKS: &[Key] = &[
    key("accessibilityURL", Url).since("iOS 18"),
    key("addOnURL", Url).since("iOS 18"),
    key("bagPolicyURL", Url).since("iOS 18"),
    key("contactVenueEmail", Text).since("iOS 18"),
    key("contactVenuePhoneNumber", Text).since("iOS 18"),
    key("contactVenueWebsite", Url).since("iOS 18"),
    key("directionsInformationURL", Url).since("iOS 18"),
    key("merchandiseURL", Url).since("iOS 18"),
    key("orderFoodURL", Url).since("iOS 18"),
    key("parkingInformationURL", Url).since("iOS 18"),
    key("purchaseParkingURL", Url).since("iOS 18"),
    key("sellURL", Url).since("iOS 18"),
    key("transferURL", Url).since("iOS 18"),
    key("transitInformationURL", Url).since("iOS 18"),
];

const BARCODE: &[Key] = &[
    key(
        "format",
        Word(&[
            "PKBarcodeFormatQR",
            "PKBarcodeFormatPDF417",
            "PKBarcodeFormatAztec",
            "PKBarcodeFormatCode128",
            "PKBarcodeFormatCode39",
            "PKBarcodeFormatCodabar",
            "PKBarcodeFormatEAN13",
            "PKBarcodeFormatI2of5",
        ]),
    )
    .required(),
    key("message", Text).required(),
    key("messageEncoding", Text).required(),
    key("altText", Localized),
];

const LOCATION: &[Key] = &[
    key("latitude", Number).required(),
    key("longitude", Number).required(),
    key("altitude", Number),
    key("relevantText", Localized),
];

const BEACON: &[Key] = &[
    key("proximityUUID", Text).required(),
    key("major", Integer(0, 65_535)),
    key("minor", Integer(0, 65_535)),
    key("relevantText", Localized),
    // In a sample of Apple's; read by nobody.
    key("name", Text),
];

const RELEVANT_DATE: &[Key] = &[
    key("date", Moment).refuses().since("iOS 26"),
    key("relevantDate", Moment).refuses().since("iOS 18"),
    key("startDate", Moment).refuses().since("iOS 18"),
    key("endDate", Moment).refuses().since("iOS 18"),
];

const NFC: &[Key] = &[
    key("message", Text).required(),
    key("encryptionPublicKey", Text).required(),
    key("requiresAuthentication", Bool).since("iOS 13.1"),
];

const ACTION: &[Key] = &[
    key("identifier", Text).required(),
    key(
        "type",
        Word(&[
            "viewSchedule",
            "watchTrailer",
            "listenToMusic",
            "call",
            "place",
            "addToBalance",
            "order",
            "shop",
            "membershipBenefits",
            "bookAppointment",
            "bookCar",
            "bookFlight",
            "bookStay",
            "viewOffersRewards",
        ]),
    )
    .required(),
    key("url", Url),
    key("placeIdentifier", Text),
];

const IMAGE_ADDRESS: &[Key] = &[
    key("SHA256", Text).required(),
    key("URL", Url).required(),
    key("scale", Number),
    key("size", Integer(0, 2 * 1024 * 1024)),
];

const REMOTE_IMAGE: &[Key] = &[key("URLs", List(&Object(IMAGE_ADDRESS), 10)), key("reuseExisting", Bool)];

const UPCOMING: &[Key] = &[
    key("identifier", Text).required(),
    key("name", Text).required(),
    key("type", Word(&["event"])).required(),
    key("URLs", Object(EVENT_LINKS)),
    key("additionalInfoFields", List(&Object(FIELD), 50)),
    key("backFields", List(&Object(FIELD), 50)),
    key("auxiliaryStoreIdentifiers", List(&Integer(0, i64::MAX), 20)),
    key(
        "dateInformation",
        Object(&[
            key("date", Moment),
            key("ignoreTimeComponents", Bool),
            key("isAllDay", Bool),
            key("isUnannounced", Bool),
            key("isUndetermined", Bool),
            key("timeZone", Text),
        ]),
    ),
    key("images", Object(&[key("headerImage", Object(REMOTE_IMAGE)), key("venueMap", Object(REMOTE_IMAGE))])),
    key("isActive", Bool),
    key("semantics", Object(SEMANTICS)),
];

/// Everything that may stand at the top of a pass. A poster event ticket has its guide and menu there, an upcoming event of
/// a pass for several has them in its `URLs`.
pub const PASS: &[Key] = &joined::<{ TOP.len() + EVENT_LINKS.len() }>(TOP, EVENT_LINKS);

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a wrong index")]
const fn joined<const N: usize>(first: &[Key], second: &[Key]) -> [Key; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

const TOP: &[Key] = &[
    key("formatVersion", Integer(1, 1)).required().by(House),
    key("passTypeIdentifier", Text).required().by(House),
    key("teamIdentifier", Text).required().by(House),
    key("serialNumber", Text).required().by(House),
    key("authenticationToken", Text).refuses().by(House),
    key("webServiceURL", Url).refuses().by(House),
    key("organizationName", Localized).required().by(Neutral),
    key("description", Localized).required().by(Neutral),
    key("boardingPass", Object(STYLE)).refuses().by(Neutral),
    key("coupon", Object(STYLE)).refuses().by(Neutral),
    key("eventTicket", Object(STYLE)).refuses().by(Neutral),
    key("generic", Object(STYLE)).refuses().by(Neutral),
    key("storeCard", Object(STYLE)).refuses().by(Neutral),
    key("posterGeneric", Object(STYLE)).refuses().by(Neutral).since("iOS 27"),
    key("logoText", Localized).by(Neutral),
    key("backgroundColor", Color).by(Neutral),
    key("foregroundColor", Color).by(Neutral),
    key("labelColor", Color).by(Neutral),
    key("barcode", Object(BARCODE)).refuses().by(Neutral),
    key("barcodes", List(&Object(BARCODE), 10)).refuses().by(Neutral),
    key("locations", List(&Object(LOCATION), 10)).by(Neutral),
    key("beacons", List(&Object(BEACON), 100)).by(Neutral),
    key("maxDistance", Number).by(Neutral),
    key("relevantDate", Moment).refuses().by(Neutral),
    key("relevantDates", List(&Object(RELEVANT_DATE), 100)).refuses().by(Neutral).since("iOS 18"),
    key("expirationDate", Moment).refuses().by(Neutral),
    key("voided", Bool).by(House),
    key("sharingProhibited", Bool).by(Neutral),
    key("semantics", Object(SEMANTICS)).by(Either),
    key("nfc", Object(NFC)).refuses(),
    key("appLaunchURL", Text),
    key("associatedStoreIdentifiers", List(&Integer(0, i64::MAX), 20)),
    key("groupingIdentifier", Text),
    key("stripColor", Color),
    key("logoSymbolName", Text),
    key("suppressStripShine", Bool),
    key("userInfo", Any),
    key(
        "preferredStyleSchemes",
        List(&Word(&["posterEventTicket", "eventTicket", "semanticBoardingPass", "boardingPass"]), 4),
    )
    .since("iOS 18"),
    key("featuredActions", List(&Object(ACTION), 2)).since("iOS 27"),
    key("eventLogoText", Localized).since("iOS 18.1"),
    key("footerBackgroundColor", Color).since("iOS 18"),
    key("suppressHeaderDarkening", Bool).since("iOS 18"),
    key("useAutomaticColors", Bool).since("iOS 18"),
    key("auxiliaryStoreIdentifiers", List(&Integer(0, i64::MAX), 20)).since("iOS 18"),
    key("upcomingPassInformation", List(&Object(UPCOMING), 50)).since("iOS 26"),
    // The menu of a semantic boarding pass.
    key("changeSeatURL", Url).since("iOS 26"),
    key("entertainmentURL", Url).since("iOS 26"),
    key("managementURL", Url).since("iOS 26"),
    key("purchaseAdditionalBaggageURL", Url).since("iOS 26"),
    key("purchaseLoungeAccessURL", Url).since("iOS 26"),
    key("purchaseWifiURL", Url).since("iOS 26"),
    key("registerServiceAnimalURL", Url).since("iOS 26"),
    key("reportLostBagURL", Url).since("iOS 26"),
    key("requestWheelchairURL", Url).since("iOS 26"),
    key("trackBagsURL", Url).since("iOS 26"),
    key("transitProviderEmail", Text).since("iOS 26"),
    key("transitProviderPhoneNumber", Text).since("iOS 26"),
    key("transitProviderWebsiteURL", Url).since("iOS 26"),
    key("upgradeURL", Url).since("iOS 26"),
    key("businessChatIdentifier", Text).since("iOS 26"),
];
