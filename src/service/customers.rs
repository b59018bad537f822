//! Customers: found by whatever they are known by, created once, changed with care.

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, CustomerId};
use crate::domain::locale::Locale;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::service::once::{self, Once, Reply};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::customers::{self, Customer, Identifier};
use crate::store::{Conn, passes};

/// What a request says about a customer. In a change, an outer `None` leaves a value and an inner `None` removes it.
#[derive(Debug, Clone, Default)]
pub struct Details {
    pub name: Option<Option<Personal<String>>>,
    pub locale: Option<Option<Locale>>,
    pub time_zone: Option<Option<String>>,
    /// Merged into what is there; null removes.
    pub attributes: Option<Personal<Map<String, Value>>>,
}

/// What a customer is looked up by: their id, or any identifiers, which must all mean the same customer.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    pub id: Option<CustomerId>,
    pub identifiers: Vec<(IdentifierKind, Personal<String>)>,
}

impl Selector {
    /// Normalises the identifiers and computes what they are looked up by.
    pub fn resolve(&self, app: &App, brand: BrandId) -> Result<Vec<Identifier>, Problem> {
        let resolved = self.identifiers.iter().map(|(kind, value)| {
            let refused = |error| Problem::invalid(format!("/customer/{kind}"), format!("{kind} {error}"));
            let normal = kind.normalise(value.reveal()).map_err(refused)?;
            let lookup = app.master_key.identifier_lookup(brand, kind.as_str(), &normal);
            Ok(Identifier { kind: kind.clone(), value: Personal::new(normal), lookup })
        });
        resolved.collect()
    }
}

/// Bytes of a customer's attributes at most, as JSON.
const ATTRIBUTES_MAX: usize = 16 * 1024;

/// The one customer that all identifiers mean; `None` when nobody is known by any of them.
pub async fn find(
    conn: &mut Conn<'_>,
    brand: BrandId,
    id: Option<CustomerId>,
    identifiers: &[Identifier],
) -> Result<Option<CustomerId>, Problem> {
    if let Some(id) = id {
        let known = customers::find(conn, brand, id).await?.ok_or(Problem::NotFound { what: "customer" })?;
        return Ok(Some(known.id));
    }
    let mut found: Option<CustomerId> = None;
    for identifier in identifiers {
        for customer in customers::find_by_identifier(conn, brand, &identifier.kind, &identifier.lookup, 2).await? {
            if found.is_some_and(|other| other != customer) {
                return Err(Problem::AmbiguousCustomer);
            }
            found = Some(customer);
        }
    }
    Ok(found)
}

/// Creates a customer. Known by one of the identifiers already: 409.
pub async fn create(
    app: &App,
    brand: BrandId,
    details: &Details,
    selector: &Selector,
    once: Option<&Once>,
    body: fn(&Customer) -> Vec<u8>,
) -> Result<Reply, Problem> {
    let identifiers = selector.resolve(app, brand)?;
    let mut tx = app.db.begin().await?;
    if let Some(reply) = once::begin(&mut tx.conn(), brand, once, app.clock.now()).await? {
        return Ok(reply);
    }
    let customer = insert(app, &mut tx.conn(), brand, details, &identifiers).await?;
    let reply = once::end(&mut tx.conn(), brand, once, 201, body(&customer)).await?;
    tx.commit().await?;
    Ok(reply)
}

