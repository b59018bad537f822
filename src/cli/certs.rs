//! `passarela certs`: what signs passes, and a development authority that plays Apple's.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use super::admin::brand_of;
use super::{Failure, Output};
use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::pass::is_pass_type;
use crate::service::rollouts::{self, Plan};
use crate::service::signers;
use crate::wallet::apple::certificates::{BadP12, Certificates};
use crate::wallet::apple::renewal::{self, BadRenewal};
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
        /// One that allows NFC, as Apple grants it on request.
        #[arg(long)]
        nfc: bool,
    },
    /// Make a key and a request (CSR) for a pass type's certificate, to be given to Apple's developer portal.
    Csr {
        pass_type: String,
        /// Apple's portal replaces it; some people want it there.
        #[arg(long)]
        email: Option<String>,
        /// Replace a request that waits for Apple's answer.
        #[arg(long)]
        again: bool,
    },
    /// Put the certificate that Apple issued for a request (`pass.cer`) in its place.
    Import {
        file: PathBuf,
        /// Take it though the certificate in place is another team's: the pass type was transferred.
        #[arg(long)]
        other_team: bool,
    },
    /// Put the certificate and key of a .p12 in their place; also of the old kind that Keychain writes.
    ImportP12 {
        file: PathBuf,
        /// A file with the password on its first line; asked for nowhere else, because arguments are seen by others.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Take it though the certificate in place is another team's: the pass type was transferred.
        #[arg(long)]
        other_team: bool,
    },
    /// Sign and publish the live passes of a brand again, at a pace: phones come for them. (A new certificate alone pushes
    /// nobody; passes are signed with it when they are asked for.)
    Rollout {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        /// Only the passes of this type.
        #[arg(long)]
        pass_type: Option<String>,
        /// Passes a minute at most.
        #[arg(long)]
        per_minute: Option<i64>,
    },
}

impl Certs {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let certs_dir = &config.apple.certs_dir;
        let refused = |error: BadRenewal| match error {
            BadRenewal::Io { .. } => Failure::Trouble(error.to_string()),
            error => Failure::No(error.to_string()),
        };
        match self {
            Self::Status => status(&config, output),
            Self::Dev { pass_type, nfc } => {
                check_pass_type(&pass_type)?;
                ensure_dev(&config, &pass_type, nfc)?;
                let folder = certs_dir.join(&pass_type);
                output.print(&json!({ "pass_type": pass_type, "folder": folder }), || format!("{}", folder.display()));
                Ok(())
            }
            Self::Csr { pass_type, email, again } => {
                check_pass_type(&pass_type)?;
                let made = renewal::request(certs_dir, &pass_type, email.as_deref(), again).map_err(refused)?;
                output.print(&json!({ "pass_type": pass_type, "csr": made.csr, "key": made.key }), || {
                    format!(
                        "{}\nGive it to developer.apple.com (Certificates, Pass Type ID Certificate), then: passarela certs import pass.cer",
                        made.csr.display()
                    )
                });
                Ok(())
            }
            Self::Import { file, other_team } => {
                let now = SystemClock.now();
                let before = certificates::read(certs_dir, now).unwrap_or_default();
                let pass_type = renewal::import_certificate(certs_dir, &file, other_team, now).map_err(refused)?;
                imported(&config, &pass_type, &before, output)
            }
            Self::ImportP12 { file, password_file, other_team } => {
                let has_none = password_file.is_none();
                let password = match &password_file {
                    None => String::new(),
                    Some(path) => std::fs::read_to_string(path)
                        .map_err(|error| Failure::Trouble(format!("{}: {error}", path.display())))?,
                };
                let password = password.lines().next().unwrap_or_default();
                let now = SystemClock.now();
                let before = certificates::read(certs_dir, now).unwrap_or_default();
                let placed = renewal::import_p12(certs_dir, &file, password, other_team, now);
                let pass_type = placed.map_err(|error| match error {
                    BadRenewal::P12(BadP12::Unreadable(_)) if has_none => {
                        Failure::No(format!("{error}; was it exported with a password? then --password-file FILE"))
                    }
                    error => refused(error),
                })?;
                imported(&config, &pass_type, &before, output)
            }
            Self::Rollout { brand, pass_type, per_minute } => {
                rollout(config, &brand, pass_type.as_deref(), per_minute, output).await
            }
        }
    }
}

fn check_pass_type(pass_type: &str) -> Result<(), Failure> {
    if is_pass_type(pass_type) {
        return Ok(());
    }
    Err(Failure::Usage(format!("{pass_type} is no pass type: pass. and a name like com.example.card")))
}

