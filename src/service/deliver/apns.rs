//! Phones and watches: whom to push to, with which credential, and what a refusal means for their registrations.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderValue;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{About, Told};
use crate::clients::apns::{Apns, Credential, is_token_refused};
use crate::domain::breaker::{Admission, Breaker};
use crate::domain::delivery::{Answer, Outcome};
use crate::domain::ids::{BrandId, DeviceId};
use crate::domain::secret::Secret;
use crate::service::timeline;
use crate::service::{App, Problem};
use crate::store::outbox::Claim;
pub use crate::store::pushes::Target;
use crate::store::{Conn, brands, pushes};
use crate::wallet::apple::certificates::Certificates;
use crate::wallet::apple::dev_ca::DEV_TEAM;
use crate::wallet::apple::push_key::PushKey;

/// A provider token is used for so long, and at least so long before another is made: Apple refuses keys whose tokens
/// change more often than every 20 minutes, and tokens older than an hour. ("Establishing a token-based connection".)
const TOKEN_FRESH: TimeDelta = TimeDelta::minutes(50);
const TOKEN_MIN: TimeDelta = TimeDelta::minutes(20);

/// A token that is refused is believed dead after this time, if others of its topic were accepted meanwhile.
const SUSPECT_MAX: TimeDelta = TimeDelta::hours(24);

/// How long rows rest whose pass type has no credential.
const CLOSED_REST: TimeDelta = TimeDelta::seconds(60);

/// How precisely it is known when a topic's last push was accepted.
const ACCEPTED_STEP: TimeDelta = TimeDelta::minutes(1);

/// The scheme word of phones that Apple pushes to.
const APPLE: &str = "ApplePass";

/// Apple's own host: it does not know development certificates.
const APPLE_HOST: &str = "push.apple.com";

/// Clients, breakers and tokens of this process.
#[derive(Default)]
pub struct Pushes {
    topics: Mutex<HashMap<String, Topic>>,
    tokens: Mutex<HashMap<(BrandId, String), Issued>>,
}

/// A provider token, and the time in it.
type Issued = (DateTime<Utc>, Secret<String>);

/// A pass type and a push token.
type Phone = (String, Vec<u8>);

/// A pass type on its way to Apple.
struct Topic {
    /// SHA-256 of the certificate, or the key's id: another one needs another client.
    credential: Vec<u8>,
    client: Arc<Apns>,
    breaker: Breaker,
}

/// What one call needs.
struct Line {
    client: Arc<Apns>,
    topic: HeaderValue,
    key: Option<PushKey>,
}

/// Why a pass type's phones cannot be told; `None`: they can.
fn closed(apns_url: &str, certificates: &Certificates, pass_type: &str, now: DateTime<Utc>) -> Option<String> {
    if let Some((_, fault)) = certificates.push_faults.iter().find(|(of, _)| of == pass_type) {
        return Some(fault.to_string());
    }
    if certificates.push_keys.contains_key(pass_type) {
        return None;
    }
    let Some(signer) = certificates.signer(pass_type) else { return Some("there is no certificate".to_owned()) };
    if signer.team() == DEV_TEAM && apns_url.ends_with(APPLE_HOST) {
        return Some("Apple does not know development certificates".to_owned());
    }
    signer.check_time(now).err().map(|error| error.to_string())
}

/// Whether phones are told, and of which passes they are not, and why: a sentence for the operator.
pub fn state(apns_url: &str, certificates: &Certificates, now: DateTime<Utc>) -> String {
    let known: BTreeSet<&String> = certificates.signers.keys().chain(certificates.push_keys.keys()).collect();
    let is_known = !known.is_empty();
    let closed = known.into_iter().map(|pass_type| (pass_type, closed(apns_url, certificates, pass_type, now)));
    let (open, closed): (Vec<_>, Vec<_>) = closed.partition(|(_, why)| why.is_none());
    let reasons = closed.iter().map(|(pass_type, why)| format!("{pass_type}: {}", why.as_deref().unwrap_or_default()));
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    match (is_known, open.is_empty(), reasons.is_empty()) {
        (false, ..) => "off: there is no certificate".to_owned(),
        (true, true, _) => format!("off: {reasons}"),
        (true, false, true) => "on".to_owned(),
        (true, false, false) => format!("on, but not for {reasons}"),
    }
}

