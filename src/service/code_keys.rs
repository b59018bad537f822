//! The keys of a brand's codes: a new one is begun when the old may have leaked, and the old retired when what people have was
//! made anew.

use std::time::Duration;

use serde_json::json;

use crate::domain::ids::BrandId;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::brands::{self, Brand};
use crate::wallet::keys::CodeKeys;

/// What keys are in use, as it was within the last ten seconds: every scan asks. Codes of a key that another process has just
/// begun are good at once, those of one that it retired for that long.
pub struct KnownKeys(moka::future::Cache<BrandId, CodeKeys>);

impl Default for KnownKeys {
    fn default() -> Self {
        Self(moka::future::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(10)).build())
    }
}

/// The keys of a brand that was just read.
pub fn of(brand: &Brand) -> CodeKeys {
    let id = |id: i64| u8::try_from(id).unwrap_or(u8::MAX);
    CodeKeys { newest: id(brand.newest_code_key), oldest: id(brand.oldest_code_key) }
}

/// The same of a brand by its id.
pub async fn find(app: &App, conn: &mut Conn<'_>, brand: BrandId) -> Result<CodeKeys, Problem> {
    if let Some(known) = app.code_keys.0.get(&brand).await {
        return Ok(known);
    }
    let keys = of(&brands::load(conn, brand).await?);
    app.code_keys.0.insert(brand, keys).await;
    Ok(keys)
}

/// The same for whoever has no connection.
pub async fn current(app: &App, brand: BrandId) -> Result<CodeKeys, Problem> {
    match app.code_keys.0.get(&brand).await {
        Some(known) => Ok(known),
        None => find(app, &mut app.db.read().await?.conn(), brand).await,
    }
}

/// Begins a new key: passes and coupons show it from their next publication or export on, and the old codes stay good.
pub async fn renew(app: &App, brand: BrandId) -> Result<CodeKeys, Problem> {
    let mut tx = app.db.begin().await?;
    let known = brands::load(&mut tx.conn(), brand).await?;
    if !brands::renew_code_key(&mut tx.conn(), brand, known.newest_code_key).await? {
        return Err(Problem::invalid("", "there are 255 keys at most, or somebody else is renewing them"));
    }
    change(app, tx, brand, "code_key.renewed").await
}

/// Takes no codes any more but those of the newest key; repeating it changes nothing.
pub async fn retire(app: &App, brand: BrandId) -> Result<CodeKeys, Problem> {
    let mut tx = app.db.begin().await?;
    if !brands::retire_code_keys(&mut tx.conn(), brand).await? {
        return Ok(of(&brands::load(&mut tx.conn(), brand).await?));
    }
    change(app, tx, brand, "code_key.retired").await
}

async fn change(app: &App, mut tx: crate::store::Tx, brand: BrandId, kind: &'static str) -> Result<CodeKeys, Problem> {
    let keys = of(&brands::load(&mut tx.conn(), brand).await?);
    let about = About { subject: brand.uuid(), ..About::default() };
    let data = json!({ "newest": keys.newest, "oldest": keys.oldest });
    timeline::record(app, &mut tx.conn(), brand, kind, about, data).await?;
    tx.commit().await?;
    app.code_keys.0.invalidate(&brand).await;
    Ok(keys)
}
