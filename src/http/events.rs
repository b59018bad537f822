//! `/api/v1/events`: the timeline of the brand.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::{CustomerId, EventId, PassId, StoreId};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Pos, Reader};
use crate::http::extract::{Body, IdempotencyKey, Query, reply};
use crate::http::page::{Page, limit};
use crate::http::passes::CustomerRef;
use crate::service::loyalty::place::Place;
use crate::service::{App, Problem, happenings, sequence};
use crate::store::events::Event;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListEvents {
    /// Events of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// Events after this sequence number; begin with 0 and go on with `next`.
    changed_since: Option<i64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventView {
    #[schema(value_type = String, example = "evt_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: EventId,
    /// The place in the brand's one order: 1, 2, 3 … without gaps.
    seq: i64,
    #[schema(example = "pass.changed")]
    kind: String,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[schema(value_type = Option<String>)]
    pass_id: Option<PassId>,
    data: Value,
    occurred_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// A word of the brand's own, which rules and wallets name.
    #[schema(example = "review", max_length = 32)]
    name: String,
    customer: CustomerRef,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
}

/// What something earned.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct HappenedView {
    #[schema(value_type = String, example = "evt_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: EventId,
    #[schema(value_type = String)]
    customer_id: CustomerId,
    name: String,
    /// By wallet and rule.
    #[schema(value_type = Vec<Object>)]
    earned: Value,
    /// What had waited for it, by wallet.
    #[schema(value_type = Vec<Object>)]
    activated: Value,
}

/// Tell that something happened to a customer: it earns, and what waited for it becomes active
#[utoipa::path(post, path = "/api/v1/events", tag = "events", request_body = Happened,
    params(("Idempotency-Key" = String, Header, description = "Repeat a request with its key to have one effect; required")),
    responses((status = 201, description = "Recorded", body = HappenedView)))]
pub async fn happen(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    key: IdempotencyKey,
    body: Body<Happened>,
) -> Result<HttpResponse, Problem> {
    let once = key.once(&allow.caller, &body).ok_or(Problem::KeyRequired)?;
    let Happened { name, customer, store_id, terminal } = body.value;
    let (customer, caller) = (customer.parse_known()?, allow.caller);
    let place = Place::of(&caller, store_id, terminal, None)?;
    let done = app.run(async move |app| happenings::happen(&app, &caller, &customer, &name, place, &once).await);
    Ok(reply(done.await?))
}

/// List events in their order
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(ListEvents),
    responses((status = 200, description = "A page; `next` is where to go on, now or later", body = Page<EventView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<ListEvents>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(query) = query;
    let (limit, since) = (limit(query.limit)?, query.changed_since.unwrap_or(0));
    let found = app.run(async move |app| sequence::list_since(&app, brand, since, limit).await).await?;
    let next = found.last().map_or(since, |event| event.seq);
    let view = |event: Event| EventView {
        id: event.id,
        seq: event.seq,
        kind: event.kind,
        customer_id: event.customer_id,
        pass_id: event.pass_id,
        data: event.data.0,
        occurred_at: event.occurred_at,
    };
    Ok(HttpResponse::Ok().json(Page { data: found.into_iter().map(view).collect(), next: Some(next.to_string()) }))
}
