//! From lines, and what is there, to what is to be written.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;

use crate::domain::ids::{CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::job::LineOutcome;
use crate::domain::json::merge;
use crate::domain::pass::Lane;
use crate::service::customers::check_size;
use crate::service::imports::passes::read::{Asked, Stored, Versions, Wanted};
use crate::service::imports::people::Person;
use crate::service::issue_pass::{Behind, DATA_MAX, FreshPass, MadeWith, first_content};
use crate::service::publish::render;
use crate::service::{App, Problem, notices};
use crate::store::brands::Brand;
use crate::store::imports::Member;
use crate::store::passes::{FirstContent, Pass};

/// What the lines of a part come to.
#[derive(Default)]
pub struct Plan {
    pub(super) people: Vec<Person>,
    pub(super) members: Vec<Member>,
    pub(super) created: Vec<(Pass, FirstContent)>,
    /// What the brand's app is to be told of them.
    pub(super) notices: Vec<notices::Change>,
    pub(super) changed: Vec<Change>,
    /// The versions that passes were rendered with: they must be the live ones when these are stored.
    pub(super) templates: Vec<(TemplateId, i64)>,
    pub(super) programs: Vec<(ProgramId, i64)>,
}

pub(super) struct Change {
    pub pass: Pass,
    pub data: Map<String, Value>,
    pub order_hash: [u8; 32],
    pub token_hash: Option<[u8; 32]>,
}

impl Plan {
    /// Nothing yet, for these lines.
    pub(super) fn of(asked: &[Asked]) -> Self {
        let mut plan = Self::default();
        plan.templates.extend(asked.iter().map(|one| (one.template.id, one.template.live_version)));
        plan.programs.extend(asked.iter().map(|one| (one.program.id, one.program.version)));
        plan.templates.sort_unstable();
        plan.templates.dedup();
        plan.programs.sort_unstable();
        plan.programs.dedup();
        plan
    }

    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty() || self.people.iter().any(Person::is_other)
    }
}

/// Plans one line after the other.
pub(super) struct Planner {
    pub app: App,
    pub brand: Brand,
    pub now: DateTime<Utc>,
    pub stored: Stored,
    pub ready: Versions,
    /// Customers whom a line named already.
    pub taken: HashSet<CustomerId>,
    pub plan: Plan,
}

impl Planner {
    /// What becomes of one line; `None`: its customer was taken by a line before.
    pub fn line(&mut self, one: Asked) -> Result<Option<(LineOutcome, PassId)>, Problem> {
        let existing = self.stored.passes.remove(&one.line.external_id);
        if let Some(pass) = existing.as_ref().filter(|pass| one.is_said_of(pass)) {
            return Ok(Some((LineOutcome::Unchanged, pass.id)));
        }
        let named = match &one.customer {
            Wanted::Known(id) => Some(*id),
            Wanted::By(by) => {
                let named = self.stored.named.get(&by.lookup).copied().unwrap_or(Ok(None));
                named.map_err(|_| Problem::AmbiguousCustomer)?
            }
        };
        let person = match named {
            Some(id) if !self.taken.insert(id) => return Ok(None),
            Some(id) => {
                let known = self.stored.known.remove(&id).ok_or(Problem::NotFound { what: "customer" })?;
                Person::known(known, &one.line.details, Vec::new())?
            }
            None => {
                let by = match &one.customer {
                    Wanted::By(by) => vec![by.clone()],
                    Wanted::Known(_) => Vec::new(),
                };
                Person::new(&self.app, &one.line.details, by)?
            }
        };
        match existing {
            Some(pass) => self.change(one, pass, person).map(Some),
            None => self.create(one, person).map(Some),
        }
    }

