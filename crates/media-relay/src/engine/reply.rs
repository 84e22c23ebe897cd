//! The answer to a command, to be awaited or waited for.

use super::error::MediaError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// A command's outcome. The command is carried out whether or not anybody looks at this.
#[must_use = "the outcome says whether the command was carried out"]
pub struct Reply<T>(State<T>);

enum State<T> {
    Waiting(oneshot::Receiver<Result<T, MediaError>>),
    Refused(MediaError),
}

impl<T> Reply<T> {
    pub(super) fn waiting(receiver: oneshot::Receiver<Result<T, MediaError>>) -> Self {
        Self(State::Waiting(receiver))
    }

    pub(super) fn refused(error: MediaError) -> Self {
        Self(State::Refused(error))
    }

    /// Blocks this thread until the outcome is there. Not to be called from an async task.
    ///
    /// # Errors
    /// Those of the command.
    pub fn wait(self) -> Result<T, MediaError> {
        match self.0 {
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or(Err(MediaError::Stopped)),
            State::Refused(error) => Err(error),
        }
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, MediaError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(receiver) => {
                let outcome = ready!(Pin::new(receiver).poll(context));
                Poll::Ready(outcome.unwrap_or(Err(MediaError::Stopped)))
            }
            State::Refused(error) => Poll::Ready(Err(*error)),
        }
    }
}
