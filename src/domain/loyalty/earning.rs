//! Earning rules: what a purchase, or something else that happened, gives to which wallet, and to which of its lines.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spec::{self, BadSpec};
use super::wallet_type::Audience;
use crate::domain::apportion::{Rounding, apportion};
use crate::domain::money::MINOR_MAX;
use crate::domain::quantity;

/// What happened, as rules look at it.
#[derive(Debug, Clone)]
pub struct Occasion<'a> {
    pub trigger: Trigger<'a>,
    pub at: DateTime<Utc>,
    pub store: Option<&'a str>,
    pub channel: Option<&'a str>,
    pub tier: Option<&'a str>,
    pub attributes: &'a Map<String, Value>,
}

#[derive(Debug, Clone)]
pub enum Trigger<'a> {
    /// A purchase: its lines, each with what was paid for it.
    Order(&'a [Line]),
    /// Something of the brand's own: `custom.<name>`.
    Event(&'a str),
}

/// A line of a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub sku: Option<String>,
    pub category: Option<String>,
    /// Thousandths of a piece.
    pub quantity: i64,
    /// What was paid for the line, in minor units.
    pub minor: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EarningSpec {
    gives: GivesSpec,
    #[serde(default)]
    only: OnlySpec,
    #[serde(default)]
    multipliers: Vec<MultiplierSpec>,
    #[serde(default)]
    rounding: Option<Rounding>,
    #[serde(default)]
    cap: Option<String>,
    #[serde(default)]
    from: Option<DateTime<Utc>>,
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    #[serde(default)]
    audience: Audience,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum GivesSpec {
    PerAmount { every_minor: i64, units: String },
    PerItem { units: String },
    PerOrder { units: String },
    OnEvent { name: String, units: String },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OnlySpec {
    skus: Vec<String>,
    categories: Vec<String>,
    stores: Vec<String>,
    channels: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiplierSpec {
    by: String,
    #[serde(default)]
    audience: Audience,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Gives {
    PerAmount { every_minor: i64, units: i64 },
    PerItem { units: i64 },
    PerOrder { units: i64 },
    OnEvent { name: String, units: i64 },
}

/// A rule. Units are whole numbers of the wallet type's smallest.
#[derive(Debug, Clone)]
pub struct EarningRule {
    gives: Gives,
    only: OnlySpec,
    /// Thousandths, each for an audience.
    multipliers: Vec<(i64, Audience)>,
    rounding: Rounding,
    cap: Option<i64>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    audience: Audience,
}

/// What a rule gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earning {
    pub units: i64,
    /// Of each line of the order, in their order; they sum to `units`. Empty for what is not of lines.
    pub by_line: Vec<i64>,
}

impl EarningRule {
    /// Reads a spec as the brand wrote it, for a wallet type with this scale.
    pub fn read(spec: &Value, scale: u8) -> Result<Self, BadSpec> {
        let spec: EarningSpec = spec::read(spec)?;
        let units = |pointer: &str, text: &str| spec::units(pointer, text, scale, 1);
        let gives = match &spec.gives {
            GivesSpec::PerAmount { every_minor, units: text } => {
                if !(1..=MINOR_MAX).contains(every_minor) {
                    return Err(BadSpec::new("/gives/per_amount/every_minor", "must be at least 1"));
                }
                Gives::PerAmount { every_minor: *every_minor, units: units("/gives/per_amount/units", text)? }
            }
            GivesSpec::PerItem { units: text } => Gives::PerItem { units: units("/gives/per_item/units", text)? },
            GivesSpec::PerOrder { units: text } => Gives::PerOrder { units: units("/gives/per_order/units", text)? },
            GivesSpec::OnEvent { name, units: text } => Gives::OnEvent {
                name: spec::key("/gives/on_event/name", name)?,
                units: units("/gives/on_event/units", text)?,
            },
        };
        if spec.multipliers.len() > 20 {
            return Err(BadSpec::new("/multipliers", "must not be more than 20"));
        }
        let multiplier = |one: &MultiplierSpec| {
            let by = spec::units("/multipliers", &one.by, 3, 1)?;
            if by > 100_000 {
                return Err(BadSpec::new("/multipliers", "must be at most 100"));
            }
            Ok((by, one.audience.clone()))
        };
        if let (Some(from), Some(until)) = (spec.from, spec.until)
            && until <= from
        {
            return Err(BadSpec::new("/until", "must be after from"));
        }
        Ok(Self {
            gives,
            multipliers: spec.multipliers.iter().map(multiplier).collect::<Result<_, _>>()?,
            only: spec.only,
            rounding: spec.rounding.unwrap_or(Rounding::Floor),
            cap: spec.cap.as_deref().map(|text| units("/cap", text)).transpose()?,
            from: spec.from,
            until: spec.until,
            audience: spec.audience,
        })
    }

    /// The ids of the stores that it is for; none: all.
    pub fn stores(&self) -> &[String] {
        &self.only.stores
    }

    /// What the rule gives on this occasion; `None`: nothing.
    pub fn earn(&self, occasion: &Occasion<'_>) -> Option<Earning> {
        let listed = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|one| one == value))
        };
        let is_now =
            self.from.is_none_or(|from| from <= occasion.at) && self.until.is_none_or(|until| occasion.at < until);
        let is_here = listed(&self.only.stores, occasion.store) && listed(&self.only.channels, occasion.channel);
        if !is_now || !is_here || !self.audience.includes(occasion.tier, occasion.attributes) {
            return None;
        }
        let fits = |line: &Line| {
            listed(&self.only.skus, line.sku.as_deref()) && listed(&self.only.categories, line.category.as_deref())
        };
        // Exact until the one rounding: a product of rationals, numerator and denominator apart.
        let (weights, mut number, mut divisor): (Vec<i64>, i128, i128) = match (&self.gives, &occasion.trigger) {
            (Gives::PerAmount { every_minor, units }, Trigger::Order(lines)) => {
                let weights = weights(lines, fits, |line| line.minor);
                let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
                (weights, sum * i128::from(*units), i128::from(*every_minor))
            }
            (Gives::PerItem { units }, Trigger::Order(lines)) => {
                let weights = weights(lines, fits, |line| line.quantity);
                let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
                (weights, sum * i128::from(*units), 1_000)
            }
            (Gives::PerOrder { units }, Trigger::Order(lines)) => {
                let weights = weights(lines, fits, |line| line.minor.max(1));
                (weights, i128::from(*units), 1)
            }
            (Gives::OnEvent { name, units }, Trigger::Event(event)) if name == event => {
                (Vec::new(), (*units).into(), 1)
            }
            (_, Trigger::Order(_) | Trigger::Event(_)) => return None,
        };
        if matches!(occasion.trigger, Trigger::Order(_)) && weights.iter().all(|weight| *weight == 0) {
            return None;
        }
        for (by, audience) in &self.multipliers {
            if audience.includes(occasion.tier, occasion.attributes) {
                (number, divisor) = (number.checked_mul((*by).into())?, divisor.checked_mul(1_000)?);
            }
        }
        let units = self.rounding.divide(number, divisor)?.min(self.cap.unwrap_or(i64::MAX));
        (units > 0).then(|| Earning { units, by_line: apportion(units, &weights) })
    }

    /// A sentence for reports: what the rule gives.
    pub fn words(&self, scale: u8) -> String {
        let text = |units: i64| quantity::text(units, scale);
        match &self.gives {
            Gives::PerAmount { every_minor, units } => format!("{} for every {every_minor} minor units", text(*units)),
            Gives::PerItem { units } => format!("{} for every piece", text(*units)),
            Gives::PerOrder { units } => format!("{} for every order", text(*units)),
            Gives::OnEvent { name, units } => format!("{} for {name}", text(*units)),
        }
    }
}

fn weights(lines: &[Line], fits: impl Fn(&Line) -> bool, weight: impl Fn(&Line) -> i64) -> Vec<i64> {
    lines.iter().map(|line| if fits(line) { weight(line).max(0) } else { 0 }).collect()
}

/// What lines are paid with when `off` was taken off each of them; they sum to `paid`. Where it was taken off other lines than
/// these, each keeps its share. A line that was given away counts as no piece.
pub fn net(lines: &[Line], off: &[i64], paid: i64) -> Vec<Line> {
    let gross: Vec<i64> = lines.iter().map(|line| line.minor).collect();
    let left: Vec<i64> = gross.iter().zip(off).map(|(minor, off)| minor - off).collect();
    let is_of_these =
        off.len() == lines.len() && left.iter().sum::<i64>() == paid && left.iter().all(|left| *left >= 0);
    let paid = if is_of_these { left } else { apportion(paid.max(0), &gross) };
    let of = |(line, minor): (&Line, i64)| {
        let is_given = line.minor > 0 && minor == 0;
        Line { minor, quantity: if is_given { 0 } else { line.quantity }, ..line.clone() }
    };
    lines.iter().zip(paid).map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(sku: &str, category: &str, pieces: i64, minor: i64) -> Line {
        Line { sku: Some(sku.to_owned()), category: Some(category.to_owned()), quantity: pieces * 1_000, minor }
    }

    fn earn(spec: Value, lines: &[Line], tier: Option<&str>) -> Option<Earning> {
        let occasion = Occasion {
            trigger: Trigger::Order(lines),
            at: "2026-02-10T12:00:00Z".parse().unwrap(),
            store: Some("sto_1"),
            channel: Some("store"),
            tier,
            attributes: &Map::new(),
        };
        EarningRule::read(&spec, 0).unwrap().earn(&occasion)
    }

    #[test]
    fn a_purchase_earns_what_the_rule_gives() {
        let lines = [line("cafe", "bebidas", 2, 1_250), line("pao", "padaria", 10, 799)];
        let all = |units: i64, by_line: [i64; 2]| Some(Earning { units, by_line: by_line.to_vec() });
        let per_real = json!({ "per_amount": { "every_minor": 100, "units": "1" } });
        for (spec, tier, expected) in [
            // 20,49 at a point a real: rounded once, for the whole.
            (json!({ "gives": per_real }), None, all(20, [12, 8])),
            (json!({ "gives": per_real, "rounding": "ceil" }), None, all(21, [13, 8])),
            (json!({ "gives": per_real, "only": { "categories": ["padaria"] } }), None, all(7, [0, 7])),
            (json!({ "gives": per_real, "only": { "skus": ["bolo"] } }), None, None),
            (json!({ "gives": per_real, "only": { "stores": ["sto_2"] } }), None, None),
            (json!({ "gives": per_real, "cap": "5" }), None, all(5, [3, 2])),
            (
                json!({ "gives": per_real, "multipliers": [{ "by": "1.5", "audience": { "tiers": ["ouro"] } }] }),
                Some("ouro"),
                all(30, [18, 12]),
            ),
            (
                json!({ "gives": per_real, "multipliers": [{ "by": "1.5", "audience": { "tiers": ["ouro"] } }] }),
                None,
                all(20, [12, 8]),
            ),
            (json!({ "gives": { "per_item": { "units": "1" } }, "only": { "skus": ["cafe"] } }), None, all(2, [2, 0])),
            (json!({ "gives": { "per_order": { "units": "10" } } }), None, all(10, [6, 4])),
            (json!({ "gives": per_real, "until": "2026-02-10T12:00:00Z" }), None, None),
            (json!({ "gives": { "on_event": { "name": "review", "units": "3" } } }), None, None),
        ] {
            assert_eq!(earn(spec.clone(), &lines, tier), expected, "{spec}");
        }
    }

    #[test]
    fn something_else_that_happened_earns_too() {
        let spec = json!({ "gives": { "on_event": { "name": "review", "units": "3" } } });
        let occasion = Occasion {
            trigger: Trigger::Event("review"),
            at: DateTime::UNIX_EPOCH,
            store: None,
            channel: None,
            tier: None,
            attributes: &Map::new(),
        };
        let earned = EarningRule::read(&spec, 0).unwrap().earn(&occasion);
        assert_eq!(earned, Some(Earning { units: 3, by_line: vec![] }));
    }

    #[test]
    fn what_was_taken_off_the_whole_is_taken_off_each_line() {
        let lines = [line("a", "x", 1, 1_000), line("b", "x", 1, 500)];
        let paid: Vec<i64> = net(&lines, &[], 1_000).iter().map(|line| line.minor).collect();
        assert_eq!(paid, [667, 333]);
    }

    #[test]
    fn what_was_taken_off_a_line_is_taken_off_that_line_and_a_gift_is_no_piece() {
        let lines = [line("a", "x", 2, 1_000), line("b", "x", 1, 500), line("c", "x", 1, 0)];
        let paid = |off: &[i64], paid| -> Vec<(i64, i64)> {
            net(&lines, off, paid).iter().map(|line| (line.minor, line.quantity)).collect()
        };
        assert_eq!(paid(&[400, 500, 0], 600), [(600, 2_000), (0, 0), (0, 1_000)]);
        // Of another basket: too many lines, another sum, more than there is.
        for off in [&[400, 500][..], &[400, 400, 0], &[0, 900, 0]] {
            assert_eq!(paid(off, 600), [(400, 2_000), (200, 1_000), (0, 1_000)], "{off:?}");
        }
    }
}
