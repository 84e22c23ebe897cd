//! PBXs that cannot register: what the list of them says, and to whom.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use sip_core::auth::answer_challenge;

use crate::business::Firm;
use crate::house::House;

/// Tries to register with a password; gives the last answer.
fn register(house: &House, user: &str, password: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let own = socket.local_addr().unwrap();
    let ask = |cseq: u32, proof: &str| {
        let text = format!(
            "REGISTER sip:sip.test SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@sip.test>;tag=a\r\nTo: <sip:{user}@sip.test>\r\nCall-ID: {own}\r\nCSeq: {cseq} REGISTER\r\n\
             Contact: <sip:{user}@{own}>\r\nExpires: 300\r\nUser-Agent: Asterisk PBX 20.5.0\r\n{proof}Content-Length: 0\r\n\r\n"
        );
        socket.send_to(text.as_bytes(), house.daemon.listeners()[0].local).unwrap();
        let mut buffer = [0; 8_192];
        let length = socket.recv(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let challenge = ask(1, "");
    let asked =
        challenge.lines().find_map(|line| line.strip_prefix("WWW-Authenticate: ")).expect("a challenge");
    let proof = answer_challenge(asked, "REGISTER", "sip:sip.test", user, password, "c0ffee", 1).unwrap();
    ask(2, &format!("Authorization: {proof}\r\n"))
}

#[test]
fn a_pbx_that_cannot_register_is_listed_with_the_reason_for_its_own_company_until_it_can() {
    let house = House::new("35080-35099");
    let (own, other) = (Firm::new(&house, "Architects"), Firm::new(&house, "Builders"));
    house.directory_is_what_is_provisioned();
    let credentials = format!("/profiles/{}/credentials", own.profile);
    let secret = own.ask(&house, "POST", &credentials, Value::Null).expect(200);
    house.directory_is_what_is_provisioned();
    let (user, password) = (secret["sip_user"].as_str().unwrap(), secret["password"].as_str().unwrap());
    let listed = |firm: &Firm, query: &str| {
        firm.ask(&house, "GET", &format!("/refused-registrations{query}"), Value::Null).expect(200)["items"]
            .clone()
    };
    assert_eq!(listed(&own, ""), json!([]));
    assert!(register(&house, user, "guessed").starts_with("SIP/2.0 403 "));
    let of_profile = format!("?profile={}", own.profile);
    for query in ["", &of_profile] {
        let found = listed(&own, query);
        assert_eq!(
            (&found[0]["profile"], &found[0]["reason"]),
            (&json!(own.profile), &json!("bad_credentials"))
        );
        assert!(found[0]["sentence"].as_str().unwrap().contains("password"), "{found}");
        assert!(found[0]["source"].as_str().unwrap().starts_with("127.0.0.1:"), "{found}");
        assert_eq!(listed(&other, query), json!([]), "another company reads it");
    }
    let of_company = format!("/refused-registrations?company={}", own.company);
    other.ask(&house, "GET", &of_company, Value::Null).expect(404);
    let all = house.operate("GET", "/refused-registrations", Value::Null).expect(200);
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1));
    assert!(register(&house, user, password).starts_with("SIP/2.0 200 "));
    assert_eq!(listed(&own, ""), json!([]), "it has registered since");
    house.stop();
}
