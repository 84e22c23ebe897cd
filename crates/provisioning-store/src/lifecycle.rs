//! Subscriptions as pure functions of (subscription, now): what an order costs, what the unused part of a running one
//! is worth, how it goes on at its end, and when what falls due ([`agenda`]).

pub mod agenda;
mod lease;
mod state;

pub use lease::{NumberLease, NumberOffer};
pub use state::{ProfileState, Terms};

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::model::choices::choices;
use crate::money::Micros;

/// Most channels of one profile.
pub const MOST_CHANNELS: u32 = 300;
/// Quantities above this are rounded to the nearest ten.
const EXACT_CHANNELS: u32 = 100;
/// Seconds in a bundle minute.
const MINUTE_S: u64 = 60;
/// How long a subscription that renews by itself still works after its end, seconds: the renewal may come late, while
/// the database does not answer or the gateway starts.
const RENEWAL_PATIENCE_S: i64 = 3_600;

/// A discount on the whole order when more than `above` pieces are bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// The quantity that must be exceeded.
    pub above: u32,
    /// Percent off, 0 to 100.
    pub percent: u32,
}

/// What subscriptions cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// Price of a channel for one period.
    #[serde(rename = "channel_micros")]
    pub channel: Micros,
    /// Volume discounts on channels; the highest step reached counts.
    pub channel_discounts: Vec<Discount>,
    /// Price of a US minute bundle for one period.
    #[serde(rename = "bundle_micros")]
    pub bundle: Micros,
    /// Volume discounts on bundles.
    pub bundle_discounts: Vec<Discount>,
    /// Minutes in one bundle.
    pub bundle_minutes: u32,
    /// Length of a period in days, at least 1.
    pub period_days: u32,
}

impl Default for PriceList {
    /// The guide's prices: 6.95 a channel, 30.00 for 5,000 minutes with 5, 10 and 15 % off, 30 days.
    fn default() -> Self {
        let discount = |above, percent| Discount { above, percent };
        Self {
            channel: Micros::from_cents(695),
            channel_discounts: Vec::new(),
            bundle: Micros::from_units(30),
            bundle_discounts: vec![discount(5, 5), discount(10, 10), discount(20, 15)],
            bundle_minutes: 5_000,
            period_days: 30,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Channels, 1 to 300.
    pub channels: u32,
    /// US minute bundles, not more than the channels.
    pub bundles: u32,
}

/// Why an order cannot be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderRefused {
    /// No channel, or too many.
    #[error("a profile has 1 to {MOST_CHANNELS} channels; ask for a number in that range")]
    ChannelsOutOfRange,
    /// More bundles than channels.
    #[error("bundles cannot exceed channels; order fewer bundles or more channels")]
    MoreBundlesThanChannels,
    /// The price does not fit.
    #[error("the price of this order is larger than this program can count; check the price list")]
    PriceTooLarge,
}

choices! {
    /// How something bought for a term goes on: a subscription, an Online Number.
    Renewal, "renewal" {
        /// Renews by itself at its end.
        Automatic = "automatic",
        /// Was cancelled: runs to its end and no further.
        Cancelled = "cancelled",
        /// Has ended, because the company's credit did not pay the renewal.
        Unpaid = "unpaid",
        /// Has ended, because it was cancelled.
        Expired = "expired",
    }
}

/// A bought period of channels and bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Calls at one time.
    pub channels: u32,
    /// US minute bundles.
    pub bundles: u32,
    /// Counts the profile's periods from 1; names the account that holds the period's bundle seconds.
    pub period: i64,
    /// When it was bought.
    #[serde(rename = "bought_at_micros")]
    pub bought_at: Timestamp,
    /// The first moment that is not paid.
    #[serde(rename = "paid_until_micros")]
    pub paid_until: Timestamp,
    /// What the channels cost.
    #[serde(rename = "channels_price_micros")]
    pub channels_price: Micros,
    /// What the bundles cost.
    #[serde(rename = "bundles_price_micros")]
    pub bundles_price: Micros,
    /// Bundle seconds of the whole period.
    pub bundle_s: i64,
    /// How it goes on.
    pub renewal: Renewal,
    /// When a running subscription of the profile was last replaced: that is allowed once a day.
    #[serde(rename = "changed_at_micros")]
    pub changed_at: Option<Timestamp>,
}

