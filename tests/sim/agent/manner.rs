//! What an agent is told to do: how to call, how to answer, what to do during a call.

use std::time::Duration;

/// Seconds.
pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Something to do during a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A BYE, once the ACK to a 2xx of ours has come (RFC 3261 section 15).
    HangUp,
    /// A BYE at once, whatever is outstanding.
    HangUpRudely,
    /// A BYE whose number is so much lower than the next one.
    HangUpOutOfOrder(u32),
    Cancel,
    Reinvite(Change),
    Info,
    /// An UPDATE with an offer.
    Update(Change),
    /// The same again, before the first is answered.
    UpdateAgain(Change),
    /// An UPDATE that refreshes the session and says who shall refresh it next: `uac` or `uas`.
    Refresh(&'static str),
    /// The ACK to the 2xx once more.
    AcknowledgeAgain,
    /// The 2xx to the first INVITE once more, as if its ACK had been lost.
    AnswerAgain,
    /// The same of the second device's 2xx.
    SecondAnswerAgain,
}

/// What a re-INVITE says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// `a=sendonly`.
    Hold,
    /// `a=inactive`.
    Mute,
    /// `c=IN IP4 0.0.0.0`, as of RFC 2543.
    HoldByZeros,
    /// `a=recvonly`, as some PBXs hold without music.
    HoldByRecvOnly,
    /// `a=sendonly` above all media.
    HoldBySession,
    /// Port 0: the stream is off until it is on again.
    HoldByPort,
    /// A fax instead of the audio, which is off.
    FaxInstead,
    /// A fax, and no audio at all.
    FaxAlone,
    /// A fax beside the audio.
    FaxBeside,
    /// A port that is none.
    BadPort(&'static str),
    Resume,
    /// No direction at all, which means both.
    ResumeBySilence,
    /// Another key for our media.
    Rekey,
    /// Another media port.
    Move,
    /// No offer: the other side shall make one.
    Late,
    /// The same, and the ACK does not answer it.
    LateUnanswered,
}

/// Whether something that is due is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    Done,
    Neglected,
}

/// Where a call's offer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    InInvite,
    /// In the 2xx, answered in the ACK.
    Late,
}

/// How to make a call.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    /// User part of the Request-URI and of To.
    pub(crate) to: String,
    pub(crate) offer: Offer,
    /// What is odd about it.
    pub(crate) change: Option<Change>,
    /// Whether the ACK answers an offer in the 2xx.
    pub(crate) late_answer: Duty,
    /// Whether the 2xx is acknowledged.
    pub(crate) ack: Duty,
    pub(crate) cancel_after: Option<Duration>,
    /// What to do how long after the answer.
    pub(crate) then: Vec<(Duration, Act)>,
    pub(crate) max_forwards: u8,
    /// Header fields besides the usual ones.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// User part of From, or all of it with name and host; the agent's own if not said.
    pub(crate) from: Option<String>,
    /// How requests within the call are treated.
    pub(crate) manner: Option<Manner>,
    /// Whether reliable provisional responses are confirmed.
    pub(crate) pracks: bool,
}

impl Dial {
    pub(crate) fn to(number: &str) -> Self {
        Self {
            to: number.to_owned(),
            offer: Offer::InInvite,
            change: None,
            late_answer: Duty::Done,
            ack: Duty::Done,
            cancel_after: None,
            then: Vec::new(),
            max_forwards: 70,
            headers: Vec::new(),
            from: None,
            manner: None,
            pracks: false,
        }
    }

    pub(crate) fn then(mut self, after: Duration, act: Act) -> Self {
        self.then.push((after, act));
        self
    }

    pub(crate) fn cancelled_after(mut self, after: Duration) -> Self {
        self.cancel_after = Some(after);
        self
    }

    pub(crate) fn offering(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }

    pub(crate) fn late(mut self) -> Self {
        self.offer = Offer::Late;
        self
    }

    pub(crate) fn late_without_answer(self) -> Self {
        Self { late_answer: Duty::Neglected, ..self.late() }
    }

    pub(crate) fn never_acknowledged(mut self) -> Self {
        self.ack = Duty::Neglected;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Asks for a session of so many seconds, refreshed by the caller or the callee.
    pub(crate) fn timed(self, session: &str) -> Self {
        self.header("Supported", "timer").header("Session-Expires", session)
    }

    pub(crate) fn from(mut self, user: &str) -> Self {
        self.from = Some(user.to_owned());
        self
    }

    /// Confirms provisional responses, and says so in this field.
    pub(crate) fn confirming(mut self, field: &'static str) -> Self {
        self.pracks = true;
        self.header(field, "100rel")
    }

    pub(crate) fn treating(mut self, manner: Manner) -> Self {
        self.manner = Some(manner);
        self
    }

    pub(crate) fn max_forwards(mut self, hops: u8) -> Self {
        self.max_forwards = hops;
        self
    }
}

/// How an incoming call ends.
#[derive(Clone, Debug)]
pub(crate) enum Last {
    Answer(Duration),
    Refuse(Duration, u16),
    Never,
}

/// A provisional response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Early {
    pub(crate) after: Duration,
    pub(crate) status: u16,
    pub(crate) media: EarlyMedia,
    pub(crate) arrival: Arrival,
}

