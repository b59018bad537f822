//! Counting within a calendar period: what was earned today, how often this month.

use chrono::{DateTime, Datelike as _, Days, Utc};
use chrono_tz::Tz;

use crate::domain::period::{day_of, day_start};
use crate::domain::text::text_enum;

text_enum! {
    /// A period of the program's calendar. Weeks begin on Monday.
    pub enum CalendarPeriod {
        Day = "day",
        Week = "week",
        Month = "month",
        Year = "year",
    }
}

impl CalendarPeriod {
    /// When the period that a moment is in began.
    pub fn start(self, at: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let day = day_of(at, zone);
        let first = match self {
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => day.with_day(1),
            Self::Year => day.with_day(1).and_then(|day| day.with_month(1)),
        };
        first.map_or(at, |first| day_start(first, zone))
    }
}

/// A count since the beginning of a period. A count of a period that is over is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    pub since: DateTime<Utc>,
    pub count: i64,
}

impl Default for Counter {
    fn default() -> Self {
        Self { since: DateTime::UNIX_EPOCH, count: 0 }
    }
}

impl Counter {
    /// The count of the period that began at `start`.
    pub fn count_since(self, start: DateTime<Utc>) -> i64 {
        if self.since >= start { self.count } else { 0 }
    }

    /// What was counted at this moment is not, if its period is not over.
    pub fn less(self, at: DateTime<Utc>, less: i64) -> Self {
        let count = if self.since <= at { self.count.saturating_sub(less).max(0) } else { self.count };
        Self { count, ..self }
    }

    pub fn add(self, start: DateTime<Utc>, more: i64) -> Self {
        Self { since: start.max(self.since), count: self.count_since(start).saturating_add(more) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_where_the_programs_calendar_says() {
        let zone = chrono_tz::America::Sao_Paulo;
        let at: DateTime<Utc> = "2026-03-05T01:00:00Z".parse().unwrap();
        let starts = CalendarPeriod::ALL.iter().map(|period| period.start(at, zone).to_rfc3339());
        assert_eq!(
            starts.collect::<Vec<_>>(),
            [
                "2026-03-04T03:00:00+00:00",
                "2026-03-02T03:00:00+00:00",
                "2026-03-01T03:00:00+00:00",
                "2026-01-01T03:00:00+00:00"
            ]
        );
        let today = CalendarPeriod::Day.start(at, zone);
        let counter = Counter::default().add(today, 3).add(today, 4);
        assert_eq!(counter.count_since(today), 7);
        assert_eq!(counter.count_since(CalendarPeriod::Day.start(at + chrono::TimeDelta::days(1), zone)), 0);
    }
}
