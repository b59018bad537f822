//! From a design and the state behind a pass to what the pass says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Jinja, context};
use serde_json::{Map, Value as Json};

use crate::domain::content::{Barcode, Content, Field, Link, Text, Value};
use crate::domain::pass::PassStatus;
use crate::domain::secret::Personal;
use crate::domain::text::is_control;
use crate::wallet::design::{Design, Format, Phrase};

/// Steps that one expression may take: enough for a loop over a list, not for a loop without end.
const FUEL: u64 = 20_000;

/// Characters of one rendered text at most.
const TEXT_MAX: usize = 4_000;

/// What a template may show. About a person: no `Debug`.
pub struct State<'a> {
    pub brand_name: &'a str,
    pub brand_code: &'a str,
    pub program_name: &'a str,
    /// Where the reader's days begin: the customer's zone, else the program's.
    pub time_zone: Tz,
    pub customer_name: Option<&'a Personal<String>>,
    pub customer_attributes: &'a Map<String, Json>,
    pub card_number: Option<&'a Personal<String>>,
    pub member_since: DateTime<Utc>,
    pub pass_serial: &'a str,
    pub pass_status: PassStatus,
    pub pass_data: &'a Map<String, Json>,
    pub pass_created_at: DateTime<Utc>,
    pub pass_code: &'a str,
    pub now: DateTime<Utc>,
}

/// A template could not be rendered with this pass's data; the operator's or designer's business, not the phone's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct BadRender {
    pub place: String,
    pub reason: String,
    /// Whether no data could make it render: the design asks for something that does not exist.
    pub is_design_fault: bool,
}

impl BadRender {
    fn new(place: String, reason: String) -> Self {
        Self { place, reason, is_design_fault: false }
    }
}

/// A design with its expressions compiled.
pub struct Renderer {
    design: Design,
    engine: Environment<'static>,
}

impl Renderer {
    /// Compiles every expression; the first that is not valid is named.
    pub fn new(design: Design) -> Result<Self, BadRender> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Chainable);
        engine.set_fuel(Some(FUEL));
        // The text goes into JSON, not into HTML; whoever writes it there escapes it.
        engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let mut compile = |place: &str, text: &str| {
            if !is_expression(text) {
                return Ok(());
            }
            engine.add_template_owned(place.to_owned(), text.to_owned()).map_err(|error| bad(place, &error))
        };
        let mut phrase = |place: &str, phrase: &Phrase| match phrase {
            Phrase::Translated(_) => Ok(()),
            Phrase::Expression(text) => compile(place, text),
        };
        phrase("organization", &design.organization)?;
        phrase("description", &design.description)?;
        phrase("program_name", &design.program_name)?;
        design.logo_text.iter().try_for_each(|text| phrase("logo_text", text))?;
        for field in &design.fields {
            phrase(&format!("field {}", field.key), &field.value)?;
            field.label.iter().try_for_each(|label| phrase(&format!("label {}", field.key), label))?;
        }
        for (index, link) in design.links.iter().enumerate() {
            phrase(&format!("link {index}"), &link.label)?;
        }
        compile("barcode.message", &design.barcode_message)?;
        design.barcode_alt_text.iter().try_for_each(|text| compile("barcode.alt_text", text))?;
        design.expires_at.iter().try_for_each(|text| compile("expires_at", text))?;
        Ok(Self { design, engine })
    }

    /// Renders a pass that nothing is known of, and refuses a design that asks for what does not exist: a filter, a test or
    /// a function. (What a pass may lack is for its own time.)
    pub fn check(&self) -> Result<(), BadRender> {
        let nothing = Map::new();
        let state = State {
            brand_name: "-",
            brand_code: "-",
            program_name: "-",
            time_zone: Tz::UTC,
            customer_name: None,
            customer_attributes: &nothing,
            card_number: None,
            member_since: DateTime::UNIX_EPOCH,
            pass_serial: "-",
            pass_status: PassStatus::Active,
            pass_data: &nothing,
            pass_created_at: DateTime::UNIX_EPOCH,
            pass_code: "-",
            now: DateTime::UNIX_EPOCH,
        };
        match self.render(&state) {
            Err(error) if error.is_design_fault => Err(error),
            _ => Ok(()),
        }
    }

    pub const fn design(&self) -> &Design {
        &self.design
    }

    /// The content, and when it will read differently for no other reason than the day.
    pub fn render(&self, state: &State<'_>) -> Result<(Content, Option<DateTime<Utc>>), BadRender> {
        let page = Page::new(&self.engine, state);
        let design = &self.design;
        let mut fields = Vec::with_capacity(design.fields.len());
        for field in &design.fields {
            let place = format!("field {}", field.key);
            let value = page.phrase(&place, &field.value)?;
            if value.default.is_empty() {
                continue; // nothing to say: a member without a tier has no tier field
            }
            fields.push(Field {
                role: field.role,
                key: field.key.clone(),
                label: field
                    .label
                    .as_ref()
                    .map(|label| page.phrase(&format!("label {}", field.key), label))
                    .transpose()?,
                value: page.value(&place, value, field.format)?,
                change_message: field.change_message.clone(),
                apple_area: field.apple_area,
            });
        }
        let links = design.links.iter().enumerate().map(|(index, link)| {
            Ok(Link { label: page.phrase(&format!("link {index}"), &link.label)?, uri: link.uri.clone() })
        });
        let alt_text = design.barcode_alt_text.as_ref().map(|text| page.text("barcode.alt_text", text)).transpose()?;
        let content = Content {
            kind: design.kind,
            status: state.pass_status,
            serial: state.pass_serial.to_owned(),
            organization: page.phrase("organization", &design.organization)?,
            description: page.phrase("description", &design.description)?,
            program_name: page.phrase("program_name", &design.program_name)?,
            logo_text: design.logo_text.as_ref().map(|text| page.phrase("logo_text", text)).transpose()?,
            colors: design.colors.clone(),
            barcode: Barcode {
                message: page.text("barcode.message", &design.barcode_message)?,
                alt_text: alt_text.filter(|text| !text.is_empty()),
            },
            links: links.collect::<Result<_, _>>()?,
            expires_at: page.moment("expires_at", design.expires_at.as_deref())?,
            fields,
            default_locale: design.default_locale,
        };
        if content.barcode.message.is_empty() {
            return Err(BadRender::new("barcode.message".to_owned(), "is empty".to_owned()));
        }
        Ok((content, page.next_render()))
    }
}

