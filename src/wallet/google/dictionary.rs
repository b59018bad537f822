//! Google's dictionary of pass classes and objects. Made by `scripts/reduce-google-schema` from Google's discovery
//! document; not to be edited.

use crate::wallet::dictionary::Giver::House;
use crate::wallet::dictionary::Shape::{Any, Bool, Integer, List, Number, Object, Text, Word};
use crate::wallet::dictionary::{Key, key};

pub const LOYALTY_CLASS: &[Key] = &[
    key("accountIdLabel", Text),
    key("accountNameLabel", Text),
    key("allowMultipleUsersPerObject", Bool),
    key("appLinkData", Object(APP_LINK_DATA)),
    key("callbackOptions", Any).by(House),
    key("classTemplateInfo", Object(CLASS_TEMPLATE_INFO)),
    key("countryCode", Text),
    key("discoverableProgram", Object(DISCOVERABLE_PROGRAM)),
    key("enableSmartTap", Bool),
    key("heroImage", Object(IMAGE)),
    key("hexBackgroundColor", Text),
    key("homepageUri", Object(URI)),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("infoModuleData", Object(INFO_MODULE_DATA)),
    key("issuerName", Text),
    key("kind", Any).by(House),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("localizedAccountIdLabel", Object(LOCALIZED_STRING)),
    key("localizedAccountNameLabel", Object(LOCALIZED_STRING)),
    key("localizedIssuerName", Object(LOCALIZED_STRING)),
    key("localizedProgramName", Object(LOCALIZED_STRING)),
    key("localizedRewardsTier", Object(LOCALIZED_STRING)),
    key("localizedRewardsTierLabel", Object(LOCALIZED_STRING)),
    key("localizedSecondaryRewardsTier", Object(LOCALIZED_STRING)),
    key("localizedSecondaryRewardsTierLabel", Object(LOCALIZED_STRING)),
    key("locations", List(&Object(LAT_LONG_POINT), 200)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key(
        "multipleDevicesAndHoldersAllowedStatus",
        Word(&["STATUS_UNSPECIFIED", "MULTIPLE_HOLDERS", "ONE_USER_ALL_DEVICES", "ONE_USER_ONE_DEVICE"]),
    ),
    key("notifyPreference", Word(&["NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"])),
    key("programLogo", Object(IMAGE)),
    key("programName", Text),
    key("redemptionIssuers", List(&Text, 200)),
    key("review", Any).by(House),
    key("reviewStatus", Any).by(House),
    key("rewardsTier", Text),
    key("rewardsTierLabel", Text),
    key("secondaryRewardsTier", Text),
    key("secondaryRewardsTierLabel", Text),
    key("securityAnimation", Object(SECURITY_ANIMATION)),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("version", Any).by(House),
    key(
        "viewUnlockRequirement",
        Word(&["VIEW_UNLOCK_REQUIREMENT_UNSPECIFIED", "UNLOCK_NOT_REQUIRED", "UNLOCK_REQUIRED_TO_VIEW"]),
    ),
    key("wideProgramLogo", Object(IMAGE)),
    key("wordMark", Object(IMAGE)),
];

const IMAGE: &[Key] = &[
    key("contentDescription", Object(LOCALIZED_STRING)),
    key("privateImageId", Text),
    key("sourceUri", Object(IMAGE_URI)),
];

const IMAGE_URI: &[Key] =
    &[key("description", Text), key("localizedDescription", Object(LOCALIZED_STRING)), key("uri", Text)];

const LOCALIZED_STRING: &[Key] =
    &[key("defaultValue", Object(TRANSLATED_STRING)), key("translatedValues", List(&Object(TRANSLATED_STRING), 200))];

const TRANSLATED_STRING: &[Key] = &[key("language", Text), key("value", Text)];

const VALUE_ADDED_MODULE_DATA: &[Key] = &[
    key("body", Object(LOCALIZED_STRING)),
    key("header", Object(LOCALIZED_STRING)),
    key("image", Object(IMAGE)),
    key("sortIndex", Integer(-2_147_483_648, 2_147_483_647)),
    key("uri", Text),
    key("viewConstraints", Object(MODULE_VIEW_CONSTRAINTS)),
];

const MODULE_VIEW_CONSTRAINTS: &[Key] = &[key("displayInterval", Object(TIME_INTERVAL))];

const TIME_INTERVAL: &[Key] = &[key("end", Object(DATE_TIME)), key("start", Object(DATE_TIME))];

const DATE_TIME: &[Key] = &[key("date", Text)];

const TEXT_MODULE_DATA: &[Key] = &[
    key("body", Text),
    key("header", Text),
    key("id", Text),
    key("localizedBody", Object(LOCALIZED_STRING)),
    key("localizedHeader", Object(LOCALIZED_STRING)),
];

const SECURITY_ANIMATION: &[Key] = &[key("animationType", Word(&["ANIMATION_UNSPECIFIED", "FOIL_SHIMMER"]))];

const MESSAGE: &[Key] = &[
    key("body", Text),
    key("displayInterval", Object(TIME_INTERVAL)),
    key("header", Text),
    key("id", Text),
    key("localizedBody", Object(LOCALIZED_STRING)),
    key("localizedHeader", Object(LOCALIZED_STRING)),
    key("messageType", Word(&["MESSAGE_TYPE_UNSPECIFIED", "TEXT", "EXPIRATION_NOTIFICATION", "TEXT_AND_NOTIFY"])),
];

const MERCHANT_LOCATION: &[Key] = &[key("latitude", Number), key("longitude", Number)];

const LAT_LONG_POINT: &[Key] = &[key("latitude", Number), key("longitude", Number)];

const LINKS_MODULE_DATA: &[Key] = &[key("uris", List(&Object(URI), 200))];

const URI: &[Key] = &[
    key("description", Text),
    key("id", Text),
    key("localizedDescription", Object(LOCALIZED_STRING)),
    key("uri", Text),
];

const INFO_MODULE_DATA: &[Key] =
    &[key("labelValueRows", List(&Object(LABEL_VALUE_ROW), 200)), key("showLastUpdateTime", Bool)];

const LABEL_VALUE_ROW: &[Key] = &[key("columns", List(&Object(LABEL_VALUE), 200))];

const LABEL_VALUE: &[Key] = &[
    key("label", Text),
    key("localizedLabel", Object(LOCALIZED_STRING)),
    key("localizedValue", Object(LOCALIZED_STRING)),
    key("value", Text),
];

const IMAGE_MODULE_DATA: &[Key] = &[key("id", Text), key("mainImage", Object(IMAGE))];

const DISCOVERABLE_PROGRAM: &[Key] = &[
    key("merchantSigninInfo", Object(DISCOVERABLE_PROGRAM_MERCHANT_SIGNIN_INFO)),
    key("merchantSignupInfo", Object(DISCOVERABLE_PROGRAM_MERCHANT_SIGNUP_INFO)),
    key("state", Word(&["STATE_UNSPECIFIED", "TRUSTED_TESTERS", "LIVE", "DISABLED"])),
];

const DISCOVERABLE_PROGRAM_MERCHANT_SIGNUP_INFO: &[Key] = &[
    key(
        "signupSharedDatas",
        List(
            &Word(&[
                "SHARED_DATA_TYPE_UNSPECIFIED",
                "FIRST_NAME",
                "LAST_NAME",
                "STREET_ADDRESS",
                "ADDRESS_LINE_1",
                "ADDRESS_LINE_2",
                "ADDRESS_LINE_3",
                "CITY",
                "STATE",
                "ZIPCODE",
                "COUNTRY",
                "EMAIL",
                "PHONE",
            ]),
            200,
        ),
    ),
    key("signupWebsite", Object(URI)),
];

const DISCOVERABLE_PROGRAM_MERCHANT_SIGNIN_INFO: &[Key] = &[key("signinWebsite", Object(URI))];

const CLASS_TEMPLATE_INFO: &[Key] = &[
    key("cardBarcodeSectionDetails", Object(CARD_BARCODE_SECTION_DETAILS)),
    key("cardTemplateOverride", Object(CARD_TEMPLATE_OVERRIDE)),
    key("detailsTemplateOverride", Object(DETAILS_TEMPLATE_OVERRIDE)),
    key("listTemplateOverride", Object(LIST_TEMPLATE_OVERRIDE)),
];

const LIST_TEMPLATE_OVERRIDE: &[Key] = &[
    key("firstRowOption", Object(FIRST_ROW_OPTION)),
    key("secondRowOption", Object(FIELD_SELECTOR)),
    key("thirdRowOption", Object(FIELD_SELECTOR)),
];

const FIELD_SELECTOR: &[Key] = &[key("fields", List(&Object(FIELD_REFERENCE), 200))];

const FIELD_REFERENCE: &[Key] = &[
    key(
        "dateFormat",
        Word(&[
            "DATE_FORMAT_UNSPECIFIED",
            "DATE_TIME",
            "DATE_ONLY",
            "TIME_ONLY",
            "DATE_TIME_YEAR",
            "DATE_YEAR",
            "YEAR_MONTH",
            "YEAR_MONTH_DAY",
        ]),
    ),
    key("fieldPath", Text),
];

const FIRST_ROW_OPTION: &[Key] = &[
    key("fieldOption", Object(FIELD_SELECTOR)),
    key(
        "transitOption",
        Word(&[
            "TRANSIT_OPTION_UNSPECIFIED",
            "ORIGIN_AND_DESTINATION_NAMES",
            "ORIGIN_AND_DESTINATION_CODES",
            "ORIGIN_NAME",
        ]),
    ),
];

const DETAILS_TEMPLATE_OVERRIDE: &[Key] = &[key("detailsItemInfos", List(&Object(DETAILS_ITEM_INFO), 200))];

const DETAILS_ITEM_INFO: &[Key] = &[key("item", Object(TEMPLATE_ITEM))];

const TEMPLATE_ITEM: &[Key] = &[
    key("firstValue", Object(FIELD_SELECTOR)),
    key(
        "predefinedItem",
        Word(&[
            "PREDEFINED_ITEM_UNSPECIFIED",
            "FREQUENT_FLYER_PROGRAM_NAME_AND_NUMBER",
            "FLIGHT_NUMBER_AND_OPERATING_FLIGHT_NUMBER",
        ]),
    ),
    key("secondValue", Object(FIELD_SELECTOR)),
];

const CARD_TEMPLATE_OVERRIDE: &[Key] = &[key("cardRowTemplateInfos", List(&Object(CARD_ROW_TEMPLATE_INFO), 200))];

const CARD_ROW_TEMPLATE_INFO: &[Key] = &[
    key("oneItem", Object(CARD_ROW_ONE_ITEM)),
    key("threeItems", Object(CARD_ROW_THREE_ITEMS)),
    key("twoItems", Object(CARD_ROW_TWO_ITEMS)),
];

const CARD_ROW_TWO_ITEMS: &[Key] = &[key("endItem", Object(TEMPLATE_ITEM)), key("startItem", Object(TEMPLATE_ITEM))];

const CARD_ROW_THREE_ITEMS: &[Key] = &[
    key("endItem", Object(TEMPLATE_ITEM)),
    key("middleItem", Object(TEMPLATE_ITEM)),
    key("startItem", Object(TEMPLATE_ITEM)),
];

const CARD_ROW_ONE_ITEM: &[Key] = &[key("item", Object(TEMPLATE_ITEM))];

const CARD_BARCODE_SECTION_DETAILS: &[Key] = &[
    key("firstBottomDetail", Object(BARCODE_SECTION_DETAIL)),
    key("firstTopDetail", Object(BARCODE_SECTION_DETAIL)),
    key("secondTopDetail", Object(BARCODE_SECTION_DETAIL)),
];

const BARCODE_SECTION_DETAIL: &[Key] = &[key("fieldSelector", Object(FIELD_SELECTOR))];

const APP_LINK_DATA: &[Key] = &[
    key("androidAppLinkInfo", Object(APP_LINK_DATA_APP_LINK_INFO)),
    key("displayText", Object(LOCALIZED_STRING)),
    key("iosAppLinkInfo", Object(APP_LINK_DATA_APP_LINK_INFO)),
    key("webAppLinkInfo", Object(APP_LINK_DATA_APP_LINK_INFO)),
];

const APP_LINK_DATA_APP_LINK_INFO: &[Key] = &[
    key("appLogoImage", Object(IMAGE)),
    key("appTarget", Object(APP_LINK_DATA_APP_LINK_INFO_APP_TARGET)),
    key("description", Object(LOCALIZED_STRING)),
    key("title", Object(LOCALIZED_STRING)),
];

const APP_LINK_DATA_APP_LINK_INFO_APP_TARGET: &[Key] = &[key("packageName", Text), key("targetUri", Object(URI))];

pub const LOYALTY_OBJECT: &[Key] = &[
    key("accountId", Text),
    key("accountName", Text),
    key("appLinkData", Object(APP_LINK_DATA)),
    key("barcode", Object(BARCODE)),
    key("classId", Any).by(House),
    key("classReference", Any).by(House),
    key("disableExpirationNotification", Bool),
    key("groupingInfo", Object(GROUPING_INFO)),
    key("hasLinkedDevice", Any).by(House),
    key("hasUsers", Any).by(House),
    key("heroImage", Object(IMAGE)),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("infoModuleData", Object(INFO_MODULE_DATA)),
    key("kind", Any).by(House),
    key("linkedObjectIds", List(&Text, 200)),
    key("linkedOfferIds", List(&Text, 200)),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("locations", List(&Object(LAT_LONG_POINT), 200)),
    key("loyaltyPoints", Object(LOYALTY_POINTS)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key("notifyPreference", Word(&["NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"])),
    key("passConstraints", Object(PASS_CONSTRAINTS)),
    key("rotatingBarcode", Object(ROTATING_BARCODE)),
    key("saveRestrictions", Object(SAVE_RESTRICTIONS)),
    key("secondaryLoyaltyPoints", Object(LOYALTY_POINTS)),
    key("smartTapRedemptionValue", Text),
    key("state", Any).by(House),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("validTimeInterval", Object(TIME_INTERVAL)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("version", Any).by(House),
];

const LOYALTY_POINTS: &[Key] = &[
    key("balance", Object(LOYALTY_POINTS_BALANCE)),
    key("label", Text),
    key("localizedLabel", Object(LOCALIZED_STRING)),
];

const LOYALTY_POINTS_BALANCE: &[Key] = &[
    key("double", Number),
    key("int", Integer(-2_147_483_648, 2_147_483_647)),
    key("money", Object(MONEY)),
    key("string", Text),
];

const MONEY: &[Key] = &[key("currencyCode", Text), key("micros", Text)];

const SAVE_RESTRICTIONS: &[Key] = &[key("restrictToEmailSha256", Text)];

const ROTATING_BARCODE: &[Key] = &[
    key("alternateText", Text),
    key("initialRotatingBarcodeValues", Object(ROTATING_BARCODE_VALUES)),
    key("renderEncoding", Word(&["RENDER_ENCODING_UNSPECIFIED", "UTF_8"])),
    key("showCodeText", Object(LOCALIZED_STRING)),
    key("totpDetails", Object(ROTATING_BARCODE_TOTP_DETAILS)),
    key(
        "type",
        Word(&[
            "BARCODE_TYPE_UNSPECIFIED",
            "AZTEC",
            "CODE_39",
            "CODE_128",
            "CODABAR",
            "DATA_MATRIX",
            "EAN_8",
            "EAN_13",
            "EAN13",
            "ITF_14",
            "PDF_417",
            "PDF417",
            "QR_CODE",
            "UPC_A",
            "TEXT_ONLY",
        ]),
    ),
    key("valuePattern", Text),
];

const ROTATING_BARCODE_TOTP_DETAILS: &[Key] = &[
    key("algorithm", Word(&["TOTP_ALGORITHM_UNSPECIFIED", "TOTP_SHA1"])),
    key("parameters", List(&Object(ROTATING_BARCODE_TOTP_DETAILS_TOTP_PARAMETERS), 200)),
    key("periodMillis", Text),
];

const ROTATING_BARCODE_TOTP_DETAILS_TOTP_PARAMETERS: &[Key] =
    &[key("key", Text), key("valueLength", Integer(-2_147_483_648, 2_147_483_647))];

const ROTATING_BARCODE_VALUES: &[Key] =
    &[key("periodMillis", Text), key("startDateTime", Text), key("values", List(&Text, 200))];

const PASS_CONSTRAINTS: &[Key] = &[
    key(
        "nfcConstraint",
        List(&Word(&["NFC_CONSTRAINT_UNSPECIFIED", "BLOCK_PAYMENT", "BLOCK_CLOSED_LOOP_TRANSIT"]), 200),
    ),
    key("screenshotEligibility", Word(&["SCREENSHOT_ELIGIBILITY_UNSPECIFIED", "ELIGIBLE", "INELIGIBLE"])),
];

const GROUPING_INFO: &[Key] = &[key("groupingId", Text), key("sortIndex", Integer(-2_147_483_648, 2_147_483_647))];

const BARCODE: &[Key] = &[
    key("alternateText", Text),
    key("renderEncoding", Word(&["RENDER_ENCODING_UNSPECIFIED", "UTF_8"])),
    key("showCodeText", Object(LOCALIZED_STRING)),
    key(
        "type",
        Word(&[
            "BARCODE_TYPE_UNSPECIFIED",
            "AZTEC",
            "CODE_39",
            "CODE_128",
            "CODABAR",
            "DATA_MATRIX",
            "EAN_8",
            "EAN_13",
            "EAN13",
            "ITF_14",
            "PDF_417",
            "PDF417",
            "QR_CODE",
            "UPC_A",
            "TEXT_ONLY",
        ]),
    ),
    key("value", Text),
];

pub const OFFER_CLASS: &[Key] = &[
    key("allowMultipleUsersPerObject", Bool),
    key("appLinkData", Object(APP_LINK_DATA)),
    key("callbackOptions", Any).by(House),
    key("classTemplateInfo", Object(CLASS_TEMPLATE_INFO)),
    key("countryCode", Text),
    key("details", Text),
    key("enableSmartTap", Bool),
    key("finePrint", Text),
    key("helpUri", Object(URI)),
    key("heroImage", Object(IMAGE)),
    key("hexBackgroundColor", Text),
    key("homepageUri", Object(URI)),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("infoModuleData", Object(INFO_MODULE_DATA)),
    key("issuerName", Text),
    key("kind", Any).by(House),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("localizedDetails", Object(LOCALIZED_STRING)),
    key("localizedFinePrint", Object(LOCALIZED_STRING)),
    key("localizedIssuerName", Object(LOCALIZED_STRING)),
    key("localizedProvider", Object(LOCALIZED_STRING)),
    key("localizedShortTitle", Object(LOCALIZED_STRING)),
    key("localizedTitle", Object(LOCALIZED_STRING)),
    key("locations", List(&Object(LAT_LONG_POINT), 200)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key(
        "multipleDevicesAndHoldersAllowedStatus",
        Word(&["STATUS_UNSPECIFIED", "MULTIPLE_HOLDERS", "ONE_USER_ALL_DEVICES", "ONE_USER_ONE_DEVICE"]),
    ),
    key("notifyPreference", Word(&["NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"])),
    key("provider", Text),
    key(
        "redemptionChannel",
        Word(&["REDEMPTION_CHANNEL_UNSPECIFIED", "INSTORE", "ONLINE", "BOTH", "TEMPORARY_PRICE_REDUCTION"]),
    ),
    key("redemptionIssuers", List(&Text, 200)),
    key("review", Any).by(House),
    key("reviewStatus", Any).by(House),
    key("securityAnimation", Object(SECURITY_ANIMATION)),
    key("shortTitle", Text),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("title", Text),
    key("titleImage", Object(IMAGE)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("version", Any).by(House),
    key(
        "viewUnlockRequirement",
        Word(&["VIEW_UNLOCK_REQUIREMENT_UNSPECIFIED", "UNLOCK_NOT_REQUIRED", "UNLOCK_REQUIRED_TO_VIEW"]),
    ),
    key("wideTitleImage", Object(IMAGE)),
    key("wordMark", Object(IMAGE)),
];

pub const OFFER_OBJECT: &[Key] = &[
    key("appLinkData", Object(APP_LINK_DATA)),
    key("barcode", Object(BARCODE)),
    key("classId", Any).by(House),
    key("classReference", Any).by(House),
    key("disableExpirationNotification", Bool),
    key("groupingInfo", Object(GROUPING_INFO)),
    key("hasLinkedDevice", Any).by(House),
    key("hasUsers", Any).by(House),
    key("heroImage", Object(IMAGE)),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("infoModuleData", Object(INFO_MODULE_DATA)),
    key("kind", Any).by(House),
    key("linkedObjectIds", List(&Text, 200)),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("locations", List(&Object(LAT_LONG_POINT), 200)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key("notifyPreference", Word(&["NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"])),
    key("passConstraints", Object(PASS_CONSTRAINTS)),
    key("rotatingBarcode", Object(ROTATING_BARCODE)),
    key("saveRestrictions", Object(SAVE_RESTRICTIONS)),
    key("smartTapRedemptionValue", Text),
    key("state", Any).by(House),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("validTimeInterval", Object(TIME_INTERVAL)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("version", Any).by(House),
];

pub const EVENT_TICKET_CLASS: &[Key] = &[
    key("allowMultipleUsersPerObject", Bool),
    key("appLinkData", Object(APP_LINK_DATA)),
    key("callbackOptions", Any).by(House),
    key("classTemplateInfo", Object(CLASS_TEMPLATE_INFO)),
    key(
        "confirmationCodeLabel",
        Word(&[
            "CONFIRMATION_CODE_LABEL_UNSPECIFIED",
            "CONFIRMATION_CODE",
            "CONFIRMATION_NUMBER",
            "ORDER_NUMBER",
            "RESERVATION_NUMBER",
        ]),
    ),
    key("countryCode", Text),
    key("customConfirmationCodeLabel", Object(LOCALIZED_STRING)),
    key("customGateLabel", Object(LOCALIZED_STRING)),
    key("customRowLabel", Object(LOCALIZED_STRING)),
    key("customSeatLabel", Object(LOCALIZED_STRING)),
    key("customSectionLabel", Object(LOCALIZED_STRING)),
    key("dateTime", Object(EVENT_DATE_TIME)),
    key("enableSmartTap", Bool),
    key("eventId", Text),
    key("eventName", Object(LOCALIZED_STRING)),
    key("finePrint", Object(LOCALIZED_STRING)),
    key("gateLabel", Word(&["GATE_LABEL_UNSPECIFIED", "GATE", "DOOR", "ENTRANCE"])),
    key("heroImage", Object(IMAGE)),
    key("hexBackgroundColor", Text),
    key("homepageUri", Object(URI)),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("infoModuleData", Object(INFO_MODULE_DATA)),
    key("issuerName", Text),
    key("kind", Any).by(House),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("localizedIssuerName", Object(LOCALIZED_STRING)),
    key("locations", List(&Object(LAT_LONG_POINT), 200)),
    key("logo", Object(IMAGE)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key(
        "multipleDevicesAndHoldersAllowedStatus",
        Word(&["STATUS_UNSPECIFIED", "MULTIPLE_HOLDERS", "ONE_USER_ALL_DEVICES", "ONE_USER_ONE_DEVICE"]),
    ),
    key("notifyPreference", Word(&["NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"])),
    key("redemptionIssuers", List(&Text, 200)),
    key("review", Any).by(House),
    key("reviewStatus", Any).by(House),
    key("rowLabel", Word(&["ROW_LABEL_UNSPECIFIED", "ROW"])),
    key("seatLabel", Word(&["SEAT_LABEL_UNSPECIFIED", "SEAT"])),
    key("sectionLabel", Word(&["SECTION_LABEL_UNSPECIFIED", "SECTION", "THEATER"])),
    key("securityAnimation", Object(SECURITY_ANIMATION)),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("venue", Object(EVENT_VENUE)),
    key("version", Any).by(House),
    key(
        "viewUnlockRequirement",
        Word(&["VIEW_UNLOCK_REQUIREMENT_UNSPECIFIED", "UNLOCK_NOT_REQUIRED", "UNLOCK_REQUIRED_TO_VIEW"]),
    ),
    key("wideLogo", Object(IMAGE)),
    key("wordMark", Object(IMAGE)),
];

const EVENT_VENUE: &[Key] = &[key("address", Object(LOCALIZED_STRING)), key("name", Object(LOCALIZED_STRING))];

const EVENT_DATE_TIME: &[Key] = &[
    key("customDoorsOpenLabel", Object(LOCALIZED_STRING)),
    key("doorsOpen", Text),
    key("doorsOpenLabel", Word(&["DOORS_OPEN_LABEL_UNSPECIFIED", "DOORS_OPEN", "GATES_OPEN"])),
    key("end", Text),
    key("start", Text),
];

pub const EVENT_TICKET_OBJECT: &[Key] = &[
    key("appLinkData", Object(APP_LINK_DATA)),
    key("barcode", Object(BARCODE)),
    key("classId", Any).by(House),
    key("classReference", Any).by(House),
    key("disableExpirationNotification", Bool),
    key("faceValue", Object(MONEY)),
    key("groupingInfo", Object(GROUPING_INFO)),
    key("hasLinkedDevice", Any).by(House),
    key("hasUsers", Any).by(House),
    key("heroImage", Object(IMAGE)),
    key("hexBackgroundColor", Text),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("infoModuleData", Object(INFO_MODULE_DATA)),
    key("kind", Any).by(House),
    key("linkedObjectIds", List(&Text, 200)),
    key("linkedOfferIds", List(&Text, 200)),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("locations", List(&Object(LAT_LONG_POINT), 200)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key("notifyPreference", Word(&["NOTIFICATION_SETTINGS_FOR_UPDATES_UNSPECIFIED", "NOTIFY_ON_UPDATE"])),
    key("passConstraints", Object(PASS_CONSTRAINTS)),
    key("reservationInfo", Object(EVENT_RESERVATION_INFO)),
    key("rotatingBarcode", Object(ROTATING_BARCODE)),
    key("saveRestrictions", Object(SAVE_RESTRICTIONS)),
    key("seatInfo", Object(EVENT_SEAT)),
    key("smartTapRedemptionValue", Text),
    key("state", Any).by(House),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("ticketHolderName", Text),
    key("ticketNumber", Text),
    key("ticketType", Object(LOCALIZED_STRING)),
    key("validTimeInterval", Object(TIME_INTERVAL)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("version", Any).by(House),
];

const EVENT_SEAT: &[Key] = &[
    key("gate", Object(LOCALIZED_STRING)),
    key("row", Object(LOCALIZED_STRING)),
    key("seat", Object(LOCALIZED_STRING)),
    key("section", Object(LOCALIZED_STRING)),
];

const EVENT_RESERVATION_INFO: &[Key] = &[key("confirmationCode", Text)];

pub const GENERIC_CLASS: &[Key] = &[
    key("appLinkData", Object(APP_LINK_DATA)),
    key("callbackOptions", Any).by(House),
    key("classTemplateInfo", Object(CLASS_TEMPLATE_INFO)),
    key("enableSmartTap", Bool),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key(
        "multipleDevicesAndHoldersAllowedStatus",
        Word(&["STATUS_UNSPECIFIED", "MULTIPLE_HOLDERS", "ONE_USER_ALL_DEVICES", "ONE_USER_ONE_DEVICE"]),
    ),
    key("redemptionIssuers", List(&Text, 200)),
    key("securityAnimation", Object(SECURITY_ANIMATION)),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key(
        "viewUnlockRequirement",
        Word(&["VIEW_UNLOCK_REQUIREMENT_UNSPECIFIED", "UNLOCK_NOT_REQUIRED", "UNLOCK_REQUIRED_TO_VIEW"]),
    ),
];

pub const GENERIC_OBJECT: &[Key] = &[
    key("appLinkData", Object(APP_LINK_DATA)),
    key("barcode", Object(BARCODE)),
    key("cardTitle", Object(LOCALIZED_STRING)),
    key("classId", Any).by(House),
    key(
        "genericType",
        Word(&[
            "GENERIC_TYPE_UNSPECIFIED",
            "GENERIC_SEASON_PASS",
            "GENERIC_UTILITY_BILLS",
            "GENERIC_PARKING_PASS",
            "GENERIC_VOUCHER",
            "GENERIC_GYM_MEMBERSHIP",
            "GENERIC_LIBRARY_MEMBERSHIP",
            "GENERIC_RESERVATIONS",
            "GENERIC_AUTO_INSURANCE",
            "GENERIC_HOME_INSURANCE",
            "GENERIC_ENTRY_TICKET",
            "GENERIC_RECEIPT",
            "GENERIC_LOYALTY_CARD",
            "GENERIC_BUSINESS_CARD",
            "GENERIC_BARCODE_PASS",
            "GENERIC_MEMBERSHIP_CARD",
            "GENERIC_STUDENT_CARD",
            "GENERIC_TRANSIT_PASS",
            "GENERIC_VEHICLE_REGISTRATION",
            "GENERIC_OTHER",
        ]),
    ),
    key("groupingInfo", Object(GROUPING_INFO)),
    key("hasUsers", Any).by(House),
    key("header", Object(LOCALIZED_STRING)),
    key("heroImage", Object(IMAGE)),
    key("hexBackgroundColor", Text),
    key("id", Any).by(House),
    key("imageModulesData", List(&Object(IMAGE_MODULE_DATA), 200)),
    key("linkedObjectIds", List(&Text, 200)),
    key("linksModuleData", Object(LINKS_MODULE_DATA)),
    key("logo", Object(IMAGE)),
    key("merchantLocations", List(&Object(MERCHANT_LOCATION), 200)),
    key("messages", List(&Object(MESSAGE), 200)),
    key("notifications", Object(NOTIFICATIONS)),
    key("passConstraints", Object(PASS_CONSTRAINTS)),
    key("rotatingBarcode", Object(ROTATING_BARCODE)),
    key("saveRestrictions", Object(SAVE_RESTRICTIONS)),
    key("smartTapRedemptionValue", Text),
    key("state", Any).by(House),
    key("subheader", Object(LOCALIZED_STRING)),
    key("textModulesData", List(&Object(TEXT_MODULE_DATA), 200)),
    key("validTimeInterval", Object(TIME_INTERVAL)),
    key("valueAddedModuleData", List(&Object(VALUE_ADDED_MODULE_DATA), 200)),
    key("wideLogo", Object(IMAGE)),
];

const NOTIFICATIONS: &[Key] = &[
    key("expiryNotification", Object(EXPIRY_NOTIFICATION)),
    key("upcomingNotification", Object(UPCOMING_NOTIFICATION)),
];

const UPCOMING_NOTIFICATION: &[Key] = &[key("enableNotification", Bool)];

const EXPIRY_NOTIFICATION: &[Key] = &[key("enableNotification", Bool)];
