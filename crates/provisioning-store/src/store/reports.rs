//! Reports, and what a call would do: the store's verbs for them.

use super::Store;
use crate::cdr::{Attempt, CallId};
use crate::error::StoreError;
use crate::ledger::{LedgerEntry, LedgerOp, Outcome};
use crate::lifecycle::{self, NumberLease, PriceList, Renewal};
use crate::model::{CompanyId, ProfileId, Timestamp};
use crate::reports::{AllocationRow, LedgerUsage, Month, Payee, Statement, UpcomingPayment, Usage};

impl Store {
    /// What a profile's answered outgoing calls that began in a month came to, by destination.
    pub async fn usage(&self, profile: ProfileId, month: Month) -> Result<Usage, StoreError> {
        self.profile(profile).await?;
        Ok(Usage::new(profile, month, self.database.usage(profile, month).await?))
    }

    /// The same sums rebuilt from the ledger's transfers of these calls. That the ledger has no others is what
    /// [`verify`](Self::verify) makes sure of.
    pub async fn usage_by_ledger(&self, profile: ProfileId, month: Month) -> Result<LedgerUsage, StoreError> {
        self.database.ledger_usage(profile, month).await
    }

    /// What was bought for a profile in a month, and what credit went to or from it.
    pub async fn allocations(
        &self,
        profile: ProfileId,
        month: Month,
    ) -> Result<Vec<AllocationRow>, StoreError> {
        self.profile(profile).await?;
        self.database.allocations(profile, month).await
    }

    /// A company's statement: its credit through a month, and what is to be paid next at these prices.
    pub async fn statement(
        &self,
        company: CompanyId,
        month: Month,
        prices: &PriceList,
    ) -> Result<Statement, StoreError> {
        self.company(company).await?;
        let (opening, rows) = self.database.movements(company, month).await?;
        let closing = rows.last().map_or(opening, |row| row.balance);
        let upcoming = self.upcoming_payments(company, prices).await?;
        Ok(Statement { company, month, opening, rows, closing, upcoming })
    }

    /// What a company has to pay next, for each profile and number that renews, by date.
    pub async fn upcoming_payments(
        &self,
        company: CompanyId,
        prices: &PriceList,
    ) -> Result<Vec<UpcomingPayment>, StoreError> {
        let mut upcoming = Vec::new();
        for profile in self.profiles(Some(company)).await? {
            let renewing = profile.subscription.filter(|it| it.renewal == Renewal::Automatic);
            let price = |it| lifecycle::renew(prices, &it).ok()?.price().map(|price| (it.paid_until, price));
            if let Some((at, amount)) = renewing.and_then(price) {
                upcoming.push(UpcomingPayment { at, payee: Payee::Profile(profile.id), amount });
            }
        }
        for number in self.database.numbers_of_company(company).await? {
            let lease = number.lease.filter(|lease| lease.company == company);
            let renewing =
                |lease: &NumberLease| matches!(lease.renewal, Renewal::Automatic | Renewal::Unpaid);
            if let Some(lease) = lease.filter(renewing) {
                let (at, amount) = (lease.paid_until, lease.offer.fee);
                upcoming.push(UpcomingPayment { at, payee: Payee::Number(number.id), amount });
            }
        }
        upcoming.sort_unstable();
        Ok(upcoming)
    }

    /// What the ledger would say to a call, without making it: the same rules on the same rows, and nothing written.
    pub async fn rehearse(
        &self,
        now: Timestamp,
        profile: ProfileId,
        attempt: Attempt,
    ) -> Result<Outcome, StoreError> {
        let call = CallId::new("a rehearsal");
        let op = LedgerOp::Reserve { call, profile, attempt: Box::new(attempt) };
        Ok(self.database.rehearse(self.author(), LedgerEntry { at: now, op }).await??)
    }
}
