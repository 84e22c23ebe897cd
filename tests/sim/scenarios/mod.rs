//! Stories with an expected end, by subject; and storms, which mix them all in foul weather.

mod attempts;
mod cancelled;
mod dialogs;
mod failover;
mod incoming;
mod money;
mod outgoing;
mod races;
mod registration;
mod reinvites;
mod storms;
mod strangers;
