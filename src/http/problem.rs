//! Problems as RFC 9457 answers: one table from [`Problem`] to status and stable code.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::ids::RedemptionId;
use crate::domain::loyalty::refusal::RefusalCode;
use crate::service::Problem;
use crate::service::problem::Refused;
use crate::wallet::design::BadDesign;

/// The body of a problem: `application/problem+json`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `/problems/<code>`: stable, for programs.
    #[schema(example = "/problems/not-found")]
    pub r#type: String,
    /// The code in words.
    #[schema(example = "Not found")]
    pub title: String,
    #[schema(example = 404)]
    pub status: u16,
    /// One sentence on this very case, for people.
    #[schema(example = "there is no pass with this id")]
    pub detail: String,
    /// Where in the body the fault is (JSON Pointer).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/customer/cpf")]
    pub pointer: Option<String>,
    /// What a till may not redeem: `already_redeemed`, `expired` …
    #[serde(flatten)]
    pub refusal: Option<RefusalBody>,
    /// Everything that is wrong with an uploaded design.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultBody>,
}

/// Why a till may not redeem something, and who did before.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RefusalBody {
    #[schema(value_type = String, example = "already_redeemed")]
    pub code: RefusalCode,
    /// Which of `redeem`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "rdm_0197e3a2c5b87d1e9f00a1b2c3d4e5f6")]
    pub redemption_id: Option<RedemptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redeemed_at: Option<DateTime<Utc>>,
    /// The store, or `online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Aurora Paulista")]
    pub redeemed_in: Option<String>,
    /// What may be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "120")]
    pub available: Option<String>,
}

impl From<&Refused> for RefusalBody {
    fn from(refused: &Refused) -> Self {
        Self {
            code: refused.code,
            index: refused.index,
            redemption_id: refused.redemption,
            redeemed_at: refused.redeemed_at,
            redeemed_in: refused.redeemed_in.clone(),
            available: refused.available.clone(),
        }
    }
}

/// One fault of a design.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DesignFault)]
pub struct FaultBody {
    #[schema(example = "template.toml")]
    file: String,
    /// From 1; null where the whole file is meant.
    line: Option<usize>,
    #[schema(example = "fields.points.format: must be one of text, integer")]
    reason: String,
}

impl From<&BadDesign> for FaultBody {
    fn from(fault: &BadDesign) -> Self {
        let BadDesign { file, line, reason } = fault.clone();
        Self { file, line, reason }
    }
}

/// Status and stable code of each problem. No `_ =>`: a new problem must choose.
const fn row(problem: &Problem) -> (StatusCode, &'static str) {
    match problem {
        Problem::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
        Problem::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route"),
        Problem::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
        Problem::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        Problem::BadJson { .. } => (StatusCode::BAD_REQUEST, "bad-json"),
        Problem::CutOff => (StatusCode::BAD_REQUEST, "cut-off"),
        Problem::BadLine { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-line"),
        Problem::NotRows => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-rows"),
        Problem::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
        Problem::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        Problem::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
        Problem::KeyMissing => (StatusCode::UNAUTHORIZED, "key-missing"),
        Problem::KeyUnknown => (StatusCode::UNAUTHORIZED, "key-unknown"),
        Problem::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "throttled"),
        Problem::RoleForbidden { .. } => (StatusCode::FORBIDDEN, "role-forbidden"),
        Problem::OtherStore => (StatusCode::FORBIDDEN, "other-store"),
        Problem::KeyRequired => (StatusCode::BAD_REQUEST, "idempotency-key-required"),
        Problem::Refused(_) => (StatusCode::CONFLICT, "refused"),
        Problem::OtherContent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "other-content"),
        Problem::AmbiguousCustomer => (StatusCode::CONFLICT, "ambiguous-customer"),
        Problem::ExternalIdTaken => (StatusCode::CONFLICT, "external-id-taken"),
        Problem::IdentifierTaken { .. } => (StatusCode::CONFLICT, "identifier-taken"),
        Problem::VersionMismatch => (StatusCode::PRECONDITION_FAILED, "version-mismatch"),
        Problem::CursorGone => (StatusCode::GONE, "cursor-gone"),
        Problem::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"),
        Problem::InFlight => (StatusCode::CONFLICT, "in-flight"),
        Problem::TemplateRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "template-refused"),
        Problem::NotAZip => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-a-zip"),
        Problem::DesignRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "design-refused"),
        Problem::RolloutOver { .. } => (StatusCode::CONFLICT, "rollout-over"),
        Problem::NoSigner { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no-signer"),
        Problem::PassTypeTaken => (StatusCode::CONFLICT, "pass-type-taken"),
        Problem::KindFixed { .. } => (StatusCode::CONFLICT, "kind-fixed"),
        Problem::PassTypeFixed { .. } => (StatusCode::CONFLICT, "pass-type-fixed"),
        Problem::NoGoogle => (StatusCode::NOT_FOUND, "no-google"),
        Problem::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        Problem::ImportsWaiting { .. } => (StatusCode::SERVICE_UNAVAILABLE, "imports-waiting"),
        Problem::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Problem::StorageFull(_) => (StatusCode::INSUFFICIENT_STORAGE, "storage-full"),
        Problem::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// The stable code of a problem.
pub const fn code(problem: &Problem) -> &'static str {
    row(problem).1
}

/// When it is worth coming again, in seconds.
const fn retry_after(problem: &Problem) -> Option<u64> {
    match problem {
        Problem::Throttled { retry_after_secs } => Some(*retry_after_secs),
        Problem::Busy | Problem::InFlight | Problem::Unavailable(_) => Some(1),
        Problem::NoSigner { .. } | Problem::StorageFull(_) | Problem::ImportsWaiting { .. } => Some(30),
        _ => None,
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        row(self).0
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let (status, code) = row(self);
        log(self);
        let mut response = HttpResponse::build(status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        if let Some(seconds) = retry_after(self) {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        match self {
            Self::KeyMissing | Self::KeyUnknown => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
            }
            Self::MethodNotAllowed { allowed, .. } => {
                response.insert_header((ALLOW, allowed.as_str()));
            }
            _ => {}
        }
        let mut title = code.replace('-', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let pointer = match self {
            Self::Invalid { pointer, .. } => Some(pointer.clone().into_owned()),
            _ => None,
        };
        let faults = match self {
            Self::DesignRefused { faults } => faults.0.iter().map(FaultBody::from).collect(),
            _ => Vec::new(),
        };
        let body = ProblemBody {
            r#type: format!("/problems/{code}"),
            title,
            status: status.as_u16(),
            detail: self.to_string(),
            pointer,
            refusal: match self {
                Self::Refused(refused) => Some(RefusalBody::from(refused.as_ref())),
                _ => None,
            },
            faults,
        };
        response.content_type("application/problem+json").body(serde_json::to_string(&body).unwrap_or_default())
    }
}

/// Once, at the edge, with the whole chain of causes; the caller sees none of it.
fn log(problem: &Problem) {
    match problem {
        Problem::Internal(cause) => {
            tracing::error!(error = %chain(cause.as_ref()), "internal error");
            metrics::counter!("passarela_internal_errors_total").increment(1);
        }
        Problem::Unavailable(cause) | Problem::StorageFull(cause) => {
            tracing::error!(error = %chain(cause), "the database does not serve: {problem}");
        }
        Problem::NoSigner { .. } => tracing::error!("{problem}"),
        _ => {}
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
