//! Bodies that are files.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use bytes::Bytes;

use crate::http::extract::read;
use crate::service::Problem;
use crate::wallet::design::archive::PACKED_MAX;

/// A zip, packed still.
pub struct Zip(pub Bytes);

impl FromRequest for Zip {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_owned();
            let bytes = read(&request, payload, PACKED_MAX).await?;
            if !media.eq_ignore_ascii_case("application/zip") {
                return Err(Problem::NotAZip);
            }
            Ok(Self(bytes))
        })
    }
}