/// Whether a profile may make and take calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing was ever bought.
    NotSubscribed,
    /// Paid for now.
    Active,
    /// The paid period is over.
    Lapsed,
}

/// The standing at `now`.
pub fn standing(subscription: Option<&Subscription>, now: Timestamp) -> Standing {
    match subscription {
        None => Standing::NotSubscribed,
        Some(subscription) if subscription.is_running(now) => Standing::Active,
        Some(_) => Standing::Lapsed,
    }
}

/// The channels that are sold when `asked` are asked for: above 100 the nearest ten, five rounding up.
pub fn sold_channels(asked: u32) -> Result<u32, OrderRefused> {
    let sold = if asked > EXACT_CHANNELS { asked.saturating_add(5) / 10 * 10 } else { asked };
    if (1..=MOST_CHANNELS).contains(&asked) { Ok(sold) } else { Err(OrderRefused::ChannelsOutOfRange) }
}

/// The subscription that an order makes, starting at once; `previous` gives the number of its period.
pub fn buy(
    prices: &PriceList,
    order: Order,
    previous: Option<&Subscription>,
    now: Timestamp,
) -> Result<Subscription, OrderRefused> {
    let channels = sold_channels(order.channels)?;
    if order.bundles > channels {
        return Err(OrderRefused::MoreBundlesThanChannels);
    }
    let bundle_s = u64::from(order.bundles) * u64::from(prices.bundle_minutes) * MINUTE_S;
    Ok(Subscription {
        channels,
        bundles: order.bundles,
        period: previous.map_or(1, |previous| previous.period + 1),
        bought_at: now,
        paid_until: now.plus_days(i64::from(prices.period_days.max(1))),
        channels_price: price(prices.channel, channels, &prices.channel_discounts)?,
        bundles_price: price(prices.bundle, order.bundles, &prices.bundle_discounts)?,
        bundle_s: i64::try_from(bundle_s).map_err(|_| OrderRefused::PriceTooLarge)?,
        renewal: Renewal::Automatic,
        changed_at: previous.and_then(|previous| previous.changed_at),
    })
}

/// The period that follows `previous`, at today's prices. It begins where that one ends, whenever it is paid.
pub fn renew(prices: &PriceList, previous: &Subscription) -> Result<Subscription, OrderRefused> {
    let order = Order { channels: previous.channels, bundles: previous.bundles };
    buy(prices, order, Some(previous), previous.paid_until)
}

/// Price of `quantity` pieces less the highest discount reached, rounded up to the millionth.
fn price(piece: Micros, quantity: u32, discounts: &[Discount]) -> Result<Micros, OrderRefused> {
    let reached = discounts.iter().filter(|discount| quantity > discount.above);
    let percent =
        reached.max_by_key(|discount| discount.above).map_or(0, |discount| discount.percent.min(100));
    piece
        .share_rounded_up(i64::from(quantity) * i64::from(100 - percent), 100)
        .ok_or(OrderRefused::PriceTooLarge)
}

impl Subscription {
    /// True while it carries calls: up to, but not at, the end of its paid period, and a little longer where the
    /// renewal is about to come.
    pub fn is_running(&self, now: Timestamp) -> bool {
        match self.renewal {
            Renewal::Automatic => now < self.paid_until.plus_s(RENEWAL_PATIENCE_S),
            Renewal::Cancelled => now < self.paid_until,
            Renewal::Unpaid | Renewal::Expired => false,
        }
    }

    /// True if it was changed on the day of `now`, UTC.
    pub fn was_changed_today(&self, now: Timestamp) -> bool {
        self.changed_at.is_some_and(|changed_at| changed_at.date() == now.date())
    }

    /// What channels and bundles cost together.
    pub fn price(&self) -> Option<Micros> {
        self.channels_price.checked_add(self.bundles_price)
    }

