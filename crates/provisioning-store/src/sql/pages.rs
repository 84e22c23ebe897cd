//! Parts of long lists: conditions that were asked for, the order of identities, a limit.

use std::collections::BTreeMap;

use super::companies::CompanyRow;
use super::numbers::{AccountRow, NumberRow};
use super::profiles::ProfileRow;
use super::query::{QueryBuilder, Stored, Value};
use super::rates::RateRow;
use super::{Database, chunks, failed, statements, with_list};
use crate::error::StoreError;
use crate::model::{
    BusinessAccount, BusinessAccountId, Company, CompanyId, OnlineNumber, Profile, ProfileId,
};
use crate::pages::{AccountFilter, CompanyFilter, NumberFilter, ProfileFilter, Purse, RateFilter, Slice};
use crate::rating::Rate;

impl Database {
    pub(crate) async fn companies_in(
        &self,
        filter: &CompanyFilter,
        slice: Slice,
    ) -> Result<Vec<Company>, StoreError> {
        let mut statement = QueryBuilder::new(statements::COMPANIES_THAT);
        push_equal(&mut statement, "c.id", filter.company.map(|company| company.0));
        push_contains(&mut statement, "c.name", filter.name.as_deref());
        push_equal(&mut statement, "c.country", filter.country.clone());
        push_slice(&mut statement, "c.id", slice);
        let rows: Vec<CompanyRow> = self.rows(statement, "reading companies").await?;
        Ok(rows.into_iter().map(Company::from).collect())
    }

    pub(crate) async fn profiles_in(
        &self,
        filter: &ProfileFilter,
        slice: Slice,
    ) -> Result<Vec<Profile>, StoreError> {
        let mut statement = QueryBuilder::new(statements::PROFILES_THAT);
        push_equal(&mut statement, "p.company_id", filter.company.map(|company| company.0));
        push_contains(&mut statement, "p.name", filter.name.as_deref());
        push_equal(&mut statement, "p.sip_user", filter.sip_user.clone());
        push_slice(&mut statement, "p.id", slice);
        let rows: Vec<ProfileRow> = self.rows(statement, "reading profiles").await?;
        rows.into_iter().map(Profile::try_from).collect()
    }

    pub(crate) async fn numbers_in(
        &self,
        filter: &NumberFilter,
        slice: Slice,
    ) -> Result<Vec<OnlineNumber>, StoreError> {
        let mut statement = QueryBuilder::new(statements::NUMBERS_THAT);
        push_equal(&mut statement, "n.company_id", filter.company.map(|company| company.0));
        push_contains(&mut statement, "n.number", filter.number.as_deref());
        push_equal(&mut statement, "n.country", filter.country.clone());
        push_equal(&mut statement, "n.profile_id", filter.profile.map(|profile| profile.0));
        push_equal(&mut statement, "n.business_account_id", filter.business_account.map(|account| account.0));
        push_slice(&mut statement, "n.id", slice);
        let rows: Vec<NumberRow> = self.rows(statement, "reading numbers").await?;
        rows.into_iter().map(OnlineNumber::try_from).collect()
    }

    pub(crate) async fn accounts_in(
        &self,
        filter: &AccountFilter,
        slice: Slice,
    ) -> Result<Vec<BusinessAccount>, StoreError> {
        let mut statement = QueryBuilder::new(statements::BUSINESS_ACCOUNTS_THAT);
        push_equal(&mut statement, "company_id", filter.company.map(|company| company.0));
        push_contains(&mut statement, "name", filter.name.as_deref());
        push_equal(&mut statement, "profile_id", filter.profile.map(|profile| profile.0));
        push_slice(&mut statement, "id", slice);
        let rows: Vec<AccountRow> = self.rows(statement, "reading business accounts").await?;
        Ok(rows.into_iter().map(BusinessAccount::from).collect())
    }

    pub(crate) async fn account(
        &self,
        account: BusinessAccountId,
    ) -> Result<Option<BusinessAccount>, StoreError> {
        let mut statement = QueryBuilder::new(statements::BUSINESS_ACCOUNTS_THAT);
        push_equal(&mut statement, "id", Some(account.0));
        let rows: Vec<AccountRow> = self.rows(statement, "reading a business account").await?;
        Ok(rows.into_iter().next().map(BusinessAccount::from))
    }

    pub(crate) async fn purses(
        &self,
        profiles: &[ProfileId],
    ) -> Result<BTreeMap<ProfileId, Purse>, StoreError> {
        let mut purses = BTreeMap::new();
        for chunk in chunks(&profiles.iter().map(|profile| profile.0).collect::<Vec<_>>()) {
            let statement = with_list(statements::PURSES_IN, chunk, "");
            let rows: Vec<(i64, i64, String)> = self.rows(statement, "reading currencies").await?;
            purses.extend(rows.into_iter().map(|(profile, company, currency)| {
                (ProfileId(profile), Purse { company: CompanyId(company), currency })
            }));
        }
        Ok(purses)
    }

    pub(crate) async fn rates_in(
        &self,
        filter: &RateFilter,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<Rate>, StoreError> {
        let mut statement = QueryBuilder::new("");
        // The list and the moment are named twice.
        statement.bind_named(filter.price_list.as_str()).bind_named(filter.at.0);
        statement.push(statements::RATES_THAT);
        push_equal(&mut statement, "country", filter.country.clone());
        if let Some(prefix) = &filter.prefix {
            // Prefixes are digits; what is not one can begin none.
            let beginning = prefix.replace(['%', '_'], "x");
            statement.push(" AND prefix LIKE ").push_bind(format!("{beginning}%"));
        }
        if let Some(after) = after {
            statement.push(" AND prefix > ").push_bind(after.to_owned());
        }
        statement.push(" ORDER BY prefix LIMIT ").push_bind(i64::from(most));
        let rows: Vec<RateRow> = self.rows(statement, "reading rates").await?;
        rows.into_iter().map(Rate::try_from).collect()
    }

    async fn rows<R>(&self, statement: QueryBuilder, doing: &'static str) -> Result<Vec<R>, StoreError>
    where
        R: Stored,
    {
        statement.build_query_as().fetch_all(self.reader()).await.map_err(failed(doing))
    }
}

/// What comes after the last one seen, in the order of `key`.
pub(super) fn push_slice(statement: &mut QueryBuilder, key: &'static str, slice: Slice) {
    if let Some(after) = slice.after {
        statement.push(" AND ").push(key).push(" > ").push_bind(after);
    }
    statement.push(" ORDER BY ").push(key).push(" LIMIT ").push_bind(i64::from(slice.most));
}

fn push_equal(statement: &mut QueryBuilder, column: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        statement.push(" AND ").push(column).push(" = ").push_bind(value);
    }
}

/// The database folds ASCII letters only, or all of them; either way it folds both sides.
fn push_contains(statement: &mut QueryBuilder, column: &'static str, part: Option<&str>) {
    if let Some(part) = part {
        statement.push(" AND LOWER(").push(column).push(") LIKE LOWER(").push_bind(pattern(part));
        statement.push(") ESCAPE '!'");
    }
}

/// A pattern that a text containing `part` matches, with nothing in it that means something else.
fn pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_letters() {
        assert_eq!(pattern("50%_!"), "%50!%!_!!%");
    }
}
