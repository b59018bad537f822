//! A whole installation to measure on: certificates, keys, a brand, a program, a template; gone afterwards.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::{Failure, certs, demo, designs};
use crate::app;
use crate::clock::{Clock as _, SystemClock, random_alphanumeric};
use crate::config::Config;
use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{DeviceId, PassId, ProgramId};
use crate::domain::locale::Locale;
use crate::domain::secret::{Personal, Secret};
use crate::service::customers::{Details, Selector};
use crate::service::issue_pass::{self, Order, TemplateRef};
use crate::service::programs::{self, NewProgram};
use crate::service::{App, Problem, brands, templates};
use crate::store::Db;
use crate::store::brands::Brand;
use crate::store::devices::{self, NewDevice, Registering};
use crate::store::passes::Pass;
use crate::store::templates::Template;
use crate::wallet::design::Design;

pub const PASS_TYPE: &str = "pass.example.bench";

pub struct Installation {
    folder: PathBuf,
    pub app: App,
    pub brand: Brand,
    /// The shipped designs as templates, the loyalty card first, each with the data of its sample.
    pub templates: Vec<(Template, Map<String, Value>)>,
    pub program: ProgramId,
}

impl Drop for Installation {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Installation {
    pub async fn new(database_url: Option<String>, change: impl FnOnce(&mut Config)) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("passarela-bench-{}", random_alphanumeric(&SystemClock, 12)));
        std::fs::create_dir_all(&folder)?;
        let mut config = Config::defaults();
        config.database.url = database_url.unwrap_or_else(|| format!("sqlite://{}", folder.join("bench.db").display()));
        config.apple.certs_dir = folder.join("certs");
        config.secrets.master_key_file = folder.join("master.key");
        config.server.listen = "127.0.0.1:0".to_owned();
        change(&mut config);
        demo::ensure_master_key(&config.secrets.master_key_file)?;
        certs::ensure_dev(&config, PASS_TYPE, false)?;
        let app = app::open(config, Arc::new(SystemClock)).await?;
        if !brands::list(&app).await?.is_empty() {
            return Err(Failure::Usage("the database is not empty: a measure wants one of its own".to_owned()));
        }
        let pass_types = [PASS_TYPE.to_owned()];
        let brand = brands::create(&app, "Padaria Aurora", Locale::PtBr, "America/Sao_Paulo", &pass_types).await?;
        let mut installed = Vec::new();
        for files in designs::shipped() {
            let design = Design::parse(&files).map_err(|faults| Failure::Trouble(faults.to_string()))?;
            let template = templates::install(&app, brand.id, PASS_TYPE, files, None).await?.template;
            installed.push((template, design.sample.data));
        }
        let new = NewProgram {
            name: "Clube Aurora".to_owned(),
            external_id: None,
            time_zone: "America/Sao_Paulo".to_owned(),
        };
        let reply = programs::create(&app, brand.id, new, None, |program| program.id.to_string().into_bytes()).await?;
        let program =
            String::from_utf8_lossy(&reply.body).parse().map_err(|_| Failure::Trouble("no program".to_owned()))?;
        Ok(Self { folder, app, brand, templates: installed, program })
    }

    /// Issues passes as the API does, of each of the first `kinds` templates in turn; their ids.
    pub async fn issue(&self, count: usize, kinds: usize) -> Result<Vec<PassId>, Failure> {
        let mut passes = Vec::with_capacity(count);
        for number in 0..count {
            let Some((template, sample)) = self.templates.get(number % kinds.clamp(1, self.templates.len())) else {
                break;
            };
            let mut data = sample.clone();
            data.insert("points".to_owned(), number.into());
            let order = Order {
                template: TemplateRef::Id(template.id),
                program: self.program,
                customer: Selector::Identifier(IdentifierKind::CardNumber, Personal::new(format!("7401{number:08}"))),
                details: Details { name: Some(Some(Personal::new("Ana Souza".to_owned()))), ..Details::default() },
                external_id: None,
                data: Personal::new(data),
                hash: [0; 32],
            };
            let body = |_: &App, pass: &Pass, _| pass.id.to_string().into_bytes();
            let reply = issue_pass::issue(&self.app, &self.brand, &order, None, body).await?;
            let pass = String::from_utf8_lossy(&reply.body).parse();
            passes.push(pass.map_err(|_| Failure::Trouble("no pass".to_owned()))?);
        }
        Ok(passes)
    }

    /// Registers as many devices as asked, an equal share for each pass.
    pub async fn register(&self, passes: &[PassId], registrations: usize) -> Result<(), Failure> {
        self.register_from(0, passes, registrations).await
    }

    /// The same with devices whose numbers begin at `first`; a device's number is its push token, in 64 hexadecimal digits.
    pub async fn register_from(&self, first: usize, passes: &[PassId], registrations: usize) -> Result<(), Failure> {
        const CHUNK: usize = 500;
        let (app, brand) = (&self.app, self.brand.id);
        let share = (registrations / passes.len()).max(1);
        let failed = |error: sqlx::Error| Failure::from(Problem::from(error));
        for from in (0..registrations).step_by(CHUNK) {
            let numbers = from..(from + CHUNK).min(registrations);
            let rows: Vec<Registering> = numbers
                .filter_map(|number| {
                    Some(Registering {
                        pass: *passes.get(number / share).or(passes.last())?,
                        new_id: DeviceId::new(SystemClock.new_id()),
                        device: NewDevice {
                            pass_type: PASS_TYPE.to_owned(),
                            library_id: Secret::new(format!("bench{}", first + number)),
                            push_token: Secret::new(format!("{:064x}", first + number)),
                            scheme: "ApplePass".to_owned(),
                        },
                    })
                })
                .collect();
            let mut tx = app.db.begin().await.map_err(failed)?;
            devices::insert_many(&mut tx.conn(), brand, &rows, 0, SystemClock.now()).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
        }
        analyze(app).await
    }
}

/// Tells the planner what is there, as `PostgreSQL` does by itself in time. (`SQLite` does not; and with statistics it
/// would plan a range over a parameter anew for every request.)
async fn analyze(app: &App) -> Result<(), Failure> {
    if let Db::Postgres { writers: pool, .. } = &app.db {
        sqlx::query("ANALYZE").execute(pool).await.map_err(Problem::from)?;
    }
    Ok(())
}
