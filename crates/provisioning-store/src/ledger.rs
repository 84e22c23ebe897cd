//! The books: who has what, what live calls have reserved, and the rules by which money and minutes move.
//!
//! Pure: an operation is a function of ([`Books`], operation, now). The same rules run on maps in memory
//! ([`crate::memory`]) and on the rows a database transaction has loaded ([`crate::store`]).
//!
//! **Reserve, then settle.** A call reserves seconds before it may ring, extends them while it lasts and is settled
//! once; what it did not use is free again. A little of each busy profile's credit is kept on hand for calls that
//! begin while the database does not answer; these are adopted afterwards. A reservation is also the call's channel: the channels in use are the set
//! of live reservations, and no counter can drift from it.
//!
//! **Double entry.** Every movement is a [`Transfer`] from one account to another. Balances are the sums of their
//! transfers; only `external` (money's way in), `revenue` and the two minute pools have no floor of zero.

mod account;
mod books;
mod calls;
mod credit;
mod funding;
mod guard;
mod numbers;
mod on_hand;
mod operation;
mod reservation;
mod subscriptions;

pub use account::{Account, Balance, Transfer, TransferKind, Unit, UnknownAccount};
pub(crate) use books::imbalances;
pub use books::{Books, Changes, Difference, Imbalance, Subscriber};
pub use guard::{CapStanding, CapState, Limit, SpendWarning, Spending, Spent, Window};
pub use on_hand::Held;
pub use operation::{Closing, Grant, LedgerEntry, LedgerOp, Outcome, Refusal};
pub use reservation::{Payer, Reservation, ReservePolicy};
