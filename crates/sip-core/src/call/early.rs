//! Early dialogs: an INVITE of ours that forks is answered by several devices before one takes the call, each in a
//! dialog of its own (RFC 3261 section 12.1.2).

use super::exchange::Description;
use crate::dialog::{Dialog, FarEnd};
use crate::limits::EARLY_DIALOGS_PER_INVITE;
use crate::message::{Message, Name};

/// The early dialogs of one INVITE, one for each To tag.
#[derive(Debug, Default)]
pub(crate) struct EarlyDialogs(Vec<EarlyDialog>);

/// What one device has said before the answer.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    pub(crate) far: FarEnd,
    /// Its media, as it described it last.
    pub(crate) description: Option<Description>,
    /// Whether the first offer was answered in a response and its PRACK: another may follow (RFC 3311 section 5.1).
    pub(crate) is_agreed: bool,
    /// The number of its last reliable response (RSeq).
    serial: Option<u32>,
}

/// A provisional response as it was received.
#[derive(Debug)]
pub(crate) enum Receipt {
    Unreliable,
    /// It has to be confirmed with this.
    Reliable(Rack),
    /// It came before, or before the one that it follows (RFC 3262 section 4).
    Again,
}

/// What a PRACK of ours confirms (RFC 3262 section 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rack {
    /// Whose response.
    pub(crate) tag: Option<String>,
    pub(crate) serial: u32,
    /// The number of the INVITE.
    pub(crate) cseq: u32,
}

impl Rack {
    /// `None` if a response need not be confirmed.
    pub(crate) fn of(response: &Message) -> Option<Self> {
        let serial = response
            .header(Name::RSeq)
            .filter(|_| response.lists_tag(Name::Require, super::reliable::TAG))?;
        let tag = response.to().and_then(|to| to.tag().map(str::to_owned));
        Some(Self { tag, serial: serial.trim().parse().ok()?, cseq: response.cseq()?.0 })
    }
}

impl EarlyDialog {
    /// Its last reliable response cannot be confirmed yet, and is taken when it comes again.
    pub(crate) fn forget_last(&mut self) {
        self.serial = self.serial.map(|serial| serial.wrapping_sub(1));
    }
}

impl EarlyDialogs {
    /// The dialog that a provisional response belongs to, opened if this is its first; `None` if there are too many.
    pub(crate) fn of(&mut self, dialog: &Dialog, response: &Message) -> Option<&mut EarlyDialog> {
        let tag = response.to().and_then(|to| to.tag().map(str::to_owned));
        match self.place(tag.as_deref()) {
            Some(place) => self.0[place].far.refresh_target(response),
            None if self.0.len() >= EARLY_DIALOGS_PER_INVITE => return None,
            None => self.0.push(EarlyDialog {
                far: dialog.far.learned(response),
                description: None,
                is_agreed: false,
                serial: None,
            }),
        }
        let place = self.place(tag.as_deref())?;
        self.0.get_mut(place)
    }

    /// Takes a provisional response in: opens its dialog, and sees whether it is the next one.
    pub(crate) fn receive(&mut self, dialog: &Dialog, response: &Message) -> Receipt {
        let Some(early) = self.of(dialog, response) else { return Receipt::Unreliable };
        let Some(rack) = Rack::of(response) else { return Receipt::Unreliable };
        if early.serial.is_some_and(|last| rack.serial != last.wrapping_add(1)) {
            return Receipt::Again;
        }
        early.serial = Some(rack.serial);
        Receipt::Reliable(rack)
    }

    /// The one device that has been heard of.
    pub(crate) fn only(&self) -> Option<&EarlyDialog> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The dialog with this tag.
    pub(crate) fn find(&mut self, tag: Option<&str>) -> Option<&mut EarlyDialog> {
        let place = self.place(tag)?;
        self.0.get_mut(place)
    }

    /// Takes the dialog with this tag out.
    pub(crate) fn take(&mut self, tag: Option<&str>) -> Option<EarlyDialog> {
        let place = self.place(tag)?;
        Some(self.0.swap_remove(place))
    }

    /// The INVITE was answered, or refused: nothing that was said before holds any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn place(&self, tag: Option<&str>) -> Option<usize> {
        let named = self.0.iter().position(|early| early.far.tag() == tag);
        // A device that leaves out the tag that it has given itself before is the only one that there is.
        named.or_else(|| (tag.is_none() && self.0.len() == 1).then_some(0))
    }
}
