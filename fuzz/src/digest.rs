//! The values of Authorization and of WWW-Authenticate: no proof is taken without the password, and the answer to any
//! challenge can be read and proves the password.

use sip_core::auth::{Challenge, DigestResponse, ha1, verify};

/// Holds the property against these octets; panics where it does not hold.
pub fn check(octets: &[u8]) {
    let Ok(value) = std::str::from_utf8(octets) else { return };
    if let Ok(response) = DigestResponse::parse(value) {
        let _ = (response.user(), response.nc);
        let secret = ha1(response.algorithm, response.user(), response.realm, "password that nobody knows");
        assert!(!verify(&response, "INVITE", &secret), "a proof without the password");
    }
    if let Ok(challenge) = Challenge::parse(value) {
        check_answer(&challenge);
    }
}

fn check_answer(challenge: &Challenge<'_>) {
    let uri = "sip:gw.example.net";
    let answer = challenge.answer("INVITE", uri, "user", "secret", "c0ffee", 10);
    let Ok(response) = DigestResponse::parse(&answer) else {
        panic!("our answer cannot be read: {answer}");
    };
    assert_eq!((response.username, response.uri), ("user", uri));
    assert_eq!((response.realm, response.nonce), (challenge.realm, challenge.nonce));
    assert_eq!(response.nc, challenge.offers_auth.then_some(10), "the count is hexadecimal");
    let secret = ha1(response.algorithm, "user", challenge.realm, "secret");
    assert!(verify(&response, "INVITE", &secret), "our own proof does not hold: {answer}");
    let wrong = ha1(response.algorithm, "user", challenge.realm, "another");
    assert!(!verify(&response, "INVITE", &wrong));
}
