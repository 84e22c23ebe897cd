//! The core's words for media, and the relay's.

use media_relay::engine::MediaError;
use media_relay::session::{
    Flow, Hosts, LocalDescription, NegotiationError, Network, Payload, Policy, Profile, RemoteDescription,
    Side,
};
use sip_core::refusal::Refusal;
use sip_core::sdp::{Direction, LocalMedia, MediaProfile, RemoteMedia};
use sip_core::types::{Leg, SecureMedia, Speaker};

pub(super) fn leg(side: Side) -> Leg {
    match side {
        Side::Near => Leg::Caller,
        Side::Far => Leg::Callee,
    }
}

pub(super) fn side(leg: Leg) -> Side {
    match leg {
        Leg::Caller => Side::Near,
        Leg::Callee => Side::Far,
    }
}

pub(super) fn policy(secure: SecureMedia) -> Policy {
    match secure {
        SecureMedia::Off => Policy::Off,
        SecureMedia::Optional => Policy::Optional,
        SecureMedia::Required => Policy::Required,
    }
}

/// A peer's description in the relay's words. Where a name stands for the address, the signalling's address is taken.
pub(super) fn described(remote: &RemoteMedia, speaker: &Speaker) -> RemoteDescription {
    let ip = remote.ip.unwrap_or(speaker.signalling);
    let network = |cidr: &sip_core::auth::ip::Cidr| Network::new(cidr.network(), cidr.prefix());
    RemoteDescription {
        ip,
        rtp_port: remote.rtp_port,
        rtcp: remote.rtcp_port.map(|port| (ip, port).into()),
        is_mux: remote.rtcp_mux,
        profile: if remote.profile.is_secure() { Profile::Savp } else { Profile::Avp },
        crypto: remote.crypto.clone(),
        flow: match remote.direction {
            Direction::SendRecv => Flow::SendRecv,
            Direction::SendOnly => Flow::SendOnly,
            Direction::RecvOnly => Flow::RecvOnly,
            Direction::Inactive => Flow::Inactive,
        },
        payloads: remote.payloads.iter().map(payload).collect(),
        policy: policy(speaker.may_secure),
        hosts: Hosts {
            signalling: Some(speaker.signalling),
            networks: speaker.networks.iter().map(network).collect(),
        },
    }
}

fn payload(payload: &sip_core::sdp::Payload) -> Payload {
    Payload { number: payload.number, encoding: payload.encoding.clone() }
}

pub(super) fn local_media(local: LocalDescription) -> LocalMedia {
    LocalMedia {
        ip: local.ip,
        rtp_port: local.rtp_port,
        rtcp_port: local.rtcp_port,
        rtcp_mux: local.is_mux,
        profile: match local.profile {
            Profile::Avp => MediaProfile::Avp,
            Profile::Savp => MediaProfile::Savp,
        },
        crypto: local.crypto,
    }
}

/// Why media was refused, each cause in its own words.
pub(super) fn refusal(error: MediaError) -> Refusal {
    match error {
        MediaError::Busy => Refusal::MediaOverloaded,
        MediaError::DuplicateCall | MediaError::UnknownCall => Refusal::MediaOutOfStep,
        MediaError::NoAddress => Refusal::AddressFamilyUnsupported,
        MediaError::NoPorts => Refusal::MediaUnavailable,
        MediaError::NoSockets(_) => Refusal::MediaWithoutSocket,
        MediaError::Stopped => Refusal::MediaStopped,
        MediaError::WrongFamily => Refusal::AddressFamilyChanged,
        MediaError::Negotiation(error) => negotiation_refusal(error),
    }
}

fn negotiation_refusal(error: NegotiationError) -> Refusal {
    match error {
        NegotiationError::BadCrypto(_) => Refusal::CryptoUnusable,
        NegotiationError::NoCommonCrypto => Refusal::CryptoNotOffered,
        NegotiationError::NoKey => Refusal::SecureMediaWithoutKey,
        NegotiationError::NoOffer => Refusal::AnswerWithoutOffer,
        NegotiationError::SecureRefused => Refusal::SecureMediaForbidden,
        NegotiationError::SecureRequired => Refusal::SecureMediaRequired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media_relay::sdes::SdesError;
    use std::collections::HashSet;
    use std::io::ErrorKind;
    use std::net::IpAddr;

    fn remote(text: &str) -> RemoteMedia {
        RemoteMedia {
            host: text.to_owned(),
            ip: text.parse().ok(),
            rtp_port: 4000,
            rtcp_port: Some(4005),
            rtcp_mux: false,
            profile: MediaProfile::Savpf,
            crypto: vec!["1 X inline:k".to_owned()],
            direction: Direction::SendOnly,
            on_hold: true,
            payloads: Vec::new(),
            codecs: Vec::new(),
        }
    }

    #[test]
    fn a_description_keeps_its_meaning_in_the_relays_words() {
        let signalling: IpAddr = "198.51.100.1".parse().unwrap();
        let networks = ["198.51.100.0/24".parse().unwrap()].into();
        let speaker = Speaker { signalling, networks, may_secure: SecureMedia::Off };
        let plain = described(&remote("192.0.2.4"), &speaker);
        assert_eq!(plain.rtcp, Some("192.0.2.4:4005".parse().unwrap()));
        assert_eq!((plain.profile, plain.flow), (Profile::Savp, Flow::SendOnly));
        assert_eq!(plain.policy, Policy::Off);
        assert!(plain.hosts.contain("198.51.100.200".parse().unwrap()));
        let named = described(&remote("pbx.example.com"), &speaker);
        assert_eq!(named.ip, signalling);
        assert_eq!((&plain.hosts.signalling, &named.hosts), (&Some(signalling), &plain.hosts));
    }

    #[test]
    fn every_error_of_the_media_has_a_refusal_of_its_own() {
        let errors = [
            MediaError::Busy,
            MediaError::UnknownCall,
            MediaError::NoAddress,
            MediaError::NoPorts,
            MediaError::NoSockets(ErrorKind::OutOfMemory),
            MediaError::Stopped,
            MediaError::WrongFamily,
            NegotiationError::BadCrypto(SdesError::BadKey).into(),
            NegotiationError::NoCommonCrypto.into(),
            NegotiationError::NoKey.into(),
            NegotiationError::NoOffer.into(),
            NegotiationError::SecureRefused.into(),
            NegotiationError::SecureRequired.into(),
        ];
        let refusals: HashSet<Refusal> = errors.into_iter().map(refusal).collect();
        assert_eq!(refusals.len(), errors.len());
        assert_eq!(refusal(MediaError::NoAddress).status(), 488);
    }
}
