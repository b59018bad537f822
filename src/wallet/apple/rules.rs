//! Apple's rules for a whole `pass.json`: the dictionary's shapes, and what keys mean to each other. Used on passes that we
//! are about to publish and on passes that others made.
//!
//! Sources: Apple, Wallet Passes; Wallet Developer Guide (archive); apple/pass-builder's validators.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::wallet::apple::dictionary::{AREAS, PASS, STYLES};
use crate::wallet::apple::nfc;
use crate::wallet::dictionary;
use crate::wallet::fault::{Consequence, Fault};

/// What stands around a `pass.json`, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Names of the files in the bundle.
    pub files: &'a BTreeSet<&'a str>,
    /// Whether the certificate allows NFC; `None` where nobody signed yet.
    pub is_nfc_certificate: Option<bool>,
}

impl Around<'_> {
    /// Whether there is an image of this name in any resolution or language.
    fn has_image(&self, name: &str) -> bool {
        self.files.iter().any(|file| {
            let file = file.rsplit('/').next().unwrap_or(file);
            let stem = file.split(['.', '@']).next().unwrap_or(file);
            stem == name && (file.ends_with(".png") || file.ends_with(".pdf"))
        })
    }
}

/// Everything that is wrong with a pass.
pub fn check(pass: &Map<String, Value>, around: Around<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    dictionary::check(PASS, pass, "", &mut faults);
    check_identity(pass, &mut faults);
    check_style(pass, &mut faults);
    check_barcodes(pass, &mut faults);
    check_relevance(pass, &mut faults);
    check_nfc(pass, around, &mut faults);
    check_updates(pass, &mut faults);
    check_actions(pass, &mut faults);
    check_posters(pass, around, &mut faults);
    faults
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn object<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    object.get(key).and_then(Value::as_object)
}

fn list<'a>(object: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn check_identity(pass: &Map<String, Value>, faults: &mut Vec<Fault>) {
    for key in ["passTypeIdentifier", "teamIdentifier", "serialNumber", "organizationName", "description"] {
        if text(pass, key) == Some("") {
            faults.push(Fault::refused("key-missing", format!("{key} is empty")));
        }
    }
    let pass_type = text(pass, "passTypeIdentifier").unwrap_or("pass.");
    // Wallet's own passes begin otherwise, and nobody else can make them.
    if !pass_type.starts_with("pass.") && !pass_type.is_empty() {
        faults.push(Fault::refused("pass-type", format!("passTypeIdentifier must begin with pass.: {pass_type}")));
    }
    if text(pass, "serialNumber").is_some_and(|serial| serial.len() > 256) {
        faults.push(Fault {
            code: "serial-long",
            detail: "serialNumber has over 256 bytes and becomes part of an address".to_owned(),
            consequence: Consequence::NotUpdated,
        });
    }
}

/// The style that is not `posterGeneric`: name and content.
pub fn classic_style(pass: &Map<String, Value>) -> Option<(&'static str, &Map<String, Value>)> {
    STYLES.iter().filter(|style| **style != "posterGeneric").find_map(|style| Some((*style, object(pass, style)?)))
}

fn check_style(pass: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let classic: Vec<&str> =
        STYLES.iter().copied().filter(|style| *style != "posterGeneric" && pass.contains_key(*style)).collect();
    let is_poster = pass.contains_key("posterGeneric");
    match classic.as_slice() {
        [style] if is_poster && *style == "boardingPass" => {
            faults.push(Fault::refused("style", "posterGeneric cannot stand beside boardingPass"));
        }
        [_] => {}
        [] if is_poster => {
            faults.push(Fault::refused("style", "posterGeneric needs a classic style beside it for iOS 26 and older"));
        }
        [] => faults.push(Fault::refused("style", format!("no style; one of {} is wanted", STYLES.join(", ")))),
        several => faults.push(Fault::refused("style", format!("several styles: {}", several.join(", ")))),
    }
    // A generic pass has less room above a square code.
    let code = list(pass, "barcodes").first().or_else(|| pass.get("barcode"));
    let format = code.and_then(|code| code.get("format")).and_then(Value::as_str);
    let is_square = matches!(format, Some("PKBarcodeFormatQR" | "PKBarcodeFormatAztec"));
    let mut keys = BTreeSet::new();
    for style in STYLES {
        if let Some(content) = object(pass, style) {
            check_areas(style, content, is_square, &mut keys, faults);
        }
    }
    let grouped = pass.contains_key("groupingIdentifier");
    if grouped && !classic.iter().any(|style| matches!(*style, "boardingPass" | "eventTicket")) {
        faults.push(Fault::ignored("grouping", "groupingIdentifier is for boarding passes and event tickets"));
    }
}

