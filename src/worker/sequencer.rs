//! Numbers committed events, brand by brand.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::{App, Problem, sequence};

/// How long an event may wait for its number.
const POLL: Duration = Duration::from_millis(250);

pub async fn run(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(problem) = round(&app, &stop).await {
            tracing::warn!("the sequencer rests: {problem}");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Numbers everything that is committed now.
pub async fn round(app: &App, stop: &CancellationToken) -> Result<(), Problem> {
    let mut after = None;
    while let Some(brand) = app.run(async move |app| sequence::next_brand(&app, after).await).await? {
        after = Some(brand);
        loop {
            match app.run(async move |app| sequence::sequence(&app, brand).await).await {
                Ok(0) => break,
                Ok(_) if stop.is_cancelled() => return Ok(()),
                Ok(_) => {}
                Err(problem) => {
                    tracing::warn!(brand.id = %brand, "events of {brand} wait: {problem}");
                    break;
                }
            }
        }
    }
    Ok(())
}
