//! A pass design: a folder with `template.toml`, its texts per language, and images. Read once per version.

pub mod archive;
mod catalog;
pub mod extras;
pub mod images;
pub mod phrase;
mod reader;
mod template;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use serde_json::{Map, Value as Json};

pub use self::reader::{BadDesign, Faults, nearest};
pub use self::template::Format;

use self::catalog::Catalog;
use self::extras::Extra;
use self::phrase::{Expression, Phrase, Plain};
use crate::domain::barcode::Symbology;
use crate::domain::content::{AppleArea, Colors, EventKind, FieldRole, GoogleArea, MomentStyle, Redemption, Text};
use crate::domain::locale::Locale;
use crate::domain::pass::PassKind;
use crate::domain::text::text_enum;

/// The files of a design by path: what is read from a folder and kept in the database.
pub type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone)]
pub struct FieldDesign {
    pub role: FieldRole,
    pub key: String,
    pub label: Option<Phrase>,
    pub value: Phrase,
    /// Whether a pass without it is refused.
    pub is_required: bool,
    pub format: Format,
    pub currency: Option<Plain>,
    pub date_style: MomentStyle,
    pub time_style: MomentStyle,
    /// A zone's name: the clock there is shown, wherever the phone is.
    pub zone: Option<Plain>,
    pub change_message: Option<Text>,
    pub apple_area: Option<AppleArea>,
    pub google_area: Option<GoogleArea>,
    pub apple: Vec<(&'static str, Extra)>,
}

#[derive(Debug, Clone)]
pub struct BarcodeDesign {
    pub symbology: Symbology,
    pub message: Plain,
    pub alt_text: Option<Plain>,
}

#[derive(Debug, Clone)]
pub struct LinkDesign {
    pub label: Phrase,
    pub uri: Plain,
}

#[derive(Debug, Clone)]
pub struct PlaceDesign {
    pub latitude: Plain,
    pub longitude: Plain,
    pub altitude: Option<Plain>,
    pub text: Option<Phrase>,
}

#[derive(Debug, Clone)]
pub struct BeaconDesign {
    pub uuid: Plain,
    pub major: Option<Plain>,
    pub minor: Option<Plain>,
    pub text: Option<Phrase>,
}

#[derive(Debug, Clone)]
pub enum OccasionDesign {
    At(Plain),
    Between(Plain, Plain),
}

#[derive(Debug, Clone)]
pub struct OfferDesign {
    pub title: Phrase,
    pub provider: Phrase,
    pub details: Option<Phrase>,
    pub fine_print: Option<Phrase>,
    pub redemption: Redemption,
}

#[derive(Debug, Clone)]
pub struct EventDesign {
    pub name: Phrase,
    pub kind: EventKind,
    pub starts_at: Option<Plain>,
    pub ends_at: Option<Plain>,
    pub doors_at: Option<Plain>,
    pub venue: VenueDesign,
    pub seat: SeatDesign,
    pub holder: Option<Plain>,
    pub ticket_type: Option<Plain>,
    pub ticket_number: Option<Plain>,
    pub performers: Vec<Plain>,
    pub home_team: Option<Plain>,
    pub away_team: Option<Plain>,
}

#[derive(Debug, Clone, Default)]
pub struct VenueDesign {
    pub name: Option<Plain>,
    pub address: Option<Plain>,
    pub region: Option<Plain>,
    pub room: Option<Plain>,
    pub latitude: Option<Plain>,
    pub longitude: Option<Plain>,
}

#[derive(Debug, Clone, Default)]
pub struct SeatDesign {
    pub section: Option<Plain>,
    pub row: Option<Plain>,
    pub number: Option<Plain>,
    pub gate: Option<Plain>,
}

/// What the phone asks its holder for before it adds the pass (`personalization.json`).
#[derive(Debug, Clone)]
pub struct SignUp {
    pub description: String,
    pub terms: Option<String>,
    pub fields: Vec<SignUpField>,
}

text_enum! {
    pub enum SignUpField {
        Name = "name",
        PostalCode = "postal_code",
        Email = "email",
        Phone = "phone",
    }
}

text_enum! {
    /// Apple's style of a generic pass; the other kinds have one each.
    pub enum AppleStyle {
        BoardingPass = "boardingPass",
        Coupon = "coupon",
        EventTicket = "eventTicket",
        Generic = "generic",
        StoreCard = "storeCard",
    }
}

#[derive(Debug, Clone)]
pub struct AppleDesign {
    pub style: AppleStyle,
    /// `PKTransitTypeTrain` …, of a boarding pass.
    pub transit_type: Option<String>,
    /// Whether phones that know `posterGeneric` get it.
    pub is_poster: bool,
    pub keys: Vec<(&'static str, Extra)>,
}

#[derive(Debug, Clone, Default)]
pub struct GoogleDesign {
    pub class_key: Option<Plain>,
    pub class: Vec<(&'static str, Extra)>,
    pub object: Vec<(&'static str, Extra)>,
}

/// A pass to show the design with: what previews draw, and what checks are made on.
#[derive(Clone)]
pub struct Sample {
    pub brand: String,
    pub program: String,
    pub customer_name: String,
    pub card_number: String,
    pub attributes: Map<String, Json>,
    pub data: Map<String, Json>,
    pub today: NaiveDate,
}

/// A design that can be rendered: every name resolved, every image looked at.
#[derive(Clone)]
pub struct Design {
    pub name: String,
    pub kind: PassKind,
    pub default_locale: Locale,
    pub locales: Vec<Locale>,
    pub organization: Phrase,
    pub description: Phrase,
    pub program_name: Phrase,
    pub logo_text: Option<Phrase>,
    pub expires_at: Option<Plain>,
    pub is_shareable: bool,
    pub colors: Colors,
    pub barcodes: Vec<BarcodeDesign>,
    pub fields: Vec<FieldDesign>,
    pub links: Vec<LinkDesign>,
    pub places: Vec<PlaceDesign>,
    pub beacons: Vec<BeaconDesign>,
    pub occasions: Vec<OccasionDesign>,
    pub max_distance: Option<u32>,
    pub offer: Option<OfferDesign>,
    pub event: Option<EventDesign>,
    pub sign_up: Option<SignUp>,
    pub apple: AppleDesign,
    pub google: GoogleDesign,
    pub sample: Sample,
    /// Every expression, in the order of the file.
    pub expressions: Vec<Expression>,
    /// The line of `template.toml` where each key stands, by its path: `fields.points.value`.
    pub lines: BTreeMap<String, usize>,
    /// Every translated text once: what a phone looks up by the default text.
    pub texts: Vec<Text>,
    /// Images by path (`strip@2x.png`, `en/strip@2x.png`).
    pub images: Files,
}

impl Design {
    /// The keys of the fields that Google shows on the card's face, in order.
    pub fn google_card(&self) -> Vec<&str> {
        let fields = self.fields.iter().filter(|field| field.google_area == Some(GoogleArea::Card));
        fields.map(|field| field.key.as_str()).collect()
    }

    /// Reads the files of a folder, and of the folders in it that are named after a language.
    pub fn read_folder(folder: &Path) -> std::io::Result<Files> {
        let mut files = Files::new();
        read_into(folder, "", &mut files)?;
        for locale in Locale::ALL {
            let inner = folder.join(locale.as_str());
            if inner.is_dir() {
                read_into(&inner, &format!("{locale}/"), &mut files)?;
            }
        }
        Ok(files)
    }

    /// Everything that is wrong is found, not only the first.
    pub fn parse(files: &Files) -> Result<Self, Faults> {
        let faults = RefCell::default();
        let design = template::read(files, &faults);
        let mut faults = faults.into_inner();
        faults.sort();
        faults.dedup();
        match design {
            Some(design) if faults.is_empty() => Ok(design),
            _ => Err(Faults(faults)),
        }
    }
}

fn read_into(folder: &Path, prefix: &str, files: &mut Files) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Through links: what is beside the design on this machine may be part of it.
        if !name.starts_with('.') && std::fs::metadata(entry.path())?.is_file() {
            files.insert(format!("{prefix}{name}"), std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Whether a file of this path has a place in a design.
fn is_known_file(path: &str) -> bool {
    path == "template.toml"
        || path.ends_with(".png")
        || Locale::ALL.iter().any(|locale| path == catalog::file_name(*locale))
}

impl Catalog {
    fn into_texts(self) -> Vec<Text> {
        self.texts.into_values().collect()
    }
}
