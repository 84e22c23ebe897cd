//! The versions of things, and whether a change finds the one that it is conditional on.

use sha2::{Digest, Sha256};

use super::query::{QueryBuilder, Value};
use super::{Connection, Database, failed};
use crate::error::StoreError;
use crate::things::{Condition, Thing};

/// Octets of a version.
const LENGTH: usize = 8;

/// Rows whose columns make a version, or a part of one.
struct Rows {
    table: &'static str,
    columns: &'static [&'static str],
    /// The column that holds the thing's name; empty where the table has one row alone.
    key: &'static str,
    order: &'static str,
}

const COMPANY: Rows = Rows {
    table: "companies",
    columns: &[
        "id",
        "name",
        "country",
        "currency",
        "is_verified",
        "verified_by",
        "verified_at",
        "price_list",
        "calls_per_second",
        "suspended_at",
        "suspended_for",
    ],
    key: "id",
    order: "id",
};
const COMPANY_RECHARGE: Rows = Rows {
    table: "company_recharges",
    columns: &["threshold_micros", "amount_micros"],
    key: "company_id",
    order: "company_id",
};
const ADMINISTRATORS: Rows = Rows {
    table: "administrators",
    columns: &["email", "name", "business_account_id"],
    key: "company_id",
    order: "email",
};
const LANDLINES: Rows = Rows {
    table: "landlines",
    columns: &["number", "verified_by", "verified_at"],
    key: "company_id",
    order: "number",
};
const PAYMENT: Rows =
    Rows { table: "payments", columns: &["state", "settled_at", "word"], key: "id", order: "id" };
const PROFILE: Rows = Rows {
    table: "profiles",
    columns: &[
        "id",
        "company_id",
        "name",
        "sip_user",
        "authentication",
        "digest",
        "presentation",
        "srtp",
        "caller_id_by_call",
        "caller_name",
        "suspended_at",
        "suspended_for",
    ],
    key: "id",
    order: "id",
};
const SUBSCRIBER: Rows = Rows {
    table: "subscribers",
    columns: &[
        "channels",
        "bundles",
        "period",
        "bought_at",
        "paid_until",
        "channels_price_micros",
        "bundles_price_micros",
        "bundle_s",
        "renewal",
        "changed_at",
        "closed_at",
        "recharge_threshold_micros",
        "recharge_amount_micros",
        "spend_guard",
    ],
    key: "profile_id",
    order: "profile_id",
};
const SPEND_GUARD: Rows =
    Rows { table: "subscribers", columns: &["spend_guard"], key: "profile_id", order: "profile_id" };
const CREDENTIALS: Rows =
    Rows { table: "profiles", columns: &["sip_user", "sealed_password"], key: "id", order: "id" };
const ADDRESSES: Rows = Rows {
    table: "ip_rules",
    columns: &["id", "network", "port", "transport", "certificate", "state"],
    key: "profile_id",
    order: "id",
};
const CALLER_IDS: Rows = Rows {
    table: "caller_ids",
    columns: &["country", "choice", "number"],
    key: "profile_id",
    order: "country",
};
const NUMBER: Rows = Rows {
    table: "online_numbers",
    columns: &["id", "company_id", "number", "country", "profile_id", "business_account_id"],
    key: "id",
    order: "id",
};
const LEASE: Rows = Rows {
    table: "number_leases",
    columns: &["company_id", "number", "fee_micros", "term_days", "term", "paid_until", "renewal"],
    key: "number_id",
    order: "number_id",
};
const STOCK_NUMBER: Rows = Rows {
    table: "number_stock",
    columns: &["number", "country", "fee_micros", "term_days"],
    key: "number",
    order: "number",
};
const ACCOUNT: Rows = Rows {
    table: "business_accounts",
    columns: &["id", "company_id", "name", "profile_id", "extension"],
    key: "id",
    order: "id",
};
const ACCOUNT_CREDENTIALS: Rows =
    Rows { table: "business_accounts", columns: &["name", "sealed_password"], key: "id", order: "id" };
const CARRIER: Rows = Rows {
    table: "carriers",
    columns: &[
        "id",
        "name",
        "host",
        "port",
        "transport",
        "priority",
        "weight",
        "digest_user",
        "sealed_password",
        "sources",
        "number_format",
        "strip",
        "prefix",
        "srtp",
        "active",
        "country",
        "trust",
    ],
    key: "id",
    order: "id",
};
const RATES: Rows = Rows { table: "directory_revision", columns: &["of_rates"], key: "", order: "only_row" };
const TOKEN: Rows = Rows {
    table: "tokens",
    columns: &["id", "name", "company_id", "role", "created_at", "expires_at", "revoked_at"],
    key: "id",
    order: "id",
};

