//! What people with a key did by hand.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::db::{Conn, on};
use crate::domain::ids::{AuditId, BrandId, KeyId};
use crate::domain::secret::Personal;

/// An entry of the audit log. `data` holds ids and numbers.
#[derive(Debug, Clone)]
pub struct Audited {
    pub id: AuditId,
    pub key: KeyId,
    pub action: &'static str,
    pub subject: Uuid,
    pub reason: Option<Personal<String>>,
    pub data: Value,
    pub created_at: DateTime<Utc>,
}

pub async fn insert(conn: &mut Conn<'_>, brand: BrandId, audited: &Audited) -> sqlx::Result<()> {
    const SQL: &str = "
        INSERT INTO audit (brand_id, audit_id, key_id, action, subject_id, reason, data, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    on!(conn, |c| sqlx::query(SQL)
        .bind(brand)
        .bind(audited.id)
        .bind(audited.key)
        .bind(audited.action)
        .bind(audited.subject)
        .bind(audited.reason.as_ref().map(Personal::reveal))
        .bind(Json(&audited.data))
        .bind(audited.created_at)
        .execute(c)
        .await
        .map(|_| ()))
}
