//! Stories with an expected end, by subject; and storms, which mix them all in foul weather.

mod attempts;
mod bounds;
mod cancelled;
mod certified;
mod connections;
mod dialogs;
mod failover;
mod faults;
mod guesses;
mod identity;
mod incoming;
mod limits;
mod media;
mod money;
mod outgoing;
mod overload;
mod phones;
mod races;
mod registration;
mod reinvites;
mod secure;
mod sessions;
mod spend_guard;
mod storms;
mod strangers;
