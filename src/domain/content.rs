//! What a pass says, before any wallet: fields by role, colours, codes, places and times. One content is rendered for
//! every wallet; what only one wallet knows travels along in that wallet's own words.

use chrono::{DateTime, FixedOffset, Utc};
use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::domain::barcode::Symbology;
use crate::domain::color::Color;
use crate::domain::locale::Locale;
use crate::domain::pass::{PassKind, PassStatus};
use crate::domain::shown::shown;
use crate::domain::text::text_enum;

text_enum! {
    /// What a field means. Each wallet has its own place for it.
    pub enum FieldRole {
        Balance = "balance",
        SecondaryBalance = "secondary_balance",
        Tier = "tier",
        MemberName = "member_name",
        MemberNumber = "member_number",
        NextReward = "next_reward",
        Expiry = "expiry",
        /// What a coupon gives: "20 % off".
        Offer = "offer",
        EventName = "event_name",
        EventStart = "event_start",
        DoorsOpen = "doors_open",
        Venue = "venue",
        Gate = "gate",
        Section = "section",
        Row = "row",
        Seat = "seat",
        TicketType = "ticket_type",
        TicketNumber = "ticket_number",
        /// The large text of a generic pass, and the one below it.
        Heading = "heading",
        Subheading = "subheading",
        Note = "note",
        /// Small print for the back: terms, opening hours.
        Info = "info",
    }
}

text_enum! {
    /// Where Apple Wallet shows a field, when the place that its role suggests is not the right one.
    pub enum AppleArea {
        Header = "header",
        Primary = "primary",
        Secondary = "secondary",
        Auxiliary = "auxiliary",
        Back = "back",
        /// Behind the details button of a poster.
        AdditionalInfo = "additional_info",
        /// Below the picture of a generic poster.
        Footer = "footer",
        Hidden = "hidden",
    }
}

text_enum! {
    /// Where Google Wallet shows a field, when the place that its role suggests is not the right one.
    pub enum GoogleArea {
        Points = "points",
        SecondaryPoints = "secondary_points",
        AccountName = "account_name",
        AccountId = "account_id",
        /// A text module in the details.
        Text = "text",
        /// A text module in a row of the card's face, in place of what Google shows there by itself.
        Card = "card",
        Hidden = "hidden",
    }
}

/// A text with its translations; none for what is said alike everywhere, such as a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Text {
    /// In the template's default language.
    pub default: String,
    /// In the template's other languages, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub translations: Vec<(Locale, String)>,
}

impl Text {
    pub const fn literal(text: String) -> Self {
        Self { default: text, translations: Vec::new() }
    }

    /// The text for a reader of `locale`; the default where it is not translated.
    pub fn in_locale(&self, locale: Locale) -> &str {
        self.translations.iter().find(|(known, _)| *known == locale).map_or(&self.default, |(_, text)| text)
    }
}

text_enum! {
    /// How much of a date, or of a time of day, is shown.
    pub enum MomentStyle {
        None = "none",
        Short = "short",
        Medium = "medium",
        Long = "long",
        Full = "full",
    }
}

/// A moment as a field shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: DateTime<FixedOffset>,
    pub date: MomentStyle,
    pub time: MomentStyle,
    /// Whether the clock of `at` is shown, wherever the phone is: a calendar day, the doors of a venue.
    pub in_own_zone: bool,
    /// "In two hours" instead of the clock.
    pub is_relative: bool,
}

/// What a field shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(Text),
    /// Grouped as the reader's language does.
    Number(Decimal),
    /// A share: 0.15 reads 15 %.
    Percent(Decimal),
    /// In the currency's major unit: 12.50 and BRL read R$ 12,50.
    Money(Decimal, Currency),
    Moment(Moment),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub role: FieldRole,
    /// Unique in the pass and stable over updates: phones notice a change by it.
    pub key: String,
    pub label: Option<Text>,
    pub value: Value,
    /// Shown when the value changes; `%@` stands for the new value.
    pub change_message: Option<Text>,
    pub apple_area: Option<AppleArea>,
    pub google_area: Option<GoogleArea>,
    /// Apple's own keys of a field: `textAlignment`, `semantics` …
    pub apple: Map<String, Json>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colors {
    pub background: Color,
    pub foreground: Color,
    pub label: Color,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barcode {
    pub symbology: Symbology,
    pub message: String,
    /// Printed below, for a person to read out.
    pub alt_text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub label: Text,
    /// `https:`, `tel:`, `mailto:` or `geo:`.
    pub uri: String,
}

/// Degrees, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    pub latitude: f64,
    pub longitude: f64,
}

