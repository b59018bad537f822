//! The sweep, every so often; and what the calendar changes, every few seconds.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::delivery::Channel;
use crate::domain::pass::Lane;
use crate::service::{App, Problem, deliveries, sweep};

/// How late a pass may notice that its next day has come, and how old a measure of the outbox may be.
const CALENDAR: Duration = Duration::from_secs(5);

pub async fn run(app: App, stop: CancellationToken) {
    let period = Duration::from_secs(app.config.delivery.sweep_secs);
    // Once at the start: whatever the last process lost is found before anybody waits a whole period.
    let mut next_sweep = Instant::now();
    while !stop.is_cancelled() {
        if let Err(problem) = calendar(&app).await {
            tracing::warn!("the calendar rests: {problem}");
        }
        if let Err(problem) = app.run(async |app| measure(&app).await).await {
            tracing::warn!("the outbox is not measured: {problem}");
        }
        if Instant::now() >= next_sweep {
            if let Err(problem) = round(&app, &stop).await {
                tracing::warn!("the sweep rests: {problem}");
            }
            if let Err(problem) = app.run(async |app| count_parked(&app).await).await {
                tracing::warn!("what was given up is not counted: {problem}");
            }
            next_sweep = Instant::now() + period;
        }
        let wait = CALENDAR.min(next_sweep.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sweeps every brand.
pub async fn round(app: &App, stop: &CancellationToken) -> Result<(), Problem> {
    for of in app.run(async |app| sweep::list_brands(&app).await).await? {
        let brand = of.id;
        let swept = match app.run(async move |app| sweep::sweep(&app, &of).await).await {
            Ok(swept) => swept,
            Err(problem) => {
                tracing::warn!(brand.id = %brand, "the sweep leaves out {brand}: {problem}");
                continue;
            }
        };
        metrics::counter!("passarela_sweep_devices_queued_total").increment(swept.devices_queued);
        metrics::counter!("passarela_sweep_objects_queued_total").increment(swept.objects_queued);
        metrics::counter!("passarela_sweep_installations_queued_total").increment(swept.installations_queued);
        metrics::counter!("passarela_sweep_coupons_shown_total").increment(swept.coupons_shown);
        if swept.devices_queued + swept.installations_queued > 0 {
            let (devices, installations) = (swept.devices_queued, swept.installations_queued);
            tracing::info!(devices, installations, "the sweep queued who was not told");
        }
        if stop.is_cancelled() {
            break;
        }
    }
    Ok(())
}

/// How long who is to be told has waited.
async fn measure(app: &App) -> Result<(), Problem> {
    for channel in Channel::ALL {
        for lane in Lane::ALL {
            let (channel_word, lane_word) = (channel.as_str(), lane.as_str());
            let age = deliveries::age(app, *channel, *lane).await?;
            metrics::gauge!("passarela_outbox_age_seconds", "channel" => channel_word, "lane" => lane_word).set(age);
        }
    }
    Ok(())
}

/// How many were given up.
async fn count_parked(app: &App) -> Result<(), Problem> {
    for channel in Channel::ALL {
        let waiting = deliveries::count_waiting(app, *channel).await?;
        metrics::gauge!("passarela_outbox_parked", "channel" => channel.as_str()).set(waiting.parked as f64);
    }
    Ok(())
}

/// Marks passes whose text depends on the day.
pub async fn calendar(app: &App) -> Result<(), Problem> {
    let mut after = None;
    while let Some(brand) = app.run(async move |app| sweep::next_timed_brand(&app, after).await).await? {
        after = Some(brand);
        loop {
            match app.run(async move |app| sweep::touch_timed(&app, brand).await).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(problem) => {
                    tracing::warn!(brand.id = %brand, "the calendar leaves out {brand}: {problem}");
                    break;
                }
            }
        }
    }
    Ok(())
}
