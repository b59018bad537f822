//! What a phone asks of Apple's web service: register, unregister, what changed, the pass itself, and to complain.

use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::delivery::Channel;
use crate::domain::ids::{BrandId, DeviceId};
use crate::domain::pass::Lane;
use crate::domain::secret::Secret;
use crate::domain::tag::Tag;
use crate::service::bundles::{self, usable_signer};
use crate::service::sightings::Sight;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::brands::{self, Brand};
use crate::store::devices::{self, AskedSince, NewDevice};
use crate::store::publication::ServedState;
use crate::store::{logs, outbox};

/// A pass as a phone names it, with the token it proves itself by.
#[derive(Debug, Clone)]
pub struct PassRef {
    pub pass_type: String,
    pub serial: String,
    pub token: Secret<String>,
}

/// The row behind the pass if the token is its own. A wrong token and an unknown serial are the same to the caller,
/// in answer and in work.
pub(super) async fn authenticate(app: &App, brand: &Brand, pass: &PassRef) -> Result<ServedState, Problem> {
    let served = app.reads.served.read(app, brand.id, (pass.pass_type.clone(), pass.serial.clone())).await?;
    let version = served.as_ref().map_or(crate::wallet::keys::TOKEN_KEY_VERSION, |served| served.token_key_version);
    let expected = app.master_key.apple_token(version, brand.id, &pass.pass_type, &pass.serial);
    let is_right = pass.token.matches(expected.as_bytes());
    served.filter(|served| is_right || is_moved(served, &pass.token)).ok_or(Problem::KeyUnknown)
}

/// Whether this is the token that another vendor gave the pass: phones keep it for the pass's whole life.
fn is_moved(served: &ServedState, token: &Secret<String>) -> bool {
    let digest = Secret::new(Sha256::digest(token.reveal()).to_vec());
    served.token_hash.as_ref().is_some_and(|hash| digest.matches(hash))
}

/// Whether a registration is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    New,
    Known,
}

/// Devices that hold one pass at most: whoever has a card could invent any number. The oldest give way.
const DEVICES_MAX: i64 = 50;

/// Registers a device for a pass, or refreshes its push token.
pub async fn register(app: &App, brand: &Brand, pass: &PassRef, device: &NewDevice) -> Result<Registered, Problem> {
    let served = authenticate(app, brand, pass).await?;
    let now = app.clock.now();
    let new_id = DeviceId::new(app.clock.new_id());
    let mut tx = app.db.begin().await?;
    let renewed = devices::renew_token(&mut tx.conn(), brand.id, device, now).await?;
    let device_id = devices::upsert(&mut tx.conn(), brand.id, new_id, device, now).await?;
    let registered = devices::register(&mut tx.conn(), brand.id, served.pass_id, device_id, now).await?;
    // What waits because the old token was refused waits no longer. After the pass, as publishers lock.
    if let Some(device) = renewed {
        outbox::retry(&mut tx.conn(), brand.id, Channel::Apns, device.uuid(), now).await?;
    }
    if let Some((tag_n, first_tag_n)) = registered {
        for surplus in devices::list_surplus(&mut tx.conn(), brand.id, served.pass_id, DEVICES_MAX).await? {
            let library_id = surplus.reveal();
            devices::unregister(&mut tx.conn(), brand.id, served.pass_id, &pass.pass_type, library_id).await?;
        }
        record(app, &mut tx.conn(), brand.id, "pass.added", &served, device_id).await?;
        // Of another vendor's pass the phone has another content altogether.
        if tag_n > first_tag_n || is_moved(&served, &pass.token) {
            let delay = TimeDelta::seconds(i64::try_from(app.config.delivery.registration_delay_secs).unwrap_or(5));
            let row = (device_id.uuid(), Lane::Interactive);
            outbox::enqueue(&mut tx.conn(), brand.id, Channel::Apns, &[row], now + delay, now).await?;
            // What the phone downloaded may be any version since the first: let it come and look. Its tag, learnt from
            // its other passes, may be newer than this pass's, so the registration gets a tag of its own.
            let tag = brands::take_tags(&mut tx.conn(), brand.id, &pass.pass_type, 1).await?;
            devices::set_listed_tag(&mut tx.conn(), brand.id, served.pass_id, device_id, tag.n).await?;
        }
    }
    tx.commit().await?;
    Ok(if registered.is_some() { Registered::New } else { Registered::Known })
}

