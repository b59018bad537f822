//! Issuing a pass: from an order to a pass that can be added at once.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sqlx::types::Json;

use crate::clock::random_alphanumeric;
use crate::domain::code::CODE_ID_LEN;
use crate::domain::ids::{BrandId, CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::json::merge;
use crate::domain::pass::{Lane, PassStatus, next_last_modified};
use crate::domain::secret::{Personal, Secret};
use crate::domain::text;
use crate::service::customers::{self, Details, Named, Selector, check_size};
use crate::service::loyalty::shown;
use crate::service::once::{self, Once, Reply};
use crate::service::publish::{Rendered, render};
use crate::service::read_pass::{Wallets, wallets};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, notices, templates as ready_templates};
use crate::store::brands::{self, Brand};
use crate::store::customers::Customer;
use crate::store::passes::{self, FirstContent, Pass};
use crate::store::programs::{self, Program};
use crate::store::publication::Source;
use crate::store::templates::{self, Template};
use crate::store::{Conn, members};
use crate::wallet::keys::TOKEN_KEY_VERSION;

/// Bytes of a pass's data at most, as JSON.
pub const DATA_MAX: usize = 16 * 1024;

/// A template by its id or its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TemplateRef {
    Id(TemplateId),
    Name(String),
}

impl TemplateRef {
    /// What looks like an id is one.
    pub fn parse(text: String) -> Self {
        text.parse().map_or_else(|_| Self::Name(text), Self::Id)
    }

    /// The brand's template that it means, if there is one.
    pub async fn find(&self, conn: &mut Conn<'_>, brand: BrandId) -> sqlx::Result<Option<Template>> {
        match self {
            Self::Id(id) => templates::find(conn, brand, *id).await,
            Self::Name(name) => templates::find_by_name(conn, brand, name).await,
        }
    }
}

/// What a pass is issued for.
#[derive(Debug, Clone)]
pub struct Order {
    pub template: TemplateRef,
    pub program: ProgramId,
    pub customer: Selector,
    pub details: Details,
    pub external_id: Option<String>,
    pub data: Personal<Map<String, Value>>,
    /// SHA-256 of the order as it was sent: the same `external_id` with another order is refused.
    pub hash: [u8; 32],
}

/// Times the whole transaction is tried when two requests create the same customer at once.
const ATTEMPTS: usize = 3;

