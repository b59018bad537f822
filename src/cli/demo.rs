//! `passarela demo`: everything at once, in a folder of its own, ready to be tried.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::Map;

use super::{Failure, Output, certs, designs, serve, shop};
use crate::app::{self, Role};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, CustomerId, OfferId, PassId, ProgramId};
use crate::domain::locale::Locale;
use crate::domain::role::Role as KeyRole;
use crate::domain::secret::Personal;
use crate::service::customers::{Details, Selector};
use crate::service::issue_pass::{self, Order, TemplateRef};
use crate::service::keys::Stand;
use crate::service::programs::{self, NewProgram};
use crate::service::rollouts::Plan;
use crate::service::{App, brands, keys, read_pass, templates};
use crate::store::brands::Brand;
use crate::store::passes::Pass;
use crate::telemetry;

#[derive(Debug, Args)]
pub struct Demo {
    /// The socket to listen on.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The URL that people see, for example of a tunnel to this machine.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where its database, keys and certificates live.
    #[arg(long, value_name = "DIR", default_value = "passarela-demo")]
    data_dir: PathBuf,
}

const PASS_TYPE: &str = "pass.example.padaria-aurora";

/// What `--json` prints when the demo is ready to serve; null for what does not exist yet.
#[derive(Serialize)]
struct Ready {
    public_url: String,
    api_key: String,
    brand_id: BrandId,
    program_id: ProgramId,
    customer_id: CustomerId,
    pass_id: PassId,
    serial: String,
    add_url: String,
    pkpass_url: String,
    console_url: Option<String>,
    wwdr_ca_file: PathBuf,
}

impl Demo {
    pub async fn run(self, mut config: Config, output: Output) -> Result<(), Failure> {
        // A setting that somebody made (file or variable) is honoured; only defaults give way to the data folder.
        let defaults = Config::defaults();
        std::fs::create_dir_all(&self.data_dir)?;
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if config.database.url == defaults.database.url {
            config.database.url = format!("sqlite://{}", self.data_dir.join("passarela.db").display());
        }
        if config.secrets.master_key_file == defaults.secrets.master_key_file {
            config.secrets.master_key_file = self.data_dir.join("master.key");
        }
        if config.apple.certs_dir == defaults.apple.certs_dir {
            config.apple.certs_dir = self.data_dir.join("certs");
        }
        if config.imports.spool_dir == defaults.imports.spool_dir {
            config.imports.spool_dir = self.data_dir.join("imports");
        }
        if config.log.filter == defaults.log.filter {
            "warn".clone_into(&mut config.log.filter);
        }
        telemetry::start_logging(&config.log);
        ensure_master_key(&config.secrets.master_key_file)?;
        certs::ensure_dev(&config, PASS_TYPE, false)?;
        // Bind first: a port of 0 must be known before it is burned into passes.
        if self.public_url.is_none() && config.server.public_url == defaults.server.public_url {
            let listener = std::net::TcpListener::bind(&config.server.listen)
                .map_err(|error| Failure::Trouble(format!("server.listen {}: {error}", config.server.listen)))?;
            config.server.listen = listener.local_addr()?.to_string();
            config.server.public_url = format!("http://{}", config.server.listen);
        }
        if let Some(public_url) = self.public_url {
            config.server.public_url = public_url;
        }
        config.check()?;
        // Whole, for scripts that go elsewhere.
        let wwdr_ca_file = std::path::absolute(config.apple.certs_dir.join("dev-ca.pem"))?;
        let app = app::open(config, Arc::new(SystemClock)).await?;
        let (brand, pass, reward) = seed(&app).await?;
        let key_file = self.data_dir.join("admin.key");
        let api_key = ensure_key(&app, &brand, &key_file).await?;
        let signals = serve::Signals::listen()?;
        let running = app::start(app, Role::All, telemetry::start_metrics())?;
        let public_url = running.app.config.server.public_url.clone();
        let add_url = format!("{public_url}/p/{}", pass.link.reveal());
        let ready = Ready {
            api_key,
            brand_id: brand.id,
            program_id: pass.program_id,
            customer_id: pass.customer_id,
            pass_id: pass.id,
            serial: pass.serial.clone(),
            pkpass_url: format!("{add_url}/apple.pkpass"),
            add_url,
            console_url: None,
            wwdr_ca_file,
            public_url,
        };
        output.print(&ready, || welcome(&ready, reward));
        std::io::stdout().flush()?;
        serve::until_stopped(running, signals).await
    }
}

