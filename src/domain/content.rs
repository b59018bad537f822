//! What a pass says, before any wallet: fields by role, colours, a barcode. One content is rendered for every wallet.

use chrono::{DateTime, Utc};

use crate::domain::color::Color;
use crate::domain::locale::Locale;
use crate::domain::pass::{PassKind, PassStatus};
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
    }
}

/// A text with its translations; none for what is said alike everywhere, such as a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    /// In the template's default language.
    pub default: String,
    /// In the template's other languages, in order.
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

/// What a field shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(Text),
    /// Grouped as the reader's language does.
    Integer(i64),
    /// A calendar day, shown without a time.
    Date(DateTime<Utc>),
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
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colors {
    pub background: Color,
    pub foreground: Color,
    pub label: Color,
}

/// A QR code in a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barcode {
    pub message: String,
    /// Printed below, for a person to read out.
    pub alt_text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub label: Text,
    /// `https:`, `tel:` or `mailto:`.
    pub uri: String,
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
    pub barcode: Barcode,
    pub links: Vec<Link>,
    pub expires_at: Option<DateTime<Utc>>,
    /// The language of the texts' defaults.
    pub default_locale: Locale,
}

impl Content {
    pub fn field(&self, role: FieldRole) -> Option<&Field> {
        self.fields.iter().find(|field| field.role == role)
    }
}
