//! What a call to a number costs: the rate table, the US minute bundles' reach, and the arithmetic of a charge.

mod book;
mod import;
mod premium;
mod table;
mod tariff;
mod us_bundle;

pub use book::{Edition, RateBook};
pub use import::{RateColumn, RateProblem, RatesRefused};
pub use premium::{PremiumRanges, RangesRefused};
pub use table::{Quote, Rate, RateTable};
pub use tariff::{BundleCover, Tariff};
pub use us_bundle::{PrefixesRefused, UsBundle};
