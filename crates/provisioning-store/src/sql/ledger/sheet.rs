//! What is read of profiles of which nothing is known: one row of JSON, because each row that the database's thread hands
//! over wakes whoever waits for it, and costs more than reading it.

use std::sync::LazyLock;

use serde::Deserialize;
use sqlx::Row;

use crate::sql::rows::{HoldRow, SubscriberRow};
use crate::sql::sqlite::{BEGIN, Express};
use crate::sql::statements;

/// All there is of some profiles.
#[derive(Deserialize)]
pub(super) struct Sheet {
    pub(super) subscribers: Vec<SubscriberRow>,
    pub(super) holds: Vec<HoldRow>,
    pub(super) accounts: Vec<AccountRow>,
    pub(super) leases: Vec<LeasesRow>,
}

#[derive(Deserialize)]
pub(super) struct AccountRow {
    pub(super) name: String,
    pub(super) balance: i64,
    pub(super) reserved: i64,
}

/// How many live calls a profile has, if it has any.
#[derive(Deserialize)]
pub(super) struct LeasesRow {
    pub(super) profile_id: i64,
    pub(super) calls: i64,
}

// The columns of the rows. What is left out here would be read as nothing.
const SUBSCRIBER: &str = "profile_id, company_id, channels, bundles, period, bought_at, paid_until, \
    channels_price_micros, bundles_price_micros, bundle_s, renewal, changed_at, closed_at, recharge_threshold_micros, \
    recharge_amount_micros, spend_guard, hour, hour_spent_micros, hour_forgiven_micros, is_hour_warned, day, \
    day_spent_micros, day_forgiven_micros, is_day_warned";
const HOLD: &str = "profile_id, bundle_period, bundle_held_s, credit_held_micros";
const ACCOUNT: &str = "name, balance, reserved";
const LEASES: &str = "profile_id, calls";

/// The names of the accounts of given profiles, as [`Account`](crate::ledger::Account) writes them.
const NAMES: &str = "WITH given AS (SELECT value AS id FROM json_each(?)) \
    SELECT 'profile:' || id FROM given \
    UNION SELECT 'company:' || company_id FROM given CROSS JOIN subscribers ON profile_id = id \
    UNION SELECT 'bundle:' || id || ':' || period FROM given CROSS JOIN subscribers ON profile_id = id \
    UNION SELECT 'bundle:' || id || ':' || bundle_period FROM given CROSS JOIN holds ON owner = ? AND profile_id = id";

/// Begins a transaction and reads a [`Sheet`].
pub(super) static SHEET: LazyLock<String> = LazyLock::new(|| {
    let given = "(SELECT value FROM json_each(?))";
    let lists = [
        list("subscribers", SUBSCRIBER, &format!("{} {given}", statements::SUBSCRIBERS_IN)),
        list("holds", HOLD, &format!("{} ? AND profile_id IN {given}", statements::HOLDS_IN)),
        list("accounts", ACCOUNT, &format!("{} ({NAMES})", statements::ACCOUNTS_IN)),
        list("leases", LEASES, &format!("{} {given} GROUP BY profile_id", statements::LEASES_IN)),
    ];
    format!("{BEGIN};\nSELECT json_object({})", lists.join(", "))
});

/// An entry of a JSON object: the rows of a statement, each an object of its columns.
fn list(name: &str, columns: &str, statement: &str) -> String {
    let columns: Vec<String> = columns.split(", ").map(|column| format!("'{column}', {column}")).collect();
    format!(
        "'{name}', json((SELECT json_group_array(json_object({})) FROM ({statement})))",
        columns.join(", ")
    )
}

impl Sheet {
    pub(super) async fn read(
        express: &mut Express,
        owner: &str,
        profiles: &[i64],
    ) -> Result<Self, sqlx::Error> {
        let given = serde_json::to_string(profiles).expect("numbers are JSON");
        let owner = owner.to_owned();
        let parameters = vec![given.clone(), owner.clone(), given.clone(), given.clone(), owner, given];
        let rows = express.begin(SHEET.as_str(), parameters).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        serde_json::from_str(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
    }
}
