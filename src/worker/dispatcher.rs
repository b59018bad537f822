//! Tells what is to be told. Each channel has a loop of its own, and brands take turns at the same time: neither a slow
//! channel nor a slow brand keeps others waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::delivery::Channel;
use crate::domain::ids::BrandId;
use crate::service::{App, Problem, deliver};

/// How long what another process committed may wait to be noticed.
const POLL: Duration = Duration::from_millis(250);

/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);

/// Brands that are told at the same time.
const TURNS_MAX: usize = 16;

/// How long a brand rests that had something due and nothing to claim: its channel is closed, or another process has it.
const PAUSE: Duration = Duration::from_millis(100);

/// Who has a turn, who rests, and where the next turn goes.
#[derive(Default)]
struct Turns {
    running: JoinSet<(BrandId, u64)>,
    busy: BTreeSet<BrandId>,
    resting: BTreeMap<BrandId, Instant>,
    /// Whether others wait for a turn.
    is_crowded: Arc<AtomicBool>,
    /// The brand that was given the last turn: the next goes to one after it, so that none is passed over.
    last: Option<BrandId>,
}

pub async fn run(app: App, channel: Channel, stop: CancellationToken) {
    let mut turns = Turns::default();
    let mut queued = app.queued.subscribe();
    while !stop.is_cancelled() {
        let wait = match give_turns(&app, channel, &mut turns, &stop).await {
            Ok(()) => POLL,
            Err(problem) => {
                tracing::warn!("the dispatcher of {channel} rests: {problem}");
                REST
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = queued.changed() => {}
            Some(ended) = turns.running.join_next() => turns.end(ended),
            () = tokio::time::sleep(wait) => {}
        }
    }
    while turns.running.join_next().await.is_some() {}
}

impl Turns {
    fn end(&mut self, ended: Result<(BrandId, u64), JoinError>) {
        match ended {
            Ok((brand, claimed)) => {
                self.busy.remove(&brand);
                if claimed == 0 {
                    self.resting.insert(brand, Instant::now() + PAUSE);
                }
            }
            // Nobody knows whose turn it was: those who are at work are not disturbed by a second one.
            Err(error) => {
                tracing::error!("a turn ended badly: {error}");
                if self.running.is_empty() {
                    self.busy.clear();
                }
            }
        }
    }
}

/// Gives a turn to every brand that has something due, and none now. At most once around.
async fn give_turns(app: &App, channel: Channel, turns: &mut Turns, stop: &CancellationToken) -> Result<(), Problem> {
    let now = Instant::now();
    turns.resting.retain(|_, until| *until > now);
    turns.is_crowded.store(false, Ordering::Relaxed);
    let first = turns.last;
    let mut is_around = first.is_none();
    while turns.running.len() < TURNS_MAX {
        let Some(brand) = deliver::next_brand(app, channel, turns.last).await? else {
            turns.last = None;
            if std::mem::replace(&mut is_around, true) {
                return Ok(());
            }
            continue;
        };
        if is_around && first.is_some_and(|first| brand > first) {
            return Ok(());
        }
        turns.last = Some(brand);
        if turns.resting.contains_key(&brand) || !turns.busy.insert(brand) {
            continue;
        }
        let (app, stop, is_crowded) = (app.clone(), stop.clone(), Arc::clone(&turns.is_crowded));
        turns.running.spawn(async move { (brand, take_turn(&app, channel, brand, is_crowded, &stop).await) });
    }
    turns.is_crowded.store(true, Ordering::Relaxed);
    Ok(())
}

/// How many rows were claimed.
async fn take_turn(
    app: &App,
    channel: Channel,
    brand: BrandId,
    is_crowded: Arc<AtomicBool>,
    stop: &CancellationToken,
) -> u64 {
    let stop = stop.clone();
    match app.run(async move |app| deliver::take_turn(&app, channel, brand, &is_crowded, &stop).await).await {
        Ok(claimed) => claimed,
        Err(problem) => {
            // One brand's trouble is not the others': its rows come back when their lease is over.
            tracing::warn!(brand.id = %brand, "{channel} of {brand} waits: {problem}");
            0
        }
    }
}

/// One turn for every brand, one after the other, again and again until nothing is due.
pub async fn round(app: &App, channel: Channel, stop: &CancellationToken) -> Result<(), Problem> {
    loop {
        let (mut after, mut claimed) = (None, 0);
        while let Some(brand) = deliver::next_brand(app, channel, after).await? {
            after = Some(brand);
            claimed += take_turn(app, channel, brand, Arc::default(), stop).await;
        }
        if claimed == 0 {
            return Ok(());
        }
    }
}