fn check_areas(
    style: &str,
    content: &Map<String, Value>,
    is_square: bool,
    keys: &mut BTreeSet<String>,
    faults: &mut Vec<Fault>,
) {
    match (style, content.contains_key("transitType")) {
        ("boardingPass", false) => faults.push(Fault::refused("transit-type", "boardingPass.transitType is missing")),
        ("boardingPass", true) | (_, false) => {}
        (style, true) => {
            faults.push(Fault::refused("transit-type", format!("{style}.transitType: only a boardingPass has one")));
        }
    }
    for area in AREAS {
        let fields = list(content, area);
        for field in fields.iter().filter_map(Value::as_object) {
            check_field(style, area, field, keys, faults);
        }
        let drawn = drawn_fields(style, area);
        if fields.len() > drawn {
            faults.push(Fault::ignored(
                "too-many-fields",
                format!("{style}.{area} has {} fields, but a phone draws {drawn}", fields.len()),
            ));
        }
    }
    if style == "eventTicket" {
        for row in [0, 1] {
            let of_row = |field: &&Value| field.get("row").and_then(Value::as_i64).unwrap_or(0) == row;
            let count = list(content, "auxiliaryFields").iter().filter(of_row).count();
            if count > 4 {
                let detail =
                    format!("eventTicket.auxiliaryFields has {count} fields in row {row}, but a phone draws 4");
                faults.push(Fault::ignored("too-many-fields", detail));
            }
        }
    }
    if matches!(style, "coupon" | "storeCard") || (style == "generic" && is_square) {
        let together = list(content, "secondaryFields").len() + list(content, "auxiliaryFields").len();
        if together > 4 {
            faults.push(Fault::ignored(
                "too-many-fields",
                format!("{style} has {together} secondary and auxiliary fields, but a phone draws 4 in all"),
            ));
        }
    }
}

/// How many fields of an area a phone draws (archive guide; HIG).
fn drawn_fields(style: &str, area: &str) -> usize {
    match (style, area) {
        (_, "headerFields") => 3,
        ("posterGeneric", "primaryFields") => 4,
        ("posterGeneric", "secondaryFields" | "auxiliaryFields") => 0,
        ("posterGeneric", "footerFields") => 2,
        ("boardingPass", "primaryFields") => 2,
        ("boardingPass", "auxiliaryFields") => 5,
        ("eventTicket", "auxiliaryFields") => 8,
        (_, "primaryFields") => 1,
        (_, "secondaryFields" | "auxiliaryFields") => 4,
        ("eventTicket" | "posterGeneric", "additionalInfoFields") | (_, "backFields") => usize::MAX,
        _ => 0,
    }
}

