//! `/api/v1/passes`: issue, read, change and end passes.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{CustomerId, MemberId, PassId, ProgramId, TemplateId};
use crate::domain::locale::Locale;
use crate::domain::pass::PassStatus;
use crate::domain::role::Role;
use crate::domain::secret::Personal;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Body, IdempotencyKey, IfMatch, Query, id, reply};
use crate::http::page::{Page, after, limit};
use crate::http::preview::Asked;
use crate::service::customers::{Details, Selector};
use crate::service::issue_pass::{self, Order, TemplateRef};
use crate::service::read_pass::Wallets;
use crate::service::{App, Problem, change_pass, preview, read_pass, reissue_pass};
use crate::store::passes::{Filter, Pass};

/// A customer: by exactly one of the members that identify (`id` to `identifier`), with data to keep about them. A
/// customer that is not known yet is created.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerRef {
    #[schema(value_type = Option<String>, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: Option<CustomerId>,
    #[schema(value_type = Option<String>)]
    external_id: Option<Personal<String>>,
    /// The text in the barcode of one of the customer's active passes.
    #[schema(value_type = Option<String>)]
    code: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    card_number: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    cpf: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    phone: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// An identifier of the brand's own kind.
    identifier: Option<IdentifierInput>,
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[serde(default, deserialize_with = "Locale::spoken")]
    #[schema(value_type = Option<String>, example = "pt-BR")]
    locale: Option<Locale>,
    #[schema(example = "America/Sao_Paulo")]
    time_zone: Option<String>,
    #[schema(value_type = Option<Object>)]
    attributes: Option<Personal<Map<String, Value>>>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifierInput {
    #[schema(example = "employee_no")]
    pub r#type: String,
    #[schema(value_type = String)]
    pub value: Personal<String>,
}

impl IdentifierInput {
    pub fn parse(self) -> Result<(IdentifierKind, Personal<String>), Problem> {
        let kind = IdentifierKind::parse(&self.r#type);
        kind.map(|kind| (kind, self.value)).map_err(|error| Problem::invalid("/identifier/type", error.to_string()))
    }
}

/// The identifiers that have members of their own, of those that are given.
pub fn known_by(
    external_id: Option<Personal<String>>,
    card_number: Option<Personal<String>>,
    cpf: Option<Personal<String>>,
    phone: Option<Personal<String>>,
    email: Option<Personal<String>>,
) -> impl Iterator<Item = (IdentifierKind, Personal<String>)> {
    let named = [
        (IdentifierKind::ExternalId, external_id),
        (IdentifierKind::CardNumber, card_number),
        (IdentifierKind::Cpf, cpf),
        (IdentifierKind::Phone, phone),
        (IdentifierKind::Email, email),
    ];
    named.into_iter().filter_map(|(kind, value)| value.map(|value| (kind, value)))
}

impl CustomerRef {
    /// Somebody who is known, of whom nothing is to be kept here.
    pub fn parse_known(self) -> Result<Selector, Problem> {
        if self.name.is_some() || self.locale.is_some() || self.time_zone.is_some() || self.attributes.is_some() {
            return Err(Problem::invalid("/customer", "only what identifies the customer belongs here"));
        }
        self.parse().map(|(selector, _)| selector)
    }

