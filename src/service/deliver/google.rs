//! Google Wallet: the whole state of classes and objects, a class before its objects, each in its order.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::{About, Told};
use crate::clients::google_auth::Tokens;
use crate::clients::google_wallet::{AtGoogle, GoogleWallet, Page, Put, Resource, SCOPE};
use crate::config::Config;
use crate::domain::breaker::{Admission, Breaker};
use crate::domain::delivery::{Answer, Outcome};
use crate::domain::ids::{BrandId, GoogleClassId, PassId};
use crate::domain::pass::{Lane, PassKind};
use crate::service::{App, Problem};
use crate::store::google::{self as stored, Class, Object};
use crate::store::outbox::Claim;
use crate::store::{Conn, brands};
use crate::wallet::google::account::Account;

/// Calls a second, for each account: Google's limit is 20. (Google Wallet API, "Performance tips".)
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(15).expect("15 is not 0");

/// How long rows rest whose brand has no account that works.
const CLOSED_REST: TimeDelta = TimeDelta::seconds(60);

/// Within this time a pass has three alerts. (Google, "Trigger push notifications".)
const ALERTS_WINDOW: TimeDelta = TimeDelta::hours(24);

/// The accounts of this process, by the brand's code.
#[derive(Default)]
pub struct Issuers(Mutex<HashMap<String, Arc<Issuer>>>);

type Limiter = DefaultDirectRateLimiter;

/// A brand's way to Google.
pub struct Issuer {
    pub account: Account,
    client: GoogleWallet,
    /// One for all brands with this account.
    limiter: Arc<Limiter>,
    breaker: Mutex<Breaker>,
    /// Classes that Google was sent by this process: the objects that came together send theirs once.
    classes: tokio::sync::Mutex<HashSet<String>>,
}

impl Issuer {
    /// Whether nobody is asked at this moment.
    pub fn is_barred(&self, now: DateTime<Utc>) -> bool {
        let breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(breaker.admit(now), Admission::Nobody { .. })
    }

    /// A page of the objects of a class, at the pace that Google asks for.
    pub async fn list(
        &self,
        kind: PassKind,
        class: &str,
        after: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Page, Answer> {
        self.limiter.until_ready().await;
        self.client.list(kind, class, after, now).await
    }
}

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

/// Whether Google is on, and why it is off, for the operator.
pub fn state(config: &Config) -> String {
    let brands = config.brands.values().any(|brand| brand.google.issuer_id.is_some());
    if config.google.issuer_id.is_none() && !brands {
        return "off: google.issuer_id is not set".to_owned();
    }
    let codes = config.brands.keys().map(String::as_str).chain([""]);
    let files = codes.filter(|code| config.google_issuer(code).is_some());
    let faults: Vec<String> = files
        .filter_map(|code| {
            let key = if code.is_empty() { "google".to_owned() } else { format!("brands.{code}.google") };
            match config.google_account_file(code) {
                None => Some(format!("{key}.service_account_file is not set")),
                Some(file) => read_account(file).err().map(|why| format!("{key}.service_account_file {why}")),
            }
        })
        .collect();
    if faults.is_empty() { "on".to_owned() } else { format!("off: {}", faults.join("; ")) }
}

fn read_account(file: &Path) -> Result<Account, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Account::read(&bytes).map_err(|error| format!("{} {error}", file.display()))
}

/// The brand's way to Google; `Err`: why there is none.
pub fn issuer(app: &App, code: &str) -> Result<Arc<Issuer>, String> {
    if app.config.google_issuer(code).is_none() {
        return Err("google.issuer_id is not set".to_owned());
    }
    let mut issuers = app.issuers.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = issuers.get(code) {
        return Ok(Arc::clone(known));
    }
    let file = app.config.google_account_file(code).ok_or("google.service_account_file is not set")?;
    let account = read_account(file)?;
    let tokens = Tokens::new(account.file(), SCOPE).map_err(|error| error.to_string())?;
    let client = GoogleWallet::new(&app.config.google.wallet_url, tokens, app.config.delivery.call_timeout())
        .map_err(|error| error.to_string())?;
    let same = issuers.values().find(|known| known.account.email() == account.email());
    let limiter = same.map(|known| Arc::clone(&known.limiter));
    let issuer = Arc::new(Issuer {
        account,
        client,
        limiter: limiter.unwrap_or_else(|| Arc::new(RateLimiter::direct(Quota::per_second(CALLS_PER_SECOND)))),
        breaker: Mutex::default(),
        classes: tokio::sync::Mutex::default(),
    });
    issuers.insert(code.to_owned(), Arc::clone(&issuer));
    Ok(issuer)
}

