//! `passarela doctor`: what is wrong with this installation, in sentences.

use serde::Serialize;
use serde_json::json;

use super::{Failure, Output};
use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::delivery::Channel;
use crate::service::{deliver, signers};
use crate::store::{Db, backup, brands, db, installation, outbox};
use crate::wallet::apple::certificates::{self, Certificates};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Good,
    Warning,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    text: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, text: impl Into<String>) {
        self.0.push(Finding { level: Level::Good, text: text.into() });
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.0.push(Finding { level: Level::Warning, text: text.into() });
    }

    fn wrong(&mut self, text: impl Into<String>) {
        self.0.push(Finding { level: Level::Wrong, text: text.into() });
    }
}

/// Days before the end of a certificate at which it is time to renew it.
const RENEW_DAYS: i64 = 30;

pub async fn run(config: Config, output: Output) -> Result<(), Failure> {
    let mut findings = Findings::default();
    check_addresses(&config, &mut findings);
    let certificates = check_certificates(&config, &mut findings);
    if let Err(error) = app::read_master_key(&config) {
        findings.wrong(format!("{error}."));
    }
    for (key, path) in config.named_files() {
        if let Err(error) = std::fs::metadata(path) {
            findings.wrong(format!("{key}: {} cannot be read ({error}).", path.display()));
        }
    }
    check_database(&config, certificates.as_ref(), &mut findings).await;
    for (channel, state) in deliver::channels(&config, &certificates.unwrap_or_default(), SystemClock.now()) {
        if state == "on" {
            findings.good(format!("{channel} is on."));
        } else {
            findings.warn(format!("{channel} is {state}."));
        }
    }
    let wrong = findings.0.iter().filter(|finding| finding.level == Level::Wrong).count();
    output.print(&json!({ "findings": findings.0 }), || {
        let line = |finding: &Finding| {
            let mark = match finding.level {
                Level::Good => "good   ",
                Level::Warning => "mind   ",
                Level::Wrong => "WRONG  ",
            };
            format!("{mark}{}", finding.text)
        };
        findings.0.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    if wrong == 0 { Ok(()) } else { Err(Failure::No(format!("wrong: {wrong} of {} findings", findings.0.len()))) }
}

fn check_addresses(config: &Config, findings: &mut Findings) {
    let url = &config.server.public_url;
    if url.starts_with("https://") {
        findings.good(format!("People see {url}."));
    } else {
        findings.warn(format!(
            "server.public_url is {url}: phones fetch updates over https only (http works on iPhones with the developer \
             setting \"Allow HTTP Services\"). Passes issued now carry this address for ever."
        ));
    }
    match std::net::TcpListener::bind(&config.server.listen) {
        Ok(_) => findings.good(format!("{} is free to listen on.", config.server.listen)),
        Err(error) => findings
            .warn(format!("{} cannot be listened on now ({error}); is the service running?", config.server.listen)),
    }
}

fn check_certificates(config: &Config, findings: &mut Findings) -> Option<Certificates> {
    let now = SystemClock.now();
    let found = match certificates::read(&config.apple.certs_dir, now) {
        Ok(found) => found,
        Err(error) => {
            findings.wrong(format!("Certificates cannot be read: {error}."));
            return None;
        }
    };
    if found.signers.is_empty() && found.faults.is_empty() {
        let folder = config.apple.certs_dir.display();
        findings.wrong(format!(
            "There is no pass type under {folder}: no pass can be issued. To try: passarela certs dev ID."
        ));
    }
    for (pass_type, signer) in &found.signers {
        let days = signers::days_left(signer.not_after(), now);
        let text = format!("{pass_type} can be signed for another {days} days.");
        if days <= RENEW_DAYS {
            findings.warn(format!("{text} Renew its certificate."))
        } else {
            findings.good(text)
        }
        let organization = crate::wallet::apple::signer::readable(signer.intermediate().subject_name());
        if !organization.contains("Apple") {
            findings.warn(format!(
                "{pass_type} is signed with a development certificate ({organization}): no phone takes it."
            ));
        }
    }
    for (pass_type, fault) in &found.faults {
        findings.wrong(format!("{pass_type} cannot be signed: {fault}."));
    }
    Some(found)
}

async fn check_database(config: &Config, certificates: Option<&Certificates>, findings: &mut Findings) {
    let sqlite = config.database.url.strip_prefix("sqlite://");
    if let Some(path) = sqlite.filter(|path| !std::path::Path::new(path).exists()) {
        findings.warn(format!("There is no database at {path} yet; `passarela serve` makes one."));
        return;
    }
    let db = match Db::connect(&config.database.url, 2).await {
        Ok(db) => db,
        Err(error) => {
            findings.wrong(format!("The database does not answer: {error}."));
            return;
        }
    };
    if let Err(error) = look_inside(&db, config, certificates, findings).await {
        findings.wrong(format!("The database cannot be read: {error}."));
    }
    db.close().await;
}

async fn look_inside(
    db: &Db,
    config: &Config,
    certificates: Option<&Certificates>,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let ours = db::schema_version();
    match backup::find_schema_version(&mut db.read().await?.conn()).await? {
        Some(version) if version == ours => findings.good(format!("The database answers; its schema is {version}.")),
        Some(version) if version > ours => {
            findings.wrong(format!("The schema is {version}, newer than this program's {ours}: update the program."));
            return Ok(());
        }
        found => {
            let version = found.unwrap_or(0);
            findings
                .warn(format!("The schema is {version}; `passarela migrate` or the next start brings it to {ours}."));
            return Ok(());
        }
    }
    if let Some(damage) = backup::find_damage(db).await? {
        findings.wrong(format!("The database file is damaged: {damage}."));
    }
    match app::read_master_key(config) {
        Err(_) => {} // said already
        Ok(key) => match installation::find_master_key_check(&mut db.read().await?.conn()).await? {
            Some(kept) if kept != key.check_value() => {
                findings.wrong("The master key is not the one this database was used with.");
            }
            _ => findings.good("The master key fits the database."),
        },
    }
    let mut reader = db.read().await?;
    let listed = brands::list(&mut reader.conn()).await?;
    for code in config.brands.keys().filter(|code| !listed.iter().any(|brand| brand.code == **code)) {
        findings.wrong(format!("The settings are for a brand {code}, and there is none with this code."));
    }
    if listed.is_empty() {
        findings.warn("There is no brand yet: passarela brand create NAME --pass-type ID.");
    }
    for brand in listed {
        let pass_types = brands::list_pass_types(&mut reader.conn(), brand.id).await?;
        if pass_types.is_empty() {
            findings.warn(format!("{} ({}) has no pass type.", brand.name, brand.code));
        }
        let missing = |pass_type: &&String| certificates.is_some_and(|found| found.signer(pass_type).is_none());
        for pass_type in pass_types.iter().filter(missing) {
            findings.wrong(format!(
                "{pass_type} of {} has no usable certificate: its passes cannot be issued.",
                brand.name
            ));
        }
        let (refused, why) = crate::store::publication::count_refused(&mut reader.conn(), brand.id, 10_000).await?;
        if let Some(why) = why {
            findings.wrong(format!(
                "{}: {refused} passes cannot be shown by their template, and phones keep what they have: {why}.",
                brand.name
            ));
        }
        for channel in Channel::ALL {
            let waiting = outbox::count_waiting(&mut reader.conn(), brand.id, *channel, 10_000).await?;
            if let Some(oldest) = waiting.oldest {
                let (name, open, minutes) = (&brand.name, waiting.open, (SystemClock.now() - oldest).num_minutes());
                findings.warn(format!(
                    "{name}: waiting to be told by {channel}: {open}, the oldest for {minutes} minutes."
                ));
            }
            if waiting.parked > 0 {
                let (name, parked) = (&brand.name, waiting.parked);
                findings
                    .warn(format!("{name}: given up by {channel}: {parked}; passarela deliveries list --state parked"));
            }
        }
    }
    Ok(())
}
