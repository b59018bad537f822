//! `GET /api/v1/offline`: what a till needs to go on without a network.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::StoreId;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Pos};
use crate::http::extract::Query;
use crate::service::loyalty::place::Place;
use crate::service::{App, Problem, offline_snapshot};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfStore {
    /// Of a key without a store: whose snapshot.
    #[param(value_type = Option<String>)]
    store_id: Option<StoreId>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SnapshotView {
    /// A JWS (RFC 7515, compact, EdDSA): public keys, offers, denied codes. docs/loyalty.md says what a till does with it.
    jws: String,
    valid_until: DateTime<Utc>,
}

/// What a till needs while it is offline
#[utoipa::path(get, path = "/api/v1/offline", tag = "till", params(OfStore),
    responses((status = 200, description = "A signed snapshot, good for a day", body = SnapshotView)))]
pub async fn snapshot(
    allow: Allow<(Pos, Admin)>,
    app: Data<App>,
    query: Query<OfStore>,
) -> Result<HttpResponse, Problem> {
    let place = Place::of(&allow.caller, query.0.store_id, None, None)?;
    let brand = allow.caller.brand;
    let made = app.run(async move |app| offline_snapshot::make(&app, &brand, place.store).await).await?;
    let view = SnapshotView { jws: made.jws, valid_until: made.valid_until };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(view))
}
