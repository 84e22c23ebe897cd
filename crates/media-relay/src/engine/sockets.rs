//! A leg's two sockets.

use super::config::EngineConfig;
use super::error::MediaError;
use crate::ports::{PortPair, PortPool};
use crate::session::{Channel, Endpoint};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Pairs tried before it is said that there is none: some other program may hold a few of ours.
const MAX_TRIES: usize = 32;

/// An RTP and an RTCP socket on adjacent ports of one local address.
pub(super) struct LegSockets {
    sockets: [UdpSocket; 2],
    pair: PortPair,
    address: usize,
}

impl LegSockets {
    /// Takes a pair from the pool and binds it; one that cannot be bound goes to rest and the next is tried.
    pub(super) fn open(
        config: &EngineConfig,
        pool: &Mutex<PortPool>,
        address: usize,
    ) -> Result<Self, MediaError> {
        let local = config.addresses.get(address).ok_or(MediaError::NoAddress)?;
        for _ in 0..MAX_TRIES {
            let now = Instant::now();
            let taken = pool.lock().unwrap_or_else(PoisonError::into_inner).take(now, address);
            let pair = taken.ok_or(MediaError::NoPorts)?;
            match bind_pair(local.bind, &pair, config.dscp) {
                Ok(sockets) => return Ok(Self { sockets, pair, address }),
                Err(error) => {
                    pool.lock().unwrap_or_else(PoisonError::into_inner).release(now, pair);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(MediaError::NoSockets(error.kind()));
                    }
                }
            }
        }
        Err(MediaError::NoPorts)
    }

    pub(super) fn socket(&self, channel: Channel) -> &UdpSocket {
        &self.sockets[channel.index()]
    }

    pub(super) fn endpoint(&self, config: &EngineConfig) -> Endpoint {
        let ip = config.addresses[self.address].advertise;
        Endpoint { ip, rtp_port: self.pair.rtp(), rtcp_port: self.pair.rtcp() }
    }

    /// Closes the sockets, and only then puts their ports to rest.
    pub(super) fn close(self, now: Instant, pool: &Mutex<PortPool>) {
        drop(self.sockets);
        pool.lock().unwrap_or_else(PoisonError::into_inner).release(now, self.pair);
    }
}

fn bind_pair(ip: IpAddr, pair: &PortPair, dscp: u8) -> io::Result<[UdpSocket; 2]> {
    Ok([bind(SocketAddr::new(ip, pair.rtp()), dscp)?, bind(SocketAddr::new(ip, pair.rtcp()), dscp)?])
}

fn bind(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    // The DSCP is the upper six bits of the octet. A kernel that forbids it is no reason to refuse the call.
    if address.is_ipv4() {
        let _ = sockopt::set_ip_tos(&socket, dscp << 2);
    } else {
        sockopt::set_ipv6_v6only(&socket, true)?;
        let _ = sockopt::set_ipv6_tclass(&socket, u32::from(dscp) << 2);
    }
    rustix::net::bind(&socket, &address)?;
    Ok(UdpSocket::from(socket))
}
