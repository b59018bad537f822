//! `/api/v1/customers`: the people behind passes.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::CustomerId;
use crate::domain::locale::Locale;
use crate::domain::secret::Personal;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Reader};
use crate::http::extract::{Body, IdempotencyKey, IfMatch, Query, id, reply};
use crate::http::page::{Page, after, limit};
use crate::http::passes::IdentifierInput;
use crate::service::customers::{self, Details};
use crate::service::{App, Problem, read_pass};
use crate::store::customers::Customer;

/// A language that is given, or taken away.
fn spoken<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Locale>>, D::Error> {
    Locale::spoken(deserializer).map(Some)
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCustomer {
    #[schema(value_type = Option<String>, example = "Ana Souza", max_length = 100)]
    name: Option<Personal<String>>,
    #[serde(default, deserialize_with = "Locale::spoken")]
    #[schema(value_type = Option<String>, example = "pt-BR")]
    locale: Option<Locale>,
    #[schema(example = "America/Sao_Paulo")]
    time_zone: Option<String>,
    /// Anything that templates and rules may use; at most 16 KiB.
    #[schema(value_type = Option<Object>, example = json!({"favourite": "pão de queijo"}))]
    attributes: Option<Personal<Map<String, Value>>>,
    /// What the customer is known by: `external_id`, `card_number`, `cpf`, `phone`, `email` or a kind of your own.
    #[serde(default)]
    identifiers: Vec<IdentifierInput>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCustomer {
    /// Null removes.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "Ana Souza")]
    name: Option<Option<Personal<String>>>,
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, example = "pt-BR")]
    locale: Option<Option<Locale>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "America/Sao_Paulo")]
    time_zone: Option<Option<String>>,
    /// Merged (RFC 7396): null removes.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Personal<Map<String, Value>>>,
    /// Each replaces the identifiers of its kind; a null value removes them.
    #[serde(default)]
    identifiers: Vec<IdentifierChange>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifierChange {
    #[schema(example = "phone")]
    r#type: String,
    #[schema(value_type = Option<String>, example = "+5511987654321")]
    value: Option<Personal<String>>,
}

impl IdentifierChange {
    fn parse(self) -> Result<(IdentifierKind, Option<Personal<String>>), Problem> {
        let kind = IdentifierKind::parse(&self.r#type);
        kind.map(|kind| (kind, self.value)).map_err(|error| Problem::invalid("/identifiers/type", error.to_string()))
    }
}

/// Tells a member that is null from one that is absent.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// What creating a customer answers: nothing about the person, so that it can be kept for a repetition.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CustomerReceipt {
    #[schema(value_type = String, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: CustomerId,
    version: i64,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct IdentifierView {
    #[schema(example = "card_number")]
    r#type: String,
    #[schema(example = "740188352290")]
    value: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct CustomerView {
    #[schema(value_type = String, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: CustomerId,
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
    time_zone: Option<String>,
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// Absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    identifiers: Option<Vec<IdentifierView>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn view(customer: &Customer, identifiers: Option<Vec<(String, Personal<String>)>>) -> CustomerView {
    let identifier =
        |(kind, value): (String, Personal<String>)| IdentifierView { r#type: kind, value: value.into_inner() };
    CustomerView {
        id: customer.id,
        name: customer.name.as_ref().map(|name| name.reveal().clone()),
        locale: customer.locale,
        time_zone: customer.time_zone.clone(),
        attributes: customer.attributes.reveal().clone(),
        identifiers: identifiers.map(|list| list.into_iter().map(identifier).collect()),
        version: customer.version,
        created_at: customer.created_at,
        updated_at: customer.updated_at,
    }
}

fn receipt(customer: &Customer) -> Vec<u8> {
    let receipt = CustomerReceipt { id: customer.id, version: customer.version, created_at: customer.created_at };
    serde_json::to_vec(&receipt).unwrap_or_default()
}

fn respond(customer: &Customer, identifiers: Vec<(String, Personal<String>)>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{}\"", customer.version)))
        .json(view(customer, Some(identifiers)))
}

