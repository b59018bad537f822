//! `passarela brand`, `key`, `template`, `migrate`: what an operator sets up beside the running service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::json;

use super::{Failure, Output};
use crate::app;
use crate::clock::SystemClock;
use crate::config::{BadConfig, Config};
use crate::domain::ids::{KeyId, StoreId};
use crate::domain::locale::Locale;
use crate::domain::role::Role;
use crate::service::keys::Stand;
use crate::service::rollouts::Plan;
use crate::service::templates::Installed;
use crate::service::{App, brands, code_keys, keys, templates};
use crate::store::{Db, brands as stored};
use crate::wallet::design::Design;
use crate::wallet::preview::{self, Look, Scene};
use crate::wallet::{check, key_tables};

#[derive(Debug, Subcommand)]
pub enum Brand {
    /// Create a brand.
    Create {
        name: String,
        /// Bind this pass type to it; repeat for several.
        #[arg(long = "pass-type", value_name = "ID")]
        pass_types: Vec<String>,
        #[arg(long, default_value = "pt-BR", value_parser = parse::<Locale>)]
        locale: Locale,
        #[arg(long, default_value = "America/Sao_Paulo")]
        time_zone: String,
    },
    /// Bind a pass type to a brand. A pass type belongs to one brand.
    BindPassType { brand: String, pass_type: String },
    /// List brands.
    List,
    /// The keys that a brand's codes are made with: say which, begin a new one, or take the old ones' codes no more.
    CodeKeys {
        brand: String,
        /// Begin a new key. Codes of the old ones stay good.
        #[arg(long, conflicts_with = "retire")]
        renew: bool,
        /// Take only codes of the newest key.
        #[arg(long)]
        retire: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Create a key and print it, this once.
    Create {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        /// admin, issuer, pos, marketing, gateway, app or reader.
        #[arg(long, value_parser = parse::<Role>)]
        role: Role,
        /// The store that a pos or gateway key stands in.
        #[arg(long, value_parser = parse::<StoreId>)]
        store: Option<StoreId>,
        /// Where in the store its till stands.
        #[arg(long, value_name = "NAME")]
        terminal: Option<String>,
        #[arg(long, default_value = "made on the command line")]
        name: String,
        /// When it ends by itself (RFC 3339).
        #[arg(long, value_parser = parse::<DateTime<Utc>>)]
        expires_at: Option<DateTime<Utc>>,
    },
    /// List a brand's keys.
    List {
        #[arg(long)]
        brand: String,
    },
    /// Revoke a key, from the next request on.
    Revoke {
        #[arg(long)]
        brand: String,
        #[arg(value_parser = parse::<KeyId>)]
        key: KeyId,
    },
}

#[derive(Debug, Subcommand)]
pub enum Template {
    /// Check a design's folder: every fault, with its file and line.
    Check { folder: PathBuf },
    /// Print every key that a pass can have, and who gives it (docs/pass-keys.md).
    Keys,
    /// Draw a design's sample pass as phones show it, as SVG or PNG.
    Preview {
        folder: PathBuf,
        #[arg(short, long, value_name = "OUT.svg|OUT.png")]
        output: PathBuf,
        /// front, back, poster, google, or sheet for all of them.
        #[arg(long, default_value = "sheet", value_parser = parse::<Look>)]
        look: Look,
        /// The reader's language; the design's own if absent.
        #[arg(long, value_parser = parse::<Locale>)]
        locale: Option<Locale>,
        /// Pixels for each point, of a PNG.
        #[arg(long, default_value_t = 2.0)]
        scale: f32,
    },
    /// Install a design as a template of a brand, or as its next version.
    Install {
        #[arg(long)]
        brand: String,
        /// The pass type of its passes; the brand's only one if absent.
        #[arg(long)]
        pass_type: Option<String>,
        /// Keep a new version for later, instead of bringing it to the passes that there are.
        #[arg(long)]
        no_rollout: bool,
        folder: PathBuf,
    },
}

pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) async fn open(config: Config) -> Result<App, Failure> {
    Ok(app::open(config, Arc::new(SystemClock)).await?)
}