async fn issuer_of(app: &App, brand: BrandId) -> Result<Result<Arc<Issuer>, String>, Problem> {
    let brand = brands::load(&mut app.db.read().await?.conn(), brand).await?;
    Ok(issuer(app, &brand.code))
}

/// Whether anything may be sent for the brand now.
pub async fn is_open(app: &App, brand: BrandId) -> Result<bool, Problem> {
    let Ok(issuer) = issuer_of(app, brand).await? else { return Ok(false) };
    Ok(!issuer.is_barred(app.clock.now()))
}

/// Starts a call for every object among the claims that Google does not have as it is.
pub async fn tell_objects(
    app: &App,
    brand: BrandId,
    claims: Vec<Claim>,
    calls: &mut JoinSet<()>,
    tell: &UnboundedSender<Told>,
) -> Result<(), Problem> {
    let passes: Vec<PassId> = claims.iter().map(|claim| PassId::new(claim.destination)).collect();
    let objects = stored::load_objects(&mut app.db.read().await?.conn(), brand, &passes).await?;
    let mut objects: HashMap<PassId, Object> = objects.into_iter().map(|object| (object.pass_id, object)).collect();
    let issuer = issuer_of(app, brand).await?;
    for claim in claims {
        let object = objects.remove(&PassId::new(claim.destination));
        let settled = match (&object, &issuer) {
            (None, _) => Some((Outcome::Obsolete, "there is no object".to_owned(), None)),
            (Some(object), _) if object.body.is_empty() => {
                Some((Outcome::Obsolete, "it is not published for Google yet".to_owned(), None))
            }
            (Some(object), _) if object.sent_hash.as_ref() == Some(&object.body_hash) => {
                Some((Outcome::Obsolete, "Google has it already".to_owned(), None))
            }
            (_, Err(why)) => Some((Outcome::Hold, why.clone(), Some(app.clock.now() + CLOSED_REST))),
            (_, Ok(issuer)) => {
                admit(app, issuer).err().map(|until| (Outcome::Hold, "waits for Google".to_owned(), Some(until)))
            }
        };
        match (settled, object, &issuer) {
            (None, Some(object), Ok(issuer)) => {
                let (app, tell, issuer) = (app.clone(), tell.clone(), Arc::clone(issuer));
                calls.spawn(async move {
                    let send = send_object(&app, brand, &issuer, object, &claim);
                    let sent = tokio::time::timeout(app.config.delivery.turn_timeout(), send).await;
                    // Who waited too long for his turn says nothing of Google.
                    let is_answered = sent.is_ok();
                    let (answer, about) = sent.unwrap_or_else(|_| (late(), About::Nobody));
                    if is_answered {
                        heed(&app, &issuer, &answer);
                    }
                    drop(tell.send(Told { claim, answer, not_before: None, about }));
                });
            }
            (settled, ..) => {
                let (outcome, text, not_before) = settled.unwrap_or((Outcome::NotSent, String::new(), None));
                let answer = Answer { outcome, text };
                drop(tell.send(Told { claim, answer, not_before, about: About::Nobody }));
            }
        }
    }
    Ok(())
}

