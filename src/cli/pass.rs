//! `passarela pass`: makes, draws and checks bundles, ours or anybody's. Needs neither settings nor a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use openssl::x509::X509;
use serde_json::{Map, Value, json};

use super::{Failure, Output};
use crate::clock::{Clock as _, SystemClock};
use crate::wallet::apple::assets::Assets;
use crate::wallet::apple::bundle::Bundle;
use crate::wallet::apple::pass_json::{self, Identity};
use crate::wallet::apple::several::put_together;
use crate::wallet::apple::signer::readable;
use crate::wallet::apple::verify::{self, Contents, Report, Unpacked, Verifier};
use crate::wallet::apple::{certificates, inspect};
use crate::wallet::check;
use crate::wallet::design::Design;
use crate::wallet::render::Renderer;

#[derive(Debug, Subcommand)]
pub enum Pass {
    /// Make a pass from a design's folder, without a service: it is signed, and never updated.
    Build {
        template: PathBuf,
        /// JSON with `customer` (`name`, `card_number`, `attributes`), `brand`, `program` and `data`; what is left out comes
        /// from the design's sample.
        #[arg(long, value_name = "FILE")]
        data: Option<PathBuf>,
        #[arg(short, long, value_name = "OUT.pkpass")]
        output: PathBuf,
        /// The folder of certificates.
        #[arg(long, default_value = "certs")]
        certs_dir: PathBuf,
        /// The pass type to sign with; the only one there if absent.
        #[arg(long)]
        pass_type: Option<String>,
        /// The serial number; one by chance if absent.
        #[arg(long)]
        serial: Option<String>,
    },
    /// Put up to 10 passes into one .pkpasses, which a phone adds with one tap.
    Bundle {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[arg(short, long, value_name = "OUT.pkpasses")]
        output: PathBuf,
    },
    /// Draw the card: its fields, its back, when and where it shows up, its signer, its files.
    Inspect { file: PathBuf },
    /// Check everything a phone checks, of .pkpass or .pkpasses files or folders: one line for each fault.
    Verify {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Certificates to trust, in PEM; without them the chain is not judged.
        #[arg(long, value_name = "PEM")]
        ca: Option<PathBuf>,
    },
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Trouble(format!("{}: {error}", file.display())))
}

