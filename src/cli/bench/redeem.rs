//! Redemptions through the real API, spread over many members and on one hot wallet; beside the same statements replayed by
//! pgbench, a bare redemption, or the same use case in a loop.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::{Failure, Output};
use super::installation::Installation;
use super::{Measure, members};
use crate::app::{self, Role};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::ids::CustomerId;
use crate::service::Problem;
use crate::service::customers::Selector;
use crate::service::keys::{self, Stand};
use crate::service::loyalty::place::Place;
use crate::service::till::redeem::{self, NewRedemption};
use crate::service::till::{Request, Wanted};
use crate::store::idempotency;

/// Tills at work at the same time.
const CLIENTS: usize = 16;

/// Transactions of one row that are timed.
const COMMITS: usize = 300;

pub async fn run(
    seconds: Duration,
    database_url: Option<String>,
    members: usize,
    entries: usize,
    output: Output,
) -> Result<(), Failure> {
    let for_pgbench = database_url.clone().filter(|url| url.starts_with("postgres"));
    let place = Installation::new(database_url, |config| config.server.http_workers = 2).await?;
    let customers = Arc::new(members::make(&place, members, entries).await?);
    commits(&place, output).await?;
    let (_, key) = keys::create(
        &place.app,
        &place.brand,
        crate::domain::role::Role::Pos,
        Stand { store: Some(crate::domain::ids::StoreId::new(SystemClock.new_id())), terminal: None },
        "bench",
        None,
    )
    .await?;
    let engine = place.app.db.engine();
    let (same, bare, what) = match for_pgbench {
        Some(url) => {
            psql(&url, include_str!("../../../benches/redeem_setup.sql")).await?;
            let same = pgbench(&url, include_str!("../../../benches/redeem_same.sql"), members, seconds).await?;
            let bare = pgbench(&url, include_str!("../../../benches/redeem_bare.sql"), members, seconds).await?;
            (same, bare, "limit: pgbench with the same statements")
        }
        None => (Some(in_a_loop(&place, &customers, seconds).await?), None, "limit: the same use case in a bare loop"),
    };
    let running = app::start(place.app.clone(), Role::Api, None)?;
    let address = running.address.ok_or_else(|| Failure::Trouble("no address".to_owned()))?;
    let url = format!("http://{address}/api/v1/redemptions");
    for (measure, count) in [("redeem, spread", customers.len()), ("redeem, one hot wallet", 1)] {
        let (rate, mut millis) = shoot(&url, key.reveal(), &customers, count, seconds).await?;
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis.get((millis.len() as f64 * share) as usize).copied();
        let note = format!(
            "{CLIENTS} clients on {engine}, {members} members with {entries} entries each: through HTTP, committed; {what}"
        );
        let mut result = Measure::new(measure, rate, same, seconds.as_secs_f64(), note);
        (result.p50_ms, result.p99_ms) = (at(0.5), at(0.99));
        result.print(output);
        if let Some(bare) = bare.filter(|_| count > 1) {
            let note = format!("the same on {engine}; limit: pgbench with a bare redemption of six statements");
            Measure::new("redeem against a bare one", rate, Some(bare), seconds.as_secs_f64(), note).print(output);
        }
    }
    running.stop().await;
    Ok(())
}

/// What a commit costs by itself: a row is written, and is safe.
async fn commits(place: &Installation, output: Output) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| Failure::from(Problem::from(error));
    let (begun, mut millis) = (Instant::now(), Vec::with_capacity(COMMITS));
    for number in 0..COMMITS {
        let (sent, now) = (Instant::now(), SystemClock.now());
        let mut tx = place.app.db.begin().await.map_err(failed)?;
        let key = format!("commit-{number}");
        idempotency::take(&mut tx.conn(), place.brand.id, "bench", &key, &[0; 32], now).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        millis.push(sent.elapsed().as_secs_f64() * 1_000.0);
    }
    let spent = begun.elapsed().as_secs_f64();
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis.get((millis.len() as f64 * share) as usize).copied();
    let note = format!("one row on {}, begun, written and committed, one after the other", place.app.db.engine());
    let mut result = Measure::new("commit of one row", COMMITS as f64 / spent, None, spent, note);
    (result.p50_ms, result.p99_ms) = (at(0.5), at(0.99));
    result.print(output);
    Ok(())
}

