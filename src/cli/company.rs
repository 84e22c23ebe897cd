//! `sipgw company ...`

mod administrator;
mod payment;

use clap::Subcommand;
use provisioning_store::money::Micros;
use serde_json::{Value, json};

use super::failure::Failure;
use super::gateway::{Gateway, step};
use super::output::Table;
use super::shown::{cell, given, id, money, text};
use super::{Context, find};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Open a company's account.
    Create {
        /// Its name.
        name: String,
        /// Its country, two letters: decides how national numbers are read.
        #[arg(long)]
        country: String,
        /// The currency of its credit, three letters: the installation's, which may be left out.
        #[arg(long)]
        currency: Option<String>,
    },
    /// Show all companies.
    List,
    /// Book money paid in.
    TopUp {
        /// Number or name.
        company: String,
        /// Such as 100.00.
        amount: Micros,
        /// A word on it, for the books.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Give a company another name.
    Rename {
        /// Number or name.
        company: String,
        /// The new name, which no other company has.
        name: String,
    },
    /// Refuse all calls of a company and to it. Calls that run go on; what is paid for goes on.
    Suspend {
        /// Number or name.
        company: String,
        /// Why, for people.
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended company call and be called again.
    Resume {
        /// Number or name.
        company: String,
    },
    /// Correct a company's credit: a payment that was booked twice, or to the wrong company.
    Correct {
        /// Number or name.
        company: String,
        /// What is added, such as 10.00; -10.00 is taken away.
        #[arg(allow_hyphen_values = true)]
        amount: Micros,
        /// Why, for the books.
        #[arg(long)]
        reason: String,
    },
    /// Write a credit note: what was charged goes back to the company's credit.
    CreditNote {
        /// Number or name.
        company: String,
        /// Such as 10.00.
        amount: Micros,
        /// Why, for the books.
        #[arg(long)]
        reason: String,
    },
    /// Say that a company is who it claims to be: it may show those of its landline numbers that are verified.
    Verify {
        /// Number or name.
        company: String,
        /// Who has made sure of it.
        #[arg(long, required_unless_present = "undo")]
        by: Option<String>,
        /// Take it back.
        #[arg(long)]
        undo: bool,
    },
    /// Rate the company's calls by another price list; running calls keep their price.
    PriceList {
        /// Number or name.
        company: String,
        /// The list's name: `sipgw rates lists` shows them.
        list: String,
    },
    /// Limit the calls a second that the company's profiles may begin together, refused and repeated ones included.
    CallsPerSecond {
        /// Number or name.
        company: String,
        /// Such as 20; `none` for no limit.
        #[arg(value_parser = calls_per_second)]
        calls: u32,
    },
    /// Payments, and the refill of the company's credit by them.
    #[command(subcommand)]
    Payment(payment::Command),
    /// People who look after a company.
    #[command(subcommand)]
    Administrator(administrator::Command),
    /// Store a landline number of the company for use as Caller ID, or forget it. Whoever stores it here has made sure that it is
    /// the company's own.
    Landline {
        /// Number or name.
        company: String,
        /// Such as +12025550123.
        number: String,
        /// Forget it; profiles that showed it show it no longer.
        #[arg(long)]
        remove: bool,
    },
    /// Show the landline numbers that are stored.
    Landlines {
        /// Only this company's: number or name.
        company: Option<String>,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, country, currency } => {
            let new = given(json!({ "name": name, "country": country, "currency": currency }));
            show(context, &[gateway.post("/companies", new).await?]);
        }
        Command::List => show(context, &gateway.list("/companies").await?),
        Command::TopUp { company, amount, note } => {
            let company = find::company(gateway, &company).await?;
            let paid = json!({ "amount": money(amount, &company["currency"]), "note": note });
            show(context, &[gateway.post(&format!("/companies/{}/top-ups", id(&company)), paid).await?]);
        }
        Command::Rename { company, name } => {
            let path = format!("/companies/{}", id(&find::company(gateway, &company).await?));
            show(context, &[gateway.patch(&path, json!({ "name": name })).await?]);
        }
        Command::Suspend { company, reason } => {
            let path = format!("/companies/{}/suspension", id(&find::company(gateway, &company).await?));
            show(context, &[gateway.put(&path, json!({ "reason": reason })).await?]);
        }
        Command::Resume { company } => {
            let path = format!("/companies/{}/suspension", id(&find::company(gateway, &company).await?));
            show(context, &[gateway.delete(&path).await?]);
        }
        Command::Correct { company, amount, reason } => {
            put_right(context, gateway, ("corrections", &company), amount, &reason).await?;
        }
        Command::CreditNote { company, amount, reason } => {
            put_right(context, gateway, ("credit-notes", &company), amount, &reason).await?;
        }
        Command::PriceList { company, list } => {
            let path = format!("/companies/{}/price-list", id(&find::company(gateway, &company).await?));
            show(context, &[gateway.put(&path, json!({ "price_list": list })).await?]);
        }
        Command::CallsPerSecond { company, calls } => {
            let path =
                format!("/companies/{}/calls-per-second", id(&find::company(gateway, &company).await?));
            show(context, &[gateway.put(&path, json!({ "calls_per_second": calls })).await?]);
        }
        Command::Payment(command) => payment::run(context, gateway, command).await?,
        Command::Administrator(command) => administrator::run(context, gateway, command).await?,
        Command::Verify { company, by, undo } => {
            let path = format!("/companies/{}/verification", id(&find::company(gateway, &company).await?));
            let changed = match by.filter(|_| !undo) {
                Some(by) => gateway.put(&path, json!({ "by": by })).await?,
                None => gateway.delete(&path).await?,
            };
            show(context, &[changed]);
        }
        Command::Landline { company, number, remove: true } => {
            let company = find::company(gateway, &company).await?;
            gateway.delete(&format!("/companies/{}/landlines/{}", id(&company), step(&number))).await?;
            context.output.done(&format!("{number} is forgotten."));
        }
        Command::Landline { company, number, remove: false } => {
            let company = find::company(gateway, &company).await?;
            let path = format!("/companies/{}/landlines/{}", id(&company), step(&number));
            let landline = gateway.put(&path, Value::Null).await?;
            context.output.show(&landline, || stored(&cell(&landline["number"]), &company));
        }
        Command::Landlines { company } => landlines(context, gateway, company).await?,
    }
    Ok(())
}

