//! Lines of passes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::types::Json;

use crate::domain::ids::{CustomerId, EventId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::job::LineOutcome;
use crate::domain::text;
use crate::service::customers::{Selector, check_size, identify, merge};
use crate::service::imports::people::{self, Person};
use crate::service::imports::{Forms, Names, Outcome, PassLine};
use crate::service::issue_pass::{Behind, DATA_MAX, FreshPass, MadeWith, TemplateRef, first_content};
use crate::service::publish::{Rendered, render};
use crate::service::templates::{self as ready_templates, TemplateVersion};
use crate::service::{App, Problem};
use crate::store::brands::{self, Brand};
use crate::store::customers::Identifier;
use crate::store::events::NewEvent;
use crate::store::imports::{self, ChangedPass, KnownCustomer, Member, NewPass};
use crate::store::jobs::Defaults;
use crate::store::passes::{self, FirstContent, Pass};
use crate::store::programs::{self, Program};
use crate::store::publication::{self, Source};
use crate::store::templates::{self, Template};
use crate::store::{Conn, events};

/// What the lines of a part come to.
#[derive(Default)]
pub(super) struct Plan {
    people: Vec<Person>,
    members: Vec<Member>,
    created: Vec<(Pass, FirstContent)>,
    changed: Vec<Change>,
    /// The versions that passes were rendered with: they must be the live ones when these are stored.
    templates: Vec<(TemplateId, i64)>,
    programs: Vec<(ProgramId, i64)>,
}

struct Change {
    pass: Pass,
    data: Map<String, Value>,
    order_hash: [u8; 32],
    token_hash: Option<[u8; 32]>,
}

impl Plan {
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty() || self.people.iter().any(|person| !person.is_new() && person.is_changed)
    }
}

/// Designs and programs of a part's lines, each read once.
#[derive(Default)]
struct Designs {
    templates: HashMap<TemplateRef, Option<Template>>,
    programs: HashMap<ProgramId, Option<Program>>,
}

impl Designs {
    async fn template(
        &mut self,
        conn: &mut Conn<'_>,
        brand: &Brand,
        wanted: &TemplateRef,
    ) -> Result<Template, Problem> {
        if !self.templates.contains_key(wanted) {
            let found = match wanted {
                TemplateRef::Id(id) => templates::find(conn, brand.id, *id).await?,
                TemplateRef::Name(name) => templates::find_by_name(conn, brand.id, name).await?,
            };
            self.templates.insert(wanted.clone(), found);
        }
        let found = self.templates.get(wanted).cloned().flatten();
        found.ok_or_else(|| Problem::invalid("/template", "there is no such template"))
    }

    async fn program(&mut self, conn: &mut Conn<'_>, brand: &Brand, wanted: ProgramId) -> Result<Program, Problem> {
        if let Entry::Vacant(place) = self.programs.entry(wanted) {
            place.insert(programs::find(conn, brand.id, wanted).await?);
        }
        let found = self.programs.get(&wanted).cloned().flatten();
        found.ok_or_else(|| Problem::invalid("/program_id", "there is no such program"))
    }
}

/// A line whose names are resolved.
struct Asked {
    number: i64,
    line: PassLine,
    template: Template,
    program: Program,
    customer: Wanted,
}

impl Asked {
    /// Whether the pass was made, or last changed, by just this line.
    fn is_said_of(&self, pass: &Pass) -> bool {
        pass.order_hash == self.line.hash && pass.template_id == self.template.id && pass.program_id == self.program.id
    }
}

/// Whom a line means.
enum Wanted {
    Known(CustomerId),
    By(Identifier),
}

/// Everything that lines are compared with.
struct Stored {
    passes: HashMap<String, Pass>,
    serials: HashSet<(String, String)>,
    named: HashMap<Vec<u8>, Result<Option<CustomerId>, imports::Several>>,
    known: HashMap<CustomerId, KnownCustomer>,
    members: HashMap<(ProgramId, CustomerId), Member>,
    /// What the passes that are there are rendered from.
    sources: HashMap<PassId, Source>,
}

