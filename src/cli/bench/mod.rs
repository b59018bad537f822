//! `passarela bench`: what this machine can do, beside its own limit, which is measured in the same run.

mod installation;
mod members;
mod publish;
mod push;
mod redeem;
mod serve;
mod sign;
mod verify;

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, Output};

#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
    /// How long each measure takes.
    #[arg(long, global = true, default_value_t = 10)]
    seconds: u64,
    /// The database to measure on; an SQLite file in the temporary folder if absent. It must be empty.
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Published content to bundle, against bare RSA signatures of the same OpenSSL.
    Sign,
    /// Looking at a bundle as a phone does, on one core.
    Verify,
    /// Database to content to bundle, against bare RSA signatures of the same OpenSSL.
    Publish,
    /// The client of Apple's push service, one change to many phones, and the way from a change to acceptance. Load for the
    /// client's limit comes from h2load (Debian: nghttp2-client), for the fan-out's from pgbench.
    Push {
        /// Phones that one change is told to.
        #[arg(long, default_value_t = 50_000)]
        registrations: usize,
    },
    /// Redemptions through the API with 16 tills, spread and on one wallet, against the same statements replayed by pgbench, a
    /// bare redemption of six statements, or, on SQLite, the same use case in a loop.
    Redeem {
        /// Members that redeem.
        #[arg(long, default_value_t = 1_000)]
        members: usize,
        /// Entries that each has before: one that earned, the others that spent.
        #[arg(long, default_value_t = 1)]
        entries: usize,
    },
    /// Apple's web service over real sockets with a million registrations, against a handler that answers the same
    /// bytes from memory. Load comes from wrk.
    Serve {
        #[arg(long, default_value_t = 1_000_000)]
        registrations: usize,
    },
}

/// One line of results.
#[derive(Debug, Serialize)]
struct Measure {
    measure: &'static str,
    unit: &'static str,
    value: f64,
    /// What the machine could do at best; null, with the reason in `note`, where that could not be measured.
    limit: Option<f64>,
    ratio: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    seconds: f64,
    note: String,
}

impl Measure {
    fn new(measure: &'static str, value: f64, limit: Option<f64>, seconds: f64, note: String) -> Self {
        let ratio = limit.map(|limit| value / limit);
        Self { measure, unit: "1/s", value, limit, ratio, p50_ms: None, p99_ms: None, seconds, note }
    }

    fn print(&self, output: Output) {
        output.print(self, || {
            let limit = self.limit.map_or_else(|| "-".to_owned(), |limit| format!("{limit:.0}"));
            let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
            let latency = match (self.p50_ms, self.p99_ms) {
                (Some(p50), Some(p99)) => format!("  p50 {p50:.2} ms, p99 {p99:.2} ms"),
                _ => String::new(),
            };
            format!(
                "{:28} {:>9.0}/s  limit {limit:>9}/s  ratio {ratio}{latency}\n    {}",
                self.measure, self.value, self.note
            )
        });
    }
}

impl Bench {
    pub async fn run(self, output: Output) -> Result<(), Failure> {
        let seconds = Duration::from_secs(self.seconds.max(1));
        match self.what {
            What::Sign => sign::run(seconds, output),
            What::Verify => verify::run(seconds, output),
            What::Publish => publish::run(seconds, self.database_url, output).await,
            What::Push { registrations } => push::run(seconds, self.database_url, registrations, output).await,
            What::Redeem { members, entries } => {
                redeem::run(seconds, self.database_url, members, entries, output).await
            }
            What::Serve { registrations } => serve::run(seconds, self.database_url, registrations, output).await,
        }
    }
}

/// Rates of two works that take turns in short slices, on `threads` threads each: noise of the machine meets both.
fn compare<A, B>(threads: usize, total: Duration, a: A, b: B) -> (f64, f64)
where
    A: Fn(usize) + Sync,
    B: Fn(usize) + Sync,
{
    const SLICE: Duration = Duration::from_millis(200);
    let (mut counts, mut spent) = ([0u64; 2], [Duration::ZERO; 2]);
    let begun = Instant::now();
    while begun.elapsed() < total * 2 {
        let (count, time) = slice(threads, SLICE, &a);
        counts[0] += count;
        spent[0] += time;
        let (count, time) = slice(threads, SLICE, &b);
        counts[1] += count;
        spent[1] += time;
    }
    (counts[0] as f64 / spent[0].as_secs_f64(), counts[1] as f64 / spent[1].as_secs_f64())
}

fn slice(threads: usize, length: Duration, work: &(impl Fn(usize) + Sync)) -> (u64, Duration) {
    let begun = Instant::now();
    let counts = std::thread::scope(|scope| {
        let one = |thread: usize| {
            move || {
                let mut count = 0u64;
                while begun.elapsed() < length {
                    work(thread);
                    count += 1;
                }
                count
            }
        };
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(one(thread))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or(0)).sum()
    });
    (counts, begun.elapsed())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
