//! A binding kept alive: registered, refreshed before it ends, taken back.

use std::time::{Duration, Instant};

use sip_core::message::{Message, MessageWriter, Method, Name};

use super::{Agent, Step};

/// How long before its end a binding is refreshed, as pjsip does.
const REFRESH_AHEAD: Duration = Duration::from_secs(10);

/// One agent's registration.
#[derive(Debug)]
pub(crate) struct Registration {
    /// What follows the Contact's address.
    pub(crate) contact_params: &'static str,
    /// Seconds asked for.
    pub(crate) expires_s: u32,
    /// Whether it is refreshed when its time comes.
    pub(crate) is_kept: bool,
    /// The statuses of all answers.
    pub(crate) statuses: Vec<u16>,
    /// Seconds granted by the last 200.
    pub(crate) granted_s: Option<u32>,
    call_id: String,
    cseq: u32,
    has_tried: bool,
}

impl Agent {
    /// Registers now, and again before the binding ends.
    pub(crate) fn start_registering(&mut self, now: Instant, expires_s: u32) {
        let call_id = format!("{}@{}", self.dice.token(), self.address.ip());
        self.registration = Some(Registration {
            contact_params: ";rinstance=0a1b2c",
            expires_s,
            is_kept: true,
            statuses: Vec::new(),
            granted_s: None,
            call_id,
            cseq: 0,
            has_tried: false,
        });
        self.register(now);
    }

    pub(super) fn register(&mut self, now: Instant) {
        if let Some(registration) = self.registration.as_mut().filter(|registration| registration.is_kept) {
            registration.has_tried = false;
            self.send_register(now, None);
        }
    }

    fn send_register(&mut self, now: Instant, credentials: Option<String>) {
        let (branch, tag, contact) = (self.branch(), self.dice.token(), self.contact());
        let (path, requires) = (self.path, self.requires);
        let via = self.via(&branch);
        let Some(registration) = &mut self.registration else { return };
        registration.cseq += 1;
        let mut writer = MessageWriter::request(&Method::Register, &format!("{}:gw.example", self.scheme));
        writer.header(Name::Via, via);
        writer.header(Name::MaxForwards, 70);
        writer.header(Name::From, format_args!("<{}:{}@gw.example>;tag={tag}", self.scheme, self.user));
        writer.header(Name::To, format_args!("<{}:{}@gw.example>", self.scheme, self.user));
        writer.header(Name::CallId, &registration.call_id);
        writer.header(Name::CSeq, format_args!("{} REGISTER", registration.cseq));
        writer.header(Name::Contact, format_args!("{contact};expires={}", registration.expires_s));
        if !path.is_empty() {
            writer.header(Name::Path, path);
        }
        if !requires.is_empty() {
            writer.header(Name::Require, requires);
        }
        if let Some(credentials) = credentials {
            writer.header(Name::Authorization, credentials);
        }
        self.start_client(now, &branch, Method::Register, writer.finish(), None);
    }

    pub(super) fn on_registered(&mut self, now: Instant, response: &Message) {
        let status = response.status();
        let Some(registration) = &mut self.registration else { return };
        registration.statuses.push(status);
        match status {
            200 => {
                registration.granted_s = response.expires();
                if let Some(granted) = registration.granted_s.filter(|_| registration.is_kept) {
                    let after = Duration::from_secs(granted.into()).saturating_sub(REFRESH_AHEAD);
                    self.plan(now + after, Step::Register);
                }
            }
            401 if !std::mem::replace(&mut registration.has_tried, true) => {
                let credentials = self.prove(response, Name::WwwAuthenticate, "REGISTER", "sip:gw.example");
                self.send_register(now, credentials);
            }
            _ => {}
        }
    }
}
