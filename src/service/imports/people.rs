//! The customers of a part's lines: looked up together, and written together.

use chrono::{DateTime, Utc};

use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, CustomerId, PassId};
use crate::domain::secret::Personal;
use crate::service::customers::{Details, apply, event, fresh};
use crate::service::{App, Problem};
use crate::store::customers::{self, Customer, Identifier};
use crate::store::imports::{self, ChangedPass, KnownCustomer};
use crate::store::{Conn, events};

/// A customer as a line leaves them.
pub(super) struct Person {
    pub customer: Customer,
    /// The version that was read; `None`: nobody yet.
    seen_version: Option<i64>,
    pub is_changed: bool,
    /// What they are newly known by; of somebody new the first is what they were looked for by.
    pub added: Vec<Identifier>,
    /// The card number that passes show, of several the first in order.
    pub card_number: Option<Personal<String>>,
}

impl Person {
    pub fn new(app: &App, details: &Details, identifiers: Vec<Identifier>) -> Result<Self, Problem> {
        let (customer, card_number) = (fresh(app, details)?, card_number(&identifiers));
        Ok(Self { customer, seen_version: None, is_changed: false, added: identifiers, card_number })
    }

    pub fn known(known: KnownCustomer, details: &Details, added: Vec<Identifier>) -> Result<Self, Problem> {
        let before = known.customer.clone();
        let mut customer = known.customer;
        apply(&mut customer, details)?;
        let is_changed = customer.name != before.name
            || customer.locale != before.locale
            || customer.time_zone != before.time_zone
            || customer.attributes != before.attributes
            || !added.is_empty();
        let card_number = known.card_number.into_iter().chain(card_number(&added));
        let card_number = card_number.min_by(|one, other| one.reveal().cmp(other.reveal()));
        Ok(Self { seen_version: Some(before.version), customer, is_changed, added, card_number })
    }

    pub const fn is_new(&self) -> bool {
        self.seen_version.is_none()
    }

    /// Whether their passes may show something else now.
    pub const fn is_other(&self) -> bool {
        !self.is_new() && self.is_changed
    }
}

fn card_number(identifiers: &[Identifier]) -> Option<Personal<String>> {
    let numbers = identifiers.iter().filter(|identifier| identifier.kind == IdentifierKind::CardNumber);
    numbers.map(|identifier| identifier.value.clone()).min_by(|one, other| one.reveal().cmp(other.reveal()))
}

/// Holds customers, and what new ones were looked for by, to the transaction's end. `false`: they are not as they were read.
pub(super) async fn hold(conn: &mut Conn<'_>, brand: BrandId, people: &[&Person]) -> Result<bool, Problem> {
    let new: Vec<&Identifier> =
        people.iter().filter(|person| person.is_new()).filter_map(|person| person.added.first()).collect();
    imports::lock_lookups(conn, &new).await?;
    let named = imports::find_named(conn, brand, &new).await?;
    if named.iter().any(|named| *named != Ok(None)) {
        return Ok(false);
    }
    let known: Vec<(CustomerId, i64)> =
        people.iter().filter_map(|person| Some((person.customer.id, person.seen_version?))).collect();
    let ids: Vec<CustomerId> = known.iter().map(|(id, _)| *id).collect();
    let held = imports::hold_customers(conn, brand, &ids).await?;
    Ok(known.iter().all(|seen| held.contains(seen)))
}

/// Writes those that are new and those that changed, who are held. `false`: an identifier is another's by now.
pub(super) async fn write(
    app: &App,
    conn: &mut Conn<'_>,
    brand: BrandId,
    people: &[&Person],
    now: DateTime<Utc>,
) -> Result<bool, Problem> {
    let new: Vec<&Customer> = people.iter().filter(|person| person.is_new()).map(|person| &person.customer).collect();
    imports::insert_customers(conn, brand, &new).await?;
    for person in people.iter().filter(|person| person.is_other()) {
        if !customers::update(conn, brand, &person.customer, now).await? {
            return Ok(false);
        }
    }
    let added: Vec<_> = people
        .iter()
        .flat_map(|person| person.added.iter().map(|identifier| (person.customer.id, identifier)))
        .collect();
    if imports::insert_identifiers(conn, brand, &added, now).await? < added.len() {
        return Ok(false);
    }
    let told = people.iter().filter(|person| person.is_new() || person.is_other()).map(|person| {
        event(app, if person.is_new() { "customer.created" } else { "customer.updated" }, person.customer.id)
    });
    events::insert_many(conn, brand, &told.collect::<Vec<_>>()).await?;
    Ok(true)
}

/// Those whose passes may show something else.
fn others(people: &[&Person]) -> Vec<CustomerId> {
    people.iter().filter(|person| person.is_other()).map(|person| person.customer.id).collect()
}

/// Locks passes that are about to change, for their lines' sake or for their customers', in the one order that everybody
/// locks them in.
pub(super) async fn lock_passes(
    conn: &mut Conn<'_>,
    brand: BrandId,
    people: &[&Person],
    passes: &[ChangedPass<'_>],
) -> Result<(), Problem> {
    let passes: Vec<PassId> = passes.iter().map(|pass| pass.id).collect();
    Ok(imports::lock_passes(conn, brand, &passes, &others(people)).await?)
}

/// Lets the passes of those that changed, which are locked, be published.
pub(super) async fn touch(
    conn: &mut Conn<'_>,
    brand: BrandId,
    people: &[&Person],
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    Ok(imports::touch_customers(conn, brand, &others(people), now).await?)
}