fn welcome(ready: &Ready, reward_id: OfferId) -> String {
    let Ready { public_url, api_key, pass_id, add_url, pkpass_url, wwdr_ca_file, .. } = ready;
    let program = this_program();
    format!(
        "Passarela is running, with a bakery's loyalty card in it.\n\n\
         Add the card:        {add_url}\n\
         The bundle itself:   {pkpass_url}\n\
         The API, described:  {public_url}/api/docs\n\n\
         Be the till: scan the card, sell something (a phone that holds the card is told and served the new balance; Apple takes\n\
         pushes only with its own certificates), and give the reward:\n\n  \
         post() {{ curl -sS -X POST {public_url}/api/v1/$1 -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' -d \"$2\"; echo; }}\n  \
         post scans '{{\"code\":\"7401 8835 2290\"}}'\n  \
         post orders '{{\"external_id\":\"ticket-1\",\"customer\":{{\"card_number\":\"7401 8835 2290\"}},\"lines\":[{{\"sku\":\"bolo\",\"category\":\"padaria\",\"amount\":{{\"amount_minor\":4200,\"currency\":\"BRL\"}}}}],\"total\":{{\"amount_minor\":4200,\"currency\":\"BRL\"}}}}'\n  \
         post redemptions '{{\"transaction_id\":\"ticket-2\",\"customer\":{{\"card_number\":\"7401 8835 2290\"}},\"redeem\":[{{\"reward_id\":\"{reward_id}\"}}]}}'\n\n\
         What the card says beside its wallets is the brand's own:\n\n  \
         curl -X PATCH {public_url}/api/v1/passes/{pass_id} \\\n    \
         -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \\\n    \
         -d '{{\"data\":{{\"note\":\"Seu café de aniversário está esperando.\"}}}}'\n\n\
         Check what it signed:\n\n  \
         curl -s -o card.pkpass {pkpass_url} && {program} pass verify card.pkpass --ca {}\n\n\
         The certificates are for development: no phone trusts them. Ctrl-C stops.",
        near(wwdr_ca_file).display()
    )
}

pub fn ensure_master_key(path: &Path) -> Result<(), Failure> {
    let mut key = [0u8; 32];
    SystemClock.random(&mut key);
    match private_file(path) {
        Ok(mut file) => Ok(file.write_all(&key)?),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A new file that only its owner can read.
fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The demo's admin key: made once, kept in the data folder so that the next start prints the same.
async fn ensure_key(app: &App, brand: &Brand, path: &Path) -> Result<String, Failure> {
    if let Ok(key) = std::fs::read_to_string(path) {
        return Ok(key.trim().to_owned());
    }
    let (_, secret) = keys::create(app, brand, KeyRole::Admin, Stand::default(), "demo", None).await?;
    private_file(path)?.write_all(secret.reveal().as_bytes())?;
    Ok(secret.reveal().clone())
}

/// A bakery with a program, a customer and a card. Seeding again finds what is there.
async fn seed(app: &App) -> Result<(Brand, Pass, OfferId), Failure> {
    let known = brands::list(app).await?.into_iter().find(|(_, types)| types.iter().any(|own| own == PASS_TYPE));
    let brand = match known {
        Some((brand, _)) => brand,
        None => {
            let pass_types = [PASS_TYPE.to_owned()];
            brands::create(app, "Padaria Aurora", Locale::PtBr, "America/Sao_Paulo", &pass_types).await?
        }
    };
    let mut card = None;
    for files in designs::shipped() {
        // An older version of the demo may have made passes: they follow.
        let installed = templates::install(app, brand.id, PASS_TYPE, files, Some(Plan::default())).await?;
        card.get_or_insert(installed.template);
    }
    let template = card.ok_or_else(|| Failure::Trouble("no design is shipped".to_owned()))?;
    let program = ensure_program(app, brand.id).await?;
    let promised = shop::furnish(app, &brand, program).await?;
    let order = Order {
        template: TemplateRef::Id(template.id),
        program,
        customer: Selector::Identifier(IdentifierKind::CardNumber, Personal::new("7401 8835 2290".to_owned())),
        details: Details { name: Some(Some(Personal::new("Ana Souza".to_owned()))), ..Details::default() },
        external_id: Some("demo".to_owned()),
        data: Personal::new(Map::new()),
        hash: [0; 32],
    };
    let body = |_: &App, pass: &Pass, _| pass.id.to_string().into_bytes();
    let reply = issue_pass::issue(app, &brand, &order, None, body).await?;
    let pass = String::from_utf8_lossy(&reply.body).parse().map_err(|_| Failure::Trouble("no pass".to_owned()))?;
    let (pass, _) = read_pass::read(app, brand.id, pass).await?;
    shop::trade(app, &brand, pass.customer_id, promised.coupon).await?;
    Ok((brand, pass, promised.reward))
}

/// The sample program, whatever somebody made of it since. Its passes are looked at again: they carry the address of the
/// web service, which may have been another when the demo last ran.
async fn ensure_program(app: &App, brand: BrandId) -> Result<ProgramId, Failure> {
    const EXTERNAL_ID: &str = "clube-aurora";
    if let Some(program) = programs::find_by_external_id(app, brand, EXTERNAL_ID).await? {
        programs::touch(app, brand, program.id).await?;
        return Ok(program.id);
    }
    let new = NewProgram {
        name: "Clube Aurora".to_owned(),
        external_id: Some(EXTERNAL_ID.to_owned()),
        time_zone: "America/Sao_Paulo".to_owned(),
    };
    let reply = programs::create(app, brand, new, None, |program| program.id.to_string().into_bytes()).await?;
    String::from_utf8_lossy(&reply.body).parse().map_err(|_| Failure::Trouble("no program".to_owned()))
}

/// How this program is called from here: after `cargo run` it is not on the path.
fn this_program() -> String {
    std::env::current_exe().map_or_else(|_| "passarela".to_owned(), |program| near(&program).display().to_string())
}

/// A path as it is seen from here.
fn near(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}
