//! `/api/v1/coupons/batches` and `/api/v1/coupons/export`: codes by the million.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::{BrandId, CouponId, JobId, OfferId};
use crate::domain::rows::RowFormat;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer};
use crate::http::extract::{Body, IdempotencyKey, Query, reply};
use crate::http::jobs::{JobView, view};
use crate::http::table::Table;
use crate::service::coupon_batches::{self, NewBatch, Of};
use crate::service::{App, Problem, code_keys, coupons};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueBatch {
    #[schema(value_type = String)]
    offer_id: OfferId,
    /// How many: 1 to 5,000,000.
    #[schema(example = 100_000)]
    count: i64,
    starts_at: Option<DateTime<Utc>>,
    /// As the offer says, if absent.
    expires_at: Option<DateTime<Utc>>,
}

/// Issue many coupons of an offer, for whoever has their codes
///
/// Becomes a job, whose `lines.created` counts them; export them with its id. Cancelled, it keeps what it made.
#[utoipa::path(post, path = "/api/v1/coupons/batches", tag = "offers", request_body = IssueBatch,
    params(("Idempotency-Key" = String, Header, description = "Repeat a request with its key to have one effect; required")),
    responses((status = 202, description = "A job; follow it at /api/v1/jobs", body = JobView)))]
pub async fn start(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    key: IdempotencyKey,
    body: Body<IssueBatch>,
) -> Result<HttpResponse, Problem> {
    let once = key.once(&allow.caller, &body).ok_or(Problem::KeyRequired)?;
    let brand = allow.caller.brand.id;
    let IssueBatch { offer_id, count, starts_at, expires_at } = body.value;
    let new = NewBatch { offer: offer_id, count, starts_at, expires_at };
    let answer = |job: &_| serde_json::to_vec(&view(job)).unwrap_or_default();
    let done = app.run(async move |app| coupon_batches::start(&app, brand, new, &once, answer).await).await?;
    Ok(reply(done))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportCoupons {
    /// csv or ndjson; csv if absent.
    #[param(value_type = Option<String>, example = "csv")]
    format: Option<RowFormat>,
    /// Of this offer …
    #[param(value_type = Option<String>)]
    offer_id: Option<OfferId>,
    /// … or of this batch.
    #[param(value_type = Option<String>)]
    batch_id: Option<JobId>,
}

/// What is told of each coupon.
const COLUMNS: &[&str] = &[
    "id",
    "external_id",
    "offer_id",
    "customer.id",
    "code",
    "barcode",
    "state",
    "starts_at",
    "expires_at",
    "redeemed_at",
    "redeemed_in",
];

/// Coupons of one page.
const PAGE: i64 = 500;

pub const fn coupons_table(format: RowFormat) -> Table {
    Table { format, columns: COLUMNS }
}

/// Export coupons with their codes
///
/// All of an offer's, or of a batch's; whoever has a code has the coupon.
#[utoipa::path(get, path = "/api/v1/coupons/export", tag = "offers", params(ExportCoupons),
    responses((status = 200, description = "The file", content((String = "text/csv"), (String = "application/x-ndjson")))))]
pub async fn export(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    query: Query<ExportCoupons>,
) -> Result<HttpResponse, Problem> {
    let brand = allow.caller.brand.id;
    let Query(ExportCoupons { format, offer_id, batch_id }) = query;
    let of = match (offer_id, batch_id) {
        (Some(offer), None) => Of::Offer(offer),
        (None, Some(batch)) => Of::Batch(batch),
        _ => return Err(Problem::invalid("", "query: name offer_id or batch_id")),
    };
    let table = coupons_table(format.unwrap_or(RowFormat::Csv));
    let app = app.into_inner();
    Ok(table.answer("coupons", None, move |after| {
        let app = App::clone(&app);
        async move {
            let page = app.run(async move |app| coupons_page(&app, brand, table, of, after).await).await?;
            Ok((page.rows, page.next))
        }
    }))
}

/// Rows of coupons.
pub struct CouponsPage {
    pub rows: Vec<u8>,
    pub count: usize,
    /// Where to go on; `None`: there were no more.
    pub next: Option<Option<CouponId>>,
}

/// Rows of the coupons after one.
pub async fn coupons_page(
    app: &App,
    brand: BrandId,
    table: Table,
    of: Of,
    after: Option<CouponId>,
) -> Result<CouponsPage, Problem> {
    let page = coupon_batches::list(app, brand, of, after, PAGE).await?;
    let keys = code_keys::current(app, brand).await?;
    let text = |text: Option<String>| text.map_or(Value::Null, Value::String);
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let mut rows = Vec::new();
    for coupon in &page {
        let barcode = coupons::barcode(app, brand, keys, coupon)?;
        rows.extend(table.row(vec![
            coupon.id.to_string().into(),
            text(coupon.external_id.clone()),
            coupon.offer_id.to_string().into(),
            text(coupon.customer_id.map(|customer| customer.to_string())),
            coupon.typed.clone().into(),
            barcode.into(),
            coupon.state.as_str().into(),
            time(coupon.starts_at).into(),
            text(coupon.expires_at.map(time)),
            text(coupon.redeemed_at.map(time)),
            text(coupon.redeemed_in.clone()),
        ]));
    }
    Ok(CouponsPage { rows, count: page.len(), next: page.last().map(|coupon| Some(coupon.id)) })
}
