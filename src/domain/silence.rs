//! Why a phone shows no alert, in words: from what is known of the way between a change and the phone.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::delivery::DeliveryState;
use crate::domain::pass::PassKind;

/// Where a destination's row stands, when it is due, and what the last answer was.
pub type RowFacts = (DeliveryState, DateTime<Utc>, Option<String>);

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
    pub row: Option<RowFacts>,
    pub is_told: bool,
    pub told_at: Option<DateTime<Utc>>,
    pub asked_at: Option<DateTime<Utc>>,
    pub is_current: bool,
    pub fetched_at: Option<DateTime<Utc>>,
}

fn at(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn answered(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

/// Why somebody was not told yet.
fn why_untold(row: Option<&RowFacts>) -> String {
    match row {
        Some((DeliveryState::Parked, _, text)) => format!("it was given up{}", answered(text)),
        Some((DeliveryState::Sending, ..)) => "it is being told at this moment".to_owned(),
        Some((DeliveryState::Pending, due, text)) => format!("it is told from {} on{}", at(*due), answered(text)),
        Some((DeliveryState::Done, ..)) | None => "it was not told yet; the sweep sees to it".to_owned(),
    }
}

/// What is known of a pass's object at Google.
#[derive(Debug, Clone)]
pub struct ObjectFacts {
    pub kind: PassKind,
    /// Whether a change waits to be published.
    pub is_waiting: bool,
    /// Whether Google has it as it is published.
    pub is_current: bool,
    /// Whether somebody has it in their wallet.
    pub has_users: bool,
    pub row: Option<RowFacts>,
}

/// One sentence for Google's object.
pub fn why_at_google(facts: &ObjectFacts) -> String {
    if facts.is_waiting {
        return "the last change is not published yet".to_owned();
    }
    if !facts.is_current {
        return why_untold(facts.row.as_ref());
    }
    if !facts.has_users {
        return "Google has it, and nobody has it in their wallet".to_owned();
    }
    if !matches!(facts.kind, PassKind::Loyalty | PassKind::Event) {
        return format!("Google shows no alert when a {} changes", facts.kind);
    }
    match facts.row.as_ref().and_then(|(_, _, text)| text.as_ref()).and_then(|text| text.split_once("without an alert")) {
        Some((_, why)) => format!("the last change went without an alert{why}"),
        None => "Google has the newest version; it shows an alert where points, the tier, times or seats changed, the holder \
                 allows it, and the change was no roll-out"
            .to_owned(),
    }
}

/// What is known of an installation of the brand's app and a pass.
#[derive(Debug, Clone)]
pub struct AppFacts {
    pub is_waiting: bool,
    pub refused_since: Option<DateTime<Utc>>,
    pub is_told: bool,
    pub told_at: Option<DateTime<Utc>>,
    pub row: Option<RowFacts>,
}

/// One sentence for an installation.
pub fn why_in_app(facts: &AppFacts) -> String {
    if facts.is_waiting {
        return "the last change is not published yet".to_owned();
    }
    match (facts.is_told, facts.told_at, facts.refused_since) {
        (true, Some(told), _) => format!(
            "a message was taken at {}; it shows a text only where the value of a field with a change message changed, and \
             where the app and its holder allow it",
            at(told)
        ),
        (_, _, Some(since)) => {
            let why = facts.row.as_ref().map(|(_, _, text)| answered(text)).unwrap_or_default();
            format!("its address is refused since {}{why}", at(since))
        }
        _ => why_untold(facts.row.as_ref()),
    }
}

/// One sentence: the first reason on the way from the change to the screen.
pub fn why(facts: &Facts) -> String {
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
        let why = facts.row.as_ref().map(|(_, _, text)| answered(text)).unwrap_or_default();
        return format!("its push token is refused since {}{why}", at(since));
    }
    let is_open = facts.row.as_ref().is_some_and(|(state, ..)| *state != DeliveryState::Done);
    match facts.told_at {
        Some(told) if facts.is_told && !is_open => match facts.asked_at.filter(|asked| *asked >= told) {
            None => format!(
                "Apple took the push at {}, and the phone has not asked since: it is off, offline, slowed down by iOS, or has \
                 automatic updates switched off for this pass",
                at(told)
            ),
            Some(asked) => format!("it asked what changed at {} and did not fetch the pass", at(asked)),
        },
        _ => why_untold(facts.row.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn google_and_apps_have_their_reasons() {
        let moment = |secs: i64| DateTime::from_timestamp(1_800_000_000 + secs, 0).unwrap();
        let row = |state, text: &str| Some((state, moment(60), Some(text.to_owned())));
        let good =
            ObjectFacts { kind: PassKind::Loyalty, is_waiting: false, is_current: true, has_users: true, row: None };
        let spent = "200 without an alert: the pass had three within a day";
        let cases = [
            (ObjectFacts { is_waiting: true, ..good.clone() }, "not published yet"),
            (
                ObjectFacts { is_current: false, row: row(DeliveryState::Parked, "403"), ..good.clone() },
                "given up (403)",
            ),
            (ObjectFacts { is_current: false, ..good.clone() }, "the sweep"),
            (ObjectFacts { has_users: false, ..good.clone() }, "nobody has it"),
            (ObjectFacts { kind: PassKind::Coupon, ..good.clone() }, "a coupon changes"),
            (
                ObjectFacts { row: row(DeliveryState::Done, spent), ..good.clone() },
                "without an alert: the pass had three",
            ),
            (good, "newest version"),
        ];
        for (facts, part) in cases {
            assert!(why_at_google(&facts).contains(part), "{part}: {}", why_at_google(&facts));
        }
        let told =
            AppFacts { is_waiting: false, refused_since: None, is_told: true, told_at: Some(moment(0)), row: None };
        let cases = [
            (AppFacts { is_waiting: true, ..told.clone() }, "not published yet"),
            (
                AppFacts {
                    is_told: false,
                    refused_since: Some(moment(0)),
                    row: row(DeliveryState::Pending, "403 X"),
                    ..told.clone()
                },
                "refused since 2027-01-15T08:00:00Z (403 X)",
            ),
            (AppFacts { is_told: false, row: row(DeliveryState::Pending, "503"), ..told.clone() }, "(503)"),
            (told, "taken at"),
        ];
        for (facts, part) in cases {
            assert!(why_in_app(&facts).contains(part), "{part}: {}", why_in_app(&facts));
        }
    }

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
