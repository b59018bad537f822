//! Taking a whole redemption back.

use super::bought;
use super::receipt::{self, Receipt, Took, event};
use super::redeem::refuse;
use crate::domain::ids::{CouponId, OfferId, PassId, RedemptionId};
use crate::domain::ledger::EntryKind;
use crate::domain::pass::PassStatus;
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::returns::{Share, give_back};
use crate::service::{App, Problem, coupons};
use crate::store::brands::Brand;
use crate::store::redemptions::{self, Redemption, RedemptionState};
use crate::store::{coupons as coupon_store, entries, events, offers, passes};

/// Takes a redemption back: units into their lots, coupons to be used again, what is left of offers; and the coupons that it
/// bought, unless somebody used one of them meanwhile. Repeating it changes nothing.
pub async fn void(app: &App, brand: &Brand, id: RedemptionId, place: Place) -> Result<Redemption, Problem> {
    let mut tx = app.db.begin().await?;
    let known = redemptions::find_redemption(&mut tx.conn(), brand.id, id).await?;
    let mut redemption = known.ok_or(Problem::NotFound { what: "redemption" })?;
    if place.store.is_some() && redemption.store_id != place.store {
        return Err(Problem::NotFound { what: "redemption" });
    }
    let mut book = match redemption.customer_id {
        Some(customer) => Some(Book::open(app, &mut tx.conn(), brand.id, customer, place.clone()).await?),
        None => None,
    };
    let now = app.clock.now();
    if !redemptions::void_redemption(&mut tx.conn(), brand.id, id, now).await? {
        drop(tx);
        return receipt::read(app, brand.id, id).await;
    }
    let receipt = Receipt::of(&redemption)?;
    let mut bought: Vec<CouponId> = receipt.bought().collect();
    bought.sort_unstable();
    if let Some(book) = &mut book {
        let whole = Share { after: 1, whole: 1 };
        let mut spent = entries::list_by_source(&mut tx.conn(), brand.id, id.uuid()).await?;
        for coupon in &bought {
            spent.extend(entries::list_by_source(&mut tx.conn(), brand.id, coupon.uuid()).await?);
        }
        for entry in spent {
            if matches!(entry.kind, EntryKind::Spent | EntryKind::Captured) {
                let note = Note::of(id.uuid());
                let units = give_back(&mut tx.conn(), book, &entry, whole, note, &mut Vec::new()).await?;
                if let Some((wallet, _)) = book.find(entry.wallet) {
                    wallet.kept.spent = wallet.kept.spent.less(redemption.created_at, units);
                }
            }
        }
    }
    // Coupons, then offers, each in order of their ids: as they were taken.
    let mut coupons: Vec<CouponId> = receipt.used().collect();
    coupons.sort_unstable();
    let mut shown = Vec::new();
    for coupon in coupons {
        if coupon_store::give_back(&mut tx.conn(), brand.id, coupon, id).await?
            && let Some(coupon) = coupon_store::find(&mut tx.conn(), brand.id, coupon).await?
        {
            if let Some(book) = book.as_mut().filter(|_| coupon.customer_id.is_some()) {
                book.mark();
            }
            shown.extend(coupon.pass_id);
        }
    }
    let mut happened = vec![event(app, "redemption.voided", &redemption)];
    let voided = match bought::take_back(&mut tx.conn(), brand.id, &bought, now).await? {
        Ok(voided) => voided,
        Err(refusal) => return Err(refuse(app, &mut tx.conn(), brand, &place, refusal, None).await?),
    };
    if let Some(book) = book.as_mut().filter(|_| !voided.is_empty()) {
        book.mark();
    }
    happened.extend(voided.iter().map(|coupon| coupons::event(app, "coupon.voided", coupon)));
    let hidden: Vec<PassId> = voided.iter().filter_map(|coupon| coupon.pass_id).collect();
    let taken = receipt.items.iter().filter(|item| item.took != Took::Nothing);
    let taken = taken.filter_map(|item| Some((item.offer_id?, item.discount_minor, item.took == Took::All)));
    let mut taken: Vec<(OfferId, i64, bool)> = taken.collect();
    taken.sort_unstable();
    for (offer, minor, is_counted) in taken {
        if let Some(customer) = redemption.customer_id.filter(|_| is_counted) {
            offers::uncount_use(&mut tx.conn(), brand.id, customer, offer, redemption.created_at).await?;
        }
        offers::put_back(&mut tx.conn(), brand.id, offer, minor).await?;
    }
    (redemption.state, redemption.voided_at) = (RedemptionState::Voided, Some(now));
    match &mut book {
        Some(book) => book.record(happened),
        None => events::insert_many(&mut tx.conn(), brand.id, &happened).await?,
    }
    if let Some(book) = book {
        book.close(app, &mut tx.conn()).await?;
    }
    // After all passes of the customer were locked, in their order.
    for pass in shown {
        passes::set_status(&mut tx.conn(), brand.id, pass, PassStatus::Voided, PassStatus::Active, now).await?;
    }
    for pass in hidden {
        passes::set_status(&mut tx.conn(), brand.id, pass, PassStatus::Active, PassStatus::Voided, now).await?;
    }
    tx.commit().await?;
    app.changed.notify_one();
    Ok(redemption)
}
