//! `/api/v1/deliveries`: what is to be told to whom, and what came of it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::delivery::{Channel, DeliveryState, Destination};
use crate::domain::pass::Lane;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::extract::{Query, id};
use crate::http::page::{Page, after, limit};
use crate::service::{App, Problem, deliveries};
use crate::store::outbox::Delivery;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListDeliveries {
    /// Deliveries of a page: 1 to 200, 50 if absent.
    limit: Option<i64>,
    /// The `next` of the page before.
    after: Option<String>,
    /// pending, sending, done or parked.
    #[param(value_type = Option<String>, example = "parked")]
    state: Option<DeliveryState>,
    /// apns (phones that hold passes), google_class, google, fcm or app (the brand's own app, through Firebase or Apple);
    /// apns, if absent.
    #[param(value_type = Option<String>, example = "apns")]
    channel: Option<Channel>,
}

/// What is to be told to one destination, and what came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryView {
    /// Who is told: a device (`dev_`), a pass's object at Google (`pas_`), a class there (`gcl_`), or an installation of the
    /// brand's app (`apd_`).
    #[schema(example = "dev_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    pub id: String,
    #[schema(value_type = String, example = "apns")]
    channel: Channel,
    /// `pending`: to be told, or told again after a failure; `sending`: at this moment; `done`; `parked`: given up until
    /// something changes, the sweep comes by or somebody asks for it.
    #[schema(value_type = String, example = "done")]
    state: DeliveryState,
    /// interactive or bulk.
    #[schema(value_type = String, example = "interactive")]
    lane: Lane,
    /// When it is tried next.
    due_at: Option<DateTime<Utc>>,
    /// Attempts in a row that failed.
    failures: i64,
    /// When the oldest of what is to be told was published.
    changed_at: DateTime<Utc>,
    tried_at: Option<DateTime<Utc>>,
    /// When it was last taken over by whoever delivers it.
    told_at: Option<DateTime<Utc>>,
    /// What the other side last said.
    #[schema(example = "200")]
    answer: Option<String>,
}

pub fn view(row: &Delivery) -> DeliveryView {
    let waits = matches!(row.state, DeliveryState::Pending | DeliveryState::Sending);
    DeliveryView {
        id: Destination::new(row.channel, row.destination).to_string(),
        channel: row.channel,
        state: row.state,
        lane: row.lane,
        due_at: waits.then_some(row.due_at),
        failures: row.failures,
        changed_at: row.changed_at,
        tried_at: row.tried_at,
        told_at: row.told_at,
        answer: row.answer.clone(),
    }
}

/// List deliveries
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", params(ListDeliveries),
    responses((status = 200, description = "A page", body = Page<DeliveryView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    query: Query<ListDeliveries>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(query) = query;
    let (limit, after) = (limit(query.limit)?, after::<Destination>(query.after.as_deref())?);
    let channel = query.channel.or(after.map(Destination::channel)).unwrap_or(Channel::Apns);
    let (state, after) = (query.state, after.map(Destination::uuid));
    let found = app.run(async move |app| deliveries::list(&app, brand, channel, state, after, limit).await).await?;
    let data = found.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |delivery: &DeliveryView| delivery.id.clone())))
}

/// Try a delivery again
///
/// At once, whatever it waits for. One that has nothing to tell stays as it is.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/retry", tag = "deliveries", params(("id" = String, Path, example = "dev_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The delivery", body = DeliveryView)))]
pub async fn retry(allow: Allow<(Issuer, Admin)>, app: Data<App>, path: Path<String>) -> Result<HttpResponse, Problem> {
    let (brand, destination) = (allow.caller.brand.id, id(&path, "delivery")?);
    let row = app.run(async move |app| deliveries::retry(&app, brand, destination).await).await?;
    Ok(HttpResponse::Ok().json(view(&row)))
}