pub(super) async fn brand_of(app: &App, code: &str) -> Result<stored::Brand, Failure> {
    let found = brands::find_by_code(app, code).await?;
    found.ok_or_else(|| {
        Failure::No(format!("there is no brand with the code {code}; `passarela brand list` shows them"))
    })
}

impl Brand {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let app = open(config).await?;
        match self {
            Self::Create { name, pass_types, locale, time_zone } => {
                let brand = brands::create(&app, &name, locale, &time_zone, &pass_types).await?;
                output.print(&json!({ "id": brand.id, "code": brand.code, "pass_types": pass_types }), || {
                    format!("{}  {}", brand.code, brand.name)
                });
            }
            Self::BindPassType { brand, pass_type } => {
                let brand = brand_of(&app, &brand).await?;
                brands::bind_pass_type(&app, brand.id, &pass_type).await?;
                output.print(&json!({ "id": brand.id, "pass_type": pass_type }), || {
                    format!("{}  {pass_type}", brand.code)
                });
            }
            Self::List => {
                let (mut rows, mut lines) = (Vec::new(), Vec::new());
                for (brand, pass_types) in brands::list(&app).await? {
                    lines.push(format!("{}  {}  {}", brand.code, brand.name, pass_types.join(" ")));
                    rows.push(
                        json!({ "id": brand.id, "code": brand.code, "name": brand.name, "pass_types": pass_types }),
                    );
                }
                output.print(&json!({ "brands": rows }), || lines.join("\n"));
            }
            Self::CodeKeys { brand, renew, retire } => {
                let brand = brand_of(&app, &brand).await?;
                let keys = match (renew, retire) {
                    (true, _) => code_keys::renew(&app, brand.id).await?,
                    (false, true) => code_keys::retire(&app, brand.id).await?,
                    (false, false) => code_keys::of(&brand),
                };
                output.print(&json!({ "newest": keys.newest, "oldest": keys.oldest }), || {
                    format!("new codes: key {}; taken: keys {} to {}", keys.newest, keys.oldest, keys.newest)
                });
            }
        }
        Ok(())
    }
}

impl Key {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let app = open(config).await?;
        match self {
            Self::Create { brand, role, store, terminal, name, expires_at } => {
                let brand = brand_of(&app, &brand).await?;
                let (key, secret) =
                    keys::create(&app, &brand, role, Stand { store, terminal }, &name, expires_at).await?;
                output
                    .print(&json!({ "id": key.id, "role": role, "key": secret.reveal() }), || secret.reveal().clone());
            }
            Self::List { brand } => {
                let brand = brand_of(&app, &brand).await?;
                let (mut rows, mut lines, mut after) = (Vec::new(), Vec::new(), None);
                loop {
                    let page = keys::list(&app, brand.id, after, 200).await?;
                    after = page.last().map(|key| key.id);
                    for key in page {
                        let state = if key.revoked_at.is_some() { "revoked" } else { "live" };
                        lines.push(format!("{}  {:9}  {state:7}  {}", key.id, key.role, key.name));
                        rows.push(json!({ "id": key.id, "role": key.role, "name": key.name, "store_id": key.store_id,
                            "created_at": key.created_at, "expires_at": key.expires_at, "revoked_at": key.revoked_at }));
                    }
                    if after.is_none() {
                        break;
                    }
                }
                output.print(&json!({ "keys": rows }), || lines.join("\n"));
            }
            Self::Revoke { brand, key } => {
                let brand = brand_of(&app, &brand).await?;
                let key = keys::revoke(&app, brand.id, key).await?;
                output.print(&json!({ "id": key.id, "revoked_at": key.revoked_at }), || format!("{} revoked", key.id));
            }
        }
        Ok(())
    }
}

