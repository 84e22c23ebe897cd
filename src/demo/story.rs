//! The story, told as it happens: every line a fact, every fact checked.

use std::time::{Duration, Instant};

use provisioning_store::cdr::{Cdr, CdrFilter};
use provisioning_store::model::ProfileId;
use provisioning_store::money::Micros;
use sip_core::message::{Name, NameAddr};
use sip_core::types::Transport;

use super::agent::{Agent, Call, Incoming, Refused, Side};
use super::bill;
use super::report::Report;
use super::scene::{
    CARRIER_TONE, CHANNELS, DOMAIN, ENGINEERING_NUMBER, ENGINEERING_TONE, EXTENSION, HIROSHI_NUMBER,
    SALES_NUMBER, SALES_TONE, Scene,
};

/// The echo test, as the guide dials it.
const ECHO: &str = "+17606604690";
/// A number in Estonia.
const TALLINN: &str = "+3726000123";
/// Another one, called when no channel is left.
const TARTU: &str = "+3727000123";
/// The number that the guide's report shows as paid by a bundle.
const PHILADELPHIA: &str = "+12152751701";
/// A number at the steep rate.
const SATELLITE: &str = "+881612345678";
/// Somebody who calls in.
const CALLER: &str = "+13125550123";

/// How long anything may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a conversation is listened to.
const TALK: Duration = Duration::from_secs(3);
/// How exactly a call is cut at its last paid second.
const TOLERANCE: Duration = Duration::from_millis(700);

/// Tells it from the beginning to the end.
pub(super) async fn tell(scene: &mut Scene, report: &mut Report) {
    let mut story = Story { scene, report };
    story.introduce().await;
    story.registrations().await;
    story.echo().await;
    story.paid_by_credit().await;
    story.paid_by_bundle().await;
    story.incoming().await;
    story.no_channel().await;
    story.money_ends().await;
    story.bill().await;
    story.metrics().await;
}

struct Story<'a> {
    scene: &'a mut Scene,
    report: &'a mut Report,
}

/// Both ends of a call.
struct Conversation {
    caller: Call,
    callee: Incoming,
}

impl Conversation {
    /// Connects two agents through the gateway. `from` is the number a carrier calls for.
    async fn begin(
        caller: &Agent,
        from: Option<&str>,
        number: &str,
        callee: &mut Agent,
    ) -> Result<Self, Refused> {
        let mut call = match from {
            Some(from) => caller.call_from(from, number).await?,
            None => caller.call(number).await?,
        };
        call.answered(PATIENCE).await?;
        let mut incoming = callee.next_call(PATIENCE).await.ok_or_else(|| Refused::locally(480, "the called side has seen no call"))?;
        incoming.call.answered(PATIENCE).await?;
        Ok(Self { caller: call, callee: incoming })
    }

    /// The user of the caller's address, as the called side sees it.
    fn shown_caller(&self) -> &str {
        let from = self.callee.invite.header(Name::From).unwrap_or("");
        let uri = NameAddr::parse(from).map(|address| address.uri_raw()).unwrap_or("");
        uri.trim_start_matches("sip:").split('@').next().unwrap_or("")
    }
}

