//! The way to Apple for each pass type: its credential, its client, its gate.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderValue;

use crate::clients::apns::{Apns, Credential};
use crate::domain::ids::BrandId;
use crate::domain::pass::is_pass_type;
use crate::service::deliver::gate::{Barred, Gate};
use crate::service::{App, Problem};
use crate::store::brands;
use crate::wallet::apple::certificates::Certificates;
use crate::wallet::apple::dev_ca::DEV_TEAM;
use crate::wallet::apple::push_key::PushKey;

/// Apple's own host: it does not know development certificates.
const APPLE_HOST: &str = "push.apple.com";

/// The ways of this process, by pass type.
#[derive(Default)]
pub struct Topics(Mutex<HashMap<String, Arc<Topic>>>);

/// What a call for a pass type needs.
pub struct Topic {
    /// SHA-256 of the certificate, or the key's id: another one needs another client.
    credential: Vec<u8>,
    pub client: Apns,
    pub name: HeaderValue,
    pub key: Option<PushKey>,
    pub gate: Gate,
}

/// Why a topic's phones cannot be told; `None`: they can.
pub fn why_closed(apns_url: &str, certificates: &Certificates, pass_type: &str, now: DateTime<Utc>) -> Option<String> {
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
    let known = certificates.signers.keys().chain(certificates.push_keys.keys());
    let known: BTreeSet<&String> = known.filter(|topic| is_pass_type(topic)).collect();
    let is_known = !known.is_empty();
    let closed = known.into_iter().map(|pass_type| (pass_type, why_closed(apns_url, certificates, pass_type, now)));
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
    Ok(pass_types.iter().any(|pass_type| is_open_for(app, pass_type)))
}

/// Whether phones may be pushed to on a topic now.
pub fn is_open_for(app: &App, topic: &str) -> bool {
    let (certificates, now) = (app.certificates(), app.clock.now());
    let topics = app.pushes.topics.0.lock().unwrap_or_else(PoisonError::into_inner);
    let is_barred = topics.get(topic).is_some_and(|topic| topic.gate.is_barred(now));
    !is_barred && why_closed(&app.config.apple.apns_url, &certificates, topic, now).is_none()
}

/// The way to a pass type's phones, if it is open; whoever has it asks somebody.
pub fn admit(app: &App, pass_type: &str) -> Result<Arc<Topic>, Barred> {
    let now = app.clock.now();
    let topic = find(app, pass_type, now).map_err(|why| Barred::closed(why, now))?;
    topic.gate.admit(now)?;
    Ok(topic)
}

/// The pass type's way, made anew when its credential is another one; `Err`: why there is none.
fn find(app: &App, pass_type: &str, now: DateTime<Utc>) -> Result<Arc<Topic>, String> {
    let (certificates, apple) = (app.certificates(), &app.config.apple);
    if let Some(why) = why_closed(&apple.apns_url, &certificates, pass_type, now) {
        return Err(why);
    }
    let (key, signer) = (certificates.push_keys.get(pass_type), certificates.signer(pass_type));
    let credential = match (key, signer) {
        (Some(key), _) => key.key_id().as_bytes().to_vec(),
        (None, Some(signer)) => signer.id().to_vec(),
        (None, None) => return Err("there is no certificate".to_owned()),
    };
    let mut topics = app.pushes.topics.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = topics.get(pass_type).filter(|known| known.credential == credential) {
        return Ok(Arc::clone(known));
    }
    let proof = match signer.filter(|_| key.is_none()) {
        Some(signer) => Credential::Certificate(signer.identity().map_err(|error| error.to_string())?),
        None => Credential::Token,
    };
    let timeout = app.config.delivery.call_timeout();
    let client = Apns::new(&apple.apns_url, apple.apns_ca_file.as_deref(), &proof, timeout);
    let client = client.map_err(|error| {
        tracing::error!("phones with {pass_type} cannot be told: {error}");
        error.to_string()
    })?;
    let name = HeaderValue::from_str(pass_type).map_err(|_| "the pass type is no topic".to_owned())?;
    let gate = Gate::new(format!("APNs for {pass_type}"));
    let topic = Arc::new(Topic { credential, client, name, key: key.cloned(), gate });
    topics.insert(pass_type.to_owned(), Arc::clone(&topic));
    Ok(topic)
}
