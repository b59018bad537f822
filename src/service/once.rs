//! `Idempotency-Key`: a request that is repeated has one effect and one answer.

use crate::domain::ids::BrandId;
use crate::service::Problem;
use crate::store::{Conn, idempotency};

/// A request that must not happen twice.
#[derive(Debug, Clone)]
pub struct Once {
    /// Who repeats: the store, terminal or user behind a credential, not the credential, so that a rotated key doubles
    /// nothing.
    pub scope: String,
    /// The caller's key: 1 to 255 printable characters.
    pub key: String,
    /// SHA-256 over method, route and body.
    pub fingerprint: [u8; 32],
}

/// An answer as it is sent, and kept for a repetition.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether this is the first answer again.
    pub is_replayed: bool,
}

/// Takes the key in this transaction. `Some`: it was used before, and this was the answer.
pub async fn begin(
    conn: &mut Conn<'_>,
    brand: BrandId,
    once: Option<&Once>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Option<Reply>, Problem> {
    let Some(once) = once else { return Ok(None) };
    let taken = idempotency::take(conn, brand, &once.scope, &once.key, &once.fingerprint, now).await;
    match taken.map_err(Problem::from) {
        Ok(true) => return Ok(None),
        Ok(false) => {}
        // The lock time-out: whoever has the key is still at work.
        Err(Problem::Busy) => return Err(Problem::InFlight),
        Err(problem) => return Err(problem),
    }
    let kept = idempotency::find(conn, brand, &once.scope, &once.key).await?.ok_or(Problem::InFlight)?;
    if kept.fingerprint != once.fingerprint {
        return Err(Problem::IdempotencyKeyReused);
    }
    let status = u16::try_from(kept.status).map_err(Problem::internal)?;
    Ok(Some(Reply { status, body: kept.body, is_replayed: true }))
}

/// Keeps the answer, to be committed with the effect, and gives it back to be sent.
pub async fn end(
    conn: &mut Conn<'_>,
    brand: BrandId,
    once: Option<&Once>,
    status: u16,
    body: Vec<u8>,
) -> Result<Reply, Problem> {
    if let Some(once) = once {
        idempotency::keep(conn, brand, &once.scope, &once.key, status, "application/json", &body).await?;
    }
    Ok(Reply { status, body, is_replayed: false })
}