/// What is in place now: of whom, and for how long; and whether what was there before would have lasted longer.
fn imported(config: &Config, pass_type: &str, before: &Certificates, output: Output) -> Result<(), Failure> {
    let now = SystemClock.now();
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(error.to_string());
    let found = certificates::read(&config.apple.certs_dir, now).map_err(|error| trouble(&error))?;
    let signer = found.signer(pass_type).ok_or_else(|| trouble(&"the certificate is not in its place"))?;
    let (team, days) = (signer.team(), signers::days_left(signer.not_after(), now));
    let longer =
        before.signer(pass_type).map(|held| signers::days_left(held.not_after(), now)).filter(|held| *held > days);
    output.print(&json!({ "pass_type": pass_type, "team": team, "days_left": days, "days_left_before": longer }), || {
        let warning = longer.map(|held| {
            format!("\nMind: the certificate before it is good for {held} days; it is kept beside it as pass.pem.old and key.pem.old.")
        });
        format!(
            "{pass_type} can be signed for the team {team}, {days} days long. A service that runs notices by itself.{}",
            warning.unwrap_or_default()
        )
    });
    Ok(())
}

async fn rollout(
    config: Config,
    code: &str,
    pass_type: Option<&str>,
    per_minute: Option<i64>,
    output: Output,
) -> Result<(), Failure> {
    let app = app::open(config, Arc::new(SystemClock)).await?;
    let brand = brand_of(&app, code).await?;
    let plan = Plan { canary_percent: None, per_minute, ..Plan::default() };
    let (started, left_out) = rollouts::start_resigning(&app, brand.id, pass_type, plan).await?;
    let lines =
        started.iter().map(|rollout| format!("{}  {}  {} passes", rollout.id, rollout.template_id, rollout.total));
    let text = lines.collect::<Vec<_>>().join("\n");
    let rows: Vec<_> = started
        .iter()
        .map(|rollout| json!({ "id": rollout.id, "template_id": rollout.template_id, "total": rollout.total }))
        .collect();
    output.print(&json!({ "rollouts": rows, "left_out": left_out }), || {
        if text.is_empty() && left_out.is_empty() { "no passes".to_owned() } else { text }
    });
    if left_out.is_empty() {
        return Ok(());
    }
    let names = left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Failure::No(format!("another roll-out is under way; come again when it is over: {names}")))
}

pub fn ensure_dev(config: &Config, pass_type: &str, nfc: bool) -> Result<(), Failure> {
    let clock = SystemClock;
    let mut serials = [[0u8; 8]; 2];
    serials.iter_mut().for_each(|serial| clock.random(serial));
    let ensure = if nfc { dev_ca::ensure_with_nfc } else { dev_ca::ensure };
    ensure(&config.apple.certs_dir, pass_type, serials.map(u64::from_be_bytes), clock.now())
        .map_err(|error| Failure::Trouble(error.to_string()))
}

fn status(config: &Config, output: Output) -> Result<(), Failure> {
    let now = SystemClock.now();
    let found =
        certificates::read(&config.apple.certs_dir, now).map_err(|error| Failure::Trouble(error.to_string()))?;
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (pass_type, signer) in &found.signers {
        let days = signers::days_left(signer.not_after(), now);
        let issuer = readable(signer.intermediate().subject_name());
        let print = fingerprint(signer.leaf()).unwrap_or_default();
        lines.push(format!(
            "{pass_type}  signs passes{} and speaks to APNs for team {}  {days} days left{}  issued by {issuer}\n  SHA-256 {print}",
            if signer.allows_nfc() { " (with NFC)" } else { "" },
            signer.team(),
            if days <= 30 { ", renew it" } else { "" },
        ));
        rows.push(
            json!({ "pass_type": pass_type, "team": signer.team(), "days_left": days, "nfc": signer.allows_nfc(),
            "not_after": signer.not_after(), "issuer": issuer, "sha256": print, "fault": null }),
        );
    }
    for (pass_type, fault) in &found.faults {
        lines.push(format!("{pass_type}  cannot sign: {fault}"));
        rows.push(json!({ "pass_type": pass_type, "fault": fault.to_string() }));
    }
    for pass_type in &found.requested {
        lines.push(format!("{pass_type}  waits for Apple's certificate; then: passarela certs import pass.cer"));
        rows.push(json!({ "pass_type": pass_type, "fault": null, "requested": true }));
    }
    if lines.is_empty() {
        lines.push(format!("no pass types under {}", config.apple.certs_dir.display()));
    }
    output.print(&json!({ "pass_types": rows }), || lines.join("\n"));
    if found.faults.is_empty() { Ok(()) } else { Err(Failure::No("not every pass type can be signed".to_owned())) }
}