/// Plans as many of the lines as do not depend on one before them: their outcomes, in order, and the plan.
pub(super) async fn plan(
    app: &App,
    brand: &Brand,
    forms: Forms,
    defaults: &Defaults,
    lines: Vec<(i64, Result<PassLine, Problem>)>,
) -> Result<(Vec<Outcome>, Plan, Names), Problem> {
    let mut outcomes = Vec::with_capacity(lines.len());
    let refuse = |outcomes: &mut Vec<Outcome>, number, problem: Problem| match problem {
        // Trouble is not the line's.
        problem @ (Problem::Internal(_) | Problem::Unavailable(_) | Problem::StorageFull(_) | Problem::Busy) => {
            Err(problem)
        }
        problem @ Problem::NoSigner { .. } => Err(problem),
        problem => {
            outcomes.push(Outcome::refused(number, &problem, (forms.code)(&problem)));
            Ok(())
        }
    };
    let mut asked = Vec::with_capacity(lines.len());
    let (mut designs, mut seen) = (Designs::default(), Seen::default());
    let mut reader = app.db.read().await?;
    for (number, line) in lines {
        let resolved = match line {
            Ok(line) => resolve(app, &mut reader.conn(), brand, defaults, &mut designs, number, line).await,
            Err(problem) => Err(problem),
        };
        match resolved {
            Ok(line) if seen.is_repeated(&line) => break,
            Ok(line) => asked.push(line),
            Err(problem) => refuse(&mut outcomes, number, problem)?,
        }
    }
    let mut stored = read_stored(&mut reader.conn(), brand, &asked).await?;
    drop(reader);
    let mut names: Names = seen.0.into_iter().map(|(_, name)| name).collect();
    names.extend(stored.known.keys().map(|id| id.uuid().as_bytes().to_vec()));
    let ready = read_versions(app, brand, &asked, &stored).await?;
    let mut plan = Plan::default();
    for one in &asked {
        plan.templates.push((one.template.id, one.template.live_version));
        plan.programs.push((one.program.id, one.program.version));
    }
    plan.templates.sort_unstable();
    plan.templates.dedup();
    plan.programs.sort_unstable();
    plan.programs.dedup();
    let (app, brand) = (app.clone(), brand.clone());
    let job = tokio::task::spawn_blocking(move || {
        let mut planned = Vec::with_capacity(asked.len());
        let now = app.clock.now();
        let mut taken = HashSet::new();
        for one in asked {
            let number = one.number;
            match plan_line(&app, &brand, one, &mut stored, &ready, &mut taken, &mut plan, now) {
                Ok(Some((outcome, id))) => planned.push((number, Ok((outcome, id)))),
                // The customer of a line before, in another way: the rest waits until this much is done.
                Ok(None) => return (planned, plan, Some(number)),
                Err(problem) => planned.push((number, Err(problem))),
            }
        }
        (planned, plan, None)
    });
    let (planned, plan, cut) = job.await.map_err(Problem::internal)?;
    for (number, planned) in planned {
        match planned {
            Ok((outcome, id)) => outcomes.push(Outcome::of(number, outcome, id)),
            Err(problem) => refuse(&mut outcomes, number, problem)?,
        }
    }
    outcomes.retain(|outcome| cut.is_none_or(|cut| outcome.line < cut));
    outcomes.sort_unstable_by_key(|outcome| outcome.line);
    Ok((outcomes, plan, names))
}

/// What lines of a part name; none may be named twice in one.
#[derive(Default)]
struct Seen(HashSet<(u8, Vec<u8>)>);

impl Seen {
    fn is_repeated(&mut self, one: &Asked) -> bool {
        let customer = match &one.customer {
            Wanted::Known(id) => (1, id.uuid().as_bytes().to_vec()),
            Wanted::By(identifier) => (2, identifier.lookup.clone()),
        };
        let serial =
            one.line.serial.as_ref().map(|serial| (3, format!("{} {serial}", one.template.pass_type).into_bytes()));
        let names = [Some((0, one.line.external_id.clone().into_bytes())), Some(customer), serial];
        let names: Vec<_> = names.into_iter().flatten().collect();
        let is_repeated = names.iter().any(|name| self.0.contains(name));
        self.0.extend(names);
        is_repeated
    }
}