impl Early {
    pub(crate) fn new(after: Duration, status: u16, media: EarlyMedia) -> Self {
        Self { after, status, media, arrival: Arrival::Hoped }
    }

    /// Repeated until it is confirmed (RFC 3262).
    pub(crate) fn reliable(self) -> Self {
        Self { arrival: Arrival::Sure, ..self }
    }
}

/// Whether a provisional response is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Hoped,
    Sure,
}

/// Whether a provisional response brings a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EarlyMedia {
    None,
    Described,
}

/// What a CANCEL leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnCancel {
    Obey,
    /// The 200 to the INVITE is sent just as the CANCEL comes: they cross.
    AnswerNevertheless,
    /// The CANCEL is answered, the INVITE never.
    Forget,
    /// The same as `AnswerNevertheless` for a re-INVITE.
    AcceptReinvite,
}

/// What devices behind the agent answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Devices {
    One,
    /// One rings, another answers: two To tags.
    RingsHereAnswersThere,
    /// Two answer: a second 200 with another To tag.
    TwoAnswer,
}

/// Which requests have to prove the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The first INVITE.
    FirstInvite,
    /// Every request of a call; a nonce holds as long as the agent lives.
    EveryRequest,
    /// Every request, and each nonce is taken once.
    EveryRequestAnew,
}

/// A proxy on the way, as the agent's responses record it; it stands at the agent's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    None,
    /// With `lr`.
    Loose,
    /// As of RFC 2543.
    Strict,
}

/// What an INVITE is sent back for, to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hurdle {
    /// 407.
    Demand,
    /// 407 for a nonce too old.
    Stale,
    /// 422 with this Min-SE.
    TooBrief(u32),
    /// 421: reliable provisional responses are to be required.
    Unreliable,
}

/// How to treat an incoming call.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) trying: Duty,
    pub(crate) early: Vec<Early>,
    pub(crate) last: Last,
    /// Whether the 200 repeats the description of the 18x.
    pub(crate) answer_sdp: Duty,
    /// The port of the answer's audio, if it is another than where media is taken.
    pub(crate) answer_port: Option<&'static str>,
    pub(crate) then: Vec<(Duration, Act)>,
    /// The answer to a re-INVITE.
    pub(crate) reinvite: u16,
    /// Whether a 200 to a re-INVITE describes the agent's media.
    pub(crate) reinvite_sdp: Duty,
    /// The answer to INFO.
    pub(crate) info: Option<u16>,
    /// How long the answer to a re-INVITE takes.
    pub(crate) reinvite_after: Duration,
    pub(crate) on_cancel: OnCancel,
    pub(crate) devices: Devices,
    pub(crate) answers_bye: Duty,
    /// Session-Expires of the 2xx; without it the agent knows no session timers.
    pub(crate) session: Option<&'static str>,
    /// Whether UPDATE is understood, and the answer to it.
    pub(crate) update: Option<u16>,
    /// User and password demanded of whoever calls.
    pub(crate) demands: Option<(&'static str, &'static str)>,
    /// Of which requests.
    pub(crate) asked: Asked,
    pub(crate) proxy: Proxy,
    /// What each INVITE of a call meets, before one is taken.
    pub(crate) hurdles: Vec<Hurdle>,
    /// Header fields of a refusal, besides the usual ones.
    pub(crate) refusal_fields: Vec<(&'static str, &'static str)>,
}

impl Manner {
    /// Rings at once and answers after a second.
    pub(crate) fn polite() -> Self {
        Self {
            trying: Duty::Done,
            early: vec![Early::new(ms(100), 180, EarlyMedia::None)],
            last: Last::Answer(s(1)),
            answer_sdp: Duty::Done,
            answer_port: None,
            then: Vec::new(),
            reinvite: 200,
            reinvite_sdp: Duty::Done,
            info: Some(200),
            reinvite_after: Duration::ZERO,
            on_cancel: OnCancel::Obey,
            devices: Devices::One,
            answers_bye: Duty::Done,
            session: None,
            update: None,
            demands: None,
            asked: Asked::FirstInvite,
            proxy: Proxy::None,
            hurdles: Vec::new(),
            refusal_fields: Vec::new(),
        }
    }

    /// Says nothing at all to an INVITE.
    pub(crate) fn silent() -> Self {
        Self { trying: Duty::Neglected, early: Vec::new(), last: Last::Never, ..Self::polite() }
    }

    /// Rings and never answers.
    pub(crate) fn ringing() -> Self {
        Self { last: Last::Never, ..Self::polite() }
    }

    /// Refuses at once, without ringing.
    pub(crate) fn refusing(status: u16) -> Self {
        Self { early: Vec::new(), last: Last::Refuse(ms(20), status), ..Self::polite() }
    }

    /// The same with one more header field.
    pub(crate) fn refusing_with(status: u16, name: &'static str, value: &'static str) -> Self {
        Self { refusal_fields: vec![(name, value)], ..Self::refusing(status) }
    }

    pub(crate) fn then(mut self, after: Duration, act: Act) -> Self {
        self.then.push((after, act));
        self
    }
}
