//! The till: who stands there and what applies, what a basket would cost, and taking it off, once.

pub mod bought;
pub mod convert;
mod customer;
pub mod evaluate;
pub mod offline;
mod purse;
pub mod quote;
pub mod receipt;
pub mod redeem;
pub mod scan;
mod spend;
pub mod void;

use chrono::{DateTime, Utc};
use iso_currency::Currency;

use crate::domain::ids::{CouponId, OfferId};
use crate::domain::loyalty::best::{APPLIED_MAX, REQUESTED_MAX};
use crate::domain::loyalty::earning::Line;
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::secret::Personal;
use crate::service::Problem;
use crate::service::customers::Selector;
use crate::service::loyalty::place::Place;
use crate::service::orders::LINES_MAX;
use crate::service::problem::Refused;

/// What is to be paid: lines with their prices, discounts of the line taken off, taxes included.
#[derive(Debug, Clone)]
pub struct Basket {
    pub currency: Currency,
    pub lines: Vec<Line>,
}

impl Basket {
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.minor).sum()
    }

    /// `total` is what the till says the lines sum to.
    pub fn new(currency: Currency, lines: Vec<Line>, total: i64) -> Result<Self, Problem> {
        let basket = Self { currency, lines };
        if basket.lines.len() > LINES_MAX {
            return Err(Problem::invalid("/basket/lines", format!("must not be more than {LINES_MAX}")));
        }
        let is_good = |minor: i64| (0..=crate::domain::money::MINOR_MAX).contains(&minor);
        if let Some(index) = basket.lines.iter().position(|line| !is_good(line.minor) || !is_good(line.quantity)) {
            let pointer = format!("/basket/lines/{index}");
            return Err(Problem::invalid(pointer, "amount and quantity must not be negative"));
        }
        if basket.total() != total {
            let detail = format!("the lines sum to {}, and total is {total}", basket.total());
            return Err(Problem::invalid("/basket/total", detail));
        }
        Ok(basket)
    }
}

/// Something that is to be redeemed.
#[derive(Debug, Clone)]
pub enum Wanted {
    Coupon(CouponId),
    /// As it was scanned or typed.
    Code(Personal<String>),
    /// An offer that needs no coupon; with a price, a reward.
    Offer(OfferId),
    /// A coupon of a reward: paid for now, used another time.
    RewardAsCoupon(OfferId),
    /// Units of the customer's wallet with this key, to pay with.
    Units {
        wallet: String,
        units: String,
    },
}

/// What a till asks.
#[derive(Debug, Clone)]
pub struct Request {
    pub customer: Option<Selector>,
    pub wanted: Vec<Wanted>,
    pub basket: Option<Basket>,
    pub place: Place,
    /// When it was done, if the till was offline: what had to be valid, had to be then.
    pub done_at: Option<DateTime<Utc>>,
}

impl Request {
    /// Before anything is looked up.
    pub fn check_count(&self) -> Result<(), Problem> {
        if self.wanted.len() > REQUESTED_MAX {
            return Err(Problem::invalid("/redeem", format!("must not be more than {REQUESTED_MAX}")));
        }
        let bought = self.wanted.iter().filter(|wanted| matches!(wanted, Wanted::RewardAsCoupon(_)));
        if bought.count() > APPLIED_MAX {
            return Err(Problem::invalid("/redeem", format!("must not buy more than {APPLIED_MAX} coupons at once")));
        }
        Ok(())
    }
}

/// A refusal before it is spoken.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: RefusalCode,
    pub available: Option<String>,
    /// The coupon that somebody used, when it is known.
    pub redemption: Option<crate::domain::ids::RedemptionId>,
    pub redeemed_at: Option<chrono::DateTime<chrono::Utc>>,
    pub redeemed_in: Option<String>,
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self { code, available: None, redemption: None, redeemed_at: None, redeemed_in: None }
    }
}

impl Refusal {
    /// In the till's language, about the one of what was asked for.
    pub fn spoken(self, locale: crate::domain::locale::Locale, index: Option<usize>) -> Refused {
        Refused {
            code: self.code,
            sentence: self.code.sentence(locale).to_owned(),
            index,
            redemption: self.redemption,
            redeemed_at: self.redeemed_at,
            redeemed_in: self.redeemed_in,
            available: self.available,
        }
    }
}
