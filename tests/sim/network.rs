//! The network between the gateway and everybody else: late, lossy, repetitive and out of order, by the dice.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::dice::Dice;

/// How bad the network is.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// The shortest way, milliseconds.
    pub(crate) least_ms: u64,
    /// The longest way of an ordinary packet, milliseconds.
    pub(crate) most_ms: u64,
    /// Packets lost, percent.
    pub(crate) loss: u64,
    /// Packets that come twice, percent.
    pub(crate) duplicates: u64,
    /// Packets that take a detour and so are overtaken, percent.
    pub(crate) detours: u64,
}

/// How much longer a detour takes, milliseconds. Less than T1, as RFC 3261 assumes of a working network.
const DETOUR_MS: (u64, u64) = (50, 400);

impl Weather {
    /// Nothing is lost and nothing overtakes.
    pub(crate) fn clear() -> Self {
        Self { least_ms: 5, most_ms: 5, loss: 0, duplicates: 0, detours: 0 }
    }

    /// As bad as the seed says: up to a fifth of the packets lost.
    pub(crate) fn foul(dice: &mut Dice) -> Self {
        Self {
            least_ms: 1,
            most_ms: 1 + dice.below(80),
            loss: dice.below(21),
            duplicates: dice.below(21),
            detours: dice.below(21),
        }
    }
}

/// The network: its weather, and who is cut off.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    cut: HashSet<IpAddr>,
    dice: Dice,
}

impl Network {
    pub(crate) fn new(weather: Weather, dice: Dice) -> Self {
        Self { weather, cut: HashSet::new(), dice }
    }

    /// Nothing passes to or from this host until it is mended.
    pub(crate) fn cut(&mut self, host: IpAddr) {
        self.cut.insert(host);
    }

    pub(crate) fn mend(&mut self, host: IpAddr) {
        self.cut.remove(&host);
    }

    /// How long each copy of a packet takes between the gateway and `host`; none arrives if it is lost.
    pub(crate) fn carry(&mut self, host: IpAddr) -> Vec<Duration> {
        // The dice are thrown in any case, so that cutting a host changes no other packet's fate.
        let copies = 1 + u64::from(self.dice.hits(self.weather.duplicates));
        let ways: Vec<_> = (0..copies).filter_map(|_| self.way()).collect();
        if self.cut.contains(&host) { Vec::new() } else { ways }
    }

    /// How long octets of a connection take: what is lost is sent again below, so it is only late. A host that is cut
    /// off hears nothing before TCP gives up, which breaks the connection.
    pub(crate) fn carry_surely(&mut self) -> Duration {
        let is_late = self.dice.hits(self.weather.loss + self.weather.detours);
        let way = self.dice.between_ms(self.weather.least_ms, self.weather.most_ms);
        if is_late { way + self.dice.between_ms(DETOUR_MS.0, DETOUR_MS.1) } else { way }
    }

    fn way(&mut self) -> Option<Duration> {
        let is_lost = self.dice.hits(self.weather.loss);
        let is_detour = self.dice.hits(self.weather.detours);
        let mut way = self.dice.between_ms(self.weather.least_ms, self.weather.most_ms);
        if is_detour {
            way += self.dice.between_ms(DETOUR_MS.0, DETOUR_MS.1);
        }
        (!is_lost).then_some(way)
    }
}
