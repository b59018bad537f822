//! Google Wallet: the whole state of classes and objects, a class before its objects, each in its order.

mod issuers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use self::issuers::issuer_of;
pub use self::issuers::{Issuer, Issuers, is_open, issuer, state};
use super::calls::{About, Calls, Told};
use super::gate::Barred;
use crate::clients::google_wallet::{AtGoogle, Resource};
use crate::domain::delivery::{Answer, Channel, Outcome};
use crate::domain::ids::{BrandId, GoogleClassId, PassId};
use crate::domain::pass::{Lane, PassKind};
use crate::service::{App, Problem, timeline};
use crate::store::Conn;
use crate::store::google::{self as stored, Class, Object};
use crate::store::outbox::{self, Claim};

/// How long an object waits for its class, and how long it then rests.
const CLASS_PATIENCE: Duration = Duration::from_secs(2);
const CLASS_LOOK: Duration = Duration::from_millis(50);
const REST: TimeDelta = TimeDelta::seconds(1);

/// Within this time a pass has three alerts. (Google, "Trigger push notifications".)
const ALERTS_WINDOW: TimeDelta = TimeDelta::hours(24);

/// What Google was sent of an object.
pub struct SentObject {
    pass: PassId,
    hash: Vec<u8>,
    has_users: Option<bool>,
    /// The class that Google does not know.
    missing_class: Option<String>,
}

/// What Google was sent of a class.
pub struct SentClass {
    name: String,
    hash: Vec<u8>,
}

/// What Google is to hold.
struct Parcel {
    resource: Resource,
    id: String,
    body: Json,
    hash: Vec<u8>,
    at: AtGoogle,
    /// Of an object.
    object: Option<ObjectFacts>,
}

struct ObjectFacts {
    pass: PassId,
    class: String,
    may_alert: bool,
}