async fn put_right(
    context: &Context,
    gateway: &Gateway,
    (how, company): (&str, &str),
    amount: Micros,
    reason: &str,
) -> Result<(), Failure> {
    let company = find::company(gateway, company).await?;
    let body = json!({ "amount": money(amount, &company["currency"]), "reason": reason });
    show(context, &[gateway.post(&format!("/companies/{}/{how}", id(&company)), body).await?]);
    Ok(())
}

fn stored(number: &str, company: &Value) -> String {
    let name = text(&company["name"]);
    match company["is_verified"] == true {
        true => format!("{number} may be shown by {name}.\n"),
        false => format!(
            "{number} is stored; it may be shown once {name} is verified: sipgw company verify \"{name}\" --by WHO\n"
        ),
    }
}

/// A limit of calls a second; 0 is none.
fn calls_per_second(text: &str) -> Result<u32, String> {
    match text {
        "none" => Ok(0),
        text => text.parse().map_err(|_| "a number, or none".to_owned()),
    }
}

fn show(context: &Context, companies: &[Value]) {
    context.output.list(companies, || {
        let columns = ["id", "name", "country", "credit", "currency", "verified", "calls/s", "suspended"];
        let mut table = Table::new(columns);
        for company in companies {
            let fields = ["id", "name", "country", "credit", "currency", "is_verified", "calls_per_second"];
            let [id, name, country, credit, currency, verified, calls] =
                fields.map(|field| cell(&company[field]));
            table.row([id, name, country, credit, currency, verified, calls, suspended(company)]);
        }
        table.text("There is no company yet: sipgw company create NAME --country US")
    });
}

/// Why a company is suspended, or nothing.
fn suspended(company: &Value) -> String {
    match company["suspension"].is_null() {
        true => String::new(),
        false => cell(&company["suspension"]["reason"]),
    }
}

async fn landlines(context: &Context, gateway: &Gateway, company: Option<String>) -> Result<(), Failure> {
    let companies = match company {
        Some(company) => vec![find::company(gateway, &company).await?],
        None => gateway.list("/companies").await?,
    };
    let mut found = Vec::new();
    for company in &companies {
        for landline in gateway.list(&format!("/companies/{}/landlines", id(company))).await? {
            found.push(json!({
                "number": landline["number"],
                "company": company["id"],
                "company_name": company["name"],
                "may_be_shown": company["is_verified"] == true && landline["is_verified"] == true,
                "verified_by": landline["verified_by"],
            }));
        }
    }
    context.output.list(&found, || {
        let mut table = Table::new(["number", "company", "may be shown"]);
        for landline in &found {
            let is_shown = if landline["may_be_shown"] == true { "yes" } else { "not verified" };
            table.row([cell(&landline["number"]), cell(&landline["company_name"]), is_shown.to_owned()]);
        }
        table.text("There is no landline number yet: sipgw company landline COMPANY NUMBER")
    });
    Ok(())
}
