//! Publishes what changed. Brands take turns: one batch each, so that a brand with a million changes delays nobody.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::publish::{self, BATCH};
use crate::service::{App, Problem, programs};

/// How long a change that another process committed may wait to be noticed. Changes of this process wake the loop.
const POLL: Duration = Duration::from_millis(500);

/// How long the loop rests after the database failed it.
const REST: Duration = Duration::from_secs(1);

pub async fn run(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let wait = match round(&app, &stop).await {
            Ok(()) => POLL,
            Err(problem) => {
                tracing::warn!("the publisher rests: {problem}");
                REST
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One turn for every brand with something due, again and again until nothing is.
pub async fn round(app: &App, stop: &CancellationToken) -> Result<(), Problem> {
    loop {
        let mut is_more = touch_programs(app).await?;
        let mut after = None;
        while let Some(brand) = app.run(async move |app| publish::next_brand(&app, after).await).await? {
            after = Some(brand);
            let batch = match app.run(async move |app| publish::publish_due(&app, brand).await).await {
                Ok(batch) => batch,
                Err(problem) => {
                    // One brand's trouble is not the others': its passes stay due.
                    tracing::warn!(brand.id = %brand, "passes of {brand} wait: {problem}");
                    continue;
                }
            };
            metrics::counter!("passarela_passes_published_total").increment(batch.published.len() as u64);
            metrics::counter!("passarela_passes_unchanged_total").increment(batch.unchanged as u64);
            metrics::counter!("passarela_passes_refused_total").increment(batch.refused as u64);
            metrics::counter!("passarela_devices_queued_total").increment(batch.devices_queued);
            is_more |= i64::try_from(batch.claimed).is_ok_and(|claimed| claimed >= BATCH);
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        if !is_more {
            return Ok(());
        }
    }
}

/// Some passes of every brand's changed program, so that they are published in this round; whether there may be more.
async fn touch_programs(app: &App) -> Result<bool, Problem> {
    let (mut after, mut is_more) = (None, false);
    while let Some(brand) = app.run(async move |app| programs::next_brand_to_touch(&app, after).await).await? {
        after = Some(brand);
        match app.run(async move |app| programs::touch_some(&app, brand).await).await {
            Ok(has_touched) => is_more |= has_touched,
            Err(problem) => tracing::warn!(brand.id = %brand, "a changed program of {brand} waits: {problem}"),
        }
    }
    Ok(is_more)
}