/// There is nothing to send: why, and what that means for the row.
struct NoParcel(Outcome, &'static str);

const HELD: NoParcel = NoParcel(Outcome::Obsolete, "Google has it already");
const BROKEN: NoParcel = NoParcel(Outcome::Rejected, "what is stored cannot be sent");

/// Starts a call for every object among the claims that Google does not have as it is.
pub async fn tell_objects(app: &App, brand: BrandId, claims: Vec<Claim>, calls: &mut Calls) -> Result<(), Problem> {
    let passes: Vec<PassId> = claims.iter().map(|claim| PassId::new(claim.destination)).collect();
    let objects = stored::load_objects(&mut app.db.read().await?.conn(), brand, &passes).await?;
    let mut objects: HashMap<_, Object> = objects.into_iter().map(|object| (object.pass_id.uuid(), object)).collect();
    let parcels = claims.into_iter().map(|claim| {
        let object = objects.remove(&claim.destination).ok_or(NoParcel(Outcome::Obsolete, "there is no object"));
        let parcel = object.and_then(|object| pack_object(object, &claim));
        (claim, parcel)
    });
    let parcels = parcels.collect();
    send_all(app, brand, parcels, calls).await
}

/// Starts a call for every class among the claims that Google does not have as it is.
pub async fn tell_classes(app: &App, brand: BrandId, claims: Vec<Claim>, calls: &mut Calls) -> Result<(), Problem> {
    let ids: Vec<GoogleClassId> = claims.iter().map(|claim| GoogleClassId::new(claim.destination)).collect();
    let classes = stored::load_classes(&mut app.db.read().await?.conn(), brand, &ids).await?;
    let mut classes: HashMap<_, Class> = classes.into_iter().map(|class| (class.class_id.uuid(), class)).collect();
    let parcels = claims.into_iter().map(|claim| {
        let class = classes.remove(&claim.destination).ok_or(NoParcel(Outcome::Obsolete, "there is no class"));
        (claim, class.and_then(pack_class))
    });
    let parcels = parcels.collect();
    send_all(app, brand, parcels, calls).await
}

fn pack_object(object: Object, claim: &Claim) -> Result<Parcel, NoParcel> {
    if object.body.is_empty() {
        return Err(NoParcel(Outcome::Obsolete, "it is not published for Google yet"));
    }
    if object.sent_hash.as_ref() == Some(&object.body_hash) {
        return Err(HELD);
    }
    let body: Json = serde_json::from_slice(&object.body).map_err(|_| BROKEN)?;
    let word = |member: &str| body.get(member).and_then(Json::as_str).map(str::to_owned).ok_or(BROKEN);
    let (id, class, is_over) = (word("id")?, word("classId")?, word("state")? != "ACTIVE");
    let is_known = object.sent_hash.is_some();
    // Somebody looks at the phone; a roll-out changes nothing that is worth an alert. The kinds that Google alerts for.
    // A try again goes silently: the one before may have had its alert.
    let may_alert = is_known
        && claim.lane == Lane::Interactive
        && claim.failures == 0
        && matches!(object.kind, PassKind::Loyalty | PassKind::Event);
    Ok(Parcel {
        resource: Resource::Object(object.kind),
        id,
        body,
        hash: object.body_hash,
        at: if is_known && is_over { AtGoogle::KnownAndOver } else { AtGoogle::of(is_known) },
        object: Some(ObjectFacts { pass: object.pass_id, class, may_alert }),
    })
}

fn pack_class(class: Class) -> Result<Parcel, NoParcel> {
    if class.sent_hash.as_ref() == Some(&class.body_hash) {
        return Err(HELD);
    }
    Ok(Parcel {
        resource: Resource::Class(class.kind),
        id: class.name,
        body: serde_json::from_slice(&class.body).map_err(|_| BROKEN)?,
        hash: class.body_hash,
        at: AtGoogle::of(class.sent_hash.is_some()),
        object: None,
    })
}

async fn send_all(
    app: &App,
    brand: BrandId,
    parcels: Vec<(Claim, Result<Parcel, NoParcel>)>,
    calls: &mut Calls,
) -> Result<(), Problem> {
    let (issuer, now) = (issuer_of(app, brand).await?, app.clock.now());
    for (claim, parcel) in parcels {
        let parcel = match parcel {
            Ok(parcel) => parcel,
            Err(NoParcel(outcome, why)) => {
                calls.skip(claim, About::Nobody, outcome, why);
                continue;
            }
        };
        let issuer = match &issuer {
            Ok(issuer) => Arc::clone(issuer),
            Err(why) => {
                calls.bar(claim, About::Nobody, Barred::closed(why, now));
                continue;
            }
        };
        if let Err(barred) = issuer.gate.admit(now) {
            calls.bar(claim, About::Nobody, barred);
            continue;
        }
        let app = app.clone();
        calls.start(1, async move {
            let sending = send(&app, brand, &issuer, parcel);
            let sent = tokio::time::timeout(app.config.delivery.turn_timeout(), sending).await;
            let told = match sent {
                Ok(Ok((answer, about))) => {
                    issuer.gate.heed(&answer, app.clock.now());
                    Told { claim, answer, not_before: None, about }
                }
                // Nobody was asked, or too late to wait for the answer: somebody else may have the row soon.
                waits => {
                    issuer.gate.forget();
                    let text = waits.ok().and_then(Result::err).unwrap_or("not its turn in time");
                    let answer = Answer { outcome: Outcome::Hold, text: text.to_owned() };
                    Told { claim, answer, not_before: Some(app.clock.now() + REST), about: About::Nobody }
                }
            };
            vec![told]
        });
    }
    Ok(())
}

/// `Err`: nobody was asked, and why.
async fn send(app: &App, brand: BrandId, issuer: &Issuer, parcel: Parcel) -> Result<(Answer, About), &'static str> {
    let Parcel { resource, id, mut body, hash, at, object } = parcel;
    if let Some(object) = &object {
        await_class(app, brand, &object.class).await?;
    }
    issuer.turn().await;
    let mut is_silent = false;
    if let Some(object) = object.as_ref().filter(|object| object.may_alert) {
        is_silent = !spend_alert(app, brand, object.pass).await;
        if let Some(members) = body.as_object_mut().filter(|_| !is_silent) {
            members.insert("notifyPreference".to_owned(), json!("NOTIFY_ON_UPDATE"));
        }
    }
    let mut put = issuer.put(resource, &id, &body, at, app.clock.now()).await;
    if is_silent && put.answer.outcome == Outcome::Delivered {
        put.answer.text.push_str(" without an alert: the pass had three within a day");
    }
    let about = match object {
        None => About::Class(SentClass { name: id, hash }),
        Some(ObjectFacts { pass, class, .. }) => {
            let missing_class = put.is_classless.then_some(class);
            About::Object(SentObject { pass, hash, has_users: put.has_users, missing_class })
        }
    };
    Ok((put.answer, about))
}

