//! `sipgw company ...`

mod administrator;
mod payment;

use clap::Subcommand;
use provisioning_store::model::{Company, Landline, NewCompany};
use provisioning_store::money::Micros;
use sipgw::storage;

use super::failure::Failure;
use super::output::Table;
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
        /// The currency of its credit, three letters.
        #[arg(long, default_value = "USD")]
        currency: String,
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
    /// Say that a company is who it claims to be: it may show its landline numbers.
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
    /// Payments, and the refill of the company's credit by them.
    #[command(subcommand)]
    Payment(payment::Command),
    /// People who look after a company.
    #[command(subcommand)]
    Administrator(administrator::Command),
    /// Store a landline number of the company for use as Caller ID, or forget it.
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
    let store = context.store().await?;
    match command {
        Command::Create { name, country, currency } => {
            let company =
                store.create_company(storage::now(), &NewCompany { name, country, currency }).await?;
            show(context, &[company]);
        }
        Command::List => show(context, &store.companies().await?),
        Command::TopUp { company, amount, note } => {
            let company = find::company(&store, &company).await?;
            show(context, &[store.top_up(storage::now(), company.id, amount, &note).await?]);
        }
        Command::PriceList { company, list } => {
            let company = find::company(&store, &company).await?;
            show(context, &[store.set_price_list(company.id, &list).await?]);
        }
        Command::Payment(command) => payment::run(context, &store, command).await?,
        Command::Administrator(command) => administrator::run(context, &store, command).await?,
        Command::Verify { company, by, undo } => {
            let company = find::company(&store, &company).await?;
            match by.filter(|_| !undo) {
                Some(by) => store.verify_company(storage::now(), company.id, &by).await?,
                None => store.unverify_company(company.id).await?,
            }
            show(context, &[store.company(company.id).await?]);
        }
        Command::Landline { company, number, remove: true } => {
            let company = find::company(&store, &company).await?;
            store.remove_landline(company.id, &number).await?;
            context.output.done(&format!("{number} is forgotten."));
        }
        Command::Landline { company, number, remove: false } => {
            let company = find::company(&store, &company).await?;
            let by = Some("the command line");
            let landline = store.add_landline(storage::now(), company.id, &number, by).await?;
            context.output.show(&landline, || match company.is_verified {
                true => format!("{} may be shown by {}.\n", landline.number, company.name),
                false => format!(
                    "{} is stored; it may be shown once {name} is verified: sipgw company verify \"{name}\" --by WHO\n",
                    landline.number,
                    name = company.name
                ),
            });
        }
        Command::Landlines { company } => {
            let companies = match company {
                Some(company) => vec![find::company(&store, &company).await?],
                None => store.companies().await?,
            };
            show_landlines(context, &companies, &store.landlines().await?);
        }
    }
    store.close().await;
    Ok(())
}

fn show(context: &Context, companies: &[Company]) {
    context.output.show(&companies, || {
        let mut table = Table::new(["id", "name", "country", "credit", "currency", "verified"]);
        for company in companies {
            table.row([
                company.id.to_string(),
                company.name.clone(),
                company.country.clone(),
                company.credit.to_string(),
                company.currency.clone(),
                if company.is_verified { "yes" } else { "no" }.to_owned(),
            ]);
        }
        table.text("There is no company yet: sipgw company create NAME --country US")
    });
}

fn show_landlines(context: &Context, companies: &[Company], landlines: &[Landline]) {
    let of = |landline: &Landline| companies.iter().find(|company| company.id == landline.company);
    let shown: Vec<&Landline> = landlines.iter().filter(|landline| of(landline).is_some()).collect();
    context.output.show(&shown, || {
        let mut table = Table::new(["number", "company", "may be shown"]);
        for landline in &shown {
            let company = of(landline);
            table.row([
                landline.number.clone(),
                company.map_or_else(String::new, |company| company.name.clone()),
                if company.is_some_and(|company| company.is_verified) { "yes" } else { "not verified" }
                    .to_owned(),
            ]);
        }
        table.text("There is no landline number yet: sipgw company landline COMPANY NUMBER")
    });
}
