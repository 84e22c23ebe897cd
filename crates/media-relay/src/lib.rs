//! Relays RTP and SRTP between the two sides of a call.
//!
//! A call has a [`Side::Near`](session::Side) and a [`Side::Far`](session::Side), each with a pair of ports of
//! its own. Whoever owns the signalling hands every session description to
//! [`Engine::describe`](engine::Engine::describe) and sends on what comes back; the rest happens here.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`engine`] | the worker threads that own the sockets, and the handle that commands them |
//! | [`session`] | one call's media, pure: latch, relay, echo, counts; and offer/answer for both legs |
//! | [`srtp`] | SRTP in place without allocation, held against webrtc-srtp behind guards |
//! | [`sdes`] | `a=crypto`: what peers write, what is chosen, what we write |
//! | [`ports`] | even and odd port pairs, rested before they are used again |
//! | [`packet`] | the buffer, and as much of RTP as a relay reads |
//!
//! # A call
//! 1. [`open`](engine::Engine::open) binds the ports of both sides.
//! 2. The caller's offer goes to `describe(id, Side::Near, Role::Offer, ..)`; the callee gets what it returns.
//! 3. The callee's answer goes to `describe(id, Side::Far, Role::Answer, ..)`; the caller gets what it returns,
//!    and media flows. An answer in a 18x is [`Role::EarlyAnswer`](session::Role). A late offer begins at the far
//!    side; a re-offer at either; a refused one ends with [`rollback`](engine::Engine::rollback).
//! 4. Once the call is answered, [`watch`](engine::Engine::watch) begins to count its silence.
//! 5. The next carrier takes the far side by [`replace`](engine::Engine::replace).
//! 6. [`close`](engine::Engine::close) frees the ports and returns the counts.
//!
//! # Rules that hold everywhere
//! - Media goes only where the signalling says or where an admitted packet came from: see [`session::Latch`].
//! - No stranger's packet is ever admitted, and a host that only a description names gets little media.
//! - Nothing is taken from a side that agreed to nothing, and on an encrypted side nothing that is not authentic.
//! - The same key keeps its rollover counter and replay window, a new key starts with fresh ones (RFC 4568, 7.1.4).
//! - No index is used twice under one key, whatever the other side sends.
//! - `session` reads no clock and no socket: time and packets are arguments.
//!
//! # What this crate does not do
//! It does not read or write SDP, resolve names, transcode, mix, record, conceal loss or buffer jitter. It has no
//! ICE, no DTLS-SRTP, no ZRTP, no UNENCRYPTED_SRTCP, no key derivation rate, and relays audio only: one stream a
//! call. It neither makes nor changes RTCP beyond encryption.

pub mod engine;
pub mod packet;
pub mod ports;
pub mod sdes;
pub mod session;
pub mod srtp;
