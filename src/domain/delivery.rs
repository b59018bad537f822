//! Telling a destination: what came of a try, and when to try again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::ids::{AppDeviceId, DeviceId, GoogleClassId, PassId, WrongId};
use crate::domain::text::text_enum;

/// Whether this can be a push token of Apple's: hexadecimal. What a stranger registered goes into no address.
pub fn is_apple_push_token(text: &str) -> bool {
    (2..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

text_enum! {
    /// By what way something is told.
    pub enum Channel {
        /// "Come and fetch", to a phone or watch that holds a pass.
        Apns = "apns",
        /// The whole of a class, which objects at Google Wallet belong to.
        GoogleClass = "google_class",
        /// The whole of a pass's object, to Google Wallet.
        Google = "google",
        /// A message to the brand's own app, through Firebase.
        Fcm = "fcm",
        /// A message to the brand's own iOS app, through Apple.
        App = "app",
    }
}

/// Somebody to be told: reads as the id of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    Device(DeviceId),
    /// A pass's object at Google.
    Object(PassId),
    Class(GoogleClassId),
    /// An installation that Firebase reaches, and one that Apple does: their ids read alike.
    Fcm(AppDeviceId),
    App(AppDeviceId),
}

impl Destination {
    pub const fn new(channel: Channel, id: Uuid) -> Self {
        match channel {
            Channel::Apns => Self::Device(DeviceId::new(id)),
            Channel::Google => Self::Object(PassId::new(id)),
            Channel::GoogleClass => Self::Class(GoogleClassId::new(id)),
            Channel::Fcm => Self::Fcm(AppDeviceId::new(id)),
            Channel::App => Self::App(AppDeviceId::new(id)),
        }
    }

    pub const fn channel(self) -> Channel {
        match self {
            Self::Device(_) => Channel::Apns,
            Self::Object(_) => Channel::Google,
            Self::Class(_) => Channel::GoogleClass,
            Self::Fcm(_) => Channel::Fcm,
            Self::App(_) => Channel::App,
        }
    }

    /// The channels that may mean somebody by this id.
    pub const fn channels(self) -> &'static [Channel] {
        match self {
            Self::Device(_) => &[Channel::Apns],
            Self::Object(_) => &[Channel::Google],
            Self::Class(_) => &[Channel::GoogleClass],
            Self::Fcm(_) | Self::App(_) => &[Channel::Fcm, Channel::App],
        }
    }

    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Device(device) => device.uuid(),
            Self::Object(pass) => pass.uuid(),
            Self::Class(class) => class.uuid(),
            Self::Fcm(device) | Self::App(device) => device.uuid(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => device.fmt(f),
            Self::Object(pass) => pass.fmt(f),
            Self::Class(class) => class.fmt(f),
            Self::Fcm(device) | Self::App(device) => device.fmt(f),
        }
    }
}

impl FromStr for Destination {
    type Err = WrongId;

    fn from_str(text: &str) -> Result<Self, WrongId> {
        match text.split_once('_') {
            Some((PassId::PREFIX, _)) => text.parse().map(Self::Object),
            Some((GoogleClassId::PREFIX, _)) => text.parse().map(Self::Class),
            Some((AppDeviceId::PREFIX, _)) => text.parse().map(Self::Fcm),
            _ => text.parse().map(Self::Device),
        }
    }
}

text_enum! {
    /// Where a destination's row stands.
    pub enum DeliveryState {
        /// There is something to tell, now or after a wait.
        Pending = "pending",
        /// Somebody is at it; when the lease is over, it is pending again.
        Sending = "sending",
        /// Everything was told.
        Done = "done",
        /// Given up until something changes, the sweep comes by, or somebody asks for it.
        Parked = "parked",
    }
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Taken over by whoever delivers it. (Not: seen by anybody.)
    Delivered,
    /// There was nothing to tell any more; nobody was asked.
    Obsolete,
    /// It never reached anybody who looked at it: no attempt.
    NotSent,
    /// Not now; how long to wait, if the other side said it.
    Retry { after: Option<Duration> },
    /// Not now, because this destination had too many; others are not concerned.
    TooMany { after: Option<Duration> },
    /// Not now, and nobody else either.
    Busy { after: Duration },
    /// The destination is no more, since then if that is known.
    Gone { since: Option<DateTime<Utc>> },
    /// The destination is refused, which can be its own fault or ours.
    Suspect,
    /// What was sent is wrong, and will be the next time.
    Rejected,
    /// The whole channel is closed to us: credentials or configuration.
    Hold,
    /// The same, and another token may open it.
    TokenRefused,
}

impl Outcome {
    /// The word that metrics and logs have for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Obsolete => "obsolete",
            Self::NotSent => "not_sent",
            Self::Retry { .. } => "retry",
            Self::TooMany { .. } => "too_many",
            Self::Busy { .. } => "busy",
            Self::Gone { .. } => "gone",
            Self::Suspect => "suspect",
            Self::Rejected => "rejected",
            Self::Hold => "hold",
            Self::TokenRefused => "token_refused",
        }
    }
}

/// One try, with the words of the other side for people: a status, a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    pub text: String,
}

/// What becomes of the row after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    pub state: DeliveryState,
    pub due_at: DateTime<Utc>,
    /// Failures in a row, this one included.
    pub failures: i64,
}

/// How long a wait asked for by the other side may be at most: a day. A longer one is a slip, or somebody's joke.
const AFTER_MAX: Duration = Duration::from_hours(24);