/// A place where the pass is wanted: the phone offers it there by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub position: Position,
    /// Metres above the sea.
    pub altitude: Option<f64>,
    pub text: Option<Text>,
}

/// A Bluetooth beacon near which the pass is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacon {
    /// As Apple writes it: upper case, with hyphens.
    pub uuid: String,
    pub major: Option<u16>,
    pub minor: Option<u16>,
    pub text: Option<Text>,
}

/// When the pass is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    At(DateTime<FixedOffset>),
    Between(DateTime<FixedOffset>, DateTime<FixedOffset>),
}

/// Where and when a phone offers the pass by itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Relevance {
    pub places: Vec<Place>,
    pub beacons: Vec<Beacon>,
    pub occasions: Vec<Occasion>,
    /// Metres.
    pub max_distance: Option<u32>,
}

text_enum! {
    /// Where a coupon is taken.
    pub enum Redemption {
        InStore = "in_store",
        Online = "online",
        Both = "both",
    }
}

/// What a coupon promises.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    pub title: Text,
    pub provider: Text,
    pub details: Option<Text>,
    pub fine_print: Option<Text>,
    pub redemption: Redemption,
}

text_enum! {
    pub enum EventKind {
        Generic = "generic",
        LivePerformance = "live_performance",
        Movie = "movie",
        Sports = "sports",
        Conference = "conference",
        Convention = "convention",
        Workshop = "workshop",
        SocialGathering = "social_gathering",
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Venue {
    pub name: Option<String>,
    /// On one line or several.
    pub address: Option<String>,
    /// The town or district.
    pub region: Option<String>,
    pub room: Option<String>,
    pub position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seat {
    pub section: Option<String>,
    pub row: Option<String>,
    pub number: Option<String>,
    pub gate: Option<String>,
}

/// What is attended, and from which seat.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: Text,
    pub kind: EventKind,
    pub starts_at: Option<DateTime<FixedOffset>>,
    pub ends_at: Option<DateTime<FixedOffset>>,
    pub doors_at: Option<DateTime<FixedOffset>>,
    pub venue: Venue,
    pub seat: Seat,
    pub holder: Option<String>,
    pub ticket_type: Option<String>,
    pub ticket_number: Option<String>,
    pub performers: Vec<String>,
    /// Home and away.
    pub teams: Option<(String, String)>,
}

/// What only one wallet knows, rendered, in that wallet's words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    /// Top-level keys of `pass.json`.
    pub apple: Map<String, Json>,
    pub google_class: Map<String, Json>,
    pub google_object: Map<String, Json>,
    /// Passes of one template that need a class of their own on Google's side (an event, a tier) differ in this.
    pub google_class_key: Option<String>,
}

/// Everything a wallet needs to know of one pass.
#[derive(Clone, PartialEq)]
pub struct Content {
    pub kind: PassKind,
    pub status: PassStatus,
    pub serial: String,
    pub organization: Text,
    pub description: Text,
    pub program_name: Text,
    pub logo_text: Option<Text>,
    pub colors: Colors,
    pub fields: Vec<Field>,
    /// In order of preference.
    pub barcodes: Vec<Barcode>,
    pub links: Vec<Link>,
    pub relevance: Relevance,
    pub offer: Option<Offer>,
    pub event: Option<Event>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the holder may pass it on.
    pub is_shareable: bool,
    /// Whether the phone asks its holder to sign up before it adds the pass.
    pub wants_sign_up: bool,
    pub extras: Extras,
    /// The language of the texts' defaults.
    pub default_locale: Locale,
}

impl Content {
    pub fn field(&self, role: FieldRole) -> Option<&Field> {
        self.fields.iter().find(|field| field.role == role)
    }

    /// A value as text in every language of the pass, for those who format nothing themselves.
    pub fn spoken(&self, value: &Value) -> Text {
        if let Value::Text(text) = value {
            return text.clone();
        }
        let default = shown(value, self.default_locale);
        let others = self.description.translations.iter().map(|(locale, _)| *locale);
        let translations = others.map(|locale| (locale, shown(value, locale))).filter(|(_, text)| *text != default);
        Text { translations: translations.collect(), default }
    }
}
