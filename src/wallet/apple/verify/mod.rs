//! Looks at a bundle of anybody's as a phone does: lenient where phones are lenient, strict where they are strict. It shares
//! nothing with the code that makes bundles but the dictionary of `pass.json`.

mod der;
mod images;
mod json;
mod signature;
mod strings;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use openssl::x509::X509;
use serde_json::{Map, Value};
use sha1::{Digest as _, Sha1};

use crate::wallet::apple::rules::{self, Around};
use crate::wallet::fault::{Consequence, Fault};

pub use self::signature::{Signature, Verifier};
pub use self::strings::{Strings, read_strings};
pub use self::unpack::{Unpacked, unpack};

/// The files of a bundle by path.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// What a bundle holds, and everything that is wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    pub faults: Vec<Fault>,
    pub files: Contents,
    pub pass: Map<String, Value>,
    /// The texts by language.
    pub strings: BTreeMap<String, Strings>,
    pub signature: Option<Signature>,
}

impl Report {
    /// Whether a phone adds the pass.
    pub fn is_accepted(&self) -> bool {
        self.faults.iter().all(|fault| fault.consequence != Consequence::Refused)
    }

    pub fn signer(&self) -> Option<&X509> {
        self.signature.as_ref().map(Signature::signer)
    }
}

/// Checks one `.pkpass`; see [`Verifier`] for many.
pub fn verify(bundle: &[u8], roots: &[X509], now: DateTime<Utc>) -> Report {
    Verifier::new(roots).verify(bundle, now)
}

/// Checks the files of a pass, unpacked: those of a folder, for instance.
pub fn verify_files(files: Contents, faults: Vec<Fault>, roots: &[X509], now: DateTime<Utc>) -> Report {
    Verifier::new(roots).verify_files(files, faults, now)
}

fn look(verifier: &Verifier, files: Contents, faults: Vec<Fault>, now: DateTime<Utc>) -> Report {
    let mut report = Report { faults, files, ..Report::default() };
    check_manifest(&mut report);
    verifier.check_signature(&mut report, now);
    check_pass(&mut report);
    let style = rules::classic_style(&report.pass).map(|(style, _)| style);
    images::check(&report.files, style, &mut report.faults);
    strings::check(&mut report);
    // One fault, one line; the worst first.
    report.faults.sort_by(|a, b| (a.consequence, a.code, &a.detail).cmp(&(b.consequence, b.code, &b.detail)));
    report.faults.dedup();
    report
}

fn check_manifest(report: &mut Report) {
    let faults = &mut report.faults;
    let Some(manifest) = report.files.get("manifest.json") else {
        faults.push(Fault::refused("manifest-missing", "manifest.json is missing"));
        return;
    };
    let manifest: BTreeMap<String, String> = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            faults.push(Fault::refused("manifest-json", format!("manifest.json is no object of digests: {error}")));
            return;
        }
    };
    for (name, content) in &report.files {
        if matches!(name.as_str(), "manifest.json" | "signature") {
            continue;
        }
        match manifest.get(name) {
            None => faults.push(Fault::refused("manifest-unlisted", format!("{name} is not in the manifest"))),
            Some(digest) => {
                let mut text = [0; 40];
                let is_same = hex::encode_to_slice(Sha1::digest(content), &mut text).is_ok()
                    && digest.as_bytes().eq_ignore_ascii_case(&text);
                if !is_same {
                    faults.push(Fault::refused("manifest-hash", format!("{name} is not the file that was signed")));
                }
            }
        }
    }
    for name in manifest.keys().filter(|name| !report.files.contains_key(*name)) {
        faults.push(Fault::refused("manifest-absent", format!("{name} is in the manifest but not in the bundle")));
    }
}

fn check_pass(report: &mut Report) {
    let Some(pass) = report.files.get("pass.json") else {
        report.faults.push(Fault::refused("pass-missing", "pass.json is missing"));
        return;
    };
    let (pass, fault) = json::read(pass);
    report.faults.extend(fault);
    let Some(pass) = pass else { return };
    let files: BTreeSet<&str> = report.files.keys().map(String::as_str).collect();
    let is_nfc_certificate = report.signature.as_ref().map(Signature::allows_nfc);
    report.faults.extend(rules::check(&pass, Around { files: &files, is_nfc_certificate }));
    if let Some(signature) = &report.signature {
        report.faults.extend(signature.check_identity(&pass));
    }
    if let Some(form) = report.files.get("personalization.json") {
        report.faults.extend(check_form(form));
    }
    report.pass = pass;
}

/// `personalization.json`: what the phone asks for before it adds the pass.
fn check_form(form: &[u8]) -> Option<Fault> {
    let form: Option<Map<String, Value>> = serde_json::from_slice(form).ok();
    let fields = form.as_ref().and_then(|form| form.get("requiredPersonalizationFields")).and_then(Value::as_array);
    let known = ["Name", "PostalCode", "EmailAddress", "PhoneNumber"];
    let is_known = |field: &Value| {
        let name = field.as_str().and_then(|field| field.strip_prefix("PKPassPersonalizationField"));
        name.is_some_and(|name| known.contains(&name))
    };
    let asks = fields.is_some_and(|fields| !fields.is_empty() && fields.iter().all(is_known));
    let describes = form.as_ref().is_some_and(|form| form.get("description").is_some_and(Value::is_string));
    (!asks || !describes).then(|| {
        Fault::ignored("personalization", "personalization.json wants requiredPersonalizationFields and a description")
    })
}