/// Each pass of a file or folder with its name (empty for a file that is one pass), and its report.
fn reports(file: &Path, verifier: &Verifier) -> Result<Vec<(String, Report)>, Failure> {
    let now = SystemClock.now();
    if file.is_dir() {
        let mut files = Contents::new();
        read_folder(file, "", &mut files)?;
        return Ok(vec![(String::new(), verifier.verify_files(files, Vec::new(), now))]);
    }
    let bytes = read(file)?;
    match verify::unpack(&bytes) {
        Ok(Unpacked::Passes(passes, faults)) => {
            let mut reports: Vec<_> =
                passes.iter().map(|(name, pass)| (name.clone(), verifier.verify(pass, now))).collect();
            if let (Some((_, first)), false) = (reports.first_mut(), faults.is_empty()) {
                first.faults.extend(faults);
            }
            Ok(reports)
        }
        Ok(Unpacked::Pass) | Err(_) => Ok(vec![(String::new(), verifier.verify(&bytes, now))]),
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Contents) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if files.len() >= 200 || prefix.matches('/').count() > 3 {
            return Err(Failure::No(format!("{} holds too much to be a pass", folder.display())));
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_folder(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() && entry.metadata()?.len() <= 30 * 1024 * 1024 {
            files.insert(name, read(&entry.path())?);
        } else {
            return Err(Failure::No(format!("{} is no file of a pass", entry.path().display())));
        }
    }
    Ok(())
}

impl Pass {
    pub fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Build { template, data, output: out, certs_dir, pass_type, serial } => {
                let made = build(&template, data.as_deref(), &certs_dir, pass_type, serial)?;
                std::fs::write(&out, &made.bundle)
                    .map_err(|error| Failure::Trouble(format!("{}: {error}", out.display())))?;
                let bytes = made.bundle.len();
                output.print(
                    &json!({ "file": out, "bytes": bytes, "pass_type": made.pass_type, "serial": made.serial }),
                    || format!("{}: {bytes} bytes, {} {}", out.display(), made.pass_type, made.serial),
                );
                Ok(())
            }
            Self::Bundle { files, output: out } => {
                let passes = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
                let (now, verifier) = (SystemClock.now(), Verifier::new(&[]));
                for (file, pass) in files.iter().zip(&passes) {
                    let report = verifier.verify(pass, now);
                    if let Some(fault) = report.faults.first().filter(|_| !report.is_accepted()) {
                        return Err(Failure::No(format!("{}: {fault}", file.display())));
                    }
                }
                if let Some((one, other)) = twins(&files, &passes, &verifier, now) {
                    return Err(Failure::No(format!("{one} and {other} are the same pass; a phone keeps one of them")));
                }
                let together = put_together(&passes).map_err(|error| Failure::Usage(error.to_string()))?;
                std::fs::write(&out, &together)
                    .map_err(|error| Failure::Trouble(format!("{}: {error}", out.display())))?;
                let (count, bytes) = (passes.len(), together.len());
                output.print(&json!({ "file": out, "bytes": bytes, "passes": count }), || {
                    format!("{}: {count} passes, {bytes} bytes", out.display())
                });
                Ok(())
            }
            Self::Inspect { file } => {
                for (name, report) in reports(&file, &Verifier::new(&[]))? {
                    if report.pass.is_empty() {
                        let fault = report.faults.first().map_or("no pass.json", |fault| &fault.detail);
                        return Err(Failure::No(format!("{}: {fault}", file.display())));
                    }
                    let signed_at = report.signature.as_ref().and_then(|signature| signature.signed_at);
                    let value = json!({
                        "name": name, "pass": report.pass, "files": report.files.keys().collect::<Vec<_>>(),
                        "languages": report.strings.keys().collect::<Vec<_>>(),
                        "signer": report.signer().map(|signer| readable(signer.subject_name())), "signed_at": signed_at,
                        "faults": report.faults,
                    });
                    output.print(&value, || inspect::draw(&report));
                }
                Ok(())
            }
            Self::Verify { files, ca } => {
                let roots = match &ca {
                    None => Vec::new(),
                    Some(ca) => X509::stack_from_pem(&read(ca)?)
                        .ok()
                        .filter(|found| !found.is_empty())
                        .ok_or_else(|| Failure::Usage(format!("{} holds no certificate in PEM", ca.display())))?,
                };
                let verifier = Verifier::new(&roots);
                let (mut passes, mut faults, mut lines, mut is_good) = (Vec::new(), Vec::new(), Vec::new(), true);
                let mut unread = None;
                for file in &files {
                    // One that cannot be read stops no other.
                    let reports = match reports(file, &verifier) {
                        Ok(reports) => reports,
                        Err(Failure::Trouble(reason)) if files.len() > 1 => {
                            lines.push(reason.clone());
                            unread.get_or_insert(reason);
                            continue;
                        }
                        Err(failure) => return Err(failure),
                    };
                    let is_one_good = reports.iter().all(|(_, report)| report.is_accepted());
                    is_good &= is_one_good;
                    passes.extend(reports.iter().map(|(name, report)| {
                        json!({ "file": file, "name": name, "valid": report.is_accepted(), "faults": report.faults })
                    }));
                    let verdict = verdict(&reports, is_one_good, roots.is_empty());
                    lines.push(if files.len() > 1 { format!("{}: {verdict}", file.display()) } else { verdict });
                    faults.extend(reports.into_iter().flat_map(|(_, report)| report.faults));
                }
                let value = json!({ "valid": is_good && unread.is_none(), "faults": faults, "passes": passes });
                output.print(&value, || lines.join("\n"));
                if let Some(reason) = unread {
                    return Err(Failure::Trouble(reason));
                }
                let wrong = || files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
                match (is_good, files.len()) {
                    (true, _) => Ok(()),
                    (false, 1) => Err(Failure::No(format!("{} is not valid", wrong()))),
                    (false, _) => Err(Failure::No("not all of them are valid".to_owned())),
                }
            }
        }
    }
}

/// Two files that hold the same pass.
fn twins(
    files: &[PathBuf],
    passes: &[Vec<u8>],
    verifier: &Verifier,
    now: chrono::DateTime<chrono::Utc>,
) -> Option<(String, String)> {
    let mut seen = std::collections::BTreeMap::new();
    for (file, pass) in files.iter().zip(passes) {
        let mut report = verifier.verify(pass, now).pass;
        let key = (report.remove("passTypeIdentifier")?.to_string(), report.remove("serialNumber")?.to_string());
        if let Some(first) = seen.insert(key, file) {
            return Some((first.display().to_string(), file.display().to_string()));
        }
    }
    None
}

