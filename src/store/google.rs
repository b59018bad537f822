//! What Google Wallet should hold and what it was sent: classes, and the objects of passes whose holders asked for them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};

use super::db::{Conn, on, push_list};
use crate::domain::ids::{BrandId, CustomerId, GoogleClassId, PassId};
use crate::domain::pass::PassKind;

/// From now on the pass has an object at Google, by this name; `false`: it had one.
pub async fn link(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    name: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        INSERT INTO google_objects (brand_id, pass_id, name, has_users, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (brand_id, pass_id) DO NOTHING";
    on!(conn, |c| {
        let done = sqlx::query(SQL).bind(brand).bind(pass).bind(name).bind(false).bind(now).execute(c).await?;
        Ok(done.rows_affected() == 1)
    })
}

/// Those of the passes that have an object at Google.
pub async fn list_linked(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<PassId>> {
    if passes.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT pass_id FROM google_objects WHERE brand_id = ");
        query.push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build_query_scalar().fetch_all(c).await
    })
}

/// A class as it should be at Google.
#[derive(Debug, Clone)]
pub struct NewClass {
    /// The id that it gets if it is new.
    pub id: GoogleClassId,
    /// Google's id.
    pub name: String,
    pub kind: PassKind,
    pub body: Vec<u8>,
    pub body_hash: Vec<u8>,
}

/// Stores a class that is new or that looks otherwise; its id. `None`: it is there, just so. A pass that is ahead of or
/// behind the others (`is_live` is false) only brings a class that is missing.
pub async fn put_class(
    conn: &mut Conn<'_>,
    brand: BrandId,
    class: &NewClass,
    is_live: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<GoogleClassId>> {
    // Looked at first: ON CONFLICT would lock the row of a class that is just so.
    const KNOWN: &str = "SELECT body_hash FROM google_classes WHERE brand_id = $1 AND name = $2";
    const SQL: &str = "
        INSERT INTO google_classes (brand_id, class_id, name, kind, body, body_hash, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (brand_id, name) DO UPDATE SET body = excluded.body, body_hash = excluded.body_hash,
            updated_at = excluded.updated_at
        RETURNING class_id";
    on!(conn, |c| {
        let known: Option<Vec<u8>> =
            sqlx::query_scalar(KNOWN).bind(brand).bind(&class.name).fetch_optional(&mut *c).await?;
        if known.is_some_and(|known| !is_live || known == class.body_hash) {
            return Ok(None);
        }
        sqlx::query_scalar(SQL)
            .bind(brand)
            .bind(class.id)
            .bind(&class.name)
            .bind(class.kind.as_str())
            .bind(class.body.as_slice())
            .bind(class.body_hash.as_slice())
            .bind(now)
            .fetch_optional(c)
            .await
    })
}

/// A class and what Google has of it.
#[derive(Debug, Clone, FromRow)]
pub struct Class {
    pub class_id: GoogleClassId,
    pub name: String,
    #[sqlx(try_from = "String")]
    pub kind: PassKind,
    pub body: Vec<u8>,
    pub body_hash: Vec<u8>,
    pub sent_hash: Option<Vec<u8>>,
}

pub async fn load_classes(conn: &mut Conn<'_>, brand: BrandId, ids: &[GoogleClassId]) -> sqlx::Result<Vec<Class>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "SELECT class_id, name, kind, body, body_hash, sent_hash FROM google_classes WHERE brand_id = ",
        );
        query.push_bind(brand).push(" AND class_id IN ");
        push_list(&mut query, ids.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

pub async fn find_class(conn: &mut Conn<'_>, brand: BrandId, name: &str) -> sqlx::Result<Option<Class>> {
    const SQL: &str = "
        SELECT class_id, name, kind, body, body_hash, sent_hash FROM google_classes WHERE brand_id = $1 AND name = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(name).fetch_optional(c).await)
}

/// Notes what Google has of a class; `None`: nothing, as it says. Our id of it.
pub async fn note_class(
    conn: &mut Conn<'_>,
    brand: BrandId,
    name: &str,
    sent_hash: Option<&[u8]>,
) -> sqlx::Result<Option<GoogleClassId>> {
    const SQL: &str = "
        UPDATE google_classes SET sent_hash = $3 WHERE brand_id = $1 AND name = $2 RETURNING class_id";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(name).bind(sent_hash).fetch_optional(c).await)
}

/// An object, and what Google has of it. About a person: no `Debug`.
#[derive(Clone, FromRow)]
pub struct Object {
    pub pass_id: PassId,
    #[sqlx(try_from = "String")]
    pub kind: PassKind,
    /// As it is published.
    pub body: Vec<u8>,
    pub body_hash: Vec<u8>,
    pub sent_hash: Option<Vec<u8>>,
}

/// The objects of those passes that have one.
pub async fn load_objects(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<Object>> {
    if passes.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new(
            "SELECT o.pass_id, t.kind, pc.google AS body, p.google_hash AS body_hash, o.sent_hash FROM google_objects o
             JOIN passes p ON p.brand_id = o.brand_id AND p.pass_id = o.pass_id
             JOIN pass_contents pc ON pc.brand_id = o.brand_id AND pc.pass_id = o.pass_id
             JOIN templates t ON t.brand_id = p.brand_id AND t.template_id = p.template_id
             WHERE o.brand_id = ",
        );
        query.push_bind(brand).push(" AND o.pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build_query_as().fetch_all(c).await
    })
}

/// Where the pass's object stands.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ObjectState {
    #[sqlx(try_from = "String")]
    pub kind: PassKind,
    /// Whether Google has it as it is published.
    pub is_current: bool,
    pub has_users: bool,
    /// When Google took it last.
    pub sent_at: Option<DateTime<Utc>>,
    /// When the holder asked for it.
    pub created_at: DateTime<Utc>,
    /// The last three changes that asked for an alert, oldest first.
    pub notified_1: Option<DateTime<Utc>>,
    pub notified_2: Option<DateTime<Utc>>,
    pub notified_3: Option<DateTime<Utc>>,
}

pub async fn find_object(conn: &mut Conn<'_>, brand: BrandId, pass: PassId) -> sqlx::Result<Option<ObjectState>> {
    const SQL: &str = "
        SELECT t.kind, COALESCE(o.sent_hash = p.google_hash, $3) AS is_current, o.has_users, o.sent_at, o.created_at,
               o.notified_1, o.notified_2, o.notified_3
        FROM google_objects o
        JOIN passes p ON p.brand_id = o.brand_id AND p.pass_id = o.pass_id
        JOIN templates t ON t.brand_id = p.brand_id AND t.template_id = p.template_id
        WHERE o.brand_id = $1 AND o.pass_id = $2";
    on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(pass).bind(false).fetch_optional(c).await)
}

