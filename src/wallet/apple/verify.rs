//! Checks a bundle as a phone does, by another way than it was made: zip, OpenSSL's CMS and JSON readers.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use serde::Serialize;
use serde_json::{Map, Value};
use sha1::{Digest as _, Sha1};

use crate::wallet::apple::signer::name_entry;

/// One thing that is wrong, and what a phone makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Stable and short: `manifest-hash`, `signature`, …
    pub code: &'static str,
    pub detail: String,
    pub consequence: &'static str,
}

const REFUSED: &str = "the phone refuses the pass";

fn fault(code: &'static str, detail: impl Into<String>) -> Fault {
    Fault { code, detail: detail.into(), consequence: REFUSED }
}

/// The files of a bundle that could be opened, and everything that is wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    pub faults: Vec<Fault>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub pass: Map<String, Value>,
    pub signer: Option<X509>,
}

/// Bounds for bundles of unknown origin.
const FILES_MAX: usize = 200;
const UNPACKED_MAX: u64 = 30 * 1024 * 1024;

/// Checks everything that can be checked without the phone. `roots` are certificates to trust; without them the chain
/// is not judged (only Apple's root counts on a phone).
pub fn verify(bundle: &[u8], roots: &[X509]) -> Report {
    let mut report = Report::default();
    match unzip(bundle) {
        Ok(files) => report.files = files,
        Err(fault) => {
            report.faults.push(fault);
            return report;
        }
    }
    check_manifest(&mut report);
    check_signature(&mut report, roots);
    check_pass(&mut report);
    check_images(&mut report);
    report
}

fn unzip(bundle: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let broken = |error: zip::result::ZipError| fault("zip", format!("not a zip file: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bundle)).map_err(broken)?;
    if archive.len() > FILES_MAX {
        return Err(fault("zip", format!("{} files; at most {FILES_MAX} are read", archive.len())));
    }
    let mut files = BTreeMap::new();
    let mut left = UNPACKED_MAX;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(broken)?.into_owned();
        let mut content = Vec::new();
        let read = entry.take(left + 1).read_to_end(&mut content);
        let read = read.map_err(|error| fault("zip", format!("{name}: {error}")))? as u64;
        left = left.checked_sub(read).ok_or_else(|| fault("zip", "over 30 MiB unpacked"))?;
        if files.insert(name.clone(), content).is_some() {
            return Err(fault("zip", format!("{name} occurs twice")));
        }
    }
    Ok(files)
}

fn check_manifest(report: &mut Report) {
    let Some(manifest) = report.files.get("manifest.json") else {
        report.faults.push(fault("manifest-missing", "manifest.json is missing"));
        return;
    };
    let manifest: BTreeMap<String, String> = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.faults.push(fault("manifest-json", format!("manifest.json: {error}")));
            return;
        }
    };
    for (name, content) in &report.files {
        if matches!(name.as_str(), "manifest.json" | "signature") {
            continue;
        }
        match manifest.get(name) {
            None => report.faults.push(fault("manifest-unlisted", format!("{name} is not in the manifest"))),
            Some(digest) if *digest != hex::encode(Sha1::digest(content)) => {
                report.faults.push(fault("manifest-hash", format!("{name} is not the file that was signed")));
            }
            Some(_) => {}
        }
    }
    for name in manifest.keys().filter(|name| !report.files.contains_key(*name)) {
        report.faults.push(fault("manifest-absent", format!("{name} is in the manifest but not in the bundle")));
    }
}

fn check_signature(report: &mut Report, roots: &[X509]) {
    let (Some(manifest), Some(signature)) = (report.files.get("manifest.json"), report.files.get("signature")) else {
        if !report.files.contains_key("signature") {
            report.faults.push(fault("signature-missing", "signature is missing"));
        }
        return;
    };
    match open_signature(manifest, signature, roots) {
        Ok((signer, faults)) => {
            report.signer = Some(signer);
            report.faults.extend(faults);
        }
        Err(fault) => report.faults.push(fault),
    }
}

fn open_signature(manifest: &[u8], signature: &[u8], roots: &[X509]) -> Result<(X509, Vec<Fault>), Fault> {
    let broken =
        |error: openssl::error::ErrorStack| fault("signature", format!("the signature does not verify: {error}"));
    let mut cms = CmsContentInfo::from_der(signature).map_err(broken)?;
    let flags = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY;
    cms.verify(None, None, Some(manifest), None, flags).map_err(broken)?;
    let embedded = openssl::pkcs7::Pkcs7::from_der(signature)
        .and_then(|pkcs7| pkcs7.signers(Stack::new()?.as_ref(), openssl::pkcs7::Pkcs7Flags::empty()))
        .map_err(broken)?;
    let signer = embedded.get(0).map(|signer| signer.to_owned()).ok_or_else(|| fault("signature", "nobody signed"))?;
    let mut faults = Vec::new();
    if !roots.is_empty() {
        let chained = trust(roots).and_then(|store| {
            let mut cms = CmsContentInfo::from_der(signature)?;
            cms.verify(None, Some(&store), Some(manifest), None, CMSOptions::BINARY)
        });
        if let Err(error) = chained {
            faults.push(fault("chain", format!("the signer does not chain to the given certificates: {error}")));
        }
    }
    Ok((signer, faults))
}

