//! Shops and what their tills speak.

use serde_json::json;

use crate::domain::ids::{BrandId, StoreId};
use crate::domain::locale::Locale;
use crate::domain::text;
use crate::service::loyalty::place::Place;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::Conn;
use crate::store::brands::Brand;
use crate::store::stores::{self, Store};

/// What stores are called and speak, as it was within the last minute: every receipt of a coupon says it.
pub struct Voices(moka::future::Cache<(BrandId, StoreId), (String, Locale)>);

impl Default for Voices {
    fn default() -> Self {
        let voices =
            moka::future::Cache::builder().max_capacity(10_000).time_to_live(std::time::Duration::from_secs(60));
        Self(voices.build())
    }
}

/// Makes a store; `id` is given where a till's key named it before. `true`: it is new; the same `external_id` again is the
/// store that has it.
pub async fn create(
    app: &App,
    brand: &Brand,
    id: Option<StoreId>,
    name: &str,
    external_id: Option<&str>,
    locale: Option<Locale>,
) -> Result<(Store, bool), Problem> {
    let name = text::line(name, 64).map_err(Problem::text("/name"))?;
    let external_id = external_id.map(|id| text::line(id, 100)).transpose().map_err(Problem::text("/external_id"))?;
    let store = Store {
        id: id.unwrap_or_else(|| StoreId::new(app.clock.new_id())),
        external_id,
        name,
        locale: locale.unwrap_or(brand.locale),
        created_at: app.clock.now(),
    };
    let mut tx = app.db.begin().await?;
    if stores::insert(&mut tx.conn(), brand.id, &store).await? {
        let about = About { subject: store.id.uuid(), ..About::default() };
        timeline::record(app, &mut tx.conn(), brand.id, "store.created", about, json!({ "store_id": store.id }))
            .await?;
        tx.commit().await?;
        return Ok((store, true));
    }
    let known = match &store.external_id {
        Some(external_id) => stores::find_by_external_id(&mut tx.conn(), brand.id, external_id).await?,
        None => stores::find(&mut tx.conn(), brand.id, store.id).await?,
    };
    Ok((known.ok_or(Problem::ExternalIdTaken)?, false))
}

pub async fn read(app: &App, brand: BrandId, id: StoreId) -> Result<Store, Problem> {
    let found = stores::find(&mut app.db.read().await?.conn(), brand, id).await?;
    found.ok_or(Problem::NotFound { what: "store" })
}

pub async fn list(app: &App, brand: BrandId, after: Option<StoreId>, limit: i64) -> Result<Vec<Store>, Problem> {
    Ok(stores::list(&mut app.db.read().await?.conn(), brand, after, limit).await?)
}

/// Rules and offers name stores by their ids: whoever mistypes one would find out at the till.
pub(super) async fn check_named(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pointer: &str,
    named: &[String],
) -> Result<(), Problem> {
    for (index, text) in named.iter().enumerate() {
        let known = match text.parse() {
            Ok(id) => stores::find(conn, brand, id).await?,
            Err(_) => None,
        };
        if known.is_none() {
            return Err(Problem::invalid(format!("{pointer}/{index}"), "must be the id of a store (sto_…)"));
        }
    }
    Ok(())
}

/// What a till is called, and what it speaks: a key may stand in a store that nobody described.
pub(super) async fn voice(
    app: &App,
    conn: &mut Conn<'_>,
    brand: &Brand,
    place: &Place,
) -> Result<(String, Locale), Problem> {
    let Some(id) = place.store else { return Ok(("online".to_owned(), brand.locale)) };
    if let Some(voice) = app.voices.0.get(&(brand.id, id)).await {
        return Ok(voice);
    }
    let known = stores::find(conn, brand.id, id).await?;
    let voice = known.map_or_else(|| (id.to_string(), brand.locale), |store| (store.name, store.locale));
    app.voices.0.insert((brand.id, id), voice.clone()).await;
    Ok(voice)
}
