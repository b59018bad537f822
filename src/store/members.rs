//! Memberships: which customer belongs to which program.

use chrono::{DateTime, Utc};

use super::db::{Conn, on};
use crate::domain::ids::{BrandId, CustomerId, MemberId, ProgramId};

/// The customer's membership of the program and since when; made with `new_id` if there is none.
pub async fn ensure(
    conn: &mut Conn<'_>,
    brand: BrandId,
    program: ProgramId,
    customer: CustomerId,
    new_id: MemberId,
    now: DateTime<Utc>,
) -> sqlx::Result<(MemberId, DateTime<Utc>)> {
    // DO UPDATE, so that RETURNING answers for a row that was there too.
    const SQL: &str = "
        INSERT INTO members (brand_id, member_id, program_id, customer_id, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (brand_id, program_id, customer_id) DO UPDATE SET created_at = members.created_at
        RETURNING member_id, created_at";
    on!(conn, |c| sqlx::query_as(SQL)
        .bind(brand)
        .bind(new_id)
        .bind(program)
        .bind(customer)
        .bind(now)
        .fetch_one(c)
        .await)
}
