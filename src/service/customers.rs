//! Customers: found by whatever they are known by, created once, changed with care.

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::domain::code::CodeKind;
use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, CustomerId};
use crate::domain::json::merge;
use crate::domain::locale::Locale;
use crate::domain::secret::Personal;
use crate::domain::text;
use crate::service::once::{self, Once, Reply};
use crate::service::timeline::{self, About};
use crate::service::{App, Problem, code_keys};
use crate::store::customers::{self, Customer, Identifier};
use crate::store::events::NewEvent;
use crate::store::{Conn, events, passes};

/// What a request says about a customer. In a change, an outer `None` leaves a value and an inner `None` removes it.
#[derive(Debug, Clone, Default)]
pub struct Details {
    pub name: Option<Option<Personal<String>>>,
    pub locale: Option<Option<Locale>>,
    pub time_zone: Option<Option<String>>,
    /// Merged into what is there; null removes.
    pub attributes: Option<Personal<Map<String, Value>>>,
}

impl Details {
    /// What is given, where nothing can be removed.
    pub fn given(
        name: Option<Personal<String>>,
        locale: Option<Locale>,
        time_zone: Option<String>,
        attributes: Option<Personal<Map<String, Value>>>,
    ) -> Self {
        Self { name: name.map(Some), locale: locale.map(Some), time_zone: time_zone.map(Some), attributes }
    }
}

/// What names one customer.
#[derive(Debug, Clone)]
pub enum Selector {
    Id(CustomerId),
    /// The text in the barcode of one of their passes.
    Code(Personal<String>),
    Identifier(IdentifierKind, Personal<String>),
}

/// Who a [`Selector`] means.
pub enum Named {
    Known(CustomerId),
    /// Nobody yet; whoever is created will be known by this.
    New(Identifier),
}

/// Normalises an identifier and computes what it is looked up by.
/// `pointer` is where in the body the value stands.
pub(super) fn identify(
    app: &App,
    brand: BrandId,
    kind: &IdentifierKind,
    value: &Personal<String>,
    pointer: impl FnOnce() -> String,
) -> Result<Identifier, Problem> {
    let refused = |error| Problem::invalid(pointer(), format!("{kind} {error}"));
    let normal = kind.normalise(value.reveal()).map_err(refused)?;
    let lookup = app.master_key.identifier_lookup(brand, kind.as_str(), &normal);
    Ok(Identifier { kind: kind.clone(), value: Personal::new(normal), lookup })
}

/// Identifiers of one request at most.
const IDENTIFIERS_MAX: usize = 20;

pub(super) fn check_count<T>(identifiers: &[T]) -> Result<(), Problem> {
    let is_good = identifiers.len() <= IDENTIFIERS_MAX;
    let too_many = || Problem::invalid("/identifiers", format!("must not be more than {IDENTIFIERS_MAX}"));
    is_good.then_some(()).ok_or_else(too_many)
}

fn identify_all(
    app: &App,
    brand: BrandId,
    identifiers: &[(IdentifierKind, Personal<String>)],
) -> Result<Vec<Identifier>, Problem> {
    check_count(identifiers)?;
    let one = |(index, (kind, value)): (usize, &(IdentifierKind, Personal<String>))| {
        identify(app, brand, kind, value, || format!("/identifiers/{index}/value"))
    };
    identifiers.iter().enumerate().map(one).collect()
}

/// Bytes of a customer's attributes at most, as JSON.
const ATTRIBUTES_MAX: usize = 16 * 1024;

/// Who is known by a selector, as [`find`] has it; whoever is not known is not found.
pub async fn find_known(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    selector: &Selector,
) -> Result<CustomerId, Problem> {
    match find(app, conn, brand, selector).await? {
        Named::Known(customer) => Ok(customer),
        Named::New(_) => Err(Problem::NotFound { what: "customer" }),
    }
}

