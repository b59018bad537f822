//! The way to a service of others: open, or closed for a while after it failed or refused us.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::breaker::{Admission, Breaker};
use crate::domain::delivery::{Answer, Outcome};

/// How long rows rest that there is no way for: no credential, no account.
const CLOSED_REST: TimeDelta = TimeDelta::seconds(60);

/// Nobody may be asked for a while.
#[derive(Clone)]
pub struct Barred {
    pub why: String,
    pub until: DateTime<Utc>,
}

impl Barred {
    /// There is no way.
    pub fn closed(why: impl Into<String>, now: DateTime<Utc>) -> Self {
        Self { why: why.into(), until: now + CLOSED_REST }
    }
}

pub struct Gate {
    /// What is behind it, for the log: `Google Wallet`.
    name: String,
    breaker: Mutex<Breaker>,
}

impl Gate {
    pub fn new(name: String) -> Self {
        Self { name, breaker: Mutex::default() }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody is asked at this moment.
    pub fn is_barred(&self, now: DateTime<Utc>) -> bool {
        matches!(self.breaker().admit(now), Admission::Nobody { .. })
    }

    /// Somebody is to be asked, whose answer is then [heeded](Self::heed); or [nobody was asked](Self::forget) after all.
    pub fn admit(&self, now: DateTime<Utc>) -> Result<(), Barred> {
        let mut breaker = self.breaker();
        match breaker.admit(now) {
            Admission::Nobody { until } => return Err(Barred { why: format!("waits for {}", self.name), until }),
            Admission::One => breaker.probe(now),
            Admission::All => {}
        }
        Ok(())
    }

    /// Whoever was admitted was not asked: somebody else may see whether it is better.
    pub fn forget(&self) {
        self.breaker().forget();
    }

    /// What an answer says of the way, rather than of the one who was asked.
    pub fn heed(&self, answer: &Answer, now: DateTime<Utc>) {
        let (name, text) = (&self.name, &answer.text);
        let mut breaker = self.breaker();
        let was_open = breaker.is_open();
        match answer.outcome {
            Outcome::Delivered | Outcome::Gone { .. } | Outcome::TooMany { .. } => breaker.succeed(),
            Outcome::Rejected => {
                breaker.succeed();
                tracing::error!("{name} refuses a call as wrong: {text}");
            }
            Outcome::NotSent | Outcome::Retry { .. } => {
                if breaker.fail(now) {
                    tracing::error!("{name} is not told for a while: {text}");
                }
            }
            // A mass of refused destinations is a fault of ours: another environment, another topic.
            Outcome::Suspect => {
                if breaker.suspect(now) {
                    tracing::error!("{name} knows nobody whom we tell: {text}");
                }
            }
            Outcome::Hold | Outcome::TokenRefused => {
                if breaker.hold(now) {
                    tracing::error!("{name} refuses us, and everybody waits: {text}");
                }
            }
            Outcome::Busy { after } => {
                let rest = TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX);
                if breaker.pause(now, rest) {
                    tracing::warn!("{name} has too much to do, and everybody waits: {text}");
                }
            }
            Outcome::Obsolete => breaker.forget(),
        }
        let is_open = breaker.is_open();
        let is_barred = matches!(breaker.admit(now), Admission::Nobody { .. });
        drop(breaker);
        if was_open && !is_open {
            tracing::info!("{name} is told again");
        }
        metrics::gauge!("passarela_delivery_barred", "to" => name.clone()).set(f64::from(u8::from(is_barred)));
    }
}