/// Issues a pass. The same `external_id` and order again: 200 and the same pass.
pub async fn issue(
    app: &App,
    brand: &Brand,
    order: &Order,
    once: Option<&Once>,
    body: fn(&App, &Pass, Wallets) -> Vec<u8>,
) -> Result<Reply, Problem> {
    let external_id = order.external_id.as_deref().map(|id| text::line(id, 100)).transpose();
    let external_id = external_id.map_err(Problem::text("/external_id"))?;
    check_size("/data", order.data.reveal(), DATA_MAX)?;
    let mut attempt = 1;
    loop {
        match try_issue(app, brand, order, external_id.as_deref(), once, body).await {
            // Somebody created this very customer a moment ago: now they are found.
            Err(Problem::IdentifierTaken { .. }) if attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

async fn try_issue(
    app: &App,
    brand: &Brand,
    order: &Order,
    external_id: Option<&str>,
    once: Option<&Once>,
    body: fn(&App, &Pass, Wallets) -> Vec<u8>,
) -> Result<Reply, Problem> {
    let (template, program) = find_design(app, brand, order).await?;
    let version = ready_templates::load(app, brand.id, template.id, template.live_version).await?;
    let mut tx = app.db.begin().await?;
    if let Some(kept) = once::begin(&mut tx.conn(), brand.id, once, app.clock.now()).await? {
        return replay(app, &mut tx.conn(), brand, &kept, body).await;
    }
    if let Some((first, reply)) = find_first(app, &mut tx.conn(), brand, order, external_id, body).await? {
        once::end(&mut tx.conn(), brand.id, once, 200, first.to_string().into_bytes()).await?;
        tx.commit().await?;
        return Ok(reply);
    }
    let (customer, card_number) = place_customer(app, &mut tx.conn(), brand, order).await?;
    let now = app.clock.now();
    let new_member = MemberId::new(app.clock.new_id());
    let ensured = members::ensure(&mut tx.conn(), brand.id, program.id, customer.id, new_member, now).await?;
    let (member, member_since) = ensured;
    let fresh = FreshPass {
        template: &template,
        program: program.id,
        customer: customer.id,
        member,
        external_id: external_id.map(str::to_owned),
        order_hash: order.hash.to_vec(),
        data: order.data.clone(),
    };
    let pass = fresh.make(app, brand, now);
    let made_with = MadeWith::live(&template);
    let behind =
        Behind { template: &template, program: &program, customer: &customer, card_number, member_since, made_with };
    let mut source = behind.source(&pass);
    shown::fill(app, &mut tx.conn(), brand.id, std::slice::from_mut(&mut source)).await?;
    let mut rendered = render(app, brand, &source, &version)?;
    let told = rendered.notice.take().map(|notice| notices::Change::of_new(&pass, notice, Lane::Interactive));
    notices::queue(app, &mut tx.conn(), brand.id, told.into_iter().collect()).await?;
    record(app, &mut tx.conn(), brand, "pass.issued", &pass).await?;
    // Kept is the id alone: the answer carries the link, and whoever has the link has the pass.
    once::end(&mut tx.conn(), brand.id, once, 201, pass.id.to_string().into_bytes()).await?;
    if !insert(app, &mut tx.conn(), brand, &pass, made_with, rendered).await? {
        drop(tx);
        let mut reader = app.db.read().await?;
        let first = find_first(app, &mut reader.conn(), brand, order, external_id, body).await?;
        return first.map(|(_, reply)| reply).ok_or(Problem::ExternalIdTaken);
    }
    tx.commit().await?;
    if app.config.has_app(&brand.code) {
        app.wake_dispatchers();
    }
    Ok(Reply { status: 201, body: body(app, &pass, Wallets::default()), is_replayed: false })
}

/// The first answer again, from the pass that it was about.
async fn replay(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    kept: &Reply,
    body: fn(&App, &Pass, Wallets) -> Vec<u8>,
) -> Result<Reply, Problem> {
    let id: PassId = String::from_utf8_lossy(&kept.body).parse().map_err(Problem::internal)?;
    let pass = passes::find(conn, brand.id, id).await?.ok_or(Problem::NotFound { what: "pass" })?;
    let held = wallets(conn, brand.id, id).await?;
    Ok(Reply { status: kept.status, body: body(app, &pass, held), is_replayed: true })
}

/// The pass that this `external_id` was used for.
async fn find_first(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    order: &Order,
    external_id: Option<&str>,
    body: fn(&App, &Pass, Wallets) -> Vec<u8>,
) -> Result<Option<(PassId, Reply)>, Problem> {
    let Some(external_id) = external_id else { return Ok(None) };
    let Some(first) = passes::find_by_external_id(conn, brand.id, external_id).await? else { return Ok(None) };
    if first.order_hash != order.hash {
        return Err(Problem::ExternalIdTaken);
    }
    let held = wallets(conn, brand.id, first.id).await?;
    Ok(Some((first.id, Reply { status: 200, body: body(app, &first, held), is_replayed: true })))
}

async fn find_design(app: &App, brand: &Brand, order: &Order) -> Result<(Template, Program), Problem> {
    let mut reader = app.db.read().await?;
    let template = order.template.find(&mut reader.conn(), brand.id).await?;
    let program = programs::find(&mut reader.conn(), brand.id, order.program).await?;
    Ok((template.ok_or(Problem::NotFound { what: "template" })?, program.ok_or(Problem::NotFound { what: "program" })?))
}

/// The customer of the order: found and brought up to date, or created.
async fn place_customer(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    order: &Order,
) -> Result<(Customer, Option<Personal<String>>), Problem> {
    let has_details = order.details.name.is_some()
        || order.details.locale.is_some()
        || order.details.time_zone.is_some()
        || order.details.attributes.is_some();
    let customer = match customers::find(app, conn, brand.id, &order.customer).await? {
        Named::New(identifier) => customers::insert(app, conn, brand.id, &order.details, &[identifier]).await?,
        Named::Known(id) if has_details => customers::change(app, conn, brand.id, id, &order.details, None).await?,
        Named::Known(id) => {
            crate::store::customers::find(conn, brand.id, id).await?.ok_or(Problem::NotFound { what: "customer" })?
        }
    };
    let card_number = card_number(conn, brand, customer.id).await?;
    Ok((customer, card_number))
}

/// What a new pass is made from.
pub(super) struct FreshPass<'a> {
    pub template: &'a Template,
    pub program: ProgramId,
    pub customer: CustomerId,
    pub member: MemberId,
    pub external_id: Option<String>,
    pub order_hash: Vec<u8>,
    pub data: Personal<Map<String, Value>>,
}

impl FreshPass<'_> {
    /// A pass with a serial, a link and a code that nobody can guess.
    pub fn make(self, app: &App, brand: &Brand, now: DateTime<Utc>) -> Pass {
        let mut code_id = vec![0; CODE_ID_LEN];
        app.clock.random(&mut code_id);
        // As a patch of nothing: null removes, here as later.
        let mut data = Map::new();
        merge(&mut data, self.data.reveal());
        Pass {
            id: PassId::new(app.clock.new_id()),
            pass_type: self.template.pass_type.clone(),
            serial: random_alphanumeric(&*app.clock, 22),
            link: Secret::new(format!("{}{}", brand.code, random_alphanumeric(&*app.clock, 22))),
            code_id,
            token_key_version: TOKEN_KEY_VERSION,
            token_hash: None,
            program_id: self.program,
            customer_id: self.customer,
            member_id: self.member,
            template_id: self.template.id,
            external_id: self.external_id,
            order_hash: self.order_hash,
            data: Personal::new(data),
            status: PassStatus::Active,
            reissued_as: None,
            created_at: now,
            updated_at: now,
            change_no: 1,
            published_no: 1,
        }
    }
}

/// What stands behind a pass that is not stored yet: the same that the publisher reads for one that is.
pub(super) struct Behind<'a> {
    pub template: &'a Template,
    pub program: &'a Program,
    pub customer: &'a Customer,
    pub card_number: Option<Personal<String>>,
    pub member_since: DateTime<Utc>,
    pub made_with: MadeWith,
}

