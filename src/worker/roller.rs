//! Makes the steps of roll-outs. Brands take turns, and each step is small.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::{App, Problem, rollouts};

/// How long a step that is due, or that another process asked for, may wait to be noticed.
const POLL: Duration = Duration::from_millis(200);

pub async fn run(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(problem) = round(&app, &stop).await {
            tracing::warn!("roll-outs rest: {problem}");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.rolled.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// One step for every brand that has one to make, again and again until none has.
pub async fn round(app: &App, stop: &CancellationToken) -> Result<(), Problem> {
    loop {
        let (mut after, mut is_more) = (None, false);
        while let Some(brand) = app.run(async move |app| rollouts::next_brand(&app, after).await).await? {
            after = Some(brand);
            match app.run(async move |app| rollouts::step(&app, brand).await).await {
                Ok(has_stepped) => is_more |= has_stepped,
                Err(problem) => tracing::warn!(brand.id = %brand, "a roll-out of {brand} waits: {problem}"),
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        if !is_more {
            return Ok(());
        }
    }
}
