//! What is fuzzed: every reader of bytes from outside. The fuzzer runs these, and so does the test that replays the corpus.

use std::collections::{BTreeMap, BTreeSet};

use passarela::domain::job::JobKind;
use passarela::domain::rows::{End, Layout};
use passarela::http::imports::FORMS;
use passarela::wallet::apple::rules::{self, Around};
use passarela::wallet::apple::verify;
use passarela::wallet::check;
use passarela::wallet::design::{Design, Files, archive, images};
use passarela::wallet::render::Renderer;

/// A reader by the name of its target and of its corpus.
type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("design_zip", design_zip),
    ("template", template),
    ("strings", strings),
    ("png", png),
    ("pass_json", pass_json),
    ("cms", cms),
    ("bundle", bundle),
    ("web_service", web_service),
    ("import", import),
];

/// A design as it is uploaded.
pub fn design_zip(data: &[u8]) {
    if let Ok(files) = archive::unpack(data)
        && check::check(&files).is_ok()
    {
        assert!(images::clean_all(files).is_ok(), "a design without faults can be kept");
    }
}

/// `template.toml`; after a line of hyphens, `pt-BR.toml`.
pub fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (template, texts) = text.split_once("\n---\n").unwrap_or((&text, "a = \"b\""));
    let files = Files::from([
        ("template.toml".to_owned(), template.as_bytes().to_vec()),
        ("pt-BR.toml".to_owned(), texts.as_bytes().to_vec()),
    ]);
    match Design::parse(&files) {
        Ok(design) => {
            if let Ok(renderer) = Renderer::new(design) {
                drop(renderer.check());
            }
        }
        Err(faults) => assert!(!faults.0.is_empty()),
    }
}

/// `pass.strings`.
pub fn strings(data: &[u8]) {
    drop(verify::read_strings(data));
}

/// An image of a design.
pub fn png(data: &[u8]) {
    if let Ok(cleaned) = images::clean(data) {
        assert!(images::clean(&cleaned).is_ok(), "what we wrote can be read");
    }
}

/// `pass.json`, of anybody's.
pub fn pass_json(data: &[u8]) {
    let files = verify::Contents::from([("pass.json".to_owned(), data.to_vec())]);
    let report = verify::verify_files(files, Vec::new(), &[], chrono::DateTime::UNIX_EPOCH);
    drop(passarela::wallet::apple::inspect::draw(&report));
    let names = BTreeSet::new();
    drop(rules::check(&report.pass, Around { files: &names, is_nfc_certificate: Some(false) }));
}

/// `signature`, over a manifest of no files.
pub fn cms(data: &[u8]) {
    let files = BTreeMap::from([("manifest.json".to_owned(), b"{}".to_vec()), ("signature".to_owned(), data.to_vec())]);
    drop(verify::verify_files(files, Vec::new(), &[], chrono::DateTime::UNIX_EPOCH));
}

/// A whole `.pkpass` or `.pkpasses`.
pub fn bundle(data: &[u8]) {
    if let Ok(verify::Unpacked::Passes(passes, _)) = verify::unpack(data) {
        for (_, pass) in passes {
            drop(verify::verify(&pass, &[], chrono::DateTime::UNIX_EPOCH));
        }
    }
    drop(verify::verify(data, &[], chrono::DateTime::UNIX_EPOCH));
}

/// Bodies of the web service and of the API.
pub fn web_service(data: &[u8]) {
    drop(passarela::domain::json::strict(data));
    passarela::http::apple_web_service::read_bodies(data);
}

/// A file of lines, both ways of writing them: CSV after its header, and NDJSON.
pub fn import(data: &[u8]) {
    for kind in JobKind::ALL {
        let csv = Layout::of_csv(data, (FORMS.columns)(*kind));
        let layouts = csv.into_iter().chain([(Layout::Ndjson, End::default())]);
        for (layout, begin) in layouts {
            let rest = data.get(begin.bytes..).unwrap_or_default();
            let taken = layout.take(rest, true, 1, usize::MAX);
            assert_eq!((taken.end.bytes, taken.rows.len()), (rest.len(), taken.ends.len()));
            for row in taken.rows {
                if let Ok(value) = row.value {
                    drop((FORMS.parse)(*kind, value));
                }
            }
        }
    }
}
