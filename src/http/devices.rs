//! `/api/v1/passes/{id}/devices`: who holds a pass, what each was told, came for and has.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::ids::{AppDeviceId, DeviceId};
use crate::domain::notice::AppService;
use crate::domain::silence::{self, AppFacts, Facts, ObjectFacts, RowFacts};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Marketing, Reader};
use crate::http::deliveries::{DeliveryView, view};
use crate::http::extract::id;
use crate::service::read_pass::{self, Held};
use crate::service::{App, Problem};
use crate::store::devices::Holder;
use crate::store::google::ObjectState;
use crate::store::logs::Message;
use crate::store::notices::Told;
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

/// The pass's object at Google Wallet.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ObjectView {
    /// When the holder asked for it.
    created_at: DateTime<Utc>,
    /// Whether somebody has it in their wallet, as Google last said.
    has_users: bool,
    /// Whether Google has the newest content.
    is_current: bool,
    /// When Google last took it.
    sent_at: Option<DateTime<Utc>>,
    /// When the last changes asked Google for an alert, at most three: it shows three within 24 hours.
    alerts: Vec<DateTime<Utc>>,
    /// Why its holder sees no alert of the last change.
    #[schema(example = "Google has it, and nobody has it in their wallet")]
    why_no_alert: String,
    /// Where telling Google stands.
    delivery: Option<DeliveryView>,
    /// Milliseconds from the last change to its publication, and from there to Google's acceptance.
    millis: Millis,
}

/// An installation of the brand's own app.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AppView {
    #[schema(value_type = String, example = "apd_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: AppDeviceId,
    #[schema(value_type = String, example = "fcm")]
    service: AppService,
    /// Whether a message of the newest content was taken.
    is_told: bool,
    told_at: Option<DateTime<Utc>>,
    /// Since when its address is refused.
    refused_since: Option<DateTime<Utc>>,
    /// Why its holder sees no text of the last change.
    why_no_alert: String,
    delivery: Option<DeliveryView>,
    /// Milliseconds from the last change to its publication, and from there to acceptance.
    millis: Millis,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Devices {
    /// Phones and watches with the pass in Apple Wallet, or in another that speaks its protocol.
    data: Vec<DeviceView>,
    /// Google Wallet; null until the holder asks for the pass there.
    google: Option<ObjectView>,
    /// The brand's own app, where its customer has it and it had something to be told.
    apps: Vec<AppView>,
    /// Messages that name this pass and no device that holds it, newest first.
    log: Vec<DeviceMessage>,
}

/// List who holds a pass
///
/// Phones, Google Wallet and the brand's own app: what each was told when and with what answer, which version it has, and why
/// there was no alert.
#[utoipa::path(get, path = "/api/v1/passes/{id}/devices", tag = "passes", params(("id" = String, Path, example = "pas_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")),
    responses((status = 200, description = "Who holds it, and what they complained of", body = Devices)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Marketing, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, pass) = (allow.caller.brand.id, id(&path, "pass")?);
    let held = app.run(async move |app| read_pass::list_devices(&app, brand, pass).await).await?;
    let data = held.holders.iter().map(|(holder, row)| device(&held, holder, row.as_ref())).collect();
    let google = held.object.as_ref().map(|(object, row)| google(&held, object, row.as_ref()));
    let apps = held.apps.iter().map(|(told, row)| app_view(&held, told, row.as_ref())).collect();
    Ok(HttpResponse::Ok().json(Devices { data, google, apps, log: named(&held.messages, None) }))
}

/// The way of the last change to somebody who took it, and maybe came for it.
fn millis(held: &Held, told: Option<DateTime<Utc>>, fetched: Option<DateTime<Utc>>) -> Millis {
    // Of the newest content, not of one before.
    let published = held.published_at.filter(|published| *published >= held.pass.updated_at);
    let between = |from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| {
        from.zip(to).map(|(from, to)| (to - from).num_milliseconds()).filter(|millis| *millis >= 0)
    };
    let told = told.filter(|told| published.is_some_and(|published| *told >= published));
    Millis {
        to_publish: between(Some(held.pass.updated_at), published),
        to_accept: between(published, told),
        to_fetch: between(told, fetched),
    }
}

fn facts(row: &Delivery) -> RowFacts {
    (row.state, row.due_at, row.answer.clone())
}

fn google(held: &Held, object: &ObjectState, row: Option<&Delivery>) -> ObjectView {
    let why = silence::why_at_google(&ObjectFacts {
        kind: object.kind,
        is_waiting: held.is_waiting(),
        is_current: object.is_current,
        has_users: object.has_users,
        row: row.map(facts),
    });
    let alerts = [object.notified_1, object.notified_2, object.notified_3];
    ObjectView {
        created_at: object.created_at,
        has_users: object.has_users,
        is_current: object.is_current,
        sent_at: object.sent_at,
        alerts: alerts.into_iter().flatten().collect(),
        why_no_alert: why,
        delivery: row.map(view),
        millis: millis(held, object.sent_at.filter(|_| object.is_current), None),
    }
}

fn app_view(held: &Held, told: &Told, row: Option<&Delivery>) -> AppView {
    let why = silence::why_in_app(&AppFacts {
        is_waiting: held.is_waiting(),
        refused_since: told.refused_since,
        is_told: told.is_told,
        told_at: told.told_at,
        row: row.map(facts),
    });
    AppView {
        id: told.device,
        service: told.service,
        is_told: told.is_told,
        told_at: told.told_at,
        refused_since: told.refused_since,
        why_no_alert: why,
        delivery: row.map(view),
        millis: millis(held, told.told_at.filter(|_| told.is_told), None),
    }
}

fn device(held: &Held, holder: &Holder, row: Option<&Delivery>) -> DeviceView {
    let facts = Facts {
        is_apples: holder.scheme == "ApplePass",
        is_waiting: held.is_waiting(),
        has_changed: holder.has_changed,
        refused_since: holder.refused_since,
        row: row.map(facts),
        is_told: holder.is_told,
        told_at: holder.told_at,
        asked_at: holder.asked_at,
        is_current: holder.is_current,
        fetched_at: holder.fetched_at,
    };
    let fetched = holder.fetched_at.filter(|_| holder.is_current);
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
        millis: millis(held, holder.told_at.filter(|_| holder.is_told), fetched),
        log: named(&held.messages, Some(holder.device_id)),
    }
}

fn named(messages: &[Message], device: Option<DeviceId>) -> Vec<DeviceMessage> {
    let of = messages.iter().filter(|message| message.device_id == device);
    of.map(|message| DeviceMessage { message: message.message.reveal().clone(), received_at: message.received_at })
        .collect()
}
