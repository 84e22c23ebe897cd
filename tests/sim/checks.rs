//! What must be so after every step, and what must be left when everything is over.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sip_core::Stage;
use sip_core::message::{Method, Name, Transport, lex};
use sip_core::types::{CallUid, Question};

use crate::agent::Agent;
use crate::provisioning::{PHONE_NUMBER, PHONE_USER, SALES_USER};
use crate::world::{SALES, World};

/// What the checks remember from step to step.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Whether the core has asked anything since the last look at books and media.
    is_due: bool,
    /// Callers' Call-IDs whose first INVITE was answered with a 2xx by the gateway.
    accepted: BTreeSet<String>,
    /// Branches of INVITEs that reached the gateway.
    arrived: BTreeSet<String>,
    /// Branches of INVITEs refused without state, and whether any of these answers arrived.
    refused_without_state: BTreeMap<String, bool>,
    /// Records looked at.
    seen_records: usize,
}

impl Checks {
    pub(crate) fn note_question(&mut self, _question: &Question) {
        self.is_due = true;
    }

    /// A packet has reached the gateway.
    pub(crate) fn note_arrival(&mut self, bytes: &Bytes) {
        if bytes.starts_with(b"INVITE")
            && let Ok(message) = lex(bytes.clone(), Transport::Datagram)
            && let Some(branch) = message.top_via().and_then(|via| via.branch().map(str::to_owned))
        {
            self.arrived.insert(branch);
        }
    }

    /// The gateway has sent something: it must go to somebody, and tell nothing of anybody else.
    pub(crate) fn after_transmit(
        &mut self,
        agents: &[Agent],
        to: Option<usize>,
        bytes: &Bytes,
        copies: usize,
    ) {
        let text = String::from_utf8_lossy(bytes);
        let to = to.unwrap_or_else(|| panic!("sent to nobody:\n{text}"));
        let is_forger = agents[to].is_forger;
        let is_elsewhere = |other: &Agent| other.address.ip() != agents[to].address.ip();
        for (index, other) in agents.iter().enumerate().filter(|(_, other)| !is_forger && is_elsewhere(other))
        {
            let address = other.address.ip().to_string();
            assert!(
                !text.contains(&address),
                "{} is told the address of {}:\n{text}",
                agents[to].name,
                other.name
            );
            let is_sales = index == SALES;
            assert!(
                !is_sales || !text.contains(SALES_USER),
                "{} is told a SIP user:\n{text}",
                agents[to].name
            );
        }
        let message = lex(bytes.clone(), Transport::Datagram).expect("the gateway writes SIP");
        if (200..300).contains(&message.status()) && *message.method() == Method::Invite {
            self.accepted.extend(message.call_id().map(str::to_owned));
        }
        if is_forger {
            // An answer repeats what was wrong with the question.
            return;
        }
        sip_core::message::validate(&message)
            .unwrap_or_else(|fault| panic!("{fault:?} in what we sent:\n{text}"));
        assert!(
            !matches!(message.status(), 401 | 407)
                || message.header(Name::WwwAuthenticate).is_some()
                || message.header(Name::ProxyAuthenticate).is_some(),
            "{} is asked for a proof without a challenge:\n{text}",
            agents[to].name
        );
        if matches!(message.status(), 401 | 407 | 420 | 483) && *message.method() == Method::Invite {
            let branch = message.top_via().and_then(|via| via.branch().map(str::to_owned));
            *self.refused_without_state.entry(branch.unwrap_or_default()).or_default() |= copies > 0;
        }
    }

    /// Whether every answer to an INVITE was lost. Only answers without state, which nobody repeats unasked, may be.
    fn is_lost(&self, branch: &str) -> bool {
        self.refused_without_state.get(branch) == Some(&false)
    }

    /// What must be so at any moment.
    pub(crate) fn after_step(world: &mut World) {
        if !std::mem::take(&mut world.checks.is_due) {
            return;
        }
        leases_are_calls(world);
        media_is_calls(world);
        channels_are_within_their_limit(world);
        books_balance(world);
        nothing_is_billed_without_an_answer(world);
    }

    /// What must be so when everything is over.
    pub(crate) fn at_the_end(world: &mut World) {
        let counts = world.counts();
        assert_eq!(counts, Default::default(), "something is left: {:?}", world.gateway.live_calls());
        assert_eq!(world.gateway.live_calls().len(), 0);
        assert!(world.desk.books.open.is_empty(), "leases are left: {:?}", world.desk.books.open);
        assert_eq!(world.desk.books.ledger.books().live_calls().count(), 0);
        assert_eq!(world.desk.studio.open().count(), 0, "media is left");
        assert_eq!(world.desk.studio.ports_in_use(), 0, "ports are left");
        each_invite_had_one_final_answer(world);
        every_charge_has_its_record(world);
    }
}

