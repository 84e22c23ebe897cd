//! Relays RTP and SRTP between two sides of a call.
