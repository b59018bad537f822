//! API keys: `psk_<brand>_<secret>`. Only a digest of the secret is kept.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use crate::clock::random_alphanumeric;
use crate::domain::ids::{BrandId, KeyId, StoreId};
use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::domain::text;
use crate::service::brands::find_by_code;
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::keys::{self, ApiKey};

/// How far away the end of a key may be.
const KEY_LIFE_MAX: TimeDelta = TimeDelta::days(3_653);

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Caller {
    pub brand: Brand,
    pub key: ApiKey,
}

impl Caller {
    /// The scope of idempotency keys: the store for a bound key, the role otherwise; a rotated key keeps its scope.
    pub fn scope(&self) -> String {
        match self.key.store_id {
            Some(store) => store.to_string(),
            None => self.key.role.to_string(),
        }
    }
}

/// Keys that were looked up within the last second, by brand and digest: a till sends many requests.
pub struct RecentKeys(moka::future::Cache<(BrandId, Vec<u8>), ApiKey>);

impl Default for RecentKeys {
    fn default() -> Self {
        let recent =
            moka::future::Cache::builder().max_capacity(10_000).time_to_live(std::time::Duration::from_secs(1));
        Self(recent.build())
    }
}

/// Where the holder of a key stands.
#[derive(Debug, Clone, Default)]
pub struct Stand {
    pub store: Option<StoreId>,
    pub terminal: Option<String>,
}

/// Makes a key; the whole of it is in the answer and nowhere else.
pub async fn create(
    app: &App,
    brand: &Brand,
    role: Role,
    stand: Stand,
    name: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(ApiKey, Secret<String>), Problem> {
    let name = text::line(name, 64).map_err(Problem::text("/name"))?;
    let Stand { store: store_id, terminal } = stand;
    let terminal = terminal.map(|terminal| text::line(&terminal, 64)).transpose();
    let terminal = terminal.map_err(Problem::text("/terminal"))?;
    if role.needs_store() != store_id.is_some() {
        let detail = if role.needs_store() {
            "a key of this role names its store"
        } else {
            "only pos and gateway keys name a store"
        };
        return Err(Problem::invalid("/store_id", detail));
    }
    let now = app.clock.now();
    if expires_at.is_some_and(|end| end <= now || end > now + KEY_LIFE_MAX) {
        return Err(Problem::invalid("/expires_at", "expires_at must be in the future, at most ten years away"));
    }
    let key = ApiKey {
        id: KeyId::new(app.clock.new_id()),
        role,
        store_id,
        terminal,
        name,
        created_at: app.clock.now(),
        expires_at,
        revoked_at: None,
    };
    let secret = random_alphanumeric(&*app.clock, 43);
    let mut tx = app.db.begin().await?;
    keys::insert(&mut tx.conn(), brand.id, &key, &Sha256::digest(&secret)).await?;
    tx.commit().await?;
    Ok((key, Secret::new(format!("psk_{}_{secret}", brand.code))))
}

pub async fn list(app: &App, brand: BrandId, after: Option<KeyId>, limit: i64) -> Result<Vec<ApiKey>, Problem> {
    Ok(keys::list(&mut app.db.read().await?.conn(), brand, after, limit).await?)
}

/// Revoking takes effect with the next request here, and within a second in other processes.
pub async fn revoke(app: &App, brand: BrandId, key: KeyId) -> Result<ApiKey, Problem> {
    let mut tx = app.db.begin().await?;
    let revoked = keys::revoke(&mut tx.conn(), brand, key, app.clock.now()).await?;
    let revoked = revoked.ok_or(Problem::NotFound { what: "key" })?;
    tx.commit().await?;
    app.keys.0.invalidate_all();
    Ok(revoked)
}

/// Whose key this is. Wrong shape, unknown brand, unknown secret, revoked: all the same to the caller.
pub async fn authenticate(app: &App, key: &Secret<String>) -> Result<Caller, Problem> {
    let mut parts = key.reveal().splitn(3, '_');
    let (Some("psk"), Some(code), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Problem::KeyUnknown);
    };
    let brand = find_by_code(app, code).await?.ok_or(Problem::KeyUnknown)?;
    let digest = Sha256::digest(secret);
    let (now, known) = (app.clock.now(), (brand.id, digest.to_vec()));
    let fresh = app.keys.0.get(&known).await.filter(|key| key.expires_at.is_none_or(|end| end > now));
    if let Some(key) = fresh {
        return Ok(Caller { brand, key });
    }
    let found = keys::find_live(&mut app.db.read().await?.conn(), brand.id, &digest, now).await?;
    let key = found.ok_or(Problem::KeyUnknown)?;
    app.keys.0.insert(known, key.clone()).await;
    Ok(Caller { brand, key })
}
