//! The house: arrows point one way, SQL names its brand, the migrations of both engines are one, and nothing that is
//! banned crept in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file under `src/` with its text.
fn sources() -> Vec<(String, String)> {
    let (mut folders, mut files) = (vec![root().join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// From the top of the house to its ground; a module may use its own floor and those below.
const FLOORS: &[&[&str]] =
    &[&["main"], &["cli"], &["app"], &["http", "worker"], &["service"], &["store", "wallet", "clients"], &["domain"]];

/// Beside the house, for every floor but `domain`.
const BESIDE: &[&str] = &["clock", "config", "secret_file", "telemetry"];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn no_arrow_points_back() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file.split(['/', '.']).next().unwrap().to_owned();
        for (at, _) in text.match_indices("crate::") {
            let used: String = text[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(to) = floor(&used) else {
                if module == "domain" && BESIDE.contains(&used.as_str()) {
                    wrong.push(format!("{file} uses {used}"));
                }
                continue;
            };
            let is_beside = BESIDE.contains(&module.as_str());
            let Some(from) = floor(&module) else {
                assert!(is_beside || module == "lib", "{file} is on no floor");
                continue;
            };
            if to < from || (to == from && used != module) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Statements that name no `brand_id`, each with its reason.
const NO_BRAND: &[(&str, &str)] = &[
    ("store/installation.rs", "one row for the whole installation"),
    ("PRAGMA", "a setting of the connection"),
    ("_sqlx_migrations", "the schema's own table"),
    ("pg_advisory_xact_lock", "its key is a digest over the brand"),
    ("push_keys", "a key of Apple's is a team's, which brands may share"),
    ("FROM brands WHERE code", "how a brand is found in the first place"),
];

#[test]
fn every_statement_names_its_brand() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let mut rest = text.as_str();
        while let Some(at) = rest.find('"') {
            let literal: String = {
                let mut escaped = false;
                rest[at + 1..]
                    .chars()
                    .take_while(|c| {
                        let end = *c == '"' && !escaped;
                        escaped = *c == '\\' && !escaped;
                        !end
                    })
                    .collect()
            };
            rest = &rest[(at + 2 + literal.len()).min(rest.len())..];
            let is_statement = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH "]
                .iter()
                .any(|verb| literal.trim_start().starts_with(verb));
            if !is_statement {
                continue;
            }
            assert!(file.starts_with("store/"), "SQL outside the store: {file}: {literal}");
            let is_excused = NO_BRAND.iter().any(|(what, _)| file == *what || literal.contains(what));
            // A text that is put together: the rest of its function must name it.
            let goes_on = ["AS (", "SELECT", "=", "THEN"].iter().any(|end| literal.trim_end().ends_with(end));
            let function = rest.split("\npub async fn ").next().unwrap();
            let is_head = goes_on && function.contains("brand_id");
            if !literal.contains("brand_id") && !is_excused && !is_head {
                wrong.push(format!("{file}: {literal}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn both_engines_have_the_same_migrations_in_the_same_order() {
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root().join("migrations").join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let known: Vec<String> = passarela::store::db::migration_names().map(|name| format!("{name}.sql")).collect();
    assert_eq!(names("sqlite"), known);
    assert_eq!(names("postgres"), known);
}

/// The two texts of a migration differ in types and in nothing else.
#[test]
fn migrations_differ_only_in_types() {
    const TYPES: &[(&str, &str)] = &[
        ("UUID", "BLOB"),
        ("BYTEA", "BLOB"),
        ("TIMESTAMPTZ", "TEXT"),
        ("JSONB", "TEXT"),
        ("BIGINT", "INTEGER"),
        ("BOOLEAN", "INTEGER"),
    ];
    for name in passarela::store::db::migration_names() {
        let read =
            |engine: &str| std::fs::read_to_string(root().join(format!("migrations/{engine}/{name}.sql"))).unwrap();
        let words = |text: &str, is_postgres: bool| -> Vec<String> {
            let text = text.replace(") STRICT;", ");");
            let words = text.split_inclusive(|c: char| !c.is_alphanumeric()).map(|word| {
                let found = TYPES.iter().find(|(postgres, _)| {
                    is_postgres && word.trim_end_matches(|c: char| !c.is_alphanumeric()) == *postgres
                });
                found.map_or_else(|| word.to_owned(), |(postgres, sqlite)| word.replacen(postgres, sqlite, 1))
            });
            words.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
        };
        assert_eq!(words(&read("postgres"), true), words(&read("sqlite"), false), "{name}");
    }
}

/// Columns that hold data about a person; they carry the mark in the schema too. Export, erasure and log redaction will
/// walk this list.
const PERSONAL: &[&str] = &[
    "customers.name",
    "customers.attributes",
    "customer_identifiers.value",
    "passes.data",
    "pass_contents.apple",
    "pass_contents.google",
    "devices.library_id",
    "devices.push_token",
    "device_logs.message",
    "job_results.outcomes",
    "app_devices.fid",
    "app_devices.token",
    "pass_notices.notice",
    "app_passes.told",
    "entries.reason",
    "entries.employee",
    "orders.employee",
    "redemptions.employee",
    "redemption_conflicts.employee",
    "audit.reason",
];

/// Columns that could hold text about a person and do not.
const NOT_PERSONAL: &[&str] = &[
    "installation.master_key_check",
    "brands.code",
    "brands.name",
    "brands.locale",
    "brands.time_zone",
    "pass_types.pass_type",
    "api_keys.role",
    "api_keys.name",
    "api_keys.secret_hash",
    "idempotency_keys.scope",
    "idempotency_keys.idempotency_key",
    "idempotency_keys.fingerprint",
    "idempotency_keys.content_type",
    "idempotency_keys.body",
    "programs.external_id",
    "programs.name",
    "programs.time_zone",
    "customers.locale",
    "customers.time_zone",
    "customer_identifiers.kind",
    "customer_identifiers.lookup",
    "customer_identifiers.unique_lookup",
    "templates.name",
    "templates.kind",
    "templates.pass_type",
    "template_files.name",
    "template_files.content",
    "passes.pass_type",
    "passes.serial",
    "passes.link",
    "passes.code_id",
    "passes.external_id",
    "passes.order_hash",
    "passes.status",
    "passes.refused",
    "passes.apple_hash",
    "passes.google_hash",
    "devices.pass_type",
    "devices.scheme",
    "deliveries.channel",
    "deliveries.lane",
    "deliveries.state",
    "events.kind",
    "events.data",
    "rollouts.state",
    "rollouts.stage",
    "rollouts.reason",
    "jobs.kind",
    "jobs.state",
    "jobs.spool",
    "jobs.layout",
    "jobs.defaults",
    "jobs.reason",
    "passes.token_hash",
    "outbox.channel",
    "outbox.state",
    "outbox.lane",
    "outbox.answer",
    "provider_tokens.key_id",
    "push_keys.key_id",
    "google_classes.name",
    "google_classes.kind",
    "google_classes.body",
    "google_classes.body_hash",
    "google_classes.sent_hash",
    "google_objects.name",
    "google_objects.sent_hash",
    "app_devices.service",
    "app_devices.platform",
    "app_devices.address_hash",
    "app_devices.locale",
    "stores.external_id",
    "stores.name",
    "stores.locale",
    "api_keys.terminal",
    "wallet_types.key",
    "wallet_types.name",
    "wallet_types.spec",
    "earning_rules.name",
    "earning_rules.spec",
    "programs.tiers",
    "members.tier",
    "wallets.head_link",
    "lots.activation",
    "holds.slices",
    "entries.kind",
    "entries.movement",
    "entries.terminal",
    "entries.link",
    "ledger_anchors.link",
    "ledger_heads.link",
    "orders.place",
    "orders.external_id",
    "orders.body_hash",
    "orders.channel",
    "orders.terminal",
    "orders.business_date",
    "orders.currency",
    "orders.lines",
    "orders.earnings",
    "returns.place",
    "returns.external_id",
    "returns.body_hash",
    "returns.answer",
    "offers.external_id",
    "offers.name",
    "offers.state",
    "offers.spec",
    "coupons.external_id",
    "coupons.code_id",
    "coupons.typed",
    "coupons.state",
    "coupons.redeemed_in",
    "quotes.place",
    "quotes.basket_hash",
    "quotes.content",
    "consents.purpose",
    "consents.channel",
    "consents.state",
    "consents.notice_version",
    "consents.source",
    "redemption_conflicts.place",
    "redemption_conflicts.transaction_id",
    "redemption_conflicts.body_hash",
    "redemption_conflicts.terminal",
    "redemption_conflicts.code",
    "opening_balances.external_id",
    "opening_balances.body_hash",
    "redemptions.place",
    "redemptions.transaction_id",
    "redemptions.body_hash",
    "redemptions.terminal",
    "redemptions.state",
    "redemptions.currency",
    "redemptions.items",
    "audit.action",
    "audit.data",
];

#[test]
fn every_column_is_known_to_be_personal_or_not() {
    let schema: String = passarela::store::db::migration_names()
        .map(|name| std::fs::read_to_string(root().join(format!("migrations/postgres/{name}.sql"))).unwrap())
        .collect();
    let (mut table, mut personal, mut plain) = (String::new(), BTreeSet::new(), BTreeSet::new());
    for line in schema.lines() {
        // A column of a new table stands on a line of its own; one of a table that is there in one statement.
        let words: Vec<&str> = line.split_whitespace().collect();
        let column = match words[..] {
            ["CREATE", "TABLE", name, ..] => {
                name.clone_into(&mut table);
                continue;
            }
            ["ALTER", "TABLE", name, "ADD", "COLUMN", column, kind, ..] => Some((name, column, kind)),
            [column, kind, ..] => Some((table.as_str(), column, kind)),
            _ => None,
        };
        let Some((table, column, kind)) = column else { continue };
        if matches!(kind.trim_end_matches([',', ';']), "TEXT" | "JSONB" | "BYTEA") {
            let list = if line.contains("-- personal") { &mut personal } else { &mut plain };
            list.insert(format!("{table}.{column}"));
        }
    }
    assert_eq!(personal, PERSONAL.iter().map(|column| (*column).to_owned()).collect());
    assert_eq!(plain, NOT_PERSONAL.iter().map(|column| (*column).to_owned()).collect());
}

#[test]
fn banned_crates_are_not_in_the_tree() {
    const BANNED: &[&str] = &["native-tls", "aws-lc-rs", "aws-lc-sys", "openssl-src", "hyper-tls"];
    let output = Command::new(env!("CARGO"))
        // Of this machine's kind: what another needs may never have been downloaded here.
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let resolved: BTreeSet<String> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap().to_owned())
        .collect();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        if resolved.contains(package["id"].as_str().unwrap()) {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            versions.entry(text("name")).or_default().insert(text("version"));
            let source = package["source"].as_str().unwrap_or("registry+");
            assert!(source.starts_with("registry+"), "{} comes from {source}", text("name"));
        }
    }
    for name in BANNED {
        assert!(!versions.contains_key(*name), "{name} is banned");
    }
    for single in ["rustls", "reqwest", "hyper", "tokio", "openssl"] {
        assert!(
            versions.get(single).is_none_or(|versions| versions.len() == 1),
            "{single}: {:?}",
            versions.get(single)
        );
    }
}

#[test]
fn shipped_files_are_where_the_readme_says() {
    for file in [
        "README.md",
        "Dockerfile",
        "deny.toml",
        "scripts/test",
        "scripts/audit",
        ".ci/run",
        "docs/operating.md",
        "docs/api.md",
        "docs/design.md",
    ] {
        assert!(Path::new(&root().join(file)).exists(), "{file}");
    }
}
