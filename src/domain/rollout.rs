//! How a new template version goes out: a few passes first, then the rest at a pace, never all at once.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::text::text_enum;

text_enum! {
    pub enum RolloutState {
        Running = "running",
        /// By somebody, or because passes were refused.
        Paused = "paused",
        Finished = "finished",
        Aborted = "aborted",
        /// A newer one took its place.
        Superseded = "superseded",
    }
}

text_enum! {
    pub enum Stage {
        /// The first passes get the version.
        Canary = "canary",
        /// They are watched.
        Hold = "hold",
        /// All others, and every new pass, get it.
        Rest = "rest",
        /// Passes that were issued while the rest began are looked at again.
        Tail = "tail",
    }
}

/// Passes that one step marks at most: SQLite's one writer is held for some milliseconds, not longer.
pub const STEP_MAX: i64 = 200;

/// Marked passes that wait to be published, at which the next step waits too: an interactive change is published before
/// them, and never has more than these at the publisher's door.
pub const WAITING_MAX: i64 = 1_000;

/// How long after the rest began a pass can still be committed that was made with the version before.
const LATE: TimeDelta = TimeDelta::seconds(15);

/// Refused passes that stop the rest: some data is always odd. One stops the canary.
const REFUSED_MAX: i64 = 10;

/// Where a roll-out stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    /// Passes of the canary.
    pub canary: i64,
    /// Passes looked at so far.
    pub touched: i64,
    /// Passes a minute at most.
    pub per_minute: Option<i64>,
    /// When the stage began.
    pub stage_at: DateTime<Utc>,
    pub hold: TimeDelta,
}

/// What is seen before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Marked passes that wait to be published, counted up to [`WAITING_MAX`].
    pub waiting: i64,
    /// Passes that the new version could not show since somebody last looked.
    pub refused: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Wait {
        until: DateTime<Utc>,
    },
    /// Mark up to so many, and come again then.
    Touch {
        limit: i64,
        again_at: DateTime<Utc>,
    },
    Enter(Stage),
    Pause {
        refused: i64,
    },
}

/// What to do next.
pub fn next(progress: &Progress, seen: Seen, now: DateTime<Utc>) -> Step {
    let bearable = if matches!(progress.stage, Stage::Canary | Stage::Hold) { 0 } else { REFUSED_MAX };
    if seen.refused > bearable {
        return Step::Pause { refused: seen.refused };
    }
    match progress.stage {
        Stage::Canary if progress.touched >= progress.canary => Step::Enter(Stage::Hold),
        Stage::Canary => touch(progress, seen, progress.canary - progress.touched, now),
        Stage::Hold => {
            let end = progress.stage_at + progress.hold;
            if seen.waiting > 0 {
                Step::Wait { until: now + TimeDelta::milliseconds(500) }
            } else if now < end {
                // Looked at now and then: a refusal pauses it.
                Step::Wait { until: end.min(now + TimeDelta::seconds(5)) }
            } else {
                Step::Enter(Stage::Rest)
            }
        }
        Stage::Rest => touch(progress, seen, STEP_MAX, now),
        Stage::Tail if now < progress.stage_at + LATE => Step::Wait { until: progress.stage_at + LATE },
        Stage::Tail => touch(progress, seen, STEP_MAX, now),
    }
}

fn touch(progress: &Progress, seen: Seen, left: i64, now: DateTime<Utc>) -> Step {
    if seen.waiting >= WAITING_MAX {
        return Step::Wait { until: now + TimeDelta::milliseconds(200) };
    }
    let Some(per_minute) = progress.per_minute else {
        return Step::Touch { limit: left.min(STEP_MAX), again_at: now };
    };
    // A second's worth at a time, so that a slow pace is even.
    let limit = left.min((per_minute / 60).clamp(1, STEP_MAX));
    let again_at = now + TimeDelta::milliseconds(limit * 60_000 / per_minute.max(1));
    Step::Touch { limit, again_at }
}

/// Where the tail begins: ids are ordered by time, so passes from shortly before `rest_at` on are behind this one.
pub fn tail_from(rest_at: DateTime<Utc>) -> uuid::Uuid {
    let millis = u64::try_from((rest_at - LATE).timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Seen = Seen { waiting: 0, refused: 0 };

    fn progress(stage: Stage) -> Progress {
        Progress {
            stage,
            canary: 20,
            touched: 0,
            per_minute: None,
            stage_at: DateTime::UNIX_EPOCH,
            hold: TimeDelta::minutes(10),
        }
    }

    #[test]
    fn a_roll_out_goes_step_by_step() {
        let now = DateTime::UNIX_EPOCH;
        let at = |seconds| now + TimeDelta::seconds(seconds);
        let canary = progress(Stage::Canary);
        assert_eq!(next(&canary, NONE, now), Step::Touch { limit: 20, again_at: now });
        assert_eq!(next(&Progress { touched: 20, ..canary }, NONE, now), Step::Enter(Stage::Hold));
        let hold = progress(Stage::Hold);
        assert_eq!(next(&hold, NONE, now), Step::Wait { until: at(5) });
        assert_eq!(next(&hold, NONE, at(600)), Step::Enter(Stage::Rest));
        assert!(matches!(next(&hold, Seen { waiting: 1, ..NONE }, at(600)), Step::Wait { .. }));
        assert_eq!(next(&progress(Stage::Rest), NONE, now), Step::Touch { limit: STEP_MAX, again_at: now });
        let tail = progress(Stage::Tail);
        assert_eq!(next(&tail, NONE, at(1)), Step::Wait { until: at(15) });
        assert_eq!(next(&tail, NONE, at(15)), Step::Touch { limit: STEP_MAX, again_at: at(15) });
    }

    #[test]
    fn it_waits_for_the_publisher_and_stops_for_refusals() {
        let now = DateTime::UNIX_EPOCH;
        for stage in Stage::ALL {
            let refused = Seen { refused: REFUSED_MAX + 1, ..NONE };
            assert_eq!(next(&progress(*stage), refused, now), Step::Pause { refused: REFUSED_MAX + 1 });
        }
        assert_eq!(next(&progress(Stage::Canary), Seen { refused: 1, ..NONE }, now), Step::Pause { refused: 1 });
        assert!(matches!(next(&progress(Stage::Rest), Seen { refused: 1, ..NONE }, now), Step::Touch { .. }));
        let busy = Seen { waiting: WAITING_MAX, ..NONE };
        assert!(matches!(next(&progress(Stage::Rest), busy, now), Step::Wait { .. }));
    }

    #[test]
    fn a_pace_is_even() {
        let now = DateTime::UNIX_EPOCH;
        for (per_minute, limit, millis) in [(1, 1, 60_000), (600, 10, 1_000), (12_000, 200, 1_000), (60_000, 200, 200)]
        {
            let rest = Progress { per_minute: Some(per_minute), ..progress(Stage::Rest) };
            let again_at = now + TimeDelta::milliseconds(millis);
            assert_eq!(next(&rest, NONE, now), Step::Touch { limit, again_at }, "{per_minute}");
        }
    }

    #[test]
    fn the_tail_begins_before_the_passes_that_came_late() {
        let rest_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let late = uuid::Builder::from_unix_timestamp_millis(1_799_999_990_000, &[0xff; 10]).into_uuid();
        let early = uuid::Builder::from_unix_timestamp_millis(1_799_999_900_000, &[0xff; 10]).into_uuid();
        assert!(tail_from(rest_at) < late && tail_from(rest_at) > early);
    }
}
