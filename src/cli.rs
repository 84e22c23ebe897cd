//! One file per command. What cannot be taken back is asked about, unless `--yes` is said; what prints, the demo apart,
//! prints JSON with `--json`.
//!
//! Commands are requests to the HTTP API: to the gateway that runs, over its socket, and while none runs to the same
//! handlers in this process (`gateway.rs`). What is about the database itself works on it.

mod account;
mod audit;
mod bans;
mod books;
mod calls;
mod carrier;
mod cdr;
mod check;
mod company;
mod consent;
mod db;
mod deck;
mod demo;
mod failure;
mod find;
mod gateway;
mod number;
mod openapi;
mod output;
mod profile;
mod rates;
mod registrations;
mod report;
mod run;
mod schedule;
mod shown;
mod status;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use provisioning_store::store::Store;
use sipgw::{Config, storage};

use self::failure::Failure;
use self::gateway::Gateway;
use self::output::Output;

/// A SIP trunk gateway: registers PBXs, routes and charges their calls, relays their media.
///
/// Exit status: 0 done; 1 refused, with the reason; 2 the command line is wrong; 3 the configuration is wrong;
/// 4 the database or the running gateway does not answer.
#[derive(Parser)]
#[command(name = "sipgw", version, max_term_width = 100)]
struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        env = "SIPGW_CONFIG",
        default_value = "/etc/sipgw/sipgw.yaml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Print JSON instead of text; the demo prints text all the same.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM.
    ///
    /// SIGTERM or Ctrl-C refuses new calls and lets running ones end for calls.drain_s; a second one ends them at
    /// once. Either way they are settled. A changed configuration file or certificate is noticed within seconds;
    /// SIGHUP reads them now, and provisioning and rates too.
    Run,
    /// Say whether the configuration can be used, and what is wrong with it.
    Check,
    /// Show it all without any configuration: a company, its PBXs and a carrier make real calls on this machine.
    Demo(demo::Options),
    /// Say how the running gateway does.
    Status,
    /// Companies and their credit.
    #[command(subcommand)]
    Company(company::Command),
    /// SIP profiles: one trunk to one PBX each.
    #[command(subcommand)]
    Profile(profile::Command),
    /// Online Numbers.
    #[command(subcommand)]
    Number(number::Command),
    /// Business accounts.
    #[command(subcommand)]
    Account(account::Command),
    /// Trunks to the telephone network.
    #[command(subcommand)]
    Carrier(carrier::Command),
    /// The rate table.
    #[command(subcommand)]
    Rates(rates::Command),
    /// Calls that are going on.
    #[command(subcommand)]
    Calls(calls::Command),
    /// Records of calls that are over.
    #[command(subcommand)]
    Cdr(cdr::Command),
    /// Reports by month; how many channels an office needs.
    #[command(subcommand)]
    Report(report::Command),
    /// The accounts behind it all.
    #[command(subcommand)]
    Books(books::Command),
    /// The database that it is all in.
    #[command(subcommand)]
    Db(db::Command),
    /// Who is not heard for having guessed too many passwords.
    #[command(subcommand)]
    Bans(bans::Command),
    /// PBXs that are registered.
    Registrations,
    /// What falls due with time, and whether the clock is believed.
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Who may use the HTTP API.
    #[command(subcommand)]
    Token(token::Command),
    /// Who changed what.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print the description of the HTTP API (OpenAPI 3.1).
    Openapi,
}

/// What commands need.
struct Context {
    config: Config,
    output: Output,
}

impl Context {
    /// The gateway that runs; without one, the database.
    async fn gateway(&self) -> Result<Gateway, Failure> {
        Gateway::open(&self.config).await
    }

    /// The gateway that runs, for what only that one knows.
    async fn running(&self) -> Result<Gateway, Failure> {
        Gateway::running(&self.config).await
    }

    /// The store, for looking at it beside a gateway that may run.
    async fn store(&self) -> Result<Store, Failure> {
        Ok(storage::open(&self.config).await?)
    }
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let outcome = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Unanswered(format!("the runtime cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(obey(cli, output)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

async fn obey(cli: Cli, output: Output) -> Result<(), Failure> {
    let context = || Ok::<_, Failure>(Context { config: Config::load(&cli.config)?, output });
    match cli.command {
        Command::Run => run::run(context()?).await,
        Command::Check => check::run(&context()?).await,
        Command::Demo(options) => demo::run(&options).await,
        Command::Status => status::run(&context()?).await,
        Command::Company(command) => company::run(&context()?, command).await,
        Command::Profile(command) => profile::run(&context()?, command).await,
        Command::Number(command) => number::run(&context()?, command).await,
        Command::Account(command) => account::run(&context()?, command).await,
        Command::Carrier(command) => carrier::run(&context()?, command).await,
        Command::Rates(command) => rates::run(&context()?, command).await,
        Command::Bans(command) => bans::run(&context()?, command).await,
        Command::Calls(command) => calls::run(&context()?, command).await,
        Command::Cdr(command) => cdr::run(&context()?, command).await,
        Command::Report(command) => report::run(&context()?, command).await,
        Command::Books(command) => books::run(&context()?, command).await,
        Command::Db(command) => db::run(&context()?, command).await,
        Command::Token(command) => token::run(&context()?, command).await,
        Command::Audit(command) => audit::run(&context()?, command).await,
        Command::Schedule(command) => schedule::run(&context()?, command).await,
        Command::Openapi => openapi::run(),
        Command::Registrations => registrations::run(&context()?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
