//! The guarantee behind the fast path: compares what every device was told with what is published, and queues the
//! difference, whatever lost it.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::delivery::Channel;
use crate::domain::ids::BrandId;
use crate::domain::notice::AppService;
use crate::domain::pass::Lane;
use crate::service::deliver::schedule;
use crate::service::notices::channel;
use crate::service::till::quote;
use crate::service::{App, Problem, coupon_passes};
use crate::store::brands::{self, Brand};
use crate::store::{google, idempotency, logs, notices, outbox, publication, redemptions};

/// Rows of one transaction at most.
const BATCH: i64 = 500;

/// Device messages kept for each brand.
const LOGS_KEPT: i64 = 5_000;

/// How long the answer to an `Idempotency-Key`, and a refusal at the till, is kept at least.
const KEYS_KEPT: TimeDelta = TimeDelta::hours(72);

/// What one sweep of a brand found and mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    pub devices_queued: u64,
    /// Objects and classes at Google.
    pub objects_queued: u64,
    pub installations_queued: u64,
    /// Coupons whose passes were not made when they were issued.
    pub coupons_shown: u64,
    pub keys_forgotten: u64,
}

pub async fn list_brands(app: &App) -> Result<Vec<Brand>, Problem> {
    Ok(brands::list(&mut app.db.read().await?.conn()).await?)
}

/// Queues every device of the brand that was not told of something it holds, and tidies what is past its time.
pub async fn sweep(app: &App, of: &Brand) -> Result<Swept, Problem> {
    let brand = of.id;
    let mut swept = Swept { devices_queued: queue_forgotten(app, brand).await?, ..Swept::default() };
    swept.objects_queued = queue_forgotten_objects(app, brand).await?;
    swept.installations_queued = queue_forgotten_installations(app, brand).await?;
    swept.coupons_shown = coupon_passes::show_forgotten(app, of).await?;
    loop {
        let mut tx = app.db.begin().await?;
        let forgotten = idempotency::forget(&mut tx.conn(), brand, app.clock.now() - KEYS_KEPT, BATCH).await?;
        let refusals = redemptions::forget_refusals(&mut tx.conn(), brand, app.clock.now() - KEYS_KEPT, BATCH).await?;
        let trimmed = logs::trim(&mut tx.conn(), brand, LOGS_KEPT, BATCH).await?;
        tx.commit().await?;
        let trimmed = trimmed.max(refusals).max(quote::forget(app, brand, BATCH).await?);
        swept.keys_forgotten += forgotten;
        if forgotten.max(trimmed) < BATCH.unsigned_abs() {
            return Ok(swept);
        }
    }
}

/// What was given up after the last wait rests as long again: it is looked at if it was tried before this time.
fn parked_before(app: &App, channels: &[Channel]) -> DateTime<Utc> {
    let last_waits = channels.iter().filter_map(|channel| schedule(app, *channel).last().copied());
    let last_wait = last_waits.max().unwrap_or_default();
    app.clock.now() - TimeDelta::seconds(i64::try_from(last_wait).unwrap_or(3_600))
}

async fn queue_forgotten(app: &App, brand: BrandId) -> Result<u64, Problem> {
    let (mut queued, mut after) = (0, None);
    let now = app.clock.now();
    let parked_before = parked_before(app, &[Channel::Apns]);
    loop {
        let devices = {
            let mut reader = app.db.read().await?;
            outbox::list_forgotten(&mut reader.conn(), brand, after, parked_before, now, BATCH).await?
        };
        let Some(last) = devices.last().copied() else { return Ok(queued) };
        let rows: Vec<_> = devices.iter().map(|device| (device.uuid(), Lane::Bulk)).collect();
        queued += enqueue(app, brand, Channel::Apns, &rows).await?;
        after = Some(last);
    }
}

async fn queue_forgotten_objects(app: &App, brand: BrandId) -> Result<u64, Problem> {
    let parked_before = parked_before(app, &[Channel::Google]);
    let classes = google::list_forgotten_classes(&mut app.db.read().await?.conn(), brand, parked_before, BATCH).await?;
    let rows: Vec<_> = classes.iter().map(|class| (class.uuid(), Lane::Bulk)).collect();
    let mut queued = enqueue(app, brand, Channel::GoogleClass, &rows).await?;
    let mut after = None;
    loop {
        let passes = {
            let mut reader = app.db.read().await?;
            google::list_forgotten_objects(&mut reader.conn(), brand, after, parked_before, BATCH).await?
        };
        let Some(last) = passes.last().copied() else { return Ok(queued) };
        let rows: Vec<_> = passes.iter().map(|pass| (pass.uuid(), Lane::Bulk)).collect();
        queued += enqueue(app, brand, Channel::Google, &rows).await?;
        after = Some(last);
    }
}

async fn queue_forgotten_installations(app: &App, brand: BrandId) -> Result<u64, Problem> {
    let parked_before = parked_before(app, &[Channel::Fcm, Channel::App]);
    let (mut queued, mut after) = (0, None);
    loop {
        let found = {
            let mut reader = app.db.read().await?;
            notices::list_forgotten(&mut reader.conn(), brand, after, parked_before, BATCH).await?
        };
        let Some(last) = found.last() else { return Ok(queued) };
        after = Some(last.device);
        for service in AppService::ALL {
            let rows = found.iter().filter(|watcher| watcher.service == *service);
            let rows: Vec<_> = rows.map(|watcher| (watcher.device.uuid(), Lane::Bulk)).collect();
            queued += enqueue(app, brand, channel(*service), &rows).await?;
        }
    }
}

async fn enqueue(app: &App, brand: BrandId, channel: Channel, rows: &[(Uuid, Lane)]) -> Result<u64, Problem> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let queued = outbox::enqueue(&mut tx.conn(), brand, channel, rows, now, now).await?;
    tx.commit().await?;
    Ok(queued)
}

/// The brand after `after` with a pass whose next day has come.
pub async fn next_timed_brand(app: &App, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    let now = app.clock.now();
    Ok(publication::next_timed_brand(&mut app.db.read().await?.conn(), after, now).await?)
}

/// Marks the brand's passes to be published whose text depends on the day and whose next day has come; how many.
pub async fn touch_timed(app: &App, brand: BrandId) -> Result<u64, Problem> {
    let mut tx = app.db.begin().await?;
    let touched = publication::touch_timed(&mut tx.conn(), brand, app.clock.now(), BATCH).await?;
    tx.commit().await?;
    if touched > 0 {
        app.changed.notify_one();
    }
    Ok(touched)
}
