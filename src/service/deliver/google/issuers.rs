//! The way to Google for each brand: its account, its pace, its gate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::clients::google_auth::Tokens;
use crate::clients::google_wallet::{AtGoogle, GoogleWallet, Page, Put, Resource, SCOPE};
use crate::config::Config;
use crate::domain::delivery::Answer;
use crate::domain::ids::BrandId;
use crate::domain::pass::PassKind;
use crate::service::deliver::accounts;
use crate::service::deliver::gate::Gate;
use crate::service::{App, Problem};
use crate::store::brands;
use crate::wallet::google::account::Account;

/// Calls a second, for each account: Google's limit is 20. (Google Wallet API, "Performance tips".)
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(15).expect("15 is not 0");

/// The ways of this process, by the brand's code.
#[derive(Default)]
pub struct Issuers(Mutex<HashMap<String, Arc<Issuer>>>);

/// A brand's way to Google.
pub struct Issuer {
    pub account: Account,
    client: GoogleWallet,
    /// One for all brands with this account.
    pace: Arc<DefaultDirectRateLimiter>,
    pub gate: Gate,
}

impl Issuer {
    /// When it is somebody's turn, at the pace that Google asks for.
    pub async fn turn(&self) {
        self.pace.until_ready().await;
    }

    /// Makes Google hold something.
    pub async fn put(
        &self,
        resource: Resource,
        id: &str,
        body: &serde_json::Value,
        at: AtGoogle,
        now: DateTime<Utc>,
    ) -> Put {
        self.client.put(resource, id, body, at, now).await
    }

    /// A page of the objects of a class.
    pub async fn list(
        &self,
        kind: PassKind,
        class: &str,
        after: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Page, Answer> {
        self.turn().await;
        self.client.list(kind, class, after, now).await
    }
}

/// Whether Google is on, and why it is off, for the operator.
pub fn state(config: &Config) -> String {
    accounts::state(config, "google", "issuer_id", Config::google_issuer, Config::google_account_file)
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
    let account = accounts::read(file)?;
    let tokens = Tokens::new(account.file(), SCOPE).map_err(|error| error.to_string())?;
    let client = GoogleWallet::new(&app.config.google.wallet_url, tokens, app.config.delivery.call_timeout())
        .map_err(|error| error.to_string())?;
    let same = issuers.values().find(|known| known.account.email() == account.email());
    let pace = same.map(|known| Arc::clone(&known.pace));
    let gate = Gate::new(format!("Google Wallet for {}", account.email()));
    let issuer = Arc::new(Issuer {
        account,
        client,
        pace: pace.unwrap_or_else(|| Arc::new(RateLimiter::direct(Quota::per_second(CALLS_PER_SECOND)))),
        gate,
    });
    issuers.insert(code.to_owned(), Arc::clone(&issuer));
    Ok(issuer)
}

pub async fn issuer_of(app: &App, brand: BrandId) -> Result<Result<Arc<Issuer>, String>, Problem> {
    let brand = brands::load(&mut app.db.read().await?.conn(), brand).await?;
    Ok(issuer(app, &brand.code))
}

/// Whether anything may be sent for the brand now.
pub async fn is_open(app: &App, brand: BrandId) -> Result<bool, Problem> {
    let now = app.clock.now();
    Ok(issuer_of(app, brand).await?.is_ok_and(|issuer| !issuer.gate.is_barred(now)))
}
