//! Connections between agents and the gateway: nothing is lost or overtaken on them, until they break.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::auth::CertificateNames;
use sip_core::types::{ConnectionId, Flow, Now, Transmit, Transport};

use crate::provisioning::{GATEWAY, GATEWAY_TLS};
use crate::world::{Arrival, World};

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) agent: usize,
    flow: Flow,
    /// When the last octets in each direction arrive: those that follow come behind them.
    last: [Instant; 2],
}

/// Which way octets go.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

impl World {
    /// An agent connects and uses this connection from now on; the one before stays as it is.
    pub(crate) fn connect(&mut self, agent: usize, transport: Transport) -> ConnectionId {
        let port = 40_001 + self.connections as u16;
        let peer = SocketAddr::new(self.agents[agent].address.ip(), port);
        self.open_line(agent, transport, peer)
    }

    /// The same over TLS, with a certificate of this name.
    pub(crate) fn connect_as(&mut self, agent: usize, name: &str) -> ConnectionId {
        let line = self.connect(agent, Transport::Tls);
        let (now, flow) = (self.present(), self.lines[&line].flow);
        self.gateway.handle_connection_certified(now, flow, CertificateNames::new([name]));
        self.flush();
        line
    }

    fn open_line(&mut self, agent: usize, transport: Transport, peer: SocketAddr) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let local = if transport == Transport::Tls { GATEWAY_TLS } else { GATEWAY };
        let flow = Flow { transport, local, peer, connection: Some(connection) };
        let last = [self.now(); 2];
        self.lines.insert(connection, Line { agent, flow, last });
        (self.agents[agent].transport, self.agents[agent].line) = (transport, Some(connection));
        connection
    }

    /// A connection breaks, and both ends know it at once.
    pub(crate) fn break_line(&mut self, connection: ConnectionId) {
        let Some(line) = self.lines.remove(&connection) else { return };
        self.note(&format!("connection {} of {} breaks", connection.0, self.agents[line.agent].name));
        let agent = &mut self.agents[line.agent];
        agent.line = agent.line.filter(|own| *own != connection);
        let now = self.present();
        self.gateway.handle_connection_lost(now, line.flow);
        self.flush();
    }

    pub(crate) fn break_connections(&mut self, agent: usize) {
        let own: Vec<_> =
            self.lines.iter().filter(|(_, line)| line.agent == agent).map(|(id, _)| *id).collect();
        own.into_iter().for_each(|connection| self.break_line(connection));
    }

    /// What an agent sends goes over its connection, or nowhere.
    pub(crate) fn send_over_line(&mut self, agent: usize, bytes: Bytes) {
        let line = self.agents[agent].line;
        self.tell(self.agents[agent].name, "gateway", &bytes, usize::from(line.is_some()));
        if let Some(line) = line {
            let at = self.arrival_over(line, Way::In);
            self.expect(at, Arrival::OverLine { line, bytes });
        }
    }

    pub(crate) fn arrive_over(&mut self, now: Now, line: ConnectionId, bytes: Bytes) {
        if let Some(flow) = self.lines.get(&line).map(|line| line.flow) {
            self.checks.note_arrival(&bytes);
            self.gateway.handle_stream(now, flow, bytes);
        }
    }

    /// The connection that the gateway names, or without a name one to the address, which it opens if somebody listens.
    fn line_of(&mut self, flow: Flow) -> Option<ConnectionId> {
        if flow.connection.is_some() {
            return flow.connection.filter(|line| self.lines.contains_key(line));
        }
        let is_there = |line: &Line| (line.flow.transport, line.flow.peer) == (flow.transport, flow.peer);
        let standing = self.lines.iter().find(|(_, line)| is_there(line)).map(|(id, _)| *id);
        let listener = self.agents.iter().position(|agent| agent.listens && agent.address == flow.peer);
        standing.or_else(|| Some(self.open_line(listener?, flow.transport, flow.peer)))
    }

    /// What the gateway sends goes over a connection, or fails: nobody can connect to a PBX behind a NAT.
    pub(crate) fn transmit_over_line(&mut self, transmit: Transmit) {
        let line = self.line_of(transmit.flow);
        let agent = line.map(|line| self.lines[&line].agent);
        let name = agent.map_or("nobody", |agent| self.agents[agent].name);
        self.tell("gateway", name, &transmit.bytes, usize::from(line.is_some()));
        let (Some(line), Some(agent)) = (line, agent) else {
            let now = self.present();
            return self.gateway.handle_send_failed(now, transmit.flow);
        };
        self.checks.after_transmit(&self.agents, Some(agent), &transmit.bytes, 1);
        let at = self.arrival_over(line, Way::Out);
        self.expect(at, Arrival::AtAgent { agent, line: Some(line), bytes: transmit.bytes });
    }

    fn arrival_over(&mut self, line: ConnectionId, way: Way) -> Instant {
        let at = self.now() + self.network.carry_surely();
        let last = &mut self.lines.get_mut(&line).expect("the line stands").last[way as usize];
        *last = at.max(*last + Duration::from_micros(1));
        *last
    }
}
