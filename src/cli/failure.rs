//! Why a command failed, and with which exit status.

use std::process::ExitCode;

use provisioning_store::error::StoreError;
use provisioning_store::model::UnknownChoice;
use sipgw::StartError;
use sipgw::config::ConfigError;
use sipgw::storage::OpenError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The rules forbid it, or there is no such thing.
    #[error("{0}")]
    Refused(String),
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The database or the daemon does not answer.
    #[error("{0}")]
    Unanswered(String),
}

impl Failure {
    /// Documented in the help text.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) => 1,
            Self::Config(_) => 3,
            Self::Unanswered(_) => 4,
        })
    }

    /// Names a thing that is not there, and what to do about it.
    pub(crate) fn no_such(what: &str, name: &str, cure: &str) -> Self {
        Self::Refused(format!("there is no {what} \"{name}\": {cure}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            Self::Unanswered(error.to_string())
        } else {
            Self::Refused(error.to_string())
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Unanswered(format!("the store cannot be opened: {error}"))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => Self::Config(error),
            other => Self::Unanswered(other.to_string()),
        }
    }
}

impl From<UnknownChoice> for Failure {
    fn from(error: UnknownChoice) -> Self {
        Self::Refused(error.to_string())
    }
}
