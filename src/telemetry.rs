//! Logs and metrics. What may be logged is decided by types: secrets and personal data cannot be formatted.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// What libraries say too loudly: sqlx warns of the ROLLBACK that every connection begins with, actix tells an error of
/// every stranger who does not speak HTTP.
/// And what prints access tokens when it is asked for details.
const QUIET: &str = "sqlx::postgres::notice=error,sqlx::query=error,actix_http=off,yup_oauth2=info,usvg=off";

/// Begins to log to standard error. A second call changes nothing.
pub fn start_logging(log: &Log) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.filter)).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Refused when a logger is set already, as in tests.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}

/// Buckets of times, so that replicas can be summed: from a served 304 to the end of a body's patience.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

const HELP: &[(&str, &str)] = &[
    ("passarela_http_requests_total", "Requests by method, route and status."),
    ("passarela_passes_published_total", "Passes whose new content is served."),
    ("passarela_passes_unchanged_total", "Passes that a change left looking the same."),
    ("passarela_passes_refused_total", "Attempts to publish a pass that its template cannot show."),
    ("passarela_devices_queued_total", "Devices that were queued to be told."),
    ("passarela_sweep_devices_queued_total", "Devices that only the sweep found: something lost them."),
    ("passarela_deliveries_total", "What came of telling a destination, by channel and outcome."),
    ("passarela_sightings_dropped_total", "Fetches of phones that were not noted, because too many waited to be."),
    ("passarela_panics_total", "Panics: each is a defect."),
];

/// Begins to count. `None` when something else in the process counts already.
pub fn start_metrics() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).ok()?;
    let handle = builder.install_recorder().ok()?;
    for (name, help) in HELP {
        metrics::describe_counter!(*name, *help);
    }
    metrics::describe_histogram!("passarela_http_request_seconds", "Time from a request's head to its answer's head.");
    metrics::describe_histogram!(
        "passarela_delivery_seconds",
        "Time from a publication to its acceptance by Apple or Google, by channel and lane."
    );
    metrics::describe_gauge!(
        "passarela_delivery_barred",
        "1 while a pass type's phones, an account at Google or an app's project are told nothing."
    );
    metrics::describe_gauge!(
        "passarela_outbox_age_seconds",
        "How long the oldest of what is to be told waits, by channel and lane, of all brands."
    );
    metrics::describe_gauge!("passarela_outbox_parked", "Destinations that were given up, by channel, of all brands.");
    metrics::describe_gauge!("passarela_tasks_running", "Use cases that run at this moment.");
    Some(handle)
}
