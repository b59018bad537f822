//! The whole service: opens what it needs, starts server and workers, and stops them in order.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{NormalizePath, TrailingSlash};
use actix_web::web::Data;
use actix_web::{App as ActixApp, HttpServer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::delivery::Channel;
use crate::http::auth::{Failures, LogBudget};
use crate::http::badges::{BadBadge, Badges};
use crate::http::{imports, measure, routes, unread};
use crate::secret_file::{self, BadSecret};
use crate::service::App;
use crate::store::{Db, installation};
use crate::wallet::apple::certificates::{self, BadCertificates, Certificates};
use crate::wallet::keys::{BadMasterKey, MasterKey};
use crate::worker;

/// What a process of the service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    Api,
    Worker,
    All,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("secrets.master_key_file {}: {source}. Make one: head -c 32 /dev/urandom > {}; chmod 600 {}", path.display(), path.display(), path.display())]
    MasterKeyFile { path: PathBuf, source: std::io::Error },
    #[error("secrets.master_key_file {0}")]
    MasterKeyOpen(BadSecret),
    #[error("secrets.master_key_file {}: {source}", path.display())]
    MasterKey { path: PathBuf, source: BadMasterKey },
    #[error("the master key is not the one this database was used with: tokens of issued passes would change")]
    OtherMasterKey,
    #[error("database.url: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database's schema: {0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
    #[error("apple.certs_dir: {0}")]
    Certificates(#[from] BadCertificates),
    #[error("server.listen {listen}: {source}")]
    Listen { listen: String, source: std::io::Error },
    #[error("server.tls_cert_file: {0}")]
    Tls(String),
    #[error("pages.badges_dir: {0}")]
    Badges(#[from] BadBadge),
}

/// How often samples of metrics are folded together.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// How long requests and batches may take to finish after a stop was asked for.
const FINISH: Duration = Duration::from_secs(8);

/// Opens the database and reads keys and certificates: what commands and servers have in common.
pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<App, StartError> {
    let master_key = read_master_key(&config)?;
    let certificates = certificates::read(&config.apple.certs_dir, clock.now())?;
    open_with(config, clock, master_key, certificates).await
}

async fn open_with(
    config: Config,
    clock: Arc<dyn Clock>,
    master_key: MasterKey,
    certificates: Certificates,
) -> Result<App, StartError> {
    let db = Db::connect(&config.database.url, config.database.connections).await?;
    db.migrate().await?;
    let mut tx = db.begin().await?;
    let check = master_key.check_value();
    let kept = installation::keep_master_key_check(&mut tx.conn(), &check, clock.now()).await?;
    tx.commit().await?;
    if kept != check {
        return Err(StartError::OtherMasterKey);
    }
    let runtime = tokio::runtime::Handle::current();
    Ok(App::new(db, clock, config, master_key, certificates, runtime))
}

/// Reads the master key; refuses a file that others can read.
pub fn read_master_key(config: &Config) -> Result<MasterKey, StartError> {
    let path = &config.secrets.master_key_file;
    let content = secret_file::read(path).map_err(|error| match error {
        BadSecret::Read { path, source } => StartError::MasterKeyFile { path, source },
        open @ BadSecret::Open { .. } => StartError::MasterKeyOpen(open),
    })?;
    MasterKey::from_file_content(&content).map_err(|source| StartError::MasterKey { path: path.clone(), source })
}

/// A service that runs.
pub struct Running {
    pub app: App,
    /// Where it listens; `None` for a worker.
    pub address: Option<SocketAddr>,
    stop: CancellationToken,
    server: Option<actix_web::dev::ServerHandle>,
    tasks: JoinSet<&'static str>,
}

/// Starts what `role` says. Logging is the caller's; `metrics` is what `/metrics` shows.
pub fn start(app: App, role: Role, metrics: Option<PrometheusHandle>) -> Result<Running, StartError> {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for (pass_type, fault) in &app.certificates().faults {
        tracing::error!("passes of {pass_type} cannot be signed: {fault}");
    }
    let (keeper, stop0) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        worker::keyring::run(keeper, stop0).await;
        "keyring"
    });
    if let Some(metrics) = metrics.clone() {
        let stop = stop.clone();
        tasks.spawn(async move {
            // Samples of histograms pile up until somebody reads them, or this does.
            while stop.run_until_cancelled(tokio::time::sleep(METRICS_UPKEEP)).await.is_some() {
                metrics.run_upkeep();
            }
            "metrics"
        });
    }
    // Wherever a file arrived, it can be worked on.
    let (importer, stop5) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        worker::importer::run(importer, imports::FORMS, stop5).await;
        "importer"
    });
    let (witness, stop6) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        worker::witness::run(witness, stop6).await;
        "witness"
    });
    let (mut address, mut server) = (None, None);
    if role != Role::Worker {
        let listen = app.config.server.listen.clone();
        let failed = |source| StartError::Listen { listen: listen.clone(), source };
        let listener = TcpListener::bind(&listen).map_err(failed)?;
        address = Some(listener.local_addr().map_err(failed)?);
        // Every connection inherits it: one whose client takes nothing of what it asked for is given up.
        let unsent = Duration::from_secs(app.config.server.send_timeout_secs);
        socket2::SockRef::from(&listener).set_tcp_user_timeout(Some(unsent)).map_err(failed)?;
        let running = serve(&app, listener, metrics)?;
        server = Some(running.handle());
        tasks.spawn(async move {
            if let Err(error) = running.await {
                tracing::error!(%error, "the server ended");
            }
            "server"
        });
    }
    if role != Role::Api {
        for channel in Channel::ALL {
            let (dispatcher, stop) = (app.clone(), stop.clone());
            tasks.spawn(async move {
                worker::dispatcher::run(dispatcher, *channel, stop).await;
                "dispatcher"
            });
        }
        let (one, two, three, four) = (app.clone(), app.clone(), app.clone(), app.clone());
        let (stop1, stop2, stop3, stop4) = (stop.clone(), stop.clone(), stop.clone(), stop.clone());
        tasks.spawn(async move {
            worker::publisher::run(one, stop1).await;
            "publisher"
        });
        tasks.spawn(async move {
            worker::sequencer::run(two, stop2).await;
            "sequencer"
        });
        tasks.spawn(async move {
            worker::sweeper::run(three, stop3).await;
            "sweeper"
        });
        tasks.spawn(async move {
            worker::roller::run(four, stop4).await;
            "roller"
        });
        let (bookkeeper, stop) = (app.clone(), stop.clone());
        tasks.spawn(async move {
            worker::bookkeeper::run(bookkeeper, stop).await;
            "bookkeeper"
        });
    }
    Ok(Running { app, address, stop, server, tasks })
}

