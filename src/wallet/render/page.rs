//! One pass being rendered: what its template may ask for, and how an expression's text becomes a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value as Jinja, context};
use rust_decimal::Decimal;

use crate::domain::content::{Moment, Text, Value};
use crate::domain::secret::Personal;
use crate::domain::text::is_control;
use crate::wallet::design::phrase::{Expression, Phrase, Plain, Slot};
use crate::wallet::design::{FieldDesign, Format};
use crate::wallet::render::language::{BETWEEN, Bounded};
use crate::wallet::render::{BadRender, State};

/// Characters of one rendered text at most.
const TEXT_MAX: usize = 4_000;

/// Bytes of all rendered texts of a pass that are evaluated together; what is more is evaluated one by one.
const TOGETHER_MAX: usize = 64 * 1024;

/// The template that holds all expressions of the design.
pub const TOGETHER: &str = "together";

/// Digits of a number at most: what JSON readers keep exactly.
const DIGITS_MAX: u32 = 15;

/// One pass being rendered.
pub struct Page<'a> {
    engine: &'a Environment<'static>,
    expressions: &'a [Expression],
    context: Jinja,
    /// What each expression says, or nothing of any: then each is asked for itself.
    said: Vec<String>,
    time_zone: Tz,
    today: NaiveDate,
    /// Whether an expression asked for the day.
    asked_for_day: Arc<AtomicBool>,
}

/// Every name that an expression may ask for.
pub const NAMES: [&str; 14] = [
    "brand",
    "program",
    "customer",
    "member",
    "pass",
    "wallets",
    "tier",
    "offer",
    "coupon",
    "event",
    "invite",
    "today",
    "days_until",
    "loop",
];

/// What is in those of them that are alike for every brand.
pub const MEMBERS: [(&str, &[&str]); 5] = [
    ("brand", &["name", "code"]),
    ("program", &["name"]),
    ("customer", &["name", "attributes", "card_number"]),
    ("member", &["since", "rewards", "next_reward", "coupons", "coupon_count"]),
    ("pass", &["serial", "status", "data", "code", "issued"]),
];

/// What a brand hands over with a pass, and templates read by these names.
const HANDED_OVER: [&str; 6] = ["wallets", "tier", "offer", "coupon", "event", "invite"];

impl<'a> Page<'a> {
    pub fn new(engine: &'a Environment<'static>, expressions: &'a [Expression], state: &State<'_>) -> Self {
        let asked_for_day = Arc::new(AtomicBool::new(false));
        let today = state.now.with_timezone(&state.time_zone).date_naive();
        let [wallets, tier, offer, coupon, event, invite] = HANDED_OVER.map(|name| handed_over(state, name));
        let loyalty = |name: &str| state.loyalty.get(name).map_or(Jinja::UNDEFINED, |value| Jinja::from(Serde(value)));
        let context = context! {
            brand => context! { name => state.brand_name, code => state.brand_code },
            program => context! { name => state.program_name },
            customer => context! {
                name => state.customer_name.map(Personal::reveal),
                attributes => Jinja::from(Serde(state.customer_attributes)),
                card_number => state.card_number.map(Personal::reveal),
            },
            member => context! {
                since => day(state.member_since, state.time_zone),
                rewards => loyalty("rewards"),
                next_reward => loyalty("next_reward"),
                coupons => loyalty("coupons"),
                coupon_count => loyalty("coupon_count"),
            },
            pass => context! {
                serial => state.pass_serial,
                status => state.pass_status.as_str(),
                data => Jinja::from(Serde(state.pass_data)),
                code => state.pass_code,
                issued => day(state.pass_created_at, state.time_zone),
            },
            wallets, tier, offer, coupon, event, invite,
            today => Jinja::from_object(Today { date: today, asked: Arc::clone(&asked_for_day) }),
            days_until => days_until(today, Arc::clone(&asked_for_day)),
        };
        let said = say_all(engine, &context, expressions.len()).unwrap_or_default();
        Self { engine, expressions, context, said, time_zone: state.time_zone, today, asked_for_day }
    }

    /// How faults name an expression.
    fn place(&self, slot: Slot) -> String {
        self.expressions.get(slot).map(|expression| expression.place.clone()).unwrap_or_default()
    }

    /// What an expression says; empty when it says nothing.
    pub fn expression(&self, slot: Slot) -> Result<String, BadRender> {
        let text = match self.said.get(slot) {
            Some(text) => text,
            None => {
                let text = say(self.engine, &slot.to_string(), &self.context, 4 * TEXT_MAX);
                &text.map_err(|error| bad(self.place(slot), &error))?
            }
        };
        if text.len() > TEXT_MAX && text.chars().count() > TEXT_MAX {
            return Err(BadRender::new(self.place(slot), format!("is over {TEXT_MAX} characters")));
        }
        let text = text.trim();
        let is_dropped = |c: char| c != '\n' && is_control(c);
        // What stood apart stays apart.
        let text = text.replace('\t', " ");
        Ok(if text.contains(is_dropped) { text.replace(is_dropped, "") } else { text })
    }

