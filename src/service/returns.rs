//! Goods that come back: what they earned is taken back as far as the wallet's policy says, and what paid for them is given
//! back, line by line.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;

use crate::domain::apportion::{Rounding, apportion};
use crate::domain::ids::{OrderId, ProgramId, ReturnId, WalletId, WalletTypeId};
use crate::domain::ledger::{EntryKind, Movement, left_of};
use crate::domain::quantity;
use crate::domain::text;
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::orders::{Earned, KeptLine, broken, event};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::entries::{self, KeptEntry};
use crate::store::events;
use crate::store::members::Did;
use crate::store::orders::{self, Order, Return};

/// The order that something comes back of.
#[derive(Debug, Clone)]
pub enum OrderRef {
    Id(OrderId),
    /// The till's own id of it, in the same place.
    Named(String),
}

/// A line of which something comes back, by its place in the order, from 0.
#[derive(Debug, Clone, Copy)]
pub struct BackLine {
    pub position: usize,
    /// Thousandths of a piece; all that is left of it, if absent.
    pub quantity: Option<i64>,
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Back {
    Lines(Vec<BackLine>),
    /// So much of what was paid, of whatever lines.
    Amount(i64),
    /// All that is left.
    All,
}

#[derive(Debug, Clone)]
pub struct NewReturn {
    pub external_id: String,
    pub order: OrderRef,
    pub back: Back,
    pub place: Place,
    /// SHA-256 of the request.
    pub hash: [u8; 32],
}

/// What became of one wallet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Moved {
    pub program_id: ProgramId,
    pub wallet: String,
    pub wallet_id: WalletId,
    /// Units that were taken back of what was earned, or given back of what was spent.
    pub taken_back: String,
    pub given_back: String,
}

/// Records a return. The same `external_id` and content again: the first answer. `true`: it is new.
pub async fn take_back(app: &App, brand: &Brand, new: NewReturn) -> Result<(Return, bool), Problem> {
    let external_id = text::line(&new.external_id, 100).map_err(Problem::text("/external_id"))?;
    let scope = new.place.scope();
    let mut tx = app.db.begin().await?;
    let order_id = match &new.order {
        OrderRef::Id(id) => *id,
        OrderRef::Named(name) => {
            let found = orders::find_order_named(&mut tx.conn(), brand.id, &scope, name).await?;
            found.ok_or(Problem::NotFound { what: "order" })?.id
        }
    };
    let order = orders::lock_order(&mut tx.conn(), brand.id, order_id).await?;
    let mut order = order.ok_or(Problem::NotFound { what: "order" })?;
    // Under the order's lock: a repetition sees what the first one made.
    if let Some(first) = orders::find_return_named(&mut tx.conn(), brand.id, &scope, &external_id).await? {
        return if first.body_hash == new.hash {
            Ok((first, false))
        } else {
            Err(Problem::OtherContent { what: "return" })
        };
    }
    let mut lines: Vec<KeptLine> = serde_json::from_value(order.lines.0.clone()).map_err(Problem::internal)?;
    let mut earned: Vec<Earned> = serde_json::from_value(order.earnings.0.clone()).map_err(Problem::internal)?;
    let parts = back_by_line(&lines, &new.back)?;
    // Of what was paid for a line so much as of its price: parts of it sum to the whole.
    let mut back = Vec::with_capacity(lines.len());
    for (line, part) in lines.iter_mut().zip(&parts) {
        line.returned_pieces += part.pieces;
        line.returned_price += part.price;
        let paid = part.paid.map_or_else(|| line.share().of(line.paid_minor), |paid| line.returned_minor + paid);
        let paid = paid.max(line.returned_minor);
        back.push(paid - line.returned_minor);
        line.returned_minor = paid;
    }
    let minor: i64 = back.iter().sum();
    let id = ReturnId::new(app.clock.new_id());
    let (mut moved, mut is_changed) = (Vec::new(), false);
    if let Some(customer) = order.customer_id {
        let mut book = Book::open(app, &mut tx.conn(), brand.id, customer, new.place.clone()).await?;
        take_earned(&mut book, id, &lines, &mut earned, &order, minor, &mut moved)?;
        if let Some(redemption) = order.redemption_id {
            let spent = entries::list_by_source(&mut tx.conn(), brand.id, redemption.uuid()).await?;
            let share = Share::of_order(&lines);
            for entry in spent.iter().filter(|entry| matches!(entry.kind, EntryKind::Spent | EntryKind::Captured)) {
                give_back(&mut tx.conn(), &mut book, entry, share, Note::of(id.uuid()), &mut moved).await?;
            }
        }
        is_changed = book.close(app, &mut tx.conn()).await?;
    }
    order.returned_minor += minor;
    order.lines = Json(serde_json::to_value(&lines).map_err(Problem::internal)?);
    order.earnings = Json(serde_json::to_value(&earned).map_err(Problem::internal)?);
    orders::set_returned(&mut tx.conn(), brand.id, order.id, order.returned_minor, &order.lines, &order.earnings)
        .await?;
    let made = Return {
        id,
        place: scope,
        external_id,
        body_hash: new.hash.to_vec(),
        order_id: order.id,
        minor,
        answer: Json(json!({ "currency": order.currency, "by_line": back, "wallets": moved })),
        created_at: app.clock.now(),
    };
    if !orders::insert_return(&mut tx.conn(), brand.id, &made).await? {
        // The id was used for a return of another order a moment ago.
        return Err(Problem::OtherContent { what: "return" });
    }
    events::insert(&mut tx.conn(), brand.id, &event(app, "order.returned", &order)).await?;
    tx.commit().await?;
    if is_changed {
        app.changed.notify_one();
    }
    Ok((made, true))
}

