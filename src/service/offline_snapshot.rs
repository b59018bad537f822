//! What a till needs to go on without a network: public keys, the offers that it can check alone, and the codes that it must
//! refuse; signed, so that nobody on the way between changes it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::domain::ids::StoreId;
use crate::service::loyalty::rules;
use crate::service::{App, Problem, code_keys};
use crate::store::brands::Brand;
use crate::store::offers::OfferState;
use crate::store::{coupons, offers, programs};
use crate::wallet::offline::OfflineKey;

/// How long a till may go by it.
const GOOD_FOR: TimeDelta = TimeDelta::hours(24);

/// Codes that are denied, at most: those that were used or taken back last.
const DENIED_MAX: i64 = 100_000;

/// Offers and programs that are looked through.
const PAGE: i64 = 200;

pub struct Snapshot {
    /// A JWS in its compact form.
    pub jws: String,
    pub valid_until: DateTime<Utc>,
}

/// The snapshot of a store (`None`: whatever has no store).
pub async fn make(app: &App, brand: &Brand, store: Option<StoreId>) -> Result<Snapshot, Problem> {
    let now = app.clock.now();
    let valid_until = now + GOOD_FOR;
    let mut reader = app.db.read().await?;
    let keys = code_keys::find(app, &mut reader.conn(), brand.id).await?;
    let mut shown = Vec::new();
    let mut after = None;
    loop {
        let page = programs::list(&mut reader.conn(), brand.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for program in &page {
            shown.extend(list_offers(app, &mut reader.conn(), brand, program.id, store, now).await?);
        }
    }
    let mut denied = coupons::list_denied(&mut reader.conn(), brand.id, now, DENIED_MAX + 1).await?;
    let most = usize::try_from(DENIED_MAX).unwrap_or(usize::MAX);
    let is_whole = denied.len() <= most;
    denied.truncate(most);
    denied.sort_unstable();
    drop(reader);
    let publics = (keys.oldest..=keys.newest).map(|id| OfflineKey::new(&app.master_key, brand.id, id)?.jwk());
    let publics = publics.collect::<Result<Vec<_>, _>>().map_err(Problem::internal)?;
    let payload = json!({
        "brand": brand.code,
        "store_id": store,
        "iat": now.timestamp(),
        "exp": valid_until.timestamp(),
        "keys": publics,
        "offers": shown,
        "denied": denied.iter().map(hex::encode).collect::<Vec<_>>(),
        "denied_is_whole": is_whole,
    });
    // With the oldest, which every till knows that was here before; so it learns the others.
    let key = OfflineKey::new(&app.master_key, brand.id, keys.oldest).map_err(Problem::internal)?;
    let jws = key.jws("passarela-offline+jws", &payload).map_err(Problem::internal)?;
    Ok(Snapshot { jws, valid_until })
}

/// The offers of a program whose coupons a till of this store may take alone, today or tomorrow.
async fn list_offers(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: &Brand,
    program: crate::domain::ids::ProgramId,
    store: Option<StoreId>,
    now: DateTime<Utc>,
) -> Result<Vec<Value>, Problem> {
    let ready = rules::current(app, conn, brand.id, program).await?;
    let store = store.map(|store| store.to_string());
    let (mut shown, mut after) = (Vec::new(), None);
    loop {
        let page = offers::list(conn, brand.id, Some(program), after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(shown) };
        after = Some(last.id);
        for offer in &page {
            let read = ready.read_offer(offer)?;
            let is_here = read.stores.is_empty() || store.as_ref().is_some_and(|store| read.stores.contains(store));
            let is_soon =
                read.until.is_none_or(|until| until > now) && read.from.is_none_or(|from| from < now + GOOD_FOR);
            if read.is_offline && offer.state == OfferState::Running && is_here && is_soon {
                // The code has the offer's id as sixteen bytes.
                let bytes = hex::encode(offer.id.uuid().as_bytes());
                shown.push(json!({ "id": offer.id, "id_hex": bytes, "name": offer.name, "rules": offer.spec.0 }));
            }
        }
    }
}
