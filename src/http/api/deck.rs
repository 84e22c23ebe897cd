//! A rate deck that is sent as a body: read piece by piece, so that its length costs no memory.

use std::io::{self, Read};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::body::expect_type;
use super::entrance::{broken, hex, too_long};
use super::error::Problem;

/// Most octets of a deck: some million lines.
pub(super) const DECK_MOST: usize = 512 * 1024 * 1024;
/// Pieces of the body that may wait for the parser.
const PIECES_AHEAD: usize = 4;

/// The body, unread.
pub(super) struct Deck(Body);

impl<S: Send + Sync> FromRequest<S> for Deck {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        expect_type(request.headers(), "text/csv")?;
        Ok(Self(request.into_body()))
    }
}

/// What of the body goes into the trail.
pub(super) struct Receipt {
    pub(super) octets: usize,
    pub(super) sha256: String,
}

impl Deck {
    /// The body as something to be read on another thread, and what feeds it; both have to be driven.
    pub(super) fn split(self) -> (Feed, Pieces) {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        (Feed { body: self.0, sender }, Pieces { receiver, piece: Bytes::new() })
    }
}

/// Takes the body from the network.
pub(super) struct Feed {
    body: Body,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Feed {
    /// Hands the body on, piece by piece. After the parser has stopped, the rest is taken from the network all the same: a client
    /// that is still sending would not see the answer.
    pub(super) async fn run(mut self) -> Result<Receipt, Problem> {
        let outcome = self.hand_on().await;
        if outcome.is_err() {
            let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the body has no end");
            drop(self.sender.send(Err(cut)).await);
        }
        outcome
    }

    async fn hand_on(&mut self) -> Result<Receipt, Problem> {
        // A body that says how long it is need not come to be refused.
        if self.body.size_hint().lower() > DECK_MOST as u64 {
            return Err(too_long(DECK_MOST));
        }
        let (mut octets, mut hash) = (0, Sha256::new());
        while let Some(frame) = self.body.frame().await {
            let Ok(piece) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
            octets += piece.len();
            if octets > DECK_MOST {
                return Err(too_long(DECK_MOST));
            }
            hash.update(&piece);
            drop(self.sender.send(Ok(piece)).await);
        }
        Ok(Receipt { octets, sha256: hex(&hash.finalize()) })
    }
}

/// The body as it is read on a thread that may wait.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        into[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: Body) -> (Result<usize, Problem>, io::Result<String>) {
        let (feed, mut pieces) = Deck(body).split();
        let reading = tokio::task::spawn_blocking(move || io::read_to_string(&mut pieces));
        let receipt = feed.run().await.map(|receipt| receipt.octets);
        (receipt, reading.await.unwrap())
    }

    #[tokio::test]
    async fn a_body_is_read_piece_by_piece_and_its_end_is_told_from_its_loss() {
        let pieces = ["prefix,", "", "destination\n"];
        let whole = Body::from_stream(futures_util::stream::iter(pieces.map(Ok::<_, io::Error>)));
        let (receipt, text) = read(whole).await;
        assert_eq!((receipt.unwrap(), text.unwrap().as_str()), (19, "prefix,destination\n"));
        let cut = [Ok("prefix,"), Err(io::Error::other("gone"))];
        let (receipt, text) = read(Body::from_stream(futures_util::stream::iter(cut))).await;
        assert!(receipt.is_err() && text.is_err());
    }
}
