//! What a UDP socket tells beside the octets: which address of ours a datagram was sent to, and that nobody could be
//! reached with one of ours. The only place that knows control messages.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use bytes::Bytes;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, sendto, setsockopt,
    sockopt,
};

/// Room for the control messages that are asked for, of either family.
const CONTROL: usize = 512;
/// Octets of a datagram of ours that are looked at where an ICMP error quotes it.
const QUOTE: usize = 1_024;
/// Errors that an earlier datagram has left behind on the socket, and that may stand before a new one.
const LEFT_BEHIND: usize = 4;

/// A datagram that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) length: usize,
    pub(super) peer: SocketAddr,
    /// The address of ours that it was sent to, where the socket tells it.
    pub(super) to: Option<IpAddr>,
}

/// A destination-unreachable error of ICMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreachable {
    pub(super) peer: SocketAddr,
    /// The first octets of what we had sent, as many as the error quotes.
    pub(super) quoted: Bytes,
}

/// Which addresses a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    One,
    /// Every address of the machine.
    Every,
}

/// Room for control messages.
pub(super) fn control() -> Vec<u8> {
    vec![0; CONTROL]
}

/// Asks for ICMP errors, and for the addresses of datagrams where there may be several.
pub(super) fn prepare(socket: &impl AsFd, is_ipv4: bool, bound: Bound) -> io::Result<()> {
    match is_ipv4 {
        true => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        false => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    match (bound, is_ipv4) {
        (Bound::One, _) => {}
        (Bound::Every, true) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        (Bound::Every, false) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// Reads a datagram.
pub(super) fn receive(socket: &impl AsRawFd, buffer: &mut [u8], control: &mut [u8]) -> io::Result<Received> {
    let mut octets = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut octets, Some(control), flags)?;
    let peer = received.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
    let to = received.cmsgs()?.find_map(|message| match message {
        // The address to answer from, which for a broadcast is not the one in the header.
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into()),
        _ => None,
    });
    let is_ours = |to: &IpAddr| !to.is_unspecified() && !to.is_multicast();
    Ok(Received { length: received.bytes, peer, to: to.filter(is_ours) })
}

/// Sends a datagram, from this address of ours if one is named.
pub(super) fn send(
    socket: &impl AsRawFd,
    bytes: &[u8],
    peer: SocketAddr,
    source: Option<IpAddr>,
) -> io::Result<()> {
    let mut sent = try_send(socket, bytes, peer, source);
    for _ in 0..LEFT_BEHIND {
        // What the system says first may be an ICMP error that an earlier datagram, to anybody, has brought.
        match &sent {
            Err(error) if is_left_behind(error) => sent = try_send(socket, bytes, peer, source),
            _ => break,
        }
    }
    match sent {
        // No datagram is refused on its way out. With so many errors about, this one is lost as on the wire.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        sent => sent,
    }
}

fn is_left_behind(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, PermissionDenied};
    let is_protocol =
        || matches!(error.raw_os_error(), Some(libc::EPROTO | libc::ENOPROTOOPT | libc::EMSGSIZE));
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | PermissionDenied)
        || is_protocol()
}

fn try_send(socket: &impl AsRawFd, bytes: &[u8], peer: SocketAddr, source: Option<IpAddr>) -> io::Result<()> {
    let (socket, peer) = (socket.as_raw_fd(), SockaddrStorage::from(peer));
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match source {
        // Costs less than a message without control messages.
        None => sendto(socket, bytes, &peer, flags)?,
        Some(source) => send_from(socket, bytes, &peer, source, flags)?,
    };
    Ok(())
}

fn send_from(
    socket: RawFd,
    bytes: &[u8],
    peer: &SockaddrStorage,
    source: IpAddr,
    flags: MsgFlags,
) -> nix::Result<usize> {
    let (v4, v6);
    let control = match source {
        IpAddr::V4(source) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: source.to_bits().to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(source) => {
            v6 =
                libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    sendmsg(socket, &[IoSlice::new(bytes)], &[control], flags, Some(peer))
}

/// Reads the next ICMP error; `None` for one that is not about an unreachable destination.
pub(super) fn next_error(socket: &impl AsRawFd) -> io::Result<Option<Unreachable>> {
    let (mut quote, mut control) = ([0; QUOTE], [0; CONTROL]);
    let mut octets = [IoSliceMut::new(&mut quote)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut octets, Some(&mut control), flags)?;
    let is_unreachable = received.cmsgs()?.any(|message| match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            tells_of_failure(error.ee_origin, error.ee_type, error.ee_code)
        }
        _ => false,
    });
    // With the error comes the address that the datagram had gone to.
    let peer = received.address.as_ref().and_then(address);
    let length = received.bytes;
    let quoted = || Bytes::copy_from_slice(&quote[..length]);
    Ok(peer.filter(|_| is_unreachable).map(|peer| Unreachable { peer, quoted: quoted() }))
}

/// RFC 3261 section 18.4: unreachable hosts, networks, ports and protocols and parameter problems are failures; an expired
/// time to live and a quench are none, and what is too large for the way is sent again in fragments.
fn tells_of_failure(origin: u8, kind: u8, code: u8) -> bool {
    /// RFC 792: destination unreachable, of which code 4 asks for fragments; parameter problem.
    const ICMP: (u8, u8, u8) = (3, 4, 12);
    /// RFC 4443: destination unreachable; parameter problem.
    const ICMP6: (u8, u8) = (1, 4);
    match origin {
        libc::SO_EE_ORIGIN_ICMP => (kind == ICMP.0 && code != ICMP.1) || kind == ICMP.2,
        libc::SO_EE_ORIGIN_ICMP6 => kind == ICMP6.0 || kind == ICMP6.1,
        _ => false,
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|it| SocketAddr::from((it.ip(), it.port())));
    v4.or_else(|| storage.as_sockaddr_in6().map(|it| SocketAddr::V6((*it).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_mean_failure_count() {
        for (origin, kind, code, is_failure) in [
            (libc::SO_EE_ORIGIN_ICMP, 3, 3, true),
            (libc::SO_EE_ORIGIN_ICMP, 3, 1, true),
            (libc::SO_EE_ORIGIN_ICMP, 3, 13, true),
            (libc::SO_EE_ORIGIN_ICMP, 12, 0, true),
            (libc::SO_EE_ORIGIN_ICMP, 3, 4, false),
            (libc::SO_EE_ORIGIN_ICMP, 4, 0, false),
            (libc::SO_EE_ORIGIN_ICMP, 11, 0, false),
            (libc::SO_EE_ORIGIN_ICMP6, 1, 4, true),
            (libc::SO_EE_ORIGIN_ICMP6, 4, 1, true),
            (libc::SO_EE_ORIGIN_ICMP6, 2, 0, false),
            (libc::SO_EE_ORIGIN_ICMP6, 3, 0, false),
            (libc::SO_EE_ORIGIN_LOCAL, 3, 3, false),
        ] {
            assert_eq!(tells_of_failure(origin, kind, code), is_failure, "{origin} {kind} {code}");
        }
    }
}