/// How long a destination that is refused rests between two tries.
const SUSPECT_REST: TimeDelta = TimeDelta::hours(6);

/// How soon what was not sent at all is tried again.
const NOT_SENT_REST: TimeDelta = TimeDelta::seconds(1);

/// After `outcome`, the `failures` in a row before it, and the waits of `schedule` (seconds). `chance` (0 to 1) spreads
/// waits over half of their length, so that what failed together does not come again together; never before the time
/// that the other side asked for.
pub fn next(outcome: &Outcome, failures: i64, schedule: &[u64], chance: f64, now: DateTime<Utc>) -> Next {
    let pending = |wait: TimeDelta, failures| Next { state: DeliveryState::Pending, due_at: now + wait, failures };
    match outcome {
        Outcome::Delivered | Outcome::Obsolete | Outcome::Gone { .. } => {
            Next { state: DeliveryState::Done, due_at: now, failures: 0 }
        }
        Outcome::NotSent => pending(NOT_SENT_REST, failures),
        // Never given up; but it may be this destination alone that is refused so, and others are asked before it again.
        Outcome::Hold | Outcome::TokenRefused => {
            let step = usize::try_from(failures).unwrap_or(usize::MAX).min(schedule.len().saturating_sub(1));
            let secs = schedule.get(step).copied().unwrap_or(60);
            let wait = TimeDelta::seconds(i64::try_from(secs).unwrap_or(3_600));
            pending(wait, failures.saturating_add(1))
        }
        // Not this destination's fault: it is never given up for it. But it waits, whatever changes meanwhile.
        Outcome::Busy { after } => {
            pending(TimeDelta::from_std((*after).min(AFTER_MAX)).unwrap_or(NOT_SENT_REST), failures.max(1))
        }
        Outcome::Suspect => pending(SUSPECT_REST, failures.saturating_add(1)),
        Outcome::Rejected => Next { state: DeliveryState::Parked, due_at: now, failures: failures.saturating_add(1) },
        Outcome::Retry { after } | Outcome::TooMany { after } => {
            let asked = after.map(|after| TimeDelta::from_std(after.min(AFTER_MAX)).unwrap_or(TimeDelta::zero()));
            let scheduled = usize::try_from(failures).ok().and_then(|failures| schedule.get(failures));
            let failures = failures.saturating_add(1);
            match (scheduled, asked) {
                (None, None) => Next { state: DeliveryState::Parked, due_at: now, failures },
                (None, Some(asked)) => Next { state: DeliveryState::Parked, due_at: now + asked, failures },
                (Some(secs), asked) => {
                    let millis = i64::try_from(*secs).unwrap_or(i64::MAX / 2_000).saturating_mul(1_000);
                    let spread =
                        TimeDelta::milliseconds(((millis as f64) * (0.5 + chance.clamp(0.0, 1.0) / 2.0)) as i64);
                    pending(asked.map_or(spread, |asked| asked.max(spread)), failures)
                }
            }
        }
    }
}

/// What `Retry-After` says: seconds, or an HTTP date.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(header).ok()?.with_timezone(&Utc);
    Some((at - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn waits_follow_the_schedule_and_then_it_is_parked() {
        let schedule = [5, 30, 120];
        let wait = |failures, chance, after: Option<u64>| {
            let outcome = Outcome::Retry { after: after.map(Duration::from_secs) };
            let next = next(&outcome, failures, &schedule, chance, now());
            (next.state, (next.due_at - now()).num_milliseconds(), next.failures)
        };
        use DeliveryState::{Parked, Pending};
        assert_eq!(wait(0, 0.0, None), (Pending, 2_500, 1));
        assert_eq!(wait(0, 1.0, None), (Pending, 5_000, 1));
        assert_eq!(wait(2, 1.0, None), (Pending, 120_000, 3));
        assert_eq!(wait(3, 1.0, None), (Parked, 0, 4));
        assert_eq!(wait(0, 1.0, Some(60)), (Pending, 60_000, 1), "what was asked for wins where it is longer");
        assert_eq!(wait(1, 1.0, Some(1)), (Pending, 30_000, 2), "and only there");
        assert_eq!(wait(3, 0.0, Some(600)), (Parked, 600_000, 4), "also for whoever comes by afterwards");
        assert_eq!(wait(0, 1.0, Some(u64::MAX)).1, 86_400_000);
    }

    #[test]
    fn only_an_attempt_counts_as_one() {
        let after = |outcome| next(&outcome, 2, &[5], 0.5, now());
        assert_eq!(after(Outcome::NotSent).failures, 2);
        assert_eq!(
            (after(Outcome::Hold).state, after(Outcome::Hold).due_at),
            (DeliveryState::Pending, now() + TimeDelta::seconds(5))
        );
        assert_eq!(after(Outcome::Delivered), Next { state: DeliveryState::Done, due_at: now(), failures: 0 });
        let busy = after(Outcome::Busy { after: Duration::from_secs(60) });
        assert_eq!(
            (busy.state, busy.due_at, busy.failures),
            (DeliveryState::Pending, now() + TimeDelta::seconds(60), 2)
        );
        assert_eq!(after(Outcome::Rejected).state, DeliveryState::Parked);
        assert_eq!(after(Outcome::Suspect).due_at, now() + TimeDelta::hours(6));
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_with_a_date() {
        assert_eq!(retry_after("7", now()), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Fri, 15 Jan 2027 08:00:30 GMT", now()), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Fri, 15 Jan 2027 07:00:00 GMT", now()), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now()), None);
        assert_eq!(retry_after("-1", now()), None);
    }
}
