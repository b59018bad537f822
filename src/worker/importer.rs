//! Works on imported files. Brands take turns, and so do the jobs of a brand.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::imports::{self, Forms, spool};
use crate::service::{App, Problem, sweep};

/// How long a job that another process left may wait to be noticed.
const POLL: Duration = Duration::from_millis(500);

/// How often old files and results are looked for.
const TIDY: Duration = Duration::from_secs(3600);

pub async fn run(app: App, forms: Forms, stop: CancellationToken) {
    let mut next_tidy = tokio::time::Instant::now();
    while !stop.is_cancelled() {
        if let Err(problem) = round(&app, forms, &stop).await {
            tracing::warn!("imports rest: {problem}");
        }
        if tokio::time::Instant::now() >= next_tidy {
            next_tidy += TIDY;
            if let Err(problem) = app.run(async |app| tidy(&app).await).await {
                tracing::warn!("old imports stay for now: {problem}");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.imported.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// A turn for every brand that has a job, again and again until none has.
pub async fn round(app: &App, forms: Forms, stop: &CancellationToken) -> Result<(), Problem> {
    loop {
        let (mut after, mut is_more) = (None, false);
        while let Some(brand) = app.run(async move |app| imports::next_brand(&app, after).await).await? {
            after = Some(brand);
            match app.run(async move |app| imports::take_turn(&app, brand, forms).await).await {
                Ok(has_worked) => is_more |= has_worked,
                Err(problem) => tracing::warn!(brand.id = %brand, "an import of {brand} waits: {problem}"),
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

/// Removes files that no job needs, and what became of the lines of old ones.
async fn tidy(app: &App) -> Result<(), Problem> {
    let folder = app.config.imports.spool_dir.clone();
    let old = tokio::task::spawn_blocking(move || spool::list_old(&folder));
    let old = old.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    imports::remove_old(app, old).await?;
    for brand in sweep::list_brands(app).await? {
        imports::forget(app, brand.id).await?;
    }
    Ok(())
}
