//! Scans: who stands at the till, and what applies to them.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::evaluate::{Choice, evaluate};
use super::{Request, Wanted};
use crate::domain::code::read_code;
use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::{BrandId, CustomerId, MemberId, OfferId, ProgramId, WalletId};
use crate::domain::loyalty::refusal::RefusalCode;
use crate::domain::loyalty::tier::Progress;
use crate::domain::secret::Personal;
use crate::service::coupons::{self, BadCoupon};
use crate::service::customers::{self, Selector};
use crate::service::loyalty::book::Book;
use crate::service::loyalty::place::Place;
use crate::service::timeline::{self, About};
use crate::service::{App, Problem};
use crate::store::brands::Brand;
use crate::store::coupons::{self as coupon_store, Coupon};
use crate::store::offers::{self, OfferState};

/// Coupons that are shown.
const COUPONS_MAX: i64 = 20;

/// A wallet as a till shows it.
#[derive(Debug)]
pub struct ShownWallet {
    pub id: WalletId,
    pub key: String,
    pub name: String,
    pub balance: String,
    pub pending: String,
    pub held: String,
    /// What it pays at most, in minor units, where it pays.
    pub pays: Option<(i64, String)>,
    pub next_expiry: Option<(DateTime<Utc>, String)>,
}

/// A membership as a till shows it.
#[derive(Debug)]
pub struct ShownMember {
    pub id: MemberId,
    pub program: ProgramId,
    pub tier: Option<Progress>,
    pub wallets: Vec<ShownWallet>,
    /// Rewards with their prices, and whether the balance reaches.
    pub rewards: Vec<ShownReward>,
    pub offers: Vec<(OfferId, String)>,
}

#[derive(Debug)]
pub struct ShownReward {
    pub id: OfferId,
    pub name: String,
    pub wallet: String,
    pub price: String,
    pub missing: String,
}

#[derive(Debug)]
pub struct Scanned {
    /// `None`: the code is a coupon's that is for whoever has it.
    pub customer: Option<CustomerId>,
    pub name: Option<Personal<String>>,
    pub members: Vec<ShownMember>,
    pub coupons: Vec<(Coupon, String)>,
    /// The coupon whose code was scanned, and why it may not be used, if it may not.
    pub coupon: Option<(Coupon, Option<RefusalCode>)>,
}

/// What a text at a till can be: a pass's code, a coupon's, a card's number, a CPF, a phone, an e-mail address.
fn selector(text: &str) -> Selector {
    let value = || Personal::new(text.to_owned());
    if read_code(text).is_some() {
        return Selector::Code(value());
    }
    let kinds = [IdentifierKind::Cpf, IdentifierKind::Phone, IdentifierKind::Email];
    let kind = kinds.into_iter().find(|kind| kind.normalise(text).is_ok()).unwrap_or(IdentifierKind::CardNumber);
    Selector::Identifier(kind, value())
}

/// Who it is and what applies; of a coupon that is nobody's, whether it is good. Unknown: not found, whatever the reason.
pub async fn scan(app: &App, brand: &Brand, text: &str, place: Place) -> Result<Scanned, Problem> {
    let text = crate::domain::text::line(text, 200).map_err(Problem::text("/code"))?;
    let mut tx = app.db.begin().await?;
    let coupon = match coupons::read_text(app, &mut tx.conn(), brand.id, &text, None).await? {
        Ok(coupon) => coupon,
        // It may be a card's number, a CPF, a phone.
        Err(BadCoupon::Mistyped) => None,
        Err(bad) => {
            coupons::count_bad(app, brand.id, bad, &text);
            None
        }
    };
    let owner = coupon.as_ref().and_then(|coupon| coupon.customer_id);
    let customer = match (owner, &coupon) {
        (Some(owner), _) => owner,
        (None, None) => find_customer(app, &mut tx.conn(), brand.id, &text).await?,
        // A code that the brand had before may look like somebody's card number.
        (None, Some(coupon)) => match find_customer(app, &mut tx.conn(), brand.id, &text).await {
            Err(Problem::NotFound { .. }) => {
                let judged = judge(app, &mut tx.conn(), brand, None, coupon.clone(), &place).await?;
                let coupon = Some(judged);
                return Ok(Scanned { customer: None, name: None, members: Vec::new(), coupons: Vec::new(), coupon });
            }
            found => found?,
        },
    };
    let scanned = look(app, &mut tx.conn(), brand, customer, coupon, place.clone()).await?;
    let about = About { customer: Some(customer), pass: None, subject: customer.uuid() };
    let data = json!({ "customer_id": customer, "store_id": place.store, "terminal": place.terminal });
    timeline::record(app, &mut tx.conn(), brand.id, "scan.checked_in", about, data).await?;
    tx.commit().await?;
    Ok(scanned)
}

async fn find_customer(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: BrandId,
    text: &str,
) -> Result<CustomerId, Problem> {
    match customers::find_known(app, conn, brand, &selector(text)).await {
        // A card number may look like a CPF that nobody has.
        Err(Problem::NotFound { .. } | Problem::Invalid { .. }) => {
            let card = Selector::Identifier(IdentifierKind::CardNumber, Personal::new(text.to_owned()));
            customers::find_known(app, conn, brand, &card).await.map_err(|problem| match problem {
                Problem::Invalid { .. } => Problem::NotFound { what: "customer" },
                other => other,
            })
        }
        found => found,
    }
}

