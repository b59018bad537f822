//! Tiers: levels that members reach, keep and lose.

use std::cmp::Ordering;

use chrono::{DateTime, Datelike as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::{self, BadSpec};
use crate::domain::period::{Period, day_of, day_start};
use crate::domain::text::text_enum;

text_enum! {
    /// What a member is measured by.
    pub enum QualifyBy {
        /// The wallet's balance.
        Balance = "balance",
        /// Units earned into the wallet in the window.
        Earned = "earned",
        /// Money spent in the window, in minor units.
        Spend = "spend",
        /// Purchases in the window.
        Visits = "visits",
    }
}

text_enum! {
    /// How a tier is lost.
    pub enum Downgrade {
        /// To the tier that the measure reaches, maybe several below.
        ReEvaluate = "re_evaluate",
        /// One at a time.
        OneDown = "one_down",
        /// Never.
        None = "none",
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WindowSpec {
    Last(Period),
    CalendarYear {},
    MembershipYear {},
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TiersSpec {
    wallet: String,
    qualify_by: QualifyBy,
    #[serde(default)]
    window: Option<WindowSpec>,
    tiers: Vec<TierSpec>,
    #[serde(default)]
    downgrade: Option<Downgrade>,
    /// How long a tier is kept whatever the measure says.
    #[serde(default)]
    lasts: Option<Period>,
    #[serde(default)]
    grace: Option<Period>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierSpec {
    key: String,
    name: String,
    minimum: String,
}

/// A level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub key: String,
    pub name: String,
    /// The measure that it takes.
    pub minimum: i64,
}

/// The time in which what a member did counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Ever,
    Last(Period),
    CalendarYear,
    MembershipYear,
}

/// A program's tiers, lowest first; the lowest takes nothing.
#[derive(Debug, Clone)]
pub struct TierRules {
    /// The key of the wallet type that they are attached to.
    pub wallet: String,
    pub qualify_by: QualifyBy,
    pub window: Window,
    pub tiers: Vec<Tier>,
    pub downgrade: Downgrade,
    pub lasts: Option<Period>,
    pub grace: Option<Period>,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The tier's key.
    pub tier: String,
    pub since: DateTime<Utc>,
    /// Until when it is kept in any case; `None`: as long as the measure reaches it.
    pub until: Option<DateTime<Utc>>,
    /// When it is lost if nothing happens: the end of the grace.
    pub lost_at: Option<DateTime<Utc>>,
}

/// What a pass can say about a member's tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub key: String,
    pub name: String,
    pub since: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    pub value: i64,
    /// The measure of this tier.
    pub minimum: i64,
    /// The next tier and what is missing: an opportunity.
    pub next: Option<Next>,
    /// The tier that threatens, and when: a risk.
    pub risk: Option<Risk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    pub key: String,
    pub name: String,
    pub minimum: i64,
    pub missing: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Risk {
    pub key: String,
    pub name: String,
    pub at: DateTime<Utc>,
}

impl TierRules {
    /// Reads a spec as the brand wrote it; `scale` is that of the wallet type it names.
    pub fn read(spec: &Value, scale: impl Fn(&str) -> Option<u8>) -> Result<Self, BadSpec> {
        let spec: TiersSpec = spec::read(spec)?;
        let scale = scale(&spec.wallet)
            .ok_or_else(|| BadSpec::new("/wallet", "must be the key of one of the program's wallet types"))?;
        let scale = match spec.qualify_by {
            QualifyBy::Balance | QualifyBy::Earned => scale,
            QualifyBy::Spend | QualifyBy::Visits => 0,
        };
        let mut tiers = Vec::with_capacity(spec.tiers.len());
        for (index, tier) in spec.tiers.iter().enumerate() {
            tiers.push(Tier {
                key: spec::key(&format!("/tiers/{index}/key"), &tier.key)?,
                name: spec::line(&format!("/tiers/{index}/name"), &tier.name, 32)?,
                minimum: spec::units(&format!("/tiers/{index}/minimum"), &tier.minimum, scale, 0)?,
            });
        }
        if tiers.is_empty() || tiers.len() > 20 {
            return Err(BadSpec::new("/tiers", "must be 1 to 20"));
        }
        if tiers.first().is_some_and(|tier| tier.minimum != 0) {
            return Err(BadSpec::new("/tiers/0/minimum", "must be \"0\": every member has a tier"));
        }
        for (index, pair) in tiers.windows(2).enumerate() {
            if let [below, above] = pair
                && below.minimum >= above.minimum
            {
                return Err(BadSpec::new(
                    format!("/tiers/{}/minimum", index + 1),
                    "must be above that of the tier before",
                ));
            }
        }
        let mut keys: Vec<&str> = tiers.iter().map(|tier| tier.key.as_str()).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err(BadSpec::new("/tiers", "two have the same key"));
        }
        let window = match spec.window {
            None => Window::Ever,
            Some(WindowSpec::Last(period)) => Window::Last(period),
            Some(WindowSpec::CalendarYear {}) => Window::CalendarYear,
            Some(WindowSpec::MembershipYear {}) => Window::MembershipYear,
        };
        if spec.qualify_by == QualifyBy::Balance && window != Window::Ever {
            return Err(BadSpec::new("/window", "a balance has no window"));
        }
        let downgrade = spec.downgrade.unwrap_or(Downgrade::ReEvaluate);
        if downgrade == Downgrade::OneDown && spec.lasts.is_none() && spec.grace.is_none() {
            return Err(BadSpec::new("/downgrade", "one_down wants lasts or grace: the time between two steps"));
        }
        Ok(Self {
            wallet: spec.wallet,
            qualify_by: spec.qualify_by,
            window,
            tiers,
            downgrade,
            lasts: spec.lasts,
            grace: spec.grace,
        })
    }

    /// Since when what a member did counts at this moment: the first moment of a day. `None`: it always does.
    pub fn window_start(&self, joined: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        Some(match self.window {
            Window::Ever => return None,
            Window::Last(period) => day_start(day_of(period.before(now, zone), zone), zone),
            Window::CalendarYear => {
                let day = day_of(now, zone);
                let first = day.with_day(1).and_then(|day| day.with_month(1)).unwrap_or(day);
                day_start(first, zone)
            }
            Window::MembershipYear => {
                let (first, today) = (day_of(joined, zone), day_of(now, zone));
                let years = today.year() - first.year();
                let anniversary = |years: i32| {
                    let months = chrono::Months::new(u32::try_from(years.max(0)).unwrap_or(0) * 12);
                    first.checked_add_months(months).unwrap_or(first)
                };
                let this = anniversary(years);
                day_start(if this > today { anniversary(years - 1) } else { this }, zone)
            }
        })
    }

    fn rank(&self, key: &str) -> usize {
        self.tiers.iter().position(|tier| tier.key == key).unwrap_or(0)
    }

    fn reached(&self, value: i64) -> usize {
        self.tiers.iter().rposition(|tier| tier.minimum <= value).unwrap_or(0)
    }

    fn at(&self, rank: usize, now: DateTime<Utc>, zone: Tz) -> Standing {
        let tier = self.tiers.get(rank).map(|tier| tier.key.clone()).unwrap_or_default();
        // The lowest is nobody's to lose.
        let until = self.lasts.filter(|_| rank > 0).map(|lasts| lasts.after(now, zone));
        Standing { tier, since: now, until, lost_at: None }
    }

    /// Where a member stands whose measure is `value`. Up at once; down when the time that a tier is kept is over, after the
    /// grace, as far as the policy says.
    pub fn evaluate(&self, standing: Option<&Standing>, value: i64, now: DateTime<Utc>, zone: Tz) -> Standing {
        let reached = self.reached(value);
        let Some(standing) = standing else { return self.at(reached, now, zone) };
        let rank = self.rank(&standing.tier);
        let is_kept = standing.until.is_some_and(|until| now < until);
        match reached.cmp(&rank) {
            Ordering::Greater => self.at(reached, now, zone),
            Ordering::Equal if is_kept || standing.until.is_none() => Standing { lost_at: None, ..standing.clone() },
            // Earned again for another time.
            Ordering::Equal => Standing { since: standing.since, ..self.at(rank, now, zone) },
            Ordering::Less if is_kept || self.downgrade == Downgrade::None => {
                Standing { lost_at: None, ..standing.clone() }
            }
            Ordering::Less => {
                let begins = standing.until.unwrap_or(now);
                let lost_at = standing.lost_at.or_else(|| self.grace.map(|grace| grace.after(begins, zone)));
                if lost_at.is_some_and(|lost_at| now < lost_at) {
                    return Standing { lost_at, ..standing.clone() };
                }
                match self.downgrade {
                    Downgrade::OneDown => {
                        let lower = self.at((rank - 1).max(reached), now, zone);
                        // The next step has its own grace.
                        let falls_on = self.rank(&lower.tier) > reached && lower.until.is_none();
                        let lost_at = self.grace.filter(|_| falls_on).map(|grace| grace.after(now, zone));
                        Standing { lost_at, ..lower }
                    }
                    Downgrade::ReEvaluate | Downgrade::None => self.at(reached, now, zone),
                }
            }
        }
    }

    /// When the standing must be looked at again though nothing happened: an end, or the next day where the window moves.
    pub fn next_look(&self, standing: &Standing, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        if self.rank(&standing.tier) == 0 {
            return None;
        }
        let end = standing.lost_at.or(standing.until).filter(|end| *end > now);
        let moves = !matches!(self.window, Window::Ever) && standing.until.is_none_or(|until| until <= now);
        let tomorrow = day_of(now, zone).succ_opt().map(|day| day_start(day, zone)).filter(|_| moves);
        end.into_iter().chain(tomorrow).min()
    }

    /// What a pass can say.
    pub fn progress(&self, standing: &Standing, value: i64) -> Progress {
        let rank = self.rank(&standing.tier);
        let tier = |rank: usize| self.tiers.get(rank);
        let current = tier(rank);
        let next = tier(rank + 1).map(|next| Next {
            key: next.key.clone(),
            name: next.name.clone(),
            minimum: next.minimum,
            missing: (next.minimum - value).max(0),
        });
        let reached = self.reached(value);
        let falls_to = match self.downgrade {
            Downgrade::None => rank,
            Downgrade::OneDown => rank.saturating_sub(1).max(reached.min(rank)),
            Downgrade::ReEvaluate => reached.min(rank),
        };
        let at = standing.lost_at.or(standing.until).filter(|_| falls_to < rank);
        let risk = at.zip(tier(falls_to));
        Progress {
            key: standing.tier.clone(),
            name: current.map(|tier| tier.name.clone()).unwrap_or_default(),
            since: standing.since,
            until: standing.until,
            value,
            minimum: current.map_or(0, |tier| tier.minimum),
            next,
            risk: risk.map(|(at, tier)| Risk { key: tier.key.clone(), name: tier.name.clone(), at }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAULO: Tz = chrono_tz::America::Sao_Paulo;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn rules(more: Value) -> TierRules {
        let mut spec = json!({ "wallet": "points", "qualify_by": "earned", "tiers": [
            { "key": "bronze", "name": "Bronze", "minimum": "0" }, { "key": "prata", "name": "Prata", "minimum": "100" },
            { "key": "ouro", "name": "Ouro", "minimum": "500" }] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        TierRules::read(&spec, |key| (key == "points").then_some(0)).unwrap()
    }

    #[test]
    fn up_at_once_and_down_as_the_policy_says() {
        let day = |day: i64| at("2026-01-01T12:00:00Z") + chrono::TimeDelta::days(day);
        // (policy, what is measured on each day, the tier then)
        let cases = [
            (json!({}), vec![(0, 0, "bronze"), (1, 120, "prata"), (2, 600, "ouro"), (3, 50, "bronze")]),
            (json!({ "downgrade": "none" }), vec![(0, 600, "ouro"), (1, 0, "ouro")]),
            (
                json!({ "downgrade": "one_down", "grace": "1D" }),
                vec![(0, 600, "ouro"), (1, 0, "ouro"), (2, 0, "prata"), (3, 0, "bronze")],
            ),
            (
                json!({ "downgrade": "one_down", "lasts": "5D" }),
                vec![(0, 600, "ouro"), (5, 0, "prata"), (9, 0, "prata"), (10, 0, "bronze")],
            ),
            (json!({ "grace": "10D" }), vec![(0, 600, "ouro"), (1, 0, "ouro"), (10, 0, "ouro"), (11, 0, "bronze")]),
            (
                json!({ "grace": "10D" }),
                vec![(0, 600, "ouro"), (1, 0, "ouro"), (5, 500, "ouro"), (12, 0, "ouro"), (22, 0, "bronze")],
            ),
            (
                json!({ "lasts": "30D" }),
                vec![(0, 600, "ouro"), (29, 0, "ouro"), (30, 120, "prata"), (59, 0, "prata"), (60, 0, "bronze")],
            ),
            (
                json!({ "lasts": "30D", "grace": "5D" }),
                vec![(0, 600, "ouro"), (30, 0, "ouro"), (34, 0, "ouro"), (35, 0, "bronze")],
            ),
            (json!({ "lasts": "30D" }), vec![(0, 600, "ouro"), (30, 600, "ouro"), (59, 0, "ouro"), (60, 0, "bronze")]),
        ];
        for (more, days) in cases {
            let rules = rules(more.clone());
            let mut standing = None;
            for (number, value, tier) in days {
                let next = rules.evaluate(standing.as_ref(), value, day(number), PAULO);
                assert_eq!(next.tier, tier, "{more} on day {number}");
                assert_eq!(
                    rules.evaluate(Some(&next), value, day(number), PAULO),
                    next,
                    "looking twice changes nothing"
                );
                standing = Some(next);
            }
        }
    }

    #[test]
    fn progress_says_what_is_missing_and_what_threatens() {
        let rules = rules(json!({ "lasts": "30D" }));
        let now = at("2026-01-01T12:00:00Z");
        let standing = rules.evaluate(None, 120, now, PAULO);
        let progress = rules.progress(&standing, 60);
        assert_eq!((progress.name.as_str(), progress.next.unwrap().missing), ("Prata", 440));
        let risk = progress.risk.unwrap();
        assert_eq!((risk.name.as_str(), risk.at), ("Bronze", at("2026-01-31T12:00:00Z")));
        assert_eq!(rules.progress(&standing, 120).risk, None);
        assert_eq!(rules.next_look(&standing, now, PAULO), Some(at("2026-01-31T12:00:00Z")));
    }

    #[test]
    fn windows_begin_with_a_day_of_the_program() {
        assert_eq!(rules(json!({})).window_start(at("2024-03-10T12:00:00Z"), at("2026-03-10T01:00:00Z"), PAULO), None);
        let now = at("2026-03-10T01:00:00Z");
        let joined = at("2024-03-10T12:00:00Z");
        for (window, start) in [
            (json!({ "last": "1M" }), "2026-02-09T03:00:00Z"),
            (json!({ "calendar_year": {} }), "2026-01-01T03:00:00Z"),
            // It is still the 9th in São Paulo: the year of the membership before.
            (json!({ "membership_year": {} }), "2025-03-10T03:00:00Z"),
        ] {
            assert_eq!(
                rules(json!({ "window": window })).window_start(joined, now, PAULO),
                Some(at(start)),
                "{window}"
            );
        }
    }
}
