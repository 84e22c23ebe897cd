//! Registrations, kept so that PBXs on UDP are reachable at once after a restart, and where passwords were proved.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use provisioning_store::error::StoreError;
use provisioning_store::model::{self, Timestamp};
use provisioning_store::registrations::{Proof, Registration};
use provisioning_store::store::Store;
use sip_core::settings::Listener;
use sip_core::types::{Binding, Flow, ProfileId, SecureMedia, Transport};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::metrics::Metrics;
use crate::observe::BindingChange;
use crate::{storage, text};

/// Changes that may wait to be written.
pub const WAITING: usize = 8_192;
/// Changes that are looked through together.
const ROUND: usize = 4_096;
/// Rounds begin this far apart: a transaction costs about the same for one change as for a hundred, and syncs the disk.
const PACE: Duration = Duration::from_millis(100);
/// Changes in one transaction. The charges of calls wait while it is written.
const TOGETHER: usize = 512;

/// Writes changes, those of a tenth of a second together. Ends when the sender is dropped.
/// `changed` is told when a proof has confirmed a claim of an address.
pub async fn keep(
    store: Store,
    mut changes: mpsc::Receiver<BindingChange>,
    metrics: Metrics,
    changed: Arc<Notify>,
) {
    let mut round = Vec::new();
    let mut next = Instant::now();
    while gather(&mut changes, &mut round, next).await {
        next = Instant::now() + PACE;
        let Round { kept, ended, proved } = Round::of(round.drain(..));
        let proofs_written = save_proofs(&store, &proved, &changed).await;
        for written in [proofs_written, save(&store, &kept).await, delete(&store, &ended).await] {
            if let Err(error) = written {
                // The next refresh writes them again; what has ended expires there too.
                metrics.store_failures.with_label_values(&["registrations"]).inc();
                tracing::warn!(%error, "Registrations could not be written.");
            }
        }
    }
}

async fn save(store: &Store, kept: &[Registration]) -> Result<(), StoreError> {
    for part in kept.chunks(TOGETHER) {
        store.save_registrations(part).await?;
    }
    Ok(())
}

/// What is confirmed by a proof is to be felt by calls at once.
async fn save_proofs(store: &Store, proved: &[Proof], changed: &Notify) -> Result<(), StoreError> {
    for part in proved.chunks(TOGETHER) {
        if store.save_proofs(part).await? {
            changed.notify_one();
        }
    }
    Ok(())
}

async fn delete(store: &Store, ended: &[model::ProfileId]) -> Result<(), StoreError> {
    for part in ended.chunks(TOGETHER) {
        store.delete_registrations(part).await?;
    }
    Ok(())
}

/// Waits for changes, and with them until the time has come for a round. `false` once nobody is left who makes any.
async fn gather(
    changes: &mut mpsc::Receiver<BindingChange>,
    round: &mut Vec<BindingChange>,
    not_before: Instant,
) -> bool {
    if changes.recv_many(round, ROUND).await == 0 {
        return false;
    }
    sleep_until(not_before).await;
    while round.len() < ROUND
        && let Ok(change) = changes.try_recv()
    {
        round.push(change);
    }
    true
}

/// What is left of a round: each profile's latest change, and its latest proof at each address.
#[derive(Debug, Default)]
struct Round {
    kept: Vec<Registration>,
    ended: Vec<model::ProfileId>,
    proved: Vec<Proof>,
}

impl Round {
    fn of(changes: impl Iterator<Item = BindingChange>) -> Self {
        let (mut by_profile, mut by_address) = (BTreeMap::new(), BTreeMap::new());
        for change in changes {
            match change {
                BindingChange::Kept(binding) => {
                    by_profile.insert(binding.profile, Some(binding));
                }
                BindingChange::Ended(profile) => {
                    by_profile.insert(profile, None);
                }
                BindingChange::Proved(proof) => {
                    by_address.insert((proof.profile, proof.address), proof);
                }
            }
        }
        let mut round = Self { proved: by_address.into_values().collect(), ..Self::default() };
        for (profile, binding) in by_profile {
            match binding {
                Some(binding) => round.kept.push(registration(&binding)),
                None => round.ended.push(model::ProfileId(profile.0)),
            }
        }
        round
    }
}