async fn look(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: &Brand,
    customer: CustomerId,
    coupon: Option<Coupon>,
    place: Place,
) -> Result<Scanned, Problem> {
    let person = crate::store::customers::find(conn, brand.id, customer).await?;
    let person = person.ok_or(Problem::NotFound { what: "customer" })?;
    let book = Book::peek(app, conn, brand.id, customer, place.clone()).await?;
    let coupon = match coupon {
        None => None,
        Some(coupon) => Some(judge(app, conn, brand, Some(&book), coupon, &place).await?),
    };
    let usable = coupon_store::list_usable(conn, brand.id, customer, book.now, COUPONS_MAX).await?;
    let mut offered: Vec<OfferId> = usable.iter().map(|coupon| coupon.offer_id).collect();
    offered.sort_unstable();
    offered.dedup();
    let names = offers::list_names(conn, brand.id, &offered).await?;
    let name = |coupon: &Coupon| {
        let known = names.iter().find(|(offer, ..)| *offer == coupon.offer_id);
        known.map(|(_, _, name)| name.clone()).unwrap_or_default()
    };
    let coupons =
        usable.into_iter().map(|coupon| (name(&coupon), coupon)).map(|(name, coupon)| (coupon, name)).collect();
    let members = book.members.iter().map(|member| shown(member, book.now)).collect();
    Ok(Scanned { customer: Some(customer), name: person.name, members, coupons, coupon })
}

/// A coupon, and why it may not be used here and now, if it may not.
async fn judge(
    app: &App,
    conn: &mut crate::store::Conn<'_>,
    brand: &Brand,
    book: Option<&Book>,
    coupon: Coupon,
    place: &Place,
) -> Result<(Coupon, Option<RefusalCode>), Problem> {
    let request = Request {
        customer: None,
        wanted: vec![Wanted::Coupon(coupon.id)],
        basket: None,
        place: place.clone(),
        done_at: None,
    };
    let looked = evaluate(app, conn, brand.id, book, &request, Choice::InOrder, None).await?;
    // Whether it applies to a basket is for the quote.
    let refusal = looked.skipped.first().map(|(_, refusal)| refusal.code);
    let refusal =
        refusal.filter(|code| !matches!(code, RefusalCode::EffectNotApplicable | RefusalCode::RejectedByCondition));
    Ok((coupon, refusal))
}

/// A membership as it stands.
pub fn shown(member: &crate::service::loyalty::book::OpenMember, now: DateTime<Utc>) -> ShownMember {
    let rules = &member.rules;
    let wallets = rules.kinds.iter().enumerate().map(|(index, kind)| {
        let open = member.wallets.iter().find(|wallet| wallet.kind == index);
        let totals = open.map(|open| open.ledger.totals).unwrap_or_default();
        let pays = kind.rules.pays(totals.balance().max(0)).filter(|(minor, _)| *minor > 0);
        ShownWallet {
            id: open.map_or(WalletId::FIRST, |open| open.kept.id),
            key: kind.key.clone(),
            name: kind.name.clone(),
            balance: kind.rules.text(totals.balance()),
            pending: kind.rules.text(totals.pending),
            held: kind.rules.text(totals.held),
            pays: pays.map(|(minor, currency)| (minor, currency.code().to_owned())),
            next_expiry: open
                .and_then(|open| open.ledger.next_expiry())
                .map(|(at, units)| (at, kind.rules.text(units))),
        }
    });
    let wallets: Vec<ShownWallet> = wallets.filter(|wallet| wallet.id != WalletId::FIRST).collect();
    let running = || {
        rules.offers.iter().filter(|offer| {
            offer.state == OfferState::Running
                && offer.rules.from.is_none_or(|from| from <= now)
                && offer.rules.until.is_none_or(|until| now < until)
                && offer.rules.audience.includes(member.tier(), member.attributes())
        })
    };
    let reward = |offer: &crate::service::loyalty::rules::ReadyOffer| {
        let price = offer.rules.price.as_ref()?;
        let kind = rules.kind(&price.wallet)?;
        let of_kind = rules.kinds.get(kind)?;
        let open = member.wallets.iter().find(|wallet| wallet.kind == kind);
        let balance = open.map_or(0, |open| open.ledger.totals.balance());
        Some(ShownReward {
            id: offer.id,
            name: offer.name.clone(),
            wallet: price.wallet.clone(),
            price: of_kind.rules.text(price.units),
            missing: of_kind.rules.text((price.units - balance).max(0)),
        })
    };
    let open = running().filter(|offer| offer.rules.price.is_none() && !offer.rules.wants_coupon);
    ShownMember {
        id: member.kept.id,
        program: rules.program,
        tier: rules
            .tiers
            .as_ref()
            .zip(member.kept.standing.as_ref())
            .map(|(tiers, standing)| tiers.progress(standing, member.kept.tier_value)),
        offers: open.map(|offer| (offer.id, offer.name.clone())).collect(),
        rewards: running().filter_map(reward).collect(),
        wallets,
    }
}
