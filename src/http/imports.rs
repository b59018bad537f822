//! `/api/v1/passes/import` and its like: files of lines, each of them the body of one request.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::domain::identifier::IdentifierKind;
use crate::domain::ids::ProgramId;
use crate::domain::job::JobKind;
use crate::domain::json::{self, canonical_digest};
use crate::domain::locale::Locale;
use crate::domain::rows::{Known, RowFormat};
use crate::domain::secret::{Personal, Secret};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Pos};
use crate::http::extract::Query;
use crate::http::import_calls::{
    BALANCE_COLUMNS, BalanceBody, COUPON_COLUMNS, CUSTOMER, CouponBody, ORDER_COLUMNS, OrderBody, REDEMPTION_COLUMNS,
    RedemptionBody,
};
use crate::http::jobs::{JobView, view};
use crate::http::passes::{CustomerRef, IdentifierInput, known_by, no_data};
use crate::http::problem::{ProblemBody, code};
use crate::service::customers::Details;
use crate::service::imports::spool::Piece;
use crate::service::imports::{self, CustomerLine, Forms, Line, PassLine, Wanted};
use crate::service::issue_pass::TemplateRef;
use crate::service::keys::Caller;
use crate::service::{App, Problem};

/// What lines look like.
pub const FORMS: Forms = Forms { columns, parse, code };

/// What an export says of passes and an import does not look at.
const EXPORTED_ONLY: &[&str] = &["id", "status", "add_url", "created_at", "updated_at"];

const fn columns(kind: JobKind) -> &'static [Known] {
    match kind {
        JobKind::ImportPasses => &[
            Known::Text("external_id"),
            Known::Text("template"),
            Known::Text("program_id"),
            CUSTOMER,
            Known::Text("customer.name"),
            Known::Text("customer.locale"),
            Known::Text("customer.time_zone"),
            Known::Object("customer.attributes"),
            Known::Object("data"),
            Known::Text("serial"),
            Known::Text("authentication_token"),
            Known::Text("authentication_token_sha256"),
            Known::Text("member_since"),
            Known::Ignored(EXPORTED_ONLY),
        ],
        JobKind::ImportCustomers => &[
            Known::Text("external_id"),
            Known::Text("card_number"),
            Known::Text("cpf"),
            Known::Text("phone"),
            Known::Text("email"),
            Known::Texts("identifier"),
            Known::Text("name"),
            Known::Text("locale"),
            Known::Text("time_zone"),
            Known::Object("attributes"),
        ],
        JobKind::ImportOrders => ORDER_COLUMNS,
        JobKind::ImportBalances => BALANCE_COLUMNS,
        JobKind::ImportCoupons => COUPON_COLUMNS,
        JobKind::ImportRedemptions => REDEMPTION_COLUMNS,
        JobKind::IssueCoupons => &[],
    }
}

/// A line of an import of passes: the body of `POST /api/v1/passes`, and what a pass of another vendor brings along.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedPass)]
pub struct PassBody {
    /// A template's name or id; the import's if absent.
    #[schema(example = "clube-aurora")]
    template: Option<String>,
    /// The import's if absent.
    #[schema(value_type = Option<String>)]
    program_id: Option<ProgramId>,
    customer: CustomerRef,
    /// What the line is known by when the file, or a newer one, is imported again.
    #[schema(example = "ana-2026", max_length = 100)]
    external_id: String,
    #[schema(value_type = Object, example = json!({"points": 120}))]
    #[serde(default = "no_data")]
    data: Personal<Map<String, Value>>,
    /// Of a pass that another vendor made: its serial number …
    #[schema(max_length = 128)]
    serial: Option<String>,
    /// … and its `authenticationToken`, of which only the SHA-256 is kept,
    #[schema(value_type = Option<String>)]
    authentication_token: Option<Secret<String>>,
    /// or that SHA-256 itself, in hexadecimal.
    authentication_token_sha256: Option<String>,
    /// Since when the customer is a member of the program, if this makes them one.
    member_since: Option<DateTime<Utc>>,
}

/// A line of an import of customers. Found by the first that no two customers share; the others are added.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedCustomer)]
pub struct CustomerBody {
    #[schema(value_type = Option<String>)]
    external_id: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    card_number: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    cpf: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    phone: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    email: Option<Personal<String>>,
    /// Others, as in `POST /api/v1/customers`.
    #[serde(default)]
    identifiers: Vec<IdentifierInput>,
    /// Others, by their kind: what a CSV's `identifier.…` columns give.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    identifier: std::collections::BTreeMap<String, Personal<String>>,
    #[schema(value_type = Option<String>)]
    name: Option<Personal<String>>,
    #[schema(value_type = Option<String>)]
    locale: Option<Locale>,
    time_zone: Option<String>,
    #[schema(value_type = Option<Object>)]
    attributes: Option<Personal<Map<String, Value>>>,
}