fn check_field(
    style: &str,
    area: &str,
    field: &Map<String, Value>,
    keys: &mut BTreeSet<String>,
    faults: &mut Vec<Fault>,
) {
    let key = text(field, "key").unwrap_or_default();
    if key.is_empty() {
        if field.contains_key("key") {
            faults.push(Fault::refused("field-key", format!("{style}.{area}: a field's key is empty")));
        }
    } else if !keys.insert(key.to_owned()) {
        faults.push(Fault::refused("field-twice", format!("{style}.{area}: two fields have the key {key}")));
    }
    let value = field.get("value");
    let is_number = matches!(value, Some(Value::Number(_)));
    let is_date = matches!(value, Some(Value::String(text)) if dictionary::is_moment(text).is_ok());
    for name in ["numberStyle", "currencyCode"] {
        if field.contains_key(name) && !is_number {
            faults.push(Fault::refused("field-number", format!("{key}: {name} on a value that is no number")));
        }
    }
    if field.contains_key("numberStyle") && field.contains_key("currencyCode") {
        faults.push(Fault::ignored("field-number", format!("{key}: numberStyle beside currencyCode")));
    }
    if let Some(code) = text(field, "currencyCode")
        && iso_currency::Currency::from_code(code).is_none()
    {
        faults.push(Fault::ignored("currency", format!("{key}: {code} is no currency of ISO 4217")));
    }
    for name in ["dateStyle", "timeStyle"] {
        if field.contains_key(name) && !is_date {
            faults.push(Fault::refused("field-date", format!("{key}: {name} on a value that is no date with a zone")));
        }
    }
    if field.contains_key("textAlignment") && matches!(area, "primaryFields" | "backFields") {
        faults.push(Fault::ignored("field-alignment", format!("{key}: textAlignment does nothing in {area}")));
    }
    if field.contains_key("dataDetectorTypes") && area != "backFields" {
        faults.push(Fault::ignored("field-detectors", format!("{key}: dataDetectorTypes does nothing in {area}")));
    }
    if field.contains_key("row") && (style, area) != ("eventTicket", "auxiliaryFields") {
        faults.push(Fault::ignored("field-row", format!("{key}: row is for an eventTicket's auxiliaryFields")));
    }
    if text(field, "changeMessage").is_some_and(|message| !message.contains("%@")) {
        faults.push(Fault {
            code: "field-change",
            detail: format!("{key}: changeMessage has no %@"),
            consequence: Consequence::Silent,
        });
    }
    if let Some(Value::String(link)) = field.get("attributedValue")
        && link.contains('<')
        && !link.contains("<a ")
    {
        faults.push(Fault::ignored("field-markup", format!("{key}: attributedValue takes no element but <a href>")));
    }
}

fn check_barcodes(pass: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let classic = ["PKBarcodeFormatQR", "PKBarcodeFormatPDF417", "PKBarcodeFormatAztec"];
    let format = |code: &Value| code.get("format").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(code) = pass.get("barcode")
        && code.is_object()
        && !classic.contains(&format(code).as_str())
    {
        faults.push(Fault::ignored("barcode", format!("barcode takes no {}; barcodes does", format(code))));
    }
    let codes = list(pass, "barcodes");
    let is_drawn = |code: &Value| classic.contains(&format(code).as_str()) || format(code) == "PKBarcodeFormatCode128";
    if !codes.is_empty() && !pass.contains_key("barcode") && !codes.iter().any(is_drawn) {
        faults.push(Fault::ignored("barcode-new", "no code that a phone before iOS 27 draws"));
    }
    for code in codes.iter().chain(pass.get("barcode")) {
        let message = code.get("message").and_then(Value::as_str).unwrap_or_default();
        let encoding = code.get("messageEncoding").and_then(Value::as_str).unwrap_or_default();
        let is_latin = message.chars().all(|c| u32::from(c) < 256);
        if encoding.eq_ignore_ascii_case("iso-8859-1") && !is_latin {
            faults.push(Fault::ignored("barcode-encoding", "a code's message holds what iso-8859-1 cannot"));
        }
        let known = ["iso-8859-1", "utf-8", "us-ascii", "ascii", "utf-16", "windows-1252", "shift_jis"];
        if !encoding.is_empty() && !known.iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
            faults.push(Fault::ignored("barcode-encoding", format!("{encoding} is no text encoding that phones know")));
        }
        if code.get("message").is_some() && message.is_empty() {
            faults.push(Fault::ignored("barcode", "a code's message is empty"));
        }
    }
}

