//! The settings of a profile on the command line.

use clap::Args;
use provisioning_store::model::{
    Authentication, CallerIdByCall, DigestAlgorithms, NumberPresentation, Srtp, Switch,
};
use serde_json::{Value, json};

use crate::cli::shown::given;

#[derive(Args)]
pub(crate) struct Settings {
    /// How the PBX is recognised: registration or ip.
    #[arg(long)]
    authentication: Option<Authentication>,
    /// Digest algorithms it is offered: md5, sha256_and_md5 or sha256.
    #[arg(long)]
    digest: Option<DigestAlgorithms>,
    /// How numbers are written towards it: digits (12026843376) or e164 (+12026843376).
    #[arg(long)]
    presentation: Option<NumberPresentation>,
    /// Encryption of its media: auto, off, optional or required.
    #[arg(long)]
    srtp: Option<Srtp>,
    /// Whether it may choose its Caller ID call by call: denied or allowed.
    #[arg(long)]
    caller_id_by_call: Option<CallerIdByCall>,
    /// Whether it is told callers' names beside their numbers: on or off.
    #[arg(long)]
    caller_name: Option<Switch>,
}

impl Settings {
    /// What is named, as the API calls it.
    pub(super) fn fields(&self) -> Value {
        given(json!({
            "authentication": self.authentication,
            "digest": self.digest,
            "presentation": self.presentation,
            "srtp": self.srtp,
            "caller_id_by_call": self.caller_id_by_call,
            "caller_name": self.caller_name,
        }))
    }
}
