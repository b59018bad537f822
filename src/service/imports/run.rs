//! Works on a job: a part of its lines is planned while the part before is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::domain::ids::BrandId;
use crate::domain::job::{JobKind, JobState, Tally};
use crate::domain::rollout::WAITING_MAX;
use crate::domain::rows::{End, Row};
use crate::service::imports::spool::{self, Source};
use crate::service::imports::{Forms, Line, Names, Outcome, PART_MAX, calls, customers, pack, passes, record};
use crate::service::{App, Problem, coupon_batches};
use crate::store::brands::{self, Brand};
use crate::store::imports;
use crate::store::jobs::{self, Advance, Job};

/// How long one job is worked on before the next has its turn.
const TURN: Duration = Duration::from_secs(2);

/// How often a part is planned anew because others changed what it is about.
const ATTEMPTS: usize = 5;

/// The brand after `after` with a job that this process may work on.
pub async fn next_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    // Jobs without a file are anybody's.
    let spool = spool::find_name(app)?.unwrap_or_default();
    Ok(jobs::next_due_brand(&mut app.db.read().await?.conn(), after, &spool, app.clock.now()).await?)
}

/// Works on one of the brand's jobs for a while; `false`: there is none to work on.
pub async fn take_turn(app: &App, brand: BrandId, forms: Forms) -> Result<bool, Problem> {
    let spool = spool::find_name(app)?.unwrap_or_default();
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let claimed = jobs::claim(&mut tx.conn(), brand, &spool, now, now + lease(app)).await?;
    tx.commit().await?;
    let Some(mut job) = claimed else { return Ok(false) };
    let brand = brands::load(&mut app.db.read().await?.conn(), brand).await?;
    if job.kind == JobKind::IssueCoupons {
        return make_coupons(app, &brand, job).await.map(|()| true);
    }
    let source = match Source::open(app, job.id) {
        Ok(source) => Arc::new(source),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fail(app, &brand, &job, "the file is gone").await.map(|()| true);
        }
        // Another user's, too many open files: it is there.
        Err(error) => {
            let until = app.clock.now() + TimeDelta::seconds(30);
            let reason = format!("the file cannot be read: {error}");
            tracing::warn!(job.id = %job.id, "{} waits: {reason}", job.id);
            let mut tx = app.db.begin().await?;
            jobs::release(&mut tx.conn(), brand.id, &job, until, Some(&reason)).await?;
            tx.commit().await?;
            return Ok(true);
        }
    };
    let turn = match job.kind {
        JobKind::ImportPasses | JobKind::ImportCustomers => work(app, &brand, forms, &mut job, &source).await,
        JobKind::ImportOrders
        | JobKind::ImportBalances
        | JobKind::ImportCoupons
        | JobKind::ImportRedemptions
        | JobKind::IssueCoupons => work_calls(app, &brand, forms, &mut job, &source).await,
    };
    let until = match turn {
        Ok(Turn::Over | Turn::Lost) => return Ok(true),
        Ok(Turn::More) => (app.clock.now(), None),
        Ok(Turn::Full) => (app.clock.now() + TimeDelta::milliseconds(200), None),
        Err(problem) => {
            let wait = if matches!(problem, Problem::NoSigner { .. } | Problem::StorageFull(_)) { 30 } else { 2 };
            tracing::warn!(job.id = %job.id, "{} waits: {problem}", job.id);
            (app.clock.now() + TimeDelta::seconds(wait), Some(problem.to_string()))
        }
    };
    let mut tx = app.db.begin().await?;
    jobs::release(&mut tx.conn(), brand.id, &job, until.0, until.1.as_deref()).await?;
    tx.commit().await?;
    Ok(true)
}

pub(in crate::service) fn lease(app: &App) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(app.config.delivery.lease_secs).unwrap_or(30))
}

/// Makes codes for a while.
async fn make_coupons(app: &App, brand: &Brand, mut job: Job) -> Result<(), Problem> {
    let begun = Instant::now();
    loop {
        let (until, reason) = match coupon_batches::make_part(app, brand.id, &mut job).await {
            Ok(None | Some(true)) => return Ok(()),
            Ok(Some(false)) if begun.elapsed() < TURN => continue,
            Ok(Some(false)) => (app.clock.now(), None),
            Err(problem) => {
                tracing::warn!(job.id = %job.id, "{} waits: {problem}", job.id);
                (app.clock.now() + TimeDelta::seconds(2), Some(problem.to_string()))
            }
        };
        let mut tx = app.db.begin().await?;
        jobs::release(&mut tx.conn(), brand.id, &job, until, reason.as_deref()).await?;
        return Ok(tx.commit().await?);
    }
}

