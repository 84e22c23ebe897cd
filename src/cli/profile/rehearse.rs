//! `sipgw profile rehearse`: what a call would do and cost, without making it.

use sipgw::directory::{self, Shape, Tariffs};
use sipgw::rehearsal::{Rehearsal, Rules, rehearse};

use super::{Context, Failure, Store, find};

pub(super) async fn run(
    context: &Context,
    store: &Store,
    profile: &str,
    number: String,
) -> Result<(), Failure> {
    let profile = find::profile(store, profile).await?;
    let rows = store.load_directory().await?;
    let tariffs = Tariffs {
        rates: store.rate_book(sipgw::storage::now()).await?,
        price_lists: directory::price_lists(&rows),
        us_bundle: context.config.us_bundle().map_err(Failure::Refused)?,
        on_net: context.config.on_net_tariff(),
        carriers: directory::carrier_names(&rows),
        subscribers: directory::subscribers(&rows),
    };
    let directory = directory::build(&rows, &Shape::of(&context.config));
    let calls = context.config.tuning()?.calls;
    let rules = Rules { directory: &directory, calls: &calls, tariffs: &tariffs };
    let rehearsal = rehearse(store, rules, profile.id, &number).await?;
    context.output.show(&rehearsal, || text(&rehearsal));
    Ok(())
}

fn text(rehearsal: &Rehearsal) -> String {
    let number = rehearsal.number.as_deref().unwrap_or(&rehearsal.dialled);
    let mut text = format!("{number}: {}\n", rehearsal.reason);
    if let Some(callee) = rehearsal.callee {
        text += &format!("It is hosted here and would reach profile {callee}.\n");
    }
    if !rehearsal.carriers.is_empty() {
        text += &format!("Over {}.\n", rehearsal.carriers.join(", then "));
    }
    if let Some(price) = &rehearsal.quote {
        let cover = if price.is_covered() {
            "bundle minutes pay it while there are any"
        } else {
            "bundle minutes do not pay it"
        };
        text += &format!(
            "{}: {} a minute, {} for the shortest call of {} s, then steps of {} s; {cover}.\n",
            price.destination,
            price.tariff.rate_per_minute,
            price.shortest_micros,
            price.tariff.minimum_s,
            price.tariff.increment_s
        );
    }
    if let Some(grant) = &rehearsal.grant {
        let held = &grant.held;
        text +=
            &format!("Its first seconds would hold {} and {} bundle seconds.\n", held.credit, held.bundle_s);
    }
    text
}