/// Create a customer
#[utoipa::path(post, path = "/api/v1/customers", tag = "customers", request_body = CreateCustomer,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request with its key to have one effect")),
    responses((status = 201, description = "Created", body = CustomerReceipt),
        (status = 409, description = "identifier-taken", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    key: IdempotencyKey,
    body: Body<CreateCustomer>,
) -> Result<HttpResponse, Problem> {
    let once = key.once(&allow.caller, &body);
    let brand = allow.caller.brand.id;
    let CreateCustomer { name, locale, time_zone, attributes, identifiers } = body.value;
    let identifiers = identifiers.into_iter().map(IdentifierInput::parse).collect::<Result<Vec<_>, _>>()?;
    let details = Details::given(name, locale, time_zone, attributes);
    let done =
        app.run(async move |app| customers::create(&app, brand, &details, &identifiers, once.as_ref(), receipt).await);
    Ok(reply(done.await?))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListCustomers {
    /// Items of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Only customers that changed after this sequence number.
    changed_since: Option<i64>,
    /// Only the customer known by this.
    #[param(value_type = Option<String>)]
    external_id: Option<Personal<String>>,
    /// Only the customer known by this.
    #[param(value_type = Option<String>)]
    card_number: Option<Personal<String>>,
}

/// List customers
#[utoipa::path(get, path = "/api/v1/customers", tag = "customers", params(ListCustomers),
    responses((status = 200, description = "A page", body = Page<CustomerView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Admin)>,
    app: Data<App>,
    query: Query<ListCustomers>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(query) = query;
    let limit = limit(query.limit)?;
    let known_by = match (query.external_id, query.card_number) {
        (Some(value), None) => Some((IdentifierKind::ExternalId, value)),
        (None, Some(value)) => Some((IdentifierKind::CardNumber, value)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(Problem::invalid("", "ask by external_id or by card_number")),
    };
    if let Some((kind, value)) = known_by {
        if query.changed_since.is_some() || query.after.is_some() {
            return Err(Problem::invalid("", "ask by an identifier, or for a page, or for what changed"));
        }
        let found = app.run(async move |app| customers::list_known_by(&app, brand, &kind, &value, limit).await).await?;
        let data = found.iter().map(|customer| view(customer, None)).collect();
        return Ok(HttpResponse::Ok().json(Page { data, next: None }));
    }
    if let Some(since) = query.changed_since {
        if query.after.is_some() {
            return Err(Problem::invalid("", "changed_since goes with limit only"));
        }
        let page = app.run(async move |app| {
            let (ids, next) = read_pass::list_changed(&app, brand, "customer.", since, limit).await?;
            let mut data = Vec::with_capacity(ids.len());
            for id in ids {
                let (customer, _) = customers::read(&app, brand, CustomerId::new(id)).await?;
                data.push(view(&customer, None));
            }
            Ok(Page { data, next: Some(next.to_string()) })
        });
        return Ok(HttpResponse::Ok().json(page.await?));
    }
    let after = after(query.after.as_deref())?;
    let found = app.run(async move |app| customers::list(&app, brand, after, limit).await).await?;
    let data = found.iter().map(|customer| view(customer, None)).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |customer: &CustomerView| customer.id.to_string())))
}

/// Read a customer
#[utoipa::path(get, path = "/api/v1/customers/{id}", tag = "customers", params(("id" = String, Path, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The customer", body = CustomerView), (status = 404, description = "Unknown", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, customer) = (allow.caller.brand.id, id(&path, "customer")?);
    let (customer, identifiers) = app.run(async move |app| customers::read(&app, brand, customer).await).await?;
    Ok(respond(&customer, identifiers))
}

/// Change a customer
#[utoipa::path(patch, path = "/api/v1/customers/{id}", tag = "customers", request_body = UpdateCustomer,
    params(("id" = String, Path, example = "cus_0197e3a2c5b87d1e9f00a1b2c3d4e5f6"), ("If-Match" = Option<String>, Header, description = "The ETag that was read: refuses to overwrite somebody else's change")),
    responses((status = 200, description = "The customer; passes that show it are published", body = CustomerView), (status = 412, description = "Changed by somebody else", body = crate::http::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn update(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    seen: IfMatch,
    body: Body<UpdateCustomer>,
) -> Result<HttpResponse, Problem> {
    let (brand, customer) = (allow.caller.brand.id, id(&path, "customer")?);
    let UpdateCustomer { name, locale, time_zone, attributes, identifiers } = body.value;
    let identifiers = identifiers.into_iter().map(IdentifierChange::parse).collect::<Result<Vec<_>, _>>()?;
    let details = Details { name, locale, time_zone, attributes };
    let done = app.run(async move |app| {
        customers::update(&app, brand, customer, &details, &identifiers, seen.0).await?;
        customers::read(&app, brand, customer).await
    });
    let (customer, identifiers) = done.await?;
    Ok(respond(&customer, identifiers))
}