fn is_expression(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn bad(place: &str, error: &minijinja::Error) -> BadRender {
    // The kind and the template's own words; never the values, which are about a person.
    let detail = error.detail().unwrap_or_default();
    let is_design_fault =
        matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction);
    let reason = format!("{} {detail}", error.kind()).trim().to_owned();
    BadRender { is_design_fault, ..BadRender::new(place.to_owned(), reason) }
}

/// One pass being rendered.
struct Page<'a> {
    engine: &'a Environment<'static>,
    context: Jinja,
    time_zone: Tz,
    today: NaiveDate,
    /// Whether an expression asked for the day.
    asked_for_day: Arc<AtomicBool>,
}

impl<'a> Page<'a> {
    fn new(engine: &'a Environment<'static>, state: &State<'_>) -> Self {
        let asked_for_day = Arc::new(AtomicBool::new(false));
        let today = state.now.with_timezone(&state.time_zone).date_naive();
        let context = context! {
            brand => context! { name => state.brand_name, code => state.brand_code },
            program => context! { name => state.program_name },
            customer => context! {
                name => state.customer_name.map(Personal::reveal),
                attributes => Jinja::from(Serde(state.customer_attributes)),
                card_number => state.card_number.map(Personal::reveal),
            },
            member => context! { since => day(state.member_since, state.time_zone) },
            pass => context! {
                serial => state.pass_serial,
                status => state.pass_status.as_str(),
                data => Jinja::from(Serde(state.pass_data)),
                code => state.pass_code,
                issued => day(state.pass_created_at, state.time_zone),
            },
            today => Jinja::from_object(Today { date: today, asked: Arc::clone(&asked_for_day) }),
            days_until => days_until(today, Arc::clone(&asked_for_day)),
        };
        Self { engine, context, time_zone: state.time_zone, today, asked_for_day }
    }

    fn text(&self, place: &str, text: &str) -> Result<String, BadRender> {
        if !is_expression(text) {
            return Ok(text.to_owned());
        }
        let rendered = self
            .engine
            .get_template(place)
            .and_then(|template| template.render(&self.context))
            .map_err(|error| bad(place, &error))?;
        if rendered.chars().count() > TEXT_MAX {
            return Err(BadRender::new(place.to_owned(), format!("is over {TEXT_MAX} characters")));
        }
        let plain = rendered.trim().chars().filter(|c| *c == '\n' || !is_control(*c));
        Ok(plain.collect())
    }

    fn phrase(&self, place: &str, phrase: &Phrase) -> Result<Text, BadRender> {
        match phrase {
            Phrase::Translated(text) => Ok(text.clone()),
            Phrase::Expression(text) => self.text(place, text).map(Text::literal),
        }
    }

    fn value(&self, place: &str, text: Text, format: Format) -> Result<Value, BadRender> {
        let wrong = |what: &str| BadRender::new(place.to_owned(), format!("is not {what}"));
        match format {
            Format::Text => Ok(Value::Text(text)),
            Format::Integer => text.default.parse().map(Value::Integer).map_err(|_| wrong("a whole number")),
            Format::Date => self.moment(place, Some(&text.default))?.map(Value::Date).ok_or_else(|| wrong("a date")),
        }
    }

    /// An RFC 3339 time, or a date, which begins at midnight in the reader's zone.
    fn moment(&self, place: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, BadRender> {
        let Some(text) = text else { return Ok(None) };
        let text = self.text(place, text)?;
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(&text) {
            return Ok(Some(moment.to_utc()));
        }
        let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d");
        let date = date.map_err(|_| BadRender::new(place.to_owned(), "is not a date or time".to_owned()))?;
        Ok(Some(midnight(date, self.time_zone)))
    }

    fn next_render(&self) -> Option<DateTime<Utc>> {
        let asked = self.asked_for_day.load(Ordering::Relaxed);
        asked.then(|| self.today.checked_add_days(Days::new(1))).flatten().map(|day| midnight(day, self.time_zone))
    }
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
