//! Everything that can be found out about a design before a pass is made with it.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::domain::content::Content;
use crate::domain::ids::TemplateId;
use crate::domain::pass::{PassKind, PassStatus};
use crate::domain::secret::Personal;
use crate::wallet::apple::pass_json::{self, Identity};
use crate::wallet::apple::rules::{self, Around};
use crate::wallet::design::{BadDesign, Design, Faults, Files, Sample, images};
use crate::wallet::dictionary;
use crate::wallet::fault::{Consequence, Fault};
use crate::wallet::google::{self, Surroundings};
use crate::wallet::render::{BadRender, Renderer, State};

/// A design without faults.
pub struct Checked {
    pub renderer: Renderer,
    /// What phones take but do not show as it was perhaps meant.
    pub notes: Vec<Fault>,
}

/// Reads, compiles and tries a design, on the pass of its `[sample]`.
pub fn check(files: &Files) -> Result<Checked, Faults> {
    let design = Design::parse(files)?;
    // By name and header first, and only then whole: a small file can promise a picture of any size.
    let broken = images::find_broken(files);
    if !broken.is_empty() {
        return Err(Faults(broken));
    }
    let renderer = Renderer::new(design)?;
    renderer.check()?;
    let content = render_sample(&renderer, renderer.design().sample.today)
        .map_err(|error| Faults(vec![of_sample(renderer.design(), &error.place, &error.to_string())]))?;
    let mut faults = apple_faults(renderer.design(), &content);
    faults.extend(google_faults(renderer.design(), &content));
    let (bad, notes): (Vec<Fault>, Vec<Fault>) = faults
        .into_iter()
        .partition(|fault| matches!(fault.consequence, Consequence::Refused | Consequence::NotUpdated));
    if bad.is_empty() {
        let notes = notes.into_iter().chain(images::notes(&renderer.design().images)).collect();
        return Ok(Checked { renderer, notes });
    }
    let faults = bad.iter().map(|fault| of_sample(renderer.design(), &fault.detail, &fault.to_string()));
    Err(Faults(faults.collect()))
}

/// A fault of the sample pass, with the line that it is about.
fn of_sample(design: &Design, about: &str, reason: &str) -> BadDesign {
    let reason = format!("the sample pass: {reason}");
    BadDesign { file: "template.toml".to_owned(), line: line_of(design, about), reason }
}

/// The line of the path that `about` is, or of the one that it says most of; else that of the sample. A position in a list
/// (`barcodes[0]`) is not told.
fn line_of(design: &Design, about: &str) -> Option<usize> {
    let said: BTreeSet<&str> = about.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let places = design.lines.iter().map(|(path, line)| {
        let names = path.split('.').map(|name| name.split('[').next().unwrap_or(name));
        let names: Vec<&str> = names.collect();
        let count = names.iter().filter(|name| said.contains(*name)).count();
        (names.join(".") == about, count, names.len(), *line)
    });
    let best = places.max_by_key(|(is_it, count, depth, line)| (*is_it, *count, *depth, std::cmp::Reverse(*line)));
    let sample = design.lines.get("sample").copied();
    best.filter(|(is_it, count, ..)| *is_it || *count > 0).map(|(_, _, _, line)| line).or(sample)
}

/// A day's noon, UTC.
fn noon(day: chrono::NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default()).and_utc()
}

/// The pass of the design's `[sample]`.
pub fn render_sample(renderer: &Renderer, today: chrono::NaiveDate) -> Result<Content, BadRender> {
    let sample = &renderer.design().sample;
    let (name, card) = (Personal::new(sample.customer_name.clone()), Personal::new(sample.card_number.clone()));
    let state = sample_state(sample, &name, &card, noon(today));
    renderer.render(&state).map(|(content, _)| content)
}

/// Whether the design can show a pass of its `[sample]` with other data.
pub fn try_data(renderer: &Renderer, data: Map<String, Json>) -> Result<(), BadRender> {
    let mut sample = renderer.design().sample.clone();
    sample.data.extend(data);
    let (name, card) = (Personal::new(sample.customer_name.clone()), Personal::new(sample.card_number.clone()));
    renderer.render(&sample_state(&sample, &name, &card, noon(sample.today))).map(|_| ())
}

fn sample_state<'a>(
    sample: &'a Sample,
    name: &'a Personal<String>,
    card: &'a Personal<String>,
    now: DateTime<Utc>,
) -> State<'a> {
    State {
        brand_name: &sample.brand,
        brand_code: "k7w2m9xa",
        program_name: &sample.program,
        time_zone: chrono_tz::America::Sao_Paulo,
        customer_name: Some(name),
        customer_attributes: &sample.attributes,
        card_number: Some(card),
        member_since: now,
        pass_serial: "Sample0000000000000000",
        pass_status: PassStatus::Active,
        pass_data: &sample.data,
        // A sample hands over what a program would know.
        loyalty: &sample.data,
        pass_created_at: now,
        pass_code: "240MBMRXY7S4XATBQHDWC3S8E6NYW7EF86298B3R28M6C2QN",
        is_signed_up: false,
        now,
    }
}

/// Apple's rules on the pass, as far as they do not need a certificate.
fn apple_faults(design: &Design, content: &Content) -> Vec<Fault> {
    let identity = Identity {
        pass_type: "pass.example",
        team: "EXAMPLE000",
        web_service_url: Some("https://passes.example.com/apple/k7w2m9xa"),
    };
    let pass = pass_json::with_token(&pass_json::render(content, &design.apple, identity), "0123456789abcdef");
    let pass: Map<String, Json> = serde_json::from_slice(&pass).unwrap_or_default();
    let files: BTreeSet<&str> = design.images.keys().map(String::as_str).collect();
    rules::check(&pass, Around { files: &files, is_nfc_certificate: None })
}

/// Google's shapes on class and object.
fn google_faults(design: &Design, content: &Content) -> Vec<Fault> {
    use google::dictionary as keys;
    let images: Vec<&str> = design.images.keys().map(String::as_str).collect();
    let place = Surroundings {
        issuer_id: "3388000000000000000",
        template: TemplateId::new(Uuid::nil()),
        images_url: "https://passes.example.com/i/",
        images: &images,
        card: &design.google_card(),
    };
    let (class_keys, object_keys) = match content.kind {
        PassKind::Loyalty => (keys::LOYALTY_CLASS, keys::LOYALTY_OBJECT),
        PassKind::Coupon => (keys::OFFER_CLASS, keys::OFFER_OBJECT),
        PassKind::Event => (keys::EVENT_TICKET_CLASS, keys::EVENT_TICKET_OBJECT),
        PassKind::Generic => (keys::GENERIC_CLASS, keys::GENERIC_OBJECT),
    };
    let mut faults = Vec::new();
    for (name, value, keys) in [
        ("google.class", google::class(content, place), class_keys),
        ("google.object", google::object(content, place), object_keys),
    ] {
        if let Json::Object(members) = value {
            dictionary::check(keys, &members, name, &mut faults);
        }
    }
    // Google answers a wrong shape with 400: nothing is shown at all.
    faults.into_iter().map(|fault| Fault { consequence: Consequence::Refused, ..fault }).collect()
}