/// Starts a call for every class among the claims that Google does not have as it is.
pub async fn tell_classes(
    app: &App,
    brand: BrandId,
    claims: Vec<Claim>,
    calls: &mut JoinSet<()>,
    tell: &UnboundedSender<Told>,
) -> Result<(), Problem> {
    let ids: Vec<GoogleClassId> = claims.iter().map(|claim| GoogleClassId::new(claim.destination)).collect();
    let classes = stored::load_classes(&mut app.db.read().await?.conn(), brand, &ids).await?;
    let mut classes: HashMap<GoogleClassId, Class> = classes.into_iter().map(|class| (class.class_id, class)).collect();
    let issuer = issuer_of(app, brand).await?;
    for claim in claims {
        let class = classes.remove(&GoogleClassId::new(claim.destination));
        let barred = |until| (Outcome::Hold, "waits for Google".to_owned(), Some(until));
        let settled = match (&class, &issuer) {
            (None, _) => Some((Outcome::Obsolete, "there is no class".to_owned(), None)),
            (Some(class), _) if class.sent_hash.as_ref() == Some(&class.body_hash) => {
                Some((Outcome::Obsolete, "Google has it already".to_owned(), None))
            }
            (_, Err(why)) => Some((Outcome::Hold, why.clone(), Some(app.clock.now() + CLOSED_REST))),
            (_, Ok(issuer)) => admit(app, issuer).err().map(barred),
        };
        match (settled, class, &issuer) {
            (None, Some(class), Ok(issuer)) => {
                let (app, tell, issuer) = (app.clone(), tell.clone(), Arc::clone(issuer));
                calls.spawn(async move {
                    let send = send_class(&app, &issuer, &class);
                    let sent = tokio::time::timeout(app.config.delivery.turn_timeout(), send).await;
                    // Who waited too long for his turn says nothing of Google.
                    let is_answered = sent.is_ok();
                    let (answer, about) = sent.unwrap_or_else(|_| (late(), About::Nobody));
                    if is_answered {
                        heed(&app, &issuer, &answer);
                    }
                    drop(tell.send(Told { claim, answer, not_before: None, about }));
                });
            }
            (settled, ..) => {
                let (outcome, text, not_before) = settled.unwrap_or((Outcome::NotSent, String::new(), None));
                let answer = Answer { outcome, text };
                drop(tell.send(Told { claim, answer, not_before, about: About::Nobody }));
            }
        }
    }
    Ok(())
}

/// The calls of one object together, and the wait for them, took too long: somebody else may have its row soon.
fn late() -> Answer {
    Answer { outcome: Outcome::NotSent, text: "no answer in time".to_owned() }
}

/// `Err`: nobody is asked until then.
fn admit(app: &App, issuer: &Issuer) -> Result<(), DateTime<Utc>> {
    let mut breaker = issuer.breaker.lock().unwrap_or_else(PoisonError::into_inner);
    let now = app.clock.now();
    match breaker.admit(now) {
        Admission::Nobody { until } => Err(until),
        Admission::One => {
            breaker.probe(now);
            Ok(())
        }
        Admission::All => Ok(()),
    }
}

/// What an answer says of the way to Google, rather than of one object.
fn heed(app: &App, issuer: &Issuer, answer: &Answer) {
    let now = app.clock.now();
    let mut breaker = issuer.breaker.lock().unwrap_or_else(PoisonError::into_inner);
    let was_open = breaker.is_open();
    match answer.outcome {
        Outcome::Delivered | Outcome::Rejected | Outcome::Gone { .. } | Outcome::Suspect => breaker.succeed(),
        Outcome::NotSent | Outcome::Retry { .. } => {
            if breaker.fail(now) {
                tracing::error!("Google Wallet is not told for a while: {}", answer.text);
            }
        }
        Outcome::Hold => {
            if breaker.hold(now) {
                tracing::error!("Google Wallet refuses the account {}: {}", issuer.account.email(), answer.text);
            }
        }
        Outcome::Obsolete => breaker.forget(),
    }
    let is_open = breaker.is_open();
    drop(breaker);
    if was_open && !is_open {
        tracing::info!("Google Wallet is told again");
    }
}

