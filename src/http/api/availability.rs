//! How carriers stand: which of their addresses calls are sent to.

use std::collections::HashMap;
use std::time::Duration;

use provisioning_store::model::{CarrierId, Timestamp};
use serde::Serialize;
use sip_core::types::{AddressStanding, Availability, CarrierStanding};
use utoipa::ToSchema;

use super::caller::Caller;
use super::money::Moment;
use crate::storage;

/// Whether calls are sent to a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CarrierState {
    /// To each of its addresses.
    Up,
    /// To some of its addresses only.
    PartlyDown,
    /// To none: it is left alone until a call tries whether it is up again.
    Down,
}

/// Whether calls are sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AddressState {
    /// They are.
    Up,
    /// They are not.
    Down,
    /// One call tries it at this moment.
    Trial,
}

/// How an address of a carrier stands.
#[derive(Serialize, ToSchema)]
#[schema(as = CarrierAddress)]
pub(super) struct AddressView {
    /// With its port; null stands for the carrier's name, which leads to no address.
    address: Option<String>,
    state: AddressState,
    /// Why it is down, in one word; null if it is up.
    reason_code: Option<&'static str>,
    /// The same in one sentence.
    reason: Option<&'static str>,
    /// Since when it has been down.
    down_since: Option<Moment>,
    /// When the next call may try it.
    retry_at: Option<Moment>,
}

impl AddressView {
    fn of(standing: &AddressStanding, now: Timestamp) -> Self {
        let (state, why, retry_in) = match standing.availability {
            Availability::Up => (AddressState::Up, None, None),
            Availability::Down { why, retry_in } => (AddressState::Down, Some(why), Some(retry_in)),
            Availability::Trial { why } => (AddressState::Trial, Some(why), None),
        };
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self {
            address: standing.address.map(|address| address.to_string()),
            state,
            reason_code: why.map(|why| why.code()),
            reason: why.map(|why| why.sentence()),
            down_since: why.map(|_| Moment(Timestamp(now.0.saturating_sub(micros(standing.down_for))))),
            retry_at: retry_in.map(|span| Moment(Timestamp(now.0.saturating_add(micros(span))))),
        }
    }
}

/// How all carriers stand.
pub(super) struct Standings(HashMap<i64, CarrierStanding>);

impl Standings {
    /// As the running gateway knows it; nothing while none runs.
    pub(super) async fn of(caller: &Caller) -> Self {
        let standings = caller.site.engine.carriers().await.into_iter();
        Self(standings.map(|standing| (standing.carrier.id.0, standing)).collect())
    }

    /// The state and the addresses of a carrier. One that no call has met yet counts as up.
    pub(super) fn show(&self, carrier: CarrierId) -> (CarrierState, Vec<AddressView>) {
        let now = storage::now();
        let addresses = self.0.get(&carrier.0).map_or(&[][..], |standing| &standing.addresses);
        let is_up = |standing: &AddressStanding| standing.availability == Availability::Up;
        let state = match addresses.iter().filter(|standing| is_up(standing)).count() {
            up if up == addresses.len() => CarrierState::Up,
            0 => CarrierState::Down,
            _ => CarrierState::PartlyDown,
        };
        (state, addresses.iter().map(|standing| AddressView::of(standing, now)).collect())
    }
}