/// Notes whether somebody has the object in their wallet; whose pass it is, if that is new.
pub async fn note_users(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    has_users: bool,
) -> sqlx::Result<Option<CustomerId>> {
    const SQL: &str = "
        UPDATE google_objects SET has_users = $3 WHERE brand_id = $1 AND pass_id = $2 AND has_users <> $3
        RETURNING (SELECT customer_id FROM passes WHERE brand_id = $1 AND pass_id = $2)";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(pass).bind(has_users).fetch_optional(c).await)
}

/// What an answer says of an object.
#[derive(Debug, Clone)]
pub struct SentObject {
    pub pass: PassId,
    pub hash: Vec<u8>,
}

/// Notes what Google has of objects.
pub async fn note_objects(
    conn: &mut Conn<'_>,
    brand: BrandId,
    sent: &[SentObject],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SQL: &str = "
        UPDATE google_objects SET sent_hash = $3, sent_at = $4 WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| {
        for object in sent {
            sqlx::query(SQL)
                .bind(brand)
                .bind(object.pass)
                .bind(object.hash.as_slice())
                .bind(now)
                .execute(&mut *c)
                .await?;
        }
        Ok(())
    })
}

/// Those of the passes that somebody has in Google Wallet.
pub async fn list_held(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<Vec<PassId>> {
    if passes.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT pass_id FROM google_objects WHERE has_users = ");
        query.push_bind(true).push(" AND brand_id = ").push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build_query_scalar().fetch_all(c).await
    })
}

/// Takes one of the three alerts that a pass has in the time since `window_began`; `false`: there is none left.
pub async fn spend_alert(
    conn: &mut Conn<'_>,
    brand: BrandId,
    pass: PassId,
    window_began: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    const SQL: &str = "
        UPDATE google_objects SET notified_1 = notified_2, notified_2 = notified_3, notified_3 = $4
        WHERE brand_id = $1 AND pass_id = $2 AND (notified_1 IS NULL OR notified_1 <= $3)";
    on!(conn, |c| {
        let done = sqlx::query(SQL).bind(brand).bind(pass).bind(window_began).bind(now).execute(c).await?;
        Ok(done.rows_affected() == 1)
    })
}

/// Passes of the brand after `after` whose object is not the published one and that have no row that will see to it: what
/// the sweep heals. A row that was given up rests until it was tried before `parked_before`.
pub async fn list_forgotten_objects(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: Option<PassId>,
    parked_before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<PassId>> {
    const SQL: &str = "
        SELECT o.pass_id FROM google_objects o
        JOIN passes p ON p.brand_id = o.brand_id AND p.pass_id = o.pass_id
        WHERE o.brand_id = $1 AND o.pass_id > $2 AND (o.sent_hash IS NULL OR o.sent_hash <> p.google_hash)
          AND NOT EXISTS (
              SELECT 1 FROM outbox x
              WHERE x.brand_id = $1 AND x.channel = 'google' AND x.destination_id = o.pass_id
                AND (x.state IN ('pending', 'sending') OR x.state = 'parked' AND x.tried_at > $3))
        ORDER BY o.pass_id LIMIT $4";
    let after = after.unwrap_or(PassId::FIRST);
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(after).bind(parked_before).bind(limit).fetch_all(c).await)
}