    pub fn parse(self) -> Result<(Selector, Details), Problem> {
        let named = known_by(self.external_id, self.card_number, self.cpf, self.phone, self.email);
        let own = self.identifier.map(IdentifierInput::parse).transpose()?;
        let mut selectors = named
            .chain(own)
            .map(|(kind, value)| Selector::Identifier(kind, value))
            .chain(self.id.map(Selector::Id))
            .chain(self.code.map(Selector::Code));
        // One: with two, a shared phone could decide for the wrong member of a family.
        let (Some(selector), None) = (selectors.next(), selectors.next()) else {
            return Err(Problem::invalid(
                "/customer",
                "name the customer by one of id, external_id, code, card_number, cpf, phone, email or identifier",
            ));
        };
        Ok((selector, Details::given(self.name, self.locale, self.time_zone, self.attributes)))
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuePass {
    /// A template's name or id.
    #[schema(example = "clube-aurora")]
    template: String,
    #[schema(value_type = String, example = "prg_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    program_id: ProgramId,
    customer: CustomerRef,
    /// The caller's own id of this pass: the same again answers the same pass again.
    #[schema(example = "ana-2026", max_length = 100)]
    external_id: Option<String>,
    /// What the template reads as `pass.data.*`; at most 16 KiB.
    #[schema(value_type = Object, example = json!({"points": 120, "tier": "Ouro"}))]
    #[serde(default = "no_data")]
    data: Personal<Map<String, Value>>,
}

pub fn no_data() -> Personal<Map<String, Value>> {
    Personal::new(Map::new())
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchPass {
    /// Merged into the pass's data (RFC 7396): null removes.
    #[schema(value_type = Object, example = json!({"points": 135}))]
    data: Personal<Map<String, Value>>,
}

/// Which wallets hold a pass.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct HeldOn {
    /// Devices that registered for updates.
    #[schema(example = 2)]
    apple: i64,
    /// Whether Google said, when it was last told of a change, that somebody has it.
    #[schema(example = false)]
    google: bool,
}

/// A pass without what it says about a person.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PassReceipt {
    #[schema(value_type = String, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: PassId,
    serial: String,
    #[schema(value_type = String, example = "active")]
    status: PassStatus,
    held_on: HeldOn,
    /// The page that offers the right wallet. Whoever has it has the pass: only `issuer` and `admin` keys are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    add_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pkpass_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    google_url: Option<String>,
    #[schema(value_type = String)]
    customer_id: CustomerId,
    #[schema(value_type = String)]
    member_id: MemberId,
    #[schema(value_type = String)]
    program_id: ProgramId,
    #[schema(value_type = String)]
    template_id: TemplateId,
    pass_type: String,
    external_id: Option<String>,
    #[schema(value_type = Option<String>)]
    reissued_as: Option<PassId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Whether phones are already served the newest content.
    is_published: bool,
}

/// A pass with its data.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PassView {
    #[serde(flatten)]
    receipt: PassReceipt,
    #[schema(value_type = Object, example = json!({"points": 135, "tier": "Ouro"}))]
    data: Map<String, Value>,
}

fn receipt(app: &App, pass: &Pass, held: Wallets) -> PassReceipt {
    let add_url = format!("{}/p/{}", app.config.server.public_url, pass.link.reveal());
    PassReceipt {
        id: pass.id,
        serial: pass.serial.clone(),
        status: pass.status,
        held_on: HeldOn { apple: held.apple, google: held.google },
        pkpass_url: Some(format!("{add_url}/apple.pkpass")),
        google_url: Some(format!("{add_url}/google")),
        add_url: Some(add_url),
        customer_id: pass.customer_id,
        member_id: pass.member_id,
        program_id: pass.program_id,
        template_id: pass.template_id,
        pass_type: pass.pass_type.clone(),
        external_id: pass.external_id.clone(),
        reissued_as: pass.reissued_as,
        created_at: pass.created_at,
        updated_at: pass.updated_at,
        is_published: pass.published_no >= pass.change_no,
    }
}

impl PassReceipt {
    /// Without the links, for those who may not have the pass.
    fn for_role(self, role: Role) -> Self {
        match role {
            Role::Admin | Role::Issuer => self,
            _ => Self { add_url: None, pkpass_url: None, google_url: None, ..self },
        }
    }
}

fn view(app: &App, pass: &Pass, held: Wallets) -> PassView {
    PassView { receipt: receipt(app, pass, held), data: pass.data.reveal().clone() }
}

fn respond(app: &App, pass: &Pass, held: Wallets) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", pass.change_no))).json(view(app, pass, held))
}

fn bytes(app: &App, pass: &Pass, held: Wallets) -> Vec<u8> {
    serde_json::to_vec(&receipt(app, pass, held)).unwrap_or_default()
}