fn verdict(reports: &[(String, Report)], is_good: bool, is_unchained: bool) -> String {
    let mut lines = Vec::new();
    for (name, report) in reports {
        let prefix = if name.is_empty() { String::new() } else { format!("{name}: ") };
        lines.extend(report.faults.iter().map(|fault| inspect::safe(&format!("{prefix}{fault}"))));
    }
    match (is_good, is_unchained) {
        (true, true) => lines.push("valid (who issued the certificate is not judged without --ca)".to_owned()),
        (true, false) => lines.push("valid".to_owned()),
        (false, _) => {}
    }
    lines.join("\n")
}

struct Made {
    bundle: Vec<u8>,
    pass_type: String,
    serial: String,
}

fn build(
    template: &Path,
    data: Option<&Path>,
    certs_dir: &Path,
    pass_type: Option<String>,
    serial: Option<String>,
) -> Result<Made, Failure> {
    let now = SystemClock.now();
    let mut design = read_design(template)?;
    if let Some(data) = data {
        let given: Map<String, Value> = serde_json::from_slice(&read(data)?)
            .map_err(|error| Failure::Usage(format!("{}: {error}", data.display())))?;
        given_data(&mut design, given).map_err(|reason| Failure::Usage(format!("{}: {reason}", data.display())))?;
    }
    let no = |error: &dyn std::fmt::Display| Failure::No(format!("{}: {error}", template.display()));
    let renderer = Renderer::new(design).map_err(|faults| no(&faults))?;
    renderer.check().map_err(|faults| no(&faults))?;
    let mut content = check::render_sample(&renderer, now.date_naive()).map_err(|error| no(&error))?;
    let found = certificates::read(certs_dir, now).map_err(|error| Failure::Trouble(error.to_string()))?;
    let signer = match &pass_type {
        Some(pass_type) => found.signer(pass_type),
        None => found.signers.values().next().filter(|_| found.signers.len() == 1),
    };
    let Some(signer) = signer else {
        let faults = found.faults.iter().map(|(_, fault)| format!("\n{fault}")).collect::<String>();
        return Err(Failure::No(format!(
            "{} has {} certificates that can sign; name one with --pass-type{faults}",
            certs_dir.display(),
            found.signers.len()
        )));
    };
    let serial = serial.unwrap_or_else(|| SystemClock.new_id().simple().to_string());
    content.serial.clone_from(&serial);
    let identity = Identity { pass_type: signer.pass_type(), team: signer.team(), web_service_url: None };
    let pass_json = pass_json::render(&content, &renderer.design().apple, identity);
    let assets = Arc::new(Assets::new(renderer.design()));
    let bundle =
        Bundle::sign(&assets, &pass_json, None, signer, now).map_err(|error| Failure::Trouble(error.to_string()))?;
    let bundle = bundle.to_vec();
    let report = verify::verify(&bundle, &[], now);
    if let Some(fault) = report.faults.iter().find(|_| !report.is_accepted()) {
        return Err(no(fault));
    }
    Ok(Made { bundle, pass_type: signer.pass_type().to_owned(), serial })
}

fn read_design(folder: &Path) -> Result<Design, Failure> {
    let files =
        Design::read_folder(folder).map_err(|error| Failure::Trouble(format!("{}: {error}", folder.display())))?;
    Design::parse(&files).map_err(|faults| Failure::No(faults.to_string()))
}

/// Puts what was given in place of the design's sample.
fn given_data(design: &mut Design, given: Map<String, Value>) -> Result<(), String> {
    let sample = &mut design.sample;
    for (key, value) in given {
        match (key.as_str(), value) {
            ("brand", Value::String(name)) => sample.brand = name,
            ("program", Value::String(name)) => sample.program = name,
            ("data", Value::Object(data)) => sample.data = data,
            ("customer", Value::Object(customer)) => {
                for (key, value) in customer {
                    match (key.as_str(), value) {
                        ("name", Value::String(name)) => sample.customer_name = name,
                        ("card_number", Value::String(number)) => sample.card_number = number,
                        ("attributes", Value::Object(attributes)) => sample.attributes = attributes,
                        (key, _) => return Err(format!("customer.{key} is unknown or of another type")),
                    }
                }
            }
            (key, _) => {
                return Err(format!(
                    "{key} is unknown or of another type; brand, program, customer and data are known"
                ));
            }
        }
    }
    Ok(())
}
