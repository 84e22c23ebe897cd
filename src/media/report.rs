//! What a call's media was like, in the words of its record.

use std::fmt::Write;
use std::time::Duration;

use media_relay::session::{CallStats, DropReason, Side, SideStats};
use sip_core::types::CallUid;
use tokio::sync::watch;

/// How long a record waits for the counts. The relay gives them within a millisecond; without them the record is
/// written all the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// The counts of a call whose media is being closed.
#[derive(Clone)]
pub struct Report {
    /// Whose.
    pub call: CallUid,
    counts: watch::Receiver<Option<CallStats>>,
}

impl Report {
    /// A report, and the end that fills it in; dropping that end says that there is nothing to report.
    pub(super) fn new(call: CallUid) -> (Self, watch::Sender<Option<CallStats>>) {
        let (sender, counts) = watch::channel(None);
        (Self { call, counts }, sender)
    }

    /// The counts, in words; `None` if nobody knows them.
    pub async fn words(mut self) -> Option<String> {
        let counts = tokio::time::timeout(PATIENCE, self.counts.wait_for(Option::is_some)).await;
        let counts = *counts.ok()?.ok()?;
        counts.as_ref().map(words)
    }
}

/// Both sides, one after the other: what came from each, and what went no further.
fn words(stats: &CallStats) -> String {
    let mut text = String::new();
    for (name, side) in [("caller", Side::Near), ("callee", Side::Far)] {
        let side = stats.side(side);
        write_side(&mut text, name, side).expect("writing to memory cannot fail");
    }
    text.split_off(2)
}

fn write_side(text: &mut String, name: &str, side: &SideStats) -> std::fmt::Result {
    if side.packets == 0 && side.control_packets == 0 && side.drops.iter().all(|count| *count == 0) {
        write!(text, "; {name}: nothing")?;
    } else {
        write_counts(text, name, side)?;
    }
    // Media that was sent to somebody who never asked for it, or to a recorder: the operator may want to know which.
    if side.is_unproved { text.write_str(", unproved address") } else { Ok(()) }
}

fn write_counts(text: &mut String, name: &str, side: &SideStats) -> std::fmt::Result {
    let protection = side.suite.map_or_else(|| "rtp".to_owned(), |suite| format!("srtp {}", suite.name()));
    let (packets, octets, lost) = (side.packets, side.octets, side.lost());
    write!(text, "; {name}: {protection}, {packets} packets, {octets} octets, {lost} lost")?;
    write!(text, ", {} rtcp", side.control_packets)?;
    for reason in DropReason::ALL.into_iter().filter(|reason| side.dropped(*reason) > 0) {
        write!(text, ", {} dropped {}", side.dropped(reason), reason.label())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use media_relay::srtp::Suite;

    #[test]
    fn each_side_is_told_with_its_protection_and_its_losses() {
        let mut near = SideStats::default();
        (near.packets, near.octets, near.control_packets) = (250, 43_000, 2);
        near.suite = Some(Suite::AesCm128Sha1Tag80);
        near.drops[DropReason::Replayed.index()] = 3;
        let stats = CallStats { near, far: SideStats::default() };
        assert_eq!(
            words(&stats),
            "caller: srtp AES_CM_128_HMAC_SHA1_80, 250 packets, 43000 octets, 0 lost, 2 rtcp, 3 dropped replayed; \
             callee: nothing"
        );
        let mut far = SideStats::default();
        far.is_unproved = true;
        assert_eq!(
            words(&CallStats { far, ..stats }).split("; ").nth(1),
            Some("callee: nothing, unproved address")
        );
    }

    #[tokio::test]
    async fn a_report_that_nobody_fills_in_is_no_hindrance() {
        let (report, sender) = Report::new(CallUid(1));
        drop(sender);
        assert_eq!(report.words().await, None);
        let (report, sender) = Report::new(CallUid(1));
        sender.send(Some(CallStats::default())).unwrap();
        assert_eq!(report.clone().words().await.as_deref(), Some("caller: nothing; callee: nothing"));
        assert_eq!(report.words().await.as_deref(), Some("caller: nothing; callee: nothing"));
    }
}