fn check_relevance(pass: &Map<String, Value>, faults: &mut Vec<Fault>) {
    for (index, place) in list(pass, "locations").iter().enumerate() {
        let within = |key: &str, bound: f64| place.get(key).and_then(Value::as_f64).is_none_or(|n| n.abs() <= bound);
        if !within("latitude", 90.0) || !within("longitude", 180.0) {
            faults.push(Fault::ignored("location", format!("locations[{index}] is not on this planet")));
        }
    }
    let mut uuids = BTreeSet::new();
    for (index, beacon) in list(pass, "beacons").iter().enumerate() {
        let Some(uuid) = beacon.get("proximityUUID").and_then(Value::as_str) else { continue };
        if uuid::Uuid::parse_str(uuid).is_err() || uuid.len() != 36 {
            faults.push(Fault::ignored("beacon", format!("beacons[{index}].proximityUUID is no UUID")));
        }
        uuids.insert(uuid.to_ascii_uppercase());
    }
    if uuids.len() > 10 {
        faults.push(Fault::ignored("beacon", format!("beacons name {} UUIDs; phones take 10", uuids.len())));
    }
    for (index, date) in list(pass, "relevantDates").iter().enumerate() {
        let has = |key: &str| date.get(key).is_some();
        let moment = |key: &str| date.get(key).and_then(Value::as_str).and_then(dictionary::read_moment);
        let (single, interval) = (has("date") || has("relevantDate"), has("startDate") || has("endDate"));
        let place = format!("relevantDates[{index}]");
        match (single, interval) {
            (true, true) => {
                faults.push(Fault::refused("relevant-date", format!("{place} mixes a moment and an interval")))
            }
            (false, false) => faults.push(Fault::refused("relevant-date", format!("{place} holds no date"))),
            (true, false) => {}
            (false, true) if !(has("startDate") && has("endDate")) => {
                faults.push(Fault::refused("relevant-date", format!("{place} needs both startDate and endDate")));
            }
            (false, true) => {
                if let (Some(start), Some(end)) = (moment("startDate"), moment("endDate")) {
                    if end < start {
                        faults.push(Fault::ignored("relevant-date", format!("{place} ends before it starts")));
                    } else if end - start > chrono::TimeDelta::hours(24) {
                        faults.push(Fault::ignored("relevant-date", format!("{place} is longer than 24 hours")));
                    }
                }
            }
        }
    }
    if let Some((style @ ("coupon" | "storeCard"), _)) = classic_style(pass)
        && (pass.contains_key("relevantDate") || pass.contains_key("relevantDates"))
    {
        faults.push(Fault::ignored("relevant-date", format!("a {style} is never relevant by date, only by place")));
    }
}

fn check_nfc(pass: &Map<String, Value>, around: Around<'_>, faults: &mut Vec<Fault>) {
    let personalizes = around.files.contains("personalization.json");
    if around.is_nfc_certificate == Some(false) && (personalizes || pass.contains_key("nfc")) {
        let detail = "nfc and personalization.json need a certificate with NFC (its name says so)";
        faults.push(Fault::refused("nfc-certificate", detail));
    }
    let Some(nfc) = object(pass, "nfc") else {
        if personalizes {
            faults.push(Fault::ignored("personalization", "personalization.json needs an nfc key in the pass"));
        }
        return;
    };
    if text(nfc, "message").is_some_and(|message| message.len() > 64) {
        faults.push(Fault::ignored("nfc-message", "nfc.message has over 64 bytes; the rest is cut off"));
    }
    if let Some(key) = text(nfc, "encryptionPublicKey") {
        match nfc::read_key(key) {
            Err(error) => faults.push(Fault::refused("nfc-key", format!("nfc.encryptionPublicKey {error}"))),
            Ok(key) if !key.was_compressed => faults.push(Fault::ignored(
                "nfc-key",
                "nfc.encryptionPublicKey holds an uncompressed point; every working example is compressed",
            )),
            Ok(_) => {}
        }
    }
    if nfc.get("requiresAuthentication") == Some(&Value::Bool(true)) && !pass.contains_key("sharingProhibited") {
        let detail = "nfc.requiresAuthentication without sharingProhibited: the pass can be passed on";
        faults.push(Fault::ignored("nfc-sharing", detail));
    }
    if personalizes && !around.has_image("personalizationLogo") {
        faults.push(Fault::ignored("personalization", "personalization.json needs the image personalizationLogo"));
    }
}

fn check_updates(pass: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let not_updated =
        |code, detail: &str| Fault { code, detail: detail.to_owned(), consequence: Consequence::NotUpdated };
    match (text(pass, "webServiceURL"), text(pass, "authenticationToken")) {
        (Some(url), token) => {
            match url.strip_prefix("http://") {
                Some(rest) if is_near(rest) => {
                    let detail = "webServiceURL is http: only phones in developer mode take it";
                    faults.push(not_updated("web-service", detail));
                }
                None if url.starts_with("https://") => {}
                _ => faults.push(Fault::refused("web-service", "webServiceURL must be https")),
            }
            if url.trim_end_matches('/').ends_with("/v1") {
                faults.push(not_updated("web-service", "webServiceURL ends in /v1, which phones add themselves"));
            }
            if token.is_none_or(|token| token.len() < 16) {
                faults.push(not_updated("token", "authenticationToken must have at least 16 characters"));
            }
        }
        (None, Some(_)) => faults.push(not_updated("web-service", "authenticationToken without a webServiceURL")),
        (None, None) => {}
    }
    if pass.contains_key("appLaunchURL") && list(pass, "associatedStoreIdentifiers").is_empty() {
        faults.push(Fault::ignored("app-launch", "appLaunchURL needs associatedStoreIdentifiers"));
    }
}