/// The customer that a selector means. Several who share the identifier: 409, because a shared phone must not decide
/// for the wrong member of a family. An unknown id, or a code that is not on an active pass: 404.
pub async fn find(app: &App, conn: &mut Conn<'_>, brand: BrandId, selector: &Selector) -> Result<Named, Problem> {
    let unknown = Problem::NotFound { what: "customer" };
    match selector {
        Selector::Id(id) => {
            let known = customers::find(conn, brand, *id).await?.ok_or(unknown)?;
            Ok(Named::Known(known.id))
        }
        Selector::Code(code) => {
            let not_ours = || Problem::invalid("/customer/code", "code is not one of this brand's passes");
            let keys = code_keys::find(app, conn, brand).await?;
            let Ok((CodeKind::Pass, code_id)) = app.master_key.read_code(brand, keys, code.reveal()) else {
                return Err(not_ours());
            };
            passes::find_customer_by_code(conn, brand, &code_id).await?.map(Named::Known).ok_or(unknown)
        }
        Selector::Identifier(kind, value) => {
            let identifier = identify(app, brand, kind, value, || format!("/customer/{kind}"))?;
            customers::lock_lookup(conn, &identifier.lookup).await?;
            let known = customers::find_by_identifier(conn, brand, kind, &identifier.lookup, 2).await?;
            match known.as_slice() {
                [] => Ok(Named::New(identifier)),
                [one] => Ok(Named::Known(*one)),
                _ => Err(Problem::AmbiguousCustomer),
            }
        }
    }
}

/// Creates a customer. Known by one of the identifiers already: 409.
pub async fn create(
    app: &App,
    brand: BrandId,
    details: &Details,
    identifiers: &[(IdentifierKind, Personal<String>)],
    once: Option<&Once>,
    body: fn(&Customer) -> Vec<u8>,
) -> Result<Reply, Problem> {
    let identifiers = identify_all(app, brand, identifiers)?;
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
    let customer = fresh(app, details)?;
    customers::insert(conn, brand, &customer).await?;
    for identifier in identifiers {
        if !customers::insert_identifier(conn, brand, customer.id, identifier, customer.created_at).await? {
            return Err(Problem::IdentifierTaken { kind: identifier.kind.to_string() });
        }
    }
    record(app, conn, brand, "customer.created", customer.id).await?;
    Ok(customer)
}

/// A customer whom nobody knows yet.
pub(super) fn fresh(app: &App, details: &Details) -> Result<Customer, Problem> {
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
    Ok(customer)
}

/// Changes a customer at the version the editor saw (`None`: whichever it is); every pass that shows it is published.
/// Each identifier replaces those of its kind; `None` removes them.
pub async fn update(
    app: &App,
    brand: BrandId,
    id: CustomerId,
    details: &Details,
    identifiers: &[(IdentifierKind, Option<Personal<String>>)],
    seen_version: Option<i64>,
) -> Result<Customer, Problem> {
    check_count(identifiers)?;
    let mut tx = app.db.begin().await?;
    let customer = change(app, &mut tx.conn(), brand, id, details, seen_version).await?;
    for (kind, _) in identifiers {
        customers::remove_identifier(&mut tx.conn(), brand, id, kind).await?;
    }
    for (index, (kind, value)) in identifiers.iter().enumerate() {
        let Some(value) = value else { continue };
        let identifier = &identify(app, brand, kind, value, || format!("/identifiers/{index}/value"))?;
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

/// The customers known by an identifier, at most `limit`.
pub async fn list_known_by(
    app: &App,
    brand: BrandId,
    kind: &IdentifierKind,
    value: &Personal<String>,
    limit: i64,
) -> Result<Vec<Customer>, Problem> {
    let identifier = identify(app, brand, kind, value, String::new)?;
    let mut reader = app.db.read().await?;
    let mut found = Vec::new();
    for id in customers::find_by_identifier(&mut reader.conn(), brand, kind, &identifier.lookup, limit).await? {
        found.extend(customers::find(&mut reader.conn(), brand, id).await?);
    }
    Ok(found)
}

pub(super) fn apply(customer: &mut Customer, details: &Details) -> Result<(), Problem> {
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
    Ok(events::insert(conn, brand, &event(app, kind, customer)).await?)
}

/// What is recorded of a customer.
pub(super) fn event(app: &App, kind: &'static str, customer: CustomerId) -> NewEvent {
    let about = About { customer: Some(customer), pass: None, subject: customer.uuid() };
    timeline::event(app, kind, about, json!({ "customer_id": customer }))
}