/// What comes back of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    /// Thousandths of a piece.
    pieces: i64,
    price: i64,
    /// Of what was paid, where the till says it.
    paid: Option<i64>,
}

impl KeptLine {
    /// How much of the line has come back; of one without a price, by its pieces.
    fn share(&self) -> Share {
        if self.minor > 0 {
            Share { after: self.returned_price, whole: self.minor }
        } else {
            Share { after: self.returned_pieces, whole: self.quantity.max(1) }
        }
    }

    fn price_left(&self) -> i64 {
        self.minor - self.returned_price
    }

    fn paid_left(&self) -> i64 {
        self.paid_minor - self.returned_minor
    }

    fn all_left(&self) -> Part {
        let is_back = self.minor > 0 && self.price_left() == 0;
        let pieces = if is_back { 0 } else { self.quantity - self.returned_pieces };
        Part { pieces, price: self.price_left(), paid: None }
    }

    /// So many pieces: their prices sum to the line's, however they come back. `None`: so many are not left.
    fn pieces(&self, pieces: i64) -> Option<Part> {
        let price_of = |pieces: i64| Share { after: pieces, whole: self.quantity }.of(self.minor);
        let after = self.returned_pieces.checked_add(pieces).filter(|after| *after <= self.quantity)?;
        let price = price_of(after) - price_of(self.returned_pieces);
        (price <= self.price_left()).then_some(Part { pieces, price, paid: None })
    }

    /// So much of what was paid for it: at least as much of its price.
    fn paid(&self, minor: i64) -> Part {
        let exact = i128::from(self.price_left()) * i128::from(minor);
        let price = Rounding::Ceil.divide(exact, i128::from(self.paid_left().max(1)));
        Part { pieces: 0, price: price.unwrap_or(i64::MAX).min(self.price_left()), paid: Some(minor) }
    }
}

