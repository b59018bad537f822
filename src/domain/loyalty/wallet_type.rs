//! Kinds of wallets: points, stamps, cashback, the wallet of a campaign. Each has its own rules of earning, keeping and
//! spending.

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use chrono_tz::Tz;
use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversion::{Conversion, ConversionSpec};
use super::counter::{CalendarPeriod, Counter};
use super::spec::{self, BadSpec, MoneySpec};
use crate::domain::ledger::{Activation, Restore, TakeBack, Totals};
use crate::domain::period::{Period, day_of, day_start};
use crate::domain::quantity;
use crate::domain::text::text_enum;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WalletTypeSpec {
    unit: UnitSpec,
    #[serde(default)]
    scale: u8,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    activation: Option<ActivationSpec>,
    #[serde(default)]
    expiry: Option<ExpirySpec>,
    #[serde(default)]
    earn_limits: EarnLimitsSpec,
    #[serde(default)]
    spend_limits: SpendLimitsSpec,
    #[serde(default)]
    allows_negative: bool,
    #[serde(default)]
    on_return: Option<ReturnReach>,
    #[serde(default)]
    restore_grace: Option<Period>,
    #[serde(default)]
    held_past_expiry: Option<HeldPastExpiry>,
    #[serde(default)]
    worth: Option<WorthSpec>,
    #[serde(default)]
    opens_at: Option<DateTime<Utc>>,
    #[serde(default)]
    closes_at: Option<DateTime<Utc>>,
    #[serde(default)]
    at_close: Option<AtCloseSpec>,
    #[serde(default)]
    converts: Vec<ConversionSpec>,
    #[serde(default)]
    audience: Audience,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitSpec {
    singular: String,
    plural: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ActivationSpec {
    After(Period),
    On(NaiveDate),
    Event { name: String, cancel_after: Option<Period> },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ExpirySpec {
    After(Period),
    Dates(Vec<String>),
    Sliding(Period),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EarnLimitsSpec {
    balance: Option<String>,
    per_transaction: Option<String>,
    per_period: Option<PeriodLimitSpec>,
    minimum_order: Option<MoneySpec>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpendLimitsSpec {
    lifetime: Option<String>,
    per_transaction: Option<String>,
    per_period: Option<PeriodLimitSpec>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodLimitSpec {
    period: CalendarPeriod,
    units: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorthSpec {
    units: String,
    amount: MoneySpec,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum AtCloseSpec {
    Expire {},
    Keep {},
    Convert(ConversionSpec),
}

text_enum! {
    /// How far a return reaches for what the purchase had earned.
    pub enum ReturnReach {
        OnlyPending = "only_pending",
        WithinBalance = "within_balance",
        Unlimited = "unlimited",
    }
}

text_enum! {
    /// What becomes of held units whose lot ends while they are held.
    pub enum HeldPastExpiry {
        /// They may still be captured while the hold lasts.
        Honour = "honour",
        Forfeit = "forfeit",
    }
}

/// Whose the wallet is; whoever is outside neither earns into it nor spends from it. Empty lists ask nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audience {
    /// Keys of tiers, of which the member has one.
    pub tiers: Vec<String>,
    /// Attributes of the customer, each with a value that it must have.
    pub attributes: serde_json::Map<String, Value>,
}

impl Audience {
    /// Whether it is everybody.
    pub fn is_all(&self) -> bool {
        self.tiers.is_empty() && self.attributes.is_empty()
    }

    pub fn includes(&self, tier: Option<&str>, attributes: &serde_json::Map<String, Value>) -> bool {
        let in_tier = self.tiers.is_empty() || tier.is_some_and(|tier| self.tiers.iter().any(|one| one == tier));
        in_tier && self.attributes.iter().all(|(name, value)| attributes.get(name) == Some(value))
    }
}

/// When earned units become active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivationRule {
    Now,
    After(Period),
    On(NaiveDate),
    OnEvent { name: String, cancel_after: Option<Period> },
}

/// When active units end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpiryRule {
    Never,
    After(Period),
    /// At the end of the next of these days (month and day) that comes.
    Dates(Vec<(u32, u32)>),
    /// So long after the last movement that counts.
    Sliding(Period),
}

/// What happens to the rest when the wallet closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtClose {
    Expire,
    Keep,
    /// The rest that makes no whole of the other expires.
    Convert(Conversion),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodLimit {
    pub period: CalendarPeriod,
    pub units: i64,
}

/// The rules of a kind of wallet. Units are whole numbers of 10^-`scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletRules {
    pub unit_singular: String,
    pub unit_plural: String,
    pub scale: u8,
    /// Of a wallet that holds money: cashback. Its units are the currency's minor ones.
    pub currency: Option<Currency>,
    pub activation: ActivationRule,
    pub expiry: ExpiryRule,
    pub balance_max: Option<i64>,
    pub earn_per_transaction: Option<i64>,
    pub earn_per_period: Option<PeriodLimit>,
    pub minimum_order_minor: i64,
    pub spend_lifetime: Option<i64>,
    pub spend_per_transaction: Option<i64>,
    pub spend_per_period: Option<PeriodLimit>,
    pub allows_negative: bool,
    pub on_return: ReturnReach,
    /// How long units may still be spent that come back after their lot ended; `None`: they do not come back.
    pub restore_grace: Option<Period>,
    pub forfeits_held: bool,
    /// So many units pay so many minor units of this currency in a basket.
    pub worth: Option<Worth>,
    pub opens_at: Option<DateTime<Utc>>,
    pub closes_at: Option<DateTime<Utc>>,
    pub at_close: AtClose,
    /// What members may convert units into, at most one for each other wallet.
    pub converts: Vec<Conversion>,
    pub audience: Audience,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    pub units: i64,
    pub minor: i64,
    pub currency: Currency,
}

/// What of a wallet's limits is used already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled {
    /// Earned by the same purchase.
    pub in_transaction: i64,
    /// Earned since the beginning of a period.
    pub earned: Counter,
    pub totals: Totals,
    /// What is paid; `None`: it is no purchase.
    pub order_minor: Option<i64>,
}

/// Why less is earned than a rule gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capped {
    PerTransaction,
    PerPeriod,
    Balance,
    MinimumOrder,
}

impl WalletRules {
    /// Reads a spec as the brand wrote it.
    pub fn read(spec: &Value) -> Result<Self, BadSpec> {
        let spec: WalletTypeSpec = spec::read(spec)?;
        let currency = spec.currency.as_deref().map(|code| spec::currency("/currency", code)).transpose()?;
        let scale = match currency {
            Some(currency) => u8::try_from(currency.exponent().unwrap_or(2)).unwrap_or(2),
            None => spec.scale,
        };
        if scale > 3 {
            return Err(BadSpec::new("/scale", "must be 0 to 3"));
        }
        let units = |pointer: &str, text: &Option<String>| {
            text.as_deref().map(|text| spec::units(pointer, text, scale, 1)).transpose()
        };
        let per_period = |pointer: &str, limit: &Option<PeriodLimitSpec>| {
            let one = |limit: &PeriodLimitSpec| {
                Ok(PeriodLimit { period: limit.period, units: spec::units(pointer, &limit.units, scale, 1)? })
            };
            limit.as_ref().map(one).transpose()
        };
        let expiry = match spec.expiry {
            None => ExpiryRule::Never,
            Some(ExpirySpec::After(period)) => ExpiryRule::After(period),
            Some(ExpirySpec::Sliding(period)) => ExpiryRule::Sliding(period),
            Some(ExpirySpec::Dates(dates)) => ExpiryRule::Dates(read_dates(&dates)?),
        };
        if spec.allows_negative && expiry != ExpiryRule::Never {
            return Err(BadSpec::new("/allows_negative", "only units that never expire may be owed"));
        }
        let on_return = spec.on_return.unwrap_or(ReturnReach::WithinBalance);
        if on_return == ReturnReach::Unlimited && !spec.allows_negative {
            return Err(BadSpec::new("/on_return", "unlimited wants allows_negative"));
        }
        if let (Some(opens), Some(closes)) = (spec.opens_at, spec.closes_at)
            && closes <= opens
        {
            return Err(BadSpec::new("/closes_at", "must be after opens_at"));
        }
        let at_close = match spec.at_close {
            None | Some(AtCloseSpec::Expire {}) => AtClose::Expire,
            Some(AtCloseSpec::Keep {}) => AtClose::Keep,
            Some(AtCloseSpec::Convert(spec)) => AtClose::Convert(spec.read("/at_close/convert", scale)?),
        };
        let converts = spec.converts.iter().enumerate();
        let converts = converts.map(|(index, spec)| spec.read(&format!("/converts/{index}"), scale));
        let converts = converts.collect::<Result<Vec<_>, _>>()?;
        let mut targets: Vec<&str> = converts.iter().map(|conversion| conversion.into.as_str()).collect();
        targets.sort_unstable();
        if targets.windows(2).any(|pair| matches!(pair, [one, next] if one == next)) {
            return Err(BadSpec::new("/converts", "must name each wallet once"));
        }
        let worth = match (spec.worth, currency) {
            (Some(worth), _) => {
                let amount = worth.amount.read("/worth/amount")?;
                let units = spec::units("/worth/units", &worth.units, scale, 1)?;
                Some(Worth { units, minor: amount.minor.max(1), currency: amount.currency })
            }
            (None, Some(currency)) => Some(Worth { units: 1, minor: 1, currency }),
            (None, None) => None,
        };
        let activation = match spec.activation {
            None => ActivationRule::Now,
            Some(ActivationSpec::After(period)) => ActivationRule::After(period),
            Some(ActivationSpec::On(date)) => ActivationRule::On(date),
            Some(ActivationSpec::Event { name, cancel_after }) => {
                ActivationRule::OnEvent { name: spec::key("/activation/event/name", &name)?, cancel_after }
            }
        };
        let minimum =
            spec.earn_limits.minimum_order.map(|money| money.read("/earn_limits/minimum_order")).transpose()?;
        Ok(Self {
            unit_singular: spec::line("/unit/singular", &spec.unit.singular, 32)?,
            unit_plural: spec::line("/unit/plural", &spec.unit.plural, 32)?,
            scale,
            currency,
            activation,
            expiry,
            balance_max: units("/earn_limits/balance", &spec.earn_limits.balance)?,
            earn_per_transaction: units("/earn_limits/per_transaction", &spec.earn_limits.per_transaction)?,
            earn_per_period: per_period("/earn_limits/per_period/units", &spec.earn_limits.per_period)?,
            minimum_order_minor: minimum.map_or(0, |money| money.minor),
            spend_lifetime: units("/spend_limits/lifetime", &spec.spend_limits.lifetime)?,
            spend_per_transaction: units("/spend_limits/per_transaction", &spec.spend_limits.per_transaction)?,
            spend_per_period: per_period("/spend_limits/per_period/units", &spec.spend_limits.per_period)?,
            allows_negative: spec.allows_negative,
            on_return,
            restore_grace: spec.restore_grace,
            forfeits_held: spec.held_past_expiry == Some(HeldPastExpiry::Forfeit),
            worth,
            opens_at: spec.opens_at,
            closes_at: spec.closes_at,
            at_close,
            converts,
            audience: spec.audience,
        })
    }

    /// Whether units may be earned and spent at this moment.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.opens_at.is_none_or(|opens| opens <= now) && self.closes_at.is_none_or(|closes| now < closes)
    }

    /// When units earned now become active, and when they end; an end that waits for an event is counted when it comes.
    pub fn birth(&self, now: DateTime<Utc>, zone: Tz) -> (Activation, Option<DateTime<Utc>>) {
        let activation = match &self.activation {
            ActivationRule::Now => Activation::Done,
            ActivationRule::After(period) => Activation::At(period.after(now, zone)),
            ActivationRule::On(date) => Activation::At(day_start(*date, zone)),
            ActivationRule::OnEvent { name, cancel_after } => {
                Activation::On { event: name.clone(), cancel_at: cancel_after.map(|period| period.after(now, zone)) }
            }
        };
        match activation {
            Activation::At(at) if at > now => (Activation::At(at), self.end(at, zone)),
            Activation::On { .. } => (activation, None),
            Activation::At(_) | Activation::Done => (Activation::Done, self.end(now, zone)),
        }
    }

    /// When units end that are active since `start`; a wallet that closes ends them then, unless it keeps them.
    pub fn end(&self, start: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        match &self.expiry {
            ExpiryRule::Never => None,
            ExpiryRule::After(period) | ExpiryRule::Sliding(period) => Some(period.after(start, zone)),
            ExpiryRule::Dates(dates) => next_date(dates, start, zone),
        }
    }

    /// Where a movement at this moment moves the end of everything active to.
    pub fn slides_to(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        match &self.expiry {
            ExpiryRule::Sliding(period) => Some(period.after(now, zone)),
            ExpiryRule::Never | ExpiryRule::After(_) | ExpiryRule::Dates(_) => None,
        }
    }

    /// How many of `desired` units may be earned, and why not all.
    pub fn grant(&self, desired: i64, filled: &Filled, now: DateTime<Utc>, zone: Tz) -> (i64, Option<Capped>) {
        let Filled { in_transaction, earned, totals, order_minor } = *filled;
        if order_minor.is_some_and(|minor| minor < self.minimum_order_minor) {
            return (0, Some(Capped::MinimumOrder));
        }
        let mut granted = (desired, None);
        let mut cap = |room: i64, why: Capped| {
            if room < granted.0 {
                granted = (room.max(0), Some(why));
            }
        };
        if let Some(max) = self.earn_per_transaction {
            cap(max - in_transaction, Capped::PerTransaction);
        }
        if let Some(PeriodLimit { period, units }) = self.earn_per_period {
            cap(units - earned.count_since(period.start(now, zone)), Capped::PerPeriod);
        }
        if let Some(max) = self.balance_max {
            cap(max - totals.active - totals.pending - totals.held + totals.debt, Capped::Balance);
        }
        granted
    }

    /// How many units may be spent at this moment at most, if the balance allows.
    pub fn spendable(&self, spent: Counter, totals: &Totals, now: DateTime<Utc>, zone: Tz) -> i64 {
        let mut most = i64::MAX;
        if let Some(max) = self.spend_per_transaction {
            most = most.min(max);
        }
        if let Some(max) = self.spend_lifetime {
            most = most.min((max - totals.spent).max(0));
        }
        if let Some(PeriodLimit { period, units }) = self.spend_per_period {
            most = most.min((units - spent.count_since(period.start(now, zone))).max(0));
        }
        most
    }

    /// What units pay in a basket, rounded down; `None`: they pay nothing.
    pub fn pays(&self, units: i64) -> Option<(i64, Currency)> {
        let worth = self.worth?;
        let minor = i128::from(units) * i128::from(worth.minor) / i128::from(worth.units);
        Some((i64::try_from(minor).ok()?, worth.currency))
    }

    /// The fewest units that pay `minor`, or, where that many pay more than it, that pay just not less.
    pub fn price_of(&self, minor: i64) -> Option<i64> {
        let worth = self.worth?;
        let units = (i128::from(minor) * i128::from(worth.units)).div_euclid(i128::from(worth.minor));
        let rest = (i128::from(minor) * i128::from(worth.units)).rem_euclid(i128::from(worth.minor));
        i64::try_from(units + i128::from(rest > 0)).ok()
    }

    pub fn take_back(&self) -> TakeBack {
        match self.on_return {
            ReturnReach::OnlyPending => TakeBack::OnlyPending,
            ReturnReach::WithinBalance => TakeBack::WithinBalance,
            ReturnReach::Unlimited => TakeBack::Unlimited,
        }
    }

    pub fn late_restore(&self, now: DateTime<Utc>, zone: Tz) -> Restore {
        self.restore_grace.map_or(Restore::Forfeit, |grace| Restore::Until(grace.after(now, zone)))
    }

    /// Units as the API writes them.
    pub fn text(&self, units: i64) -> String {
        quantity::text(units, self.scale)
    }
}

fn read_dates(dates: &[String]) -> Result<Vec<(u32, u32)>, BadSpec> {
    let bad = || BadSpec::new("/expiry/dates", "must be one or more days such as \"12-31\"");
    let one = |text: &String| {
        let (month, day) = text.split_once('-').ok_or_else(bad)?;
        let (month, day) = (month.parse().map_err(|_| bad())?, day.parse().map_err(|_| bad())?);
        // 29 February is a day, though not of every year.
        NaiveDate::from_ymd_opt(2028, month, day).map(|_| (month, day)).ok_or_else(bad)
    };
    if dates.is_empty() || dates.len() > 31 {
        return Err(bad());
    }
    dates.iter().map(one).collect()
}

/// The end of the first of these days that ends after `start`; 29 February is the 28th where there is none.
fn next_date(dates: &[(u32, u32)], start: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    let year = day_of(start, zone).year();
    let days = (year..=year + 1).flat_map(|year| {
        dates.iter().filter_map(move |(month, day)| {
            NaiveDate::from_ymd_opt(year, *month, *day).or_else(|| NaiveDate::from_ymd_opt(year, *month, day - 1))
        })
    });
    days.filter_map(|day| day.succ_opt()).map(|day| day_start(day, zone)).filter(|end| *end > start).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAULO: Tz = chrono_tz::America::Sao_Paulo;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn rules(more: Value) -> WalletRules {
        let mut spec = json!({ "unit": { "singular": "ponto", "plural": "pontos" } });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        WalletRules::read(&spec).unwrap()
    }

    #[test]
    fn units_begin_and_end_as_the_rules_say() {
        let now = at("2026-02-10T12:00:00Z");
        let cases = [
            (json!({}), Activation::Done, None),
            (json!({ "expiry": { "after": "12M_U" } }), Activation::Done, Some("2027-03-01T03:00:00Z")),
            (
                json!({ "activation": { "after": "14D" }, "expiry": { "after": "1M" } }),
                Activation::At(at("2026-02-24T12:00:00Z")),
                Some("2026-03-24T12:00:00Z"),
            ),
            (json!({ "activation": { "on": "2026-03-01" } }), Activation::At(at("2026-03-01T03:00:00Z")), None),
            (json!({ "activation": { "on": "2026-01-01" } }), Activation::Done, None),
            (json!({ "expiry": { "dates": ["06-30", "12-31"] } }), Activation::Done, Some("2026-07-01T03:00:00Z")),
            (json!({ "expiry": { "dates": ["02-29"] } }), Activation::Done, Some("2026-03-01T03:00:00Z")),
            (json!({ "expiry": { "dates": ["02-09"] } }), Activation::Done, Some("2027-02-10T03:00:00Z")),
            (
                json!({ "activation": { "event": { "name": "delivered", "cancel_after": "30D" } }, "expiry": { "after": "1M" } }),
                Activation::On { event: "delivered".to_owned(), cancel_at: Some(at("2026-03-12T12:00:00Z")) },
                None,
            ),
        ];
        for (spec, activation, end) in cases {
            assert_eq!(rules(spec.clone()).birth(now, PAULO), (activation, end.map(at)), "{spec}");
        }
    }

    #[test]
    fn limits_leave_what_there_is_room_for() {
        let rules = rules(
            json!({ "earn_limits": { "balance": "100", "per_transaction": "30", "per_period": { "period": "day", "units": "50" },
            "minimum_order": { "amount_minor": 500, "currency": "BRL" } } }),
        );
        let now = at("2026-02-10T12:00:00Z");
        let earned = |count: i64| Counter { since: CalendarPeriod::Day.start(now, PAULO), count };
        let grant = |desired, before, count, active, minor| {
            let totals = Totals { active, ..Totals::default() };
            let filled = Filled { in_transaction: before, earned: earned(count), totals, order_minor: Some(minor) };
            rules.grant(desired, &filled, now, PAULO)
        };
        assert_eq!(grant(10, 0, 0, 0, 1_000), (10, None));
        assert_eq!(grant(40, 0, 0, 0, 1_000), (30, Some(Capped::PerTransaction)));
        assert_eq!(grant(40, 25, 0, 0, 1_000), (5, Some(Capped::PerTransaction)));
        assert_eq!(grant(20, 0, 45, 0, 1_000), (5, Some(Capped::PerPeriod)));
        assert_eq!(grant(20, 0, 0, 98, 1_000), (2, Some(Capped::Balance)));
        assert_eq!(grant(20, 0, 0, 120, 1_000), (0, Some(Capped::Balance)));
        assert_eq!(grant(20, 0, 0, 0, 499), (0, Some(Capped::MinimumOrder)));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_place() {
        for (more, pointer) in [
            (json!({ "scale": 4 }), "/scale"),
            (json!({ "currency": "XXQ" }), "/currency"),
            (json!({ "allows_negative": true, "expiry": { "after": "1Y" } }), "/allows_negative"),
            (json!({ "on_return": "unlimited" }), "/on_return"),
            (json!({ "opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-01T00:00:00Z" }), "/closes_at"),
            (json!({ "expiry": { "dates": ["02-30"] } }), "/expiry/dates"),
            (json!({ "earn_limits": { "balance": "0" } }), "/earn_limits/balance"),
            (json!({ "expiry": { "after": "1X" } }), "/expiry/after"),
            (json!({ "converts": [{ "into": "cash", "units": "0", "gives": "1" }] }), "/converts/0/units"),
            (
                json!({ "converts": [{ "into": "a", "units": "1", "gives": "1" }, { "into": "a", "units": "2", "gives": "1" }] }),
                "/converts",
            ),
        ] {
            let mut spec = json!({ "unit": { "singular": "ponto", "plural": "pontos" } });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let fault = WalletRules::read(&spec).unwrap_err();
            assert!(fault.pointer == pointer || pointer.starts_with(&fault.pointer), "{spec}: {fault:?}");
        }
    }

    #[test]
    fn units_pay_what_they_are_worth() {
        let rules = rules(json!({ "worth": { "units": "100", "amount": { "amount_minor": 500, "currency": "BRL" } } }));
        assert_eq!(rules.pays(150).unwrap().0, 750);
        assert_eq!(rules.pays(1).unwrap().0, 5);
        assert_eq!(rules.price_of(750), Some(150));
        assert_eq!(rules.price_of(751), Some(151));
    }
}