/// Does lines that each are a request.
async fn work_calls(
    app: &App,
    brand: &Brand,
    forms: Forms,
    job: &mut Job,
    source: &Arc<Source>,
) -> Result<Turn, Problem> {
    let begun = Instant::now();
    let mut care = Care::default();
    loop {
        let at = Cursor { offset_bytes: job.offset_bytes, next_line: job.next_line };
        let part = match care.broken.take() {
            Some(problem) => refused_whole(source, job, at, forms, &problem)?,
            None => match make_part(app, brand, forms, job, source, at, care.lines()).await {
                Err(problem) => {
                    care.take(problem, at)?;
                    continue;
                }
                Ok(part) => part,
            },
        };
        let (end, is_over) = (part.end, part.is_over);
        let (Written::Done, tally) = write(app, brand, job, part).await? else { return Ok(Turn::Lost) };
        care.relax();
        metrics::counter!("passarela_import_lines_total").increment((tally.total() - job.tally.total()).unsigned_abs());
        (job.offset_bytes, job.next_line, job.tally) = (end.offset_bytes, end.next_line, tally);
        if is_over {
            spool::remove(app, job.id).await;
            return Ok(Turn::Over);
        }
        if begun.elapsed() >= TURN {
            return Ok(Turn::More);
        }
    }
}

/// Reads, parses and does the next lines.
async fn make_part(
    app: &App,
    brand: &Brand,
    forms: Forms,
    job: &Job,
    source: &Arc<Source>,
    at: Cursor,
    size: usize,
) -> Result<Part, Problem> {
    let (lines, window) = read_lines(forms, job, source, at, size).await?;
    let (begun, count) = (Instant::now(), lines.len());
    // The lease is renewed with every part: a slow one is cut short.
    let enough = lease(app).to_std().unwrap_or_default() / 3;
    let mut outcomes = Vec::with_capacity(count);
    for (number, line) in lines {
        let call = line.and_then(|line| match line {
            Line::Call(call) => Ok(call),
            Line::Pass(_) | Line::Customer(_) => Err(Problem::internal("a line of another kind")),
        });
        match calls::make(app, brand, forms, &job.defaults, (number, call)).await {
            Ok(outcome) => outcomes.push(outcome),
            // What was done is kept; the trouble is met again at the beginning of the next part.
            Err(problem) if outcomes.is_empty() => return Err(problem),
            Err(_) => break,
        }
        if begun.elapsed() >= enough {
            break;
        }
    }
    let is_whole = outcomes.len() >= count;
    let end = if is_whole { window.taken.end } else { window.taken.end_of(outcomes.len()) };
    let (end, is_over) = (at.after(end)?, is_whole && window.is_over);
    Ok(Part { begin: at, end, is_over, outcomes, plan: Plan::Nothing, names: Names::default() })
}

