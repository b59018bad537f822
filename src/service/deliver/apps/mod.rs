//! Messages to the brand's own app: one to an installation, of everything that it was not told.

mod projects;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::projects::{Project, project};
pub use self::projects::{Projects, state as firebase_state};
use super::apns::{self, Topic};
use super::calls::{About, Calls, Told};
use super::gate::{Barred, Gate};
use crate::clients::apns::Push;
use crate::clients::fcm::Address;
use crate::config::Config;
use crate::domain::delivery::{Answer, Outcome, is_apple_push_token};
use crate::domain::ids::{AppDeviceId, BrandId};
use crate::domain::locale::Locale;
use crate::domain::notice::{AppMessage, AppService};
use crate::service::{App, Problem, app_devices as installations};
use crate::store::Conn;
use crate::store::app_devices::{self, AppTarget};
use crate::store::brands::{self, Brand};
use crate::store::notices::{self, Untold};
use crate::store::outbox::Claim;
use crate::wallet::apple::certificates::Certificates;

/// Passes that the installations of one claim are told of at most; the sweep finds the rest.
const UNTOLD_MAX: i64 = 2_000;

/// An address that is refused is believed dead after this time, if others were reached meanwhile.
const SUSPECT_MAX: TimeDelta = TimeDelta::hours(24);

/// An installation, and what it was told.
pub struct SentMessage {
    service: AppService,
    target: AppTarget,
    untold: Vec<Untold>,
}

/// The way to the brand's app.
#[derive(Clone)]
enum Way {
    Firebase(Arc<Project>),
    Apple(Arc<Topic>),
}

impl Way {
    fn gate(&self) -> &Gate {
        match self {
            Self::Firebase(project) => &project.gate,
            Self::Apple(topic) => &topic.gate,
        }
    }
}

/// Whether any installation of the brand's app that the service reaches may be told now.
pub async fn is_open(app: &App, brand: BrandId, service: AppService) -> Result<bool, Problem> {
    let brand = brands::load(&mut app.db.read().await?.conn(), brand).await?;
    Ok(match service {
        AppService::Fcm => project(app, &brand.code).is_ok_and(|project| !project.gate.is_barred(app.clock.now())),
        AppService::Apns => app.config.app_id(&brand.code).is_some_and(|id| apns::is_open_for(app, id)),
    })
}

/// Whether the brand's own iOS app is told, and why not, for the operator.
pub fn apple_state(config: &Config, certificates: &Certificates, now: DateTime<Utc>) -> String {
    let own = config.brands.values().filter_map(|brand| brand.apple.app_id.as_ref());
    let ids: BTreeSet<&String> = own.chain(&config.apple.app_id).collect();
    if ids.is_empty() {
        return "off: apple.app_id is not set".to_owned();
    }
    let closed = ids.into_iter().filter_map(|id| {
        let why = apns::why_closed(&config.apple.apns_url, certificates, id, now)?;
        Some(format!("{id}: {why}"))
    });
    let closed = closed.collect::<Vec<_>>().join("; ");
    if closed.is_empty() { "on".to_owned() } else { format!("off: {closed}") }
}

/// The way, if it is open; whoever has it asks somebody.
fn admit(app: &App, brand: &Brand, service: AppService) -> Result<Way, Barred> {
    let now = app.clock.now();
    match service {
        AppService::Fcm => {
            let project = project(app, &brand.code).map_err(|why| Barred::closed(why, now))?;
            project.gate.admit(now)?;
            Ok(Way::Firebase(project))
        }
        AppService::Apns => {
            let id = app.config.app_id(&brand.code).ok_or_else(|| Barred::closed("apple.app_id is not set", now))?;
            apns::admit(app, id).map(Way::Apple)
        }
    }
}

/// Starts a call for every installation among the claims that there is something to say to.
pub async fn tell(
    app: &App,
    brand: BrandId,
    service: AppService,
    claims: Vec<Claim>,
    calls: &mut Calls,
) -> Result<(), Problem> {
    let devices: Vec<AppDeviceId> = claims.iter().map(|claim| AppDeviceId::new(claim.destination)).collect();
    let (targets, untold, brand) = {
        let mut reader = app.db.read().await?;
        (
            app_devices::load_targets(&mut reader.conn(), brand, service, &devices).await?,
            notices::list_untold(&mut reader.conn(), brand, &devices, UNTOLD_MAX).await?,
            brands::load(&mut reader.conn(), brand).await?,
        )
    };
    let mut targets: HashMap<AppDeviceId, AppTarget> =
        targets.into_iter().map(|target| (target.device, target)).collect();
    let mut untold_of: HashMap<AppDeviceId, Vec<Untold>> = HashMap::new();
    for one in untold {
        untold_of.entry(one.device).or_default().push(one);
    }
    for claim in claims {
        let device = AppDeviceId::new(claim.destination);
        let Some(target) = targets.remove(&device) else {
            calls.skip(claim, About::Nobody, Outcome::Obsolete, "not registered any more");
            continue;
        };
        let untold = untold_of.remove(&device).unwrap_or_default();
        let message = message(&brand, &target, &untold);
        let sent = SentMessage { service, target, untold };
        let Some(message) = message else {
            calls.skip(claim, About::App(sent), Outcome::Obsolete, "there is no news");
            continue;
        };
        match admit(app, &brand, service) {
            Ok(way) => {
                let app = app.clone();
                calls.start(1, async move {
                    let answer = send(&app, &way, &sent.target, &message).await;
                    way.gate().heed(&answer, app.clock.now());
                    vec![Told { claim, answer, not_before: None, about: About::App(sent) }]
                });
            }
            Err(barred) => calls.bar(claim, About::App(sent), barred),
        }
    }
    Ok(())
}

