//! Lengths of time as programs write them: `14D`, `6M`, `1Y_U`, counted on the calendar of a time zone.

use std::fmt;
use std::str::FromStr;

use chrono::TimeZone as _;
use chrono::{
    DateTime, Datelike as _, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc,
};
use chrono_tz::Tz;

/// What a length is counted in. Days and longer are the calendar's: a day may have 23 or 25 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
    Months,
    Years,
}

/// Where a moment is moved to after the length was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Nowhere.
    None,
    /// `_U`: to the end of the unit it is in, which is the first moment of the next one.
    Up,
    /// `_D`: to the first moment of the day it is in.
    Down,
}

/// A length of time, such as `30s`, `40m`, `1h`, `5D`, `7W`, `10M`, `15Y`, and how its end is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    count: u32,
    unit: Unit,
    rounding: Rounding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a length of time such as 14D, 6M or 1Y_U: a number, one of s m h D W M Y, and maybe _U (to the end of that unit) or _D (to the start of the day)"
)]
pub struct BadPeriod;

/// A hundred years, in whatever unit.
const YEARS_MAX: i64 = 100;

impl Period {
    /// The moment this long after `start`, on the calendar of `zone`. A day that the month does not have is its last one.
    pub fn after(self, start: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = start.with_timezone(&zone).naive_local();
        let on = |date: Option<NaiveDate>| date.map(|date| moment(date.and_time(local.time()), zone));
        let days = |days: u64| local.date().checked_add_days(Days::new(days));
        let months = |months: u32| local.date().checked_add_months(Months::new(months));
        let count = self.count;
        let end = match self.unit {
            Unit::Seconds => start.checked_add_signed(TimeDelta::seconds(count.into())),
            Unit::Minutes => start.checked_add_signed(TimeDelta::minutes(count.into())),
            Unit::Hours => start.checked_add_signed(TimeDelta::hours(count.into())),
            Unit::Days => on(days(count.into())),
            Unit::Weeks => on(days(u64::from(count) * 7)),
            Unit::Months => on(months(count)),
            Unit::Years => on(count.checked_mul(12).and_then(months)),
        };
        // A program that is asked beyond the calendar's end keeps what it has for good.
        let end = end.unwrap_or(DateTime::<Utc>::MAX_UTC);
        match self.rounding {
            Rounding::None => end,
            Rounding::Down => day_start(end.with_timezone(&zone).date_naive(), zone),
            Rounding::Up => self.unit.end_of(end, zone),
        }
    }

    /// When the length that ends at `end` began, on the calendar of `zone`; rounding does not count.
    pub fn before(self, end: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let local = end.with_timezone(&zone).naive_local();
        let on = |date: Option<NaiveDate>| date.map(|date| moment(date.and_time(local.time()), zone));
        let days = |days: u64| local.date().checked_sub_days(Days::new(days));
        let months = |months: u32| local.date().checked_sub_months(Months::new(months));
        let count = self.count;
        let start = match self.unit {
            Unit::Seconds => end.checked_sub_signed(TimeDelta::seconds(count.into())),
            Unit::Minutes => end.checked_sub_signed(TimeDelta::minutes(count.into())),
            Unit::Hours => end.checked_sub_signed(TimeDelta::hours(count.into())),
            Unit::Days => on(days(count.into())),
            Unit::Weeks => on(days(u64::from(count) * 7)),
            Unit::Months => on(months(count)),
            Unit::Years => on(count.checked_mul(12).and_then(months)),
        };
        start.unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

impl Unit {
    const ALL: [(Self, char); 7] = [
        (Self::Seconds, 's'),
        (Self::Minutes, 'm'),
        (Self::Hours, 'h'),
        (Self::Days, 'D'),
        (Self::Weeks, 'W'),
        (Self::Months, 'M'),
        (Self::Years, 'Y'),
    ];

    /// How many of it there are in a year at least.
    const fn in_a_year(self) -> i64 {
        match self {
            Self::Seconds => 365 * 86_400,
            Self::Minutes => 365 * 1_440,
            Self::Hours => 365 * 24,
            Self::Days => 365,
            Self::Weeks => 52,
            Self::Months => 12,
            Self::Years => 1,
        }
    }

    /// The first moment of the unit after the one that `at` is in. Weeks begin on Monday.
    fn end_of(self, at: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let date = at.with_timezone(&zone).date_naive();
        let days = |days: u64| date.checked_add_days(Days::new(days));
        let first = |months: u32| date.with_day(1).and_then(|first| first.checked_add_months(Months::new(months)));
        let next = match self {
            Self::Seconds | Self::Minutes | Self::Hours => return at,
            Self::Days => days(1),
            Self::Weeks => days(u64::from(7 - date.weekday().num_days_from_monday())),
            Self::Months => first(1),
            Self::Years => first(13 - date.month()),
        };
        next.map_or(DateTime::<Utc>::MAX_UTC, |next| day_start(next, zone))
    }
}

/// The first moment of a day; where the clock was put forward over midnight, the first that there is.
pub fn day_start(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    moment(date.and_time(NaiveTime::MIN), zone)
}

/// The day that a moment is in.
pub fn day_of(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// A wall-clock time as a moment: one that there is twice is the first, one that there is not is as much later as the clock
/// was put forward.
fn moment(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => at.to_utc(),
        MappedLocalTime::None => {
            let before = local - TimeDelta::hours(3);
            let before = zone.from_local_datetime(&before).earliest();
            before.map_or_else(|| local.and_utc(), |before| (before + TimeDelta::hours(3)).to_utc())
        }
    }
}

impl FromStr for Period {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        let (text, rounding) = match text.split_once('_') {
            None => (text, Rounding::None),
            Some((text, "U")) => (text, Rounding::Up),
            Some((text, "D")) => (text, Rounding::Down),
            Some(_) => return Err(BadPeriod),
        };
        let letter = text.chars().last().ok_or(BadPeriod)?;
        let (unit, _) = Unit::ALL.into_iter().find(|(_, known)| *known == letter).ok_or(BadPeriod)?;
        let digits = text.strip_suffix(letter).ok_or(BadPeriod)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadPeriod);
        }
        let count: u32 = digits.parse().map_err(|_| BadPeriod)?;
        if i64::from(count) > unit.in_a_year() * YEARS_MAX {
            return Err(BadPeriod);
        }
        Ok(Self { count, unit, rounding })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = Unit::ALL.into_iter().find(|(unit, _)| *unit == self.unit).map_or('s', |(_, letter)| letter);
        let rounding = match self.rounding {
            Rounding::None => "",
            Rounding::Up => "_U",
            Rounding::Down => "_D",
        };
        write!(f, "{}{letter}{rounding}", self.count)
    }
}

