//! What breaks: the gateway is killed and started again, agents break down, hosts are cut off, the store is gone or
//! slow, the wall clock is set. Each may befall the world at any moment, and each ends again.

use std::time::Duration;

use sip_core::gateway::Gateway;

use crate::books::Health;
use crate::desk::Pace;
use crate::dice::Dice;
use crate::world::{Arrival, SALES, World};

/// Something that goes wrong, or is mended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The gateway is killed and starts again at once: it knows what the store knows, and nothing else.
    GatewayDies,
    /// An agent breaks down, and comes back after so long without a memory.
    AgentDies(usize, Duration),
    /// It is back; a PBX registers anew.
    AgentRises(usize),
    /// Nothing passes between the gateway and an agent for so long.
    CutOff(usize, Duration),
    Mended(usize),
    /// The store refuses everything for so long.
    StoreFails(Duration),
    /// The store answers, and does what has piled up meanwhile.
    StoreReturns,
    /// The store takes up to so many milliseconds for each answer.
    StoreSlows(u64),
    /// The wall clock jumps by so many seconds.
    ClockJumps(i64),
}

/// How long an agent may take to notice that the gateway knows its calls no more.
const OBLIVION_MS: u64 = 40_000;

impl Fault {
    /// Any fault that ends by itself.
    pub(crate) fn any(dice: &mut Dice) -> Self {
        let agent = dice.below(6) as usize;
        let span = dice.between_ms(10, 40_000);
        match dice.below(8) {
            0 | 1 => Self::GatewayDies,
            2 => Self::AgentDies(agent, span),
            3 | 4 => Self::CutOff(agent, span),
            5 => Self::StoreFails(span),
            6 => Self::StoreSlows(*dice.pick(&[3, 2_000, 9_000])),
            _ => Self::ClockJumps(dice.below(7_200) as i64 - 3_600),
        }
    }
}

impl World {
    /// Something goes wrong later.
    pub(crate) fn befall_at(&mut self, after: Duration, fault: Fault) {
        let at = self.now() + after;
        self.expect(at, Arrival::Fault(fault));
    }

    /// Something goes wrong now.
    pub(crate) fn befall(&mut self, fault: Fault) {
        self.note(&format!("{fault:?}"));
        let now = self.now();
        match fault {
            Fault::GatewayDies => self.restart_gateway(),
            Fault::AgentDies(agent, span) => {
                self.agents[agent].break_down();
                self.note_outage_of(agent);
                self.network.cut(self.agents[agent].address.ip());
                self.break_connections(agent);
                self.befall_at(span, Fault::AgentRises(agent));
            }
            Fault::AgentRises(agent) => {
                self.network.mend(self.agents[agent].address.ip());
                if agent == SALES {
                    self.agents[agent].start_registering(now, 3_600);
                }
            }
            Fault::CutOff(agent, span) => {
                self.note_outage_of(agent);
                self.network.cut(self.agents[agent].address.ip());
                self.befall_at(span, Fault::Mended(agent));
            }
            Fault::Mended(agent) => {
                self.network.mend(self.agents[agent].address.ip());
                self.agents[agent].lose_patience(now);
            }
            Fault::StoreFails(span) => {
                self.desk.books.health = Health::Failing;
                self.befall_at(span, Fault::StoreReturns);
            }
            Fault::StoreReturns => self.desk.books.catch_up(now),
            Fault::StoreSlows(most_ms) => self.desk.books_pace = Pace::Within(most_ms),
            Fault::ClockJumps(seconds) => {
                self.clock_jump_s += seconds;
                self.desk.books.clock_jump_s = self.clock_jump_s;
            }
        }
        self.flush();
    }

    /// What is meant and on its way to the gateway takes so much longer, and is overtaken.
    pub(crate) fn delay_to_gateway(&mut self, by: Duration, is_meant: impl Fn(&[u8]) -> bool) {
        let is_late = |arrival: &Arrival| match arrival {
            Arrival::AtGateway { bytes, .. } => is_meant(bytes),
            _ => false,
        };
        for (at, arrival) in self.take_arrivals(is_late) {
            self.expect(at + by, arrival);
        }
    }

    fn note_outage_of(&mut self, agent: usize) {
        self.agents.iter_mut().for_each(|agent| agent.others_were_cut_off = true);
        self.agents[agent].was_cut_off = true;
    }

    fn restart_gateway(&mut self) {
        self.lose_replies();
        for agent in 0..self.agents.len() {
            self.break_connections(agent);
        }
        let (now, mut secret) = (self.now(), [0; 32]);
        secret[..8].copy_from_slice(&self.dice.next().to_le_bytes());
        self.gateway = Gateway::new(self.settings.clone(), self.directory.clone(), secret);
        self.desk.studio.close_all(now);
        self.desk.books.start_again(now);
        let present = self.present();
        for binding in self.kept_bindings.values() {
            self.gateway.restore_binding(present, binding.clone());
        }
        for ((profile, address), at) in &self.kept_proofs {
            self.gateway.restore_proof(present, *profile, *address, now - *at);
        }
        for (agent, bytes) in self.on_their_way() {
            self.agents[agent].will_hear_from_the_dead(&bytes);
        }
        for agent in &mut self.agents {
            agent.lose_the_gateway(now, OBLIVION_MS);
        }
    }

    /// Replies to a gateway that is no more reach nobody.
    fn lose_replies(&mut self) {
        self.retain_arrivals(|arrival| !matches!(arrival, Arrival::Reply(_)));
    }
}
