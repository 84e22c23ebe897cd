//! `sipgw token ...`

use clap::{Args, Subcommand};
use provisioning_store::tokens::RoleKind;
use serde_json::{Value, json};
use sipgw::storage;

use super::consent::Consent;
use super::failure::Failure;
use super::gateway::{Gateway, asking};
use super::output::Table;
use super::shown::{cell, given, id, moment, text, when};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token for the HTTP API; prints its secret, which is never shown again.
    Create {
        /// Who or what will use it; the audit trail shows it.
        name: String,
        #[command(flatten)]
        role: For,
        /// It ends by itself after this many days. If left out, after http.token_days.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
        /// It never ends by itself.
        #[arg(long, conflicts_with = "days")]
        never: bool,
    },
    /// Show all tokens, those that have ended too. Secrets are not kept.
    List {
        /// Only those that are limited to this company: number or name.
        #[arg(long)]
        company: Option<String>,
    },
    /// End a token: it opens nothing from then on.
    Revoke {
        /// Its number.
        token: i64,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct For {
    /// It may do everything.
    #[arg(long, conflicts_with_all = ["company", "billing"])]
    operator: bool,
    /// It makes an administrator of this company, who sees nothing of others: number or name.
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
    /// It sees money, records and reports, and deals with payments: those of the company, or all without one.
    #[arg(long, conflicts_with = "read_only")]
    billing: bool,
    /// It sees no passwords and changes nothing.
    #[arg(long)]
    read_only: bool,
}

impl For {
    fn role(&self) -> Result<RoleKind, Failure> {
        match (self.company.is_some(), self.billing, self.read_only) {
            (_, true, _) => Ok(RoleKind::Billing),
            (true, false, true) => Ok(RoleKind::AdministratorReadOnly),
            (true, false, false) => Ok(RoleKind::Administrator),
            (false, false, true) if self.operator => Ok(RoleKind::OperatorReadOnly),
            (false, false, true) => {
                let sentence = "--read-only needs --operator or --company COMPANY";
                Err(Failure::Refused(sentence.to_owned()))
            }
            (false, false, false) => Ok(RoleKind::Operator),
        }
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, role: whose, days, never } => {
            let role = whose.role()?;
            let company = match whose.company {
                Some(company) => Some(id(&find::company(gateway, &company).await?)),
                None => None,
            };
            let end = days.map(|days| moment(storage::now().plus_days(i64::from(days))));
            let end = if never { Some("never".to_owned()) } else { end };
            let new = given(json!({ "name": name, "role": role, "company": company, "expires_at": end }));
            let made = gateway.post("/tokens", new).await?;
            context.output.show(&made, || {
                let token = &made["token"];
                let [name, id] = ["name", "id"].map(|field| cell(&token[field]));
                format!("Token     {name} ({id})\nSecret    {}\n", text(&made["secret"]))
            });
        }
        Command::List { company } => {
            let company = find::company_if_any(gateway, company.as_deref()).await?;
            show(context, &gateway.list(&asking("/tokens", [("company", company)])).await?);
        }
        Command::Revoke { token, consent } => {
            let path = format!("/tokens/{token}");
            let name = text(&gateway.get(&path).await?["name"]);
            let what = format!(
                "the token {token} ({name}) would be ended for good, and whatever uses it be refused"
            );
            consent.to(gateway, &what).await?;
            gateway.delete(&path).await?;
            context.output.done(&format!("The token {token} ({name}) opens nothing any more."));
        }
    }
    Ok(())
}

fn show(context: &Context, tokens: &[Value]) {
    context.output.list(tokens, || {
        let mut table = Table::new(["id", "name", "role", "company", "made", "ends", "revoked"]);
        for token in tokens {
            let [id, name, role, company] = ["id", "name", "role", "company"].map(|it| cell(&token[it]));
            let [made, ends, revoked] = ["created_at", "expires_at", "revoked_at"].map(|it| when(&token[it]));
            table.row([id, name, role, company, made, ends, revoked]);
        }
        table.text("There is no token yet: sipgw token create NAME --operator")
    });
}
