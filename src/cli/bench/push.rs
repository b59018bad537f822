//! Telling phones: the client alone, one change to many phones, and the way from a change to acceptance.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data, Path};
use actix_web::{App as ActixApp, HttpResponse, HttpServer, web};
use reqwest::header::HeaderValue;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::{Failure, Output};
use super::Measure;
use super::installation::{Installation, PASS_TYPE};
use super::publish::touch;
use super::serve::rss_kib;
use crate::app::{self, Role};
use crate::clients::apns::{Apns, Credential, Push};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::delivery::{Channel, Outcome};
use crate::domain::ids::PassId;
use crate::domain::secret::{Personal, Secret};
use crate::service::{Problem, change_pass, publish};
use crate::store::imports::{self, ChangedPass};
use crate::store::passes;
use crate::worker::dispatcher;

/// Calls at the same time on one connection.
const STREAMS: usize = 500;

/// How many times ours and the limits take turns.
const ROUNDS: u32 = 3;

/// Passes that change one by one, each on one phone, and changes a second.
const PASSES: usize = 2_000;
const CHANGES_PER_SECOND: u32 = 100;

/// A push service that takes everything at once, and says how much of what it took.
struct Taker {
    url: String,
    address: String,
    taken: Arc<Taken>,
    handle: actix_web::dev::ServerHandle,
}

#[derive(Default)]
struct Taken {
    count: AtomicU64,
    /// Whether each token is noted with the moment.
    is_noting: AtomicBool,
    notes: Mutex<Vec<(String, Instant)>>,
}

impl Taker {
    fn start() -> Result<Self, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let taken = Arc::new(Taken::default());
        let data = Data::from(Arc::clone(&taken));
        let server = HttpServer::new(move || {
            ActixApp::new().app_data(data.clone()).route("/3/device/{token}", web::post().to(take))
        })
        .workers(1)
        .disable_signals()
        .listen_auto_h2c(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { url: format!("http://{address}"), address, taken, handle })
    }

    fn count(&self) -> u64 {
        self.taken.count.load(Ordering::Relaxed)
    }
}

async fn take(taken: Data<Taken>, token: Path<String>, _body: Bytes) -> HttpResponse {
    taken.count.fetch_add(1, Ordering::Relaxed);
    if taken.is_noting.load(Ordering::Relaxed) {
        let token = token.into_inner();
        // Of those whose changes are counted, among many.
        let number = token.get(48..).and_then(|digits| usize::from_str_radix(digits, 16).ok());
        if number.is_none_or(|number| number >= PASSES) {
            return HttpResponse::Ok().finish();
        }
        let note = (token, Instant::now());
        taken.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }
    HttpResponse::Ok().finish()
}

pub async fn run(
    seconds: Duration,
    database_url: Option<String>,
    registrations: usize,
    output: Output,
) -> Result<(), Failure> {
    let taker = Taker::start()?;
    client(&taker, seconds, output).await?;
    let url = taker.url.clone();
    let for_pgbench = database_url.clone().filter(|url| url.starts_with("postgres"));
    let place = Installation::new(database_url, |config| config.apple.apns_url = url).await?;
    let passes = place.issue(PASSES, 1).await?;
    place.register(&passes, PASSES).await?;
    let one_to_one = one_to_one(&place, &taker, &passes, seconds, output).await?;
    let popular = place.issue(1, 1).await?;
    place.register_from(PASSES, &popular, registrations).await?;
    let limit = fan_out(&place, &taker, &popular, registrations, for_pgbench, output).await?;
    beside_a_fan_out(&place, &taker, &passes, &popular, seconds, output).await?;
    let beside = if limit.is_some() { "limit: that of the fan-out" } else { "no limit beside it" };
    let note = format!(
        "{PASSES} passes on {}, changed together: committed, published, told, accepted; {beside}",
        place.app.db.engine()
    );
    Measure::new("push, one to one", PASSES as f64 / one_to_one, limit, one_to_one, note).print(output);
    taker.handle.stop(false).await;
    place.app.db.close().await;
    Ok(())
}

