//! Many codes of one offer, made part by part by a job: a process may die anywhere, and whoever goes on makes none too many.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::domain::ids::{BrandId, CouponId, JobId, OfferId};
use crate::domain::job::{JobKind, JobState, Tally};
use crate::domain::rows::Layout;
use crate::service::coupons::{check_time, end_of, fresh};
use crate::service::loyalty::rules;
use crate::service::once::{self, Once, Reply};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::coupons::{self, Coupon};
use crate::store::jobs::{self, Advance, Defaults, Job};
use crate::store::offers::{self, OfferState};

/// Codes of one batch at most.
pub const CODES_MAX: i64 = 5_000_000;

/// Batches of a brand that may be under way.
const RUNNING_MAX: i64 = 5;

/// Codes of one transaction: tills wait no longer for it than for one another.
const PART: i64 = 250;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch {
    pub offer: OfferId,
    pub count: i64,
    pub starts_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a job that makes them. `answer` writes the job down for whoever asked.
pub async fn start(
    app: &App,
    brand: BrandId,
    new: NewBatch,
    once: &Once,
    answer: impl FnOnce(&Job) -> Vec<u8>,
) -> Result<Reply, Problem> {
    if !(1..=CODES_MAX).contains(&new.count) {
        return Err(Problem::invalid("/count", format!("must be 1 to {CODES_MAX}")));
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    if let Some(reply) = once::begin(&mut tx.conn(), brand, Some(once), now).await? {
        return Ok(reply);
    }
    if jobs::count_batches(&mut tx.conn(), brand).await? >= RUNNING_MAX {
        return Err(Problem::Busy);
    }
    for (pointer, at) in [("/starts_at", new.starts_at), ("/expires_at", new.expires_at)] {
        check_time(pointer, at)?;
    }
    let offer = offers::find(&mut tx.conn(), brand, new.offer).await?;
    let offer = offer.ok_or_else(|| Problem::invalid("/offer_id", "there is no offer with this id"))?;
    if offer.state == OfferState::Ended {
        return Err(Problem::invalid("/offer_id", "the offer has ended"));
    }
    let ready = rules::current(app, &mut tx.conn(), brand, offer.program_id).await?;
    let read = ready.read_offer(&offer)?;
    let defaults = Defaults {
        offer: Some(offer.id),
        starts_at: new.starts_at,
        expires_at: new.expires_at.or_else(|| end_of(&read, ready.zone, now)),
        is_offline: read.is_offline,
        ..Defaults::default()
    };
    let job = Job {
        id: JobId::new(app.clock.new_id()),
        kind: JobKind::IssueCoupons,
        state: JobState::Running,
        spool: String::new(),
        layout: Layout::Ndjson,
        defaults,
        size_bytes: new.count,
        offset_bytes: 0,
        next_line: 1,
        tally: Tally::default(),
        reason: None,
        lease_no: 0,
        created_at: now,
        updated_at: now,
    };
    jobs::insert(&mut tx.conn(), brand, &job).await?;
    let about = About { subject: job.id.uuid(), ..About::default() };
    let data = json!({ "job_id": job.id, "kind": job.kind, "offer_id": offer.id, "count": new.count });
    timeline::record(app, &mut tx.conn(), brand, "job.started", about, data).await?;
    let reply = once::end(&mut tx.conn(), brand, Some(once), 202, answer(&job)).await?;
    tx.commit().await?;
    app.imported.notify_one();
    Ok(reply)
}

/// Makes the next part. `None`: the job is another's now, or was stopped; `true`: it was the last.
pub(super) async fn make_part(app: &App, brand: BrandId, job: &mut Job) -> Result<Option<bool>, Problem> {
    let offer = job.defaults.offer.ok_or_else(|| Problem::internal(format!("jobs {}: names no offer", job.id)))?;
    let count = PART.min(job.size_bytes - job.offset_bytes);
    let (starts_at, expires_at) = (job.defaults.starts_at, job.defaults.expires_at);
    let is_offline = job.defaults.is_offline;
    let one = |_| Coupon { batch_id: Some(job.id), is_offline, ..fresh(app, offer, starts_at, expires_at) };
    let made: Vec<Coupon> = (0..count).map(one).collect();
    let now = app.clock.now();
    let mut tally = job.tally;
    tally.created += count;
    let offset = job.offset_bytes + count;
    let is_over = offset >= job.size_bytes;
    let lease_until = now + super::imports::lease(app);
    let to = Advance { offset_bytes: offset, next_line: offset + 1, tally, is_over, lease_until };
    let mut tx = app.db.begin().await?;
    if !jobs::advance(&mut tx.conn(), brand, job, &to, now).await? {
        return Ok(None);
    }
    // None of them was ever made: 96 bits of chance, and 65.
    if coupons::insert(&mut tx.conn(), brand, &made).await? != count.unsigned_abs() {
        return Err(Problem::Busy);
    }
    if is_over {
        let about = About { subject: job.id.uuid(), ..About::default() };
        let data = json!({ "job_id": job.id, "kind": job.kind });
        timeline::record(app, &mut tx.conn(), brand, "job.finished", about, data).await?;
    }
    tx.commit().await?;
    metrics::counter!("passarela_coupons_issued_total").increment(count.unsigned_abs());
    (job.offset_bytes, job.next_line, job.tally) = (to.offset_bytes, to.next_line, tally);
    Ok(Some(is_over))
}

/// Which coupons an export is of.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    Offer(OfferId),
    Batch(JobId),
}

/// A page of them, in order of their ids.
pub async fn list(
    app: &App,
    brand: BrandId,
    of: Of,
    after: Option<CouponId>,
    limit: i64,
) -> Result<Vec<Coupon>, Problem> {
    let mut reader = app.db.read().await?;
    Ok(match of {
        Of::Offer(offer) => coupons::list(&mut reader.conn(), brand, offer, after, limit).await?,
        Of::Batch(batch) => coupons::list_batch(&mut reader.conn(), brand, batch, after, limit).await?,
    })
}
