//! From a design and the state behind a pass to what the pass says.

mod assemble;
mod language;
mod page;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use minijinja::Environment;
use serde_json::{Map, Value as Json};

use crate::domain::content::Content;
use crate::domain::pass::PassStatus;
use crate::domain::secret::Personal;
use crate::wallet::design::{BadDesign, Design, Faults, nearest};

/// What a template may show. About a person: no `Debug`.
#[derive(Clone, Copy)]
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
    /// What the brand gave with the pass. `wallets`, `tier`, `offer`, `coupon`, `event` and `invite` in it are also read by
    /// their bare names.
    pub pass_data: &'a Map<String, Json>,
    /// What is known of the member's wallets, tier and rewards: it goes before what the brand gave.
    pub loyalty: &'a Map<String, Json>,
    pub pass_created_at: DateTime<Utc>,
    pub pass_code: &'a str,
    /// Whether the holder has already answered the phone's sign-up form.
    pub is_signed_up: bool,
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
    pub(super) const fn new(place: String, reason: String) -> Self {
        Self { place, reason, is_design_fault: false }
    }
}

/// A design with its expressions compiled.
pub struct Renderer {
    design: Design,
    engine: Environment<'static>,
}

impl Renderer {
    /// Compiles every expression; each that is not valid is named with its line.
    pub fn new(design: Design) -> Result<Self, Faults> {
        let mut engine = language::engine();
        let mut faults = Vec::new();
        for (slot, expression) in design.expressions.iter().enumerate() {
            let fault = |line: usize, reason: String| BadDesign {
                file: "template.toml".to_owned(),
                line: Some(line),
                reason: format!("{}: {reason}", expression.place),
            };
            if let Err(reason) = language::check(&expression.source) {
                faults.push(fault(expression.line, reason));
            } else if let Err(error) = engine.add_template_owned(slot.to_string(), expression.source.clone()) {
                let detail = error.detail().unwrap_or("is not an expression");
                let line = expression.line + error.line().unwrap_or(1).saturating_sub(1);
                faults.push(fault(line, detail.to_owned()));
            } else if let Some(reason) = unknown_name(&engine, &slot.to_string()) {
                faults.push(fault(expression.line, reason));
            }
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let together = language::together(design.expressions.iter().map(|expression| expression.source.as_str()));
        // Each is a template by itself; together they are one too, or are evaluated one by one.
        drop(engine.add_template_owned(page::TOGETHER, together));
        Ok(Self { design, engine })
    }

    /// Evaluates every expression for a pass that nothing is known of, and refuses a design that asks for what does not
    /// exist: a filter, a test, a function, or a member that no pass has. (What a pass may lack is for its own time.)
    pub fn check(&self) -> Result<(), Faults> {
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
            loyalty: &nothing,
            pass_created_at: DateTime::UNIX_EPOCH,
            pass_code: "-",
            is_signed_up: false,
            now: DateTime::UNIX_EPOCH,
        };
        let page = page::Page::new(&self.engine, &self.design.expressions, &state);
        let mut faults = Vec::new();
        for (slot, expression) in self.design.expressions.iter().enumerate() {
            let failed = page.expression(slot).err().filter(|error| error.is_design_fault);
            let unknown = unknown_member(&self.engine, &slot.to_string());
            let unknown = unknown.map(|reason| format!("{}: {reason}", expression.place));
            if let Some(reason) = failed.map(|error| error.to_string()).or(unknown) {
                faults.push(BadDesign { file: "template.toml".to_owned(), line: Some(expression.line), reason });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    pub const fn design(&self) -> &Design {
        &self.design
    }

    /// The content, and when it will read differently for no other reason than the day.
    pub fn render(&self, state: &State<'_>) -> Result<(Content, Option<DateTime<Utc>>), BadRender> {
        let page = page::Page::new(&self.engine, &self.design.expressions, state);
        let content = assemble::content(&page, &self.design, state)?;
        Ok((content, page.next_render()))
    }
}

/// The name that an expression asks for and that no pass has.
fn unknown_name(engine: &Environment<'_>, template: &str) -> Option<String> {
    let asked = engine.get_template(template).ok()?.undeclared_variables(false);
    let unknown = asked.into_iter().filter(|name| !page::NAMES.contains(&name.as_str())).min()?;
    let meant = nearest(&unknown, page::NAMES.iter().copied());
    Some(format!("there is nothing called {unknown}{meant}"))
}

/// The member that an expression asks for and that is in no pass's `pass`, `customer` … A fault of a design that is checked;
/// one that is installed already goes on without what it asks for.
fn unknown_member(engine: &Environment<'_>, template: &str) -> Option<String> {
    let asked = engine.get_template(template).ok()?.undeclared_variables(true);
    let unknown = asked.iter().filter_map(|path| {
        let mut words = path.split('.');
        let name = words.next()?;
        let (_, members) = page::MEMBERS.iter().find(|(of, _)| *of == name)?;
        let member = words.next().filter(|member| !members.contains(member))?;
        let meant = nearest(member, members.iter().copied());
        Some(format!("{name} has nothing called {member}{meant}"))
    });
    unknown.min()
}