/// What of each line comes back; at most what has not yet.
fn back_by_line(lines: &[KeptLine], back: &Back) -> Result<Vec<Part>, Problem> {
    let back = match back {
        Back::All => lines.iter().map(KeptLine::all_left).collect(),
        Back::Amount(minor) => {
            let paid: Vec<i64> = lines.iter().map(KeptLine::paid_left).collect();
            let sum: i64 = paid.iter().sum();
            if !(1..=sum).contains(minor) {
                return Err(Problem::invalid("/amount", format!("{sum} of the order can come back")));
            }
            lines.iter().zip(apportion(*minor, &paid)).map(|(line, minor)| line.paid(minor)).collect()
        }
        Back::Lines(given) => {
            let mut back = vec![Part::default(); lines.len()];
            for (index, one) in given.iter().enumerate() {
                let place = || format!("/lines/{index}");
                let known = lines.get(one.position).zip(back.get_mut(one.position));
                let (line, back) =
                    known.ok_or_else(|| Problem::invalid(place(), "the order has no line at this position"))?;
                let part = match one.quantity {
                    None => Some(line.all_left()),
                    Some(pieces) if pieces >= 1 && pieces <= line.quantity => line.pieces(pieces),
                    Some(_) => {
                        let most = quantity::text(line.quantity, 3);
                        let detail = format!("must be at most {most}");
                        return Err(Problem::invalid(format!("{}/quantity", place()), detail));
                    }
                };
                *back = part
                    .filter(|_| *back == Part::default())
                    .ok_or_else(|| Problem::invalid(place(), "so much of the line has come back already"))?;
            }
            back
        }
    };
    if back.iter().all(|part| *part == Part::default()) {
        return Err(Problem::invalid("", "all of it has come back already"));
    }
    Ok(back)
}

fn take_earned(
    book: &mut Book,
    id: ReturnId,
    lines: &[KeptLine],
    earned: &mut [Earned],
    order: &Order,
    minor: i64,
    moved: &mut Vec<Moved>,
) -> Result<(), Problem> {
    let now = book.now;
    for earning in earned.iter_mut().filter(|earning| earning.entry_no > 0) {
        let mut units = 0;
        for ((line, by_line), taken) in lines.iter().zip(&earning.by_line).zip(&mut earning.taken_back) {
            // The share of the line so far: what was taken for less of it is part of that, and at the end it is all.
            let more = (line.share().of(*by_line) - *taken).max(0);
            *taken += more;
            units += more;
        }
        if units == 0 {
            continue;
        }
        let Some((wallet, rules)) = book.find(earning.wallet_id) else { continue };
        let Some(kind) = rules.kinds.get(wallet.kind) else { continue };
        let (reach, entry_no, lot) = (kind.rules.take_back(), earning.entry_no, earning.lot);
        let note = Note { source: Some(id.uuid()), rule: Some(earning.rule_id.uuid()), reason: None };
        let taken = wallet
            .post(&note, now, |ledger| {
                let entry = ledger.take_back(entry_no, &[lot], units, reach, now)?;
                Ok(entry.map_or(0, |entry| {
                    entry.movement.gain(crate::domain::ledger::State::Cancelled) + entry.movement.debt
                }))
            })
            .map_err(broken)?;
        let (kind_id, program) = (kind.id, rules.program);
        moved.push(Moved {
            program_id: program,
            wallet: kind.key.clone(),
            wallet_id: earning.wallet_id,
            taken_back: kind.rules.text(taken),
            given_back: "0".to_owned(),
        });
        if let Some(member) = book.members.iter_mut().find(|member| member.rules.program == program) {
            member.did(kind_id, order.placed_at, Did { earned: -taken, ..Did::default() });
        }
    }
    // What never counted is not taken off.
    for member in book.members.iter_mut().filter(|_| order.has_effects) {
        member.did(WalletTypeId::FIRST, order.placed_at, Did { spent_minor: -minor, ..Did::default() });
    }
    Ok(())
}

/// How much of a whole has come back by now.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub after: i64,
    pub whole: i64,
}

impl Share {
    fn of_order(lines: &[KeptLine]) -> Self {
        let sum = |each: fn(&KeptLine) -> i64| lines.iter().map(each).sum::<i64>();
        match sum(|line| line.minor) {
            0 => Self { after: sum(|line| line.returned_pieces), whole: sum(|line| line.quantity).max(1) },
            whole => Self { after: sum(|line| line.returned_price), whole },
        }
    }

