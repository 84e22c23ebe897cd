//! How often reading a message asks for memory. A rise here is a rise of every message's cost.

use allocation_counter::measure;
use bytes::Bytes;
use sip_core::auth::DigestResponse;
use sip_core::message::{Name, Transport, lex, validate};

const INVITE: &[u8] = include_bytes!("../../benches/invite.sip");
const REGISTER: &[u8] = include_bytes!("../../benches/register.sip");

#[test]
fn a_plain_message_costs_few_allocations() {
    for plain in [INVITE, REGISTER] {
        let bytes = Bytes::copy_from_slice(plain);
        let used = measure(|| {
            let message = lex(bytes.clone(), Transport::Datagram).unwrap();
            validate(&message).unwrap();
            assert!(
                message.top_via().is_some() && message.from().is_some() && message.contacts().count() == 1
            );
        });
        // The shared count of the octets, the message itself, and one text each for rsip's Max-Forwards and Expires.
        assert!(used.count_total <= 5, "{} allocations", used.count_total);
    }
}

#[test]
fn views_cost_none() {
    let message = lex(Bytes::from_static(REGISTER), Transport::Datagram).unwrap();
    let used = measure(|| {
        let digest = DigestResponse::parse(message.header(Name::Authorization).unwrap()).unwrap();
        assert_eq!(digest.nc, Some(1));
        assert_eq!(message.to().unwrap().uri().unwrap().user(), Some("99050012345678"));
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn a_copy_costs_none() {
    let message = lex(Bytes::from_static(INVITE), Transport::Datagram).unwrap();
    let used = measure(|| assert_eq!(message.clone().body_bytes().len(), message.body().len()));
    assert_eq!(used.count_total, 0);
}