/// A proof that was made now.
pub fn proof(profile: ProfileId, address: IpAddr, transport: Transport) -> Proof {
    let transport = transport_of(transport);
    Proof { profile: model::ProfileId(profile.0), address, transport, at: storage::now() }
}

fn transport_of(transport: Transport) -> model::Transport {
    match transport {
        Transport::Udp => model::Transport::Udp,
        Transport::Tcp => model::Transport::Tcp,
        Transport::Tls => model::Transport::Tls,
    }
}

fn registration(binding: &Binding) -> Registration {
    Registration {
        profile: model::ProfileId(binding.profile.0),
        contact: binding.contact.clone(),
        path: binding.path.clone(),
        source: binding.flow.peer.to_string(),
        local: binding.flow.local.to_string(),
        transport: transport_of(binding.flow.transport),
        user_agent: text::kept(binding.user_agent.as_deref().unwrap_or_default()),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        media: match binding.media {
            None => model::Srtp::Auto,
            Some(SecureMedia::Off) => model::Srtp::Off,
            Some(SecureMedia::Optional) => model::Srtp::Optional,
            Some(SecureMedia::Required) => model::Srtp::Required,
        },
        registered_at: storage::now(),
        expires_at: Timestamp::from_unix_s(i64::try_from(binding.expires_unix_s).unwrap_or(i64::MAX)),
    }
}

/// The bindings at addresses that we still listen at. A connection does not survive its process; whether the PBX can be
/// connected to is the core's to judge. `nat_s` is the interval that only PBXs behind a NAT are given.
pub fn restored(rows: &[Registration], listeners: &[Listener], nat_s: u32) -> Vec<Binding> {
    let is_ours = |flow: &Flow| {
        let is_it = |listener: &Listener| listener.transport == flow.transport && listener.hears(flow.local);
        listeners.iter().any(is_it)
    };
    last_known(rows, nat_s).into_iter().filter(|binding| is_ours(&binding.flow)).collect()
}

/// All that were registered when a gateway ran last, over whatever transport.
pub fn last_known(rows: &[Registration], nat_s: u32) -> Vec<Binding> {
    rows.iter().filter_map(|row| binding(row, nat_s)).collect()
}

fn binding(row: &Registration, nat_s: u32) -> Option<Binding> {
    let local = row.local.parse().ok()?;
    let transport = match row.transport {
        model::Transport::Udp => Transport::Udp,
        model::Transport::Tcp => Transport::Tcp,
        model::Transport::Tls => Transport::Tls,
    };
    let granted_s = row.expires_at.unix_s() - row.registered_at.unix_s();
    Some(Binding {
        profile: ProfileId(row.profile.0),
        contact_uri: uri_of(&row.contact).to_owned(),
        contact: row.contact.clone(),
        path: row.path.clone(),
        flow: Flow { transport, local, peer: row.source.parse().ok()?, connection: None },
        user_agent: Some(row.user_agent.clone()).filter(|agent| !agent.is_empty()),
        call_id: row.call_id.clone(),
        cseq: row.cseq,
        media: match row.media {
            model::Srtp::Auto => None,
            model::Srtp::Off => Some(SecureMedia::Off),
            model::Srtp::Optional => Some(SecureMedia::Optional),
            model::Srtp::Required => Some(SecureMedia::Required),
        },
        behind_nat: granted_s <= i64::from(nat_s),
        expires_unix_s: u64::try_from(row.expires_at.unix_s()).ok()?,
    })
}

