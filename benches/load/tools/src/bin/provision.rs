//! Creates profiles in bulk and writes the file that sipp reads their names and passwords from.
//! The command line makes one at a time; a load test needs tens of thousands.
//!
//! `provision DATABASE KEY_FILE COUNT USERS_CSV`: the database has one company already, and it can pay.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use provisioning_store::lifecycle::{Order, PriceList};
use provisioning_store::model::{ProfileSettings, Timestamp};
use provisioning_store::money::Micros;
use provisioning_store::secrets::SecretKey;
use provisioning_store::store::{Durability, NewProfile, Store, StoreOptions};

type Failure = Box<dyn std::error::Error>;

/// Enough for the calls of a profile that overlap when sipp goes round all profiles.
const CHANNELS: u32 = 20;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [database, key_file, count, users] = words.as_slice() else {
        return Err("usage: provision DATABASE KEY_FILE COUNT USERS_CSV".into());
    };
    let key = SecretKey::from_hex(fs::read_to_string(key_file)?.trim())?;
    // What is prepared need not survive a power failure.
    let options = StoreOptions { durability: Durability::Crash, ..StoreOptions::new(database, key) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    fs::write(users, runtime.block_on(provision(options, count.parse()?))?)?;
    Ok(())
}

async fn provision(options: StoreOptions, count: u32) -> Result<String, Failure> {
    let store = Store::open(options).await?;
    let company = store.companies().await?.first().ok_or("the database has no company")?.id;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = Timestamp::from_unix_s(i64::try_from(now)?);
    let mut users = String::from("SEQUENTIAL\n");
    for place in 0..count {
        let order = Some((Order { channels: CHANNELS, bundles: 0 }, PriceList::default()));
        let settings = ProfileSettings::default();
        let new = NewProfile { company, name: format!("u{place}"), settings, order };
        let (profile, credentials) = store.create_profile(now, new).await?;
        store.allocate(now, profile.id, Micros::from_units(100)).await?;
        let (user, password) = (&credentials.sip_user, credentials.password.reveal());
        writeln!(users, "{user};[authentication username={user} password={password}]")?;
    }
    store.close().await;
    Ok(users)
}
