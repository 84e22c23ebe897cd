//! A profile's settings: how its PBX proves who it is, and how it is spoken to.

use provisioning_store::model::{
    Authentication, CallerIdByCall, DigestAlgorithms, NumberPresentation, ProfileSettings, Srtp, Switch,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::word::word;

/// How a profile's PBX proves who it is, and how it is spoken to.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ProfileSettings)]
pub(super) struct SettingsView {
    #[schema(schema_with = word::<Authentication>)]
    authentication: Authentication,
    #[schema(schema_with = word::<DigestAlgorithms>)]
    digest: DigestAlgorithms,
    #[schema(schema_with = word::<NumberPresentation>)]
    presentation: NumberPresentation,
    #[schema(schema_with = word::<Srtp>)]
    srtp: Srtp,
    #[schema(schema_with = word::<CallerIdByCall>)]
    caller_id_by_call: CallerIdByCall,
    #[schema(schema_with = word::<Switch>)]
    caller_name: Switch,
}

impl From<ProfileSettings> for SettingsView {
    fn from(settings: ProfileSettings) -> Self {
        let ProfileSettings { authentication, digest, presentation, srtp, caller_id_by_call, caller_name } =
            settings;
        Self { authentication, digest, presentation, srtp, caller_id_by_call, caller_name }
    }
}

/// Changed settings; what is left out stays, or is as it usually is.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProfileSettingsChange)]
pub(super) struct SettingsChange {
    /// How the PBX is recognised: by user name and password, or by its address.
    #[schema(schema_with = word::<Authentication>, required = false)]
    authentication: Option<Authentication>,
    /// Digest algorithms that it is offered.
    #[schema(schema_with = word::<DigestAlgorithms>, required = false)]
    digest: Option<DigestAlgorithms>,
    /// How called numbers are written towards it: `digits` is 12026843376, `e164` is +12026843376.
    #[schema(schema_with = word::<NumberPresentation>, required = false)]
    presentation: Option<NumberPresentation>,
    /// Encryption of its media.
    #[schema(schema_with = word::<Srtp>, required = false)]
    srtp: Option<Srtp>,
    /// Whether it may choose among the profile's numbers call by call.
    #[schema(schema_with = word::<CallerIdByCall>, required = false)]
    caller_id_by_call: Option<CallerIdByCall>,
    /// Whether it is told callers' names beside their numbers; on at first.
    #[schema(schema_with = word::<Switch>, required = false)]
    caller_name: Option<Switch>,
}

impl SettingsChange {
    /// What is named replaces what is there.
    pub(super) fn over(self, before: ProfileSettings) -> ProfileSettings {
        ProfileSettings {
            authentication: self.authentication.unwrap_or(before.authentication),
            digest: self.digest.unwrap_or(before.digest),
            presentation: self.presentation.unwrap_or(before.presentation),
            srtp: self.srtp.unwrap_or(before.srtp),
            caller_id_by_call: self.caller_id_by_call.unwrap_or(before.caller_id_by_call),
            caller_name: self.caller_name.unwrap_or(before.caller_name),
        }
    }
}
