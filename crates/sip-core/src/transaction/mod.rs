//! The four transaction machines of RFC 3261 section 17, as corrected by RFC 6026, and the table that holds them.
//!
//! A machine is a function of (state, event) to effects; it knows no clock and no socket. The table runs their
//! timers, finds the machine a message belongs to, and keeps the octets that were sent, never a parsed message.

mod client;
mod client_invite;
mod companion;
mod key;
mod machine;
mod server;
mod server_invite;
mod table;
mod waiting;

pub(crate) use companion::cancel_of;
pub(crate) use table::{ClientKey, Fired, Incoming, Outgoing, ServerKey, Transactions, Unasked};