/// The URI of a Contact value: between the angle brackets, or without them up to the first semicolon, which then
/// begins a parameter of the field and not of the URI (RFC 3261 section 20.10).
fn uri_of(contact: &str) -> &str {
    let bracketed = contact.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    bracketed.map_or_else(|| contact.split(';').next().unwrap_or_default().trim(), |(uri, _)| uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(contact: &str, transport: Transport) -> Binding {
        let local = "192.0.2.1:5060".parse().unwrap();
        let flow = Flow { transport, local, peer: "198.51.100.7:1024".parse().unwrap(), connection: None };
        Binding {
            profile: ProfileId(7),
            contact_uri: uri_of(contact).to_owned(),
            contact: contact.to_owned(),
            path: vec!["<sip:edge.example;lr>".to_owned()],
            flow,
            user_agent: Some("Asterisk PBX".to_owned()),
            call_id: "a@b".to_owned(),
            cseq: 9,
            media: Some(SecureMedia::Required),
            behind_nat: true,
            expires_unix_s: storage::now().unix_s() as u64 + 45,
        }
    }

    fn listeners() -> Vec<Listener> {
        vec![Listener {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            advertised_host: "192.0.2.1".parse().unwrap(),
            advertised_port: 5060,
        }]
    }

    #[test]
    fn a_binding_on_udp_comes_back_as_it_was() {
        let binding =
            bound("\"PBX <1>\" <sip:99050@10.0.0.5:5060;line=abc>;+sip.instance=\"x\"", Transport::Udp);
        assert_eq!(binding.contact_uri, "sip:99050@10.0.0.5:5060;line=abc");
        assert_eq!(restored(&[registration(&binding)], &listeners(), 45), [binding]);
    }

    #[test]
    fn what_came_to_a_listener_that_is_gone_does_not_come_back() {
        let (tcp, udp) = (bound("<sip:a@b>", Transport::Tcp), bound("sip:a@b;expires=5", Transport::Udp));
        assert_eq!(udp.contact_uri, "sip:a@b");
        assert!(restored(&[registration(&tcp)], &listeners(), 45).is_empty());
        assert!(restored(&[registration(&udp)], &[], 45).is_empty());
    }

    #[test]
    fn of_a_round_each_profiles_latest_change_counts() {
        let binding = Box::new(bound("<sip:a@b>", Transport::Udp));
        let ended = BindingChange::Ended(ProfileId(7));
        let round = Round::of([BindingChange::Kept(binding.clone()), ended.clone()].into_iter());
        assert_eq!((round.kept.len(), round.ended), (0, vec![model::ProfileId(7)]));
        let round = Round::of([ended, BindingChange::Kept(binding)].into_iter());
        assert_eq!((round.kept.len(), round.ended.len()), (1, 0));
        let at = |last: u8| proof(ProfileId(7), IpAddr::from([192, 0, 2, last]), Transport::Udp);
        let round = Round::of([at(1), at(2), at(1)].map(BindingChange::Proved).into_iter());
        assert_eq!(round.proved.len(), 2, "one for each address");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_change_is_written_at_once_and_what_comes_then_together() {
        let (sender, mut changes) = mpsc::channel(8);
        let (mut round, start) = (Vec::new(), Instant::now());
        sender.try_send(BindingChange::Ended(ProfileId(1))).unwrap();
        assert!(gather(&mut changes, &mut round, start).await);
        assert_eq!((round.len(), start.elapsed()), (1, Duration::ZERO));

        let late = sender.clone();
        tokio::spawn(async move {
            sleep_until(start + PACE / 2).await;
            late.send(BindingChange::Ended(ProfileId(3))).await.unwrap();
        });
        sender.try_send(BindingChange::Ended(ProfileId(2))).unwrap();
        round.clear();
        assert!(gather(&mut changes, &mut round, start + PACE).await);
        assert_eq!(round.len(), 2, "what came meanwhile goes with it");
        assert!(start.elapsed() >= PACE);

        drop(sender);
        round.clear();
        assert!(!gather(&mut changes, &mut round, start).await);
    }
}