    /// Of so many units, those that belong to what has come back afterwards.
    pub fn of(self, units: i64) -> i64 {
        if self.after >= self.whole {
            return units;
        }
        i64::try_from(i128::from(units) * i128::from(self.after) / i128::from(self.whole.max(1))).unwrap_or(units)
    }
}

/// Gives units back that an entry spent: so many that the share is given back altogether. How many these were.
pub(super) async fn give_back(
    conn: &mut crate::store::Conn<'_>,
    book: &mut Book,
    entry: &KeptEntry,
    share: Share,
    note: Note,
    moved: &mut Vec<Moved>,
) -> Result<i64, Problem> {
    let back = entries::list_reversing(conn, book.brand, entry.wallet, &[entry.no]).await?;
    let back: Vec<Movement> = back.into_iter().map(|entry| entry.movement).collect();
    let spent: i64 = left_of(&entry.movement, &[]).iter().map(|(_, units)| units).sum();
    let left = left_of(&entry.movement, &back);
    let left_units: i64 = left.iter().map(|(_, units)| units).sum();
    let units = (share.of(spent) - (spent - left_units)).min(left_units);
    if units <= 0 {
        return Ok(0);
    }
    let lots: Vec<i64> = left.iter().map(|(lot, _)| *lot).collect();
    book.fetch_lots(conn, entry.wallet, &lots).await?;
    let now = book.now;
    let Some((wallet, rules)) = book.find(entry.wallet) else { return Ok(0) };
    let Some(kind) = rules.kinds.get(wallet.kind) else { return Ok(0) };
    let late = kind.rules.late_restore(now, rules.zone);
    wallet.post(&note, now, |ledger| ledger.restore(entry.no, &left, units, late, now).map(|_| ())).map_err(broken)?;
    moved.push(Moved {
        program_id: rules.program,
        wallet: kind.key.clone(),
        wallet_id: entry.wallet,
        taken_back: "0".to_owned(),
        given_back: kind.rules.text(units),
    });
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(quantity: i64, minor: i64, paid_minor: i64) -> KeptLine {
        KeptLine {
            sku: None,
            category: None,
            quantity,
            minor,
            paid_minor,
            returned_pieces: 0,
            returned_price: 0,
            returned_minor: 0,
        }
    }

    #[test]
    fn pieces_of_a_line_sum_to_its_price() {
        let mut one = line(3_000, 1_000, 700);
        let prices: Vec<i64> = (0..3)
            .map(|_| {
                let part = one.pieces(1_000).unwrap();
                one.returned_pieces += part.pieces;
                one.returned_price += part.price;
                part.price
            })
            .collect();
        assert_eq!((prices, one.price_left()), (vec![333, 333, 334], 0));
        assert_eq!(one.pieces(1), None);
        assert_eq!(one.all_left(), Part::default());
    }

    #[test]
    fn an_amount_comes_back_as_it_was_said() {
        let lines = [line(1_000, 1_000, 333), line(1_000, 500, 167)];
        for minor in [1, 7, 250, 499, 500] {
            let parts = back_by_line(&lines, &Back::Amount(minor)).unwrap();
            assert_eq!(parts.iter().filter_map(|part| part.paid).sum::<i64>(), minor);
            assert!(parts.iter().zip(&lines).all(|(part, line)| part.price <= line.minor), "{parts:?}");
        }
        assert!(back_by_line(&lines, &Back::Amount(501)).is_err());
    }

    #[test]
    fn a_line_without_a_price_comes_back_by_its_pieces() {
        let mut gift = line(2_000, 0, 0);
        assert_eq!(gift.share().of(10), 0, "nothing of it came back");
        gift.returned_pieces = gift.pieces(1_000).unwrap().pieces;
        assert_eq!(gift.share().of(10), 5);
        assert_eq!(gift.all_left(), Part { pieces: 1_000, price: 0, paid: None });
    }
}
