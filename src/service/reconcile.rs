//! Holds what Google has against what it was sent, class by class, and mends what differs.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value as Json;

use crate::domain::delivery::{Answer, Channel};
use crate::domain::ids::{BrandId, PassId};
use crate::domain::pass::{Lane, PassKind};
use crate::service::deliver::google::{Issuer, note_users};
use crate::service::{App, Problem, deliver};
use crate::store::brands;
use crate::store::google::{self, Listed};
use crate::store::outbox;

/// Classes and passes of one read or transaction at most.
const BATCH: i64 = 200;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Found {
    pub classes: u64,
    pub objects: u64,
    /// Objects that are as they were sent.
    pub equal: u64,
    /// That are not.
    pub different: u64,
    /// That Google has and we do not know.
    pub unknown: u64,
    /// That Google was sent and does not list; passes that are over do not count.
    pub missing: u64,
    /// That somebody has in their wallet.
    pub held: u64,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum NotReconciled {
    #[error("{0}")]
    Off(String),
    #[error("Google says: {0}")]
    Google(String),
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl From<sqlx::Error> for NotReconciled {
    fn from(error: sqlx::Error) -> Self {
        Self::Problem(error.into())
    }
}

/// Pages through what Google has of a brand. With `mends`, what differs or is missing is queued to be sent; what we ended is
/// never made again. `tell` hears how far it is.
pub async fn reconcile(
    app: &App,
    brand: BrandId,
    mends: bool,
    mut tell: impl FnMut(&Found),
) -> Result<Found, NotReconciled> {
    let began = app.clock.now();
    let code = brands::load(&mut app.db.read().await?.conn(), brand).await?.code;
    let issuer = deliver::google::issuer(app, &code).map_err(NotReconciled::Off)?;
    let (mut found, mut after) = (Found::default(), String::new());
    loop {
        let classes = google::list_classes(&mut app.db.read().await?.conn(), brand, &after, BATCH).await?;
        let Some((last, _)) = classes.last() else { break };
        last.clone_into(&mut after);
        for (class, kind) in &classes {
            found.classes += 1;
            walk_class(app, brand, &issuer, (class, *kind), mends, &mut found, &mut tell).await?;
        }
    }
    let mut after = PassId::FIRST;
    loop {
        let missing = google::list_missing(&mut app.db.read().await?.conn(), brand, began, after, BATCH).await?;
        let Some(last) = missing.last() else { break };
        after = *last;
        found.missing += missing.len() as u64;
        if mends {
            mend_missing(app, brand, &missing).await?;
        }
    }
    app.wake_dispatchers();
    Ok(found)
}

async fn walk_class(
    app: &App,
    brand: BrandId,
    issuer: &Issuer,
    (class, kind): (&str, PassKind),
    mends: bool,
    found: &mut Found,
    tell: &mut impl FnMut(&Found),
) -> Result<(), NotReconciled> {
    let mut token: Option<String> = None;
    loop {
        let page = issuer.list(kind, class, token.as_deref(), app.clock.now()).await;
        let page = page.map_err(|Answer { text, .. }| NotReconciled::Google(text))?;
        compare(app, brand, &page.resources, mends, found).await?;
        tell(found);
        token = page.pagination.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(());
        }
    }
}

async fn compare(
    app: &App,
    brand: BrandId,
    objects: &[Json],
    mends: bool,
    found: &mut Found,
) -> Result<(), NotReconciled> {
    let word = |object: &Json| object.get("id").and_then(Json::as_str).map(str::to_owned);
    let names: Vec<String> = objects.iter().filter_map(word).collect();
    let mut reader = app.db.read().await?;
    let known: HashMap<String, PassId> =
        google::find_by_names(&mut reader.conn(), brand, &names).await?.into_iter().collect();
    let passes: Vec<PassId> = known.values().copied().collect();
    let ours = google::load_objects(&mut reader.conn(), brand, &passes).await?;
    drop(reader);
    let ours: HashMap<PassId, google::Object> = ours.into_iter().map(|object| (object.pass_id, object)).collect();
    let (mut listed, mut users) = (Vec::new(), Vec::new());
    for object in objects {
        found.objects += 1;
        let pass = word(object).and_then(|name| known.get(&name).copied());
        let Some((pass, own)) = pass.and_then(|pass| Some((pass, ours.get(&pass)?))) else {
            found.unknown += 1;
            continue;
        };
        let has_users = object.get("hasUsers").and_then(Json::as_bool).unwrap_or_default();
        found.held += u64::from(has_users);
        let body: Json = serde_json::from_slice(&own.body).unwrap_or_default();
        // What waits to be sent is no difference yet.
        let is_sent = own.sent_hash.as_ref() == Some(&own.body_hash);
        let is_other = is_sent && !is_held(&body, object);
        if is_other {
            found.different += 1;
        } else {
            found.equal += 1;
        }
        listed.push(Listed { pass, is_other });
        users.push((pass, has_users));
    }
    listed.sort_by_key(|object| object.pass);
    users.sort_by_key(|(pass, _)| *pass);
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    google::note_listed(&mut tx.conn(), brand, &listed, mends, now).await?;
    for (pass, has_users) in users {
        note_users(app, &mut tx.conn(), brand, pass, has_users).await?;
    }
    if mends {
        let rows: Vec<_> =
            listed.iter().filter(|object| object.is_other).map(|object| (object.pass.uuid(), Lane::Bulk)).collect();
        outbox::enqueue(&mut tx.conn(), brand, Channel::Google, &rows, now, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn mend_missing(app: &App, brand: BrandId, missing: &[PassId]) -> Result<(), NotReconciled> {
    let now = app.clock.now();
    let rows: Vec<_> = missing.iter().map(|pass| (pass.uuid(), Lane::Bulk)).collect();
    let mut tx = app.db.begin().await?;
    google::note_missing(&mut tx.conn(), brand, missing).await?;
    outbox::enqueue(&mut tx.conn(), brand, Channel::Google, &rows, now, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether everything of `ours` is in `theirs`: Google adds members of its own, leaves out what is null or empty, and
/// writes words of enums its old way at times.
fn is_held(ours: &Json, theirs: &Json) -> bool {
    fn is_empty(value: &Json) -> bool {
        match value {
            Json::Null => true,
            Json::Array(items) => items.is_empty(),
            Json::Object(members) => members.values().all(is_empty),
            _ => false,
        }
    }
    let folded = |text: &str| text.replace('_', "").to_ascii_lowercase();
    match (ours, theirs) {
        (ours, _) if is_empty(ours) => is_empty(theirs),
        (Json::Object(ours), Json::Object(theirs)) => ours.iter().all(|(name, value)| {
            let their = theirs.get(name).unwrap_or(&Json::Null);
            is_held(value, their)
        }),
        (Json::Array(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_held(ours, theirs))
        }
        (Json::Number(ours), Json::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Json::String(ours), Json::String(theirs)) => ours == theirs || folded(ours) == folded(theirs),
        (ours, theirs) => ours == theirs,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_google_adds_and_leaves_out_is_no_difference() {
        let ours = json!({ "id": "i.p", "state": "ACTIVE", "barcode": null, "textModulesData": [], "points": { "int": 5, "string": null } });
        let theirs =
            json!({ "id": "i.p", "state": "active", "points": { "int": 5 }, "hasUsers": true, "version": "3" });
        assert!(is_held(&ours, &theirs));
        for wrong in [
            json!({ "id": "i.p", "state": "INACTIVE", "points": { "int": 5 } }),
            json!({ "id": "i.p", "state": "ACTIVE", "points": { "int": 6 } }),
            json!({ "id": "i.p", "state": "ACTIVE", "points": { "int": 5, "string": "x" } }),
            json!({ "id": "i.p", "state": "ACTIVE", "points": { "int": 5 }, "barcode": { "value": "x" } }),
        ] {
            assert!(!is_held(&ours, &wrong), "{wrong}");
        }
    }
}