/// Whether any pass type of the brand may be pushed to now.
pub async fn is_open(app: &App, brand: BrandId) -> Result<bool, Problem> {
    let pass_types = brands::list_pass_types(&mut app.db.read().await?.conn(), brand).await?;
    let (certificates, now) = (app.certificates(), app.clock.now());
    let topics = app.pushes.topics.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(pass_types.iter().any(|pass_type| {
        let is_barred =
            topics.get(pass_type).is_some_and(|topic| matches!(topic.breaker.admit(now), Admission::Nobody { .. }));
        !is_barred && closed(&app.config.apple.apns_url, &certificates, pass_type, now).is_none()
    }))
}

/// Starts a call for every push token among the claims; answers come through `tell`, as those do for whom there is nobody
/// to call.
pub async fn tell_all(
    app: &App,
    brand: BrandId,
    claims: Vec<Claim>,
    calls: &mut JoinSet<()>,
    tell: &UnboundedSender<Told>,
) -> Result<(), Problem> {
    let devices: Vec<DeviceId> = claims.iter().map(|claim| DeviceId::new(claim.destination)).collect();
    let targets = pushes::load_targets(&mut app.db.read().await?.conn(), brand, &devices).await?;
    let mut targets: HashMap<DeviceId, Target> = targets.into_iter().map(|target| (target.device, target)).collect();
    // A phone that was restored has its token under two device ids: it is told once.
    // In no order: whoever is asked first after a rest is not chosen by his token.
    let mut groups: HashMap<Phone, Vec<(Claim, Target)>> = HashMap::new();
    let done = |claim, about, outcome, text: &str, not_before| {
        // The other end is dropped only when nobody settles any more.
        let answer = Answer { outcome, text: text.to_owned() };
        drop(tell.send(Told { claim, answer, not_before, about }));
    };
    for claim in claims {
        match targets.remove(&DeviceId::new(claim.destination)) {
            None => done(claim, About::Nobody, Outcome::Obsolete, "not registered any more", None),
            Some(target) if target.scheme != APPLE => {
                done(
                    claim,
                    About::Device(target),
                    Outcome::Obsolete,
                    "another vendor's wallet, which comes by itself",
                    None,
                );
            }
            Some(target) if !is_push_token(target.push_token.reveal()) => {
                done(claim, About::Device(target), Outcome::Obsolete, "no push token of Apple's", None);
            }
            Some(target) => {
                let token = target.push_token.reveal().as_bytes().to_vec();
                groups.entry((target.pass_type.clone(), token)).or_default().push((claim, target));
            }
        }
    }
    for ((pass_type, _), group) in groups {
        let line = match admit(app, &pass_type) {
            Ok(line) => line,
            Err(Barred { why, until }) => {
                for (claim, target) in group {
                    done(claim, About::Device(target), Outcome::Hold, &why, Some(until));
                }
                continue;
            }
        };
        let (app, tell) = (app.clone(), tell.clone());
        calls.spawn(async move {
            let token = group.first().map(|(_, target)| target.push_token.clone());
            let Some(token) = token else { return };
            let answer = call(&app, brand, &line, &token).await;
            heed(&app, &pass_type, &answer);
            for (claim, target) in group {
                drop(tell.send(Told { claim, answer: answer.clone(), not_before: None, about: About::Device(target) }));
            }
        });
    }
    Ok(())
}