async fn fail(app: &App, brand: &Brand, job: &Job, reason: &str) -> Result<(), Problem> {
    tracing::error!(job.id = %job.id, "{} failed: {reason}", job.id);
    let mut tx = app.db.begin().await?;
    if jobs::end(&mut tx.conn(), brand.id, job.id, JobState::Failed, Some(reason), app.clock.now()).await? {
        record(app, &mut tx.conn(), brand.id, "job.failed", job).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// How a turn ended.
enum Turn {
    /// Every line is done.
    Over,
    More,
    /// Enough passes wait to be published.
    Full,
    /// The job is another's now, or was stopped.
    Lost,
}

/// A place in the file.
#[derive(Clone, Copy)]
struct Cursor {
    offset_bytes: i64,
    next_line: i64,
}

/// Lines that are done together.
struct Part {
    begin: Cursor,
    end: Cursor,
    is_over: bool,
    outcomes: Vec<Outcome>,
    plan: Plan,
    /// Everything that its lines are about.
    names: Names,
}

enum Plan {
    Passes(passes::Plan),
    Customers(customers::Plan),
    /// Nothing is left to write: refusals, and lines that were done one by one.
    Nothing,
}

impl Plan {
    fn has_changes(&self) -> bool {
        match self {
            Self::Passes(plan) => plan.has_changes(),
            Self::Customers(plan) => plan.has_changes(),
            Self::Nothing => false,
        }
    }
}

/// What became of writing a part.
enum Written {
    Done,
    /// What it was planned from has changed.
    Stale,
    Lost,
}

async fn work(app: &App, brand: &Brand, forms: Forms, job: &mut Job, source: &Arc<Source>) -> Result<Turn, Problem> {
    let begun = Instant::now();
    let (mut attempts, mut care) = (0, Care::default());
    let mut ready: Option<Part> = None;
    loop {
        let at = Cursor { offset_bytes: job.offset_bytes, next_line: job.next_line };
        let broken = care.broken.take();
        let is_refusal = broken.is_some();
        let part = match (broken, ready.take()) {
            (Some(problem), _) => refused_whole(source, job, at, forms, &problem)?,
            (None, Some(part)) => part,
            (None, None) => match plan_part(app, brand, forms, job, source, at, care.lines()).await {
                Err(problem) => {
                    care.take(problem, at)?;
                    continue;
                }
                Ok(part) => part,
            },
        };
        if part.plan.has_changes() {
            let waiting = imports::count_waiting(&mut app.db.read().await?.conn(), brand.id, WAITING_MAX).await?;
            if waiting >= WAITING_MAX {
                return Ok(Turn::Full);
            }
        }
        let (end, is_over, names) = (part.end, part.is_over, part.names.clone());
        let is_last_turn = begun.elapsed() >= TURN;
        let next = async {
            if is_over || is_last_turn || care.lines() < PART_MAX {
                return None;
            }
            Some(plan_part(app, brand, forms, job, source, end, PART_MAX).await)
        };
        let (written, next) = tokio::join!(write(app, brand, job, part), next);
        match written {
            Ok((Written::Done, tally)) => {
                attempts = 0;
                care.relax();
                let done = tally.total() - job.tally.total();
                metrics::counter!("passarela_import_lines_total").increment(done.unsigned_abs());
                (job.offset_bytes, job.next_line, job.tally) = (end.offset_bytes, end.next_line, tally);
                if is_over {
                    spool::remove(app, job.id).await;
                    return Ok(Turn::Over);
                }
                if is_last_turn {
                    return Ok(Turn::More);
                }
                // One that could not be planned is planned again, where its trouble is dealt with; and so is one that was
                // planned beside the writing of what it is about.
                ready = next.and_then(Result::ok).filter(|next| next.names.is_disjoint(&names));
            }
            Ok((Written::Stale, _)) | Err(Problem::Busy) if attempts < ATTEMPTS => attempts += 1,
            Ok((Written::Stale, _)) => return Err(Problem::Busy),
            Ok((Written::Lost, _)) => return Ok(Turn::Lost),
            Err(problem) if is_refusal => return Err(problem),
            Err(problem) => care.take(problem, at)?,
        }
    }
}

/// What is done about a part that breaks something of ours: its lines are done one by one, so that those that are good are
/// done, and the one that breaks it is refused.
#[derive(Default)]
struct Care {
    /// Lines that are still to be done one by one.
    left: usize,
    /// Why the next line is refused.
    broken: Option<Problem>,
}

impl Care {
    /// Lines of the next part.
    const fn lines(&self) -> usize {
        if self.left > 0 { 1 } else { PART_MAX }
    }

    /// Trouble that is not ours is given back: the job waits for its end.
    fn take(&mut self, problem: Problem, at: Cursor) -> Result<(), Problem> {
        let Problem::Internal(cause) = &problem else { return Err(problem) };
        if self.left > 0 {
            tracing::error!("line {} is refused: {cause}", at.next_line);
            self.broken = Some(problem);
        } else {
            tracing::error!("lines from {} on are done one by one: {cause}", at.next_line);
            self.left = PART_MAX;
        }
        Ok(())
    }

    /// A part is done.
    const fn relax(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

/// Lines with their numbers, as their job's kind reads them.
type Lines = Vec<(i64, Result<Line, Problem>)>;

/// Reads and parses the next lines.
async fn read_lines(
    forms: Forms,
    job: &Job,
    source: &Arc<Source>,
    at: Cursor,
    size: usize,
) -> Result<(Lines, spool::Window), Problem> {
    let (source, layout, kind) = (Arc::clone(source), job.layout.clone(), job.kind);
    let reading = tokio::task::spawn_blocking(move || {
        let mut window = source.read(&layout, at.offset_bytes, at.next_line, size).map_err(Problem::internal)?;
        let rows = std::mem::take(&mut window.taken.rows);
        let parse = |row: Row| {
            let read = row.value.map_err(|error| Problem::BadLine { detail: error.to_string() });
            (row.line, read.and_then(|value| (forms.parse)(kind, value)))
        };
        Ok::<_, Problem>((rows.into_iter().map(parse).collect::<Lines>(), window))
    });
    reading.await.map_err(Problem::internal)?
}

/// Reads, parses and plans the next lines.
async fn plan_part(
    app: &App,
    brand: &Brand,
    forms: Forms,
    job: &Job,
    source: &Arc<Source>,
    at: Cursor,
    size: usize,
) -> Result<Part, Problem> {
    let (lines, window) = read_lines(forms, job, source, at, size).await?;
    let count = lines.len();
    let (outcomes, plan, names) = match job.kind {
        _ if lines.is_empty() => (Vec::new(), Plan::Nothing, Names::default()),
        JobKind::ImportPasses => {
            let of_kind = |line| match line {
                Line::Pass(line) => Ok(*line),
                Line::Customer(_) | Line::Call(_) => Err(Problem::internal("a line of another kind")),
            };
            let lines = lines.into_iter().map(|(number, line)| (number, line.and_then(of_kind))).collect();
            let (outcomes, plan, names) = passes::plan(app, brand, forms, &job.defaults, lines).await?;
            (outcomes, Plan::Passes(plan), names)
        }
        JobKind::ImportCustomers => {
            let of_kind = |line| match line {
                Line::Customer(line) => Ok(line),
                Line::Pass(_) | Line::Call(_) => Err(Problem::internal("a line of another kind")),
            };
            let lines = lines.into_iter().map(|(number, line)| (number, line.and_then(of_kind))).collect();
            let (outcomes, plan, names) = customers::plan(app, brand, forms, lines).await?;
            (outcomes, Plan::Customers(plan), names)
        }
        JobKind::ImportOrders
        | JobKind::ImportBalances
        | JobKind::ImportCoupons
        | JobKind::ImportRedemptions
        | JobKind::IssueCoupons => return Err(Problem::internal(format!("{} is not planned", job.kind))),
    };
    let is_whole = outcomes.len() >= count;
    let end = if is_whole { window.taken.end } else { window.taken.end_of(outcomes.len()) };
    Ok(Part { begin: at, end: at.after(end)?, is_over: is_whole && window.is_over, outcomes, plan, names })
}

impl Cursor {
    fn after(self, end: End) -> Result<Self, Problem> {
        let bytes = i64::try_from(end.bytes).map_err(Problem::internal)?;
        Ok(Self { offset_bytes: self.offset_bytes + bytes, next_line: self.next_line + end.lines })
    }
}

/// A part of one line that is refused because it broke something of ours: it must not stop those behind it.
fn refused_whole(source: &Source, job: &Job, at: Cursor, forms: Forms, problem: &Problem) -> Result<Part, Problem> {
    let window = source.read(&job.layout, at.offset_bytes, at.next_line, 1).map_err(Problem::internal)?;
    let outcomes =
        window.taken.rows.iter().map(|row| Outcome::refused(row.line, problem, (forms.code)(problem))).collect();
    let end = at.after(window.taken.end)?;
    Ok(Part { begin: at, end, is_over: window.is_over, outcomes, plan: Plan::Nothing, names: Names::default() })
}

/// One transaction: the lines, what became of them, and how far the job is.
async fn write(app: &App, brand: &Brand, job: &Job, mut part: Part) -> Result<(Written, Tally), Problem> {
    let now = app.clock.now();
    let mut tally = job.tally;
    for outcome in &part.outcomes {
        tally.count(outcome.outcome);
    }
    let packed = pack(&part.outcomes)?;
    let to = Advance {
        offset_bytes: part.end.offset_bytes,
        next_line: part.end.next_line,
        tally,
        is_over: part.is_over,
        lease_until: now + lease(app),
    };
    let mut tx = app.db.begin().await?;
    if !jobs::advance(&mut tx.conn(), brand.id, job, &to, now).await? {
        return Ok((Written::Lost, tally));
    }
    let is_good = match &mut part.plan {
        Plan::Passes(plan) => passes::write(app, &mut tx.conn(), brand, plan).await?,
        Plan::Customers(plan) => customers::write(app, &mut tx.conn(), brand, plan).await?,
        Plan::Nothing => true,
    };
    if !is_good {
        return Ok((Written::Stale, tally));
    }
    if !part.outcomes.is_empty() {
        jobs::insert_outcomes(&mut tx.conn(), brand.id, job.id, part.begin.next_line, &packed).await?;
    }
    if part.is_over {
        record(app, &mut tx.conn(), brand.id, "job.finished", job).await?;
    }
    tx.commit().await?;
    if part.plan.has_changes() {
        app.changed.notify_one();
    }
    Ok((Written::Done, tally))
}
