//! The settings of a profile on the command line.

use clap::Args;
use provisioning_store::model::{Authentication, CallerIdByCall, DigestAlgorithms, NumberPresentation, Srtp};

use super::ProfileSettings;

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
}

impl Settings {
    /// What is named replaces what is there.
    pub(super) fn over(self, before: ProfileSettings) -> ProfileSettings {
        ProfileSettings {
            authentication: self.authentication.unwrap_or(before.authentication),
            digest: self.digest.unwrap_or(before.digest),
            presentation: self.presentation.unwrap_or(before.presentation),
            srtp: self.srtp.unwrap_or(before.srtp),
            caller_id_by_call: self.caller_id_by_call.unwrap_or(before.caller_id_by_call),
        }
    }
}
