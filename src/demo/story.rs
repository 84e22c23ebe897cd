//! The story, told as it happens: every line a fact, every fact checked.

mod books;
mod incoming;
mod limits;
mod outgoing;

use std::time::{Duration, Instant};

use provisioning_store::cdr::{Cdr, CdrFilter};
use provisioning_store::model::ProfileId;
use provisioning_store::money::Micros;
use sip_core::message::{Name, NameAddr};
use sip_core::types::Transport;

use super::agent::{Agent, Call, Heard, Incoming, Refused};
use super::report::Report;
use super::scene::{DOMAIN, Scene};

/// How long anything may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a conversation is listened to, if need be.
const TALK: Duration = Duration::from_secs(4);

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
        let mut incoming = callee
            .next_call(PATIENCE)
            .await
            .ok_or_else(|| Refused::locally(480, "the called side has seen no call"))?;
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
            let channels = profile.subscription.as_ref().map_or(0, |subscription| subscription.channels);
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

    /// Both ends say their tone and hear the other's.
    async fn both_hear(&mut self, talk: &mut Conversation, caller: (&str, u16), callee: (&str, u16)) {
        let (here, there) =
            tokio::join!(talk.caller.hears(callee.1, TALK), talk.callee.call.hears(caller.1, TALK));
        self.hears(caller.0, callee.1, callee.0, here);
        self.hears(callee.0, caller.1, caller.0, there);
    }

    fn hears(&mut self, who: &str, wanted_hz: u16, whom: &str, heard: Heard) {
        let who = capitalised(who);
        let tone = heard.tone_hz.map_or_else(|| "no tone".to_owned(), |hz| format!("{hz} Hz"));
        self.report.check(
            heard.is_steady(wanted_hz) && heard.rejected == 0,
            format_args!(
                "{who} hears {whom}: {tone} for {:.1} s, {} packets, {} damaged.",
                heard.steady.as_secs_f64(),
                heard.packets,
                heard.rejected
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
        let series = format!("{name}{{profile=\"{}\"}} ", self.scene.sales.credentials.sip_user);
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn shown(metric: Option<f64>) -> String {
    metric.map_or_else(|| "missing".to_owned(), |value| value.to_string())
}
