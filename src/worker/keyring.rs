//! Notices certificates that were replaced, and those that are about to end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::{App, signers};

/// How long a replaced certificate may wait to be noticed.
const POLL: Duration = Duration::from_secs(5);

pub async fn run(app: App, stop: CancellationToken) {
    loop {
        signers::watch(&app);
        if stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_none() {
            return;
        }
        if let Err(problem) = app.run(async |app| signers::refresh(&app).await).await {
            tracing::warn!("certificates cannot be read again: {problem}");
        }
    }
}
