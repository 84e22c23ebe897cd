//! What a call to a number costs: the rate table, the US minute bundles' reach, and the arithmetic of a charge.

mod book;
mod changes;
mod deck;
mod premium;
mod table;
mod tariff;
mod us_bundle;

pub use book::{Edition, EditionId, EditionState, RateBook};
pub use changes::{Changes, Comparison, Counts, DESTINATIONS_SHOWN, DestinationChange};
pub use deck::{DeckFault, DeckRead, DeckReader, MOST_RATES, PROBLEMS_SHOWN, RateProblem, RatesRefused};
pub use premium::{PremiumRanges, RangesRefused};
pub use table::{Place, Quote, Rate, RateTable, RateTableBuilder};
pub use tariff::{BundleCover, Tariff};
pub use us_bundle::{PrefixesRefused, UsBundle};
