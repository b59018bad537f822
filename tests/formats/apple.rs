//! Bundles: what we sign verifies with other programs, and what is broken is found.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::sync::Arc;

use openssl::x509::X509;
use passarela::clock::{Clock as _, SystemClock};
use passarela::domain::pass::PassStatus;
use passarela::wallet::apple::assets::Assets;
use passarela::wallet::apple::bundle::Bundle;
use passarela::wallet::apple::pass_json::{Identity, render, with_token};
use passarela::wallet::apple::{certificates, dev_ca, verify};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bundle::{openssl_verify, pass_json, unzip};
use crate::sample::{PASS_TYPE, certs, content, files, renderer, signer};

fn bundle() -> Vec<u8> {
    let (renderer, signer) = (renderer(&files()), signer());
    let content = content(&renderer, "Ana", &json!({ "points": 120, "tier": "Ouro" }), PassStatus::Active);
    let identity = Identity {
        pass_type: PASS_TYPE,
        team: signer.team(),
        web_service_url: Some("https://passes.example.com/apple/k7w2m9xa"),
    };
    let assets = Arc::new(Assets::new(renderer.design()));
    let pass = with_token(&render(&content, &renderer.design().apple, identity), &"t".repeat(43));
    Bundle::sign(&assets, &pass, None, &signer, SystemClock.now()).unwrap().to_vec()
}

fn roots() -> Vec<X509> {
    vec![X509::from_pem(&std::fs::read(certs().join("wwdr/dev-wwdr.pem")).unwrap()).unwrap()]
}

type Files = BTreeMap<String, Vec<u8>>;

fn codes(bundle: &[u8]) -> Vec<&'static str> {
    verify::verify(bundle, &roots(), SystemClock.now()).faults.iter().map(|fault| fault.code).collect()
}

#[test]
fn our_bundle_verifies_here_and_with_openssl() {
    let bundle = bundle();
    openssl_verify(&bundle, &certs().join("wwdr/dev-wwdr.pem")).unwrap();
    assert_eq!(codes(&bundle), Vec::<&str>::new());
    let other = TempDir::new().unwrap();
    dev_ca::ensure(other.path(), PASS_TYPE, [9 << 40, 9 << 41], SystemClock.now()).unwrap();
    assert!(openssl_verify(&bundle, &other.path().join("wwdr/dev-wwdr.pem")).is_err());
    let stranger = X509::from_pem(&std::fs::read(other.path().join("wwdr/dev-wwdr.pem")).unwrap()).unwrap();
    let report = verify::verify(&bundle, &[stranger], SystemClock.now());
    assert_eq!(report.faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["chain"]);
}

