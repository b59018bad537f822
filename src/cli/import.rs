//! `passarela import`: files of lines, worked on here until they are done, or by a service that runs beside.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;

use super::admin::{brand_of, open, parse};
use super::{Failure, Output};
use crate::config::Config;
use crate::domain::ids::{BrandId, ProgramId};
use crate::domain::job::{JobKind, JobState, LineOutcome};
use crate::domain::rows::RowFormat;
use crate::http::imports::FORMS;
use crate::http::jobs::{results_page, results_table};
use crate::service::imports::spool::Piece;
use crate::service::imports::{self, Wanted};
use crate::service::issue_pass::TemplateRef;
use crate::service::{App, Problem};
use crate::store::jobs::Job;

#[derive(Debug, Subcommand)]
pub enum Import {
    /// Issue passes, or bring those up to date that have a line's external_id (docs/importing.md).
    Passes {
        /// The template of lines that name none: its name or id.
        #[arg(long)]
        template: Option<String>,
        /// The program of lines that name none.
        #[arg(long, value_parser = parse::<ProgramId>)]
        program: Option<ProgramId>,
        #[command(flatten)]
        source: Source,
    },
    /// Create customers, or bring those up to date that are known by a line's identifiers.
    Customers {
        #[command(flatten)]
        source: Source,
    },
    /// Record purchases of the past; they earn nothing, unless a line says so.
    Orders {
        #[command(flatten)]
        source: Source,
    },
    /// Put what customers have in another system into their wallets.
    Balances {
        /// The program of lines that name none.
        #[arg(long, value_parser = parse::<ProgramId>)]
        program: Option<ProgramId>,
        #[command(flatten)]
        source: Source,
    },
    /// Issue coupons, with the codes that they have already or ours.
    Coupons {
        #[command(flatten)]
        source: Source,
    },
    /// Take what tills redeemed while they were offline.
    Redemptions {
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Debug, Args)]
pub struct Source {
    /// The brand's code.
    #[arg(long)]
    brand: String,
    /// A .csv or .ndjson file; - reads the standard input.
    file: PathBuf,
    /// csv or ndjson; by the file's name if absent.
    #[arg(long, value_parser = parse::<RowFormat>)]
    format: Option<RowFormat>,
    /// Where to write what became of each line: a .csv or .ndjson file.
    #[arg(long, value_name = "OUT")]
    results: Option<PathBuf>,
}

/// How long a job of somebody else's is left before it is looked at again.
const POLL: Duration = Duration::from_millis(300);

/// Refused lines that are shown.
const SHOWN_MAX: usize = 10;

impl Import {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let (kind, template, program, source) = match self {
            Self::Passes { template, program, source } => (JobKind::ImportPasses, template, program, source),
            Self::Customers { source } => (JobKind::ImportCustomers, None, None, source),
            Self::Orders { source } => (JobKind::ImportOrders, None, None, source),
            Self::Balances { program, source } => (JobKind::ImportBalances, None, program, source),
            Self::Coupons { source } => (JobKind::ImportCoupons, None, None, source),
            Self::Redemptions { source } => (JobKind::ImportRedemptions, None, None, source),
        };
        let format = match source.format {
            Some(format) => format,
            None => format_of(&source.file)?,
        };
        let results_format = source.results.as_deref().map(format_of).transpose()?;
        let app = open(config).await?;
        let brand = brand_of(&app, &source.brand).await?.id;
        let template = template.map(TemplateRef::parse);
        let wanted = Wanted { kind, format, template, program, store: None, terminal: None };
        let job = take(&app, brand, wanted, source.file).await?;
        let job = work(&app, brand, job, output).await?;
        if let (Some(out), Some(format)) = (&source.results, results_format) {
            write_results(&app, brand, &job, out, format).await?;
        }
        let tally = job.tally;
        output.print(
            &json!({ "job_id": job.id, "state": job.state, "reason": job.reason, "lines": tally.total(),
                "created": tally.created, "changed": tally.changed, "unchanged": tally.unchanged, "refused": tally.refused }),
            || {
                format!(
                    "{}: {} lines, {} created, {} changed, {} unchanged, {} refused",
                    job.state, tally.total(), tally.created, tally.changed, tally.unchanged, tally.refused
                )
            },
        );
        if tally.refused > 0 && !output.json {
            show_refused(&app, brand, &job).await?;
        }
        match job.state {
            JobState::Finished if tally.refused == 0 => Ok(()),
            JobState::Finished => Err(Failure::No(format!("{} lines were refused", tally.refused))),
            _ => Err(Failure::No(format!("{} is {}", job.id, job.state))),
        }
    }
}

