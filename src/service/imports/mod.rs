//! Imports: files of lines, each of them what one request would say, worked off part by part.
//!
//! A file is spooled to disk and becomes a job. What is made of a part of its lines, what became of each, and how far the
//! job is are one transaction: a process may die anywhere, and whoever goes on does no line twice.

mod calls;
mod customers;
mod passes;
mod people;
mod run;
pub mod spool;

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, JobId, PassId, ProgramId, StoreId, TemplateId};
use crate::domain::job::{JobKind, JobState, LineOutcome, Tally};
use crate::domain::rows::{BadHeader, End, Known, Layout, RowFormat};
use crate::domain::secret::Personal;
use crate::service::customers::{Details, Selector};
use crate::service::issue_pass::TemplateRef;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::imports;
use crate::store::jobs::{self, Defaults, Job};

pub use calls::Call;
pub(super) use run::lease;
pub use run::{next_brand, take_turn};

/// Lines of one transaction at most. Each makes up to seven rows (customer, identifier, membership, pass, content, two
/// events), and a transaction is to touch no more than 500.
const PART_MAX: usize = 70;

/// Rows of one transaction.
const ROWS_MAX: usize = 500;

/// What lines are about: external ids, identifiers, customers, serials. Two that share one must follow each other.
type Names = HashSet<Vec<u8>>;

/// A line of an import of passes: an order that must have an `external_id`.
#[derive(Debug, Clone)]
pub struct PassLine {
    /// `None`: the job's default.
    pub template: Option<TemplateRef>,
    pub program: Option<ProgramId>,
    pub customer: Selector,
    pub details: Details,
    pub external_id: String,
    pub data: Personal<Map<String, Value>>,
    pub hash: [u8; 32],
    /// Of a pass that another vendor made: phones have it under this serial, and show this token.
    pub serial: Option<String>,
    pub token_hash: Option<[u8; 32]>,
    /// Since when the customer is a member, where this makes them one.
    pub member_since: Option<DateTime<Utc>>,
}

/// A line of an import of customers: who, known by what.
#[derive(Debug, Clone)]
pub struct CustomerLine {
    pub details: Details,
    /// The first that no two customers may share finds the customer; the others are added.
    pub identifiers: Vec<(IdentifierKind, Personal<String>)>,
}

/// A line as its job's kind reads it.
#[derive(Debug, Clone)]
pub enum Line {
    Pass(Box<PassLine>),
    Customer(CustomerLine),
    Call(Call),
}

/// What the doors know of lines: which columns a file may have, and what a line says. Lines are bodies of requests, and
/// services know no bodies.
#[derive(Debug, Clone, Copy)]
pub struct Forms {
    pub columns: fn(JobKind) -> &'static [Known],
    pub parse: fn(JobKind, Value) -> Result<Line, Problem>,
    /// The stable code of a problem.
    pub code: fn(&Problem) -> &'static str,
}

/// What is asked for with a file.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub kind: JobKind,
    pub format: RowFormat,
    /// For lines that name none.
    pub template: Option<TemplateRef>,
    pub program: Option<ProgramId>,
    /// Of a till that sends a file: where it stands.
    pub store: Option<StoreId>,
    pub terminal: Option<String>,
}

/// Jobs of a brand that may run, or wait for their turn: each has a file.
const RUNNING_MAX: i64 = 20;

/// Files that a brand may send at the same time: each takes a thread, and a slow one for long.
const RECEIVING_MAX: usize = 3;

/// One of them.
struct Receiving<'a>(&'a App, BrandId);

impl<'a> Receiving<'a> {
    fn begin(app: &'a App, brand: BrandId) -> Result<Self, Problem> {
        let mut receiving = app.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        let count = receiving.entry(brand).or_default();
        if *count >= RECEIVING_MAX {
            return Err(Problem::Busy);
        }
        *count += 1;
        Ok(Self(app, brand))
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        let mut receiving = self.0.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = receiving.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                receiving.remove(&self.1);
            }
        }
    }
}

/// Takes a file as its pieces come, and makes a job of it.
pub async fn receive(
    app: &App,
    brand: BrandId,
    wanted: Wanted,
    forms: Forms,
    pieces: mpsc::Receiver<spool::Piece>,
) -> Result<Job, Problem> {
    let _turn = Receiving::begin(app, brand)?;
    let (kind, defaults) = (wanted.kind, check_defaults(app, brand, &wanted).await?);
    let receiver = app.clone();
    let check = move |head: &[u8]| check_head(forms, &wanted, head);
    let receiving = tokio::task::spawn_blocking(move || spool::receive(&receiver, pieces, check));
    let (file, head) = receiving.await.map_err(Problem::internal)??;
    start(app, brand, kind, defaults, head, file).await
}