fn redemption(number: u64, customer: CustomerId) -> NewRedemption {
    NewRedemption {
        transaction_id: format!("loop-{number}"),
        quote: None,
        request: Request {
            customer: Some(Selector::Id(customer)),
            wanted: vec![Wanted::Units { wallet: "points".to_owned(), units: "1".to_owned() }],
            basket: None,
            place: Place::default(),
            done_at: None,
        },
        hash: [0; 32],
    }
}

/// The use case alone, one after the other.
async fn in_a_loop(place: &Installation, customers: &[CustomerId], length: Duration) -> Result<f64, Failure> {
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < length {
        let Some(customer) = customers.get(count as usize % customers.len()).copied() else { break };
        let (brand, number) = (place.brand.clone(), count);
        place.app.run(async move |app| redeem::redeem(&app, &brand, redemption(number, customer)).await).await?;
        count += 1;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Redemptions a second and the milliseconds of each, over the first `count` customers.
async fn shoot(
    url: &str,
    key: &str,
    customers: &Arc<Vec<CustomerId>>,
    count: usize,
    length: Duration,
) -> Result<(f64, Vec<f64>), Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(error.to_string());
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| trouble(&error))?;
    let (next, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let run = SystemClock.new_id().simple().to_string();
    let mut tills = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CLIENTS {
        let (http, url, key, customers) = (http.clone(), url.to_owned(), key.to_owned(), Arc::clone(customers));
        let (next, wrong, run) = (Arc::clone(&next), Arc::clone(&wrong), run.clone());
        tills.spawn(async move {
            let mut millis = Vec::new();
            while begun.elapsed() < length {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(customer) = customers.get(number % count) else { break };
                let body = json!({ "transaction_id": format!("{run}-{number}"), "customer": { "id": customer },
                    "redeem": [{ "wallet": "points", "units": "1" }] });
                let request = http.post(&url).bearer_auth(&key).header("Content-Type", "application/json");
                let sent = Instant::now();
                match request.body(body.to_string()).send().await {
                    Ok(response) if response.status() == 201 => {
                        drop(response.bytes().await);
                        millis.push(sent.elapsed().as_secs_f64() * 1_000.0);
                    }
                    _ => drop(wrong.fetch_add(1, Ordering::Relaxed)),
                }
            }
            millis
        });
    }
    let mut millis = Vec::new();
    while let Some(done) = tills.join_next().await {
        millis.extend(done.map_err(|error| trouble(&error))?);
    }
    let spent = begun.elapsed().as_secs_f64();
    let wrong = wrong.load(Ordering::Relaxed);
    if wrong > 0 {
        return Err(Failure::Trouble(format!("{wrong} redemptions were not answered 201")));
    }
    Ok((millis.len() as f64 / spent, millis))
}

async fn psql(url: &str, sql: &'static str) -> Result<(), Failure> {
    let url = url.to_owned();
    let job = tokio::task::spawn_blocking(move || {
        Command::new("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-c", sql]).arg(url).output()
    });
    let done = job.await.map_err(|error| Failure::Trouble(error.to_string()))??;
    if done.status.success() {
        Ok(())
    } else {
        Err(Failure::Trouble(String::from_utf8_lossy(&done.stderr).into_owned()))
    }
}

/// Transactions a second; `None`: pgbench is not installed.
async fn pgbench(url: &str, script: &'static str, members: usize, length: Duration) -> Result<Option<f64>, Failure> {
    let file = std::env::temp_dir().join(format!("passarela-pgbench-{}.sql", SystemClock.new_id().simple()));
    std::fs::write(&file, script)?;
    let (url, path, seconds) = (url.to_owned(), file.clone(), length.as_secs().max(1));
    let job = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("pgbench");
        command.args(["-n", "-M", "prepared", "-c", &CLIENTS.to_string(), "-j", "2", "-T", &seconds.to_string()]);
        command.args(["-D", &format!("members={members}"), "-f"]).arg(path).arg(url).output()
    });
    let done = job.await.map_err(|error| Failure::Trouble(error.to_string()))?;
    drop(std::fs::remove_file(file));
    let Ok(done) = done else { return Ok(None) };
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    let said = || format!("pgbench: {text}{}", String::from_utf8_lossy(&done.stderr));
    rate.map(Some).ok_or_else(|| Failure::Trouble(said()))
}
