//! Reads bundles with other people's code: the zip crate, and the `openssl` command.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

pub fn unzip(bundle: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bundle)).expect("a zip file");
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(entry.name().unwrap().into_owned(), content);
    }
    files
}

pub fn pass_json(bundle: &[u8]) -> Value {
    serde_json::from_slice(&unzip(bundle)["pass.json"]).unwrap()
}

/// What `openssl cms -verify` says of a bundle whose signer must chain to `ca`.
pub fn openssl_verify(bundle: &[u8], ca: &Path) -> Result<(), String> {
    let files = unzip(bundle);
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["manifest.json", "signature"] {
        std::fs::write(folder.path().join(name), &files[name]).unwrap();
    }
    let output = Command::new("openssl")
        .args(["cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "manifest.json"])
        .args(["-partial_chain", "-purpose", "any", "-out", "/dev/null", "-CAfile"])
        .arg(ca)
        .current_dir(folder.path())
        .output()
        .expect("the openssl command (scripts/test installs it)");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
