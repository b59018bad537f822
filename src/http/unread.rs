//! Bodies that nobody reads. actix throws away the rest of a chunked body for as long as the client sends, or stays
//! silent; one whose reader is still there when the answer is sent ends the connection instead.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _};
use bytes::Bytes;
use futures_util::StreamExt as _;

/// A response body that keeps the request's body open until it is sent.
pub struct Holding<B> {
    body: Pin<Box<B>>,
    _request: Option<Rc<RefCell<Payload>>>,
}

impl<B: MessageBody> MessageBody for Holding<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        self.body.as_mut().poll_next(context)
    }
}

/// Keeps every chunked body until its answer is sent.
pub async fn hold<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Holding<B>>, Error> {
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let held = is_chunked.then(|| {
        let held = Rc::new(RefCell::new(request.take_payload()));
        let read = Rc::clone(&held);
        let payload = futures_util::stream::poll_fn(move |context| read.borrow_mut().poll_next_unpin(context));
        request.set_payload(Payload::Stream { payload: Box::pin(payload) });
        held
    });
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Holding { body: Box::pin(body), _request: held }))
}
