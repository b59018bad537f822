//! `passarela pass`: looks at a bundle, ours or anybody's. Needs neither settings nor a database.

use std::path::PathBuf;

use clap::Subcommand;
use openssl::x509::X509;
use serde_json::json;

use super::{Failure, Output};
use crate::wallet::apple::{inspect, verify};

#[derive(Debug, Subcommand)]
pub enum Pass {
    /// Draw the card: its fields, its back, its signer, its files.
    Inspect { file: PathBuf },
    /// Check everything a phone checks: one line for each fault.
    Verify {
        file: PathBuf,
        /// Certificates to trust, in PEM; without them the chain is not judged.
        #[arg(long, value_name = "PEM")]
        ca: Option<PathBuf>,
    },
}

impl Pass {
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|error| Failure::Trouble(format!("{}: {error}", file.display())))
        };
        match self {
            Self::Inspect { file } => {
                let report = verify::verify(&read(&file)?, &[]);
                if report.pass.is_empty() {
                    let fault = report.faults.first().map_or("no pass.json", |fault| &fault.detail);
                    return Err(Failure::No(format!("{}: {fault}", file.display())));
                }
                output.print(&json!({ "pass": report.pass, "files": report.files.keys().collect::<Vec<_>>() }), || {
                    inspect::draw(&report)
                });
                Ok(())
            }
            Self::Verify { file, ca } => {
                let roots = match &ca {
                    None => Vec::new(),
                    Some(ca) => X509::stack_from_pem(&read(ca)?)
                        .ok()
                        .filter(|found| !found.is_empty())
                        .ok_or_else(|| Failure::Usage(format!("{} holds no certificate in PEM", ca.display())))?,
                };
                let report = verify::verify(&read(&file)?, &roots);
                let is_good = report.faults.is_empty();
                output.print(&json!({ "valid": is_good, "faults": report.faults }), || {
                    let line =
                        |fault: &verify::Fault| format!("{}: {} ({})", fault.code, fault.detail, fault.consequence);
                    if is_good && roots.is_empty() {
                        "valid (who issued the certificate is not judged without --ca)".to_owned()
                    } else if is_good {
                        "valid".to_owned()
                    } else {
                        report.faults.iter().map(line).collect::<Vec<_>>().join("\n")
                    }
                });
                if is_good { Ok(()) } else { Err(Failure::No(format!("{} is not valid", file.display()))) }
            }
        }
    }
}
