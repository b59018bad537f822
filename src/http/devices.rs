//! `/api/v1/passes/{id}/devices`: who holds a pass, what each was told, came for and has.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::ids::DeviceId;
use crate::domain::silence::{self, Facts};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::deliveries::{DeliveryView, view};
use crate::http::extract::id;
use crate::service::read_pass::{self, Held};
use crate::service::{App, Problem};
use crate::store::devices::Holder;
use crate::store::logs::Message;
use crate::store::outbox::Delivery;

/// A device that holds a pass.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeviceView {
    #[schema(value_type = String, example = "dev_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: DeviceId,
    /// `ApplePass`, or the scheme of another wallet that speaks Apple's protocol.
    scheme: String,
    registered_at: DateTime<Utc>,
    push_token_updated_at: DateTime<Utc>,
    /// Since when Apple refuses its push token.
    push_token_refused_since: Option<DateTime<Utc>>,
    /// Whether it was told of the newest content.
    is_told: bool,
    /// When Apple last took a push that told of something new.
    told_at: Option<DateTime<Utc>>,
    /// When it last asked what changed.
    asked_at: Option<DateTime<Utc>>,
    /// Whether it has the newest content.
    is_current: bool,
    /// When it came for what it has. A fetch does not say whose it is: where several devices hold the pass, it is taken for
    /// that of the one that asked last.
    fetched_at: Option<DateTime<Utc>>,
    /// Why its holder sees no alert of the last change.
    #[schema(example = "it is told from 2026-11-22T12:00:00Z on (503 ServiceUnavailable)")]
    why_no_alert: String,
    /// Where telling it stands.
    delivery: Option<DeliveryView>,
    /// Milliseconds from the last change to its publication, from there to Apple's acceptance, and on to the fetch; as far
    /// as it came.
    millis: Millis,
    /// Messages that name this device, newest first.
    log: Vec<DeviceMessage>,
}

/// How long the last change took.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Millis {
    to_publish: Option<i64>,
    to_accept: Option<i64>,
    to_fetch: Option<i64>,
}

/// What a device complained of.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeviceMessage {
    #[schema(example = "Register task (for device 4f2a…, pass type pass.com.example.card, …) encountered error: …")]
    message: String,
    received_at: DateTime<Utc>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Devices {
    data: Vec<DeviceView>,
    /// Messages that name this pass and no device that holds it, newest first.
    log: Vec<DeviceMessage>,
}

/// List the devices that hold a pass
///
/// What each was told when and with what answer, which version it came for, and why there was no alert.
#[utoipa::path(get, path = "/api/v1/passes/{id}/devices", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "Devices, and what they complained of", body = Devices)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, pass) = (allow.caller.brand.id, id(&path, "pass")?);
    let held = app.run(async move |app| read_pass::list_devices(&app, brand, pass).await).await?;
    let data = held.holders.iter().map(|(holder, row)| device(&held, holder, row.as_ref())).collect();
    Ok(HttpResponse::Ok().json(Devices { data, log: named(&held.messages, None) }))
}

fn device(held: &Held, holder: &Holder, row: Option<&Delivery>) -> DeviceView {
    let facts = Facts {
        is_apples: holder.scheme == "ApplePass",
        is_waiting: held.pass.published_no < held.pass.change_no,
        has_changed: holder.has_changed,
        refused_since: holder.refused_since,
        row: row.map(|row| (row.state, row.due_at, row.answer.clone())),
        is_told: holder.is_told,
        told_at: holder.told_at,
        asked_at: holder.asked_at,
        is_current: holder.is_current,
        fetched_at: holder.fetched_at,
    };
    // Of the newest content, not of one before.
    let published = held.published_at.filter(|published| *published >= held.pass.updated_at);
    let told = holder.told_at.filter(|told| holder.is_told && published.is_some_and(|published| *told >= published));
    let fetched = holder.fetched_at.filter(|_| holder.is_current);
    let between = |from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| {
        from.zip(to).map(|(from, to)| (to - from).num_milliseconds()).filter(|millis| *millis >= 0)
    };
    DeviceView {
        id: holder.device_id,
        scheme: holder.scheme.clone(),
        registered_at: holder.registered_at,
        push_token_updated_at: holder.token_updated_at,
        push_token_refused_since: holder.refused_since,
        is_told: holder.is_told,
        told_at: holder.told_at,
        asked_at: holder.asked_at,
        is_current: holder.is_current,
        fetched_at: holder.fetched_at,
        why_no_alert: silence::why(&facts),
        delivery: row.map(view),
        millis: Millis {
            to_publish: between(Some(held.pass.updated_at), published),
            to_accept: between(published, told),
            to_fetch: between(told, fetched),
        },
        log: named(&held.messages, Some(holder.device_id)),
    }
}

fn named(messages: &[Message], device: Option<DeviceId>) -> Vec<DeviceMessage> {
    let of = messages.iter().filter(|message| message.device_id == device);
    of.map(|message| DeviceMessage { message: message.message.reveal().clone(), received_at: message.received_at })
        .collect()
}
