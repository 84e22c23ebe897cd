//! Subscriptions and the end of profiles: bought, changed, cancelled, extended, renewed, lapsed, closed.

use super::account::{Account, TransferKind};
use super::books::{Books, Why};
use super::on_hand::Held;
use super::operation::{Closing, Outcome, Refusal};
use crate::lifecycle::{self, Order, PriceList, Renewal, Standing, Subscription};
use crate::model::{ProfileId, Timestamp};
use crate::money::Micros;

impl Books {
    pub(super) fn subscribe(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        order: Order,
        prices: &PriceList,
    ) -> Result<Outcome, Refusal> {
        let previous = self.subscriber(profile)?.subscription;
        let mut subscription = lifecycle::buy(prices, order, previous.as_ref(), now)?;
        let running = previous.filter(|previous| previous.is_running(now));
        if let Some(running) = running {
            if running.was_changed_today(now) {
                return Err(Refusal::ChangedToday);
            }
            subscription.changed_at = Some(now);
        }
        let refund = running.map_or(Micros::ZERO, |running| self.refund(profile, &running, now));
        self.begin_period(now, profile, subscription, refund)?;
        Ok(Outcome::Subscribed { subscription, refund })
    }

    pub(super) fn cancel_subscription(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
    ) -> Result<Outcome, Refusal> {
        let running = self.running_subscription(now, profile)?;
        Ok(self.go_on(profile, Subscription { renewal: Renewal::Cancelled, ..running }))
    }

    pub(super) fn extend_subscription(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
    ) -> Result<Outcome, Refusal> {
        let running = self.running_subscription(now, profile)?;
        Ok(self.go_on(profile, Subscription { renewal: Renewal::Automatic, ..running }))
    }

    /// The next period begins where the last one ended, so that periods are billed in order however late it is.
    pub(super) fn complete_period(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        period: i64,
        prices: &PriceList,
    ) -> Result<Outcome, Refusal> {
        let latest = self.subscriber(profile)?.subscription;
        let Some(over) = latest.filter(|latest| latest.period == period && latest.paid_until <= now) else {
            return Ok(Outcome::NotDue);
        };
        let ended = match over.renewal {
            Renewal::Unpaid | Renewal::Expired => return Ok(Outcome::NotDue),
            Renewal::Cancelled => Renewal::Expired,
            Renewal::Automatic => match self.renew(now, profile, &over, prices) {
                Ok(subscription) => {
                    return Ok(Outcome::Subscribed { subscription, refund: Micros::ZERO });
                }
                // Whatever stands against it, a period that is over is not given away.
                Err(_) => Renewal::Unpaid,
            },
        };
        self.end_bundle(now, Account::Bundle { profile, period });
        Ok(self.go_on(profile, Subscription { renewal: ended, ..over }))
    }

    fn renew(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        over: &Subscription,
        prices: &PriceList,
    ) -> Result<Subscription, Refusal> {
        let subscription = lifecycle::renew(prices, over)?;
        self.begin_period(now, profile, subscription, Micros::ZERO)?;
        Ok(subscription)
    }

    pub(super) fn close_profile(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        closing: Closing,
    ) -> Result<Outcome, Refusal> {
        let subscription = self.subscriber(profile)?.subscription;
        if let Closing::Disabled { period } = closing {
            let is_still_so = |it: &Subscription| {
                it.period == period && matches!(it.renewal, Renewal::Unpaid | Renewal::Expired)
            };
            if !subscription.as_ref().is_some_and(is_still_so) {
                return Ok(Outcome::NotDue);
            }
        }
        let on_hand = self.on_hand(profile);
        self.hold(Account::Profile(profile), -on_hand.credit.0);
        let bundle = Account::Bundle { profile, period: on_hand.bundle_period };
        self.hold(bundle, -i64::from(on_hand.bundle_s));
        if !on_hand.is_nothing() {
            self.set_on_hand(profile, Held::default());
            self.end_bundle(now, bundle);
        }
        if let Some(subscription) = subscription {
            self.end_bundle(now, Account::Bundle { profile, period: subscription.period });
        }
        if let Some(subscriber) = self.subscriber_mut(profile) {
            subscriber.closed_at = Some(now);
        }
        self.return_credit(now, profile);
        Ok(Outcome::Booked)
    }

