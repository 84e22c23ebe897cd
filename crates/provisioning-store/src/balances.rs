//! What every profile has left, for whoever watches them all.

use crate::ledger::Spending;
use crate::model::ProfileId;
use crate::money::Micros;

/// What a profile has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileBalance {
    /// Whose.
    pub profile: ProfileId,
    /// Credit for outgoing calls, the part that live calls have reserved included.
    pub credit: Micros,
    /// Credit that live calls have reserved.
    pub held_by_calls: Micros,
    /// Bundle seconds left in this period, the part that live calls have reserved included.
    pub bundle_left_s: u32,
    /// Calls going on now.
    pub channels_in_use: u32,
    /// What its calls were charged today and in this hour.
    pub spending: Spending,
}