async fn send_object(app: &App, brand: BrandId, issuer: &Issuer, object: Object, claim: &Claim) -> (Answer, About) {
    let broken = |text: &str| (Answer { outcome: Outcome::Rejected, text: text.to_owned() }, About::Nobody);
    let Ok(mut body) = serde_json::from_slice::<Json>(&object.body) else { return broken("the object is not JSON") };
    let word = |body: &Json, member: &str| body.get(member).and_then(Json::as_str).map(str::to_owned);
    let (Some(id), Some(class)) = (word(&body, "id"), word(&body, "classId")) else {
        return broken("the object has no id or no class");
    };
    issuer.limiter.until_ready().await;
    if let Err(answer) = ensure_class(app, brand, issuer, &class).await {
        return (answer, About::Nobody);
    }
    let is_known = object.sent_hash.is_some();
    // Somebody looks at the phone; a roll-out changes nothing that is worth an alert. The kinds that Google alerts for.
    // A try again goes silently: the one before may have had its alert.
    let may_alert = is_known
        && claim.lane == Lane::Interactive
        && claim.failures == 0
        && matches!(object.kind, PassKind::Loyalty | PassKind::Event);
    let is_alerting = may_alert && spend_alert(app, brand, object.pass_id).await;
    if let (true, Some(members)) = (is_alerting, body.as_object_mut()) {
        members.insert("notifyPreference".to_owned(), json!("NOTIFY_ON_UPDATE"));
    }
    let is_over = body.get("state").and_then(Json::as_str) != Some("ACTIVE");
    let at_google = if is_known && is_over { AtGoogle::KnownAndOver } else { AtGoogle::of(is_known) };
    let put = issuer.client.put(Resource::Object(object.kind), &id, &body, at_google, app.clock.now()).await;
    let Put { mut answer, has_users, is_classless } = put;
    if may_alert && !is_alerting && answer.outcome == Outcome::Delivered {
        answer.text.push_str(" without an alert: the pass had three within a day");
    }
    if is_classless {
        issuer.classes.lock().await.remove(&class);
    }
    let missing_class = is_classless.then_some(class);
    (answer, About::Object(SentObject { pass: object.pass_id, hash: object.body_hash, has_users, missing_class }))
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

/// Google has the object's class, of whichever version: an object of a class that is not there is refused.
async fn ensure_class(app: &App, brand: BrandId, issuer: &Issuer, name: &str) -> Result<(), Answer> {
    let failed = |problem: Problem| Answer { outcome: Outcome::NotSent, text: problem.to_string() };
    let mut sent = issuer.classes.lock().await;
    if sent.contains(name) {
        return Ok(());
    }
    let class = {
        let mut reader = app.db.read().await.map_err(|error| failed(error.into()))?;
        stored::find_class(&mut reader.conn(), brand, name).await.map_err(|error| failed(error.into()))?
    };
    // The publisher stores the class with the object; one that is missing was lost by somebody else.
    let gone = || Answer { outcome: Outcome::Retry { after: None }, text: "its class is not stored".to_owned() };
    let class = class.ok_or_else(gone)?;
    if class.sent_hash.is_none() {
        let (answer, _) = send_class(app, issuer, &class).await;
        if answer.outcome != Outcome::Delivered {
            return Err(Answer { text: format!("its class: {}", answer.text), ..answer });
        }
        let (name, hash) = (name.to_owned(), class.body_hash.clone());
        let noted = app.run(async move |app| {
            let mut tx = app.db.begin().await?;
            stored::note_class(&mut tx.conn(), brand, &name, Some(&hash)).await?;
            Ok(tx.commit().await?)
        });
        noted.await.map_err(failed)?;
    }
    sent.insert(name.to_owned());
    Ok(())
}

async fn send_class(app: &App, issuer: &Issuer, class: &Class) -> (Answer, About) {
    let Ok(body) = serde_json::from_slice::<Json>(&class.body) else {
        return (Answer { outcome: Outcome::Rejected, text: "the class is not JSON".to_owned() }, About::Nobody);
    };
    issuer.limiter.until_ready().await;
    let (resource, at_google) = (Resource::Class(class.kind), AtGoogle::of(class.sent_hash.is_some()));
    let put = issuer.client.put(resource, &class.name, &body, at_google, app.clock.now()).await;
    (put.answer, About::Class(SentClass { name: class.name.clone(), hash: class.body_hash.clone() }))
}

/// Notes what Google has: classes first, then objects, as publishers do.
pub(super) async fn note(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let mut objects = Vec::new();
    let mut batch: Vec<&Told> = batch.iter().collect();
    batch.sort_by_key(|told| match &told.about {
        About::Class(class) => class.name.clone(),
        About::Object(object) => object.missing_class.clone().unwrap_or_default(),
        About::Nobody | About::Device(_) => String::new(),
    });
    for told in batch {
        let is_delivered = told.answer.outcome == Outcome::Delivered;
        match &told.about {
            About::Class(class) if is_delivered => {
                stored::note_class(conn, brand, &class.name, Some(&class.hash)).await?;
            }
            About::Object(SentObject { missing_class: Some(name), .. }) => {
                stored::note_class(conn, brand, name, None).await?;
            }
            About::Object(object) if is_delivered => objects.push(stored::SentObject {
                pass: object.pass,
                hash: object.hash.clone(),
                has_users: object.has_users,
            }),
            About::Nobody | About::Device(_) | About::Object(_) | About::Class(_) => {}
        }
    }
    objects.sort_by_key(|object| object.pass);
    Ok(stored::note_objects(conn, brand, &objects, now).await?)
}