    /// Of a closed profile, gives what no call holds back to the company.
    pub(super) fn return_credit(&mut self, now: Timestamp, profile: ProfileId) {
        let Some(company) = self.closed(profile) else { return };
        let left = self.balance(Account::Profile(profile)).available();
        let way = (Account::Profile(profile), Account::Company(company));
        self.transfer(
            now,
            TransferKind::TakeBack,
            way,
            left,
            Why::Profile(profile, "the profile was deleted"),
        );
    }

    fn running_subscription(&self, now: Timestamp, profile: ProfileId) -> Result<Subscription, Refusal> {
        let subscription = self.subscriber(profile)?.subscription;
        let standing = lifecycle::standing(subscription.as_ref(), now);
        subscription.filter(|_| standing == Standing::Active).ok_or(Refusal::NotActive(standing))
    }

    fn go_on(&mut self, profile: ProfileId, subscription: Subscription) -> Outcome {
        if let Some(subscriber) = self.subscriber_mut(profile) {
            subscriber.subscription = Some(subscription);
        }
        Outcome::Continues(subscription)
    }

    /// Pays a period and puts its bundle seconds in the place of the last one's.
    fn begin_period(
        &mut self,
        now: Timestamp,
        profile: ProfileId,
        subscription: Subscription,
        refund: Micros,
    ) -> Result<(), Refusal> {
        let subscriber = *self.subscriber(profile)?;
        let price = subscription.price().filter(|price| !price.is_negative());
        let price = price.ok_or(lifecycle::OrderRefused::PriceTooLarge)?;
        // What comes back may pay for what is bought.
        let missing = Micros(price.0.saturating_sub(refund.0));
        self.company_pays(subscriber.company, missing)?;
        self.issuable(Account::Minutes, subscription.bundle_s)?;

        let company = Account::Company(subscriber.company);
        let note = wording(&subscription);
        let why = Why::Profile(profile, &note);
        self.transfer(now, TransferKind::Refund, (Account::Revenue, company), refund.0, why);
        self.transfer(now, TransferKind::Subscription, (company, Account::Revenue), price.0, why);
        if let Some(previous) = subscriber.subscription {
            self.end_bundle(now, Account::Bundle { profile, period: previous.period });
        }
        let bundle = Account::Bundle { profile, period: subscription.period };
        self.open(bundle);
        let way = (Account::Minutes, bundle);
        let granted = Why::Profile(profile, "");
        self.transfer(now, TransferKind::BundleGrant, way, subscription.bundle_s, granted);
        if let Some(subscriber) = self.subscriber_mut(profile) {
            subscriber.subscription = Some(subscription);
        }
        Ok(())
    }

    /// What comes back when `previous`, which runs, is replaced at `now`.
    fn refund(&self, profile: ProfileId, previous: &Subscription, now: Timestamp) -> Micros {
        // Seconds that a live call holds count as used: it may still use them. Those on hand are nobody's yet.
        let free_s = self.balance(Account::Bundle { profile, period: previous.period }).available();
        let on_hand = self.on_hand(profile);
        let on_hand_s = if on_hand.bundle_period == previous.period { on_hand.bundle_s } else { 0 };
        previous.refund(free_s + i64::from(on_hand_s), now)
    }

    /// Seconds that no call holds go back when a period is over.
    pub(super) fn end_bundle(&mut self, now: Timestamp, bundle: Account) {
        let Account::Bundle { profile, .. } = bundle else { return };
        let left_s = self.balance(bundle).available();
        let way = (bundle, Account::Minutes);
        self.transfer(now, TransferKind::BundleExpiry, way, left_s, Why::Profile(profile, ""));
    }
}

/// What was bought, for statements.
fn wording(bought: &Subscription) -> String {
    let count = |count: u32, one: &str| match count {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    let bundles = (bought.bundles > 0).then(|| format!(" and {}", count(bought.bundles, "bundle")));
    let (year, month, day) = bought.paid_until.date();
    let channels = count(bought.channels, "channel");
    format!("{channels}{} until {year:04}-{month:02}-{day:02}", bundles.unwrap_or_default())
}
