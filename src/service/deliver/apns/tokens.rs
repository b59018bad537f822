//! Provider tokens: one for all processes, and not a new one too often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::secret::Secret;
use crate::service::{App, Problem};
use crate::store::pushes;
use crate::wallet::apple::push_key::PushKey;

/// A provider token is used for so long, and at least so long before another is made: Apple refuses keys whose tokens
/// change more often than every 20 minutes, and tokens older than an hour. ("Establishing a token-based connection".)
pub const FRESH: TimeDelta = TimeDelta::minutes(50);
pub const AGE_MIN: TimeDelta = TimeDelta::minutes(20);

/// A provider token, and the time in it.
pub type Issued = (DateTime<Utc>, Secret<String>);

/// The tokens that this process uses, by the key's id.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<String, Issued>>);

/// The provider token of all processes, or a new one for all if it is older than `age_max`; and the time in it.
pub async fn provider_token(app: &App, key: &PushKey, age_max: TimeDelta) -> Result<Issued, Problem> {
    let (now, name) = (app.clock.now(), key.key_id().to_owned());
    {
        let tokens = app.pushes.tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((issued_at, token)) = tokens.get(&name).filter(|(issued_at, _)| now - issued_at < age_max) {
            return Ok((*issued_at, token.clone()));
        }
    }
    let stale_before = now - age_max;
    let (for_task, key_id) = (app.clone(), name.clone());
    // In a task of its own: the call around it may be dropped.
    let issued_at = app.run(async move |_| {
        let mut tx = for_task.db.begin().await?;
        let issued_at = pushes::issue_token(&mut tx.conn(), &key_id, stale_before, now).await?;
        tx.commit().await?;
        Ok(issued_at)
    });
    let issued_at = issued_at.await?;
    let token = key.provider_token(issued_at);
    let mut tokens = app.pushes.tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
    tokens.insert(name, (issued_at, token.clone()));
    Ok((issued_at, token))
}