/// The client alone: one connection, as many calls under way as Apple allows.
async fn client(taker: &Taker, seconds: Duration, output: Output) -> Result<(), Failure> {
    let apns = Apns::new(&taker.url, None, &Credential::Token, Duration::from_secs(15));
    let apns = Arc::new(apns.map_err(|error| Failure::Trouble(error.to_string()))?);
    let slice = seconds / ROUNDS;
    let (mut ours, mut bare, mut load) = (0.0, 0.0, Some(0.0));
    for _ in 0..ROUNDS {
        ours += tell_for(&apns, slice).await;
        bare += bare_for(&taker.address, slice).await?;
        load = match (load, h2load(&taker.address, slice).await?) {
            (Some(sum), Some(more)) => Some(sum + more),
            _ => None,
        };
    }
    let rounds = f64::from(ROUNDS);
    let (ours, bare, load) = (ours / rounds, bare / rounds, load.map(|load| load / rounds));
    let what = format!("one connection, {STREAMS} streams, plain HTTP/2 to a local server on one thread");
    let note = match load {
        Some(_) => format!("{what}; limit: h2load"),
        None => "h2load is not installed (Debian: apt-get install nghttp2-client)".to_owned(),
    };
    Measure::new("push, client", ours, load, seconds.as_secs_f64(), note).print(output);
    let note = format!("{what}; limit: a bare loop over h2");
    Measure::new("push, client against h2", ours, Some(bare), seconds.as_secs_f64(), note).print(output);
    Ok(())
}

async fn tell_for(apns: &Arc<Apns>, length: Duration) -> f64 {
    let begun = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..STREAMS {
        let apns = Arc::clone(apns);
        callers.spawn(async move {
            let topic = HeaderValue::from_static(PASS_TYPE);
            let token = Secret::new(format!("{caller:064x}"));
            let mut count = 0_u64;
            while begun.elapsed() < length {
                let answer = apns.push(&token, &topic, None, Push::Fetch, SystemClock.now()).await;
                count += u64::from(answer.outcome == Outcome::Delivered);
            }
            count
        });
    }
    let mut count = 0;
    while let Some(done) = callers.join_next().await {
        count += done.unwrap_or(0);
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

/// The same with nothing around the protocol.
async fn bare_for(address: &str, length: Duration) -> Result<f64, Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(error.to_string());
    let socket = tokio::net::TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(socket).await.map_err(|error| trouble(&error))?;
    let connection = tokio::spawn(connection);
    let begun = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..STREAMS {
        let (client, address) = (client.clone(), address.to_owned());
        callers.spawn(async move {
            let mut count = 0_u64;
            while begun.elapsed() < length {
                let Ok(mut client) = client.clone().ready().await else { return count };
                let request = http::Request::post(format!("http://{address}/3/device/{caller:064x}"));
                let Ok(request) = request.header("apns-topic", PASS_TYPE).body(()) else { return count };
                let Ok((response, mut body)) = client.send_request(request, false) else { return count };
                if body.send_data(bytes::Bytes::from_static(b"{}"), true).is_err() {
                    return count;
                }
                count += u64::from(response.await.is_ok_and(|response| response.status() == http::StatusCode::OK));
            }
            count
        });
    }
    let mut count = 0;
    while let Some(done) = callers.join_next().await {
        count += done.unwrap_or(0);
    }
    let spent = begun.elapsed().as_secs_f64();
    connection.abort();
    Ok(count as f64 / spent)
}

/// Calls a second of h2load; `None`: it is not installed.
async fn h2load(address: &str, length: Duration) -> Result<Option<f64>, Failure> {
    let mut payload = std::env::temp_dir();
    payload.push(format!("passarela-h2load-{}", SystemClock.new_id().simple()));
    std::fs::File::create(&payload)?.write_all(b"{}")?;
    let url = format!("http://{address}/3/device/{:064x}", 1);
    let (file, seconds) = (payload.clone(), length.as_secs().max(1));
    let job = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("h2load");
        command.args(["-c", "1", "-t", "1", "-m", &STREAMS.to_string(), "-D", &seconds.to_string()]);
        command.args(["-H", &format!("apns-topic: {PASS_TYPE}"), "-d"]).arg(file).arg(url).output()
    });
    let done = job.await.map_err(|error| Failure::Trouble(error.to_string()))?;
    drop(std::fs::remove_file(payload));
    let Ok(done) = done else { return Ok(None) };
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    // "finished in 3.00s, 51234.67 req/s, 1.23MB/s"
    let rate = text.lines().find(|line| line.starts_with("finished in")).and_then(|line| line.split(", ").nth(1));
    let rate = rate.and_then(|rate| rate.split_whitespace().next()?.parse().ok());
    rate.map(Some).ok_or_else(|| Failure::Trouble(format!("h2load said nothing useful: {text}")))
}