fn message(brand: &Brand, target: &AppTarget, untold: &[Untold]) -> Option<AppMessage> {
    let news: Vec<_> = untold.iter().map(|one| (one.pass, one.known.clone(), one.notice.clone())).collect();
    let locale = target.locale.as_deref().and_then(Locale::for_tag).unwrap_or(brand.locale);
    // What is sent again says the same under the same id; what came meanwhile has another.
    let mut changes = Sha256::new();
    for one in untold {
        changes.update(one.pass.uuid().as_bytes());
        changes.update(one.wanted_no.to_be_bytes());
    }
    let changes = hex::encode(changes.finalize().get(..8).unwrap_or_default());
    AppMessage::new(format!("{}.{changes}", target.device), &news, u32::try_from(target.coupons).unwrap_or(0), locale)
}

async fn send(app: &App, way: &Way, target: &AppTarget, message: &AppMessage) -> Answer {
    let unreachable = || Answer { outcome: Outcome::Suspect, text: "no address of this service's".to_owned() };
    match way {
        Way::Firebase(project) => {
            let fid = target.fid.clone().map(Address::Fid);
            let Some(to) = fid.or_else(|| target.token.clone().map(Address::Token)) else { return unreachable() };
            project.client.send(&to, message, app.clock.now()).await
        }
        Way::Apple(topic) => {
            let token = target.token.as_ref().filter(|token| is_apple_push_token(token.reveal()));
            let Some(token) = token else { return unreachable() };
            apns::push(app, topic, token, Push::App(message)).await
        }
    }
}

/// Removes installations that are no more.
pub async fn remove_gone(app: &App, brand: BrandId, batch: &mut [Told]) -> Result<(), Problem> {
    let now = app.clock.now();
    for told in batch {
        let About::App(sent) = &told.about else { continue };
        let gone_at = match told.answer.outcome {
            // Registered again since it is known to be dead, it is alive.
            Outcome::Gone { since } => since.unwrap_or(told.claim.changed_at),
            Outcome::Suspect if is_believed_dead(app, brand, sent, now).await? => now,
            _ => continue,
        };
        let mut tx = app.db.begin().await?;
        let AppTarget { device, customer, .. } = sent.target;
        if !installations::remove(app, &mut tx.conn(), brand, customer, device, gone_at, &told.answer.text).await? {
            // It registered again since: it is watched, not told for ever.
            told.answer.outcome = Outcome::Suspect;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Refused for a day, while others are not.
async fn is_believed_dead(app: &App, brand: BrandId, sent: &SentMessage, now: DateTime<Utc>) -> Result<bool, Problem> {
    let Some(since) = sent.target.refused_since.filter(|since| now - since >= SUSPECT_MAX) else { return Ok(false) };
    Ok(app_devices::was_told_since(&mut app.db.read().await?.conn(), brand, sent.service, since).await?)
}

/// Notes who was told of what, and whose address is refused. Those who have another address by now: what the old one was
/// answered is not theirs.
pub async fn note(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<BTreeSet<Uuid>, Problem> {
    let mut sent: Vec<(&Outcome, &SentMessage)> = Vec::new();
    for told in batch {
        if let About::App(one) = &told.about {
            sent.push((&told.answer.outcome, one));
        }
    }
    sent.sort_by_key(|(_, one)| one.target.device);
    let of =
        |wanted: fn(&Outcome) -> bool| sent.iter().filter(move |(outcome, _)| wanted(outcome)).map(|(_, one)| *one);
    let mut renewed = BTreeSet::new();
    for one in of(|outcome| *outcome == Outcome::Suspect) {
        if !app_devices::suspect(conn, brand, &one.target, now).await? {
            renewed.insert(one.target.device.uuid());
        }
    }
    let told: Vec<AppDeviceId> = of(|outcome| *outcome == Outcome::Delivered).map(|one| one.target.device).collect();
    app_devices::note_told(conn, brand, &told, now).await?;
    let known: Vec<&Untold> =
        of(|outcome| matches!(outcome, Outcome::Delivered | Outcome::Obsolete)).flat_map(|one| &one.untold).collect();
    notices::tell(conn, brand, &known, now).await?;
    Ok(renewed)
}