/// The same for classes.
pub async fn list_forgotten_classes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    parked_before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<GoogleClassId>> {
    const SQL: &str = "
        SELECT g.class_id FROM google_classes g
        WHERE g.brand_id = $1 AND (g.sent_hash IS NULL OR g.sent_hash <> g.body_hash)
          AND NOT EXISTS (
              SELECT 1 FROM outbox x
              WHERE x.brand_id = $1 AND x.channel = 'google_class' AND x.destination_id = g.class_id
                AND (x.state IN ('pending', 'sending') OR x.state = 'parked' AND x.tried_at > $2))
        ORDER BY g.class_id LIMIT $3";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(parked_before).bind(limit).fetch_all(c).await)
}

/// The classes after a name, in order.
pub async fn list_classes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<(String, PassKind)>> {
    const SQL: &str = "SELECT name, kind FROM google_classes WHERE brand_id = $1 AND name > $2 ORDER BY name LIMIT $3";
    let rows: Vec<(String, String)> =
        on!(conn, |c| sqlx::query_as(SQL).bind(brand).bind(after).bind(limit).fetch_all(c).await)?;
    let row = |(name, kind): (String, String)| {
        let kind = PassKind::try_from(kind).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((name, kind))
    };
    rows.into_iter().map(row).collect()
}

/// The passes behind objects, by Google's names for them.
pub async fn find_by_names(
    conn: &mut Conn<'_>,
    brand: BrandId,
    names: &[String],
) -> sqlx::Result<Vec<(String, PassId)>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("SELECT name, pass_id FROM google_objects WHERE brand_id = ");
        query.push_bind(brand).push(" AND name IN ");
        push_list(&mut query, names.iter().map(String::as_str));
        query.build_query_as().fetch_all(c).await
    })
}

/// What Google's list says of an object.
#[derive(Debug, Clone)]
pub struct Listed {
    pub pass: PassId,
    /// Whether it is not the one that we sent.
    pub is_other: bool,
}

/// Notes what Google lists. With `mends`, what is not as it was sent is sent again.
pub async fn note_listed(
    conn: &mut Conn<'_>,
    brand: BrandId,
    listed: &[Listed],
    mends: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    const SEEN: &str = "
        UPDATE google_objects SET seen_at = $3 WHERE brand_id = $1 AND pass_id = $2";
    // No hash is so short: it is there, and not what we think.
    const OTHER: &str = "UPDATE google_objects SET sent_hash = $3 WHERE brand_id = $1 AND pass_id = $2";
    on!(conn, |c| {
        for object in listed {
            let seen = sqlx::query(SEEN).bind(brand).bind(object.pass).bind(now);
            seen.execute(&mut *c).await?;
            if mends && object.is_other {
                let other = sqlx::query(OTHER).bind(brand).bind(object.pass).bind([0_u8].as_slice());
                other.execute(&mut *c).await?;
            }
        }
        Ok(())
    })
}

/// Objects of passes that are good and that Google was sent before `since` and has not listed since then, after a pass.
/// (One whose pass is over is not made again.)
pub async fn list_missing(
    conn: &mut Conn<'_>,
    brand: BrandId,
    since: DateTime<Utc>,
    after: PassId,
    limit: i64,
) -> sqlx::Result<Vec<PassId>> {
    const SQL: &str = "
        SELECT o.pass_id FROM google_objects o
        JOIN passes p ON p.brand_id = o.brand_id AND p.pass_id = o.pass_id
        WHERE o.brand_id = $1 AND o.pass_id > $3 AND p.status = 'active' AND o.sent_hash IS NOT NULL AND o.sent_at < $2
          AND (o.seen_at IS NULL OR o.seen_at < $2)
        ORDER BY o.pass_id LIMIT $4";
    on!(conn, |c| sqlx::query_scalar(SQL).bind(brand).bind(since).bind(after).bind(limit).fetch_all(c).await)
}

/// Google has nothing of these.
pub async fn note_missing(conn: &mut Conn<'_>, brand: BrandId, passes: &[PassId]) -> sqlx::Result<()> {
    if passes.is_empty() {
        return Ok(());
    }
    on!(conn, |c| {
        let mut query = QueryBuilder::new("UPDATE google_objects SET sent_hash = NULL WHERE brand_id = ");
        query.push_bind(brand).push(" AND pass_id IN ");
        push_list(&mut query, passes.iter().copied());
        query.build().execute(c).await.map(|_| ())
    })
}