fn serve(
    app: &App,
    listener: TcpListener,
    metrics: Option<PrometheusHandle>,
) -> Result<actix_web::dev::Server, StartError> {
    let data = Data::new(app.clone());
    let failures = Data::new(Failures::new(&app.config.server.trusted_proxies));
    let log_budget = Data::new(LogBudget::new(&app.config.server.trusted_proxies));
    let metrics = metrics.map(Data::new);
    let badges = app.config.pages.badges_dir.as_deref().map(Badges::read).transpose()?;
    let badges = Data::new(badges.unwrap_or_default());
    let config = &app.config.server;
    let mut server = HttpServer::new(move || {
        let mut service = ActixApp::new()
            .app_data(data.clone())
            .app_data(failures.clone())
            .app_data(log_budget.clone())
            .app_data(badges.clone());
        if let Some(metrics) = &metrics {
            service = service.app_data(metrics.clone());
        }
        service
            .wrap(actix_web::middleware::from_fn(measure::measure))
            .wrap(actix_web::middleware::from_fn(unread::hold))
            // Some clients join Apple's webServiceURL naively and ask for `//v1/…`.
            .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
            .configure(routes::configure)
    })
    // A bundle is written in two pieces: without this the second waits 40 ms for the first one's acknowledgement.
    .tcp_nodelay(true)
    .client_request_timeout(Duration::from_secs(config.head_timeout_secs))
    .max_connections(config.connections_max)
    .shutdown_timeout(FINISH.as_secs())
    .disable_signals();
    if config.http_workers > 0 {
        server = server.workers(config.http_workers);
    }
    let listened = match (&config.tls_cert_file, &config.tls_key_file) {
        (Some(cert), Some(key)) => server.listen_rustls_0_23(listener, tls(cert, key).map_err(StartError::Tls)?),
        // Not `auto_h2c`: that waits for a first byte without a limit. A proxy speaks HTTP/1.1 to us.
        _ => server.listen(listener),
    };
    let server = listened.map_err(|source| StartError::Listen { listen: config.listen.clone(), source })?;
    Ok(server.run())
}

fn tls(cert: &std::path::Path, key: &std::path::Path) -> Result<rustls::ServerConfig, String> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let read = |error: &dyn std::fmt::Display| format!("{}: {error}", cert.display());
    let chain = CertificateDer::pem_file_iter(cert).map_err(|error| read(&error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| read(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(|error| read(&error))
}

impl Running {
    /// Waits until a task of the service ends, which none does by itself; the name of the one that did.
    pub async fn failed(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) => "a task that panicked",
            None => "everything",
        }
    }

    /// Claims no more work and lets finish what runs; the database stays open.
    pub async fn stop_workers(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Takes no new requests and claims no more work, lets finish what runs, closes the database.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let finish = async {
            if let Some(server) = &self.server {
                server.stop(true).await;
            }
            while self.tasks.join_next().await.is_some() {}
            self.app.finish().await;
        };
        if tokio::time::timeout(FINISH + Duration::from_secs(1), finish).await.is_err() {
            tracing::error!(tasks = self.app.running_tasks(), "stopped without waiting for everything");
        }
        // Closing waits for every connection; one that hangs must not hold the process.
        drop(tokio::time::timeout(Duration::from_millis(500), self.app.db.close()).await);
    }
}
