//! `POST /api/v1/quotes`: what would apply to a basket.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CouponId, CustomerId, OfferId, QuoteId, StoreId};
use crate::domain::secret::Personal;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Pos};
use crate::http::extract::Body;
use crate::http::money::{BasketBody, MoneyBody};
use crate::http::passes::CustomerRef;
use crate::http::problem::RefusalBody;
use crate::http::redeem_item::{ItemView, RedeemItem, item_view, wanted};
use crate::service::loyalty::place::Place;
use crate::service::till::Request;
use crate::service::till::quote::{self, Quoted};
use crate::service::{App, Problem};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteBody {
    customer: Option<CustomerRef>,
    basket: BasketBody,
    /// What is to be looked at; absent: the best of everything that the customer has.
    redeem: Option<Vec<RedeemItem>>,
    /// For how many seconds nobody else gets it: 1 to 3,600.
    #[schema(example = 120)]
    lock_secs: Option<u32>,
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    #[schema(max_length = 64)]
    terminal: Option<String>,
    #[schema(value_type = Option<String>, max_length = 64)]
    employee: Option<Personal<String>>,
}

/// What would not apply, and why.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SkippedView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    coupon_id: Option<CouponId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    offer_id: Option<OfferId>,
    #[serde(flatten)]
    refusal: RefusalBody,
    /// In the till's language.
    detail: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QuoteView {
    #[schema(value_type = String, example = "quo_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    id: QuoteId,
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    items: Vec<ItemView>,
    skipped: Vec<SkippedView>,
    discount: MoneyBody,
    /// What is still to be paid, and of each line.
    to_pay: MoneyBody,
    left_by_line_minor: Vec<i64>,
    /// Whether every choice was looked at; with more than 8 redeemables a good one is.
    is_exact: bool,
    /// Until when nobody else gets it.
    lock_until: Option<DateTime<Utc>>,
}

/// Quote a basket: what would apply, line by line, and why the rest would not
#[utoipa::path(post, path = "/api/v1/quotes", tag = "till", request_body = QuoteBody,
    responses((status = 201, description = "The quote", body = QuoteView)))]
pub async fn quote(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    body: Body<QuoteBody>,
) -> Result<HttpResponse, Problem> {
    let given = body.value;
    let basket = given.basket.read()?;
    let currency = basket.currency.code().to_owned();
    let request = Request {
        customer: given.customer.map(CustomerRef::parse_known).transpose()?,
        wanted: wanted(given.redeem.unwrap_or_default())?,
        basket: Some(basket),
        place: Place::of(&allow.caller, given.store_id, given.terminal, given.employee)?,
        done_at: None,
    };
    let (brand, lock_secs) = (allow.caller.brand, given.lock_secs);
    let quoted = app.run(async move |app| quote::quote(&app, &brand, request, lock_secs).await).await?;
    let Quoted { quote, items, skipped, discount_minor, left_by_line, is_exact } = quoted;
    let skipped = skipped.into_iter().map(|skipped| SkippedView {
        coupon_id: skipped.coupon,
        offer_id: skipped.offer,
        refusal: RefusalBody::from(&skipped.refused),
        detail: skipped.refused.sentence,
    });
    Ok(HttpResponse::Created().json(QuoteView {
        id: quote.id,
        customer_id: quote.customer_id,
        items: items.into_iter().map(item_view).collect(),
        skipped: skipped.collect(),
        discount: MoneyBody::new(discount_minor, &currency),
        to_pay: MoneyBody::new(left_by_line.iter().sum(), &currency),
        left_by_line_minor: left_by_line,
        is_exact,
        lock_until: quote.lock_until,
    }))
}