pub(super) fn format_of(file: &Path) -> Result<RowFormat, Failure> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(RowFormat::Csv),
        Some("ndjson" | "jsonl") => Ok(RowFormat::Ndjson),
        _ => Err(Failure::Usage(format!("{}: neither .csv nor .ndjson; say --format", file.display()))),
    }
}

/// Bytes that are handed on at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Spools the file.
async fn take(app: &App, brand: BrandId, wanted: Wanted, path: PathBuf) -> Result<Job, Failure> {
    let (sender, pieces) = mpsc::channel(4);
    let shown = path.display().to_string();
    let feeding = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut from: Box<dyn Read> =
            if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(&path)?) };
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let length = from.read(&mut piece)?;
            piece.truncate(length);
            let piece = if length == 0 { Piece::End } else { Piece::Bytes(Bytes::from(piece)) };
            if sender.blocking_send(piece).is_err() || length == 0 {
                return Ok(());
            }
        }
    });
    let taken = app.run(async move |app| imports::receive(&app, brand, wanted, FORMS, pieces).await).await;
    let fed = feeding.await.map_err(|error| Failure::Trouble(error.to_string()))?;
    fed.map_err(|error| Failure::Trouble(format!("{shown}: {error}")))?;
    Ok(taken?)
}

/// Works on the job until it is over; a service beside may have taken it.
async fn work(app: &App, brand: BrandId, mut job: Job, output: Output) -> Result<Job, Failure> {
    let bar =
        if output.json { ProgressBar::hidden() } else { ProgressBar::new(u64::try_from(job.size_bytes).unwrap_or(0)) };
    let style = ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {elapsed} ({eta} to go)");
    bar.set_style(style.map_err(|error| Failure::Trouble(error.to_string()))?);
    while job.state == JobState::Running {
        let turn = app.run(async move |app| imports::take_turn(&app, brand, FORMS).await).await;
        match turn {
            Ok(true) => {}
            Ok(false) | Err(Problem::Busy | Problem::Unavailable(_)) => tokio::time::sleep(POLL).await,
            Err(problem) => return Err(problem.into()),
        }
        job = imports::read(app, brand, job.id).await?;
        bar.set_position(u64::try_from(job.offset_bytes).unwrap_or(0));
        let waits = job.reason.as_deref().map(|reason| format!(", waits: {reason}")).unwrap_or_default();
        bar.set_message(format!("{} lines, {} refused{waits}", job.tally.total(), job.tally.refused));
    }
    bar.finish_and_clear();
    Ok(job)
}

async fn write_results(app: &App, brand: BrandId, job: &Job, out: &Path, format: RowFormat) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Trouble(format!("{}: {error}", out.display()));
    let table = results_table(format);
    let mut file = io::BufWriter::new(super::private_file(out).map_err(failed)?);
    file.write_all(&table.head()).map_err(failed)?;
    let mut at = Some(0);
    while let Some(after) = at {
        let (rows, next) = results_page(app, brand, job.id, table, None, after).await?;
        file.write_all(&rows).map_err(failed)?;
        at = next;
    }
    file.flush().map_err(failed)
}

async fn show_refused(app: &App, brand: BrandId, job: &Job) -> Result<(), Failure> {
    let (mut after, mut shown) = (0, 0);
    while let Some((outcomes, next)) = imports::list_outcomes(app, brand, job.id, after).await? {
        after = next;
        for outcome in outcomes.iter().filter(|outcome| outcome.outcome == LineOutcome::Refused) {
            let place = outcome.pointer.as_deref().map(|pointer| format!(" {pointer}:")).unwrap_or_default();
            eprintln!("line {}:{place} {}", outcome.line, outcome.detail.as_deref().unwrap_or_default());
            shown += 1;
            if shown == SHOWN_MAX {
                eprintln!("…; --results OUT writes what became of each line");
                return Ok(());
            }
        }
    }
    Ok(())
}
