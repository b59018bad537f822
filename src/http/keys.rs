//! `/api/v1/keys`: the brand's API keys.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{KeyId, StoreId};
use crate::domain::role::Role;
use crate::http::auth::Allow;
use crate::http::auth::role::Admin;
use crate::http::extract::{Body, Query, id};
use crate::http::page::{Page, Paging, after, limit};
use crate::service::keys::Stand;
use crate::service::{App, Problem, keys};
use crate::store::keys::ApiKey;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// admin, issuer, pos, marketing, gateway, app or reader.
    #[schema(value_type = String, example = "issuer")]
    role: Role,
    /// What it is for; to recognise it later.
    #[schema(example = "web shop", max_length = 64)]
    name: String,
    /// The store that a `pos` or `gateway` key stands in.
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    /// Where in the store its till stands; movements name it.
    #[schema(example = "caixa-1", max_length = 64)]
    terminal: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

/// Holds a secret once: no `Debug`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct KeyView {
    #[schema(value_type = String, example = "key_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: KeyId,
    #[schema(value_type = String, example = "issuer")]
    role: Role,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    terminal: Option<String>,
    name: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    /// The whole key: shown once, when it is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

fn view(key: ApiKey) -> KeyView {
    let ApiKey { id, role, store_id, terminal, name, created_at, expires_at, revoked_at } = key;
    KeyView { id, role, store_id, terminal, name, created_at, expires_at, revoked_at, key: None }
}

/// Create a key. The secret is in this answer and nowhere else
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = CreateKey,
    responses((status = 201, description = "Created", body = KeyView)))]
pub async fn create(allow: Allow<(Admin,)>, app: Data<App>, body: Body<CreateKey>) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand;
    let CreateKey { role, name, store_id, terminal, expires_at } = body.value;
    let stand = Stand { store: store_id, terminal };
    let done = app.run(async move |app| keys::create(&app, &brand, role, stand, &name, expires_at).await);
    let (key, secret) = done.await?;
    let view = KeyView { key: Some(secret.reveal().clone()), ..view(key) };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(view))
}

/// List keys, revoked ones too
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(Paging),
    responses((status = 200, description = "A page", body = Page<KeyView>)))]
pub async fn list(allow: Allow<(Admin,)>, app: Data<App>, query: Query<Paging>) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(paging) = query;
    let (limit, after) = (limit(paging.limit)?, after(paging.after.as_deref())?);
    let found = app.run(async move |app| keys::list(&app, brand, after, limit).await).await?;
    let data = found.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(Page::new(data, limit, |key: &KeyView| key.id.to_string())))
}

/// Revoke a key, from the next request on
#[utoipa::path(post, path = "/api/v1/keys/{id}/revoke", tag = "keys", params(("id" = String, Path, example = "key_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "The key; repeating it changes nothing", body = KeyView)))]
pub async fn revoke(allow: Allow<(Admin,)>, app: Data<App>, path: Path<String>) -> Result<HttpResponse, Problem> {
    let (brand, key) = (allow.caller.brand.id, id(&path, "key")?);
    let revoked = app.run(async move |app| keys::revoke(&app, brand, key).await).await?;
    Ok(HttpResponse::Ok().json(view(revoked)))
}
