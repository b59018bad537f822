//! The command line: arguments to use cases, and outcomes to text, one line of JSON, and an exit status.

mod admin;
mod backup;
mod bench;
mod certs;
mod deliveries;
mod demo;
mod designs;
mod doctor;
mod export;
mod google;
mod import;
mod ledger;
mod pass;
mod serve;
mod shop;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::app::{Role, StartError};
use crate::config::{BadConfig, Config};
use crate::service::Problem;

/// Digital wallet passes for shops: signs them, serves them, keeps them true.
#[derive(Debug, Parser)]
#[command(name = "passarela", version)]
struct Arguments {
    /// The settings file; passarela.toml if there is one.
    #[arg(long, global = true, env = "PASSARELA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object on one line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A running service with development certificates, a sample brand, and a pass to add.
    Demo(demo::Demo),
    /// Run the service.
    Serve {
        /// Serve requests, do the work behind them, or both.
        #[arg(long, value_enum, default_value = "all")]
        role: Role,
    },
    /// Look at passes, anybody's.
    #[command(subcommand)]
    Pass(pass::Pass),
    /// Templates of a brand.
    #[command(subcommand)]
    Template(admin::Template),
    /// Signing certificates.
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Brands and their pass types.
    #[command(subcommand)]
    Brand(admin::Brand),
    /// API keys.
    #[command(subcommand)]
    Key(admin::Key),
    /// Bring in what another system has, line by line.
    #[command(subcommand)]
    Import(import::Import),
    /// Write what there is to a file of rows.
    #[command(subcommand)]
    Export(export::Export),
    /// What is told to phones and others, and what came of it.
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// What Google Wallet has of a brand.
    #[command(subcommand)]
    Google(google::Google),
    /// The proof of everybody's units.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Write everything to one file, while the service runs.
    Backup(backup::Backup),
    /// Bring back what a backup holds, into a database that is not there yet.
    Restore(backup::Restore),
    /// Say what is wrong with this installation.
    Doctor,
    /// Measure what this machine can do, beside its own limit.
    Bench(bench::Bench),
    /// Bring the database's schema up to date.
    Migrate,
    /// Print the API's description (OpenAPI).
    Openapi,
}

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The answer is no.
    #[error("{0}")]
    No(String),
    /// Wrong use: arguments or settings.
    #[error("{0}")]
    Usage(String),
    /// It could not be found out: I/O, database.
    #[error("{0}")]
    Trouble(String),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::No(_) => 1,
            Self::Usage(_) => 2,
            Self::Trouble(_) => 3,
        }
    }
}

impl From<BadConfig> for Failure {
    fn from(error: BadConfig) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let causes = std::iter::successors(std::error::Error::source(&problem), |error| error.source());
        let text = std::iter::once(problem.to_string()).chain(causes.map(ToString::to_string));
        let text = text.collect::<Vec<_>>().join(": ");
        match problem {
            Problem::Unavailable(_) | Problem::Internal(_) | Problem::Busy | Problem::StorageFull(_) => {
                Self::Trouble(text)
            }
            Problem::Invalid { .. } => Self::Usage(text),
            _ => Self::No(text),
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy)]
struct Output {
    json: bool,
}

impl Output {
    /// One line of JSON for programs, or the text for people.
    fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line = if self.json { serde_json::to_string(value).unwrap_or_default() } else { text() };
        // Whoever reads may have seen enough: a closed pipe is no failure of ours.
        drop(writeln!(std::io::stdout(), "{line}"));
    }
}

/// A new file that its owner alone can read: links and personal data go into it.
fn private_file(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    // Passes and keys are in memory: of a panic only its place is told, nothing of the values.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        metrics::counter!("passarela_panics_total").increment(1);
        tracing::error!(place, "a panic: this is a defect of Passarela");
    }));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("passarela: a TLS provider is installed already");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("passarela: {error}");
            return ExitCode::from(3);
        }
    };
    let output = Output { json: arguments.json };
    match runtime.block_on(run(arguments, output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("passarela: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let load = || Config::load(arguments.config.as_deref());
    match arguments.command {
        Command::Demo(demo) => demo.run(load()?, output).await,
        Command::Serve { role } => serve::run(load()?, role).await,
        Command::Pass(pass) => pass.run(output),
        Command::Template(template) => template.run(load, output).await,
        Command::Certs(certs) => certs.run(load()?, output).await,
        Command::Brand(brand) => brand.run(load()?, output).await,
        Command::Key(key) => key.run(load()?, output).await,
        Command::Import(import) => import.run(load()?, output).await,
        Command::Export(export) => export.run(load()?, output).await,
        Command::Google(google) => google.run(load()?, output).await,
        Command::Ledger(ledger) => ledger.run(load()?, output).await,
        Command::Deliveries(deliveries) => deliveries.run(load()?, output).await,
        Command::Backup(backup) => backup.run(load()?, output).await,
        Command::Restore(restore) => restore.run(load()?, output).await,
        Command::Doctor => doctor::run(load()?, output).await,
        Command::Bench(bench) => bench.run(output).await,
        Command::Migrate => admin::migrate(&load()?, output).await,
        Command::Openapi => {
            drop(write!(std::io::stdout(), "{}", crate::http::openapi::text()));
            Ok(())
        }
    }
}
