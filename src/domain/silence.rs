//! Why a phone shows no alert, in words: from what is known of the way between a change and the phone.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::delivery::DeliveryState;

/// What is known of one device and the newest content of one pass.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether it is Apple that pushes to it.
    pub is_apples: bool,
    /// Whether a change waits to be published.
    pub is_waiting: bool,
    /// Whether anything was published since the pass was made.
    pub has_changed: bool,
    pub refused_since: Option<DateTime<Utc>>,
    /// Where its row stands, when it is due, and what the last answer was.
    pub row: Option<(DeliveryState, DateTime<Utc>, Option<String>)>,
    pub is_told: bool,
    pub told_at: Option<DateTime<Utc>>,
    pub asked_at: Option<DateTime<Utc>>,
    pub is_current: bool,
    pub fetched_at: Option<DateTime<Utc>>,
}

fn at(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// One sentence: the first reason on the way from the change to the screen.
pub fn why(facts: &Facts) -> String {
    let answer = |answer: &Option<String>| answer.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    if facts.is_waiting {
        return "the last change is not published yet".to_owned();
    }
    if !facts.has_changed {
        return "nothing changed since the pass was made".to_owned();
    }
    if !facts.is_apples && !facts.is_current {
        return "it is another vendor's wallet, which comes by itself".to_owned();
    }
    if facts.is_current {
        let when = facts.fetched_at.map(|moment| format!(" since {}", at(moment))).unwrap_or_default();
        return format!(
            "it has the newest version{when}; a phone shows an alert only where the value of a field with a change message \
             changed and its holder allows notifications"
        );
    }
    if let Some(since) = facts.refused_since {
        let why = facts.row.as_ref().map(|(_, _, text)| answer(text)).unwrap_or_default();
        return format!("its push token is refused since {}{why}", at(since));
    }
    match (&facts.row, facts.told_at) {
        (Some((DeliveryState::Parked, _, text)), _) => format!("it was given up{}", answer(text)),
        (Some((DeliveryState::Sending, ..)), _) => "it is being told at this moment".to_owned(),
        (Some((DeliveryState::Pending, due, text)), _) => format!("it is told from {} on{}", at(*due), answer(text)),
        (_, Some(told)) if facts.is_told => match facts.asked_at.filter(|asked| *asked >= told) {
            None => format!(
                "Apple took the push at {}, and the phone has not asked since: it is off, offline, slowed down by iOS, or has \
                 automatic updates switched off for this pass",
                at(told)
            ),
            Some(asked) => format!("it asked what changed at {} and did not fetch the pass", at(asked)),
        },
        _ => "it was not told yet; the sweep sees to it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_on_the_way_is_told() {
        let moment = |secs: i64| DateTime::from_timestamp(1_800_000_000 + secs, 0).unwrap();
        let row = |state, text: &str| Some((state, moment(60), Some(text.to_owned())));
        let told = Facts { is_apples: true, has_changed: true, ..Facts::default() };
        let cases = [
            (Facts { is_waiting: true, ..told.clone() }, "not published yet"),
            (Facts { has_changed: false, ..told.clone() }, "nothing changed"),
            (Facts { is_apples: false, ..told.clone() }, "comes by itself"),
            (
                Facts { is_current: true, fetched_at: Some(moment(5)), ..told.clone() },
                "newest version since 2027-01-15T08:00:05Z",
            ),
            (
                Facts {
                    refused_since: Some(moment(0)),
                    row: row(DeliveryState::Pending, "400 BadDeviceToken"),
                    ..told.clone()
                },
                "refused since 2027-01-15T08:00:00Z (400 BadDeviceToken)",
            ),
            (Facts { row: row(DeliveryState::Parked, "500"), ..told.clone() }, "given up (500)"),
            (Facts { row: row(DeliveryState::Sending, ""), ..told.clone() }, "at this moment"),
            (
                Facts { row: row(DeliveryState::Pending, "503 Shutdown"), ..told.clone() },
                "from 2027-01-15T08:01:00Z on (503 Shutdown)",
            ),
            (
                Facts { is_told: true, told_at: Some(moment(9)), asked_at: Some(moment(8)), ..told.clone() },
                "has not asked since",
            ),
            (
                Facts { is_told: true, told_at: Some(moment(9)), asked_at: Some(moment(9)), ..told.clone() },
                "did not fetch",
            ),
            (told, "the sweep"),
        ];
        for (facts, part) in cases {
            assert!(why(&facts).contains(part), "{part}: {}", why(&facts));
        }
    }
}
