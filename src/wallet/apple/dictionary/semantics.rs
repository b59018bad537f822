//! Semantic tags: what a pass means to the system. All but the newest are of iOS 12.

use crate::wallet::dictionary::Shape::{Bool, Color, List, Moment, Number, Object, Text, Word};
use crate::wallet::dictionary::{Key, key};

const MONEY: &[Key] = &[key("amount", Text).required(), key("currencyCode", Text).required()];
const POSITION: &[Key] = &[key("latitude", Number).required(), key("longitude", Number).required()];
const WIFI: &[Key] = &[key("ssid", Text).required(), key("password", Text).required()];
const AIRPLAY: &[Key] = &[key("airplayDeviceGroupToken", Text).required()];

const DATE_INFO: &[Key] = &[
    key("date", Moment),
    key("ignoreTimeComponents", Bool),
    key("timeZone", Text),
    key("unannounced", Bool),
    key("undetermined", Bool),
];

const SEAT: &[Key] = &[
    key("seatAisle", Text),
    key("seatDescription", Text),
    key("seatIdentifier", Text),
    key("seatLevel", Text),
    key("seatNumber", Text),
    key("seatRow", Text),
    key("seatSection", Text),
    key("seatSectionColor", Color),
    key("seatType", Text),
];

const PERSON: &[Key] = &[
    key("givenName", Text),
    key("familyName", Text),
    key("middleName", Text),
    key("namePrefix", Text),
    key("nameSuffix", Text),
    key("nickname", Text),
    key("phoneticRepresentation", Text),
];

const EVENT_TYPES: &[&str] = &[
    "PKEventTypeGeneric",
    "PKEventTypeLivePerformance",
    "PKEventTypeMovie",
    "PKEventTypeSports",
    "PKEventTypeConference",
    "PKEventTypeConvention",
    "PKEventTypeWorkshop",
    "PKEventTypeSocialGathering",
];

const PROGRAMS: &[&str] = &[
    "PKTransitSecurityProgramTSAPreCheck",
    "PKTransitSecurityProgramTSAPreCheckTouchlessID",
    "PKTransitSecurityProgramOSS",
    "PKTransitSecurityProgramITI",
    "PKTransitSecurityProgramITD",
    "PKTransitSecurityProgramGlobalEntry",
    "PKTransitSecurityProgramCLEAR",
];

const CAPABILITIES: &[&str] = &[
    "PKPassengerCapabilityPreboarding",
    "PKPassengerCapabilityPriorityBoarding",
    "PKPassengerCapabilityCarryon",
    "PKPassengerCapabilityPersonalItem",
    "PKPassengerCapabilityLapInfant",
];