async fn resolve(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    defaults: &Defaults,
    designs: &mut Designs,
    number: i64,
    mut line: PassLine,
) -> Result<Asked, Problem> {
    line.external_id = text::line(&line.external_id, 100).map_err(Problem::text("/external_id"))?;
    check_size("/data", line.data.reveal(), DATA_MAX)?;
    let unnamed = |pointer| Problem::invalid(pointer, "is named neither by the line nor for the whole file");
    let template = line.template.clone().or(defaults.template.map(TemplateRef::Id));
    let template = designs.template(conn, brand, &template.ok_or_else(|| unnamed("/template"))?).await?;
    let program = line.program.or(defaults.program).ok_or_else(|| unnamed("/program_id"))?;
    let program = designs.program(conn, brand, program).await?;
    if line.member_since.is_some_and(|since| since > app.clock.now()) {
        return Err(Problem::invalid("/member_since", "must not be in the future"));
    }
    let customer = match &line.customer {
        Selector::Id(id) => Wanted::Known(*id),
        Selector::Identifier(kind, value) => {
            Wanted::By(identify(app, brand.id, kind, value, || format!("/customer/{kind}"))?)
        }
        Selector::Code(code) => {
            let not_ours = || Problem::invalid("/customer/code", "code is not one of this brand's passes");
            let code_id = app.master_key.read_pass_code(brand.id, code.reveal()).ok_or_else(not_ours)?;
            let found = passes::find_customer_by_code(conn, brand.id, &code_id).await?;
            Wanted::Known(found.ok_or_else(not_ours)?)
        }
    };
    Ok(Asked { number, line, template, program, customer })
}

async fn read_stored(conn: &mut Conn<'_>, brand: &Brand, asked: &[Asked]) -> Result<Stored, Problem> {
    let external_ids: Vec<&str> = asked.iter().map(|one| one.line.external_id.as_str()).collect();
    let found = imports::find_passes(conn, brand.id, &external_ids).await?;
    // Those that their line does not change need no more.
    let lines: HashMap<&str, &Asked> = asked.iter().map(|one| (one.line.external_id.as_str(), one)).collect();
    let is_other = |pass: &&Pass| {
        let external_id = pass.external_id.as_deref().unwrap_or_default();
        lines.get(external_id).is_some_and(|one| !one.is_said_of(pass))
    };
    let other: Vec<PassId> = found.iter().filter(is_other).map(|pass| pass.id).collect();
    let sources = if other.is_empty() { Vec::new() } else { publication::load_sources(conn, brand.id, &other).await? };
    let passes: HashMap<String, Pass> =
        found.into_iter().filter_map(|pass| Some((pass.external_id.clone()?, pass))).collect();
    let is_settled = |one: &&Asked| passes.get(&one.line.external_id).is_none_or(|pass| !one.is_said_of(pass));
    let asked: Vec<&Asked> = asked.iter().filter(is_settled).collect();
    let serials: Vec<(&str, &str)> =
        asked.iter().filter_map(|one| Some((one.template.pass_type.as_str(), one.line.serial.as_deref()?))).collect();
    let serials = imports::find_serials(conn, brand.id, &serials).await?;
    let by: Vec<&Identifier> = asked
        .iter()
        .filter_map(|one| match &one.customer {
            Wanted::By(identifier) => Some(identifier),
            Wanted::Known(_) => None,
        })
        .collect();
    let named = imports::find_named(conn, brand.id, &by).await?;
    let mut ids: Vec<CustomerId> = named.iter().filter_map(|named| named.ok().flatten()).collect();
    ids.extend(asked.iter().filter_map(|one| match one.customer {
        Wanted::Known(id) => Some(id),
        Wanted::By(_) => None,
    }));
    let known = imports::find_customers(conn, brand.id, &ids).await?;
    let members = imports::find_members(conn, brand.id, &ids).await?;
    Ok(Stored {
        passes,
        serials: serials.into_iter().collect(),
        named: by.iter().map(|identifier| identifier.lookup.clone()).zip(named).collect(),
        known: known.into_iter().map(|known| (known.customer.id, known)).collect(),
        members: members.into_iter().map(|member| ((member.program, member.customer), member)).collect(),
        sources: sources.into_iter().map(|source| (source.pass_id, source)).collect(),
    })
}

