//! Offers: what a customer is promised, when it may be used, and what it takes off a basket.

use chrono::{DateTime, Utc};
use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::counter::CalendarPeriod;
use super::earning::Line;
use super::refusal::RefusalCode;
use super::spec::{self, BadSpec, MoneySpec};
use super::wallet_type::Audience;
use crate::domain::apportion::apportion;
use crate::domain::period::Period;
use crate::domain::text::text_enum;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferSpec {
    effect: EffectSpec,
    #[serde(default)]
    only: OnlySpec,
    #[serde(default)]
    from: Option<DateTime<Utc>>,
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    #[serde(default)]
    stores: Vec<String>,
    #[serde(default)]
    minimum_basket: Option<MoneySpec>,
    #[serde(default)]
    audience: Audience,
    #[serde(default)]
    stacking: StackingSpec,
    #[serde(default)]
    limits: LimitsSpec,
    #[serde(default)]
    stock: Option<i64>,
    #[serde(default)]
    budget: Option<MoneySpec>,
    #[serde(default)]
    price: Option<PriceSpec>,
    #[serde(default)]
    coupon: Option<CouponSpec>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum EffectSpec {
    Percent {
        percent: String,
        #[serde(default)]
        at_most: Option<MoneySpec>,
    },
    Amount(MoneySpec),
    FreeItem {
        #[serde(default)]
        sku: Option<String>,
        #[serde(default)]
        category: Option<String>,
    },
    Multiplier {
        by: String,
    },
    Gift {
        name: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OnlySpec {
    skus: Vec<String>,
    categories: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StackingSpec {
    mode: Option<Stacking>,
    category: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSpec {
    total: Option<i64>,
    per_customer: Option<i64>,
    per_customer_period: Option<PeriodSpec>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodSpec {
    period: CalendarPeriod,
    count: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceSpec {
    wallet: String,
    units: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CouponSpec {
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    valid_for: Option<Period>,
    #[serde(default)]
    offline: bool,
}

text_enum! {
    /// How an offer goes together with others.
    pub enum Stacking {
        /// With others that do.
        Stackable = "stackable",
        /// Alone, but for joint ones.
        Exclusive = "exclusive",
        /// With everything.
        Joint = "joint",
    }
}

/// What an offer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hundredths of a percent of the lines that it is for, at most so many minor units.
    Percent { hundredths: i64, at_most: Option<i64> },
    /// So many minor units, as far as the lines that it is for reach.
    Amount { minor: i64, currency: Currency },
    /// One piece, the cheapest of those that it is for.
    FreeItem { sku: Option<String>, category: Option<String> },
    /// The purchase earns so many thousandths.
    Multiplier { thousandths: i64 },
    /// Something that the till hands over.
    Gift { name: String },
}

/// A price in units of a wallet: a reward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The key of the wallet type.
    pub wallet: String,
    pub units: i64,
}

/// How often a customer may, in a calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodLimit {
    pub period: CalendarPeriod,
    pub count: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRules {
    pub effect: Effect,
    only: OnlySpec,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub stores: Vec<String>,
    pub minimum_minor: i64,
    pub audience: Audience,
    pub stacking: Stacking,
    /// At most one of a category applies.
    pub category: Option<String>,
    pub limit: Option<i64>,
    pub per_customer: Option<i64>,
    pub per_customer_period: Option<PeriodLimit>,
    pub stock: Option<i64>,
    pub budget_minor: Option<i64>,
    pub price: Option<Price>,
    /// Whoever has a coupon of it may use it, and nobody else.
    pub wants_coupon: bool,
    /// The design of the coupon's pass.
    pub coupon_template: Option<String>,
    /// How long a coupon may be used.
    pub coupon_life: Option<Period>,
    /// Tills may take its coupons without asking.
    pub is_offline: bool,
}

/// Where and when, and for whom, something is to be redeemed.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    pub now: DateTime<Utc>,
    pub store: Option<&'a str>,
    pub tier: Option<&'a str>,
    pub attributes: &'a Map<String, Value>,
    /// Times that the customer used the offer: ever, and in its period.
    pub used: i64,
    pub used_in_period: i64,
}

/// What an offer took off a basket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Minor units off each line, in their order.
    pub by_line: Vec<i64>,
    /// Thousandths that the purchase earns; 1,000 is as always.
    pub multiplier: i64,
    pub gift: Option<String>,
}

impl Applied {
    pub fn minor(&self) -> i64 {
        self.by_line.iter().sum()
    }
}

impl OfferRules {
    /// Reads a spec as the brand wrote it. `scale` is that of the wallet type with a key.
    pub fn read(spec: &Value, scale: impl Fn(&str) -> Option<u8>) -> Result<Self, BadSpec> {
        let spec: OfferSpec = spec::read(spec)?;
        let count = |pointer: &str, count: Option<i64>| match count {
            Some(count) if count < 1 => Err(BadSpec::new(pointer, "must be at least 1")),
            count => Ok(count),
        };
        let effect = match &spec.effect {
            EffectSpec::Percent { percent, at_most } => {
                let hundredths = spec::units("/effect/percent/percent", percent, 2, 1)?;
                if hundredths > 10_000 {
                    return Err(BadSpec::new("/effect/percent/percent", "must be at most 100"));
                }
                let at_most = at_most.as_ref().map(|money| money.read("/effect/percent/at_most")).transpose()?;
                Effect::Percent { hundredths, at_most: at_most.map(|money| money.minor) }
            }
            EffectSpec::Amount(money) => {
                let money = money.read("/effect/amount")?;
                if money.minor == 0 {
                    return Err(BadSpec::new("/effect/amount/amount_minor", "must be at least 1"));
                }
                Effect::Amount { minor: money.minor, currency: money.currency }
            }
            EffectSpec::FreeItem { sku, category } => {
                if sku.is_none() && category.is_none() {
                    return Err(BadSpec::new("/effect/free_item", "must name a sku or a category"));
                }
                Effect::FreeItem { sku: sku.clone(), category: category.clone() }
            }
            EffectSpec::Multiplier { by } => {
                let thousandths = spec::units("/effect/multiplier/by", by, 3, 1_000)?;
                if thousandths > 100_000 {
                    return Err(BadSpec::new("/effect/multiplier/by", "must be at most 100"));
                }
                Effect::Multiplier { thousandths }
            }
            EffectSpec::Gift { name } => Effect::Gift { name: spec::line("/effect/gift/name", name, 100)? },
        };
        let price = match spec.price {
            None => None,
            Some(PriceSpec { wallet, units }) => {
                let bad = || BadSpec::new("/price/wallet", "must be the key of one of the program's wallet types");
                let scale = scale(&wallet).ok_or_else(bad)?;
                Some(Price { units: spec::units("/price/units", &units, scale, 1)?, wallet })
            }
        };
        if let (Some(from), Some(until)) = (spec.from, spec.until)
            && until <= from
        {
            return Err(BadSpec::new("/until", "must be after from"));
        }
        let category = spec.stacking.category.as_deref();
        let minimum = spec.minimum_basket.map(|money| money.read("/minimum_basket")).transpose()?;
        let in_period = match spec.limits.per_customer_period {
            None => None,
            Some(PeriodSpec { period, count: limit }) => {
                count("/limits/per_customer_period/count", Some(limit))?.map(|count| PeriodLimit { period, count })
            }
        };
        let is_offline = spec.coupon.as_ref().is_some_and(|coupon| coupon.offline);
        let LimitsSpec { total, per_customer, .. } = spec.limits;
        let is_counted = total.is_some() || per_customer.is_some() || in_period.is_some();
        if is_offline && (is_counted || spec.stock.is_some() || spec.budget.is_some() || !spec.audience.is_all()) {
            let reason = "cannot be: limits, stock, budget and audience are not for a till to check alone";
            return Err(BadSpec::new("/coupon/offline", reason));
        }
        Ok(Self {
            effect,
            only: spec.only,
            from: spec.from,
            until: spec.until,
            stores: spec.stores,
            minimum_minor: minimum.map_or(0, |money| money.minor),
            audience: spec.audience,
            stacking: spec.stacking.mode.unwrap_or(Stacking::Stackable),
            category: category.map(|category| spec::key("/stacking/category", category)).transpose()?,
            limit: count("/limits/total", spec.limits.total)?,
            per_customer: count("/limits/per_customer", spec.limits.per_customer)?,
            per_customer_period: in_period,
            stock: count("/stock", spec.stock)?,
            budget_minor: spec.budget.map(|money| money.read("/budget")).transpose()?.map(|money| money.minor),
            price,
            wants_coupon: spec.coupon.is_some(),
            coupon_template: spec.coupon.as_ref().and_then(|coupon| coupon.template.clone()),
            coupon_life: spec.coupon.and_then(|coupon| coupon.valid_for),
            is_offline,
        })
    }

    /// Whether this offer may be used here and now, whatever is in the basket; in the order of the field.
    pub fn admit(&self, situation: &Situation<'_>) -> Result<(), RefusalCode> {
        self.admit_person(situation)?;
        self.admit_place(situation.store)
    }

    /// Whether somebody may have it now, wherever they use it.
    pub fn admit_person(&self, situation: &Situation<'_>) -> Result<(), RefusalCode> {
        let Situation { now, tier, attributes, used, used_in_period, .. } = *situation;
        if self.from.is_some_and(|from| now < from) {
            return Err(RefusalCode::StartsInFuture);
        }
        if self.until.is_some_and(|until| until <= now) {
            return Err(RefusalCode::Expired);
        }
        if !self.audience.includes(tier, attributes) {
            return Err(RefusalCode::RecipientMismatch);
        }
        let is_worn = self.per_customer.is_some_and(|most| used >= most)
            || self.per_customer_period.is_some_and(|limit| used_in_period >= limit.count);
        if is_worn { Err(RefusalCode::ProfileLimitReached) } else { Ok(()) }
    }

    /// Whether it may be used in a store (`None`: online).
    pub fn admit_place(&self, store: Option<&str>) -> Result<(), RefusalCode> {
        let is_here = self.stores.is_empty() || store.is_some_and(|store| self.stores.iter().any(|one| one == store));
        if is_here { Ok(()) } else { Err(RefusalCode::StoreNotAllowed) }
    }

    fn is_for(&self, line: &Line) -> bool {
        let listed = |list: &[String], value: &Option<String>| {
            list.is_empty() || value.as_ref().is_some_and(|value| list.contains(value))
        };
        listed(&self.only.skus, &line.sku) && listed(&self.only.categories, &line.category)
    }

    /// What it takes off a basket of which `left` is still to be paid, line by line.
    pub fn apply(&self, lines: &[Line], left: &[i64], currency: Currency) -> Result<Applied, RefusalCode> {
        let total: i64 = lines.iter().map(|line| line.minor).sum();
        if total < self.minimum_minor {
            return Err(RefusalCode::RejectedByCondition);
        }
        let of_lines = |fits: &dyn Fn(&Line) -> bool| -> Vec<i64> {
            lines.iter().zip(left).map(|(line, left)| if fits(line) { (*left).max(0) } else { 0 }).collect()
        };
        let mine = of_lines(&|line| self.is_for(line));
        let sum: i64 = mine.iter().sum();
        let spread = |minor: i64| match minor.min(sum) {
            off if off > 0 => Ok(Applied { by_line: apportion(off, &mine), multiplier: 1_000, gift: None }),
            _ => Err(RefusalCode::EffectNotApplicable),
        };
        match &self.effect {
            Effect::Percent { hundredths, at_most } => {
                let off = i64::try_from(i128::from(sum) * i128::from(*hundredths) / 10_000).unwrap_or(0);
                spread(off.min(at_most.unwrap_or(i64::MAX)))
            }
            Effect::Amount { minor, currency: theirs } if *theirs == currency => spread(*minor),
            Effect::Amount { .. } => Err(RefusalCode::EffectNotApplicable),
            Effect::FreeItem { sku, category } => {
                let fits = |line: &Line| {
                    (sku.is_none() || *sku == line.sku) && (category.is_none() || *category == line.category)
                };
                let pieces = lines
                    .iter()
                    .zip(left)
                    .enumerate()
                    .filter(|(_, (line, left))| line.quantity >= 1_000 && **left > 0 && fits(line));
                // One piece of the line, as far as it is not taken off already.
                let price = |(index, (line, left)): (usize, (&Line, &i64))| {
                    let piece = i128::from(line.minor) * 1_000 / i128::from(line.quantity);
                    (i64::try_from(piece).unwrap_or(0).min(*left), index)
                };
                let (off, index) =
                    pieces.map(price).min().filter(|(off, _)| *off > 0).ok_or(RefusalCode::EffectNotApplicable)?;
                let by_line = (0..lines.len()).map(|line| if line == index { off } else { 0 }).collect();
                Ok(Applied { by_line, multiplier: 1_000, gift: None })
            }
            Effect::Multiplier { thousandths } => {
                Ok(Applied { by_line: vec![0; lines.len()], multiplier: *thousandths, gift: None })
            }
            Effect::Gift { name } => {
                Ok(Applied { by_line: vec![0; lines.len()], multiplier: 1_000, gift: Some(name.clone()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines() -> Vec<Line> {
        let line = |sku: &str, category: &str, pieces: i64, minor: i64| Line {
            sku: Some(sku.to_owned()),
            category: Some(category.to_owned()),
            quantity: pieces * 1_000,
            minor,
        };
        vec![line("cafe", "bebidas", 2, 1_200), line("pao", "padaria", 10, 800)]
    }

    fn rules(spec: Value) -> OfferRules {
        OfferRules::read(&spec, |key| (key == "points").then_some(0)).unwrap()
    }

    #[test]
    fn an_offer_takes_off_what_it_says() {
        let money = |minor: i64| json!({ "amount_minor": minor, "currency": "BRL" });
        for (spec, expected) in [
            (json!({ "effect": { "percent": { "percent": "10" } } }), Ok(vec![120, 80])),
            (json!({ "effect": { "percent": { "percent": "12.5", "at_most": money(150) } } }), Ok(vec![90, 60])),
            (
                json!({ "effect": { "percent": { "percent": "10" } }, "only": { "categories": ["padaria"] } }),
                Ok(vec![0, 80]),
            ),
            (json!({ "effect": { "amount": money(500) } }), Ok(vec![300, 200])),
            (json!({ "effect": { "amount": money(9_000) } }), Ok(vec![1_200, 800])),
            (
                json!({ "effect": { "amount": { "amount_minor": 500, "currency": "USD" } } }),
                Err(RefusalCode::EffectNotApplicable),
            ),
            (json!({ "effect": { "free_item": { "sku": "cafe" } } }), Ok(vec![600, 0])),
            (json!({ "effect": { "free_item": { "category": "bolos" } } }), Err(RefusalCode::EffectNotApplicable)),
            (json!({ "effect": { "gift": { "name": "Caneca" } } }), Ok(vec![0, 0])),
            (
                json!({ "effect": { "amount": money(500) }, "minimum_basket": money(2_001) }),
                Err(RefusalCode::RejectedByCondition),
            ),
        ] {
            let real = rules(spec.clone()).apply(&lines(), &[1_200, 800], Currency::BRL).map(|applied| applied.by_line);
            assert_eq!(real, expected, "{spec}");
        }
        let nothing_left =
            rules(json!({ "effect": { "percent": { "percent": "10" } } })).apply(&lines(), &[0, 0], Currency::BRL);
        assert_eq!(nothing_left, Err(RefusalCode::EffectNotApplicable));
    }

    #[test]
    fn refusals_come_in_the_order_of_the_field() {
        let now: DateTime<Utc> = "2026-02-10T12:00:00Z".parse().unwrap();
        let attributes = Map::new();
        let here = Situation {
            now,
            store: Some("sto_1"),
            tier: Some("prata"),
            attributes: &attributes,
            used: 1,
            used_in_period: 1,
        };
        for (more, expected) in [
            (json!({}), Ok(())),
            (json!({ "from": "2026-02-11T00:00:00Z", "stores": ["sto_2"] }), Err(RefusalCode::StartsInFuture)),
            (json!({ "until": "2026-02-10T12:00:00Z" }), Err(RefusalCode::Expired)),
            (json!({ "audience": { "tiers": ["ouro"] } }), Err(RefusalCode::RecipientMismatch)),
            (json!({ "limits": { "per_customer": 1 }, "stores": ["sto_2"] }), Err(RefusalCode::ProfileLimitReached)),
            (
                json!({ "limits": { "per_customer_period": { "period": "day", "count": 1 } } }),
                Err(RefusalCode::ProfileLimitReached),
            ),
            (json!({ "limits": { "per_customer": 2 } }), Ok(())),
            (json!({ "stores": ["sto_2"] }), Err(RefusalCode::StoreNotAllowed)),
        ] {
            let mut spec = json!({ "effect": { "percent": { "percent": "10" } } });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(rules(spec).admit(&here), expected, "{more}");
        }
    }
}