/// The tags of a pass, of a field, and of an upcoming event (which alone has a `venuePlaceID`).
pub const SEMANTICS: &[Key] = &[
    // The event.
    key("eventName", Text),
    key("eventType", Word(EVENT_TYPES)),
    key("eventStartDate", Moment),
    key("eventEndDate", Moment),
    key("eventStartDateInfo", Object(DATE_INFO)).since("iOS 18.1"),
    key("duration", Number),
    key("genre", Text),
    key("silenceRequested", Bool),
    key("attendeeName", Text),
    key("entranceDescription", Text),
    key("totalPrice", Object(MONEY)),
    key("eventLiveMessage", Text),
    // The venue.
    key("venueName", Text),
    key("venueLocation", Object(POSITION)),
    key("venueRegionName", Text),
    key("venueRoom", Text),
    key("venueEntrance", Text),
    key("venueEntranceDoor", Text),
    key("venueEntranceGate", Text),
    key("venueEntrancePortal", Text),
    key("venuePhoneNumber", Text),
    key("venuePlaceID", Text).since("iOS 26"),
    key("venueBoxOfficeOpenDate", Moment).since("iOS 18"),
    key("venueCloseDate", Moment).since("iOS 18"),
    key("venueDoorsOpenDate", Moment).since("iOS 18"),
    key("venueFanZoneOpenDate", Moment).since("iOS 18"),
    key("venueGatesOpenDate", Moment).since("iOS 18"),
    key("venueOpenDate", Moment).since("iOS 18"),
    key("venueParkingLotsOpenDate", Moment).since("iOS 18"),
    // Admission.
    key("admissionLevel", Text),
    key("admissionLevelAbbreviation", Text),
    key("additionalTicketAttributes", Text),
    key("tailgatingAllowed", Bool),
    key("seats", List(&Object(SEAT), 50)),
    // Sports.
    key("sportName", Text),
    key("leagueName", Text),
    key("leagueAbbreviation", Text),
    key("homeTeamName", Text),
    key("homeTeamLocation", Text),
    key("homeTeamAbbreviation", Text),
    key("awayTeamName", Text),
    key("awayTeamLocation", Text),
    key("awayTeamAbbreviation", Text),
    // Music.
    key("performerNames", List(&Text, 50)),
    key("artistIDs", List(&Text, 50)),
    key("albumIDs", List(&Text, 50)),
    key("playlistIDs", List(&Text, 50)),
    // Transit.
    key("transitProvider", Text),
    key("transitStatus", Text),
    key("transitStatusReason", Text),
    key("vehicleName", Text),
    key("vehicleNumber", Text),
    key("vehicleType", Text),
    key("carNumber", Text),
    key("confirmationNumber", Text),
    key("priorityStatus", Text),
    key("securityScreening", Text),
    key("boardingGroup", Text),
    key("boardingSequenceNumber", Text),
    key("boardingZone", Text).since("iOS 26"),
    key("originalDepartureDate", Moment),
    key("originalBoardingDate", Moment),
    key("originalArrivalDate", Moment),
    key("currentDepartureDate", Moment),
    key("currentBoardingDate", Moment),
    key("currentArrivalDate", Moment),
    // Flight.
    key("airlineCode", Text),
    key("flightCode", Text),
    key("flightNumber", Number),
    key("ticketFareClass", Text).since("iOS 26"),
    key("membershipProgramName", Text),
    key("membershipProgramNumber", Text),
    key("membershipProgramStatus", Text).since("iOS 26"),
    key("loungePlaceIDs", List(&Text, 50)).since("iOS 26"),
    // Departure.
    key("departureAirportCode", Text),
    key("departureAirportName", Text),
    key("departureCityName", Text).since("iOS 26"),
    key("departureGate", Text),
    key("departureTerminal", Text),
    key("departurePlatform", Text),
    key("departureStationName", Text),
    key("departureLocationDescription", Text),
    key("departureLocation", Object(POSITION)),
    key("departureLocationTimeZone", Text).since("iOS 26"),
    key("departureLocationSecurityPrograms", List(&Word(PROGRAMS), 10)).since("iOS 26"),
    // Destination.
    key("destinationAirportCode", Text),
    key("destinationAirportName", Text),
    key("destinationCityName", Text).since("iOS 26"),
    key("destinationGate", Text),
    key("destinationTerminal", Text),
    key("destinationPlatform", Text),
    key("destinationStationName", Text),
    key("destinationLocationDescription", Text),
    key("destinationLocation", Object(POSITION)),
    key("destinationLocationTimeZone", Text).since("iOS 26"),
    key("destinationLocationSecurityPrograms", List(&Word(PROGRAMS), 10)).since("iOS 26"),
    // Passenger.
    key("passengerName", Object(PERSON)),
    key("passengerCapabilities", List(&Word(CAPABILITIES), 10)).since("iOS 26"),
    key("passengerEligibleSecurityPrograms", List(&Word(PROGRAMS), 10)).since("iOS 26"),
    key("passengerAirlineSSRs", List(&Text, 50)).since("iOS 26"),
    key("passengerInformationSSRs", List(&Text, 50)).since("iOS 26"),
    key("passengerServiceSSRs", List(&Text, 50)).since("iOS 26"),
    key("internationalDocumentsAreVerified", Bool).since("iOS 26"),
    key("internationalDocumentsVerifiedDeclarationName", Text).since("iOS 26"),
    // Money, Wi-Fi, music in the room.
    key("balance", Object(MONEY)),
    key("wifiAccess", List(&Object(WIFI), 10)),
    key("airplay", List(&Object(AIRPLAY), 10)),
];