/// What a line says.
pub fn parse(kind: JobKind, mut value: Value) -> Result<Line, Problem> {
    match kind {
        JobKind::ImportPasses => {
            if let Value::Object(members) = &mut value {
                members.retain(|name, _| !EXPORTED_ONLY.contains(&name.as_str()));
            }
            let hash = canonical_digest(&value);
            read::<PassBody>(value)?.parse(hash).map(|line| Line::Pass(Box::new(line)))
        }
        JobKind::ImportCustomers => read::<CustomerBody>(value)?.parse().map(Line::Customer),
        JobKind::ImportOrders => {
            let hash = canonical_digest(&value);
            read::<OrderBody>(value)?.parse(hash).map(Line::Call)
        }
        JobKind::ImportBalances => {
            let hash = canonical_digest(&value);
            read::<BalanceBody>(value)?.parse(hash).map(Line::Call)
        }
        JobKind::ImportCoupons => read::<CouponBody>(value)?.parse().map(Line::Call),
        JobKind::ImportRedemptions => {
            let hash = canonical_digest(&value);
            read::<RedemptionBody>(value)?.parse(hash).map(Line::Call)
        }
        JobKind::IssueCoupons => Err(Problem::internal("this job has no lines")),
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let text = error.inner().to_string();
        // serde repeats the value that it did not expect; what became of a line is kept, and says nothing of a person.
        let detail = match text.split_once(", expected ") {
            Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
            _ => text,
        };
        Problem::invalid(json::pointer(error.path()), detail)
    })
}

impl PassBody {
    fn parse(self, hash: [u8; 32]) -> Result<PassLine, Problem> {
        let (customer, details) = self.customer.parse()?;
        let token_hash = match (self.authentication_token, self.authentication_token_sha256) {
            (None, None) => None,
            (Some(token), None) => Some(digest_of(&token)?),
            (None, Some(hex)) => {
                let mut digest = [0; 32];
                hex::decode_to_slice(&hex, &mut digest)
                    .map_err(|_| Problem::invalid("/authentication_token_sha256", "must be 64 hexadecimal digits"))?;
                Some(digest)
            }
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("/authentication_token", "give the token or its SHA-256"));
            }
        };
        if token_hash.is_some() && self.serial.is_none() {
            return Err(Problem::invalid("/serial", "a token belongs to a serial"));
        }
        if self.serial.as_deref().is_some_and(|serial| !is_serial(serial)) {
            let detail = "must be 1 to 128 letters, digits and . _ ~ - : @ = +";
            return Err(Problem::invalid("/serial", detail));
        }
        Ok(PassLine {
            template: self.template.map(TemplateRef::parse),
            program: self.program_id,
            customer,
            details,
            external_id: self.external_id,
            data: self.data,
            hash,
            serial: self.serial,
            token_hash,
            member_since: self.member_since,
        })
    }
}

/// Apple wants 16 characters at least; a shorter one could be guessed.
fn digest_of(token: &Secret<String>) -> Result<[u8; 32], Problem> {
    let length = token.reveal().len();
    let is_good = (16..=512).contains(&length) && token.reveal().bytes().all(|byte| byte.is_ascii_graphic());
    let refused = || Problem::invalid("/authentication_token", "must be 16 to 512 printable ASCII characters");
    is_good.then(|| Sha256::digest(token.reveal()).into()).ok_or_else(refused)
}

/// What can stand in a path as it is: phones ask for it there.
fn is_serial(serial: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-:@=+".contains(&byte);
    (1..=128).contains(&serial.len()) && serial.bytes().all(is_good) && !matches!(serial, "." | "..")
}

