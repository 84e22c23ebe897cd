//! What may register: profiles' PBXs, and the phones of business accounts. The lists of them are asked for in one way.

use provisioning_store::model::CompanyId;
use provisioning_store::pages::{AccountFilter, Slice};
use serde::Deserialize;
use sip_core::types::ProfileId;
use utoipa::IntoParams;

use super::caller::Caller;
use super::error::Problem;
use super::page::{Cursor, Limit};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StationQuery {
    /// Only this company's.
    company: Option<i64>,
    /// Only this profile's.
    profile: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Things on a page.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    pub(super) limit: Limit,
}

impl StationQuery {
    /// Which stations the query is about, of those that the caller may see.
    pub(super) async fn part(&self, caller: &Caller) -> Result<Part, Problem> {
        let after = self.cursor.as_ref().map(Cursor::parse).transpose()?.map(ProfileId);
        let asked = self.profile.map(ProfileId);
        let mut only = match caller.scope(self.company)? {
            Some(company) => Some(stations(caller, company).await?),
            None => asked.map(|asked| vec![asked]),
        };
        if let Some(only) = &mut only {
            only.retain(|it| asked.is_none_or(|asked| asked == *it) && after.is_none_or(|after| *it > after));
            only.sort_unstable();
        }
        Ok(Part { only, after, most: self.limit.and_one() as usize })
    }
}

/// A part of a list of stations.
pub(super) struct Part {
    /// Only these, in order, all behind `after`; `None`: every station.
    pub(super) only: Option<Vec<ProfileId>>,
    /// The last station of the page before.
    pub(super) after: Option<ProfileId>,
    /// How many fit on the page, and one more, which tells that a page follows.
    pub(super) most: usize,
}

async fn stations(caller: &Caller, company: CompanyId) -> Result<Vec<ProfileId>, Problem> {
    let profiles = caller.store().profiles(Some(company)).await?;
    let filter = AccountFilter { company: Some(company), ..AccountFilter::default() };
    let all = Slice { after: None, most: u32::MAX };
    let accounts = caller.store().business_accounts_in(&filter, all).await?;
    let profiles = profiles.iter().map(|profile| ProfileId(profile.id.0));
    Ok(profiles.chain(accounts.iter().map(|account| ProfileId::of_phone(account.id.0))).collect())
}
