//! Taking a whole redemption back.

use super::receipt::{self, Receipt, record};
use crate::domain::ids::{CouponId, OfferId, RedemptionId};
use crate::domain::ledger::EntryKind;
use crate::domain::pass::PassStatus;
use crate::service::loyalty::book::{Book, Note};
use crate::service::loyalty::place::Place;
use crate::service::returns::{Late, Share, give_back};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::redemptions::{self, Redemption, RedemptionState};
use crate::store::{coupons as coupon_store, entries, offers, passes};

/// Takes a redemption back: units into their lots, coupons to be used again, what is left of offers. Repeating it changes
/// nothing.
pub async fn void(app: &App, brand: &Brand, id: RedemptionId, place: Place) -> Result<Redemption, Problem> {
    let mut tx = app.db.begin().await?;
    let known = redemptions::find_redemption(&mut tx.conn(), brand.id, id).await?;
    let mut redemption = known.ok_or(Problem::NotFound { what: "redemption" })?;
    if place.store.is_some() && redemption.store_id != place.store {
        return Err(Problem::NotFound { what: "redemption" });
    }
    let mut book = match redemption.customer_id {
        Some(customer) => Some(Book::open(app, &mut tx.conn(), brand.id, customer, place).await?),
        None => None,
    };
    let now = app.clock.now();
    if !redemptions::void_redemption(&mut tx.conn(), brand.id, id, now).await? {
        drop(tx);
        return receipt::read(app, brand.id, id).await;
    }
    let receipt: Receipt = serde_json::from_value(redemption.items.0.clone()).map_err(Problem::internal)?;
    if let Some(book) = &mut book {
        let whole = Share { after: 1, whole: 1 };
        for entry in entries::list_by_source(&mut tx.conn(), brand.id, id.uuid()).await? {
            if matches!(entry.kind, EntryKind::Spent | EntryKind::Captured) {
                let note = Note::of(id.uuid());
                let units =
                    give_back(&mut tx.conn(), book, &entry, whole, note, Late::AsBefore, &mut Vec::new()).await?;
                if let Some((wallet, _)) = book.find(entry.wallet) {
                    wallet.kept.spent = wallet.kept.spent.less(redemption.created_at, units);
                }
            }
        }
    }
    // Coupons, then offers, each in order of their ids: as they were taken.
    let mut coupons: Vec<CouponId> = receipt.items.iter().filter_map(|item| item.coupon_id).collect();
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
    let mut offered: Vec<(OfferId, i64)> =
        receipt.items.iter().filter_map(|item| Some((item.offer_id?, item.discount_minor))).collect();
    offered.sort_unstable();
    for (offer, minor) in offered {
        if let Some(customer) = redemption.customer_id {
            offers::uncount_use(&mut tx.conn(), brand.id, customer, offer, redemption.created_at).await?;
        }
        offers::put_back(&mut tx.conn(), brand.id, offer, minor).await?;
    }
    (redemption.state, redemption.voided_at) = (RedemptionState::Voided, Some(now));
    record(app, &mut tx.conn(), brand, "redemption.voided", &redemption).await?;
    if let Some(book) = book {
        book.close(app, &mut tx.conn()).await?;
    }
    // After all passes of the customer were locked, in their order.
    for pass in shown {
        passes::set_status(&mut tx.conn(), brand.id, pass, PassStatus::Voided, PassStatus::Active, now).await?;
    }
    tx.commit().await?;
    app.changed.notify_one();
    Ok(redemption)
}