type Versions = HashMap<(TemplateId, i64), Arc<TemplateVersion>>;

async fn read_versions(app: &App, brand: &Brand, asked: &[Asked], stored: &Stored) -> Result<Versions, Problem> {
    let live = asked.iter().map(|one| (one.template.id, one.template.live_version));
    let used = stored.sources.values().map(|source| (source.template_id, source.template_version));
    let mut ready = HashMap::new();
    for (template, version) in live.chain(used).collect::<HashSet<_>>() {
        ready.insert((template, version), ready_templates::load(app, brand.id, template, version).await?);
    }
    Ok(ready)
}

/// What becomes of one line; `None`: its customer was taken by a line before.
#[expect(clippy::too_many_arguments, reason = "one step of a loop, with what the steps share")]
fn plan_line(
    app: &App,
    brand: &Brand,
    one: Asked,
    stored: &mut Stored,
    ready: &Versions,
    taken: &mut HashSet<CustomerId>,
    plan: &mut Plan,
    now: DateTime<Utc>,
) -> Result<Option<(LineOutcome, PassId)>, Problem> {
    let existing = stored.passes.remove(&one.line.external_id);
    if let Some(pass) = existing.as_ref().filter(|pass| one.is_said_of(pass)) {
        return Ok(Some((LineOutcome::Unchanged, pass.id)));
    }
    let named = match &one.customer {
        Wanted::Known(id) => Some(*id),
        Wanted::By(by) => {
            let named = stored.named.get(&by.lookup).copied().unwrap_or(Ok(None));
            named.map_err(|_| Problem::AmbiguousCustomer)?
        }
    };
    let person = match named {
        Some(id) if !taken.insert(id) => return Ok(None),
        Some(id) => {
            let known = stored.known.remove(&id).ok_or(Problem::NotFound { what: "customer" })?;
            Person::known(known, &one.line.details, Vec::new())?
        }
        None => {
            let by = match &one.customer {
                Wanted::By(by) => vec![by.clone()],
                Wanted::Known(_) => Vec::new(),
            };
            Person::new(app, &one.line.details, by)?
        }
    };
    match existing {
        Some(pass) => change(app, brand, one, pass, person, stored, ready, plan).map(Some),
        None => create(app, brand, one, person, stored, ready, plan, now).map(Some),
    }
}

/// A line for a pass that is there: its data is merged, its customer brought up to date.
#[expect(clippy::too_many_arguments, reason = "see plan_line")]
fn change(
    app: &App,
    brand: &Brand,
    one: Asked,
    pass: Pass,
    person: Person,
    stored: &mut Stored,
    ready: &Versions,
    plan: &mut Plan,
) -> Result<(LineOutcome, PassId), Problem> {
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
    if let Some(mut source) = stored.sources.remove(&pass.id) {
        source.data = Json(data.clone());
        source.customer_name.clone_from(&person.customer.name);
        source.customer_locale = person.customer.locale.map(|locale| locale.as_str().to_owned());
        source.customer_time_zone.clone_from(&person.customer.time_zone);
        source.customer_attributes = Json(person.customer.attributes.reveal().clone());
        if let Some(version) = ready.get(&(source.template_id, source.template_version))
            && let Err(problem @ Problem::TemplateRefused { .. }) = render(app, brand, &source, version)
        {
            return Err(problem);
        }
    }
    let id = pass.id;
    plan.changed.push(Change { pass, data, order_hash: one.line.hash, token_hash });
    plan.people.push(person);
    Ok((LineOutcome::Changed, id))
}

