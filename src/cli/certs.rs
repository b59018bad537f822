//! `passarela certs`: what signs passes, and a development authority that plays Apple's.

use clap::Subcommand;
use serde_json::json;

use super::{Failure, Output};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::pass::is_pass_type;
use crate::wallet::apple::signer::{fingerprint, readable};
use crate::wallet::apple::{certificates, dev_ca};

#[derive(Debug, Subcommand)]
pub enum Certs {
    /// Every pass type's certificate: whom it is for, how long it lasts, what is wrong with it.
    Status,
    /// Make development certificates for a pass type. No phone trusts them.
    Dev {
        /// Such as pass.com.example.loyalty
        pass_type: String,
    },
}

impl Certs {
    pub fn run(self, config: &Config, output: Output) -> Result<(), Failure> {
        match self {
            Self::Status => status(config, output),
            Self::Dev { pass_type } => {
                if !is_pass_type(&pass_type) {
                    return Err(Failure::Usage(format!(
                        "{pass_type} is no pass type: pass. and a name like com.example.card"
                    )));
                }
                ensure_dev(config, &pass_type)?;
                let folder = config.apple.certs_dir.join(&pass_type);
                output.print(&json!({ "pass_type": pass_type, "folder": folder }), || format!("{}", folder.display()));
                Ok(())
            }
        }
    }
}

pub fn ensure_dev(config: &Config, pass_type: &str) -> Result<(), Failure> {
    let clock = SystemClock;
    let mut serials = [[0u8; 8]; 2];
    serials.iter_mut().for_each(|serial| clock.random(serial));
    dev_ca::ensure(&config.apple.certs_dir, pass_type, serials.map(u64::from_be_bytes), clock.now())
        .map_err(|error| Failure::Trouble(error.to_string()))
}

fn status(config: &Config, output: Output) -> Result<(), Failure> {
    let now = SystemClock.now();
    let found =
        certificates::read(&config.apple.certs_dir, now).map_err(|error| Failure::Trouble(error.to_string()))?;
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (pass_type, signer) in &found.signers {
        let days = (signer.not_after() - now).num_days();
        let issuer = readable(signer.intermediate().subject_name());
        let print = fingerprint(signer.leaf()).unwrap_or_default();
        lines.push(format!(
            "{pass_type}  team {}  {days} days left  issued by {issuer}\n  SHA-256 {print}",
            signer.team()
        ));
        rows.push(json!({ "pass_type": pass_type, "team": signer.team(), "days_left": days,
            "not_after": signer.not_after(), "issuer": issuer, "sha256": print, "fault": null }));
    }
    for (pass_type, fault) in &found.faults {
        lines.push(format!("{pass_type}  cannot sign: {fault}"));
        rows.push(json!({ "pass_type": pass_type, "fault": fault.to_string() }));
    }
    if lines.is_empty() {
        lines.push(format!("no pass types under {}", config.apple.certs_dir.display()));
    }
    output.print(&json!({ "pass_types": rows }), || lines.join("\n"));
    if found.faults.is_empty() { Ok(()) } else { Err(Failure::No("not every pass type can be signed".to_owned())) }
}
