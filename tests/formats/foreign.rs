//! Passes as others make them: what is seen in public samples, rebuilt here, and the verdict on each.

use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::Command;

use passarela::clock::{Clock as _, SystemClock};
use passarela::wallet::apple::several::put_together;
use passarela::wallet::apple::verify::{self, Unpacked};
use passarela::wallet::fault::Consequence;
use serde_json::{Value, json};
use sha1::Digest as _;
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::sample::{PASS_TYPE, certs, files, signer};

/// A pass of somebody's own making.
struct Foreign {
    pass: Value,
    /// Instead of the pass written by serde.
    text: Option<Vec<u8>>,
    strings: Option<(&'static str, Vec<u8>)>,
    has_folders: bool,
    method: CompressionMethod,
    /// What the `openssl cms -sign` command is told beside the usual.
    signing: &'static [&'static str],
    has_intermediate: bool,
    /// A file that the manifest does not list.
    stray: Option<&'static str>,
    prefix: &'static str,
}

fn foreign() -> Foreign {
    let team = signer().team().to_owned();
    Foreign {
        pass: json!({
            "formatVersion": 1, "passTypeIdentifier": PASS_TYPE, "teamIdentifier": team, "serialNumber": "N 123/45-6",
            "organizationName": "Airline", "description": "Boarding pass", "relevantDate": "2026-12-24T10:00-03:00",
            "barcode": { "format": "PKBarcodeFormatPDF417", "message": "M1DOE/JOHN", "messageEncoding": "ISO-8859-1" },
            "boardingPass": { "transitType": "PKTransitTypeAir",
                "primaryFields": [{ "key": "from", "label": "GRU", "value": "São Paulo" }, { "key": "to", "value": "LIS" }] },
        }),
        text: None,
        strings: None,
        has_folders: false,
        method: CompressionMethod::Deflated,
        signing: &[],
        has_intermediate: true,
        stray: None,
        prefix: "",
    }
}

impl Foreign {
    fn build(self) -> Vec<u8> {
        let icons = files();
        let mut content = vec![
            ("pass.json".to_owned(), self.text.unwrap_or_else(|| self.pass.to_string().into_bytes())),
            ("icon.png".to_owned(), icons["icon.png"].clone()),
            ("icon@2x.png".to_owned(), icons["icon@2x.png"].clone()),
        ];
        if let Some((language, strings)) = self.strings {
            content.push((format!("{language}.lproj/pass.strings"), strings));
        }
        let manifest: serde_json::Map<String, Value> =
            content.iter().map(|(name, file)| (name.clone(), hex::encode(sha1::Sha1::digest(file)).into())).collect();
        let manifest = Value::Object(manifest).to_string().into_bytes();
        content.push(("signature".to_owned(), sign(&manifest, self.signing, self.has_intermediate)));
        content.push(("manifest.json".to_owned(), manifest));
        content.extend(self.stray.map(|name| (name.to_owned(), b"x".to_vec())));
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(self.method);
        if self.has_folders {
            writer.add_directory("en.lproj/", options).unwrap();
        }
        for (name, file) in content {
            writer.start_file(format!("{}{name}", self.prefix), options).unwrap();
            writer.write_all(&file).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }
}

fn sign(manifest: &[u8], options: &[&str], has_intermediate: bool) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("manifest.json"), manifest).unwrap();
    let own = certs().join(PASS_TYPE);
    let mut command = Command::new("openssl");
    command.args(["cms", "-sign", "-binary", "-outform", "DER", "-in"]).arg(path("manifest.json"));
    command.arg("-signer").arg(own.join("pass.pem")).arg("-inkey").arg(own.join("key.pem"));
    if has_intermediate {
        command.arg("-certfile").arg(certs().join("wwdr/dev-wwdr.pem"));
    }
    let output = command.args(options).arg("-out").arg(path("signature")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path("signature")).unwrap()
}

