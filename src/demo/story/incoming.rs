//! Calls from the telephone network, and what the PBXs see of them.

use super::{Conversation, Story};
use crate::demo::scene::{
    CARRIER_TONE, ENGINEERING_NUMBER, ENGINEERING_TONE, EXTENSION, HIROSHI_NUMBER, SALES_NUMBER, SALES_TONE,
    Scene,
};

/// Somebody who calls in.
const CALLER: &str = "+13125550123";

impl Story<'_> {
    pub(super) async fn incoming(&mut self) {
        self.report.chapter("Calls come in from the telephone network");
        let Scene { sales, carrier, .. } = &mut *self.scene;
        let number = SALES_NUMBER;
        let wanted = sales.pbx.reached_as(number.trim_start_matches('+'));
        let mut talk = match Conversation::begin(carrier, Some(CALLER), number, &mut sales.pbx).await {
            Ok(talk) => talk,
            Err(refused) => return self.failed(&format!("{CALLER} calls {number}"), &refused),
        };
        let uri = talk.callee.invite.request_uri().to_owned();
        self.report.check(uri == wanted, format_args!("{CALLER} calls {number}; the PBX of Sales receives"));
        self.report.say(format_args!("INVITE {uri}"));
        let shown = talk.shown_caller().to_owned();
        self.report.check(
            shown.trim_start_matches('+') == CALLER.trim_start_matches('+'),
            format_args!("The caller shown is {shown}."),
        );
        self.both_hear(&mut talk, ("the carrier", CARRIER_TONE), ("Sales", SALES_TONE)).await;
        talk.callee.call.hang_up().await;
        self.ended("the carrier", &mut talk.caller).await;

        self.reach_engineering(ENGINEERING_NUMBER, ENGINEERING_NUMBER.trim_start_matches('+'), "its number")
            .await;
        self.reach_engineering(
            HIROSHI_NUMBER,
            HIROSHI_NUMBER.trim_start_matches('+'),
            "hiroshitanaka's number",
        )
        .await;
        self.reach_engineering("architects.engineering", EXTENSION, "its name: the extension").await;
    }

    /// The PBX of Engineering tells its numbers and accounts apart by the Request-URI.
    async fn reach_engineering(&mut self, called: &str, user: &str, as_what: &str) {
        let Scene { engineering, carrier, .. } = &mut *self.scene;
        let wanted = engineering.pbx.reached_as(user);
        let begun = Conversation::begin(carrier, Some(CALLER), called, &mut engineering.pbx).await;
        let mut talk = match begun {
            Ok(talk) => talk,
            Err(refused) => return self.failed(&format!("{CALLER} calls {called}"), &refused),
        };
        let uri = talk.callee.invite.request_uri().to_owned();
        self.report
            .check(uri == wanted, format_args!("{CALLER} calls {called} ({as_what}); Engineering receives"));
        self.report.say(format_args!("INVITE {uri}"));
        if called == ENGINEERING_NUMBER {
            let ends = (("the carrier (RTP)", CARRIER_TONE), ("Engineering (SRTP)", ENGINEERING_TONE));
            self.both_hear(&mut talk, ends.0, ends.1).await;
        }
        talk.caller.hang_up().await;
        self.ended("Engineering", &mut talk.callee.call).await;
    }
}
