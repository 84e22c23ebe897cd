//! The bound of every map and queue of the core. What exceeds one is refused or dropped, and counted.

/// Addresses of one carrier that a call tries; a name may lead to more.
pub(crate) const ADDRESSES_PER_CARRIER: usize = 4;

/// Attempts of one call that its record tells of: the first ones, and the last.
pub(crate) const ATTEMPTS_RECORDED: usize = 32;

/// Descriptions of one call that wait for the relay, early answers for the most part.
pub(crate) const DESCRIPTIONS_PER_CALL: usize = 16;

/// Devices behind one callee that ring at once, each in a dialog of its own; and those that answer beside the one that
/// got the call.
pub(crate) const EARLY_DIALOGS_PER_INVITE: usize = 8;

/// How often a call may have been forwarded, as far as it says so.
pub(crate) const TIMES_FORWARDED: usize = 10;

/// Unanswered calls that a profile makes to one of its own numbers at a time: a PBX that forwards a number to itself does
/// nothing else.
pub(crate) const OWN_CALLS_THAT_RING: usize = 2;

/// Bounds; the defaults fit a machine with 4 GiB of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once, in set-up or running.
    pub calls: usize,
    /// Server and client transactions at once.
    pub transactions: usize,
    /// Registered PBXs.
    pub bindings: usize,
    /// Carriers tried for one call.
    pub attempts_per_call: usize,
    /// Nonces whose counts are remembered.
    pub nonces: usize,
    /// Sources whose rate is remembered.
    pub sources: usize,
    /// Sources, and user names, that wrong passwords are remembered of.
    pub suspects: usize,
    /// Unauthenticated requests a source may send, a second on average.
    pub requests_per_source: u32,
    /// Requests outside of calls that a source may send that is known by its address or registered from there, a second
    /// on average: its address may be forged.
    pub requests_per_known_source: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 20_000,
            transactions: 200_000,
            bindings: 200_000,
            attempts_per_call: 6,
            nonces: 200_000,
            sources: 100_000,
            suspects: 20_000,
            requests_per_source: 500,
            requests_per_known_source: 5_000,
        }
    }
}
