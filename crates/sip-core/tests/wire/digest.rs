//! Published digest vectors, checked as a server and as a client.

use sip_core::auth::{Algorithm, DigestResponse, answer_challenge, ha1, verify};

/// Checks a published answer: the right password proves, anything else does not.
fn proves(value: &str, method: &str, password: &str) {
    let response = DigestResponse::parse(value).unwrap();
    let secret = ha1(response.algorithm, response.username, response.realm, password);
    assert!(verify(&response, method, &secret), "{value}");
    let upper = value.replace(response.response, &response.response.to_uppercase());
    assert!(verify(&DigestResponse::parse(&upper).unwrap(), method, &secret));
    assert!(!verify(&response, "OTHER", &secret));
    assert!(!verify(&response, method, &ha1(response.algorithm, response.username, response.realm, "wrong")));
    let empty = value.replace(response.response, "");
    assert!(!verify(&DigestResponse::parse(&empty).unwrap(), method, &secret));
}

#[test]
fn rfc_2617_section_3_5() {
    proves(
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
         uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", \
         response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        "GET",
        "Circle Of Life",
    );
}

#[test]
fn rfc_2069_section_2_4_as_corrected_by_its_erratum() {
    proves(
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
         uri=\"/dir/index.html\", response=\"1949323746fe6a43ef61f9606e7febea\"",
        "GET",
        "CircleOfLife",
    );
}

/// RFC 7616 3.9.1, whose SHA-256 is the one of RFC 8760.
#[test]
fn rfc_7616_section_3_9_1() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        proves(
            &format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ),
            "GET",
            "Circle of Life",
        );
    }
}

/// The examples of draft-smith-sipping-auth-examples-01, which many SIP stacks test with.
#[test]
fn sip_examples_without_qop_with_qop_and_with_session() {
    let plain = "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
                 uri=\"sip:bob@biloxi.com\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    for (more, response) in [
        ("", "bf57e4e0d0bffc0fbaedce64d59add5e"),
        (", qop=auth, nc=00000001, cnonce=\"0a4f113b\"", "89eb0059246c02b2f6ee02c7961d5ea3"),
        (
            ", qop=auth, nc=00000001, cnonce=\"0a4f113b\", algorithm=MD5-sess",
            "e4e4ea61d186d07a92c9e1f6919902e9",
        ),
    ] {
        proves(&format!("{plain}{more}, response=\"{response}\""), "INVITE", "zanzibar");
    }
}

#[test]
fn the_client_answers_like_the_vectors() {
    let challenge = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
                     nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe\"";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let answer =
        answer_challenge(challenge, "GET", "/dir/index.html", "Mufasa", "Circle of Life", cnonce, 1).unwrap();
    let response = DigestResponse::parse(&answer).unwrap();
    assert_eq!(response.response, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    assert_eq!(
        (response.algorithm, response.opaque, response.nc),
        (Algorithm::Sha256, Some("FQhe"), Some(1))
    );
}
