//! The brand's own app on a customer's phone: the brand's server asks for a token, and with it the phone registers itself.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::delivery::is_apple_push_token;
use crate::domain::ids::{AppDeviceId, BrandId, CustomerId};
use crate::domain::locale::Locale;
use crate::domain::notice::{AppPlatform, AppService};
use crate::domain::secret::Secret;
use crate::service::brands::find_by_code;
use crate::service::customers::{self, Named, Selector};
use crate::service::notices::channel;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::app_devices::{self, AppDevice, NewAppDevice};
use crate::store::brands::Brand;
use crate::store::{Conn, outbox};

/// How long a phone may act with a token.
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(1);

/// Installations of one customer at most; those that registered longest ago give way.
const DEVICES_MAX: i64 = 10;

/// Characters of a Firebase token or installation id at most.
const ADDRESS_MAX: usize = 1_024;

/// A customer whose phone it is.
#[derive(Debug, Clone)]
pub struct Holder {
    pub brand: Brand,
    pub customer: CustomerId,
}

/// A token for one customer's phone.
#[derive(Debug, Clone)]
pub struct Issued {
    pub customer: CustomerId,
    pub token: Secret<String>,
    pub expires_at: DateTime<Utc>,
}

/// Makes a token for the phone of a customer who is known.
pub async fn issue_token(app: &App, brand: &Brand, customer: &Selector) -> Result<Issued, Problem> {
    let mut tx = app.db.begin().await?;
    let Named::Known(customer) = customers::find(app, &mut tx.conn(), brand.id, customer).await? else {
        return Err(Problem::NotFound { what: "customer" });
    };
    drop(tx);
    let until = (app.clock.now() + TOKEN_LIFE).timestamp();
    let seconds = u32::try_from(until).map_err(Problem::internal)?;
    let token = app.master_key.customer_token(brand.id, customer, seconds);
    let expires_at = DateTime::from_timestamp(until, 0).ok_or_else(|| Problem::internal("a time out of range"))?;
    Ok(Issued { customer, token: Secret::new(format!("pct_{}_{token}", brand.code)), expires_at })
}

/// Whose token this is. Wrong shape, unknown brand, forged, too old: all the same to the caller.
pub async fn authenticate(app: &App, token: &Secret<String>) -> Result<Holder, Problem> {
    let mut parts = token.reveal().splitn(3, '_');
    let (Some("pct"), Some(code), Some(token)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Problem::KeyUnknown);
    };
    let brand = find_by_code(app, code).await?.ok_or(Problem::KeyUnknown)?;
    let (customer, until) = app.master_key.read_customer_token(brand.id, token).ok_or(Problem::KeyUnknown)?;
    if i64::from(until) <= app.clock.now().timestamp() {
        return Err(Problem::KeyUnknown);
    }
    Ok(Holder { brand, customer })
}

/// How an installation is reached, as it says itself.
#[derive(Debug, Clone)]
pub struct Registration {
    pub service: AppService,
    pub platform: AppPlatform,
    pub fid: Option<Secret<String>>,
    pub token: Option<Secret<String>>,
    pub locale: Option<String>,
}

/// Registers the installation, or what is new of it; whether it is new.
pub async fn register(app: &App, holder: &Holder, wanted: &Registration) -> Result<(AppDevice, bool), Problem> {
    let (brand, customer, now) = (holder.brand.id, holder.customer, app.clock.now());
    let new = check(app, holder, wanted)?;
    let mut tx = app.db.begin().await?;
    if crate::store::customers::find(&mut tx.conn(), brand, customer).await?.is_none() {
        return Err(Problem::KeyUnknown);
    }
    let new_id = AppDeviceId::new(app.clock.new_id());
    let registered = app_devices::register(&mut tx.conn(), brand, new_id, &new, now).await?;
    for surplus in app_devices::list_surplus(&mut tx.conn(), brand, customer, DEVICES_MAX).await? {
        remove(app, &mut tx.conn(), brand, customer, surplus, now, "there are newer ones").await?;
    }
    // What waits because the old address was refused waits no longer. With the same address, at every start of the app, it
    // goes on waiting.
    if registered.is_renewed {
        outbox::retry(&mut tx.conn(), brand, channel(wanted.service), registered.id.uuid(), now).await?;
    }
    if let Some(before) = registered.was_of {
        let reason = "another customer uses it";
        record(app, &mut tx.conn(), brand, "app_device.removed", before, registered.id, Some(reason)).await?;
    }
    if registered.is_new || registered.was_of.is_some() {
        record(app, &mut tx.conn(), brand, "app_device.added", customer, registered.id, None).await?;
    }
    let device = app_devices::find(&mut tx.conn(), brand, registered.id).await?;
    let device = device.ok_or_else(|| Problem::internal("an installation that was just stored"))?;
    tx.commit().await?;
    app.wake_dispatchers();
    Ok((device, registered.is_new))
}

