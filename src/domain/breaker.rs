//! A circuit breaker: after failures in a row nobody is asked for a while, then one, then everybody again.

use chrono::{DateTime, TimeDelta, Utc};

/// Failures in a row, of whichever destinations, that open it.
const FAILURES_MAX: u32 = 20;

/// How long it stays open: the first time, and at most. Each failed probe doubles it.
const REST: TimeDelta = TimeDelta::seconds(2);
const REST_MAX: TimeDelta = TimeDelta::seconds(60);

/// The longest that the other side may ask everybody to wait: a header of theirs is not to close us for ever.
const PAUSE_MAX: TimeDelta = TimeDelta::hours(1);

/// An answer that has not come by then was lost with whoever asked.
const PROBE_MAX: TimeDelta = TimeDelta::seconds(60);

/// Destinations in a row that are refused as such, at which it is taken for a fault of ours: one card can have fifty phones
/// that its holder made up.
const SUSPECTS_MAX: u32 = 200;

/// One breaker. Times are handed in.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    suspects: u32,
    /// Until when nobody is asked, and how long that was.
    open: Option<(DateTime<Utc>, TimeDelta)>,
    /// Until when everybody is asked to wait. An answer to somebody who was on his way does not end that.
    paused: Option<DateTime<Utc>>,
    /// Until when the answer of the one after the rest is waited for, if it is on its way.
    probing: Option<DateTime<Utc>>,
}

/// What may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    All,
    /// One, whose answer decides.
    One,
    Nobody {
        until: DateTime<Utc>,
    },
}

impl Breaker {
    pub fn admit(&self, now: DateTime<Utc>) -> Admission {
        if let Some(until) = self.paused.filter(|until| now < *until) {
            return Admission::Nobody { until };
        }
        match self.open {
            None => Admission::All,
            Some((until, _)) if now < until => Admission::Nobody { until },
            Some(_) => match self.probing.filter(|lost| now < *lost) {
                Some(_) => Admission::Nobody { until: now + TimeDelta::seconds(1) },
                None => Admission::One,
            },
        }
    }

    /// The one that was admitted is on its way.
    pub fn probe(&mut self, now: DateTime<Utc>) {
        self.probing = self.open.map(|_| now + PROBE_MAX);
    }

    /// Nothing came of the probe: there was nothing to ask.
    pub fn forget(&mut self) {
        self.probing = None;
    }

    /// Somebody was answered.
    pub fn succeed(&mut self) {
        *self = Self { paused: self.paused, ..Self::default() };
    }

    /// Somebody was not answered, or with a failure that is not his own. Whether this opened it.
    pub fn fail(&mut self, now: DateTime<Utc>) -> bool {
        self.failures = self.failures.saturating_add(1);
        let was_probing = self.probing.take().is_some();
        match self.open {
            Some((_, rest)) if was_probing => self.rest(now, (rest * 2).min(REST_MAX)),
            None if self.failures >= FAILURES_MAX => {
                self.rest(now, REST);
                return true;
            }
            Some(_) | None => {}
        }
        false
    }

    /// Somebody was refused as nobody that the other side knows. Whether so many were that this opened it.
    pub fn suspect(&mut self, now: DateTime<Utc>) -> bool {
        self.suspects = self.suspects.saturating_add(1);
        // Whoever was asked to see whether it is better was the wrong one: the next is asked at once.
        self.probing = None;
        if self.open.is_none() && self.suspects >= SUSPECTS_MAX {
            self.rest(now, REST);
            return true;
        }
        false
    }

    /// The other side refuses us, not somebody: open at once. Whether it was closed before.
    pub fn hold(&mut self, now: DateTime<Utc>) -> bool {
        let was_closed = self.open.is_none();
        self.probing = None;
        self.rest(now, REST_MAX);
        was_closed
    }

    /// The other side has too much to do, and said for how long. Whether nobody had heard of it.
    pub fn pause(&mut self, now: DateTime<Utc>, rest: TimeDelta) -> bool {
        let is_new = self.paused.is_none_or(|until| until <= now);
        self.probing = None;
        self.paused = self.paused.max(Some(now + rest.clamp(REST, PAUSE_MAX)));
        is_new
    }

    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn rest(&mut self, now: DateTime<Utc>, rest: TimeDelta) {
        self.open = Some((now + rest, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_closes_it() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX - 1 {
            assert!(!breaker.fail(at(0)));
        }
        breaker.succeed();
        for n in 1..=FAILURES_MAX {
            assert_eq!(breaker.fail(at(0)), n == FAILURES_MAX);
        }
        assert_eq!(breaker.admit(at(1)), Admission::Nobody { until: at(2) });
        assert_eq!(breaker.admit(at(2)), Admission::One);
        breaker.probe(at(2));
        assert_eq!(breaker.admit(at(2)), Admission::Nobody { until: at(3) }, "one at a time");
        assert!(!breaker.fail(at(3)), "it was open");
        assert_eq!(breaker.admit(at(6)), Admission::Nobody { until: at(7) }, "twice as long");
        breaker.probe(at(7));
        breaker.forget();
        assert_eq!(breaker.admit(at(7)), Admission::One);
        breaker.probe(at(7));
        assert_eq!(breaker.admit(at(67)), Admission::One, "the answer was lost");
        breaker.succeed();
        assert_eq!(breaker.admit(at(7)), Admission::All);
    }

    #[test]
    fn many_that_nobody_knows_open_it_and_the_first_who_is_known_closes_it() {
        let mut breaker = Breaker::default();
        for n in 1..=SUSPECTS_MAX {
            assert_eq!(breaker.suspect(at(0)), n == SUSPECTS_MAX);
        }
        breaker.probe(at(2));
        assert!(!breaker.suspect(at(2)));
        assert_eq!(breaker.admit(at(2)), Admission::One, "no longer rest for one more");
        breaker.succeed();
        assert!(!breaker.suspect(at(2)));
    }

    #[test]
    fn late_failures_of_before_do_not_prolong_the_rest() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX + 30 {
            breaker.fail(at(0));
        }
        assert_eq!(breaker.admit(at(2)), Admission::One);
    }

    #[test]
    fn a_refusal_of_ourselves_opens_it_at_once() {
        let mut breaker = Breaker::default();
        assert!(breaker.hold(at(0)));
        assert_eq!(breaker.admit(at(59)), Admission::Nobody { until: at(60) });
        breaker.probe(at(60));
        assert!(!breaker.hold(at(60)));
        assert_eq!(breaker.admit(at(61)), Admission::Nobody { until: at(120) });
    }

    #[test]
    fn it_waits_as_long_as_it_is_asked_to_and_no_longer_than_an_hour() {
        let mut breaker = Breaker::default();
        assert!(breaker.pause(at(0), TimeDelta::seconds(90)));
        assert!(!breaker.pause(at(0), TimeDelta::seconds(90)));
        assert_eq!(breaker.admit(at(89)), Admission::Nobody { until: at(90) });
        breaker.succeed();
        assert_eq!(breaker.admit(at(89)), Admission::Nobody { until: at(90) }, "that one was on his way");
        assert_eq!(breaker.admit(at(90)), Admission::All);
        breaker.pause(at(90), TimeDelta::MAX);
        assert_eq!(breaker.admit(at(91)), Admission::Nobody { until: at(3_690) });
    }
}
