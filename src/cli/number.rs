//! `sipgw number ...`

use clap::{Args, Subcommand};
use provisioning_store::money::Micros;
use serde_json::{Value, json};

use super::consent::Consent;
use super::failure::Failure;
use super::gateway::{Gateway, asking, step};
use super::output::Table;
use super::shown::{cell, id, items, money, text, when};
use super::{Context, find};

/// Most offers that are shown at once.
const MOST_OFFERS: usize = 10_000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Put a number on offer, or give it another price. Whoever has it keeps the fee agreed.
    Offer {
        /// Such as +12026843376.
        number: String,
        /// Its country, two letters.
        #[arg(long)]
        country: String,
        /// What a term costs.
        #[arg(long)]
        fee: Micros,
        /// Days of a term.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// Offer a number no longer. A company that has it keeps it.
    Withdraw {
        /// The number.
        number: String,
    },
    /// Show the numbers on offer.
    Offers {
        /// Only those of this country.
        #[arg(long)]
        country: Option<String>,
    },
    /// Buy a number on offer for a company, from the company's credit.
    Buy {
        /// The company's number or name.
        company: String,
        /// The number.
        number: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Let a number that was bought run to the end of its paid term; then it goes back into the stock. One whose fee is not
    /// paid goes back at once.
    Cancel {
        /// The number.
        number: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Take a number's cancellation back.
    Keep {
        /// The number.
        number: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Host a number for a company, without a fee.
    Add {
        /// The company's number or name.
        company: String,
        /// Such as +12026843376.
        number: String,
        /// Its country, two letters.
        #[arg(long, default_value = "")]
        country: String,
    },
    /// Send a number's calls somewhere, or somewhere else than before.
    ///
    /// Whoever loses the number shows it as Caller ID no longer. Calls that run go on.
    Assign {
        /// The number.
        number: String,
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        consent: Consent,
    },
    /// Host a number no longer: calls to it are refused, and nobody shows it as Caller ID.
    Remove {
        /// The number.
        number: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Show all numbers.
    List,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// To this profile: number, SIP user or name.
    #[arg(long)]
    profile: Option<String>,
    /// To this business account.
    #[arg(long)]
    account: Option<String>,
    /// To nobody.
    #[arg(long)]
    nobody: bool,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let outcome = obey(context, &gateway, command).await;
    gateway.close().await;
    outcome
}

async fn obey(context: &Context, gateway: &Gateway, command: Command) -> Result<(), Failure> {
    match command {
        Command::Offer { number, country, fee, days } => {
            let fee = money(fee, &json!(context.config.prices.currency));
            let offer = json!({ "country": country, "fee": fee, "term_days": days });
            offers(context, &[gateway.put(&format!("/stock/{}", step(&number)), offer).await?]);
        }
        Command::Withdraw { number } => {
            gateway.delete(&format!("/stock/{}", step(&number))).await?;
            context.output.done(&format!("{number} is offered no longer."));
        }
        Command::Offers { country } => {
            offers(context, &gateway.first(MOST_OFFERS, &asking("/stock", [("country", country)])).await?);
        }
        Command::Buy { company, number, consent } => {
            show(context, &[buy(gateway, &company, &number, &consent).await?]);
        }
        Command::Cancel { number, consent } => {
            let number = find::number(gateway, &number).await?;
            if let Some(loss) = loss(&number) {
                consent.to(gateway, &loss).await?;
            }
            show(context, &[gateway.put(&format!("{}/cancellation", place(&number)), Value::Null).await?]);
        }
        Command::Keep { number, consent } => {
            let number = find::number(gateway, &number).await?;
            if number["lease"].is_object() {
                let (fee, at) = (cell(&number["lease"]["fee"]), when(&number["lease"]["paid_until"]));
                let what = format!("{} would be paid on: {fee} at {at}", text(&number["number"]));
                consent.to(gateway, &what).await?;
            }
            show(context, &[gateway.delete(&format!("{}/cancellation", place(&number))).await?]);
        }
        Command::Add { company, number, country } => {
            let company = id(&find::company(gateway, &company).await?);
            let new = json!({ "company": company, "number": number, "country": country });
            show(context, &[gateway.post("/numbers", new).await?]);
        }
        Command::Assign { number, target, consent } => {
            let number = find::number(gateway, &number).await?;
            let target = target.meant(gateway).await?;
            ask_about_callers(gateway, (&number, &target), &consent).await?;
            let assigned = gateway.put(&format!("{}/target", place(&number)), target).await?;
            items(&assigned["warnings"]).for_each(|warning| context.output.warn(&text(warning)));
            show(context, &[assigned]);
        }
        Command::Remove { number, consent } => {
            let number = find::number(gateway, &number).await?;
            let what = loss(&number).unwrap_or_else(|| {
                format!(
                    "{} would be hosted here no longer, and its calls be refused",
                    text(&number["number"])
                )
            });
            consent.to(gateway, &what).await?;
            gateway.delete(&place(&number)).await?;
            context.output.done(&format!("{} is no longer hosted here.", text(&number["number"])));
        }
        Command::List => show(context, &gateway.list("/numbers").await?),
    }
    Ok(())
}

impl Target {
    async fn meant(self, gateway: &Gateway) -> Result<Value, Failure> {
        Ok(match self {
            Self { profile: Some(profile), .. } => {
                json!({ "to": "profile", "id": id(&find::profile(gateway, &profile).await?) })
            }
            Self { account: Some(account), .. } => {
                json!({ "to": "business_account", "id": id(&find::account(gateway, &account).await?) })
            }
            Self { .. } => json!({ "to": "nobody" }),
        })
    }
}

async fn buy(gateway: &Gateway, company: &str, number: &str, consent: &Consent) -> Result<Value, Failure> {
    let company = find::company(gateway, company).await?;
    let offer = gateway.get(&format!("/stock/{}", step(number))).await?;
    let [number, fee, days] = ["number", "fee", "term_days"].map(|field| cell(&offer[field]));
    let name = text(&company["name"]);
    let what = format!("{name} would buy {number} for {fee} now, and pay {fee} again each {days} days");
    consent.to(gateway, &what).await?;
    let purchase = json!({ "number": offer["number"], "agreed": offer["fee"] });
    gateway.post(&format!("/companies/{}/numbers", id(&company)), purchase).await
}

/// What is lost with a number that is leased.
fn loss(number: &Value) -> Option<String> {
    let lease = &number["lease"];
    let digits = text(&number["number"]);
    match lease["renewal"].as_str()? {
        "unpaid" => Some(format!("{digits} is unpaid and would be gone at once, for others to buy")),
        _ => {
            let until = when(&lease["paid_until"]);
            Some(format!("{digits} would be given up, which is paid until {until}; others could buy it then"))
        }
    }
}

/// A profile that shows the number as Caller ID shows it no longer once another has it.
async fn ask_about_callers(
    gateway: &Gateway,
    (number, target): (&Value, &Value),
    consent: &Consent,
) -> Result<(), Failure> {
    let before = &number["target"];
    if before["to"] != "profile" || before == target {
        return Ok(());
    }
    let path = format!("/profiles/{}", before["id"]);
    let rules = gateway.list(&format!("{path}/caller-ids")).await?;
    if !rules.iter().any(|rule| rule["number"] == number["number"]) {
        return Ok(());
    }
    let name = text(&gateway.get(&path).await?["name"]);
    let digits = text(&number["number"]);
    let what = format!(
        "{name} shows {digits} as Caller ID and would show it no longer; without another default its calls are anonymous"
    );
    consent.to(gateway, &what).await
}

fn place(number: &Value) -> String {
    format!("/numbers/{}", id(number))
}

fn offers(context: &Context, numbers: &[Value]) {
    context.output.list(numbers, || {
        let mut table = Table::new(["number", "country", "fee", "term"]);
        for number in numbers {
            let [number, country, fee, days] =
                ["number", "country", "fee", "term_days"].map(|field| cell(&number[field]));
            table.row([number, country, fee, format!("{days} days")]);
        }
        table.text("No number is on offer: sipgw number offer NUMBER --country US --fee 6.00")
    });
}

/// How the company goes on having it.
fn lease(lease: &Value) -> String {
    let until = when(&lease["paid_until"]);
    match lease["renewal"].as_str() {
        None => "free of charge".to_owned(),
        Some("automatic") => format!("{} due at {until}", cell(&lease["fee"])),
        Some("unpaid") => format!("unpaid since {until}: out of service"),
        Some(_) => format!("cancelled, works until {until}"),
    }
}

/// Where its calls go.
fn reaches(target: &Value) -> String {
    match target["to"].as_str() {
        Some("profile") => format!("profile {}", target["id"]),
        Some("business_account") => format!("business account {}", target["id"]),
        _ => "nobody".to_owned(),
    }
}

fn show(context: &Context, numbers: &[Value]) {
    context.output.list(numbers, || {
        let mut table = Table::new(["number", "country", "company", "reaches", "fee"]);
        for number in numbers {
            let [digits, country, company] = ["number", "country", "company"].map(|it| cell(&number[it]));
            table.row([digits, country, company, reaches(&number["target"]), lease(&number["lease"])]);
        }
        table.text("There is no Online Number yet: sipgw number add COMPANY NUMBER")
    });
}
