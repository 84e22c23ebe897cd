//! The desks that answer the core's questions, joined: what each is asked, and in which order.

use std::sync::Arc;

use sip_core::types::{CallRecord, CallUid, Now, Question, Reply};
use tokio::sync::mpsc;

use super::turns::Turns;
use crate::admission::Admission;
use crate::carrier_hosts::CarrierHosts;
use crate::engine::Desk;
use crate::media::Media;
use crate::net::Tls;
use crate::resolve::{Query, Resolver, SystemDns};

/// Who is told which addresses a name leads to.
#[derive(Clone)]
pub(super) struct Names {
    /// Finds them.
    pub(super) resolver: Arc<Resolver<SystemDns>>,
    /// Where carriers are.
    pub(super) carriers: CarrierHosts,
    /// What certificates have to show.
    pub(super) tls: Arc<Tls>,
}

/// See the module.
pub(super) struct Desks {
    admission: Admission,
    media: Media,
    names: Names,
    replies: mpsc::Sender<Reply>,
    turns: Turns,
}

impl Desk for Desks {
    fn ask(&mut self, _now: Now, question: Question) {
        match question {
            Question::Settle(record) => self.settle(record),
            Question::Reserve { profile, .. } if self.turns.is_busy(profile) => {
                let admission = self.admission.clone();
                self.turns.begin(profile, async {}, move |()| drop(admission.ask(question)));
            }
            question => self.ask_at_once(question),
        }
    }
}

impl Desks {
    pub(super) fn new(
        admission: Admission,
        media: Media,
        names: Names,
        replies: mpsc::Sender<Reply>,
    ) -> Self {
        Self { admission, media, names, replies, turns: Turns::default() }
    }

    fn ask_at_once(&mut self, question: Question) {
        let Some(question) = self.admission.ask(question) else { return };
        let Some(question) = self.media.ask(question) else { return };
        if let Question::Resolve { call, host, port, transport } = question {
            self.resolve(call, Query { host, port, transport });
        }
    }

    fn resolve(&self, call: CallUid, query: Query) {
        let (names, replies) = (self.names.clone(), self.replies.clone());
        tokio::spawn(async move {
            let addresses = names.resolver.resolve(&query).await;
            addresses.iter().for_each(|address| names.tls.names.note(*address, &query.host));
            names.carriers.note(&query.host, addresses.iter().map(|address| address.ip()));
            // An engine that is gone needs no answer.
            let _gone = replies.send(Reply::Resolved { call, addresses }).await;
        });
    }

    /// Settles once the relay has told what it counted, if the call had media: usually a matter of microseconds, but the
    /// channel is taken until then. Never before the call's own reservation, which may be waiting for its turn.
    fn settle(&mut self, record: Box<CallRecord>) {
        let report = self.media.report(record.lease.call);
        let profile = record.profile.filter(|profile| report.is_some() || self.turns.is_busy(*profile));
        let Some(profile) = profile else { return self.admission.settle(record, None) };
        let admission = self.admission.clone();
        let counted = async move {
            match report {
                Some(report) => report.words().await,
                None => None,
            }
        };
        self.turns.begin(profile, counted, move |media| admission.settle(record, media));
    }
}
