//! `passarela serve`: the service until it is told to stop.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::app::{self, Role, Running};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::service::{brands, deliver};
use crate::telemetry;

pub async fn run(config: Config, role: Role) -> Result<(), Failure> {
    telemetry::start_logging(&config.log);
    let metrics = telemetry::start_metrics();
    let signals = Signals::listen()?;
    let app = app::open(config, Arc::new(SystemClock)).await?;
    let running = app::start(app, role, metrics)?;
    match running.address {
        Some(address) => tracing::info!(%address, ?role, "serving"),
        None => tracing::info!(?role, "working"),
    }
    for pass_type in brands::list_unsigned(&running.app).await? {
        tracing::error!("{pass_type} is bound to a brand and has no usable certificate: its passes cannot be issued");
    }
    let app = &running.app;
    for (channel, state) in deliver::channels(&app.config, &app.certificates(), app.clock.now()) {
        tracing::info!("{channel} is {state}");
    }
    until_stopped(running, signals).await
}

/// Signals this close to the first are the same wish.
const SAME_STOP: std::time::Duration = std::time::Duration::from_millis(300);

/// SIGTERM and Ctrl-C, heard from the moment this is made: before anybody is told that the service runs.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Serves until a signal comes, then lets finish what runs. A second signal ends it at once.
pub async fn until_stopped(mut running: Running, signals: Signals) -> Result<(), Failure> {
    let Signals { mut terminate, mut interrupt } = signals;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        name = running.failed() => {
            running.stop().await;
            return Err(Failure::Trouble(format!("{name} ended")));
        }
    }
    tracing::info!("stopping; once more to stop at once");
    let again = async {
        let heard = tokio::time::Instant::now();
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // A supervisor may tell the process and its group: both mean the same stop.
            if heard.elapsed() > SAME_STOP {
                return;
            }
        }
    };
    tokio::select! {
        () = running.stop() => Ok(()),
        () = again => Err(Failure::Trouble("stopped at once".to_owned())),
    }
}