/// Every change of its own pass on its own phone: all at once, in so many seconds, and at a steady pace.
async fn one_to_one(
    place: &Installation,
    taker: &Taker,
    passes: &[PassId],
    seconds: Duration,
    output: Output,
) -> Result<f64, Failure> {
    let engine = place.app.db.engine();
    let running = app::start(place.app.clone(), Role::Worker, None)?;
    // What registering left to be told.
    wait_for(|| idle(place)).await?;
    let ids = Arc::new(passes.to_vec());
    let (before, begun) = (taker.count(), Instant::now());
    touch(&place.app, place.brand.clone(), &ids, 1).await?;
    wait_for(|| async { Ok(taker.count() - before >= PASSES as u64) }).await?;
    let spent = begun.elapsed().as_secs_f64();

    tokio::time::sleep(Duration::from_secs(2)).await;
    let millis = paced(place, taker, passes, 100_000, seconds).await?;
    let note = format!(
        "{} changes at {CHANGES_PER_SECOND} a second on {engine}, calm: from the answer to a change to its push at the push service; \
         memory {} MiB",
        millis.len(),
        rss_kib("VmHWM:") / 1_024
    );
    latency("push, commit to acceptance", &millis, seconds, note).print(output);
    running.stop_workers().await;
    Ok(spent)
}

fn latency(measure: &'static str, millis: &[f64], seconds: Duration, note: String) -> Measure {
    let mut result = Measure::new(measure, f64::from(CHANGES_PER_SECOND), None, seconds.as_secs_f64(), note);
    let at =
        |share: f64| millis.get(((millis.len() as f64 * share) as usize).min(millis.len().saturating_sub(1))).copied();
    (result.p50_ms, result.p99_ms) = (at(0.5), at(0.99));
    result
}

/// Single changes at the same pace, while a change of many phones' goes out behind them.
async fn beside_a_fan_out(
    place: &Installation,
    taker: &Taker,
    passes: &[PassId],
    popular: &[PassId],
    seconds: Duration,
    output: Output,
) -> Result<(), Failure> {
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    in_bulk(place, popular).await?;
    while publish::publish_due(&place.app, place.brand.id).await?.claimed > 0 {}
    let (before, memory) = (taker.count(), rss_kib("VmRSS:") / 1_024);
    let running = app::start(place.app.clone(), Role::Worker, None)?;
    let millis = paced(place, taker, passes, 200_000, seconds).await?;
    let told = taker.count() - before - millis.len() as u64;
    let waits = crate::service::deliveries::count_waiting(&place.app, Channel::Apns).await?.open > 0;
    running.stop_workers().await;
    let note = format!(
        "{} changes at {CHANGES_PER_SECOND} a second on {}, while {told} phones are told of a roll-out{}; memory {memory} MiB before, \
         {} MiB at most",
        millis.len(),
        place.app.db.engine(),
        if waits { "" } else { ", which ended meanwhile" },
        rss_kib("VmHWM:") / 1_024
    );
    latency("push, commit to acceptance beside a fan-out", &millis, seconds, note).print(output);
    Ok(())
}