impl Template {
    pub async fn run(self, load: impl FnOnce() -> Result<Config, BadConfig>, output: Output) -> Result<(), Failure> {
        match self {
            Self::Check { folder } => {
                let files = Design::read_folder(&folder)
                    .map_err(|error| Failure::Trouble(format!("{}: {error}", folder.display())))?;
                let checked = check::check(&files);
                let (faults, notes) = match &checked {
                    Ok(checked) => (&[][..], &checked.notes[..]),
                    Err(faults) => (&faults.0[..], &[][..]),
                };
                output.print(&json!({ "valid": faults.is_empty(), "faults": faults, "notes": notes }), || {
                    let faults = faults.iter().map(ToString::to_string);
                    let notes = notes.iter().map(|note| format!("note: {note}"));
                    let lines: Vec<_> = faults.chain(notes).collect();
                    if lines.is_empty() { format!("{}: good", folder.display()) } else { lines.join("\n") }
                });
                if checked.is_err() {
                    return Err(Failure::No(format!("{} has faults", folder.display())));
                }
            }
            Self::Keys => {
                output.print(&json!({ "markdown": key_tables::page() }), || key_tables::page().trim_end().to_owned())
            }
            Self::Preview { folder, output: out, look, locale, scale } => {
                let bytes = draw(&folder, &out, look, locale, scale)?;
                std::fs::write(&out, &bytes)
                    .map_err(|error| Failure::Trouble(format!("{}: {error}", out.display())))?;
                output.print(&json!({ "file": out, "bytes": bytes.len() }), || {
                    format!("{}: {} bytes", out.display(), bytes.len())
                });
            }
            Self::Install { brand, pass_type, no_rollout, folder } => {
                let files = Design::read_folder(&folder)
                    .map_err(|error| Failure::Trouble(format!("{}: {error}", folder.display())))?;
                let app = open(load()?).await?;
                let brand = brand_of(&app, &brand).await?;
                let pass_type = match pass_type {
                    Some(pass_type) => pass_type,
                    None => brands::only_pass_type(&app, brand.id).await?,
                };
                let plan = (!no_rollout).then(Plan::default);
                let Installed { template, rollout, notes, .. } =
                    templates::install(&app, brand.id, &pass_type, files, plan).await?;
                output.print(
                    &json!({ "id": template.id, "name": template.name, "version": template.version,
                    "rollout_id": rollout.map(|rollout| rollout.id), "notes": notes }),
                    || format!("{}  {}  version {}", template.id, template.name, template.version),
                );
            }
        }
        Ok(())
    }
}

/// The picture in the form that the file's name asks for.
fn draw(folder: &Path, out: &Path, look: Look, locale: Option<Locale>, scale: f32) -> Result<Vec<u8>, Failure> {
    let is_png = match out.extension().and_then(|extension| extension.to_str()) {
        Some("png") => true,
        Some("svg") => false,
        _ => return Err(Failure::Usage(format!("{} must end in .svg or .png", out.display()))),
    };
    if !(0.1..=8.0).contains(&scale) {
        return Err(Failure::Usage("--scale is from 0.1 to 8".to_owned()));
    }
    let files =
        Design::read_folder(folder).map_err(|error| Failure::Trouble(format!("{}: {error}", folder.display())))?;
    let checked = check::check(&files).map_err(|faults| Failure::No(faults.to_string()))?;
    let design = checked.renderer.design();
    let content = check::render_sample(&checked.renderer, design.sample.today)
        .map_err(|error| Failure::No(format!("{}: {error}", folder.display())))?;
    let svg = preview::draw(Scene::new(&content, design, locale), look);
    if !is_png {
        return Ok(svg.into_bytes());
    }
    preview::rasterize(&svg, scale).map_err(|error| Failure::Trouble(error.to_string()))
}

/// Needs only the database, not the master key.
pub async fn migrate(config: &Config, output: Output) -> Result<(), Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(format!("database.url: {error}"));
    let db = Db::connect(&config.database.url, 2).await.map_err(|error| trouble(&error))?;
    db.migrate().await.map_err(|error| trouble(&error))?;
    let version = crate::store::db::schema_version();
    output.print(&json!({ "schema_version": version }), || format!("the schema is at version {version}"));
    Ok(())
}
