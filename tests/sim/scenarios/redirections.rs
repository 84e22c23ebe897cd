//! What a callee says instead of an answer is told for what it is.

use sip_core::message::Method;
use sip_core::refusal::Refusal;
use sip_core::types::Ending;

use crate::agent::manner::{Dial, Manner};
use crate::provisioning::SALES_NUMBER;
use crate::world::{ALPHA, SALES, World};

#[test]
fn a_redirection_is_told_as_one_with_its_target_in_the_record() {
    for (status, field, why, detail) in [
        (
            302,
            ("Contact", "<sip:200@198.51.100.77:5062>"),
            Refusal::CalleeRedirected,
            "sip:200@198.51.100.77:5062",
        ),
        (301, ("Contact", "<tel:+12025550123>"), Refusal::CalleeRedirected, "tel:+12025550123"),
        (421, ("Require", "precondition"), Refusal::CalleeNeedsExtension, "It requires precondition."),
        (403, ("Server", "pbx"), Refusal::CalleeForbids, "It answered 403 Forbidden."),
        (420, ("Unsupported", "tdialog"), Refusal::CalleeLacksExtension, "It does not support tdialog."),
        (494, ("Server", "pbx"), Refusal::CalleeFailed, "It answered 494 Security Agreement Required."),
    ] {
        let mut world = World::new();
        world.teach(SALES, Manner { refusal_fields: vec![field], ..Manner::refusing(status) });
        let call = world.dial(ALPHA, Dial::to(SALES_NUMBER));
        world.settle();
        assert_eq!(world.agents[ALPHA].calls[call].statuses, [100, 480], "{status}");
        let record = &world.desk.books.records[0];
        assert_eq!(record.ending, Ending::Refused(why));
        assert!(record.detail.as_deref().is_some_and(|told| told.contains(detail)), "{:?}", record.detail);
        let refusal = world.agents[ALPHA].responses(Method::Invite).last().unwrap();
        assert_eq!(refusal.header_named("X-Sipgw-Reason"), Some(why.code()));
    }
}