/// Changes passes as an import does: behind everything that somebody waits for.
async fn in_bulk(place: &Installation, passes: &[PassId]) -> Result<(), Failure> {
    let brand = place.brand.id;
    let ids = passes.to_vec();
    let done = place.app.run(async move |app| {
        let mut tx = app.db.begin().await?;
        for id in ids {
            let pass = passes::find(&mut tx.conn(), brand, id).await?.ok_or(Problem::NotFound { what: "pass" })?;
            let mut data = pass.data.reveal().clone();
            data.insert("points".to_owned(), 77_777.into());
            let changed =
                ChangedPass { id, seen_change_no: pass.change_no, data: &data, order_hash: &[0; 32], token_hash: None };
            imports::set_passes(&mut tx.conn(), brand, &[changed], app.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(())
    });
    Ok(done.await?)
}

async fn idle(place: &Installation) -> Result<bool, Failure> {
    Ok(crate::service::deliveries::count_waiting(&place.app, Channel::Apns).await?.open == 0)
}

async fn wait_for<Done: Future<Output = Result<bool, Failure>>>(done: impl Fn() -> Done) -> Result<(), Failure> {
    let begun = Instant::now();
    while !done().await? {
        if begun.elapsed() > Duration::from_secs(600) {
            return Err(Failure::Trouble("not everything was told within ten minutes".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Milliseconds from each change's commit to its push, sorted; the changes say `first` and up.
async fn paced(
    place: &Installation,
    taker: &Taker,
    passes: &[PassId],
    first: usize,
    seconds: Duration,
) -> Result<Vec<f64>, Failure> {
    taker.taken.is_noting.store(true, Ordering::Relaxed);
    let mut committed: Vec<(String, Instant)> = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / CHANGES_PER_SECOND);
    let begun = Instant::now();
    for number in 0.. {
        tick.tick().await;
        if begun.elapsed() > seconds {
            break;
        }
        let Some(pass) = passes.get(number % passes.len()) else { break };
        let data = Personal::new(json!({ "points": first + number }).as_object().cloned().unwrap_or_default());
        change_pass::patch(&place.app, place.brand.id, *pass, &data, None).await?;
        place.app.changed.notify_one();
        // The phone of a pass has the pass's number for its token.
        committed.push((format!("{:064x}", number % passes.len()), Instant::now()));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    taker.taken.is_noting.store(false, Ordering::Relaxed);
    let notes = std::mem::take(&mut *taker.taken.notes.lock().unwrap_or_else(PoisonError::into_inner));
    let mut millis: Vec<f64> = committed
        .iter()
        .filter_map(|(token, at)| {
            let told = notes.iter().filter(|(to, when)| to == token && when >= at).map(|(_, when)| *when).min()?;
            Some((told - *at).as_secs_f64() * 1_000.0)
        })
        .collect();
    if millis.len() < committed.len() {
        return Err(Failure::Trouble(format!("{} changes were not told", committed.len() - millis.len())));
    }
    millis.sort_by(f64::total_cmp);
    Ok(millis)
}

/// One change that many phones are to be told of, against the same claims and settlements without anybody told.
async fn fan_out(
    place: &Installation,
    taker: &Taker,
    popular: &[PassId],
    registrations: usize,
    database_url: Option<String>,
    output: Output,
) -> Result<Option<f64>, Failure> {
    let ids = Arc::new(popular.to_vec());
    let stop = CancellationToken::new();
    let queue = async |round: i64| {
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        touch(&place.app, place.brand.clone(), &ids, round).await?;
        while publish::publish_due(&place.app, place.brand.id).await?.claimed > 0 {}
        Ok::<(), Failure>(())
    };
    queue(7).await?;
    let (before, begun) = (taker.count(), Instant::now());
    dispatcher::round(&place.app, Channel::Apns, &stop).await?;
    let spent = begun.elapsed().as_secs_f64();
    let told = taker.count() - before;
    let engine = place.app.db.engine();
    let limit = match database_url {
        None => None,
        Some(url) => {
            queue(8).await?;
            pgbench(&url, registrations).await?
        }
    };
    let beside = match limit {
        Some(_) => "limit: pgbench with the same claims and settlements, nobody told",
        None => "no limit: it wants --database-url postgres://… and pgbench",
    };
    let note = format!("one change told to {told} phones on {engine}; {beside}");
    Measure::new("push, fan-out", told as f64 / spent, limit, spent, note).print(output);
    Ok(limit)
}

/// Rows a second that pgbench claims and settles; `None`: it is not installed.
async fn pgbench(url: &str, rows: usize) -> Result<Option<f64>, Failure> {
    const SCRIPT: &str = include_str!("../../../benches/fan_out.sql");
    let script = std::env::temp_dir().join(format!("passarela-pgbench-{}.sql", SystemClock.new_id().simple()));
    std::fs::write(&script, SCRIPT)?;
    let (url, file) = (url.to_owned(), script.clone());
    let transactions = rows.div_ceil(200);
    let job = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("pgbench");
        command.args(["-n", "-c", "1", "-j", "1", "-t", &transactions.to_string(), "-f"]).arg(file).arg(url).output()
    });
    let begun = Instant::now();
    let done = job.await.map_err(|error| Failure::Trouble(error.to_string()))?;
    let spent = begun.elapsed().as_secs_f64();
    drop(std::fs::remove_file(script));
    let Ok(done) = done else { return Ok(None) };
    if !done.status.success() {
        return Err(Failure::Trouble(format!("pgbench: {}", String::from_utf8_lossy(&done.stderr))));
    }
    Ok(Some(rows as f64 / spent))
}