/// The template version of a new pass, and what a reissued one takes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct MadeWith {
    pub template_version: i64,
    /// The version that a roll-out wants for it; 0: the template's live one.
    pub wanted_version: i64,
    pub signed_up_at: Option<DateTime<Utc>>,
}

impl MadeWith {
    /// A pass that nothing came before.
    pub const fn live(template: &Template) -> Self {
        Self { template_version: template.live_version, wanted_version: 0, signed_up_at: None }
    }
}

impl Behind<'_> {
    pub fn source(self, pass: &Pass) -> Source {
        Source {
            pass_id: pass.id,
            pass_type: pass.pass_type.clone(),
            serial: pass.serial.clone(),
            code_id: pass.code_id.clone(),
            template_id: self.template.id,
            template_version: self.made_with.template_version,
            is_live: true,
            program_id: self.program.id,
            customer_id: pass.customer_id,
            member_id: pass.member_id,
            rules_version: self.program.rules_version,
            loyalty: Map::new(),
            loyalty_until: None,
            status: pass.status,
            data: Json(pass.data.reveal().clone()),
            created_at: pass.created_at,
            change_no: pass.change_no,
            bulk_no: 0,
            forced_no: 0,
            published_no: 0,
            apple_hash: Vec::new(),
            google_hash: Vec::new(),
            customer_name: self.customer.name.clone(),
            customer_locale: self.customer.locale.map(|locale| locale.as_str().to_owned()),
            customer_time_zone: self.customer.time_zone.clone(),
            customer_attributes: Json(self.customer.attributes.reveal().clone()),
            card_number: self.card_number,
            program_name: self.program.name.clone(),
            program_time_zone: self.program.time_zone.clone(),
            member_since: self.member_since,
            signed_up_at: self.made_with.signed_up_at,
            has_object: false,
        }
    }
}

/// The card number that passes show, of several the first in order: as the publisher chooses.
pub(super) async fn card_number(
    conn: &mut Conn<'_>,
    brand: &Brand,
    customer: CustomerId,
) -> Result<Option<Personal<String>>, Problem> {
    let known = crate::store::customers::list_identifiers(conn, brand.id, customer).await?;
    let numbers = known.into_iter().filter(|(kind, _)| kind == "card_number").map(|(_, value)| value.into_inner());
    Ok(numbers.min().map(Personal::new))
}

/// Stores the pass as published. From here to the commit other publications of the pass type wait: the tag counter is
/// taken after every row that somebody else may hold.
pub(super) async fn insert(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    pass: &Pass,
    made_with: MadeWith,
    rendered: Rendered,
) -> Result<bool, Problem> {
    let tag = brands::take_tags(conn, brand.id, &pass.pass_type, 1).await?;
    let first = first_content(app, pass, made_with, rendered, tag.n);
    Ok(passes::insert(conn, brand.id, pass, &first).await?)
}

/// What a new pass is served as, with the tag that it takes.
pub(super) fn first_content(
    app: &App,
    pass: &Pass,
    made_with: MadeWith,
    rendered: Rendered,
    tag_n: i64,
) -> FirstContent {
    let rest = TimeDelta::milliseconds(i64::try_from(app.config.delivery.coalesce_millis).unwrap_or(1_000));
    FirstContent {
        tag_n,
        last_modified: next_last_modified(pass.created_at.timestamp(), None),
        publish_after: pass.created_at + rest,
        render_at: rendered.render_at,
        template_version: made_with.template_version,
        wanted_version: made_with.wanted_version,
        signed_up_at: made_with.signed_up_at,
        apple: rendered.apple,
        apple_hash: rendered.apple_hash,
        google: rendered.google,
        google_hash: rendered.google_hash,
    }
}

pub(super) async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    kind: &'static str,
    pass: &Pass,
) -> Result<(), Problem> {
    let about = About { customer: Some(pass.customer_id), pass: Some(pass.id), subject: pass.id.uuid() };
    let data = json!({ "pass_id": pass.id, "program_id": pass.program_id, "template_id": pass.template_id });
    timeline::record(app, conn, brand.id, kind, about, data).await
}