/// The rows that a thing is made of, and its name in them.
fn rows_of(thing: &Thing) -> (&'static [Rows], Option<Value>) {
    let (rows, key): (&'static [Rows], Value) = match thing {
        Thing::Company(id) => (&[COMPANY], id.0.into()),
        Thing::CompanyRecharge(id) => (&[COMPANY_RECHARGE], id.0.into()),
        Thing::Administrators(id) => (&[ADMINISTRATORS], id.0.into()),
        Thing::Landlines(id) => (&[LANDLINES], id.0.into()),
        Thing::Payment(id) => (&[PAYMENT], id.0.into()),
        Thing::Profile(id) => (&[PROFILE, SUBSCRIBER], id.0.into()),
        Thing::SpendGuard(id) => (&[SPEND_GUARD], id.0.into()),
        Thing::Credentials(id) => (&[CREDENTIALS], id.0.into()),
        Thing::Addresses(id) => (&[ADDRESSES], id.0.into()),
        Thing::CallerIds(id) => (&[CALLER_IDS], id.0.into()),
        Thing::Number(id) => (&[NUMBER, LEASE], id.0.into()),
        Thing::StockNumber(number) => (&[STOCK_NUMBER], number.into()),
        Thing::Account(id) => (&[ACCOUNT], id.0.into()),
        Thing::AccountCredentials(id) => (&[ACCOUNT_CREDENTIALS], id.0.into()),
        Thing::Carrier(id) => (&[CARRIER], id.0.into()),
        Thing::Rates => return (&[RATES], None),
        Thing::Token(id) => (&[TOKEN], id.0.into()),
    };
    (rows, Some(key))
}

impl Rows {
    /// Each row as one text, in which every column says how long it is.
    fn statement(&self, key: Option<&Value>) -> QueryBuilder {
        let mut statement = QueryBuilder::new("SELECT ''");
        for column in self.columns {
            statement.push(&format!(
                " || COALESCE('.' || LENGTH(CAST({column} AS TEXT)) || '.' || CAST({column} AS TEXT), '-')"
            ));
        }
        statement.push(&format!(" FROM {}", self.table));
        if let Some(key) = key {
            statement.push(&format!(" WHERE {} = ", self.key)).push_bind(key.clone());
        }
        statement.push(&format!(" ORDER BY {}", self.order));
        statement
    }
}

/// The version of a thing. One that is not there has a version too.
async fn version(connection: &mut Connection, thing: &Thing) -> Result<String, StoreError> {
    let (parts, key) = rows_of(thing);
    let mut hash = Sha256::new();
    for part in parts {
        let rows: Vec<String> = part
            .statement(key.as_ref())
            .build_query_scalar()
            .fetch_all(&mut *connection)
            .await
            .map_err(failed("reading a version"))?;
        for row in rows {
            hash.update((row.len() as u64).to_be_bytes());
            hash.update(row);
        }
        hash.update([0xff]);
    }
    Ok(hash.finalize().iter().take(LENGTH).map(|octet| format!("{octet:02x}")).collect())
}

/// Refuses to go on unless the thing is as the change wants it, in the transaction of the change.
pub(super) async fn expect(connection: &mut Connection, condition: &Condition) -> Result<(), StoreError> {
    let found = version(connection, &condition.thing).await?;
    if condition.versions.contains(&found) { Ok(()) } else { Err(StoreError::Changed) }
}

impl Database {
    /// This database, for a change that is made only while a thing is as it was.
    pub(crate) fn only_while(&self, condition: Condition) -> Self {
        let mut database = self.clone();
        database.condition = Some(std::sync::Arc::new(condition));
        database
    }

    pub(crate) async fn version(&self, thing: &Thing) -> Result<String, StoreError> {
        let mut reader = self.reader().begin().await.map_err(failed("reading a version"))?;
        version(&mut reader, thing).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::query::query_scalar;
    use crate::store::{Durability, Location};

    /// Columns that no operation sets.
    const NOT_SET: [(&str, &str); 3] = [
        ("companies", "revision"),
        ("profiles", "sealed_password"),
        ("business_accounts", "sealed_password"),
    ];

    #[tokio::test]
    async fn every_column_that_somebody_sets_is_part_of_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::File(folder.path().join("sipgw.db"));
        let database = Database::open(&location, Durability::Crash, Some("gateway")).await.unwrap();
        let mut reader = database.reader().acquire().await.unwrap();
        for rows in [
            &COMPANY,
            &COMPANY_RECHARGE,
            &ADMINISTRATORS,
            &LANDLINES,
            &PROFILE,
            &SUBSCRIBER,
            &ADDRESSES,
            &CALLER_IDS,
            &NUMBER,
            &LEASE,
            &STOCK_NUMBER,
            &ACCOUNT,
            &CARRIER,
        ] {
            let columns: Vec<String> = query_scalar("SELECT name FROM pragma_table_info($1)")
                .bind(rows.table)
                .fetch_all(&mut reader)
                .await
                .unwrap();
            assert!(!columns.is_empty(), "{}", rows.table);
            for column in &columns {
                let is_known = rows.columns.contains(&column.as_str())
                    || rows.key == column
                    || (rows.table == "subscribers" && column == "company_id")
                    || NOT_SET.contains(&(rows.table, column.as_str()));
                assert!(is_known, "{}.{column} is in no version", rows.table);
            }
        }
    }
}
