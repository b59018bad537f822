//! The way to a service of others: open, or closed for a while after it failed or refused us.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::breaker::{Admission, Breaker};
use crate::domain::delivery::{Answer, Outcome};

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

    /// Somebody is to be asked, whose answer is then [heeded](Self::heed). `Err`: nobody is, until then.
    pub fn admit(&self, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        let mut breaker = self.breaker();
        match breaker.admit(now) {
            Admission::Nobody { until } => return Err(until),
            Admission::One => breaker.probe(now),
            Admission::All => {}
        }
        Ok(())
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
