//! `sipgw db`: moving the database to another server.

use clap::Subcommand;
use provisioning_store::moving::copy_to_postgres;
use provisioning_store::store::Location;
use serde_json::json;
use sipgw::storage::{self, Purpose};

use super::Context;
use super::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Copy all that the SQLite file at store.path holds into the PostgreSQL database at store.url.
    ///
    /// That database must hold nothing yet. The gateway must not run meanwhile; started again, with store.url in its
    /// configuration, it uses the copy. The file stays as it is, and so does the key file, which both need. All or
    /// nothing: the balance of each account is compared before the copy counts.
    Copy,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Copy => copy(context).await,
    }
}

async fn copy(context: &Context) -> Result<(), Failure> {
    let Location::Postgres(url) = storage::location(&context.config)? else {
        let cure = "store.url: not in the configuration; write there where the copy goes";
        return Err(Failure::Refused(cure.to_owned()));
    };
    // Held until the copy is done, so that no gateway starts on the file meanwhile.
    let _ownership = storage::own(&context.config, Purpose::Command)?;
    let file = context.config.resolve_path(&context.config.store.path);
    let moved = copy_to_postgres(&file, &url).await?;
    let rows: u64 = moved.rows.values().sum();
    context.output.show(&json!({ "rows": moved.rows, "accounts": moved.accounts }), || {
        format!("Copied {rows} rows; the balances of all {} accounts are the same.\n", moved.accounts)
    });
    Ok(())
}
