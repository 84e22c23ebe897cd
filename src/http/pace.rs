//! Bodies of requests, each of which has to keep moving.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// For any body.
const BODY: Duration = Duration::from_secs(30);
/// A longer one has to come at least so fast on the whole, octets a second.
const RATE: u64 = 16 * 1024;

/// A body that took too long.
#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body came too slowly")
    }
}

impl std::error::Error for TooSlow {}

/// Whether a body was given up because it came too slowly.
pub(super) fn is_too_slow(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The body with its time running; one that is there already needs none.
pub(super) fn paced(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let begun = Instant::now();
    Body::new(Paced { body, begun, received: 0, patience: Box::pin(sleep_until(begun + BODY)) })
}

struct Paced {
    body: Body,
    begun: Instant,
    received: u64,
    patience: Pin<Box<Sleep>>,
}

impl Paced {
    fn deadline(&self) -> Instant {
        self.begun + BODY + Duration::from_secs(self.received / RATE)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let deadline = self.deadline();
        if self.patience.deadline() != deadline {
            self.patience.as_mut().reset(deadline);
        }
        // Before what has come: otherwise a drop a second would go on for ever.
        if self.patience.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(octets) = frame.data_ref()
        {
            self.received += octets.len() as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use futures_util::{StreamExt, stream};
    use tokio::time::sleep;

    /// So many pieces of so many octets, one each second.
    fn dripping(pieces: usize, octets: usize) -> Body {
        let piece = move |_| async move {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; octets]))
        };
        paced(Body::from_stream(stream::iter(0..pieces).then(piece)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_given_up_and_a_long_one_that_flows_is_not() {
        assert_eq!(to_bytes(dripping(20, 1), 100).await.unwrap().len(), 20);
        let begun = Instant::now();
        let error = to_bytes(dripping(1_000, 1), 10_000).await.unwrap_err();
        assert!(begun.elapsed() <= BODY + Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(is_too_slow(&error), "{error:?}");
        let long = 200 * RATE as usize;
        assert_eq!(to_bytes(dripping(200, RATE as usize), long).await.unwrap().len(), long);
    }
}