    /// What goes back to the company when the subscription ends at `now`, rounded down: the unused time share of the
    /// channels; of the bundles the smaller of the unused time share and the unused minutes share.
    pub fn refund(&self, bundle_left_s: i64, now: Timestamp) -> Micros {
        let whole = self.paid_until.since(self.bought_at).max(1);
        // A clock that was stepped back must not refund more than was paid.
        let left = self.paid_until.since(now).clamp(0, whole);
        let share =
            |price: Micros, left, whole| price.share_rounded_down(left, whole).unwrap_or(Micros::ZERO);
        let channels = share(self.channels_price, left, whole);
        let by_minutes =
            share(self.bundles_price, bundle_left_s.clamp(0, self.bundle_s), self.bundle_s.max(1));
        let bundles = share(self.bundles_price, left, whole).min(by_minutes);
        channels.checked_add(bundles).unwrap_or(channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(channels: u32, bundles: u32) -> Order {
        Order { channels, bundles }
    }

    fn bought(channels: u32, bundles: u32) -> Subscription {
        buy(&PriceList::default(), order(channels, bundles), None, Timestamp(0)).unwrap()
    }

    #[test]
    fn one_channel_and_one_bundle_cost_36_95() {
        assert_eq!(bought(1, 1).price(), Some(Micros::from_cents(3_695)));
        assert_eq!(bought(1, 1).bundle_s, 300_000);
    }

    #[test]
    fn bundles_get_the_highest_discount_reached() {
        for (bundles, cents) in [(5, 15_000), (6, 17_100), (11, 29_700), (21, 53_550)] {
            assert_eq!(bought(21, bundles).bundles_price, Micros::from_cents(cents), "{bundles} bundles");
        }
    }

    #[test]
    fn quantities_over_100_round_to_the_nearest_ten() {
        for (asked, sold) in
            [(1, 1), (99, 99), (100, 100), (101, 100), (104, 100), (105, 110), (296, 300), (300, 300)]
        {
            assert_eq!(sold_channels(asked), Ok(sold));
        }
        for asked in [0, 301, u32::MAX] {
            assert_eq!(sold_channels(asked), Err(OrderRefused::ChannelsOutOfRange));
        }
        let refused = buy(&PriceList::default(), order(4, 5), None, Timestamp(0));
        assert_eq!(refused, Err(OrderRefused::MoreBundlesThanChannels));
    }

    #[test]
    fn a_cancelled_subscription_runs_to_its_end_and_others_a_little_longer() {
        let subscription = bought(1, 0);
        let end = Timestamp(0).plus_days(30);
        let at = |renewal, now| standing(Some(&Subscription { renewal, ..subscription }), now);
        assert_eq!(standing(None, Timestamp(0)), Standing::NotSubscribed);
        assert_eq!(at(Renewal::Cancelled, end.plus_s(-1)), Standing::Active);
        assert_eq!(at(Renewal::Cancelled, end), Standing::Lapsed);
        assert_eq!(at(Renewal::Automatic, end.plus_s(RENEWAL_PATIENCE_S - 1)), Standing::Active);
        assert_eq!(at(Renewal::Automatic, end.plus_s(RENEWAL_PATIENCE_S)), Standing::Lapsed);
        assert_eq!(at(Renewal::Unpaid, end.plus_s(-1)), Standing::Lapsed);
    }

    #[test]
    fn a_renewal_begins_where_the_paid_period_ends() {
        let first = bought(2, 1);
        let second = renew(&PriceList::default(), &first).unwrap();
        assert_eq!((second.period, second.bought_at), (2, first.paid_until));
        assert_eq!(second.paid_until, Timestamp(0).plus_days(60));
        assert_eq!(second.price(), first.price());
    }

    #[test]
    fn refunds_the_smaller_share_of_bundles() {
        let subscription = bought(2, 1);
        let half = Timestamp(0).plus_days(15);
        assert_eq!(subscription.refund(300_000, half), Micros::from_cents(695 + 1_500));
        assert_eq!(subscription.refund(30_000, half), Micros::from_cents(695 + 300));
        assert_eq!(subscription.refund(300_000, Timestamp(0).plus_days(31)), Micros::ZERO);
        assert_eq!(
            subscription.refund(300_000, Timestamp(0).plus_days(-9)),
            Micros::from_cents(1_390 + 3_000)
        );
    }
}