/// Whether an address is of this machine or of the network at hand, where developers work.
fn is_near(rest: &str) -> bool {
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    match name.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(std::net::IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => name == "localhost" || name.ends_with(".local") || name.ends_with(".localhost"),
    }
}

fn check_actions(pass: &Map<String, Value>, faults: &mut Vec<Fault>) {
    for (index, action) in list(pass, "featuredActions").iter().filter_map(Value::as_object).enumerate() {
        let needs = if text(action, "type") == Some("place") { "placeIdentifier" } else { "url" };
        if !action.contains_key(needs) {
            faults.push(Fault::ignored("action", format!("featuredActions[{index}] needs {needs}")));
        }
        let is_call = text(action, "type") == Some("call");
        if is_call && !text(action, "url").unwrap_or_default().starts_with("tel:") {
            faults.push(Fault::ignored("action", format!("featuredActions[{index}].url must be a tel: address")));
        }
    }
}

/// The looks that came with iOS 18 and 26: what is missing makes a phone fall back to the classic one.
fn check_posters(pass: &Map<String, Value>, around: Around<'_>, faults: &mut Vec<Fault>) {
    let schemes: Vec<&str> = list(pass, "preferredStyleSchemes").iter().filter_map(Value::as_str).collect();
    let empty = Map::new();
    let semantics = object(pass, "semantics").unwrap_or(&empty);
    let classic = |code, detail: String| Fault { code, detail, consequence: Consequence::Classic };
    let is_poster_event = schemes.contains(&"posterEventTicket");
    let mut need = |code, keys: &[&str]| {
        for key in keys.iter().filter(|key| !semantics.contains_key(**key)) {
            faults.push(classic(code, format!("semantics.{key} is missing")));
        }
    };
    if is_poster_event {
        need("poster", &["eventName", "venueName", "venueRegionName", "venueRoom"]);
        match text(semantics, "eventType") {
            Some("PKEventTypeSports") => need("poster", &["homeTeamAbbreviation", "awayTeamAbbreviation"]),
            Some("PKEventTypeLivePerformance") => need("poster", &["performerNames"]),
            _ => {}
        }
    }
    let is_semantic_boarding = schemes.contains(&"semanticBoardingPass");
    if is_semantic_boarding {
        need(
            "boarding",
            &[
                "airlineCode",
                "flightNumber",
                "departureAirportCode",
                "destinationAirportCode",
                "originalDepartureDate",
                "originalBoardingDate",
                "originalArrivalDate",
                "passengerName",
                "departureLocationTimeZone",
                "departureCityName",
                "destinationCityName",
                "destinationLocationTimeZone",
            ],
        );
    }
    if is_poster_event {
        if schemes.first() != Some(&"posterEventTicket") {
            faults.push(classic("poster", "preferredStyleSchemes must name posterEventTicket first".to_owned()));
        }
        if !pass.contains_key("eventTicket") {
            faults.push(classic("poster", "posterEventTicket is a look of eventTicket".to_owned()));
        }
        if !around.has_image("artwork") && !around.has_image("background") {
            faults.push(classic("poster", "a poster needs the image artwork or background".to_owned()));
        }
        let nfc = object(pass, "nfc");
        if nfc.is_none_or(|nfc| nfc.get("requiresAuthentication") != Some(&Value::Bool(true))) {
            faults.push(classic("poster", "a poster needs nfc with requiresAuthentication".to_owned()));
        }
    }
    if is_semantic_boarding {
        let style = object(pass, "boardingPass");
        if style.and_then(|style| text(style, "transitType")) != Some("PKTransitTypeAir") {
            faults.push(classic("boarding", "semanticBoardingPass is a look of flights (PKTransitTypeAir)".to_owned()));
        }
    }
    if pass.contains_key("posterGeneric") && !around.has_image("artwork") {
        faults.push(classic("poster", "posterGeneric needs the image artwork".to_owned()));
    }
    if pass.contains_key("upcomingPassInformation") && !is_poster_event {
        faults.push(Fault::ignored("poster", "upcomingPassInformation is shown by poster event tickets only"));
    }
}
