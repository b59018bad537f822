//! What people agree to, and take back: the newest decision holds, and each that changed what holds is on the timeline for ever.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::domain::consent::{Channel, ConsentState, is_purpose};
use crate::domain::ids::{BrandId, CustomerId};
use crate::domain::text;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::consents::{self, Consent};
use crate::store::customers;

/// A decision as it is told.
#[derive(Debug, Clone)]
pub struct Decision {
    pub purpose: String,
    pub channel: Channel,
    pub state: ConsentState,
    pub notice_version: String,
    pub source: String,
    /// Now, if absent.
    pub decided_at: Option<DateTime<Utc>>,
}

/// How far a caller's clock may be ahead.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(5);

/// Decisions of one customer that hold at the same time, at most.
const CONSENTS_MAX: usize = 200;

/// Keeps a decision, unless a newer one for the same purpose and channel is known; what holds afterwards.
pub async fn decide(
    app: &App,
    brand: BrandId,
    customer: CustomerId,
    decision: Decision,
) -> Result<Vec<Consent>, Problem> {
    if !is_purpose(&decision.purpose) {
        return Err(Problem::invalid("/purpose", "must be 1 to 32 small letters, digits and _"));
    }
    let now = app.clock.now();
    let decided_at = decision.decided_at.unwrap_or(now);
    if decided_at > now + AHEAD_MAX {
        return Err(Problem::invalid("/decided_at", "must not be in the future"));
    }
    let consent = Consent {
        purpose: decision.purpose,
        channel: decision.channel,
        state: decision.state,
        notice_version: text::line(&decision.notice_version, 64).map_err(Problem::text("/notice_version"))?,
        source: text::line(&decision.source, 64).map_err(Problem::text("/source"))?,
        decided_at,
        created_at: now,
    };
    let mut tx = app.db.begin().await?;
    // Held, so that nobody else adds one meanwhile.
    let found = customers::find_for_update(&mut tx.conn(), brand, customer).await?;
    found.ok_or(Problem::NotFound { what: "customer" })?;
    let is_new = consents::decide(&mut tx.conn(), brand, customer, &consent).await?;
    let known = consents::list(&mut tx.conn(), brand, customer).await?;
    if known.len() > CONSENTS_MAX {
        return Err(Problem::invalid("/purpose", format!("a customer has at most {CONSENTS_MAX} decisions")));
    }
    if is_new {
        let kind = match consent.state {
            ConsentState::Granted => "consent.granted",
            ConsentState::Withdrawn => "consent.withdrawn",
        };
        let about = About { customer: Some(customer), pass: None, subject: customer.uuid() };
        let data = json!({
            "customer_id": customer, "purpose": consent.purpose, "channel": consent.channel,
            "notice_version": consent.notice_version, "source": consent.source, "decided_at": consent.decided_at,
        });
        timeline::record(app, &mut tx.conn(), brand, kind, about, data).await?;
        tx.commit().await?;
    }
    Ok(known)
}

pub async fn list(app: &App, brand: BrandId, customer: CustomerId) -> Result<Vec<Consent>, Problem> {
    let mut reader = app.db.read().await?;
    customers::find(&mut reader.conn(), brand, customer).await?.ok_or(Problem::NotFound { what: "customer" })?;
    Ok(consents::list(&mut reader.conn(), brand, customer).await?)
}
