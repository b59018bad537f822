//! Telling what was committed: claims rows of the outbox, tells their destinations outside any transaction, and settles
//! what came of it in batches.

mod accounts;
pub mod apns;
pub mod apps;
mod calls;
mod gate;
pub mod google;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::apns::registrations;
use self::calls::{Calls, Told};
use crate::config::Config;
use crate::domain::delivery::{Channel, DeliveryState, Next, Outcome, next};
use crate::domain::ids::BrandId;
use crate::domain::notice::AppService;
use crate::domain::pass::Lane;
use crate::service::{App, Problem};
use crate::store::outbox::{self, Claim, Settled};
use crate::wallet::apple::certificates::Certificates;

/// Rows of one settlement at most.
const SETTLE_MAX: usize = 250;

/// How long a brand has the word while others wait for theirs.
const TURN: Duration = Duration::from_secs(3);

/// How often a brand whose calls are slow looks for what came meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// How long calls that are under way may take when the process is to stop. They go out again when their lease is over.
const FINISH: Duration = Duration::from_secs(4);

/// What stands between the service and the world beside HTTP: each channel, and whether it is on or why it is off.
pub fn channels(config: &Config, certificates: &Certificates, now: DateTime<Utc>) -> [(&'static str, String); 5] {
    let [mqtt] = config.channels().map(|(name, state)| (name, state.to_owned()));
    [
        ("apns", apns::state(&config.apple.apns_url, certificates, now)),
        ("google", google::state(config)),
        ("fcm", apps::firebase_state(config)),
        ("app", apps::apple_state(config, certificates, now)),
        mqtt,
    ]
}

/// Rows of one claim at most, and calls that are under way: as many as are answered within a lease.
const fn limits(channel: Channel) -> (i64, usize) {
    match channel {
        Channel::Apns | Channel::Fcm | Channel::App => (200, 500),
        // Google takes some 20 calls a second.
        Channel::GoogleClass | Channel::Google => (50, 100),
    }
}

/// The brand after `after` with something to tell on the channel.
pub async fn next_brand(app: &App, channel: Channel, after: Option<BrandId>) -> Result<Option<BrandId>, Problem> {
    let now = app.clock.now();
    Ok(outbox::next_due_brand(&mut app.db.read().await?.conn(), channel, after, now).await?)
}

/// Tells everything that a brand has due on a channel; for as long as its turn is, when others wait for theirs. How many
/// rows were claimed.
pub async fn take_turn(
    app: &App,
    channel: Channel,
    brand: BrandId,
    is_crowded: &AtomicBool,
    stop: &CancellationToken,
) -> Result<u64, Problem> {
    let is_open = match channel {
        Channel::Apns => apns::is_open(app, brand).await?,
        Channel::GoogleClass | Channel::Google => google::is_open(app, brand).await?,
        Channel::Fcm => apps::is_open(app, brand, AppService::Fcm).await?,
        Channel::App => apps::is_open(app, brand, AppService::Apns).await?,
    };
    if !is_open {
        return Ok(0);
    }
    let (claim_max, in_flight_max) = limits(channel);
    let (mut calls, mut claimed, mut is_more) = (Calls::new(), 0, true);
    let (began, mut stopped) = (Instant::now(), None);
    let mut batch = Vec::new();
    loop {
        let is_over = began.elapsed() > TURN && is_crowded.load(Ordering::Relaxed);
        let may_claim = !stop.is_cancelled() && !is_over;
        let room = in_flight_max.saturating_sub(calls.in_flight());
        let wants = is_more && may_claim && i64::try_from(room).is_ok_and(|room| room >= claim_max);
        // At the same time, each to its end: neither transaction may be dropped halfway.
        let claiming =
            async { if wants { claim_and_tell(app, channel, brand, claim_max, &mut calls).await } else { Ok(0) } };
        let (count, settled) = tokio::join!(claiming, settle(app, channel, brand, std::mem::take(&mut batch)));
        let count = count?;
        settled?;
        claimed += count;
        is_more = if wants { i64::try_from(count).is_ok_and(|count| count == claim_max) } else { is_more };
        if calls.in_flight() == 0 {
            return Ok(claimed);
        }
        if stop.is_cancelled() && stopped.get_or_insert_with(Instant::now).elapsed() > FINISH {
            return Ok(claimed);
        }
        batch = tokio::select! {
            ended = calls.ended(SETTLE_MAX) => ended,
            () = tokio::time::sleep(LOOK) => {
                is_more = true;
                Vec::new()
            }
        };
        calls.reap();
    }
}

/// Claims rows and starts their calls; how many.
async fn claim_and_tell(
    app: &App,
    channel: Channel,
    brand: BrandId,
    max: i64,
    calls: &mut Calls,
) -> Result<u64, Problem> {
    let claims = claim(app, channel, brand, max).await?;
    let count = claims.len() as u64;
    match channel {
        Channel::Apns => apns::tell(app, brand, claims, calls).await?,
        Channel::GoogleClass => google::tell_classes(app, brand, claims, calls).await?,
        Channel::Google => google::tell_objects(app, brand, claims, calls).await?,
        Channel::Fcm => apps::tell(app, brand, AppService::Fcm, claims, calls).await?,
        Channel::App => apps::tell(app, brand, AppService::Apns, claims, calls).await?,
    }
    Ok(count)
}

/// Those who wait for somebody first; roll-outs with what room is left.
async fn claim(app: &App, channel: Channel, brand: BrandId, max: i64) -> Result<Vec<Claim>, Problem> {
    let now = app.clock.now();
    let until = now + TimeDelta::seconds(i64::try_from(app.config.delivery.lease_secs).unwrap_or(30));
    let mut tx = app.db.begin().await?;
    let mut claims = outbox::claim(&mut tx.conn(), brand, channel, Lane::Interactive, now, until, max).await?;
    let room = max - i64::try_from(claims.len()).unwrap_or(max);
    if room > 0 {
        claims.extend(outbox::claim(&mut tx.conn(), brand, channel, Lane::Bulk, now, until, room).await?);
    }
    tx.commit().await?;
    Ok(claims)
}

/// Writes down what came of a batch.
async fn settle(app: &App, channel: Channel, brand: BrandId, mut batch: Vec<Told>) -> Result<(), Problem> {
    if batch.is_empty() {
        return Ok(());
    }
    let now = app.clock.now();
    let schedule = schedule(app, channel);
    registrations::remove_gone(app, brand, &mut batch).await?;
    apps::remove_gone(app, brand, &mut batch).await?;
    let mut settled: Vec<Settled> = Vec::with_capacity(batch.len());
    for one in &batch {
        count(channel, one, now);
        let next = match one.not_before {
            // Nobody was asked.
            Some(until) => Next { state: DeliveryState::Pending, due_at: until, failures: one.claim.failures },
            None => next(&one.answer.outcome, one.claim.failures, schedule, chance(app), now),
        };
        let is_told = one.answer.outcome == Outcome::Delivered;
        settled.push(Settled {
            destination: one.claim.destination,
            claim_no: one.claim.claim_no,
            wanted: one.claim.wanted,
            state: next.state,
            due_at: next.due_at,
            failures: next.failures,
            told_at: is_told.then_some(now),
            answer: one.answer.text.clone(),
        });
    }
    settled.sort_by_key(|one| one.destination);
    // What was committed while we told goes out again, but not within the same moment.
    let rest = TimeDelta::milliseconds(i64::try_from(app.config.delivery.coalesce_millis).unwrap_or(1_000));
    let mut tx = app.db.begin().await?;
    let mut renewed = registrations::note(&mut tx.conn(), brand, &batch, now).await?;
    renewed.extend(apps::note(&mut tx.conn(), brand, &batch, now).await?);
    for one in settled.iter_mut().filter(|one| renewed.contains(&one.destination)) {
        (one.due_at, one.failures) = (now, 0);
    }
    google::note(app, &mut tx.conn(), brand, &batch, now).await?;
    outbox::settle(&mut tx.conn(), brand, channel, &settled, now + rest).await?;
    registrations::note_accepted(&mut tx.conn(), brand, &batch, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The waits between attempts, in seconds.
pub fn schedule(app: &App, channel: Channel) -> &[u64] {
    let delivery = &app.config.delivery;
    match channel {
        Channel::Apns | Channel::App => &delivery.apns.retry_schedule_secs,
        Channel::Fcm => &delivery.fcm.retry_schedule_secs,
        Channel::GoogleClass | Channel::Google => &delivery.google.retry_schedule_secs,
    }
}

/// 0 to 1.
fn chance(app: &App) -> f64 {
    let mut bytes = [0; 4];
    app.clock.random(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

fn count(channel: Channel, told: &Told, now: DateTime<Utc>) {
    let channel = channel.as_str();
    let outcome = told.answer.outcome.as_str();
    // A status and its reason; sentences of ours are the outcome's business.
    let answer = told.answer.text.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let is_status = answer.starts_with(|c: char| c.is_ascii_digit()) && answer.len() <= 60;
    let answer = if is_status { answer } else { String::new() };
    metrics::counter!("passarela_deliveries_total", "channel" => channel, "outcome" => outcome, "answer" => answer)
        .increment(1);
    if told.answer.outcome == Outcome::Delivered {
        let lane = told.claim.lane.as_str();
        let seconds = (now - told.claim.changed_at).as_seconds_f64().max(0.0);
        metrics::histogram!("passarela_delivery_seconds", "channel" => channel, "lane" => lane).record(seconds);
    } else {
        tracing::debug!(channel, outcome, "not told: {}", told.answer.text);
    }
}
