//! What answers of Apple mean for registrations: told, suspected, believed dead.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::Target;
use crate::domain::delivery::Outcome;
use crate::domain::ids::{BrandId, DeviceId};
use crate::service::deliver::calls::{About, Told};
use crate::service::{App, Problem, timeline};
use crate::store::{Conn, pushes};

/// A token that is refused is believed dead after this time, if others of its topic were accepted meanwhile.
const SUSPECT_MAX: TimeDelta = TimeDelta::hours(24);

/// How precisely it is known when a topic's last push was accepted.
const ACCEPTED_STEP: TimeDelta = TimeDelta::minutes(1);

/// Removes the devices of tokens that are dead.
pub async fn remove_gone(app: &App, brand: BrandId, batch: &mut [Told]) -> Result<(), Problem> {
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
        for (pass, customer) in held.into_iter().flatten() {
            let about = timeline::About { customer: Some(customer), pass: Some(pass), subject: pass.uuid() };
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
pub async fn note(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<BTreeSet<Uuid>, Problem> {
    let of = |is_meant: fn(&Told, &Target) -> bool| {
        let targets = batch.iter().filter_map(|told| match &told.about {
            About::Device(target) => Some((told, target)),
            About::Nobody | About::Object(_) | About::Class(_) | About::App(_) => None,
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
pub async fn note_accepted(
    conn: &mut Conn<'_>,
    brand: BrandId,
    batch: &[Told],
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let told = batch.iter().filter(|told| told.answer.outcome == Outcome::Delivered);
    let topic = |told: &'_ Told| match &told.about {
        About::Device(target) => Some(target.pass_type.clone()),
        About::Nobody | About::Object(_) | About::Class(_) | About::App(_) => None,
    };
    let topics: BTreeSet<String> = told.filter_map(topic).collect();
    for topic in topics {
        pushes::accept(conn, brand, &topic, now - ACCEPTED_STEP, now).await?;
    }
    Ok(())
}
