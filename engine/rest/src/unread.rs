//! Bodies that no route read: they are taken in before the answer is sent, or the answer says that the connection ends. A client whose
//! connection ends without a word sends its next request into it.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes of a body that are taken in though no route wants them, and how long they are waited for.
const TAKEN_BYTES: usize = 256 << 10;
const TAKEN_TIME: Duration = Duration::from_secs(2);

/// A body that comes back when its reader is done with it.
struct Lent {
    body: Option<Body>,
    back: Arc<Mutex<Option<Body>>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// Answers a request and sees to what is left of its body.
pub(crate) async fn taken_in(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || request.version() >= Version::HTTP_2 {
        return next.run(request).await;
    }
    // Who asks before sending a body does not send the one that is not wanted.
    let asks = request.headers().contains_key(header::EXPECT);
    let back = Arc::new(Mutex::new(None));
    let lent = |body| Body::new(Lent { body: Some(body), back: Arc::clone(&back) });
    let mut answer = next.run(request.map(lent)).await;
    let left = back.lock().unwrap_or_else(PoisonError::into_inner).take();
    let is_over = match left {
        None => true,
        Some(body) if body.is_end_stream() => true,
        Some(_) if asks => false,
        Some(body) => tokio::time::timeout(TAKEN_TIME, ends(body)).await.unwrap_or(false),
    };
    if !is_over {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Whether a body is over within the bound.
async fn ends(body: Body) -> bool {
    axum::body::to_bytes(body, TAKEN_BYTES).await.is_ok()
}
