//! Reading of request bodies piece by piece, with patience for silence and an end for the whole.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::StreamExt;
use http::StatusCode;
use tokio::time::{Instant, timeout, timeout_at};

use crate::errors::Refusal;

/// A sender that is silent for longer is given up; nothing of what it sent is kept.
const SILENCE: Duration = Duration::from_secs(30);

/// A body on its way in.
pub(crate) struct Pieces {
    stream: BodyDataStream,
    silence: Duration,
    end: Instant,
}

impl Pieces {
    /// The pieces of `body`, which must have come after `whole`, however steadily the sender drips.
    pub(crate) fn of(body: Body, whole: Duration) -> Self {
        Self::with(body, SILENCE, whole)
    }

    fn with(body: Body, silence: Duration, whole: Duration) -> Self {
        Self { stream: body.into_data_stream(), silence, end: Instant::now() + whole }
    }

    /// The next piece; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let late = |why| Refusal::invalid(why).with_status(StatusCode::REQUEST_TIMEOUT);
        let piece = timeout_at(self.end, timeout(self.silence, self.stream.next()))
            .await
            .map_err(|_| late("The transfer took too long."))?
            .map_err(|_| late("The sender was silent for too long."))?;
        piece.transpose().map_err(|_| Refusal::invalid("The transfer broke off."))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Sends a byte every ten milliseconds, for ever.
    fn drip() -> Body {
        Body::from_stream(stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        }))
    }

    #[tokio::test]
    async fn a_sender_that_never_ends_is_ended() {
        let mut pieces = Pieces::with(drip(), Duration::from_mins(1), Duration::from_millis(200));
        let reading = async {
            loop {
                if let Err(refusal) = pieces.next().await {
                    return refusal;
                }
            }
        };
        let refusal = timeout(Duration::from_secs(10), reading).await.expect("it ends");
        assert_eq!(
            (refusal.status(), refusal.message()),
            (StatusCode::REQUEST_TIMEOUT, "The transfer took too long.")
        );
    }

    #[tokio::test]
    async fn a_silent_sender_is_given_up() {
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let mut pieces = Pieces::with(silent, Duration::from_millis(50), Duration::from_mins(1));
        assert_eq!(pieces.next().await.unwrap_err().message(), "The sender was silent for too long.");
    }
}