/// Looks up what lines may leave out, so that a slip is refused before a gigabyte is sent.
async fn check_defaults(app: &App, brand: BrandId, wanted: &Wanted) -> Result<Defaults, Problem> {
    let mut reader = app.db.read().await?;
    check_room(app, &mut reader.conn(), brand, 0).await?;
    let template = match &wanted.template {
        None => None,
        Some(template) => Some(find_template(&mut reader.conn(), brand, template).await?),
    };
    if let Some(program) = wanted.program {
        let found = crate::store::programs::find(&mut reader.conn(), brand, program).await?;
        found.ok_or(Problem::NotFound { what: "program" })?;
    }
    let (store, terminal) = (wanted.store, wanted.terminal.clone());
    Ok(Defaults { template, program: wanted.program, store, terminal, ..Defaults::default() })
}

/// Whether one more file of this size may wait beside those that do. A file that waits alone is bounded by its own limit.
async fn check_room(app: &App, conn: &mut Conn<'_>, brand: BrandId, size_bytes: i64) -> Result<(), Problem> {
    let (running, waiting_bytes) = jobs::sum_running(conn, brand).await?;
    let limit_mib = app.config.imports.waiting_max_mib;
    let limit_bytes = i64::try_from(limit_mib.saturating_mul(1024 * 1024)).unwrap_or(i64::MAX);
    let is_full = running > 0 && waiting_bytes.saturating_add(size_bytes) >= limit_bytes;
    if running >= RUNNING_MAX || is_full {
        return Err(Problem::ImportsWaiting { running, limit: RUNNING_MAX, limit_mib });
    }
    Ok(())
}

async fn find_template(conn: &mut Conn<'_>, brand: BrandId, template: &TemplateRef) -> Result<TemplateId, Problem> {
    template.find(conn, brand).await?.map(|template| template.id).ok_or(Problem::NotFound { what: "template" })
}

/// How the file is laid out, and where its first line of content is; by its beginning, of [`spool::HEAD_BYTES`] at most.
fn check_head(forms: Forms, wanted: &Wanted, head: &[u8]) -> Result<(Layout, End), Problem> {
    if head.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::invalid("", BadHeader::Empty.to_string()));
    }
    match wanted.format {
        RowFormat::Ndjson => Ok((Layout::Ndjson, End::default())),
        RowFormat::Csv => Layout::of_csv(head, (forms.columns)(wanted.kind))
            .map_err(|error| Problem::invalid("", format!("line 1: {error}"))),
    }
}

/// Makes a job of a file that lies in the spool.
async fn start(
    app: &App,
    brand: BrandId,
    kind: JobKind,
    defaults: Defaults,
    (layout, begin): (Layout, End),
    file: spool::Spooled,
) -> Result<Job, Problem> {
    let now = app.clock.now();
    let job = Job {
        id: file.job,
        kind,
        state: JobState::Running,
        spool: file.spool.clone(),
        layout,
        defaults,
        size_bytes: file.size_bytes,
        offset_bytes: i64::try_from(begin.bytes).map_err(Problem::internal)?,
        next_line: 1 + begin.lines,
        tally: Tally::default(),
        reason: None,
        lease_no: 0,
        created_at: now,
        updated_at: now,
    };
    let mut tx = app.db.begin().await?;
    // Others may have come while this file was on its way.
    check_room(app, &mut tx.conn(), brand, job.size_bytes).await?;
    jobs::insert(&mut tx.conn(), brand, &job).await?;
    record(app, &mut tx.conn(), brand, "job.started", &job).await?;
    tx.commit().await?;
    file.keep();
    app.imported.notify_one();
    Ok(job)
}

pub async fn read(app: &App, brand: BrandId, job: JobId) -> Result<Job, Problem> {
    let found = jobs::find(&mut app.db.read().await?.conn(), brand, job).await?;
    found.ok_or(Problem::NotFound { what: "job" })
}

pub async fn list(app: &App, brand: BrandId, before: Option<JobId>, limit: i64) -> Result<Vec<Job>, Problem> {
    Ok(jobs::list(&mut app.db.read().await?.conn(), brand, before, limit).await?)
}

/// Stops a job. What it did stays; one that is over stays as it is.
pub async fn cancel(app: &App, brand: BrandId, job: JobId) -> Result<Job, Problem> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let is_changed = jobs::end(&mut tx.conn(), brand, job, JobState::Cancelled, None, now).await?;
    let found = jobs::find(&mut tx.conn(), brand, job).await?.ok_or(Problem::NotFound { what: "job" })?;
    if is_changed {
        record(app, &mut tx.conn(), brand, "job.cancelled", &found).await?;
        tx.commit().await?;
        spool::remove(app, found.id).await;
    }
    Ok(found)
}

/// Characters of a reason at most.
const TOLD_MAX: usize = 300;

