//! What ends a call or does not let it begin: channels and money.

use std::time::{Duration, Instant};

use provisioning_store::money::Micros;

use super::outgoing::ECHO;
use super::{Conversation, PATIENCE, Story, shown};
use crate::demo::agent::Side;
use crate::demo::scene::{CHANNELS, Scene};

/// A number called when no channel is left.
const TARTU: &str = "+3727000123";
/// A number at the steep rate.
const SATELLITE: &str = "+881612345678";
/// How exactly a call is cut at its last paid second.
const TOLERANCE: Duration = Duration::from_millis(700);
/// How late a busy machine may hear of the end; nobody pays for it.
const LATENESS: Duration = Duration::from_secs(10);

impl Story<'_> {
    pub(super) async fn no_channel(&mut self) {
        self.report.chapter("No channel is left");
        let mut calls = Vec::new();
        for _ in 0..CHANNELS {
            let placed = self.scene.sales.pbx.call(ECHO).await;
            let answered = match placed {
                Ok(mut call) => call.answered(PATIENCE).await.map(|()| call),
                Err(refused) => Err(refused),
            };
            match answered {
                Ok(call) => calls.push(call),
                Err(refused) => return self.failed("A call within the channels", &refused),
            }
        }
        let in_use = self.metric("sipgw_channels_in_use").await;
        self.report.check(
            in_use == Some(f64::from(CHANNELS)),
            format_args!("Sales makes {} calls at once: {} channels in use.", calls.len(), shown(in_use)),
        );
        let outcome = match self.scene.sales.pbx.call(TARTU).await {
            Ok(mut call) => call.answered(PATIENCE).await,
            Err(refused) => Err(refused),
        };
        match outcome {
            Ok(()) => self.report.check(false, "The call after that is answered."),
            Err(refused) => self.report.check(
                refused.status >= 400 && refused.reason.is_some(),
                format_args!("The next call is refused: {refused}."),
            ),
        };
        let record = self.record(self.scene.sales.profile, TARTU).await;
        if let Some(cdr) = record {
            let (code, amount) = (&cdr.record.ending.reason_code, cdr.settlement.amount);
            self.report.check(
                code == "no_channel" && amount == Micros::ZERO,
                format_args!("The record says {code}, and costs {amount}."),
            );
        }
        for call in &mut calls {
            call.hang_up().await;
        }
    }

    pub(super) async fn money_ends(&mut self) {
        self.report.chapter("The money ends");
        let before = self.credit().await;
        let Scene { sales, carrier, .. } = &mut *self.scene;
        let mut talk = match Conversation::begin(&sales.pbx, None, SATELLITE, carrier).await {
            Ok(talk) => talk,
            Err(refused) => return self.failed(&format!("Sales calls {SATELLITE}"), &refused),
        };
        let answered = Instant::now();
        self.report.check(
            true,
            format_args!("Sales calls a satellite telephone for 90.00 a minute and has {before}."),
        );
        let Some(ended) = talk.caller.ended(Duration::from_secs(20)).await else {
            self.report.check(false, "The call goes on without money.");
            talk.caller.hang_up().await;
            return;
        };
        let lasted = answered.elapsed();
        let reason = ended.reason.unwrap_or_else(|| "nothing".to_owned());
        self.report.check(
            ended.by == Side::Them && reason.to_lowercase().contains("credit"),
            format_args!("The gateway ends it. Reason: {reason}"),
        );
        self.ended("the carrier", &mut talk.callee.call).await;
        let Some(cdr) = self.record(self.scene.sales.profile, SATELLITE).await else { return };
        let settled = cdr.settlement;
        let paid = Duration::from_secs(u64::from(settled.billed_s));
        self.report.check(
            lasted + TOLERANCE > paid && lasted < paid + LATENESS,
            format_args!(
                "It lasted {:.1} s, of which {} s are paid.",
                lasted.as_secs_f64(),
                settled.billed_s
            ),
        );
        let after = self.credit().await;
        let a_second = Micros(cdr.rate_per_minute().0 / 60);
        self.report.check(
            before.checked_sub(after) == Some(settled.amount) && !after.is_negative() && after < a_second,
            format_args!(
                "It costs {}; {after} is left, and another second costs {a_second}.",
                settled.amount
            ),
        );
    }
}
