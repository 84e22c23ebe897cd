//! Which calls a way carries, so that a lost connection need not be looked for in every call.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use super::{Call, CallLeg};
use crate::directory::Peer;
use crate::types::{CallUid, ConnectionId, Flow, ProfileId, Transport};

/// What a leg over TCP or TLS depends on. Over UDP nothing can be lost, so it has no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// This connection.
    Connection(ConnectionId),
    /// Whatever connection there is to this address.
    Address(Transport, SocketAddr),
    /// The connection was lost: where this profile's PBX registers next.
    Binding(ProfileId),
}

impl Way {
    /// The ways that end when the connection of this flow does.
    pub(crate) fn lost_with(lost: Flow) -> impl Iterator<Item = Self> {
        let connection = lost.connection.map(Self::Connection);
        connection.into_iter().chain([Self::Address(lost.transport, lost.peer)])
    }

    /// The ways that a leg depends on.
    fn of(leg: &CallLeg) -> impl Iterator<Item = Self> {
        let flow = leg.dialog.flow;
        let way = flow.connection.map_or(Self::Address(flow.transport, flow.peer), Self::Connection);
        let binding = match leg.peer {
            Peer::Profile(profile) if leg.sought_until.is_some() => Some(Self::Binding(profile)),
            _ => None,
        };
        flow.transport.is_reliable().then_some(way).into_iter().chain(binding)
    }
}

/// The calls by their ways.
#[derive(Debug, Default)]
pub(crate) struct WayIndex(HashMap<Way, BTreeSet<CallUid>>);

impl WayIndex {
    /// The calls that one of these ways carries, in order.
    pub(crate) fn calls(&self, ways: impl Iterator<Item = Way>) -> BTreeSet<CallUid> {
        ways.filter_map(|way| self.0.get(&way)).flatten().copied().collect()
    }

    /// A call may have changed its ways.
    pub(crate) fn follow(&mut self, call: &mut Call) {
        // Most calls go over UDP, have no ways and cost nothing here.
        if call.ways().eq(call.ways.iter().copied()) {
            return;
        }
        self.forget(call);
        call.ways = call.ways().collect();
        for way in &call.ways {
            self.0.entry(*way).or_default().insert(call.uid);
        }
    }

    /// A call is over.
    pub(crate) fn forget(&mut self, call: &mut Call) {
        for way in call.ways.drain(..) {
            if let Some(calls) = self.0.get_mut(&way) {
                calls.remove(&call.uid);
                if calls.is_empty() {
                    self.0.remove(&way);
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Call {
    fn ways(&self) -> impl Iterator<Item = Way> {
        let callees = self.callee.iter().chain(&self.abandoned);
        std::iter::once(&self.caller).chain(callees).flat_map(Way::of)
    }
}