/// Apple's are hexadecimal. What a stranger registered goes into no address.
fn is_push_token(token: &str) -> bool {
    (2..=200).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Nobody may be asked for a while.
struct Barred {
    why: String,
    until: DateTime<Utc>,
}

/// The way to a pass type's phones, if it is open.
fn admit(app: &App, pass_type: &str) -> Result<Line, Barred> {
    let (certificates, now) = (app.certificates(), app.clock.now());
    let rest = |why| Barred { why, until: now + CLOSED_REST };
    if let Some(why) = closed(&app.config.apple.apns_url, &certificates, pass_type, now) {
        return Err(rest(why));
    }
    let key = certificates.push_keys.get(pass_type).cloned();
    let credential = match (&key, certificates.signer(pass_type)) {
        (Some(key), _) => key.key_id().as_bytes().to_vec(),
        (None, Some(signer)) => signer.id().to_vec(),
        (None, None) => return Err(rest("there is no certificate".to_owned())),
    };
    let topic = HeaderValue::from_str(pass_type).map_err(|_| rest("the pass type is no topic".to_owned()))?;
    let mut topics = app.pushes.topics.lock().unwrap_or_else(PoisonError::into_inner);
    if topics.get(pass_type).is_none_or(|known| known.credential != credential) {
        let client = connect(app, &certificates, pass_type, key.is_some());
        let client = Arc::new(client.map_err(|why| {
            tracing::error!("phones with {pass_type} cannot be told: {why}");
            rest(why)
        })?);
        // Another credential is another beginning.
        topics.insert(pass_type.to_owned(), Topic { credential, client, breaker: Breaker::default() });
    }
    let Some(known) = topics.get_mut(pass_type) else { return Err(rest("there is no client".to_owned())) };
    match known.breaker.admit(now) {
        Admission::Nobody { until } => {
            return Err(Barred { why: "waits for the push service".to_owned(), until });
        }
        Admission::One => known.breaker.probe(now),
        Admission::All => {}
    }
    Ok(Line { client: Arc::clone(&known.client), topic, key })
}

fn connect(app: &App, certificates: &Certificates, pass_type: &str, has_key: bool) -> Result<Apns, String> {
    let credential = match certificates.signer(pass_type) {
        _ if has_key => Credential::Token,
        Some(signer) => Credential::Certificate(signer.identity().map_err(|error| error.to_string())?),
        None => return Err("there is no certificate".to_owned()),
    };
    let apple = &app.config.apple;
    Apns::new(&apple.apns_url, apple.apns_ca_file.as_deref(), &credential, app.config.delivery.call_timeout())
        .map_err(|error| error.to_string())
}

/// One push; with another provider token, if the first was refused and another may be made.
async fn call(app: &App, brand: BrandId, line: &Line, push_token: &Secret<String>) -> Answer {
    let now = app.clock.now();
    let Some(key) = &line.key else { return line.client.tell(push_token, &line.topic, None, now).await };
    let unsent = |problem: Problem| Answer { outcome: Outcome::NotSent, text: problem.to_string() };
    let (issued_at, token) = match provider_token(app, brand, key, TOKEN_FRESH).await {
        Ok(issued) => issued,
        Err(problem) => return unsent(problem),
    };
    let answer = line.client.tell(push_token, &line.topic, Some(&token), now).await;
    if !is_token_refused(&answer) {
        return answer;
    }
    match provider_token(app, brand, key, TOKEN_MIN).await {
        Ok((again_at, _)) if again_at == issued_at => answer,
        Ok((_, token)) => line.client.tell(push_token, &line.topic, Some(&token), now).await,
        Err(problem) => unsent(problem),
    }
}

/// The provider token of all processes, or a new one for all if it is older than `age_max`; and the time in it.
async fn provider_token(app: &App, brand: BrandId, key: &PushKey, age_max: TimeDelta) -> Result<Issued, Problem> {
    let (now, name) = (app.clock.now(), (brand, key.key_id().to_owned()));
    {
        let tokens = app.pushes.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((issued_at, token)) = tokens.get(&name).filter(|(issued_at, _)| now - issued_at < age_max) {
            return Ok((*issued_at, token.clone()));
        }
    }
    let stale_before = now - age_max;
    let (for_task, key_id) = (app.clone(), key.key_id().to_owned());
    // In a task of its own: the call around it may be dropped.
    let issued_at = app.run(async move |_| {
        let mut tx = for_task.db.begin().await?;
        let issued_at = pushes::issue_token(&mut tx.conn(), brand, &key_id, stale_before, now).await?;
        tx.commit().await?;
        Ok(issued_at)
    });
    let issued_at = issued_at.await?;
    let token = key.provider_token(issued_at);
    let mut tokens = app.pushes.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    tokens.insert(name, (issued_at, token.clone()));
    Ok((issued_at, token))
}

/// What an answer says of the way to Apple, rather than of one phone.
fn heed(app: &App, pass_type: &str, answer: &Answer) {
    let now = app.clock.now();
    let mut topics = app.pushes.topics.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(topic) = topics.get_mut(pass_type) else { return };
    let was_open = topic.breaker.is_open();
    match answer.outcome {
        Outcome::Delivered | Outcome::Gone { .. } => topic.breaker.succeed(),
        // A phone that had too many is no trouble of the service.
        Outcome::Retry { .. } if answer.text.starts_with("429") => topic.breaker.succeed(),
        // A mass of refused tokens is a fault of ours: another environment, another topic.
        Outcome::Suspect => {
            if topic.breaker.suspect(now) {
                tracing::error!("every phone with {pass_type} is refused: {}", answer.text);
            }
        }
        Outcome::NotSent | Outcome::Retry { .. } => {
            if topic.breaker.fail(now) {
                tracing::error!("phones with {pass_type} are not told for a while: {}", answer.text);
            }
        }
        Outcome::Hold => {
            if topic.breaker.hold(now) {
                tracing::error!("phones with {pass_type} cannot be told, and wait: {}", answer.text);
            }
        }
        Outcome::Rejected => {
            topic.breaker.forget();
            tracing::error!("a push for {pass_type} was refused as wrong: {}", answer.text);
        }
        Outcome::Obsolete => topic.breaker.forget(),
    }
    let is_open = topic.breaker.is_open();
    drop(topics);
    if was_open && !is_open {
        tracing::info!("phones with {pass_type} are told again");
    }
    metrics::gauge!("passarela_push_barred", "pass_type" => pass_type.to_owned()).set(f64::from(u8::from(is_open)));
}

/// Removes the devices of tokens that are dead.
pub(super) async fn remove_gone(app: &App, brand: BrandId, batch: &mut [Told]) -> Result<(), Problem> {
    let now = app.clock.now();
    for told in batch {
        let About::Device(target) = &told.about else { continue };
        let gone_at = match told.answer.outcome {
            // Registered again since Apple learnt that the token is dead, it is another token.
            Outcome::Gone { since } => since.unwrap_or(told.claim.changed_at),
            Outcome::Suspect if is_believed_dead(app, brand, target, now).await? => now,
            _ => continue,
        };
        let mut tx = app.db.begin().await?;
        let held = pushes::remove_device(&mut tx.conn(), brand, target.device, &target.push_token, gone_at).await?;
        // It registered again after the token died, with the same or another one: it is watched, not pushed to for ever.
        if held.is_none() {
            told.answer.outcome = Outcome::Suspect;
        }
        for pass in held.into_iter().flatten() {
            let about = timeline::About { customer: None, pass: Some(pass), subject: pass.uuid() };
            let data =
                json!({ "pass_id": pass, "device_id": target.device, "wallet": "apple", "reason": told.answer.text });
            timeline::record(app, &mut tx.conn(), brand, "pass.removed", about, data).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Refused for a day, while others of its topic are not.
async fn is_believed_dead(app: &App, brand: BrandId, target: &Target, now: DateTime<Utc>) -> Result<bool, Problem> {
    let Some(since) = target.refused_since.filter(|since| now - since >= SUSPECT_MAX) else { return Ok(false) };
    Ok(pushes::was_accepted_since(&mut app.db.read().await?.conn(), brand, &target.pass_type, since).await?)
}

/// Notes who was told of what, and whose token is refused. Those who have another token by now: what the old one was
/// answered is not theirs.
pub(super) async fn note(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<BTreeSet<Uuid>, Problem> {
    let of = |is_meant: fn(&Told, &Target) -> bool| {
        let targets = batch.iter().filter_map(|told| match &told.about {
            About::Device(target) => Some((told, target)),
            About::Nobody | About::Object(_) | About::Class(_) => None,
        });
        let mut targets: Vec<&Target> =
            targets.filter(|(told, target)| is_meant(told, target)).map(|(_, target)| target).collect();
        targets.sort_by_key(|target| target.device);
        targets
    };
    let ids = |targets: Vec<&Target>| targets.into_iter().map(|target| target.device).collect::<Vec<_>>();
    // Whoever is not pushed to at all has nothing more to be told.
    let is_told = |told: &Told, _: &Target| matches!(told.answer.outcome, Outcome::Delivered | Outcome::Obsolete);
    let mut renewed = BTreeSet::new();
    for target in of(|told, _| told.answer.outcome == Outcome::Suspect) {
        if !pushes::suspect(conn, brand, target.device, &target.push_token, now).await? {
            renewed.insert(target.device.uuid());
        }
    }
    let cleared = of(|told, target| told.answer.outcome == Outcome::Delivered && target.refused_since.is_some());
    pushes::clear(conn, brand, &ids(cleared)).await?;
    let mut told: BTreeMap<i64, Vec<DeviceId>> = BTreeMap::new();
    for target in of(is_told) {
        told.entry(target.newest_tag_n).or_default().push(target.device);
    }
    for (tag_n, devices) in told {
        pushes::tell(conn, brand, &devices, tag_n, now).await?;
    }
    Ok(renewed)
}

/// Notes which topics took a push: last in its transaction, because publishers wait for these rows.
pub(super) async fn note_accepted(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let told = batch.iter().filter(|told| told.answer.outcome == Outcome::Delivered);
    let topic = |told: &'_ Told| match &told.about {
        About::Device(target) => Some(target.pass_type.clone()),
        About::Nobody | About::Object(_) | About::Class(_) => None,
    };
    let topics: BTreeSet<String> = told.filter_map(topic).collect();
    for topic in topics {
        pushes::accept(conn, brand, &topic, now - ACCEPTED_STEP, now).await?;
    }
    Ok(())
}