impl CustomerBody {
    fn parse(self) -> Result<CustomerLine, Problem> {
        let named = known_by(self.external_id, self.card_number, self.cpf, self.phone, self.email);
        let mut identifiers: Vec<_> = named.collect();
        for identifier in self.identifiers {
            identifiers.push(identifier.parse()?);
        }
        for (kind, value) in self.identifier {
            let kind = IdentifierKind::parse(&kind);
            identifiers.push((kind.map_err(|error| Problem::invalid("/identifier", error.to_string()))?, value));
        }
        let details = Details::given(self.name, self.locale, self.time_zone, self.attributes);
        Ok(CustomerLine { details, identifiers })
    }
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportPasses {
    /// The template of lines that name none: its name or id.
    template: Option<String>,
    /// The program of lines that name none.
    #[param(value_type = Option<String>)]
    program_id: Option<ProgramId>,
}

/// Import passes
///
/// CSV (a header names the columns: `external_id`, `customer.cpf`, `data.points:number` …) or NDJSON (one `ImportedPass` on
/// each line), of any length up to the installation's limit. Becomes a job. Every line is done or refused alone; a line whose
/// `external_id` has a pass brings that up to date, so importing a file again changes nothing.
#[utoipa::path(post, path = "/api/v1/passes/import", tag = "imports", params(ImportPasses),
    request_body(content((String = "text/csv"), (PassBody = "application/x-ndjson"))),
    responses((status = 202, description = "A job; follow it at its Location", body = JobView),
        (status = 415, description = "not-rows", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "invalid: the header", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn passes(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    query: Query<ImportPasses>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let Query(ImportPasses { template, program_id }) = query;
    let template = template.map(TemplateRef::parse);
    let wanted = Wanted { template, program: program_id, ..wanted(JobKind::ImportPasses, &request)? };
    receive(&app, &allow.caller, wanted, payload).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Import customers
///
/// As for passes; each line is an `ImportedCustomer`.
#[utoipa::path(post, path = "/api/v1/customers/import", tag = "imports",
    request_body(content((String = "text/csv"), (CustomerBody = "application/x-ndjson"))),
    responses((status = 202, description = "A job; follow it at its Location", body = JobView),
        (status = 415, description = "not-rows", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "invalid: the header", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn customers(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    _query: Query<Nothing>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    receive(&app, &allow.caller, wanted(JobKind::ImportCustomers, &request)?, payload).await
}

/// Import orders
///
/// Purchases of the past, which earn nothing (`effects` `none`, if absent) and can be returned like any other; each line is
/// an `ImportedOrder`, known by its `external_id` in its store.
#[utoipa::path(post, path = "/api/v1/orders/import", tag = "imports",
    request_body(content((String = "text/csv"), (OrderBody = "application/x-ndjson"))),
    responses((status = 202, description = "A job; follow it at its Location", body = JobView)))]
pub async fn orders(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    _query: Query<Nothing>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    receive(&app, &allow.caller, wanted(JobKind::ImportOrders, &request)?, payload).await
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportBalances {
    /// The program of lines that name none.
    #[param(value_type = Option<String>)]
    program_id: Option<ProgramId>,
}

/// Import opening balances
///
/// What customers have in another system: each line (an `ImportedBalance`) becomes a lot of its own, once, and makes the
/// customer a member of the program. Nothing else happens: no limit, no rule, no tier.
#[utoipa::path(post, path = "/api/v1/wallets/import", tag = "imports", params(ImportBalances),
    request_body(content((String = "text/csv"), (BalanceBody = "application/x-ndjson"))),
    responses((status = 202, description = "A job; follow it at its Location", body = JobView)))]
pub async fn balances(
    allow: Allow<(Admin,)>,
    app: Data<App>,
    request: HttpRequest,
    query: Query<ImportBalances>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let wanted = Wanted { program: query.0.program_id, ..wanted(JobKind::ImportBalances, &request)? };
    receive(&app, &allow.caller, wanted, payload).await
}

/// Import coupons
///
/// Each line (an `ImportedCoupon`) is a coupon, with the code that it has already or one of ours, and its pass where the
/// offer has a design.
#[utoipa::path(post, path = "/api/v1/coupons/import", tag = "imports",
    request_body(content((String = "text/csv"), (CouponBody = "application/x-ndjson"))),
    responses((status = 202, description = "A job; follow it at its Location", body = JobView)))]
pub async fn coupons(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    _query: Query<Nothing>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    receive(&app, &allow.caller, wanted(JobKind::ImportCoupons, &request)?, payload).await
}

/// Upload what was redeemed offline
///
/// Each line (an `OfflineRedemption`) is redeemed as it was when it was done, in the file's order. A line that was not the
/// till's to do, such as a coupon that another till took first, is a recorded conflict (`GET /redemptions/conflicts`); its
/// line in the results has the refusal's code and the conflict's id.
#[utoipa::path(post, path = "/api/v1/redemptions/import", tag = "imports",
    request_body(content((String = "text/csv"), (RedemptionBody = "application/x-ndjson"))),
    responses((status = 202, description = "A job; follow it at its Location", body = JobView)))]
