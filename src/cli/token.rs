//! `sipgw token ...`

use clap::{Args, Subcommand};
use provisioning_store::model::{Timestamp, TokenId};
use provisioning_store::pages::Slice;
use provisioning_store::tokens::{NewToken, Role, Token};
use serde_json::json;
use sipgw::storage;

use super::failure::Failure;
use super::output::{Table, or_dash, time};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token for the HTTP API; prints its secret, which is never shown again.
    Create {
        /// Who or what will use it; the audit trail shows it.
        name: String,
        #[command(flatten)]
        role: For,
        /// It ends by itself after this many days; never if left out.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
    },
    /// Show all tokens, those that have ended too. Secrets are not kept.
    List {
        /// Only those of this company's administrators: number or name.
        #[arg(long)]
        company: Option<String>,
    },
    /// End a token: it opens nothing from then on.
    Revoke {
        /// Its number.
        token: i64,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct For {
    /// It may do everything.
    #[arg(long)]
    operator: bool,
    /// It makes an administrator of this company, who sees nothing of others: number or name.
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
}

/// Tokens that are shown at once.
const ALL: Slice = Slice { after: None, most: 100_000 };

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        Command::Create { name, role, days } => {
            let role = match role.company {
                Some(company) => Role::Administrator(find::company(&store, &company).await?.id),
                None => Role::Operator,
            };
            let now = storage::now();
            let expires_at = days.map(|days| now.plus_days(i64::from(days)));
            let (token, secret) = store.create_token(now, NewToken { name, role, expires_at }).await?;
            context.output.show(&json!({ "token": token, "secret": secret.reveal() }), || {
                format!("Token     {} ({})\nSecret    {}\n", token.name, token.id, secret.reveal())
            });
        }
        Command::List { company } => {
            let company = match company {
                Some(company) => Some(find::company(&store, &company).await?.id),
                None => None,
            };
            show(context, &store.tokens(company, ALL).await?);
        }
        Command::Revoke { token } => {
            let token = store.revoke_token(storage::now(), TokenId(token)).await?;
            context.output.done(&format!("The token {} ({}) opens nothing any more.", token.id, token.name));
        }
    }
    store.close().await;
    Ok(())
}

fn show(context: &Context, tokens: &[Token]) {
    context.output.show(&tokens, || {
        let day = |at: Option<Timestamp>| or_dash(at.map(|at| time(at.0)));
        let mut table = Table::new(["id", "name", "role", "company", "made", "ends", "revoked"]);
        for token in tokens {
            table.row([
                token.id.to_string(),
                token.name.clone(),
                token.role.word().to_owned(),
                or_dash(token.role.company()),
                time(token.created_at.0),
                day(token.expires_at),
                day(token.revoked_at),
            ]);
        }
        table.text("There is no token yet: sipgw token create NAME --operator")
    });
}