/// Stores a new customer inside the caller's transaction.
pub async fn insert(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    details: &Details,
    identifiers: &[Identifier],
) -> Result<Customer, Problem> {
    let now = app.clock.now();
    let mut customer = Customer {
        id: CustomerId::new(app.clock.new_id()),
        name: None,
        locale: None,
        time_zone: None,
        attributes: Personal::new(Map::new()),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    apply(&mut customer, details)?;
    customers::insert(conn, brand, &customer).await?;
    for identifier in identifiers {
        if !customers::insert_identifier(conn, brand, customer.id, identifier, now).await? {
            return Err(Problem::IdentifierTaken { kind: identifier.kind.to_string() });
        }
    }
    record(app, conn, brand, "customer.created", customer.id).await?;
    Ok(customer)
}

/// Changes a customer at the version the editor saw (`None`: whichever it is); every pass that shows it is published.
pub async fn update(
    app: &App,
    brand: BrandId,
    id: CustomerId,
    details: &Details,
    identifiers: &Selector,
    seen_version: Option<i64>,
) -> Result<Customer, Problem> {
    let identifiers = identifiers.resolve(app, brand)?;
    let mut tx = app.db.begin().await?;
    let customer = change(app, &mut tx.conn(), brand, id, details, seen_version).await?;
    for identifier in &identifiers {
        customers::remove_identifier(&mut tx.conn(), brand, id, &identifier.kind).await?;
        if !customers::insert_identifier(&mut tx.conn(), brand, id, identifier, app.clock.now()).await? {
            return Err(Problem::IdentifierTaken { kind: identifier.kind.to_string() });
        }
    }
    tx.commit().await?;
    app.changed.notify_one();
    Ok(customer)
}

/// Changes a customer inside the caller's transaction.
pub async fn change(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    id: CustomerId,
    details: &Details,
    seen_version: Option<i64>,
) -> Result<Customer, Problem> {
    let now = app.clock.now();
    let found = customers::find_for_update(conn, brand, id).await?;
    let mut customer = found.ok_or(Problem::NotFound { what: "customer" })?;
    if seen_version.is_some_and(|seen| seen != customer.version) {
        return Err(Problem::VersionMismatch);
    }
    apply(&mut customer, details)?;
    if !customers::update(conn, brand, &customer, now).await? {
        return Err(Problem::VersionMismatch);
    }
    customer.version += 1;
    customer.updated_at = now;
    passes::touch_customer(conn, brand, id, now).await?;
    record(app, conn, brand, "customer.updated", id).await?;
    Ok(customer)
}

pub async fn read(
    app: &App,
    brand: BrandId,
    id: CustomerId,
) -> Result<(Customer, Vec<(String, Personal<String>)>), Problem> {
    let mut reader = app.db.read().await?;
    let customer =
        customers::find(&mut reader.conn(), brand, id).await?.ok_or(Problem::NotFound { what: "customer" })?;
    let identifiers = customers::list_identifiers(&mut reader.conn(), brand, id).await?;
    Ok((customer, identifiers))
}

pub async fn list(app: &App, brand: BrandId, after: Option<CustomerId>, limit: i64) -> Result<Vec<Customer>, Problem> {
    Ok(customers::list(&mut app.db.read().await?.conn(), brand, after, limit).await?)
}

fn apply(customer: &mut Customer, details: &Details) -> Result<(), Problem> {
    if let Some(name) = &details.name {
        let checked = name.as_ref().map(|name| text::line(name.reveal(), 100)).transpose();
        customer.name = checked.map_err(Problem::text("/name"))?.map(Personal::new);
    }
    if let Some(locale) = details.locale {
        customer.locale = locale;
    }
    if let Some(time_zone) = &details.time_zone {
        let known = time_zone.as_deref().map(str::parse::<Tz>).transpose();
        let known = known.map_err(|_| Problem::invalid("/time_zone", "time_zone must be an IANA name"))?;
        customer.time_zone = known.map(|zone| zone.name().to_owned());
    }
    if let Some(attributes) = &details.attributes {
        let mut merged = customer.attributes.reveal().clone();
        merge(&mut merged, attributes.reveal());
        check_size("/attributes", &merged, ATTRIBUTES_MAX)?;
        customer.attributes = Personal::new(merged);
    }
    Ok(())
}

/// JSON Merge Patch (RFC 7396), one object into another: null removes, objects are merged, everything else replaces.
pub fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                into.shift_remove(key);
            }
            Value::Object(patch) => {
                let inner = into.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !inner.is_object() {
                    *inner = Value::Object(Map::new());
                }
                if let Value::Object(inner) = inner {
                    merge(inner, patch);
                }
            }
            other => {
                into.insert(key.clone(), other.clone());
            }
        }
    }
}

/// Refuses an object that would be longer than `max` bytes of JSON.
pub fn check_size(pointer: &'static str, object: &Map<String, Value>, max: usize) -> Result<(), Problem> {
    let size = serde_json::to_vec(object).map_err(Problem::internal)?.len();
    if size > max {
        return Err(Problem::invalid(pointer, format!("must not be longer than {max} bytes of JSON")));
    }
    Ok(())
}

async fn record(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    kind: &'static str,
    customer: CustomerId,
) -> Result<(), Problem> {
    let about = About { customer: Some(customer), pass: None, subject: customer.uuid() };
    timeline::record(app, conn, brand, kind, about, json!({ "customer_id": customer })).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_follows_rfc_7396() {
        let cases = [
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null, "d": 3}}), json!({"a": {"c": 2, "d": 3}})),
            (json!({"a": 1}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}})),
            (json!({"a": [1]}), json!({"a": [2]}), json!({"a": [2]})),
        ];
        for (mut into, patch, merged) in cases {
            merge(into.as_object_mut().unwrap(), patch.as_object().unwrap());
            assert_eq!(into, merged);
        }
    }
}
