//! A pass to try things on.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use passarela::clock::{Clock as _, SystemClock};
use passarela::domain::content::Content;
use passarela::domain::pass::PassStatus;
use passarela::domain::secret::Personal;
use passarela::wallet::apple::{certificates, dev_ca, signer::Signer};
use passarela::wallet::design::{Design, Files};
use passarela::wallet::render::{BadRender, Renderer, State};
use serde_json::{Map, Value};
use tempfile::TempDir;

pub const PASS_TYPE: &str = "pass.example.formats";

/// The shipped designs, one of each kind but the last.
pub const SHIPPED: [&str; 3] = ["clube-aurora", "cafe-da-tarde", "noite-aurora"];

pub fn shipped(name: &str) -> Files {
    Design::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pass-templates").join(name)).unwrap()
}

/// A shipped design, or the generic one that only tests have.
pub fn named(name: &str) -> Files {
    if name != "generic" {
        return shipped(name);
    }
    let mut files = files();
    files.retain(|name, _| !name.starts_with("strip"));
    let template = include_str!("generic.toml");
    files.insert("template.toml".to_owned(), template.as_bytes().to_vec());
    files
}

pub fn files() -> Files {
    shipped("clube-aurora")
}

/// The files with one text changed.
pub fn with(files: Files, name: &str, from: &str, to: &str) -> Files {
    let mut files = files;
    let text = String::from_utf8(files[name].clone()).unwrap();
    assert!(text.contains(from), "{from}");
    files.insert(name.to_owned(), text.replacen(from, to, 1).into_bytes());
    files
}

/// The loyalty card with more lines at the end of its template.
pub fn plus(lines: &str) -> Files {
    let mut files = files();
    files.get_mut("template.toml").unwrap().extend_from_slice(lines.as_bytes());
    files
}

pub fn renderer(files: &Files) -> Renderer {
    Renderer::new(Design::parse(files).unwrap()).ok().unwrap()
}

pub fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

pub fn content(renderer: &Renderer, name: &str, data: &Value, status: PassStatus) -> Content {
    render(renderer, name, data, status, now()).0
}

pub fn render(
    renderer: &Renderer,
    name: &str,
    data: &Value,
    status: PassStatus,
    now: DateTime<Utc>,
) -> (Content, Option<DateTime<Utc>>) {
    rendered(renderer, name, data, status, now).unwrap()
}

pub fn try_render(renderer: &Renderer, name: &str, data: &Value) -> Result<Content, BadRender> {
    rendered(renderer, name, data, PassStatus::Active, now()).map(|(content, _)| content)
}

fn rendered(
    renderer: &Renderer,
    name: &str,
    data: &Value,
    status: PassStatus,
    now: DateTime<Utc>,
) -> Result<(Content, Option<DateTime<Utc>>), BadRender> {
    let (name, card) = (Personal::new(name.to_owned()), Personal::new("740188352290".to_owned()));
    let state = State {
        brand_name: "Padaria Aurora",
        brand_code: "k7w2m9xa",
        program_name: "Clube Aurora",
        time_zone: Tz::America__Sao_Paulo,
        customer_name: Some(&name),
        customer_attributes: &Map::new(),
        card_number: Some(&card),
        member_since: now,
        pass_serial: "Ab9",
        pass_status: status,
        pass_data: data.as_object().unwrap(),
        loyalty: &serde_json::Map::new(),
        pass_created_at: now,
        pass_code: "240MBMRXY7S4XATBQHDWC3S8E6NYW7EF86298B3R28M6C2QN",
        is_signed_up: false,
        now,
    };
    renderer.render(&state)
}

pub fn certs() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        dev_ca::ensure(folder.path(), PASS_TYPE, [1 << 40, 1 << 41], SystemClock.now()).unwrap();
        folder
    });
    folder.path().to_owned()
}

pub fn signer() -> std::sync::Arc<Signer> {
    let found = certificates::read(&certs(), SystemClock.now()).unwrap();
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    found.signer(PASS_TYPE).unwrap().clone()
}