/// Issue a pass
#[utoipa::path(post, path = "/api/v1/passes", tag = "passes", request_body = IssuePass,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request with its key to have one effect")),
    responses((status = 201, description = "Issued", body = PassReceipt), (status = 200, description = "Issued before with this external_id", body = PassReceipt),
        (status = 409, description = "ambiguous-customer, external-id-taken", body = crate::http::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "invalid, template-refused", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn issue(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    key: IdempotencyKey,
    body: Body<IssuePass>,
) -> Result<HttpResponse, Problem> {
    let once = key.once(&allow.caller, &body);
    let hash = body.canonical;
    let brand = allow.caller.brand;
    let IssuePass { template, program_id, customer, external_id, data } = body.value;
    let (customer, details) = customer.parse()?;
    let template = TemplateRef::parse(template);
    let order = Order { template, program: program_id, customer, details, external_id, data, hash };
    let done = app.run(async move |app| issue_pass::issue(&app, &brand, &order, once.as_ref(), bytes).await);
    Ok(reply(done.await?))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPasses {
    /// Items of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Only passes that changed after this sequence number.
    changed_since: Option<i64>,
    external_id: Option<String>,
    #[param(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[param(value_type = Option<String>)]
    template_id: Option<TemplateId>,
    #[param(value_type = Option<String>, example = "active")]
    status: Option<PassStatus>,
}

/// List passes
#[utoipa::path(get, path = "/api/v1/passes", tag = "passes", params(ListPasses),
    responses((status = 200, description = "A page", body = Page<PassReceipt>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<ListPasses>,
) -> Result<HttpResponse, Problem> {
    let (brand, role) = (allow.caller.brand.id, allow.caller.key.role);
    let Query(query) = query;
    let limit = limit(query.limit)?;
    if let Some(since) = query.changed_since {
        let is_narrowed = query.external_id.is_some()
            || query.customer_id.is_some()
            || query.template_id.is_some()
            || query.status.is_some()
            || query.after.is_some();
        if is_narrowed {
            return Err(Problem::invalid("", "changed_since goes with limit only"));
        }
        let page = app.run(async move |app| {
            let (ids, next) = read_pass::list_changed(&app, brand, "pass.", since, limit).await?;
            let mut data = Vec::with_capacity(ids.len());
            for id in ids {
                let (pass, held) = read_pass::read(&app, brand, PassId::new(id)).await?;
                data.push(receipt(&app, &pass, held).for_role(role));
            }
            Ok(Page { data, next: Some(next.to_string()) })
        });
        return Ok(HttpResponse::Ok().json(page.await?));
    }
    let after = after(query.after.as_deref())?;
    let filter = Filter {
        external_id: query.external_id,
        customer: query.customer_id,
        template: query.template_id,
        status: query.status,
    };
    let page = app.run(async move |app| {
        let found = read_pass::list(&app, brand, &filter, after, limit).await?;
        let mut data = Vec::with_capacity(found.len());
        for (pass, held) in found {
            data.push(receipt(&app, &pass, held).for_role(role));
        }
        Ok(Page::new(data, limit, |pass: &PassReceipt| pass.id.to_string()))
    });
    Ok(HttpResponse::Ok().json(page.await?))
}

/// Read a pass
#[utoipa::path(get, path = "/api/v1/passes/{id}", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The pass", body = PassView), (status = 404, description = "Unknown", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, role, pass) = (allow.caller.brand.id, allow.caller.key.role, id(&path, "pass")?);
    let (pass, held) = app.run(async move |app| read_pass::read(&app, brand, pass).await).await?;
    let PassView { receipt, data } = view(&app, &pass, held);
    let view = PassView { receipt: receipt.for_role(role), data };
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", pass.change_no))).json(view))
}

/// Change a pass's data
#[utoipa::path(patch, path = "/api/v1/passes/{id}", tag = "passes", request_body = PatchPass,
    params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6"), ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses to overwrite somebody else's change")),
    responses((status = 200, description = "The pass; phones that hold it are told", body = PassView), (status = 412, description = "Changed by somebody else", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn patch(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    seen: IfMatch,
    body: Body<PatchPass>,
) -> Result<HttpResponse, Problem> {
    let (brand, pass) = (allow.caller.brand.id, id(&path, "pass")?);
    let data = body.value.data;
    let done = app.run(async move |app| {
        change_pass::patch(&app, brand, pass, &data, seen.0).await?;
        read_pass::read(&app, brand, pass).await
    });
    let (pass, held) = done.await?;
    Ok(respond(&app, &pass, held))
}

/// Void a pass
#[utoipa::path(post, path = "/api/v1/passes/{id}/void", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The pass, voided; repeating it changes nothing", body = PassView)))]
pub async fn void(allow: Allow<(Issuer, Admin)>, app: Data<App>, path: Path<String>) -> Result<HttpResponse, Problem> {
    let (brand, pass) = (allow.caller.brand.id, id(&path, "pass")?);
    let done = app.run(async move |app| {
        change_pass::void(&app, brand, pass).await?;
        read_pass::read(&app, brand, pass).await
    });
    let (pass, held) = done.await?;
    Ok(respond(&app, &pass, held))
}

/// Expire a pass
#[utoipa::path(post, path = "/api/v1/passes/{id}/expire", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The pass, expired; repeating it changes nothing", body = PassView)))]
pub async fn expire(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, pass) = (allow.caller.brand.id, id(&path, "pass")?);
    let done = app.run(async move |app| {
        change_pass::expire(&app, brand, pass).await?;
        read_pass::read(&app, brand, pass).await
    });
    let (pass, held) = done.await?;
    Ok(respond(&app, &pass, held))
}

/// Reissue a pass: a new serial, token and links; the old pass is voided
#[utoipa::path(post, path = "/api/v1/passes/{id}/reissue", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The new pass; repeating it answers the same", body = PassView)))]
pub async fn reissue(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let pass = id(&path, "pass")?;
    let brand = allow.caller.brand;
    let done = app.run(async move |app| {
        let successor = reissue_pass::reissue(&app, &brand, pass).await?;
        read_pass::read(&app, brand.id, successor.id).await
    });
    let (pass, held) = done.await?;
    Ok(respond(&app, &pass, held))
}

/// See a pass
///
/// As it would be published now, the way phones show it.
#[utoipa::path(get, path = "/api/v1/passes/{id}/preview", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6"), Asked),
    responses((status = 200, description = "The picture", content((String = "image/svg+xml"), (Vec<u8> = "image/png")))))]
pub async fn preview(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    query: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (brand, pass) = (allow.caller.brand.id, id(&path, "pass")?);
    let Query(asked) = query;
    if asked.version.is_some() {
        return Err(Problem::invalid("", "query: version: a pass has the version that it is made with"));
    }
    let wanted = asked.wanted();
    let picture = app.run(async move |app| preview::of_pass(&app, brand, pass, wanted).await).await?;
    Ok(asked.answer(picture))
}
