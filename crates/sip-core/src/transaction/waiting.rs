//! Client transactions that fail when the way of their requests does, indexed by that way: a lost connection, a send error
//! or an ICMP error costs work for the transactions that it concerns, not for all of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use slotmap::KeyData;

use super::table::ClientKey;
use crate::types::{ConnectionId, Flow, Transport};

/// Where a request went, as far as a failure can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Route {
    /// Over this connection.
    Connection(ConnectionId),
    /// To this address: a datagram, or over whatever connection leads there.
    Address(Transport, SocketAddr),
}

impl Route {
    pub(super) fn of(flow: Flow) -> Self {
        flow.connection.map_or(Self::Address(flow.transport, flow.peer), Self::Connection)
    }
}

/// The index.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_route: BTreeSet<(Route, ClientKey)>,
    /// Entries looked at so far.
    #[cfg(test)]
    pub(super) examined: std::cell::Cell<usize>,
}

impl Waiting {
    pub(super) fn insert(&mut self, flow: Flow, key: ClientKey) {
        self.by_route.insert((Route::of(flow), key));
    }

    pub(super) fn remove(&mut self, flow: Flow, key: ClientKey) {
        self.by_route.remove(&(Route::of(flow), key));
    }

    /// The transactions whose requests went this way.
    pub(super) fn on(&self, route: Route) -> impl Iterator<Item = ClientKey> + '_ {
        let first = (route, ClientKey::from(KeyData::from_ffi(0)));
        let examine = move |(other, _): &&(Route, ClientKey)| {
            #[cfg(test)]
            self.examined.set(self.examined.get() + 1);
            *other == route
        };
        self.by_route.range(first..).take_while(examine).map(|(_, key)| *key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_route.len()
    }
}
