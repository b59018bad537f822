//! Apple's web service under load: a million registrations, real sockets, `wrk` as the load.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App as ActixApp, HttpResponse, HttpServer, web};
use bytes::Bytes;
use serde_json::json;

use super::super::{Failure, Output};
use super::Measure;
use super::installation::{Installation, PASS_TYPE};
use crate::app::{self, Role};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::ids::PassId;
use crate::service::{bundles, read_pass};

/// Passes that are asked for; every one holds an equal share of the registrations.
const PASSES: usize = 1_000;

/// Connections that the load keeps open.
const CONNECTIONS: usize = 32;

/// How many times service and limit take turns.
const ROUNDS: u32 = 3;

/// A request of the load.
struct Shot {
    path: String,
    headers: Vec<(&'static str, String)>,
}

/// What one run of wrk said.
#[derive(Default, Clone, Copy)]
struct Load {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    wrong: u64,
}

pub async fn run(
    seconds: Duration,
    database_url: Option<String>,
    registrations: usize,
    output: Output,
) -> Result<(), Failure> {
    let has_wrk = Command::new("wrk").arg("-v").output().is_ok();
    if !has_wrk {
        let reason = "wrk is not installed (Debian: apt-get install wrk): nothing to make load with";
        for measure in ["serve, cached 200", "serve, 304", "serve, list"] {
            Measure::new(measure, 0.0, None, 0.0, reason.to_owned()).print(output);
        }
        return Ok(());
    }
    let place = Installation::new(database_url, |_| ()).await?;
    let passes = place.issue(PASSES, 1).await?;
    place.register(&passes, registrations).await?;
    let mut samples = Vec::with_capacity(passes.len());
    for pass in &passes {
        samples.push(sample(&place, *pass).await?);
    }
    let engine = place.app.db.engine();
    let running = app::start(place.app.clone(), Role::Api, None)?;
    let address = running.address.ok_or_else(|| Failure::Trouble("no address".to_owned()))?;
    let base = format!("/apple/{}/v1", place.brand.code);
    let auth = |sample: &Sample| ("Authorization", format!("ApplePass {}", sample.token));
    let fetch = |sample: &Sample| format!("{base}/passes/{PASS_TYPE}/{}", sample.serial);
    let full: Vec<Shot> =
        samples.iter().map(|sample| Shot { path: fetch(sample), headers: vec![auth(sample)] }).collect();
    let conditional = samples.iter().map(|sample| Shot {
        path: fetch(sample),
        headers: vec![auth(sample), ("If-Modified-Since", sample.last_modified.clone())],
    });
    let conditional: Vec<Shot> = conditional.collect();
    let share = registrations / PASSES;
    let lists = (0..PASSES).map(|index| Shot {
        path: format!("{base}/devices/bench{}/registrations/{PASS_TYPE}", index * share),
        headers: Vec::new(),
    });
    let lists: Vec<Shot> = lists.collect();
    let body = samples.first().map(|sample| sample.body.clone()).unwrap_or_default();
    let list_body =
        Bytes::from(json!({ "lastUpdated": "1700000000.1", "serialNumbers": ["Ab9Ab9Ab9Ab9Ab9Ab9Ab9A"] }).to_string());
    let measures = [
        ("serve, cached 200", full, 200, body, "application/vnd.apple.pkpass"),
        ("serve, 304", conditional, 304, Bytes::new(), ""),
        ("serve, list", lists, 200, list_body, "application/json"),
    ];
    let mut first_rss = None;
    for (measure, shots, status, body, content_type) in measures {
        let (limit_address, limit) = bare(status, body, content_type)?;
        let script = script(&shots)?;
        shoot(address.to_string(), &script, Duration::from_secs(1)).await?; // warm: 10,000 and more
        first_rss.get_or_insert_with(|| rss_kib("VmRSS:"));
        let (mut ours, mut theirs) = (Load::default(), Load::default());
        let (mut own_cpu, mut load_cpu) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            let slice = seconds / ROUNDS;
            let before = cpu_seconds();
            add(&mut ours, shoot(address.to_string(), &script, slice).await?);
            let after = cpu_seconds();
            own_cpu += after.0 - before.0;
            load_cpu += after.1 - before.1;
            add(&mut theirs, shoot(limit_address.clone(), &script, slice).await?);
        }
        limit.stop(false).await;
        drop(std::fs::remove_file(&script));
        let rounds = f64::from(ROUNDS);
        let note = format!(
            "{engine}, {registrations} registrations, {CONNECTIONS} connections; load: wrk, {:.0} % of the CPU used; wrong answers: {}; \
             limit: actix with the same bytes from memory; memory {} MiB above the first 10,000",
            100.0 * load_cpu / (own_cpu + load_cpu),
            ours.wrong + theirs.wrong,
            rss_kib("VmHWM:").saturating_sub(first_rss.unwrap_or(0)) / 1_024,
        );
        let mut result = Measure::new(
            measure,
            ours.per_second / rounds,
            Some(theirs.per_second / rounds),
            seconds.as_secs_f64(),
            note,
        );
        result.p50_ms = Some(ours.p50_ms / rounds);
        result.p99_ms = Some(ours.p99_ms / rounds);
        result.print(output);
    }
    running.stop().await;
    Ok(())
}

