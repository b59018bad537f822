//! What lines of passes are compared with: designs, programs, passes, customers and memberships, each read once for all.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::code::CodeKind;
use crate::domain::ids::{CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::text;
use crate::service::customers::{Selector, check_size, identify};
use crate::service::imports::PassLine;
use crate::service::issue_pass::{DATA_MAX, TemplateRef};
use crate::service::loyalty::shown::{self, Shown};
use crate::service::templates::{self as ready_templates, TemplateVersion};
use crate::service::{App, Problem, code_keys};
use crate::store::Conn;
use crate::store::brands::Brand;
use crate::store::customers::Identifier;
use crate::store::imports::{self, KnownCustomer, Member, Several};
use crate::store::jobs::Defaults;
use crate::store::passes::{self, Pass};
use crate::store::programs::{self, Program};
use crate::store::publication::{self, Source};
use crate::store::templates::Template;

/// Designs and programs of a part's lines, each read once.
#[derive(Default)]
pub(super) struct Designs {
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
            self.templates.insert(wanted.clone(), wanted.find(conn, brand.id).await?);
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
pub(super) struct Asked {
    pub number: i64,
    pub line: PassLine,
    pub template: Template,
    pub program: Program,
    pub customer: Wanted,
}

impl Asked {
    /// Whether the pass was made, or last changed, by just this line.
    pub fn is_said_of(&self, pass: &Pass) -> bool {
        pass.order_hash == self.line.hash && pass.template_id == self.template.id && pass.program_id == self.program.id
    }

    /// What the line is about, as far as it says so itself.
    pub fn names(&self) -> impl Iterator<Item = Vec<u8>> {
        let customer = match &self.customer {
            Wanted::Known(id) => id.uuid().as_bytes().to_vec(),
            Wanted::By(identifier) => identifier.lookup.clone(),
        };
        let serial =
            self.line.serial.as_ref().map(|serial| format!("{} {serial}", self.template.pass_type).into_bytes());
        [self.line.external_id.clone().into_bytes(), customer].into_iter().chain(serial)
    }
}

/// Whom a line means.
pub(super) enum Wanted {
    Known(CustomerId),
    By(Identifier),
}

/// Everything that lines are compared with.
pub(super) struct Stored {
    pub passes: HashMap<String, Pass>,
    pub serials: HashSet<(String, String)>,
    pub named: HashMap<Vec<u8>, Result<Option<CustomerId>, Several>>,
    pub known: HashMap<CustomerId, KnownCustomer>,
    pub members: HashMap<(ProgramId, CustomerId), Member>,
    /// What the passes that are there are rendered from.
    pub sources: HashMap<PassId, Source>,
    /// What passes of members show, where their program has rules of loyalty; and of whoever becomes one.
    pub loyalty: BTreeMap<MemberId, Shown>,
    pub newcomers: HashMap<ProgramId, Map<String, Value>>,
}

/// Looks up what a line names, and refuses what could not become a pass.
pub(super) async fn resolve(
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
            let read = app.master_key.read_code(brand.id, code_keys::of(brand), code.reveal());
            let Ok((CodeKind::Pass, code_id)) = read else { return Err(not_ours()) };
            let found = passes::find_customer_by_code(conn, brand.id, &code_id).await?;
            Wanted::Known(found.ok_or_else(not_ours)?)
        }
    };
    Ok(Asked { number, line, template, program, customer })
}

/// Reads what there is of what the lines name.
pub(super) async fn read_stored(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    asked: &[Asked],
) -> Result<Stored, Problem> {
    let external_ids: Vec<&str> = asked.iter().map(|one| one.line.external_id.as_str()).collect();
    let found = imports::find_passes(conn, brand.id, &external_ids).await?;
    // Those that their line does not change need no more.
    let lines: HashMap<&str, &Asked> = asked.iter().map(|one| (one.line.external_id.as_str(), one)).collect();
    let is_other = |pass: &&Pass| {
        let external_id = pass.external_id.as_deref().unwrap_or_default();
        lines.get(external_id).is_some_and(|one| !one.is_said_of(pass))
    };
    let other: Vec<PassId> = found.iter().filter(is_other).map(|pass| pass.id).collect();
    let mut sources =
        if other.is_empty() { Vec::new() } else { publication::load_sources(conn, brand.id, &other).await? };
    shown::fill(app, conn, brand.id, &mut sources).await?;
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
    let (mut newcomers, mut loyalty) = (HashMap::new(), BTreeMap::new());
    let with_rules = asked.iter().map(|one| &one.program).filter(|program| program.rules_version > 0);
    for program in with_rules.map(|program| program.id).collect::<HashSet<_>>() {
        newcomers.insert(program, shown::of_newcomer(app, conn, brand.id, program).await?);
    }
    let there = members.iter().filter(|member| newcomers.contains_key(&member.program));
    let there: Vec<MemberId> = there.map(|member| member.id).collect();
    if !there.is_empty() {
        loyalty = shown::of_members(app, conn, brand.id, &there).await?;
    }
    Ok(Stored {
        passes,
        serials: serials.into_iter().collect(),
        named: by.iter().map(|identifier| identifier.lookup.clone()).zip(named).collect(),
        known: known.into_iter().map(|known| (known.customer.id, known)).collect(),
        members: members.into_iter().map(|member| ((member.program, member.customer), member)).collect(),
        sources: sources.into_iter().map(|source| (source.pass_id, source)).collect(),
        loyalty,
        newcomers,
    })
}

/// Template versions by template and number.
pub(super) type Versions = HashMap<(TemplateId, i64), Arc<TemplateVersion>>;

/// The versions that the lines' passes are made with, or were.
pub(super) async fn read_versions(
    app: &App,
    brand: &Brand,
    asked: &[Asked],
    stored: &Stored,
) -> Result<Versions, Problem> {
    let live = asked.iter().map(|one| (one.template.id, one.template.live_version));
    let used = stored.sources.values().map(|source| (source.template_id, source.template_version));
    let mut ready = HashMap::new();
    for (template, version) in live.chain(used).collect::<HashSet<_>>() {
        ready.insert((template, version), ready_templates::load(app, brand.id, template, version).await?);
    }
    Ok(ready)
}