#[expect(clippy::too_many_arguments, reason = "see plan_line")]
fn create(
    app: &App,
    brand: &Brand,
    one: Asked,
    person: Person,
    stored: &Stored,
    ready: &Versions,
    plan: &mut Plan,
    now: DateTime<Utc>,
) -> Result<(LineOutcome, PassId), Problem> {
    let Asked { line, template, program, .. } = one;
    if line.serial.as_ref().is_some_and(|serial| stored.serials.contains(&(template.pass_type.clone(), serial.clone())))
    {
        return Err(Problem::invalid("/serial", "another pass of this pass type has this serial"));
    }
    let member = stored.members.get(&(program.id, person.customer.id)).copied();
    let new_member = member.is_none().then(|| Member {
        id: MemberId::new(app.clock.new_id()),
        program: program.id,
        customer: person.customer.id,
        since: line.member_since.unwrap_or(now),
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
    let mut pass = fresh.make(app, brand, now);
    if let Some(serial) = line.serial {
        pass.serial = serial;
        // No token has the digest of no bytes: it says that the serial is another vendor's, and may be guessed.
        pass.token_hash = Some(line.token_hash.map(|hash| hash.to_vec()).unwrap_or_default());
    }
    let version = ready.get(&(template.id, template.live_version));
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
    let rendered: Rendered = render(app, brand, &behind.source(&pass), version)?;
    let first = first_content(app, &pass, made_with, rendered, 0);
    let id = pass.id;
    plan.created.push((pass, first));
    plan.members.extend(new_member);
    plan.people.push(person);
    Ok((LineOutcome::Created, id))
}

/// Writes a plan; `false`: what it was made from has changed.
pub(super) async fn write(app: &App, conn: &mut Conn<'_>, brand: &Brand, plan: &mut Plan) -> Result<bool, Problem> {
    let now = app.clock.now();
    let held = imports::hold_designs(conn, brand.id, &plan.templates, &plan.programs).await?;
    let people: Vec<&Person> = plan.people.iter().collect();
    if !held
        || !people::hold(conn, brand.id, &people).await?
        || !people::write(app, conn, brand.id, &people, now).await?
    {
        return Ok(false);
    }
    if imports::insert_members(conn, brand.id, &plan.members).await? < plan.members.len() {
        return Ok(false);
    }
    events::insert_many(conn, brand.id, &told(app, plan, now)).await?;
    let changed = plan.changed.iter().map(|Change { pass, data, order_hash, token_hash }| ChangedPass {
        id: pass.id,
        seen_change_no: pass.change_no,
        data,
        order_hash,
        token_hash: token_hash.as_ref().map(<[u8; 32]>::as_slice),
    });
    let changed: Vec<ChangedPass<'_>> = changed.collect();
    people::lock_passes(conn, brand.id, &people, &changed).await?;
    if imports::set_passes(conn, brand.id, &changed, now).await? < changed.len() {
        return Ok(false);
    }
    people::touch(conn, brand.id, &people, now).await?;
    // The counter after every row that somebody else may hold.
    let mut of_type: HashMap<String, i64> = HashMap::new();
    for (pass, _) in &plan.created {
        *of_type.entry(pass.pass_type.clone()).or_default() += 1;
    }
    let mut pass_types: Vec<_> = of_type.into_iter().collect();
    pass_types.sort_unstable();
    for (pass_type, count) in pass_types {
        let last = brands::take_tags(conn, brand.id, &pass_type, count).await?;
        let created = plan.created.iter_mut().filter(|(pass, _)| pass.pass_type == pass_type);
        for ((_, first), tag_n) in created.zip(last.n - count + 1..) {
            first.tag_n = tag_n;
        }
    }
    let new: Vec<NewPass<'_>> = plan.created.iter().map(|(pass, first)| NewPass { pass, first }).collect();
    Ok(imports::insert_passes(conn, brand.id, &new).await? == new.len())
}

fn told(app: &App, plan: &Plan, now: DateTime<Utc>) -> Vec<NewEvent> {
    let event = |kind, pass: &Pass, data| NewEvent {
        id: EventId::new(app.clock.new_id()),
        kind,
        customer: Some(pass.customer_id),
        pass: Some(pass.id),
        subject: pass.id.uuid(),
        data,
        occurred_at: now,
    };
    let created = plan.created.iter().map(|(pass, _)| {
        let data = json!({ "pass_id": pass.id, "program_id": pass.program_id, "template_id": pass.template_id });
        event("pass.issued", pass, data)
    });
    let changed = plan.changed.iter().filter(|change| change.data != *change.pass.data.reveal()).map(|change| {
        event("pass.changed", &change.pass, json!({ "pass_id": change.pass.id, "status": change.pass.status }))
    });
    created.chain(changed).collect()
}