/// Waits until Google has the object's class, of whichever version: the class has a row of its own, which is told in the
/// same moment.
async fn await_class(app: &App, brand: BrandId, name: &str) -> Result<(), &'static str> {
    let begun = Instant::now();
    loop {
        let class = async { stored::find_class(&mut app.db.read().await?.conn(), brand, name).await };
        let class = class.await.map_err(|_| "the database does not answer")?;
        if class.is_some_and(|class| class.sent_hash.is_some()) {
            return Ok(());
        }
        if begun.elapsed() > CLASS_PATIENCE {
            return Err("its class is not there yet");
        }
        tokio::time::sleep(CLASS_LOOK).await;
    }
}

/// Whether this change may ask for an alert. Where that cannot be found out, it goes silently.
async fn spend_alert(app: &App, brand: BrandId, pass: PassId) -> bool {
    let spent = app.run(async move |app| {
        let now = app.clock.now();
        let mut tx = app.db.begin().await?;
        let is_left = stored::spend_alert(&mut tx.conn(), brand, pass, now - ALERTS_WINDOW, now).await?;
        tx.commit().await?;
        Ok(is_left)
    });
    spent.await.unwrap_or(false)
}

/// Notes whether somebody has a pass in Google Wallet; that it is new is an event of the pass.
pub async fn note_users(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    has_users: bool,
) -> Result<(), Problem> {
    let Some(customer) = stored::note_users(conn, brand, pass, has_users).await? else { return Ok(()) };
    let kind = if has_users { "pass.added" } else { "pass.removed" };
    let about = timeline::About { customer: Some(customer), pass: Some(pass), subject: pass.uuid() };
    timeline::record(app, conn, brand, kind, about, json!({ "pass_id": pass, "wallet": "google" })).await
}

/// Notes what Google has: classes first, then objects, each in order, as publishers do. A class that it has not is sent again.
pub(super) async fn note(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let (mut classes, mut objects, mut users) = (BTreeMap::new(), Vec::new(), Vec::new());
    for told in batch {
        let is_delivered = told.answer.outcome == Outcome::Delivered;
        match &told.about {
            About::Class(class) if is_delivered => drop(classes.insert(&class.name, Some(class.hash.as_slice()))),
            About::Object(SentObject { missing_class: Some(name), .. }) => drop(classes.insert(name, None)),
            About::Object(object) if is_delivered => {
                objects.push(stored::SentObject { pass: object.pass, hash: object.hash.clone() });
                users.extend(object.has_users.map(|has_users| (object.pass, has_users)));
            }
            About::Nobody | About::Device(_) | About::Object(_) | About::Class(_) | About::App(_) => {}
        }
    }
    let mut missing = Vec::new();
    for (name, hash) in classes {
        let class = stored::note_class(conn, brand, name, hash).await?;
        missing.extend(class.filter(|_| hash.is_none()).map(|class| (class.uuid(), Lane::Interactive)));
    }
    objects.sort_by_key(|object| object.pass);
    stored::note_objects(conn, brand, &objects, now).await?;
    users.sort_by_key(|(pass, _)| *pass);
    for (pass, has_users) in users {
        note_users(app, conn, brand, pass, has_users).await?;
    }
    missing.sort_by_key(|(class, _)| *class);
    outbox::enqueue(conn, brand, Channel::GoogleClass, &missing, now, now).await?;
    Ok(())
}
