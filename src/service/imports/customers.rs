//! Lines of customers.

use std::collections::{HashMap, HashSet};

use crate::domain::ids::CustomerId;
use crate::domain::job::LineOutcome;
use crate::service::customers::{check_count, identify};
use crate::service::imports::people::{self, Person};
use crate::service::imports::{CustomerLine, Forms, Names, Outcome, ROWS_MAX, refused};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::customers::Identifier;
use crate::store::{Conn, imports};

/// What the lines of a part come to.
pub(super) struct Plan {
    people: Vec<Person>,
}

impl Plan {
    pub fn has_changes(&self) -> bool {
        self.people.iter().any(Person::is_other)
    }
}

/// Plans as many of the lines as do not depend on one before them: their outcomes, in order, the plan, and what they are
/// about.
pub(super) async fn plan(
    app: &App,
    brand: &Brand,
    forms: Forms,
    lines: Vec<(i64, Result<CustomerLine, Problem>)>,
) -> Result<(Vec<Outcome>, Plan, Names), Problem> {
    let (mut asked, mut outcomes, mut names) = (Vec::new(), Vec::new(), Names::new());
    let mut rows = 0;
    for (number, line) in lines {
        let known_by = line.and_then(|line| {
            let identifiers = identify_all(app, brand, &line)?;
            Ok((line, identifiers))
        });
        match known_by {
            Err(problem) => outcomes.push(refused(forms, number, problem)?),
            Ok((line, identifiers)) => {
                // Whoever shares anything with a line before is looked up when that is done.
                if identifiers.iter().any(|identifier| names.contains(&identifier.lookup)) {
                    break;
                }
                // The customer, an event, and each identifier.
                rows += 2 + identifiers.len();
                if rows > ROWS_MAX && !asked.is_empty() {
                    break;
                }
                names.extend(identifiers.iter().map(|identifier| identifier.lookup.clone()));
                asked.push((number, line, identifiers));
            }
        }
    }
    let mut plan = Plan { people: Vec::new() };
    let mut reader = app.db.read().await?;
    let finders: Vec<&Identifier> = asked.iter().filter_map(|(_, _, identifiers)| identifiers.first()).collect();
    let named = imports::find_named(&mut reader.conn(), brand.id, &finders).await?;
    let ids: Vec<CustomerId> = named.iter().filter_map(|named| named.ok().flatten()).collect();
    names.extend(ids.iter().map(|id| id.uuid().as_bytes().to_vec()));
    let known = imports::find_customers(&mut reader.conn(), brand.id, &ids).await?;
    let mut known: HashMap<CustomerId, _> = known.into_iter().map(|known| (known.customer.id, known)).collect();
    let mut have: HashSet<(CustomerId, String, Vec<u8>)> = HashSet::new();
    have.extend(imports::find_identifiers(&mut reader.conn(), brand.id, &ids).await?);
    // Others must not have what is new, unless it is shared.
    let all: Vec<&Identifier> = asked.iter().flat_map(|(_, _, identifiers)| identifiers).collect();
    let owners = imports::find_named(&mut reader.conn(), brand.id, &all).await?;
    let owners: HashMap<&[u8], CustomerId> = all
        .iter()
        .zip(&owners)
        .filter_map(|(identifier, named)| Some((identifier.lookup.as_slice(), (*named).ok().flatten()?)))
        .collect();
    drop(reader);
    for ((number, line, identifiers), named) in asked.iter().zip(named) {
        let planned = person(app, line, identifiers, named, &mut known, &have, &owners);
        match planned {
            Err(problem) => outcomes.push(refused(forms, *number, problem)?),
            Ok(None) => {
                // The customer of two lines in another way: the rest waits until this much is done.
                outcomes.retain(|outcome| outcome.line < *number);
                outcomes.sort_unstable_by_key(|outcome| outcome.line);
                return Ok((outcomes, plan, names));
            }
            Ok(Some(person)) => {
                let outcome = match (person.is_new(), person.is_changed) {
                    (true, _) => LineOutcome::Created,
                    (false, true) => LineOutcome::Changed,
                    (false, false) => LineOutcome::Unchanged,
                };
                outcomes.push(Outcome::of(*number, outcome, person.customer.id));
                plan.people.push(person);
            }
        }
    }
    outcomes.sort_unstable_by_key(|outcome| outcome.line);
    Ok((outcomes, plan, names))
}

/// The finder first.
fn identify_all(app: &App, brand: &Brand, line: &CustomerLine) -> Result<Vec<Identifier>, Problem> {
    check_count(&line.identifiers)?;
    let one = |(kind, value)| identify(app, brand.id, kind, value, || format!("/{kind}"));
    let mut identifiers =
        line.identifiers.iter().map(|(kind, value)| one((kind, value))).collect::<Result<Vec<_>, _>>()?;
    let Some(finder) = identifiers.iter().position(|identifier| !identifier.kind.is_shared()) else {
        let detail = "name the customer by external_id, card_number, cpf or an identifier of your own: a telephone or an \
                      e-mail address may be shared";
        return Err(Problem::invalid("", detail));
    };
    identifiers.swap(0, finder);
    let mut seen = HashSet::new();
    identifiers.retain(|identifier| seen.insert(identifier.lookup.clone()));
    Ok(identifiers)
}

/// `None`: the customer was taken by a line before.
fn person(
    app: &App,
    line: &CustomerLine,
    identifiers: &[Identifier],
    named: Result<Option<CustomerId>, imports::Several>,
    known: &mut HashMap<CustomerId, imports::KnownCustomer>,
    have: &HashSet<(CustomerId, String, Vec<u8>)>,
    owners: &HashMap<&[u8], CustomerId>,
) -> Result<Option<Person>, Problem> {
    let id = named.map_err(|_| Problem::AmbiguousCustomer)?;
    let taken = identifiers.iter().filter(|identifier| !identifier.kind.is_shared());
    let taken = taken.filter_map(|identifier| Some((identifier, owners.get(identifier.lookup.as_slice())?)));
    if let Some((identifier, _)) = taken.into_iter().find(|(_, owner)| Some(**owner) != id) {
        return Err(Problem::IdentifierTaken { kind: identifier.kind.to_string() });
    }
    let Some(id) = id else { return Person::new(app, &line.details, identifiers.to_vec()).map(Some) };
    let Some(known) = known.remove(&id) else { return Ok(None) };
    let is_new = |identifier: &&Identifier| {
        !have.contains(&(id, identifier.kind.as_str().to_owned(), identifier.lookup.clone()))
    };
    let added = identifiers.iter().filter(is_new).cloned().collect();
    Person::known(known, &line.details, added).map(Some)
}

/// Writes a plan; `false`: what it was made from has changed.
pub(super) async fn write(app: &App, conn: &mut Conn<'_>, brand: &Brand, plan: &Plan) -> Result<bool, Problem> {
    let now = app.clock.now();
    let people: Vec<&Person> = plan.people.iter().filter(|person| person.is_new() || person.is_other()).collect();
    if !people::hold(conn, brand.id, &people).await? || !people::write(app, conn, brand.id, &people, now).await? {
        return Ok(false);
    }
    people::lock_passes(conn, brand.id, &people, &[]).await?;
    people::touch(conn, brand.id, &people, now).await?;
    Ok(true)
}
