//! Lines that each are what one request would say: done one by one, in their order, by the use case that does the request.
//! Each is known by an id of its own, so a part that is done again, because its process died before it could say so, changes
//! nothing.

use crate::domain::code::{OfflineCode, read_code};
use crate::domain::job::LineOutcome;
use crate::service::coupons::{self, Issued, NewCoupon};
use crate::service::imports::{Forms, Outcome, refused};
use crate::service::loyalty::place::Place;
use crate::service::openings::{self, NewOpening};
use crate::service::orders::{self, NewOrder};
use crate::service::till::Wanted;
use crate::service::till::offline::{self, Told};
use crate::service::till::redeem::NewRedemption;
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::jobs::Defaults;

/// What a line asks for.
#[derive(Debug, Clone)]
pub enum Call {
    Order(Box<NewOrder>),
    Balance(Box<NewOpening>),
    Coupon(Box<NewCoupon>),
    /// What a till did while it was offline.
    Redemption(Box<NewRedemption>),
}

/// Does a line; what became of it.
pub(super) async fn make(
    app: &App,
    brand: &Brand,
    forms: Forms,
    defaults: &Defaults,
    (number, call): (i64, Result<Call, Problem>),
) -> Result<Outcome, Problem> {
    let made = match call {
        Ok(call) => dispatch(app, brand, defaults, number, call).await,
        Err(problem) => Err(problem),
    };
    made.or_else(|problem| refused(forms, number, problem))
}

async fn dispatch(app: &App, brand: &Brand, defaults: &Defaults, number: i64, call: Call) -> Result<Outcome, Problem> {
    let outcome = |is_new: bool| if is_new { LineOutcome::Created } else { LineOutcome::Unchanged };
    match call {
        Call::Order(mut new) => {
            new.place = place(defaults, new.place)?;
            let (order, is_new) = orders::place(app, brand, *new).await?;
            Ok(Outcome::of(number, outcome(is_new), order.id))
        }
        Call::Balance(mut new) => {
            new.program = new.program.or(defaults.program);
            let (wallet, is_new) = openings::open(app, brand, *new).await?;
            Ok(Outcome::of(number, outcome(is_new), wallet))
        }
        Call::Coupon(new) => {
            let Issued { coupon, is_new, unshown } = coupons::issue(app, brand, *new, None).await?;
            let detail = unshown.map(|why| format!("it has no pass: {why}"));
            Ok(Outcome { detail, ..Outcome::of(number, outcome(is_new), coupon.id) })
        }
        Call::Redemption(mut new) => {
            if defaults.store.is_some() {
                check_codes(&new.request.wanted)?;
            }
            new.request.place = place(defaults, new.request.place)?;
            match offline::tell(app, brand, *new).await? {
                Told::Redeemed(id, is_new) => Ok(Outcome::of(number, outcome(is_new), id)),
                Told::Conflict(id, code) => {
                    let detail = Some("the goods are given: a conflict was recorded".to_owned());
                    Ok(Outcome { code: Some(code), detail, ..Outcome::of(number, LineOutcome::Refused, id) })
                }
            }
        }
    }
}

/// A till checks signed codes alone: others it cannot have taken offline, and here nobody slows down who guesses.
fn check_codes(wanted: &[Wanted]) -> Result<(), Problem> {
    let is_guess = |wanted: &Wanted| match wanted {
        Wanted::Code(code) => OfflineCode::read(code.reveal()).is_none() && read_code(code.reveal()).is_none(),
        Wanted::Coupon(_) | Wanted::Offer(_) | Wanted::RewardAsCoupon(_) | Wanted::Units { .. } => false,
    };
    match wanted.iter().position(is_guess) {
        Some(index) => {
            let detail = "must be a scanned code: typed ones are not for tills to take offline";
            Err(Problem::invalid(format!("/redeem/{index}/coupon_code"), detail))
        }
        None => Ok(()),
    }
}

/// Where a line was done: a till that sends a file speaks for no other store.
fn place(defaults: &Defaults, of_line: Place) -> Result<Place, Problem> {
    if defaults.store.is_some() && of_line.store.is_some() && defaults.store != of_line.store {
        return Err(Problem::OtherStore);
    }
    Ok(Place {
        store: defaults.store.or(of_line.store),
        terminal: defaults.terminal.clone().or(of_line.terminal),
        employee: of_line.employee,
    })
}
