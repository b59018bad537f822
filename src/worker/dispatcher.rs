//! Tells what is to be told. Each channel has a loop of its own, and brands take turns at the same time: neither a slow
//! channel nor a slow brand keeps others waiting.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::delivery::Channel;
use crate::domain::ids::BrandId;
use crate::service::deliver::{self, Turn};
use crate::service::{App, Problem};

/// How long what another process committed may wait to be noticed.
const POLL: Duration = Duration::from_millis(250);

/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);

/// Brands that are told at the same time.
const TURNS_MAX: usize = 16;

pub async fn run(app: App, channel: Channel, stop: CancellationToken) {
    let busy = Arc::new(Mutex::new(BTreeSet::new()));
    let mut turns = JoinSet::new();
    let mut queued = app.queued.subscribe();
    while !stop.is_cancelled() {
        let wait = match give_turns(&app, channel, &busy, &mut turns, &stop).await {
            Ok(()) => POLL,
            Err(problem) => {
                tracing::warn!("the dispatcher of {channel} rests: {problem}");
                REST
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = queued.changed() => {}
            Some(_) = turns.join_next() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    while turns.join_next().await.is_some() {}
}

/// Gives a turn to every brand that has something due and none now.
async fn give_turns(
    app: &App,
    channel: Channel,
    busy: &Arc<Mutex<BTreeSet<BrandId>>>,
    turns: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), Problem> {
    let mut after = None;
    while turns.len() < TURNS_MAX {
        let Some(brand) = deliver::next_brand(app, channel, after).await? else { return Ok(()) };
        after = Some(brand);
        if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(brand) {
            continue;
        }
        let (app, busy, stop) = (app.clone(), Arc::clone(busy), stop.clone());
        turns.spawn(async move {
            take_turn(&app, channel, brand, &stop).await;
            busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&brand);
        });
    }
    Ok(())
}

async fn take_turn(app: &App, channel: Channel, brand: BrandId, stop: &CancellationToken) -> Turn {
    let stop = stop.clone();
    match app.run(async move |app| deliver::take_turn(&app, channel, brand, &stop).await).await {
        Ok(turn) => turn,
        Err(problem) => {
            // One brand's trouble is not the others': its rows come back when their lease is over.
            tracing::warn!(brand.id = %brand, "{channel} of {brand} waits: {problem}");
            Turn::default()
        }
    }
}

/// One turn for every brand, one after the other, again and again until nothing is due.
pub async fn round(app: &App, channel: Channel, stop: &CancellationToken) -> Result<(), Problem> {
    loop {
        let (mut after, mut claimed) = (None, 0);
        while let Some(brand) = deliver::next_brand(app, channel, after).await? {
            after = Some(brand);
            claimed += take_turn(app, channel, brand, stop).await.claimed;
        }
        if claimed == 0 {
            return Ok(());
        }
    }
}