    /// A line for a pass that is there: its data is merged, its customer brought up to date.
    fn change(&mut self, one: Asked, pass: Pass, person: Person) -> Result<(LineOutcome, PassId), Problem> {
        let is_same = pass.template_id == one.template.id
            && pass.program_id == one.program.id
            && pass.customer_id == person.customer.id
            && one.line.serial.as_ref().is_none_or(|serial| *serial == pass.serial);
        if !is_same {
            return Err(Problem::ExternalIdTaken);
        }
        let mut data = pass.data.reveal().clone();
        merge(&mut data, one.line.data.reveal());
        check_size("/data", &data, DATA_MAX)?;
        // Another token than the one that is known: it was left out before, or wrong.
        let token_hash = one.line.token_hash.filter(|hash| pass.token_hash.as_deref() != Some(hash));
        if data == *pass.data.reveal() && !person.is_changed && token_hash.is_none() {
            return Ok((LineOutcome::Unchanged, pass.id));
        }
        // Refused now, with a reason, rather than by the publisher where nobody listens.
        if let Some(mut source) = self.stored.sources.remove(&pass.id) {
            source.data = Json(data.clone());
            source.customer_name.clone_from(&person.customer.name);
            source.customer_locale = person.customer.locale.map(|locale| locale.as_str().to_owned());
            source.customer_time_zone.clone_from(&person.customer.time_zone);
            source.customer_attributes = Json(person.customer.attributes.reveal().clone());
            if let Some(version) = self.ready.get(&(source.template_id, source.template_version))
                && let Err(problem @ Problem::TemplateRefused { .. }) = render(&self.app, &self.brand, &source, version)
            {
                return Err(problem);
            }
        }
        let id = pass.id;
        self.plan.changed.push(Change { pass, data, order_hash: one.line.hash, token_hash });
        self.plan.people.push(person);
        Ok((LineOutcome::Changed, id))
    }

    /// A line for a pass that is not there yet.
    fn create(&mut self, one: Asked, person: Person) -> Result<(LineOutcome, PassId), Problem> {
        let Asked { line, template, program, .. } = one;
        if line
            .serial
            .as_ref()
            .is_some_and(|serial| self.stored.serials.contains(&(template.pass_type.clone(), serial.clone())))
        {
            return Err(Problem::invalid("/serial", "another pass of this pass type has this serial"));
        }
        let member = self.stored.members.get(&(program.id, person.customer.id)).copied();
        let new_member = member.is_none().then(|| Member {
            id: MemberId::new(self.app.clock.new_id()),
            program: program.id,
            customer: person.customer.id,
            since: line.member_since.unwrap_or(self.now),
        });
        let member = member.or(new_member).ok_or_else(|| Problem::internal("no member"))?;
        let fresh = FreshPass {
            template: &template,
            program: program.id,
            customer: person.customer.id,
            member: member.id,
            external_id: Some(line.external_id),
            order_hash: line.hash.to_vec(),
            data: line.data,
        };
        let mut pass = fresh.make(&self.app, &self.brand, self.now);
        if let Some(serial) = line.serial {
            pass.serial = serial;
            // No token has the digest of no bytes: it says that the serial is another vendor's, and may be guessed.
            pass.token_hash = Some(line.token_hash.map(|hash| hash.to_vec()).unwrap_or_default());
        }
        let version = self.ready.get(&(template.id, template.live_version));
        let version = version.ok_or_else(|| Problem::internal("a version that was not read"))?;
        let made_with = MadeWith::live(&template);
        let behind = Behind {
            template: &template,
            program: &program,
            customer: &person.customer,
            card_number: person.card_number.clone(),
            member_since: member.since,
            made_with,
        };
        let mut source = behind.source(&pass);
        if let Some((loyalty, until)) = self.stored.loyalty.get(&member.id) {
            source.loyalty.clone_from(loyalty);
            source.loyalty_until = *until;
        } else if let Some(loyalty) = self.stored.newcomers.get(&program.id) {
            source.loyalty.clone_from(loyalty);
        }
        let mut rendered = render(&self.app, &self.brand, &source, version)?;
        let told = rendered.notice.take().map(|notice| notices::Change::of_new(&pass, notice, Lane::Bulk));
        self.plan.notices.extend(told);
        let first = first_content(&self.app, &pass, made_with, rendered, 0);
        let id = pass.id;
        self.plan.created.push((pass, first));
        self.plan.members.extend(new_member);
        self.plan.people.push(person);
        Ok((LineOutcome::Created, id))
    }
}