/// Takes a registration back; taking it back again is as good.
pub async fn unregister(app: &App, brand: &Brand, pass: &PassRef, library_id: &str) -> Result<(), Problem> {
    let served = authenticate(app, brand, pass).await?;
    let mut tx = app.db.begin().await?;
    let device = devices::unregister(&mut tx.conn(), brand.id, served.pass_id, &pass.pass_type, library_id).await?;
    if let Some(device) = device {
        record(app, &mut tx.conn(), brand.id, "pass.removed", &served, device).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What changed on a device since its tag: serials, and the tag to ask with next time. `None`: nothing. Reads in a task
/// of the main runtime, so a handler may await it as it is.
pub async fn list_updated(
    app: &App,
    brand: &Brand,
    pass_type: String,
    library_id: String,
    asked: Option<&str>,
) -> Result<Option<(Vec<String>, Tag)>, Problem> {
    let seen = Sight::Asked { pass_type: pass_type.clone(), library_id: Secret::new(library_id.clone()) };
    let asked = AskedSince { pass_type, library_id: Secret::new(library_id), tag: Tag::asked(asked) };
    let rows = app.reads.updated.read(app, brand.id, asked).await?;
    // The newest tag among the passes listed, not "now": a change committed meanwhile must be ahead of it.
    let Some(newest) = rows.last().map(|row| Tag { epoch: row.tag_epoch, n: row.tag_n }) else { return Ok(None) };
    // Of those who have everything, or were made up, nothing is written down.
    app.saw(brand.id, seen);
    Ok(Some((rows.into_iter().map(|row| row.serial).collect(), newest)))
}

/// A pass for a phone that may have it already.
pub enum Fetched {
    /// The phone has this very version.
    NotModified {
        last_modified: i64,
        apple_hash: Vec<u8>,
    },
    Pass(bundles::SignedPass),
}

/// The pass as it is published. Reads and signs in tasks of the main runtime, so a handler may await it as it is.
/// `if_modified_since` (Unix seconds) is compared for equality: an HTTP date says which
/// version the phone has, not which is newer.
pub async fn fetch(
    app: &App,
    brand: &Brand,
    pass: &PassRef,
    if_modified_since: Option<i64>,
) -> Result<Fetched, Problem> {
    let served = authenticate(app, brand, pass).await?;
    app.saw(brand.id, Sight::Fetched { pass: served.pass_id, tag_n: served.tag_n });
    if if_modified_since == Some(served.last_modified) {
        let ServedState { last_modified, apple_hash, .. } = served;
        return Ok(Fetched::NotModified { last_modified, apple_hash });
    }
    let signer = usable_signer(app, &pass.pass_type)?;
    // A pass keeps the token that the phone knows it by.
    let token = is_moved(&served, &pass.token).then(|| pass.token.clone());
    if let Some(bundle) = bundles::find_ready(app, &served.apple_hash, token.as_ref(), &signer).await {
        let ServedState { apple_hash, last_modified, .. } = served;
        return Ok(Fetched::Pass(bundles::SignedPass { bundle, apple_hash, last_modified }));
    }
    let (brand, pass) = (brand.id, served.pass_id);
    app.run(async move |app| bundles::load(&app, brand, pass, token).await).await.map(Fetched::Pass)
}

/// Messages of one call, and characters of one message, that are kept.
const MESSAGES_MAX: usize = 20;
const MESSAGE_MAX: usize = 2_000;

/// Keeps what a phone complains of. Never fails for what the messages say.
pub async fn log(app: &App, brand: &Brand, messages: &[String]) -> Result<(), Problem> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    for message in messages.iter().take(MESSAGES_MAX) {
        let plain = message.chars().map(|c| if crate::domain::text::is_control(c) { ' ' } else { c });
        let plain: String = plain.take(MESSAGE_MAX).collect();
        logs::insert(&mut tx.conn(), brand.id, app.clock.new_id(), named_in(&plain), &plain, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What iOS writes: `… (for device <library id>, pass type <type>, serial number <serial>, …) encountered error: …`.
fn named_in(message: &str) -> logs::About<'_> {
    let word = |before: &str| {
        let rest = message.split_once(before)?.1;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-').unwrap_or(rest.len());
        rest.get(..end).filter(|word| !word.is_empty())
    };
    logs::About { pass_type: word("pass type "), serial: word("serial number "), library_id: word("for device ") }
}

async fn record(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    pass: &ServedState,
    device: DeviceId,
) -> Result<(), Problem> {
    let about = About { customer: Some(pass.customer_id), pass: Some(pass.pass_id), subject: pass.pass_id.uuid() };
    let data = json!({ "pass_id": pass.pass_id, "device_id": device, "wallet": "apple" });
    timeline::record(app, conn, brand, kind, about, data).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_and_device_are_found_in_what_ios_writes() {
        let line = "[2026-11-22 10:00:00 +0000] Get pass task (pass type pass.br.aurora, serial number Ab9, \
                    if-modified-since (null); with web service url https://x) encountered error: code 500";
        let about = named_in(line);
        assert_eq!((about.pass_type, about.serial, about.library_id), (Some("pass.br.aurora"), Some("Ab9"), None));
        let line = "Get serial #s task (for device 4f2a9, pass type pass.br.aurora, last updated (null); with web service url x)";
        let about = named_in(line);
        assert_eq!((about.pass_type, about.serial, about.library_id), (Some("pass.br.aurora"), None, Some("4f2a9")));
        assert!(named_in("nothing of the kind").pass_type.is_none());
    }
}
