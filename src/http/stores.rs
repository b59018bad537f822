//! `/api/v1/stores`: shops.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::StoreId;
use crate::domain::locale::Locale;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Pos, Reader};
use crate::http::extract::{Body, Query, id};
use crate::http::page::{Page, Paging, after, limit};
use crate::service::{App, Problem, stores};
use crate::store::stores::Store;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateStore {
    #[schema(example = "Aurora Paulista", max_length = 64)]
    name: String,
    /// The caller's own id: the same again answers the first store again.
    #[schema(example = "loja-12", max_length = 100)]
    external_id: Option<String>,
    /// What its tills speak; the brand's own language if absent.
    #[serde(default, deserialize_with = "Locale::spoken")]
    #[schema(value_type = Option<String>, example = "pt-BR")]
    locale: Option<Locale>,
    /// Of a store that a till's key named before anybody described it.
    #[schema(value_type = Option<String>)]
    id: Option<StoreId>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StoreView {
    #[schema(value_type = String, example = "sto_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: StoreId,
    external_id: Option<String>,
    name: String,
    #[schema(value_type = String, example = "pt-BR")]
    locale: Locale,
    created_at: DateTime<Utc>,
}

fn view(store: Store) -> StoreView {
    let Store { id, external_id, name, locale, created_at } = store;
    StoreView { id, external_id, name, locale, created_at }
}

/// Create a store
#[utoipa::path(post, path = "/api/v1/stores", tag = "stores", request_body = CreateStore,
    responses((status = 201, description = "Created", body = StoreView), (status = 200, description = "Known by this external_id", body = StoreView)))]
pub async fn create(allow: Allow<(Admin,)>, app: Data<App>, body: Body<CreateStore>) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand;
    let CreateStore { name, external_id, locale, id } = body.value;
    let made = app.run(async move |app| stores::create(&app, &brand, id, &name, external_id.as_deref(), locale).await);
    let (store, is_new) = made.await?;
    Ok(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }.json(view(store)))
}

/// List stores
#[utoipa::path(get, path = "/api/v1/stores", tag = "stores", params(Paging),
    responses((status = 200, description = "A page", body = Page<StoreView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Pos, Admin)>,
    app: Data<App>,
    query: Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let (limit, after) = (limit(paging.limit)?, after(paging.after.as_deref())?);
    let found = app.run(async move |app| stores::list(&app, brand, after, limit).await).await?;
    let data = found.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |store: &StoreView| store.id.to_string())))
}

/// Read a store
#[utoipa::path(get, path = "/api/v1/stores/{id}", tag = "stores", params(("id" = String, Path)),
    responses((status = 200, description = "The store", body = StoreView)))]
pub async fn read(
    allow: Allow<(Reader, Issuer, Marketing, Pos, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, store) = (allow.caller.brand.id, id(&path, "store")?);
    Ok(HttpResponse::Ok().json(view(app.run(async move |app| stores::read(&app, brand, store).await).await?)))
}