/// Reservations are live calls, and the other way round.
fn leases_are_calls(world: &World) {
    let live: BTreeSet<CallUid> = world
        .gateway
        .live_calls()
        .iter()
        .filter(|call| call.stage != Stage::Over)
        .map(|call| call.call)
        .collect();
    let books = &world.desk.books;
    for lease in &books.open {
        assert!(live.contains(&lease.call), "{lease} is leased, but its call is over");
    }
    let held = books.open.iter().filter(|lease| books.holds(**lease)).count();
    let live_leases = books.ledger.books().live_calls().count();
    assert_eq!(held + books.held_for_nobody(), live_leases, "a reservation belongs to no lease");
    for call in world.gateway.live_calls().iter().filter(|call| call.stage == Stage::Running) {
        let shares = books.open.iter().filter(|lease| lease.call == call.call).count();
        assert_eq!(shares, call.shares.len(), "{} runs without its leases", call.call);
        let is_to_phone = call.to == PHONE_USER || call.to == format!("+{PHONE_NUMBER}");
        assert!(shares > 0 || is_to_phone, "{} runs for nobody", call.call);
    }
}

/// Media is open for live calls only.
fn media_is_calls(world: &World) {
    let calls = world.gateway.live_calls();
    for open in world.desk.studio.open() {
        let is_live = calls.iter().any(|call| call.call == open && call.stage != Stage::Over);
        assert!(is_live, "media of {open} is open, but the call is over");
    }
    let running = calls.iter().filter(|call| call.stage == Stage::Running).count();
    assert!(running <= world.desk.studio.open().count(), "a call runs without media");
}

fn channels_are_within_their_limit(world: &World) {
    for means in &world.desk.books.means {
        let used = world.desk.books.channels_in_use(means.profile);
        assert!(used <= means.channels as usize, "{used} channels of {} are used", means.channels);
    }
}

/// Money in is money out, and no balance is below zero.
fn books_balance(world: &World) {
    let wrong = world.desk.books.ledger.verify();
    assert!(wrong.is_empty(), "{wrong:?}");
    for means in &world.desk.books.means {
        assert!(!world.credit(means.profile).is_negative());
    }
}

/// A record says answered exactly if the caller was sent a 2xx.
fn nothing_is_billed_without_an_answer(world: &mut World) {
    let records = &world.desk.books.records;
    for record in &records[world.checks.seen_records..] {
        let was_accepted = world.checks.accepted.contains(&record.caller_call_id);
        assert_eq!(record.answered.is_some(), was_accepted, "answered, or not? {record:?}");
    }
    let cdrs = world.desk.books.ledger.cdrs();
    let orphans = &world.desk.books.orphans;
    for cdr in cdrs.iter().filter(|cdr| cdr.settlement.amount.0 > 0 && !orphans.contains(&cdr.call)) {
        assert!(
            world.checks.accepted.contains(&cdr.record.ending.caller_call_id),
            "billed unanswered: {cdr:?}"
        );
    }
    for cdr in cdrs.iter().filter(|cdr| cdr.record.ending.is_unconfirmed) {
        assert_eq!(
            (cdr.settlement.amount.0, cdr.settlement.bundle_s),
            (0, 0),
            "nobody heard the answer: {cdr:?}"
        );
    }
    world.checks.seen_records = records.len();
}

/// Every INVITE that reached the gateway got one final answer, and each of the gateway's got its ACK.
fn each_invite_had_one_final_answer(world: &World) {
    for agent in &world.agents {
        for (branch, outcome) in &agent.outcomes {
            let owed = usize::from(world.checks.arrived.contains(branch));
            let got = &outcome.finals;
            if outcome.is_excused {
                continue;
            }
            if got.is_empty() && (outcome.is_waived || agent.was_cut_off || world.checks.is_lost(branch)) {
                continue;
            }
            let (name, call_id) = (agent.name, &outcome.call_id);
            assert_eq!(got.len(), owed, "INVITE {branch} of {name} ({call_id}) got {got:?}");
        }
        assert!(agent.unacknowledged.is_empty(), "{} waits for ACKs: {:?}", agent.name, agent.unacknowledged);
    }
}

/// What the profiles paid is what the records say, one record for each lease.
fn every_charge_has_its_record(world: &World) {
    let books = &world.desk.books;
    let cdrs = books.ledger.cdrs();
    let names: BTreeSet<_> = cdrs.iter().map(|cdr| cdr.call.as_str()).collect();
    assert_eq!(names.len(), cdrs.len(), "a lease was recorded twice");
    assert_eq!(cdrs.len(), books.settled.len());
    for means in &books.means {
        let of_profile = |cdr: &&provisioning_store::cdr::Cdr| {
            cdr.record.profile.map(|profile| profile.0) == Some(means.profile.0)
        };
        let charged: i64 = cdrs.iter().filter(of_profile).map(|cdr| cdr.settlement.amount.0).sum();
        assert_eq!(means.credit.0 - charged, books.credit(means.profile).0, "charges differ from credit");
    }
}