impl Story<'_> {
    async fn introduce(&mut self) {
        let at = |transport| self.scene.reached_at(transport);
        self.report.chapter(&format!("sipgw {}: a demonstration", env!("CARGO_PKG_VERSION")));
        self.report.say(format_args!(
            "The gateway {DOMAIN} listens on UDP {}, TCP {} and TLS {}.",
            at(Transport::Udp),
            at(Transport::Tcp),
            at(Transport::Tls)
        ));
        let company = self.scene.daemon.store().company(self.scene.company).await;
        if let Ok(company) = company {
            let credit = company.credit.cents();
            self.report
                .say(format_args!("The company Architects, US, has {credit} USD left and two trunks:"));
        }
        for trunk in [&self.scene.sales, &self.scene.engineering] {
            let profile = self.scene.daemon.store().profile(trunk.profile).await;
            let Ok(profile) = profile else { continue };
            let channels =
                profile.subscription.as_ref().map_or(0, |subscription| subscription.channels);
            self.report.say(format_args!(
                "  {}: user {}, {channels} channels, credit {}, bundle minutes {}",
                trunk.name,
                trunk.credentials.sip_user,
                profile.credit.cents(),
                profile.bundle_left_s / 60
            ));
        }
    }

    async fn registrations(&mut self) {
        self.report.chapter("The PBXs register");
        let Scene { sales, engineering, .. } = &*self.scene;
        for (trunk, how, wanted_s) in
            [(sales, "over UDP, from behind a NAT", 45), (engineering, "over TLS, directly", 3_600)]
        {
            let fact = format!("The PBX of {} registers {how}", trunk.name);
            match trunk.pbx.register().await {
                Ok(granted) => self.report.check(
                    granted.expires_s == wanted_s,
                    format_args!("{fact}: granted {} s.", granted.expires_s),
                ),
                Err(refused) => self.report.check(false, format_args!("{fact}: {refused}.")),
            };
        }
    }

    async fn echo(&mut self) {
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

    async fn paid_by_credit(&mut self) {
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

    async fn paid_by_bundle(&mut self) {
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

    async fn incoming(&mut self) {
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

        self.to_engineering(ENGINEERING_NUMBER, ENGINEERING_NUMBER.trim_start_matches('+'), "its number")
            .await;
        self.to_engineering(HIROSHI_NUMBER, HIROSHI_NUMBER.trim_start_matches('+'), "hiroshitanaka's number")
            .await;
        self.to_engineering("architects.engineering", EXTENSION, "its name: the extension").await;
    }

    /// The PBX of Engineering tells its numbers and accounts apart by the Request-URI.
    async fn to_engineering(&mut self, called: &str, user: &str, as_what: &str) {
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

    async fn no_channel(&mut self) {
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

    async fn money_ends(&mut self) {
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
            lasted.abs_diff(paid) < TOLERANCE,
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

    async fn bill(&mut self) {
        self.report.chapter("The bill");
        let store = self.scene.daemon.store();
        let filter = CdrFilter { company: Some(self.scene.company), ..CdrFilter::default() };
        let Ok(mut cdrs) = store.latest_cdrs(&filter, 50).await else {
            self.report.check(false, "The call records cannot be read.");
            return;
        };
        cdrs.reverse();
        bill::print(self.report, &cdrs);
        let imbalances = store.verify().await;
        let spent = Micros::from_units(10).checked_sub(self.credit().await);
        self.report.check(
            spent == Some(bill::total(&cdrs)),
            format_args!("The total is what Sales' credit has lost: {}.", spent.unwrap_or_default()),
        );
        match imbalances {
            Ok(wrong) if wrong.is_empty() => self.report.check(true, "The books balance to the millionth."),
            Ok(wrong) => self.report.check(false, format_args!("The books do not balance: {wrong:?}.")),
            Err(error) => self.report.check(false, format_args!("The books cannot be read: {error}.")),
        };
    }

    async fn metrics(&mut self) {
        self.report.chapter("For machines");
        let url = format!("http://{}/metrics", self.scene.daemon.http());
        let (credit, metric) = (self.credit().await, self.metric("sipgw_credit").await);
        self.report.check(
            metric.is_some_and(|metric| (metric * 1e6).round() == credit.0 as f64),
            format_args!("Prometheus finds {url}; Sales' credit there is {}.", shown(metric)),
        );
    }

    /// Both ends say their tone and hear the other's.
    async fn both_hear(&mut self, talk: &mut Conversation, caller: (&str, u16), callee: (&str, u16)) {
        let (here, there) =
            tokio::join!(talk.caller.hears(callee.1, TALK), talk.callee.call.hears(caller.1, TALK));
        self.hears(caller.0, callee.1, callee.0, here);
        self.hears(callee.0, caller.1, caller.0, there);
    }

    fn hears(&mut self, who: &str, wanted_hz: u16, whom: &str, heard: super::agent::Heard) {
        let who = capitalised(who);
        let tone = heard.tone_hz.map_or_else(|| "no tone".to_owned(), |hz| format!("{hz} Hz"));
        self.report.check(
            heard.tone_hz == Some(wanted_hz) && heard.rejected == 0,
            format_args!(
                "{who} hears {whom}: {tone}, {} packets, {} damaged.",
                heard.packets, heard.rejected
            ),
        );
    }

    async fn ended(&mut self, who: &str, call: &mut Call) {
        let ended = call.ended(PATIENCE).await;
        if ended.is_none() {
            self.report
                .check(false, format_args!("{} is not told that the call has ended.", capitalised(who)));
        }
    }

    fn failed(&mut self, what: &str, refused: &Refused) {
        self.report.check(false, format_args!("{what}: {refused}."));
    }

    /// The record of a profile's only call so far with a number, as soon as it is written.
    async fn record(&mut self, profile: ProfileId, number: &str) -> Option<Cdr> {
        let filter =
            CdrFilter { profile: Some(profile), number: Some(number.to_owned()), ..CdrFilter::default() };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let found = self.scene.daemon.store().latest_cdrs(&filter, 1).await.unwrap_or_default();
            if let Some(cdr) = found.into_iter().next() {
                return Some(cdr);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.report.check(false, format_args!("The call to {number} leaves no record."));
        None
    }

    async fn credit(&self) -> Micros {
        let profile = self.scene.daemon.store().profile(self.scene.sales.profile).await;
        profile.map(|profile| profile.credit).unwrap_or_default()
    }

    async fn bundle_left_s(&self) -> u32 {
        let profile = self.scene.daemon.store().profile(self.scene.engineering.profile).await;
        profile.map_or(0, |profile| profile.bundle_left_s)
    }

    /// A metric of Sales, from the page as Prometheus would read it.
    async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.scene.daemon.http());
        let fetch = move || ureq::get(&url).call().ok()?.body_mut().read_to_string().ok();
        let page = tokio::task::spawn_blocking(fetch).await.ok().flatten()?;
        let series = format!("{name}{{profile=\"{}\"}} ", self.scene.sales.name);
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn minutes(seconds: u32) -> String {
    format!("{:.1}", f64::from(seconds) / 60.0)
}

fn shown(metric: Option<f64>) -> String {
    metric.map_or_else(|| "missing".to_owned(), |value| value.to_string())
}
