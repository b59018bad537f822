//! Writes down what was seen of phones, a moment later.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::{App, sightings};

const EVERY: Duration = Duration::from_millis(500);

pub async fn run(app: App, stop: CancellationToken) {
    loop {
        let is_over = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
        if let Err(problem) = app.run(async |app| sightings::write_down(&app).await).await {
            tracing::warn!("what phones fetched is not noted: {problem}");
        }
        if is_over {
            return;
        }
    }
}
