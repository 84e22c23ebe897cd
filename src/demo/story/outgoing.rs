//! Calls that Sales and Engineering make: free, on credit, on bundle minutes.

use provisioning_store::money::Micros;

use super::{Conversation, PATIENCE, Story, TALK};
use crate::demo::scene::{CARRIER_TONE, ENGINEERING_TONE, SALES_NUMBER, SALES_TONE, Scene};

/// The echo test, as the guide dials it.
pub(super) const ECHO: &str = "+17606604690";
/// A number in Estonia.
const TALLINN: &str = "+3726000123";
/// The number that the guide's report shows as paid by a bundle.
const PHILADELPHIA: &str = "+12152751701";

impl Story<'_> {
    pub(super) async fn echo(&mut self) {
        self.report.chapter("The echo test");
        let mut call = match self.scene.sales.pbx.call(ECHO).await {
            Ok(call) => call,
            Err(refused) => return self.failed("Sales calls the echo test", &refused),
        };
        if let Err(refused) = call.answered(PATIENCE).await {
            return self.failed("Sales calls the echo test", &refused);
        }
        self.report.check(true, format_args!("Sales calls {ECHO}, and it answers."));
        let heard = call.hears(SALES_TONE, TALK).await;
        self.hears("Sales", SALES_TONE, "its own tone come back", heard);
        call.hang_up().await;
        if let Some(cdr) = self.record(self.scene.sales.profile, ECHO).await {
            let amount = cdr.settlement.amount;
            self.report.check(amount == Micros::ZERO, format_args!("It costs {amount}."));
        }
    }

    pub(super) async fn paid_by_credit(&mut self) {
        self.report.chapter("A call to Estonia, paid by credit");
        let before = self.credit().await;
        let Scene { sales, carrier, .. } = &mut *self.scene;
        let mut talk = match Conversation::begin(&sales.pbx, None, TALLINN, carrier).await {
            Ok(talk) => talk,
            Err(refused) => return self.failed(&format!("Sales calls {TALLINN}"), &refused),
        };
        self.report.check(
            talk.callee.invite.request_uri().contains(TALLINN),
            format_args!("Sales calls {TALLINN}; the carrier receives {}.", talk.callee.invite.request_uri()),
        );
        let shown = talk.shown_caller();
        self.report.check(
            shown.trim_start_matches('+') == SALES_NUMBER.trim_start_matches('+'),
            format_args!("The carrier sees {shown} as the caller: Sales' Online Number."),
        );
        self.both_hear(&mut talk, ("Sales", SALES_TONE), ("the carrier", CARRIER_TONE)).await;
        talk.caller.hang_up().await;
        self.ended("the carrier", &mut talk.callee.call).await;
        let Some(cdr) = self.record(self.scene.sales.profile, TALLINN).await else { return };
        let settled = cdr.settlement;
        self.report.check(
            settled.amount == Micros::from_cents(2) && settled.billed_s == 30,
            format_args!(
                "{} s spoken, {} s billed at {} a minute: {}.",
                settled.duration_s,
                settled.billed_s,
                cdr.rate_per_minute(),
                settled.amount
            ),
        );
        let after = self.credit().await;
        self.report.check(
            before.checked_sub(after) == Some(settled.amount),
            format_args!("Sales' credit goes from {before} to {after}."),
        );
    }

    pub(super) async fn paid_by_bundle(&mut self) {
        self.report.chapter("A call to Philadelphia, paid by bundle minutes, over TLS and SRTP");
        let before_s = self.bundle_left_s().await;
        let Scene { engineering, carrier, .. } = &mut *self.scene;
        let mut talk = match Conversation::begin(&engineering.pbx, None, PHILADELPHIA, carrier).await {
            Ok(talk) => talk,
            Err(refused) => return self.failed(&format!("Engineering calls {PHILADELPHIA}"), &refused),
        };
        self.report.check(true, format_args!("Engineering calls {PHILADELPHIA}; the carrier answers."));
        self.both_hear(
            &mut talk,
            ("Engineering (SRTP)", ENGINEERING_TONE),
            ("the carrier (RTP)", CARRIER_TONE),
        )
        .await;
        talk.caller.hang_up().await;
        self.ended("the carrier", &mut talk.callee.call).await;
        let Some(cdr) = self.record(self.scene.engineering.profile, PHILADELPHIA).await else { return };
        let settled = cdr.settlement;
        let after_s = self.bundle_left_s().await;
        self.report.check(
            settled.amount == Micros::ZERO && settled.bundle_s == 30,
            format_args!("Zero-rated: {}, and {} s of bundle minutes.", settled.amount, settled.bundle_s),
        );
        self.report.check(
            before_s == after_s + settled.bundle_s,
            format_args!("The bundle goes from {} to {} minutes.", minutes(before_s), minutes(after_s)),
        );
    }
}

fn minutes(seconds: u32) -> String {
    format!("{:.1}", f64::from(seconds) / 60.0)
}
