//! Pictures of templates and passes: what a request asks for, and the answer.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use serde::Deserialize;

use crate::domain::locale::Locale;
use crate::service::preview::Wanted;
use crate::wallet::preview::Look;

#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Svg,
    Png,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// front, back, poster, google, or sheet for all of them
    #[param(value_type = Option<String>, example = "front")]
    look: Option<Look>,
    /// The reader's language: pt-BR, en, es
    #[param(value_type = Option<String>, example = "pt-BR")]
    locale: Option<Locale>,
    /// svg, or png at two pixels for each point
    format: Option<Form>,
    /// Of a template: the version; the newest if absent
    pub version: Option<i64>,
}

impl Asked {
    fn is_png(&self) -> bool {
        matches!(self.format, Some(Form::Png))
    }

    pub fn wanted(&self) -> Wanted {
        Wanted { look: self.look.unwrap_or(Look::Sheet), locale: self.locale, is_png: self.is_png() }
    }

    pub fn answer(&self, picture: Vec<u8>) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "private, no-cache"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; img-src data:; style-src 'unsafe-inline'"))
            .content_type(if self.is_png() { "image/png" } else { "image/svg+xml" })
            .body(picture)
    }
}