#[test]
fn unzip_and_openssl_agree_on_every_detail_of_the_signature() {
    let files = unzip(&bundle());
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("signature"), &files["signature"]).unwrap();
    let output = std::process::Command::new("openssl")
        .args(["cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", "signature"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for wanted in [
        "pkcs7-signedData",
        "contentType",
        "signingTime",
        "messageDigest",
        "sha256",
        "rsaEncryption",
        "d.issuerAndSerialNumber",
        "UTCTIME",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(text.contains("eContent: <ABSENT>"), "detached");
    assert_eq!(text.matches("cert_info:").count(), 2, "leaf and intermediate");
}

#[test]
fn the_same_content_makes_the_same_files() {
    let (one, two) = (unzip(&bundle()), unzip(&bundle()));
    for (name, content) in &one {
        assert!(name == "signature" || two[name] == *content, "{name}");
    }
}

#[test]
fn strings_are_the_same_keys_in_every_language() {
    let files = unzip(&bundle());
    let keys = |locale: &str| -> Vec<String> {
        let bytes = &files[&format!("{locale}.lproj/pass.strings")];
        let units: Vec<u16> = bytes[2..].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let text = String::from_utf16(&units).unwrap();
        text.lines().map(|line| line.split("\" = \"").next().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("en"), keys("pt-BR"));
    assert_eq!(keys("es"), keys("pt-BR"));
    let pass = pass_json(&bundle());
    let label = pass["storeCard"]["headerFields"][0]["label"].as_str().unwrap();
    assert!(keys("en").contains(&format!("\"{label}")), "a label is looked up by its text");
}

/// Packs files again as they are, signature and all.
fn zip(files: &Files) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The bundle with changed files, signed again: only the change is wrong.
fn signed_again(change: impl FnOnce(&mut Files)) -> Vec<u8> {
    use sha1::Digest as _;
    let mut files = unzip(&bundle());
    change(&mut files);
    let listed = files.iter().filter(|(name, _)| !matches!(name.as_str(), "manifest.json" | "signature"));
    let manifest: BTreeMap<_, _> =
        listed.map(|(name, content)| (name.clone(), hex::encode(sha1::Sha1::digest(content)))).collect();
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let signature = signer().sign(&manifest, SystemClock.now()).unwrap();
    files.insert("manifest.json".to_owned(), manifest);
    files.insert("signature".to_owned(), signature);
    zip(&files)
}

fn with_pass(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    signed_again(|files| {
        let mut pass: Value = serde_json::from_slice(&files["pass.json"]).unwrap();
        change(&mut pass);
        files.insert("pass.json".to_owned(), pass.to_string().into_bytes());
    })
}

#[test]
fn every_broken_bundle_is_found_out() {
    let unsigned = |change: &dyn Fn(&mut Files)| {
        let mut files = unzip(&bundle());
        change(&mut files);
        zip(&files)
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("not a zip", b"hello".to_vec(), "zip"),
        ("truncated", bundle()[..5_000].to_vec(), "zip"),
        ("no manifest", unsigned(&|files| drop(files.remove("manifest.json"))), "manifest-missing"),
        ("no signature", unsigned(&|files| drop(files.remove("signature"))), "signature-missing"),
        ("no pass.json", unsigned(&|files| drop(files.remove("pass.json"))), "manifest-absent"),
        ("changed image", unsigned(&|files| files.get_mut("logo.png").unwrap().push(0)), "manifest-hash"),
        ("a file too many", unsigned(&|files| drop(files.insert(".DS_Store".into(), vec![1]))), "manifest-unlisted"),
        ("changed manifest", unsigned(&|files| files.get_mut("manifest.json").unwrap().push(b' ')), "signature"),
        ("rubbish signature", unsigned(&|files| drop(files.insert("signature".into(), vec![0x30, 0]))), "signature"),
        ("no icon", signed_again(|files| files.retain(|name, _| !name.starts_with("icon"))), "icon"),
        ("not a picture", signed_again(|files| drop(files.insert("logo.png".into(), b"GIF".to_vec()))), "image"),
        (
            "trailing comma",
            signed_again(|files| drop(files.insert("pass.json".into(), b"{\"a\":1,}".to_vec()))),
            "pass-json",
        ),
        ("number for a string", with_pass(|pass| pass["serialNumber"] = json!(7)), "key-type"),
        ("no description", with_pass(|pass| drop(pass.as_object_mut().unwrap().remove("description"))), "key-missing"),
        ("other version", with_pass(|pass| pass["formatVersion"] = json!("1")), "key-type"),
        ("two styles", with_pass(|pass| pass["coupon"] = json!({})), "style"),
        ("short token", with_pass(|pass| pass["authenticationToken"] = json!("short")), "token"),
        ("other pass type", with_pass(|pass| pass["passTypeIdentifier"] = json!("pass.other")), "signer-identity"),
        ("other team", with_pass(|pass| pass["teamIdentifier"] = json!("OTHER00000")), "signer-identity"),
        ("key twice", with_pass(|pass| pass["storeCard"]["backFields"][0]["key"] = json!("points")), "field-twice"),
        (
            "style on a text",
            with_pass(|pass| pass["storeCard"]["headerFields"][0]["value"] = json!("many")),
            "field-number",
        ),
        (
            "mute change",
            with_pass(|pass| pass["storeCard"]["headerFields"][0]["changeMessage"] = json!("new")),
            "field-change",
        ),
    ];
    for (name, bundle, code) in cases {
        let found = codes(&bundle);
        assert!(found.contains(&code), "{name}: {code} is not among {found:?}");
    }
    assert_eq!(codes(&signed_again(|_| {})), Vec::<&str>::new());
}

/// The signature is read by code of our own; it must not take what OpenSSL does not.
#[test]
fn no_signature_is_taken_that_openssl_refuses() {
    use openssl::cms::{CMSOptions, CmsContentInfo};
    let files = unzip(&bundle());
    let (manifest, signature) = (&files["manifest.json"], &files["signature"]);
    let verifier = verify::Verifier::new(&[]);
    let ours = |signature: &[u8]| {
        let files = verify::Contents::from([
            ("manifest.json".to_owned(), manifest.clone()),
            ("signature".to_owned(), signature.to_vec()),
        ]);
        let report = verifier.verify_files(files, Vec::new(), SystemClock.now());
        report.signature.map(|signature| signature.signed_at)
    };
    let theirs = |signature: &[u8]| {
        let flags = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY;
        CmsContentInfo::from_der(signature)
            .is_ok_and(|mut cms| cms.verify(None, None, Some(manifest), None, flags).is_ok())
    };
    let good = ours(signature).unwrap();
    assert!(good.is_some() && theirs(signature));
    let mut taken = 0;
    // Around the certificates every byte; inside them, which are OpenSSL's to read, some.
    let is_looked_at = |at: &usize| !(100..1_900).contains(at) || at.is_multiple_of(29);
    for at in (0..signature.len()).filter(is_looked_at) {
        for change in [0x01, 0x20, 0x80, 0xff] {
            let mut changed = signature.clone();
            changed[at] ^= change;
            if let Some(signed_at) = ours(&changed) {
                assert!(theirs(&changed), "byte {at} ^ {change:#x} is taken here and not by OpenSSL");
                assert!(signed_at == good || signed_at.is_none(), "byte {at} ^ {change:#x} is of another time");
                taken += 1;
            }
        }
    }
    for end in [[0, 0].as_slice(), &[0x30, 0]] {
        let longer = [signature, end].concat();
        assert!(ours(&longer).is_none() || theirs(&longer));
    }
    println!("{taken} changes are good for both");
}

#[test]
fn certificates_that_cannot_sign_say_why() {
    use std::os::unix::fs::PermissionsExt;
    let now = SystemClock.now();
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    dev_ca::ensure(path, PASS_TYPE, [3 << 40, 3 << 41], now).unwrap();
    let own = path.join(PASS_TYPE);
    let fault = || {
        let found = certificates::read(path, now).unwrap();
        found.faults.into_iter().next().map(|(_, fault)| fault.to_string()).unwrap_or_default()
    };
    assert_eq!(fault(), "");
    std::fs::set_permissions(own.join("key.pem"), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(fault().contains("chmod 600"), "{}", fault());
    std::fs::set_permissions(own.join("key.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(&own, path.join("pass.other")).unwrap();
    assert!(fault().contains("is for the pass type pass.example.formats"), "{}", fault());
    std::fs::rename(path.join("pass.other"), &own).unwrap();
    let late = certificates::read(path, now + chrono::TimeDelta::days(400)).unwrap();
    assert!(late.faults[0].1.to_string().contains("expired"), "{}", late.faults[0].1);
    let other = TempDir::new().unwrap();
    dev_ca::ensure(other.path(), PASS_TYPE, [4 << 40, 4 << 41], now).unwrap();
    let key = std::fs::read(own.join("key.pem")).unwrap();
    std::fs::copy(other.path().join(PASS_TYPE).join("key.pem"), own.join("key.pem")).unwrap();
    assert!(fault().contains("does not belong"), "{}", fault());
    std::fs::write(own.join("key.pem"), key).unwrap();
    std::fs::copy(other.path().join("wwdr/dev-wwdr.pem"), path.join("wwdr/dev-wwdr.pem")).unwrap();
    assert!(fault().contains("no intermediate certificate"), "{}", fault());
}

#[test]
fn a_p12_serves_as_well_as_pem() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    dev_ca::ensure(path, PASS_TYPE, [5 << 40, 5 << 41], SystemClock.now()).unwrap();
    let own = path.join(PASS_TYPE);
    let output = std::process::Command::new("openssl")
        .args([
            "pkcs12",
            "-export",
            "-in",
            "pass.pem",
            "-inkey",
            "key.pem",
            "-out",
            "pass.p12",
            "-passout",
            "pass:hunter2",
        ])
        .current_dir(&own)
        .output()
        .unwrap();
    assert!(output.status.success());
    std::fs::remove_file(own.join("pass.pem")).unwrap();
    std::fs::remove_file(own.join("key.pem")).unwrap();
    std::fs::write(own.join("pass.p12.password"), "hunter2\n").unwrap();
    for name in ["pass.p12", "pass.p12.password"] {
        std::fs::set_permissions(own.join(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let found = certificates::read(path, SystemClock.now()).unwrap();
    assert!(found.faults.is_empty() && found.signer(PASS_TYPE).is_some(), "{:?}", found.faults);
    std::fs::write(own.join("pass.p12.password"), "wrong").unwrap();
    let found = certificates::read(path, SystemClock.now()).unwrap();
    let text = found.faults[0].1.to_string();
    assert!(text.contains("cannot be opened") && !text.contains("wrong\""), "{text}");
}
