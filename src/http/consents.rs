//! `/api/v1/customers/{id}/consents`: what people agree to, by purpose and channel.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::consent::{Channel, ConsentState};
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Reader};
use crate::http::extract::{Body, id};
use crate::http::page::Page;
use crate::service::consents::{self, Decision};
use crate::service::{App, Problem};
use crate::store::consents::Consent;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideBody {
    /// What for, in the brand's own word: 1 to 32 small letters, digits and _.
    #[schema(example = "marketing")]
    purpose: String,
    /// any, wallet, app, email, sms, whatsapp, phone or post.
    #[schema(value_type = String, example = "wallet")]
    channel: Channel,
    /// granted or withdrawn.
    #[schema(value_type = String, example = "granted")]
    state: ConsentState,
    /// Which text they were shown.
    #[schema(example = "2026-11", max_length = 64)]
    notice_version: String,
    /// Where they said so.
    #[schema(example = "enrolment form", max_length = 64)]
    source: String,
    /// Now, if absent. An older decision than the one that is known changes nothing.
    decided_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConsentView {
    #[schema(example = "marketing")]
    purpose: String,
    #[schema(value_type = String, example = "wallet")]
    channel: Channel,
    #[schema(value_type = String, example = "granted")]
    state: ConsentState,
    notice_version: String,
    source: String,
    decided_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

fn page(found: Vec<Consent>) -> HttpResponse {
    let view = |consent: Consent| ConsentView {
        purpose: consent.purpose,
        channel: consent.channel,
        state: consent.state,
        notice_version: consent.notice_version,
        source: consent.source,
        decided_at: consent.decided_at,
        created_at: consent.created_at,
    };
    HttpResponse::Ok().json(Page { data: found.into_iter().map(view).collect::<Vec<_>>(), next: None })
}

/// What a customer agreed to: the newest decision for each purpose and channel
#[utoipa::path(get, path = "/api/v1/customers/{id}/consents", tag = "customers", params(("id" = String, Path)),
    responses((status = 200, description = "The decisions", body = Page<ConsentView>)))]
pub async fn list(
    allow: Allow<(Reader, Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (brand, customer) = (allow.caller.brand.id, id(&path, "customer")?);
    Ok(page(app.run(async move |app| consents::list(&app, brand, customer).await).await?))
}

/// Record that a customer agreed, or takes it back; repeating it changes nothing
#[utoipa::path(post, path = "/api/v1/customers/{id}/consents", tag = "customers", request_body = DecideBody,
    params(("id" = String, Path)),
    responses((status = 200, description = "What holds now", body = Page<ConsentView>)))]
pub async fn decide(
    allow: Allow<(Issuer, Admin)>,
    app: Data<App>,
    path: Path<String>,
    body: Body<DecideBody>,
) -> Result<HttpResponse, Problem> {
    let (brand, customer) = (allow.caller.brand.id, id(&path, "customer")?);
    let DecideBody { purpose, channel, state, notice_version, source, decided_at } = body.value;
    let decision = Decision { purpose, channel, state, notice_version, source, decided_at };
    Ok(page(app.run(async move |app| consents::decide(&app, brand, customer, decision).await).await?))
}
