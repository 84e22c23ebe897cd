//! Whoever asks: what they are, what they may see, and in whose name they change things.
//!
//! Handlers reach the store through here alone. [`Caller::company`] and its like answer 404 to whoever has nothing to do
//! with the thing; [`Caller::acting_on`] gives a store that writes the audit trail with every change.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use provisioning_store::audit::Deed;
use provisioning_store::model::{
    BusinessAccount, BusinessAccountId, Company, CompanyId, NumberId, OnlineNumber, Payment, PaymentId,
    Profile, ProfileId, Timestamp, TokenId,
};
use provisioning_store::pages::Purse;
use provisioning_store::store::Store;
use provisioning_store::things::Condition;
use provisioning_store::tokens::{Role, Token};

use super::error::Problem;
use crate::http::Site;

/// Whoever asks.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) site: Site,
    pub(super) role: Role,
    /// When the token that is shown ends, if it does.
    pub(super) ends_at: Option<Timestamp>,
    /// What a change will be recorded as; its company is known to the handler alone.
    pub(super) deed: Arc<Deed>,
    /// What a change is conditional on.
    pub(super) condition: Option<Arc<Condition>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The entrance has put it there; what came another way has no business here.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unknown)
    }
}

/// Nobody that is known here.
pub(super) fn unknown() -> Problem {
    let sentence =
        "this needs a valid token in the header Authorization: Bearer; sipgw token create makes one";
    Problem::new(StatusCode::UNAUTHORIZED, "no_token", sentence)
}

impl Caller {
    /// The store, for reading.
    pub(super) fn store(&self) -> &Store {
        &self.site.store
    }

    /// The store, for changing what is this company's, or with `None` what is the installation's. Whoever is no operator
    /// creates no more through it than the company's quotas allow.
    pub(super) fn acting_on(&self, company: impl Into<Option<CompanyId>>) -> Store {
        let store = self.site.store.on_behalf(Deed { company: company.into(), ..Deed::clone(&self.deed) });
        let store = match &self.condition {
            Some(condition) => store.only_while(Condition::clone(condition)),
            None => store,
        };
        match self.role {
            Role::Operator => store,
            _ => store.within(self.site.config.load().http.quotas),
        }
    }

    /// The same for what is the installation's, with what was given told in the trail: a body that the handler has read.
    pub(super) fn acting_with(&self, given: &serde_json::Value) -> Store {
        self.site.store.on_behalf(Deed { detail: given.to_string(), ..Deed::clone(&self.deed) })
    }

    /// Notes in the audit trail that somebody looks at what is this company's and secret.
    pub(super) async fn note_look(&self, company: CompanyId) -> Result<(), Problem> {
        Ok(self.acting_on(company).record().await?)
    }

    /// Whether the caller is limited to no company.
    pub(super) fn sees_all(&self) -> bool {
        self.role.company().is_none()
    }

    pub(super) fn may_see(&self, company: CompanyId) -> bool {
        self.role.company().is_none_or(|own| own == company)
    }

    /// A company that may be seen.
    pub(super) async fn company(&self, company: CompanyId) -> Result<Company, Problem> {
        match self.may_see(company) {
            true => Ok(self.store().company(company).await?),
            false => Err(Problem::absent("company", company)),
        }
    }

    /// A profile that may be seen.
    pub(super) async fn profile(&self, profile: ProfileId) -> Result<Profile, Problem> {
        let found = self.store().profile(profile).await?;
        if self.may_see(found.company) { Ok(found) } else { Err(Problem::absent("profile", profile)) }
    }

    /// A profile that may be seen, and the company that pays for it.
    pub(super) async fn profile_and_company(
        &self,
        profile: ProfileId,
    ) -> Result<(Profile, Company), Problem> {
        let profile = self.profile(profile).await?;
        let company = self.store().company(profile.company).await?;
        Ok((profile, company))
    }

    /// An Online Number that may be seen.
    pub(super) async fn number(&self, number: NumberId) -> Result<OnlineNumber, Problem> {
        let found = self.store().number(number).await?;
        if self.may_see(found.company) { Ok(found) } else { Err(Problem::absent("Online Number", number)) }
    }

    /// A business account that may be seen.
    pub(super) async fn account(&self, account: BusinessAccountId) -> Result<BusinessAccount, Problem> {
        let found = self.store().business_account(account).await?;
        if self.may_see(found.company) {
            Ok(found)
        } else {
            Err(Problem::absent("business account", account))
        }
    }

    /// A payment that may be seen, and the company that pays it.
    pub(super) async fn payment(&self, payment: PaymentId) -> Result<(Payment, Company), Problem> {
        let found = self.store().payment(payment).await?;
        if !self.may_see(found.company) {
            return Err(Problem::absent("payment", payment));
        }
        let company = self.store().company(found.company).await?;
        Ok((found, company))
    }

    /// A token that may be seen. An operator's token is nothing to an administrator.
    pub(super) async fn token(&self, token: TokenId) -> Result<Token, Problem> {
        let found = self.store().token(token).await?;
        if self.sees_all() || found.role.company() == self.role.company() {
            Ok(found)
        } else {
            Err(Problem::absent("token", token))
        }
    }

    /// The company that a list is limited to: the one that was asked for, and an administrator's own in any case.
    pub(super) fn scope(&self, asked: Option<i64>) -> Result<Option<CompanyId>, Problem> {
        let asked = asked.map(CompanyId);
        match (asked, self.role.company()) {
            (Some(asked), Some(own)) if asked != own => Err(Problem::absent("company", asked)),
            (asked, own) => Ok(asked.or(own)),
        }
    }

    /// Who pays for these profiles, and in what; those that the caller may not see are left out.
    pub(super) async fn purses(
        &self,
        profiles: impl IntoIterator<Item = ProfileId>,
    ) -> Result<std::collections::BTreeMap<ProfileId, Purse>, Problem> {
        let mut profiles: Vec<ProfileId> = profiles.into_iter().collect();
        profiles.sort_unstable();
        profiles.dedup();
        let mut purses = self.store().purses(&profiles).await?;
        purses.retain(|_, purse| self.may_see(purse.company));
        Ok(purses)
    }
}