fn add(sum: &mut Load, load: Load) {
    sum.per_second += load.per_second;
    sum.p50_ms += load.p50_ms;
    sum.p99_ms += load.p99_ms;
    sum.wrong += load.wrong;
}

struct Sample {
    serial: String,
    token: String,
    last_modified: String,
    body: Bytes,
}

async fn sample(place: &Installation, pass: PassId) -> Result<Sample, Failure> {
    let (pass, _) = read_pass::read(&place.app, place.brand.id, pass).await?;
    let served = bundles::load(&place.app, place.brand.id, pass.id, None).await?;
    let since = Duration::from_secs(u64::try_from(served.last_modified).unwrap_or_default());
    let date = actix_web::http::header::HttpDate::from(std::time::UNIX_EPOCH + since);
    let key = &place.app.master_key;
    Ok(Sample {
        token: key.apple_token(pass.token_key_version, place.brand.id, PASS_TYPE, &pass.serial),
        serial: pass.serial,
        last_modified: date.to_string(),
        body: served.bundle.to_vec().into(),
    })
}

/// The limit: the same server with a handler that answers the same bytes from memory.
fn bare(
    status: u16,
    body: Bytes,
    content_type: &'static str,
) -> Result<(String, actix_web::dev::ServerHandle), Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let server = HttpServer::new(move || {
        let body = body.clone();
        ActixApp::new().default_service(web::to(move || {
            let code = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
            let mut response = HttpResponse::build(code);
            response.insert_header((
                HeaderName::from_static("last-modified"),
                HeaderValue::from_static("Sun, 22 Nov 2026 08:17:34 GMT"),
            ));
            let response = if body.is_empty() {
                response.finish()
            } else {
                response.content_type(content_type).body(body.clone())
            };
            std::future::ready(response)
        }))
    })
    .tcp_nodelay(true)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok((address, handle))
}

/// A script for wrk that goes through the shots one after the other.
fn script(shots: &[Shot]) -> Result<std::path::PathBuf, Failure> {
    let mut text = String::from("local shots = {}\n");
    for shot in shots {
        let mut request = format!("GET {} HTTP/1.1\\r\\nHost: bench\\r\\n", shot.path);
        for (name, value) in &shot.headers {
            write!(request, "{name}: {value}\\r\\n").map_err(|error| Failure::Trouble(error.to_string()))?;
        }
        writeln!(text, "shots[#shots+1] = \"{request}\\r\\n\"").map_err(|error| Failure::Trouble(error.to_string()))?;
    }
    text.push_str("local at = 0\nfunction request()\n  at = at % #shots + 1\n  return shots[at]\nend\n");
    let path = std::env::temp_dir().join(format!("passarela-wrk-{}.lua", SystemClock.new_id().simple()));
    std::fs::write(&path, text)?;
    Ok(path)
}

async fn shoot(address: String, script: &Path, length: Duration) -> Result<Load, Failure> {
    let (script, seconds) = (script.to_owned(), length.as_secs().max(1));
    let job = tokio::task::spawn_blocking(move || {
        let mut wrk = Command::new("wrk");
        wrk.args([
            "--latency",
            "--timeout",
            "10s",
            "-t",
            "1",
            "-c",
            &CONNECTIONS.to_string(),
            "-d",
            &format!("{seconds}s"),
            "-s",
        ]);
        wrk.arg(&script).arg(format!("http://{address}/")).output()
    });
    let done = job.await.map_err(|error| Failure::Trouble(error.to_string()))??;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let after = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label))?;
        line.trim_start().strip_prefix(label)?.split_whitespace().next().map(str::to_owned)
    };
    let per_second = after("Requests/sec:").and_then(|number| number.parse().ok());
    let per_second = per_second.ok_or_else(|| {
        Failure::Trouble(format!("wrk said nothing useful: {text}{}", String::from_utf8_lossy(&done.stderr)))
    })?;
    Ok(Load {
        per_second,
        p50_ms: after("50%").and_then(|text| millis(&text)).unwrap_or_default(),
        p99_ms: after("99%").and_then(|text| millis(&text)).unwrap_or_default(),
        wrong: after("Non-2xx or 3xx responses:").and_then(|number| number.parse().ok()).unwrap_or_default(),
    })
}

/// `1.25ms`, `830.00us` or `1.02s` in milliseconds.
fn millis(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(split)?;
    let number: f64 = number.parse().ok()?;
    Some(match unit {
        "us" => number / 1_000.0,
        "s" => number * 1_000.0,
        _ => number,
    })
}

/// Processor seconds of this process and of the children that it has waited for.
fn cpu_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split_whitespace().filter_map(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    // After the state letter, which is no number: utime and stime are the 11th and 12th, their children's follow.
    let ticks = |index: usize| fields.get(index).copied().unwrap_or_default() / 100.0;
    (ticks(10) + ticks(11), ticks(12) + ticks(13))
}

pub(super) fn rss_kib(label: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or_default()
}