/// What became of a line, as it is kept and told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    pub line: i64,
    pub outcome: LineOutcome,
    /// What the line made, or found: a pass, a customer, an order …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The stable code of the problem, where the line was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Outcome {
    fn of(line: i64, outcome: LineOutcome, id: impl ToString) -> Self {
        Self { line, outcome, id: Some(id.to_string()), code: None, pointer: None, detail: None }
    }

    fn refused(line: i64, problem: &Problem, code: &'static str) -> Self {
        let pointer = match problem {
            Problem::Invalid { pointer, .. } if !pointer.is_empty() => Some(pointer.clone().into_owned()),
            _ => None,
        };
        // What is kept for each of a million lines has a length.
        let short = |text: String| text.chars().take(TOLD_MAX).collect::<String>();
        let (code, detail) = (Some(code.to_owned()), Some(short(problem.to_string())));
        let pointer = pointer.map(short);
        Self { line, outcome: LineOutcome::Refused, id: None, code, pointer, detail }
    }
}

/// A line's refusal; trouble that is not the line's stays trouble.
fn refused(forms: Forms, number: i64, problem: Problem) -> Result<Outcome, Problem> {
    match problem {
        Problem::Internal(_)
        | Problem::Unavailable(_)
        | Problem::StorageFull(_)
        | Problem::Busy
        | Problem::NoSigner { .. } => Err(problem),
        problem => Ok(Outcome::refused(number, &problem, (forms.code)(&problem))),
    }
}

/// Outcomes as they are stored: lines of JSON, compressed.
fn pack(outcomes: &[Outcome]) -> Result<Vec<u8>, Problem> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    for outcome in outcomes {
        serde_json::to_writer(&mut packed, outcome).map_err(Problem::internal)?;
        packed.write_all(b"\n").map_err(Problem::internal)?;
    }
    packed.finish().map_err(Problem::internal)
}

fn unpack(packed: &[u8]) -> Result<Vec<Outcome>, Problem> {
    let lines = serde_json::Deserializer::from_reader(flate2::read::DeflateDecoder::new(packed)).into_iter();
    lines.collect::<Result<_, _>>().map_err(Problem::internal)
}

/// Parts of results that are read at once.
const RESULT_PARTS: i64 = 20;

/// What became of the next lines after `after_line`, and the line to go on after; `None`: there are no more yet.
pub async fn list_outcomes(
    app: &App,
    brand: BrandId,
    job: JobId,
    after_line: i64,
) -> Result<Option<(Vec<Outcome>, i64)>, Problem> {
    let parts = jobs::list_outcomes(&mut app.db.read().await?.conn(), brand, job, after_line, RESULT_PARTS).await?;
    let Some((last, _)) = parts.last() else { return Ok(None) };
    let last = *last;
    let mut outcomes = Vec::new();
    for (_, packed) in &parts {
        outcomes.extend(unpack(packed)?);
    }
    Ok(Some((outcomes, last)))
}

/// Removes the files of these jobs, but for those that are under way.
pub async fn remove_old(app: &App, mut files: Vec<JobId>) -> Result<(), Problem> {
    for brand in crate::service::sweep::list_brands(app).await? {
        for some in files.clone().chunks(500) {
            let running = jobs::list_running(&mut app.db.read().await?.conn(), brand.id, some).await?;
            files.retain(|job| !running.contains(job));
        }
    }
    for job in files {
        spool::remove(app, job).await;
    }
    Ok(())
}

/// What results tell of passes beside their ids.
pub async fn find_made(app: &App, brand: BrandId, outcomes: &[Outcome]) -> Result<Vec<imports::Made>, Problem> {
    let passes: Vec<PassId> = outcomes.iter().filter_map(|outcome| outcome.id.as_ref()?.parse().ok()).collect();
    let mut found = Vec::with_capacity(passes.len());
    for some in passes.chunks(500) {
        found.extend(imports::find_made(&mut app.db.read().await?.conn(), brand, some).await?);
    }
    Ok(found)
}

/// Rows that one transaction forgets.
const FORGET_BATCH: i64 = 200;

/// Forgets what became of the lines of old jobs.
pub async fn forget(app: &App, brand: BrandId) -> Result<(), Problem> {
    let days = i64::try_from(app.config.imports.keep_days).unwrap_or(30);
    let before = app.clock.now() - TimeDelta::days(days);
    loop {
        let mut tx = app.db.begin().await?;
        let forgotten = jobs::forget_outcomes(&mut tx.conn(), brand, before, FORGET_BATCH).await?;
        tx.commit().await?;
        if forgotten < FORGET_BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}

async fn record(app: &App, conn: &mut Conn<'_>, brand: BrandId, kind: &'static str, job: &Job) -> Result<(), Problem> {
    let about = About { subject: job.id.uuid(), ..About::default() };
    timeline::record(app, conn, brand, kind, about, json!({ "job_id": job.id, "kind": job.kind })).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_kept_whole() {
        let outcomes = [
            Outcome::of(2, LineOutcome::Created, "pas_1"),
            Outcome::refused(3, &Problem::invalid("/customer/cpf", "is not a CPF"), "invalid"),
        ];
        assert_eq!(unpack(&pack(&outcomes).unwrap()).unwrap(), outcomes);
    }
}