pub async fn redemptions(
    allow: Allow<(Pos, Issuer, Admin)>,
    app: Data<App>,
    request: HttpRequest,
    _query: Query<Nothing>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    receive(&app, &allow.caller, wanted(JobKind::ImportRedemptions, &request)?, payload).await
}

fn wanted(kind: JobKind, request: &HttpRequest) -> Result<Wanted, Problem> {
    Ok(Wanted { kind, format: format(request)?, template: None, program: None, store: None, terminal: None })
}

fn format(request: &HttpRequest) -> Result<RowFormat, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "text/csv" => Ok(RowFormat::Csv),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(RowFormat::Ndjson),
        _ => Err(Problem::NotRows),
    }
}

/// Pieces of a body that may wait for the disk.
const PIECES: usize = 16;

async fn receive(app: &Data<App>, caller: &Caller, wanted: Wanted, payload: Payload) -> Result<HttpResponse, Problem> {
    let brand = caller.brand.id;
    let wanted = Wanted { store: caller.key.store_id, terminal: caller.key.terminal.clone(), ..wanted };
    let (sender, pieces) = mpsc::channel(PIECES);
    let idle = Duration::from_secs(app.config.imports.idle_timeout_secs.max(1));
    let taken = app.run(async move |app| imports::receive(&app, brand, wanted, FORMS, pieces).await);
    let (fed, taken) = tokio::join!(feed(payload, sender, idle), taken);
    let job = match (taken, fed) {
        (Ok(job), _) => job,
        // The slow client's own fault, rather than what came of it.
        (Err(Problem::CutOff), Err(problem)) => return Err(problem),
        (Err(problem), _) => return Err(problem),
    };
    let place = format!("/api/v1/jobs/{}", job.id);
    Ok(HttpResponse::Accepted().insert_header(("Location", place)).json(view(&job)))
}

/// Hands the body on as it comes.
async fn feed(mut payload: Payload, sender: mpsc::Sender<Piece>, idle: Duration) -> Result<(), Problem> {
    loop {
        let piece = tokio::time::timeout(idle, payload.next()).await.map_err(|_| Problem::TooSlow)?;
        let piece: Option<Bytes> = piece.transpose().map_err(|_| Problem::TooSlow)?;
        let is_end = piece.is_none();
        // Nobody takes it: it was refused, and that is the answer.
        if sender.send(piece.map_or(Piece::End, Piece::Bytes)).await.is_err() || is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn detail(kind: JobKind, value: Value) -> String {
        parse(kind, value).unwrap_err().to_string()
    }

    #[test]
    fn a_moved_pass_has_a_serial_and_a_token() {
        let line = |extra: Value| {
            let mut line = json!({ "external_id": "a", "customer": { "cpf": "1" } });
            line.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            line
        };
        let kind = JobKind::ImportPasses;
        assert!(parse(kind, line(json!({ "serial": "A-1:b", "authentication_token": "0123456789abcdef" }))).is_ok());
        assert!(parse(kind, line(json!({ "serial": "A", "authentication_token_sha256": "ab".repeat(32) }))).is_ok());
        assert!(parse(kind, line(json!({ "serial": "A" }))).is_ok());
        for wrong in [
            json!({ "authentication_token": "0123456789abcdef" }),
            json!({ "serial": "A", "authentication_token": "short" }),
            json!({ "serial": "a/b", "authentication_token": "0123456789abcdef" }),
            json!({ "serial": "..", "authentication_token": "0123456789abcdef" }),
            json!({ "serial": "A", "authentication_token_sha256": "xy" }),
            json!({ "serial": "A", "authentication_token": "0123456789abcdef", "authentication_token_sha256": "ab".repeat(32) }),
        ] {
            assert!(matches!(parse(kind, line(wrong.clone())), Err(Problem::Invalid { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_what_the_line_says_of_a_person() {
        let wrong = [
            json!({ "external_id": "a", "customer": "Ana Souza" }),
            json!({ "external_id": "a", "customer": { "name": ["Ana Souza"] } }),
            json!({ "external_id": "a", "customer": { "cpf": "1", "locale": "Ana Souza" } }),
            json!({ "external_id": "a", "customer": { "cpf": "1" }, "data": "Ana Souza" }),
        ];
        for value in wrong {
            let text = detail(JobKind::ImportPasses, value);
            assert!(!text.contains("Ana"), "{text}");
        }
    }
}
