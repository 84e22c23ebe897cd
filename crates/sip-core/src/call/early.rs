//! Early dialogs: an INVITE of ours that forks is answered by several devices before one takes the call, each in a
//! dialog of its own (RFC 3261 section 12.1.2).

use super::exchange::Description;
use crate::dialog::{Dialog, FarEnd};
use crate::limits::EARLY_DIALOGS_PER_INVITE;
use crate::message::Message;

/// The early dialogs of one INVITE, one for each To tag.
#[derive(Debug, Default)]
pub(crate) struct EarlyDialogs(Vec<EarlyDialog>);

/// What one device has said before the answer.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    pub(crate) far: FarEnd,
    /// Its media, as it described it last.
    pub(crate) description: Option<Description>,
}

impl EarlyDialogs {
    /// The dialog that a provisional response belongs to, opened if this is its first; `None` if there are too many.
    pub(crate) fn of(&mut self, dialog: &Dialog, response: &Message) -> Option<&mut EarlyDialog> {
        let tag = response.to().and_then(|to| to.tag().map(str::to_owned));
        match self.place(tag.as_deref()) {
            Some(place) => self.0[place].far.refresh_target(response),
            None if self.0.len() >= EARLY_DIALOGS_PER_INVITE => return None,
            None => self.0.push(EarlyDialog { far: dialog.far.learned(response), description: None }),
        }
        let place = self.place(tag.as_deref())?;
        self.0.get_mut(place)
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
        self.0.iter().position(|early| early.far.tag() == tag)
    }
}