fn utf16_be(text: &str) -> Vec<u8> {
    [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect()
}

fn codes(bundle: &[u8]) -> Vec<(&'static str, Consequence)> {
    verify::verify(bundle, &[], SystemClock.now()).faults.iter().map(|fault| (fault.code, fault.consequence)).collect()
}

#[test]
fn what_phones_take_is_taken() {
    let strings = "/* German */\n\"GRU\" = \"São Paulo\";\n";
    let cases: Vec<(&str, Foreign)> = vec![
        ("an airline's, with the old barcode key alone and a serial with blanks and slashes", foreign()),
        ("stored, not deflated", Foreign { method: CompressionMethod::Stored, ..foreign() }),
        ("with entries for folders, as Apple's builder writes them", Foreign { has_folders: true, ..foreign() }),
        ("strings in UTF-8, as Eurowings ships them", Foreign { strings: Some(("de", strings.into())), ..foreign() }),
        ("strings in UTF-16BE, as KDE's samples", Foreign { strings: Some(("de", utf16_be(strings))), ..foreign() }),
        ("signed over SHA-1, as older libraries do", Foreign { signing: &["-md", "sha1"], ..foreign() }),
        ("signer named by its key id (SignerInfo 3)", Foreign { signing: &["-keyid"], ..foreign() }),
        ("without S/MIME capabilities", Foreign { signing: &["-nosmimecap"], ..foreign() }),
        (
            "with a byte order mark before its JSON",
            Foreign { text: Some([b"\xef\xbb\xbf", foreign().pass.to_string().as_bytes()].concat()), ..foreign() },
        ),
    ];
    for (name, pass) in cases {
        assert_eq!(codes(&pass.build()), [], "{name}");
    }
}

#[test]
fn what_phones_refuse_is_refused_with_its_reason() {
    let with = |change: fn(&mut Value)| {
        let mut pass = foreign();
        change(&mut pass.pass);
        pass
    };
    let comma =
        foreign().pass.to_string().replacen("\"formatVersion\":1,", "\"userInfo\":[1,],\"formatVersion\":1,", 1);
    let cases: Vec<(&str, Foreign, &str)> = vec![
        (
            "Apple's own sample with a trailing comma",
            Foreign { text: Some(comma.into_bytes()), ..foreign() },
            "pass-json",
        ),
        ("an unlisted file of the system", Foreign { stray: Some(".DS_Store"), ..foreign() }, "manifest-unlisted"),
        ("the folder packed instead of its content", Foreign { prefix: "pass/", ..foreign() }, "zip-folder"),
        ("no intermediate in the signature", Foreign { has_intermediate: false, ..foreign() }, "intermediate"),
        ("a signature without its time", Foreign { signing: &["-noattr"], ..foreign() }, "signing-time"),
        ("broken strings", Foreign { strings: Some(("de", b"\"a\" = b\"".to_vec())), ..foreign() }, "strings"),
        (
            "a zone that nobody has, as Westbahn's",
            with(|pass| pass["relevantDate"] = json!("2026-12-24T10:00-57:00")),
            "date",
        ),
        (
            "a date without a colon in its offset",
            with(|pass| pass["relevantDate"] = json!("2026-12-24T10:00-0300")),
            "date",
        ),
        (
            "no transit type",
            with(|pass| drop(pass["boardingPass"].as_object_mut().unwrap().remove("transitType"))),
            "transit-type",
        ),
        (
            "a pass that Wallet itself made",
            with(|pass| pass["passTypeIdentifier"] = json!("userpass.com.apple.wallet.x")),
            "pass-type",
        ),
        (
            "somebody else's pass type",
            with(|pass| pass["passTypeIdentifier"] = json!("pass.com.airline")),
            "signer-identity",
        ),
    ];
    for (name, pass, code) in cases {
        let found = codes(&pass.build());
        assert!(found.contains(&(code, Consequence::Refused)), "{name}: {code} is not among {found:?}");
    }
    let unsigned = zip_without(&foreign().build(), "signature");
    assert!(codes(&unsigned).contains(&("signature-missing", Consequence::Refused)));
    let unlisted = zip_without(&foreign().build(), "icon.png");
    assert!(codes(&unlisted).contains(&("manifest-absent", Consequence::Refused)));
}

/// A pass of one's pass type, changed, and signed by somebody else whose certificate the same authority issued.
#[test]
fn a_signature_of_somebody_else_is_not_taken_for_the_owners() {
    let now = SystemClock.now();
    let folder = TempDir::new().unwrap();
    // A copy of the authority: other tests read the folder meanwhile.
    let copied = Command::new("cp").arg("-r").arg(certs()).arg(folder.path().join("certs")).status().unwrap();
    assert!(copied.success());
    let authority = folder.path().join("certs");
    passarela::wallet::apple::dev_ca::ensure(&authority, "pass.example.mallory", [77 << 8, 77 << 9], now).unwrap();
    let (mallory, owner) = (authority.join("pass.example.mallory"), authority.join(PASS_TYPE));
    let path = |name: &str| folder.path().join(name);
    let mut files = crate::bundle::unzip(&foreign().build());
    std::fs::write(path("manifest.json"), &files["manifest.json"]).unwrap();
    let both =
        [std::fs::read(owner.join("pass.pem")).unwrap(), std::fs::read(certs().join("wwdr/dev-wwdr.pem")).unwrap()];
    std::fs::write(path("both.pem"), both.concat()).unwrap();
    let mut command = Command::new("openssl");
    command.args(["cms", "-sign", "-binary", "-outform", "DER", "-in"]).arg(path("manifest.json"));
    command.arg("-signer").arg(mallory.join("pass.pem")).arg("-inkey").arg(mallory.join("key.pem"));
    assert!(
        command.arg("-certfile").arg(path("both.pem")).arg("-out").arg(path("signature")).status().unwrap().success()
    );
    files.insert("signature".to_owned(), std::fs::read(path("signature")).unwrap());
    let report = verify::verify_files(files, Vec::new(), &[], now);
    assert!(report.faults.iter().any(|fault| fault.code == "signer-identity"), "{:?}", report.faults);
    assert_eq!(report.signature.unwrap().identity().0, "pass.example.mallory");
}

fn zip_without(bundle: &[u8], name: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (file, content) in crate::bundle::unzip(bundle).iter().filter(|(file, _)| *file != name) {
        writer.start_file(file.as_str(), SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_certificate_that_ended_or_is_yet_to_begin_is_seen() {
    let bundle = foreign().build();
    let at = |days: i64| {
        let report = verify::verify(&bundle, &[], SystemClock.now() + chrono::TimeDelta::days(days));
        report.faults.iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    assert_eq!(at(0), Vec::<&str>::new());
    assert_eq!(at(500), ["signer-expired"]);
    assert!(at(5_000).contains(&"intermediate-expired"));
    assert_eq!(at(-3), ["signing-time"], "signed in the future");
}

#[test]
fn several_passes_in_one_file_are_looked_at_one_by_one() {
    let (good, bad) = (foreign().build(), Foreign { stray: Some("Thumbs.db"), ..foreign() }.build());
    let together = put_together(&[good.clone(), bad]).unwrap();
    let Ok(Unpacked::Passes(passes, faults)) = verify::unpack(&together) else { panic!("passes") };
    assert_eq!((passes.len(), faults.len()), (2, 0));
    let verdicts: Vec<bool> =
        passes.iter().map(|(_, pass)| verify::verify(pass, &[], SystemClock.now()).is_accepted()).collect();
    assert_eq!(verdicts, [true, false]);
    assert!(matches!(verify::unpack(&good), Ok(Unpacked::Pass)));
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..11 {
        writer.start_file(format!("{number}.pkpass"), SimpleFileOptions::default()).unwrap();
        writer.write_all(&good).unwrap();
    }
    let Ok(Unpacked::Passes(_, faults)) = verify::unpack(&writer.finish().unwrap().into_inner()) else {
        panic!("passes")
    };
    assert_eq!(faults[0].code, "passes");
    assert!(put_together(&vec![good; 11]).is_err());
}

#[test]
fn the_command_says_it_line_by_line_and_in_json() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str], file: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_passarela")).args(arguments).arg(file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mut pass = foreign();
    pass.pass["boardingPass"]["primaryFields"][0]["changeMessage"] = json!("moved");
    pass.pass["expirationDate"] = json!("tomorrow");
    let file = folder.path().join("bad.pkpass");
    std::fs::write(&file, pass.build()).unwrap();
    let (status, text) = run(&["pass", "verify"], &file);
    assert_eq!(status, Some(1));
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "date: expirationDate must be a date such as 2026-12-24T19:30:00-03:00: \"tomorrow\" (the phone refuses the pass)",
            "field-change: from: changeMessage has no %@ (the change is not announced)",
        ]
    );
    let (status, json) = run(&["--json", "pass", "verify"], &file);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (status, json["valid"].as_bool(), json["faults"][0]["code"].as_str()),
        (Some(1), Some(false), Some("date"))
    );
    assert_eq!(json["faults"][1]["consequence"], "silent");

    // A folder, unpacked.
    let unpacked = folder.path().join("pass");
    for (name, content) in crate::bundle::unzip(&foreign().build()) {
        std::fs::create_dir_all(unpacked.join(&name).parent().unwrap()).unwrap();
        std::fs::write(unpacked.join(&name), content).unwrap();
    }
    assert_eq!(run(&["pass", "verify"], &unpacked).0, Some(0));
    let (status, drawn) = run(&["pass", "inspect"], &unpacked);
    assert_eq!(status, Some(0));
    for wanted in ["GRU", "São Paulo", "PDF417", "2026-12-24", "Pass Type ID"] {
        assert!(drawn.contains(wanted), "{wanted} is not in\n{drawn}");
    }
}
