//! A bundle as a response body: its two pieces one after the other, nothing copied.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, ETAG, HttpDate, LAST_MODIFIED};
use bytes::Bytes;

use crate::service::bundles::SignedPass;

/// The two pieces of a bundle.
pub struct Pieces {
    length: u64,
    left: std::array::IntoIter<Bytes, 2>,
}

impl MessageBody for Pieces {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(self.left.next().map(Ok))
    }
}

/// Apple's media type for one pass.
pub const PKPASS: &str = "application/vnd.apple.pkpass";

/// 200 with the bundle and everything a phone or browser wants to know of it.
pub fn respond(served: &SignedPass, serial: &str) -> HttpResponse {
    let pieces = Pieces { length: served.bundle.len() as u64, left: served.bundle.pieces().into_iter() };
    let body = HttpResponse::Ok()
        .insert_header((LAST_MODIFIED, http_date(served.last_modified)))
        .insert_header((ETAG, etag(&served.apple_hash)))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((CONTENT_DISPOSITION, format!("inline; filename=\"{serial}.pkpass\"")))
        .content_type(PKPASS)
        .message_body(pieces);
    body.map_or_else(|_| HttpResponse::InternalServerError().finish(), |response| response.map_into_boxed_body())
}

/// 304: the reader has this version.
pub fn not_modified(last_modified: i64, apple_hash: &[u8]) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((LAST_MODIFIED, http_date(last_modified)))
        .insert_header((ETAG, etag(apple_hash)))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .finish()
}

pub fn etag(apple_hash: &[u8]) -> String {
    format!("\"{}\"", hex::encode(apple_hash.get(..12).unwrap_or_default()))
}

fn http_date(unix_secs: i64) -> HttpDate {
    let since = std::time::Duration::from_secs(u64::try_from(unix_secs).unwrap_or_default());
    HttpDate::from(std::time::UNIX_EPOCH + since)
}

/// The Unix second that `If-Modified-Since` names; `None` when it is absent or not a date.
pub fn if_modified_since(request: &actix_web::HttpRequest) -> Option<i64> {
    use actix_web::http::header::{Header as _, IfModifiedSince};
    request.headers().get(IfModifiedSince::name())?;
    let IfModifiedSince(date) = IfModifiedSince::parse(request).ok()?;
    let since = std::time::SystemTime::from(date).duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