/// A store that trusts `roots`, intermediates among them too, for whatever purpose: pass certificates have their own.
fn trust(roots: &[X509]) -> Result<X509Store, openssl::error::ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for root in roots {
        store.add_cert(root.clone())?;
    }
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    store.set_purpose(openssl::x509::X509PurposeId::ANY)?;
    Ok(store.build())
}

/// Keys that a pass must have, all of them strings.
const REQUIRED: &[&str] = &["passTypeIdentifier", "teamIdentifier", "serialNumber", "organizationName", "description"];
const STYLES: &[&str] = &["boardingPass", "coupon", "eventTicket", "generic", "storeCard"];
const AREAS: &[&str] = &["headerFields", "primaryFields", "secondaryFields", "auxiliaryFields", "backFields"];

fn check_pass(report: &mut Report) {
    let Some(pass) = report.files.get("pass.json") else {
        report.faults.push(fault("pass-missing", "pass.json is missing"));
        return;
    };
    let pass: Map<String, Value> = match serde_json::from_slice(pass) {
        Ok(pass) => pass,
        Err(error) => {
            report.faults.push(fault("pass-json", format!("pass.json: {error}")));
            return;
        }
    };
    let mut faults = Vec::new();
    if pass.get("formatVersion") != Some(&Value::from(1)) {
        faults.push(fault("pass-key", "formatVersion must be 1"));
    }
    for key in REQUIRED {
        match pass.get(*key) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => faults.push(fault("pass-key", format!("{key} must be a string that is not empty"))),
            None => faults.push(fault("pass-key", format!("{key} is missing"))),
        }
    }
    let styles: Vec<&&str> = STYLES.iter().filter(|style| pass.contains_key(**style)).collect();
    if let [style] = styles.as_slice() {
        faults.extend(check_fields(pass.get(**style)));
    } else {
        faults.push(fault("pass-style", format!("{} style keys; exactly one is wanted", styles.len())));
    }
    if pass.contains_key("webServiceURL") {
        let token = pass.get("authenticationToken").and_then(Value::as_str).unwrap_or_default();
        if token.len() < 16 {
            faults.push(Fault {
                code: "pass-token",
                detail: "authenticationToken must have at least 16 characters".to_owned(),
                consequence: "the pass is never updated",
            });
        }
    }
    if let Some(signer) = &report.signer {
        for (key, nid) in [("passTypeIdentifier", Nid::USERID), ("teamIdentifier", Nid::ORGANIZATIONALUNITNAME)] {
            let certified = name_entry(signer.subject_name(), nid).unwrap_or_default();
            if pass.get(key).and_then(Value::as_str) != Some(certified.as_str()) {
                faults.push(fault("pass-signer", format!("{key} is not the certificate's ({certified})")));
            }
        }
    }
    report.faults.extend(faults);
    report.pass = pass;
}

fn check_fields(style: Option<&Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for area in AREAS {
        let fields = style.and_then(|style| style.get(*area)).and_then(Value::as_array);
        for field in fields.into_iter().flatten() {
            let key = field.get("key").and_then(Value::as_str).unwrap_or_default();
            if key.is_empty() || field.get("value").is_none() {
                faults.push(fault("field", format!("{area}: a field has no key or no value")));
            } else if keys.contains(&key) {
                faults.push(fault("field-twice", format!("{area}: two fields have the key {key}")));
            }
            keys.push(key);
            let number = matches!(field.get("value"), Some(Value::Number(_)));
            if !number && (field.get("numberStyle").is_some() || field.get("currencyCode").is_some()) {
                faults.push(fault("field-number", format!("{key}: a number style on something else than a number")));
            }
            let message = field.get("changeMessage").and_then(Value::as_str);
            if message.is_some_and(|message| !message.contains("%@")) {
                faults.push(Fault {
                    code: "field-change",
                    detail: format!("{key}: changeMessage has no %@"),
                    consequence: "the change is not announced",
                });
            }
        }
    }
    faults
}

fn check_images(report: &mut Report) {
    let icon = ["icon.png", "icon@2x.png", "icon@3x.png"].iter().any(|name| report.files.contains_key(*name));
    if !icon {
        report.faults.push(fault("icon", "no icon"));
    }
    let broken = report
        .files
        .iter()
        .filter(|(name, content)| name.ends_with(".png") && !content.starts_with(b"\x89PNG\r\n\x1a\n"));
    let faults: Vec<Fault> = broken.map(|(name, _)| fault("image", format!("{name} is not a PNG image"))).collect();
    report.faults.extend(faults);
}