impl serde::Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_length_ends_where_the_calendar_says() {
        let paulo = chrono_tz::America::Sao_Paulo;
        let lisbon = chrono_tz::Europe::Lisbon;
        let cases = [
            ("30s", "2026-01-01T00:00:00Z", paulo, "2026-01-01T00:00:30Z"),
            ("14D", "2026-01-01T12:00:00Z", paulo, "2026-01-15T12:00:00Z"),
            ("1M", "2026-01-31T12:00:00Z", paulo, "2026-02-28T12:00:00Z"),
            ("1Y", "2028-02-29T12:00:00Z", paulo, "2029-02-28T12:00:00Z"),
            // Nine in the evening of 1 March in São Paulo is midnight in UTC: the month ends three hours after UTC's.
            ("1M_U", "2026-03-02T00:00:00Z", paulo, "2026-05-01T03:00:00Z"),
            ("1D_U", "2026-03-02T02:00:00Z", paulo, "2026-03-03T03:00:00Z"),
            ("1W_U", "2026-03-04T12:00:00Z", paulo, "2026-03-16T03:00:00Z"),
            ("1Y_U", "2026-12-31T12:00:00Z", paulo, "2028-01-01T03:00:00Z"),
            ("2D_D", "2026-03-04T12:00:00Z", paulo, "2026-03-06T03:00:00Z"),
            // The clock goes forward on 29 March 2026 at 1:00 in Lisbon: a day has 23 hours, and 1:30 is 2:30.
            ("1D", "2026-03-28T12:00:00Z", lisbon, "2026-03-29T11:00:00Z"),
            ("1D", "2026-03-28T01:30:00Z", lisbon, "2026-03-29T01:30:00Z"),
            ("24h", "2026-03-28T12:00:00Z", lisbon, "2026-03-29T12:00:00Z"),
        ];
        for (period, start, zone, end) in cases {
            let period: Period = period.parse().unwrap();
            assert_eq!(period.after(at(start), zone), at(end), "{period} after {start} in {zone}");
        }
    }

    #[test]
    fn a_length_reads_back_and_nothing_else_is_taken() {
        for text in ["30s", "40m", "1h", "5D", "7W", "10M", "15Y", "1Y_U", "0D_D", "100Y"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for wrong in ["", "D", "1", "-1D", "1d", "1D_X", "1 D", "101Y", "99999999999D", "+1D", "1É"] {
            assert_eq!(wrong.parse::<Period>(), Err(BadPeriod), "{wrong}");
        }
    }

    #[test]
    fn a_length_before_a_moment_is_where_it_began() {
        let zone = chrono_tz::America::Sao_Paulo;
        let period: Period = "1M".parse().unwrap();
        assert_eq!(period.before(at("2026-03-31T12:00:00Z"), zone), at("2026-02-28T12:00:00Z"));
    }
}