fn check(app: &App, holder: &Holder, wanted: &Registration) -> Result<NewAppDevice, Problem> {
    let code = &holder.brand.code;
    let is_on = match wanted.service {
        AppService::Fcm => app.config.fcm_project(code).is_some(),
        AppService::Apns => app.config.app_id(code).is_some(),
    };
    if !is_on {
        return Err(Problem::invalid("/service", format!("{} is not set up for this brand", wanted.service)));
    }
    for (pointer, address) in [("/fid", &wanted.fid), ("/token", &wanted.token)] {
        let is_good = address.as_ref().is_none_or(|address| {
            let text = address.reveal();
            (1..=ADDRESS_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
        });
        if !is_good {
            let detail = format!("must be 1 to {ADDRESS_MAX} printable ASCII characters");
            return Err(Problem::invalid(pointer, detail));
        }
    }
    if wanted.service == AppService::Apns {
        if wanted.platform != AppPlatform::Ios || wanted.fid.is_some() {
            return Err(Problem::invalid("/platform", "apns reaches ios, by its token alone"));
        }
        if !wanted.token.as_ref().is_some_and(|token| is_apple_push_token(token.reveal())) {
            return Err(Problem::invalid("/token", "must be the device token in hexadecimal"));
        }
    }
    let address = wanted.fid.as_ref().or(wanted.token.as_ref());
    let address = address.ok_or_else(|| Problem::invalid("/token", "a fid or a token is needed"))?;
    Ok(NewAppDevice {
        customer: holder.customer,
        service: wanted.service,
        platform: wanted.platform,
        address_hash: Sha256::digest(address.reveal()).to_vec(),
        fid: wanted.fid.clone(),
        token: wanted.token.clone(),
        // A language that we do not speak is no mistake of the phone's.
        locale: wanted.locale.as_deref().and_then(Locale::for_tag),
    })
}

/// Takes the customer's own installation back; another's, or one that is gone, is not found.
pub async fn unregister(app: &App, holder: &Holder, device: AppDeviceId) -> Result<(), Problem> {
    let (brand, now) = (holder.brand.id, app.clock.now());
    let mut tx = app.db.begin().await?;
    let known = app_devices::find(&mut tx.conn(), brand, device).await?;
    if known.is_none_or(|known| known.customer != holder.customer) {
        return Err(Problem::NotFound { what: "app device" });
    }
    remove(app, &mut tx.conn(), brand, holder.customer, device, now, "the app asked for it").await?;
    tx.commit().await?;
    Ok(())
}

/// Removes an installation, unless it registered again after `gone_at`; whether it was there.
pub(super) async fn remove(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    customer: CustomerId,
    device: AppDeviceId,
    gone_at: DateTime<Utc>,
    reason: &str,
) -> Result<bool, Problem> {
    let is_removed = app_devices::remove(conn, brand, device, gone_at).await?;
    if is_removed {
        record(app, conn, brand, "app_device.removed", customer, device, Some(reason)).await?;
    }
    Ok(is_removed)
}

async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    customer: CustomerId,
    device: AppDeviceId,
    reason: Option<&str>,
) -> Result<(), Problem> {
    let about = About { customer: Some(customer), pass: None, subject: device.uuid() };
    let mut data = json!({ "app_device_id": device });
    if let Some((object, reason)) = data.as_object_mut().zip(reason) {
        object.insert("reason".to_owned(), json!(reason));
    }
    timeline::record(app, conn, brand, kind, about, data).await
}

/// Installations, of one customer if it is given.
pub async fn list(
    app: &App,
    brand: BrandId,
    customer: Option<CustomerId>,
    after: Option<AppDeviceId>,
    limit: i64,
) -> Result<Vec<AppDevice>, Problem> {
    Ok(app_devices::list(&mut app.db.read().await?.conn(), brand, customer, after, limit).await?)
}