    pub fn plain(&self, plain: &Plain) -> Result<String, BadRender> {
        match plain {
            Plain::Literal(text) => Ok(text.clone()),
            Plain::Expression(slot) => self.expression(*slot),
        }
    }

    /// `None` for nothing given and nothing said.
    pub fn some(&self, plain: Option<&Plain>) -> Result<Option<String>, BadRender> {
        let text = plain.map(|plain| self.plain(plain)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub fn phrase(&self, phrase: &Phrase) -> Result<Text, BadRender> {
        match phrase {
            Phrase::Literal(text) => Ok(text.clone()),
            Phrase::Expression(slot) => self.expression(*slot).map(Text::literal),
        }
    }

    /// A text that a wallet requires.
    pub fn required(&self, place: &str, phrase: &Phrase) -> Result<Text, BadRender> {
        let text = self.phrase(phrase)?;
        if text.default.is_empty() { Err(BadRender::new(place.to_owned(), "is empty".to_owned())) } else { Ok(text) }
    }

    pub fn some_phrase(&self, phrase: Option<&Phrase>) -> Result<Option<Text>, BadRender> {
        let text = phrase.map(|phrase| self.phrase(phrase)).transpose()?;
        Ok(text.filter(|text| !text.default.is_empty()))
    }

    /// A number of another type than text, such as degrees; `place` names it in a fault.
    pub fn number<T: std::str::FromStr>(&self, place: &str, plain: Option<&Plain>) -> Result<Option<T>, BadRender> {
        let text = self.some(plain)?;
        let read = text.map(|text| {
            text.parse().map_err(|_| BadRender::new(place.to_owned(), "is not a number in its range".to_owned()))
        });
        read.transpose()
    }

    /// What a field shows, from its text.
    pub fn value(&self, field: &FieldDesign, text: Text) -> Result<Value, BadRender> {
        let place = || format!("fields.{}.value", field.key);
        let wrong = |what: &str| BadRender::new(place(), format!("is not {what}"));
        let decimal = || decimal(&text.default).ok_or_else(|| wrong("a number of at most 15 digits"));
        match field.format {
            Format::Text => Ok(Value::Text(text)),
            Format::Integer => {
                let number = decimal()?;
                if number.is_integer() { Ok(Value::Number(number)) } else { Err(wrong("a whole number")) }
            }
            Format::Number => Ok(Value::Number(decimal()?)),
            Format::Percent => Ok(Value::Percent(decimal()?)),
            Format::Currency => {
                let code = self.some(field.currency.as_ref())?.unwrap_or_default();
                let currency = iso_currency::Currency::from_code(&code);
                let currency = currency.ok_or_else(|| {
                    BadRender::new(format!("fields.{}.currency", field.key), "is no currency of ISO 4217".to_owned())
                })?;
                Ok(Value::Money(decimal()?, currency))
            }
            Format::Date | Format::Time | Format::DateTime | Format::Relative => {
                let zone = self.zone(field)?;
                let at = self.moment(&place(), Some(&Plain::Literal(text.default)), zone)?;
                Ok(Value::Moment(Moment {
                    at: at.ok_or_else(|| wrong("a date"))?,
                    date: field.date_style,
                    time: field.time_style,
                    // A day is a day wherever the phone is.
                    in_own_zone: field.format == Format::Date || zone.is_some(),
                    is_relative: field.format == Format::Relative,
                }))
            }
        }
    }

    fn zone(&self, field: &FieldDesign) -> Result<Option<Tz>, BadRender> {
        let zone = self.some(field.zone.as_ref())?.map(|name| name.parse());
        zone.transpose().map_err(|_| BadRender::new(format!("fields.{}.zone", field.key), "is no time zone".to_owned()))
    }

    /// When something ends: a date ends with its last moment, in the reader's zone.
    pub fn end(&self, place: &str, plain: Option<&Plain>) -> Result<Option<DateTime<Utc>>, BadRender> {
        let text = self.some(plain)?;
        let day = text.as_deref().and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
        match day.and_then(|day| day.checked_add_days(Days::new(1))) {
            Some(next) => Ok(Some(midnight(next, self.time_zone))),
            None => Ok(self.moment(place, text.map(Plain::Literal).as_ref(), None)?.map(|end| end.to_utc())),
        }
    }

    /// An RFC 3339 time, or a date, which begins at midnight; written as the clock of `zone` (else of the reader) says it. A
    /// time with an offset of its own and no `zone` keeps that offset.
    pub fn moment(
        &self,
        place: &str,
        plain: Option<&Plain>,
        zone: Option<Tz>,
    ) -> Result<Option<DateTime<FixedOffset>>, BadRender> {
        let Some(text) = self.some(plain)? else { return Ok(None) };
        let in_zone = |moment: DateTime<Utc>, zone: Tz| moment.with_timezone(&zone).fixed_offset();
        if let Ok(moment) = DateTime::parse_from_rfc3339(&text) {
            return Ok(Some(zone.map_or(moment, |zone| in_zone(moment.to_utc(), zone))));
        }
        let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d");
        let date =
            date.map_err(|_| BadRender::new(place.to_owned(), "is neither a date nor a time with a zone".to_owned()))?;
        let zone = zone.unwrap_or(self.time_zone);
        Ok(Some(in_zone(midnight(date, zone), zone)))
    }

    pub fn next_render(&self) -> Option<DateTime<Utc>> {
        let asked = self.asked_for_day.load(Ordering::Relaxed);
        asked.then(|| self.today.checked_add_days(Days::new(1))).flatten().map(|day| midnight(day, self.time_zone))
    }
}

fn say(engine: &Environment<'_>, template: &str, context: &Jinja, max: usize) -> Result<String, minijinja::Error> {
    let mut written = Bounded { text: Vec::new(), max };
    engine.get_template(template)?.render_captured_to(context, &mut written)?;
    Ok(String::from_utf8(written.text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// What all expressions say. `None` when one of them fails, when they are long, or when what they show could not be told
/// apart: whoever evaluates them one by one finds out which it is.
fn say_all(engine: &Environment<'_>, context: &Jinja, count: usize) -> Option<Vec<String>> {
    let whole = say(engine, TOGETHER, context, TOGETHER_MAX).ok()?;
    let said: Vec<String> = whole.split_terminator(BETWEEN).map(str::to_owned).collect();
    (said.len() == count).then_some(said)
}

fn handed_over(state: &State<'_>, name: &str) -> Jinja {
    state
        .loyalty
        .get(name)
        .or_else(|| state.pass_data.get(name))
        .map_or(Jinja::UNDEFINED, |value| Jinja::from(Serde(value)))
}

fn decimal(text: &str) -> Option<Decimal> {
    let number: Decimal = text.parse().ok()?;
    (number.mantissa().unsigned_abs() < 10_u128.pow(DIGITS_MAX)).then(|| number.normalize())
}

fn bad(place: String, error: &minijinja::Error) -> BadRender {
    // The kind and the template's own words; never the values, which are about a person.
    let detail = error.detail().unwrap_or_default();
    let is_design_fault =
        matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction);
    // "filter uppr is unknown" says it all; of the others, the kind.
    let reason =
        if is_design_fault { detail.to_owned() } else { format!("{} {detail}", error.kind()).trim().to_owned() };
    BadRender { is_design_fault, ..BadRender::new(place, reason) }
}

fn day(moment: DateTime<Utc>, time_zone: Tz) -> String {
    moment.with_timezone(&time_zone).date_naive().to_string()
}

/// The first moment of a day; where a clock change skips midnight, the moment after the gap.
fn midnight(day: NaiveDate, time_zone: Tz) -> DateTime<Utc> {
    let local = day.and_time(NaiveTime::MIN);
    (0..=6)
        .find_map(|half_hours| {
            let local = local + chrono::TimeDelta::minutes(30 * half_hours);
            time_zone.from_local_datetime(&local).earliest()
        })
        .map_or_else(|| local.and_utc(), |moment| moment.to_utc())
}

/// `today`: reads as `2026-11-22`, and remembers that it was read.
#[derive(Debug)]
struct Today {
    date: NaiveDate,
    asked: Arc<AtomicBool>,
}

impl minijinja::value::Object for Today {
    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.asked.store(true, Ordering::Relaxed);
        write!(f, "{}", self.date)
    }
}

/// `days_until("2026-12-24")`: whole days from today, negative for days past.
fn days_until(today: NaiveDate, asked: Arc<AtomicBool>) -> Jinja {
    Jinja::from_function(move |date: String| {
        asked.store(true, Ordering::Relaxed);
        let date = date.get(..10).unwrap_or(&date);
        NaiveDate::parse_from_str(date, "%Y-%m-%d")
            .map(|date| date.signed_duration_since(today).num_days())
            .map_err(|_| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "days_until wants a date"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_that_a_clock_change_skips_is_the_moment_after_the_gap() {
        // Brazil's summer time began at midnight: 2018-11-04 00:00 did not exist in São Paulo.
        let day = NaiveDate::from_ymd_opt(2018, 11, 4).unwrap();
        assert_eq!(midnight(day, chrono_tz::America::Sao_Paulo).to_rfc3339(), "2018-11-04T03:00:00+00:00");
    }
}
