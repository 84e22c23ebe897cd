//! Many datagrams in one system call, so that the generator stays cheaper than what it measures.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use media_relay::packet::PacketBuf;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt};

/// Datagrams a system call.
const MOST: usize = 64;

/// What the kernel may keep for a socket: two frames of a thousand calls.
const KERNEL_BUFFER: usize = 4 << 20;

/// A socket, and what waits to be sent from it.
struct Line {
    socket: UdpSocket,
    waiting: Vec<(PacketBuf, SockaddrIn)>,
}

/// The generator's sockets by their own address.
#[derive(Default)]
pub(crate) struct Lines(BTreeMap<SocketAddrV4, Line>);

impl Lines {
    /// Opens the socket at `local` unless it is open.
    pub(crate) fn open(&mut self, local: SocketAddrV4) -> io::Result<()> {
        if !self.0.contains_key(&local) {
            let socket = UdpSocket::bind(local)?;
            socket.set_nonblocking(true)?;
            setsockopt(&socket, sockopt::RcvBuf, &KERNEL_BUFFER)?;
            setsockopt(&socket, sockopt::SndBuf, &KERNEL_BUFFER)?;
            self.0.insert(local, Line { socket, waiting: Vec::new() });
        }
        Ok(())
    }

    /// All sockets, to wait for.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.0.values().map(|line| &line.socket)
    }

    /// Keeps a packet until [`Self::send`].
    pub(crate) fn push(&mut self, local: SocketAddrV4, packet: PacketBuf, to: SocketAddrV4) {
        if let Some(line) = self.0.get_mut(&local) {
            line.waiting.push((packet, to.into()));
        }
    }

    /// Sends all that waits; returns how many the kernel took.
    pub(crate) fn send(&mut self) -> io::Result<u64> {
        let mut taken = 0;
        for line in self.0.values_mut() {
            for batch in line.waiting.chunks(MOST) {
                taken += send(&line.socket, batch)?;
            }
            line.waiting.clear();
        }
        Ok(taken)
    }

    /// Hands every packet that has arrived, with its source, to `arrived`.
    pub(crate) fn receive(&self, mut arrived: impl FnMut(SocketAddrV4, &[u8])) -> io::Result<()> {
        self.0.values().try_for_each(|line| while_full(|| receive(&line.socket, &mut arrived)))
    }
}

fn while_full(mut batch: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    while batch()? == MOST {}
    Ok(())
}

fn send(socket: &UdpSocket, batch: &[(PacketBuf, SockaddrIn)]) -> io::Result<u64> {
    let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|(p, _)| [IoSlice::new(p.as_slice())]).collect();
    let addresses: Vec<Option<SockaddrIn>> = batch.iter().map(|(_, to)| Some(*to)).collect();
    let mut headers = MultiHeaders::preallocate(batch.len(), None);
    match sendmmsg(socket.as_raw_fd(), &mut headers, &slices, addresses, [], MsgFlags::empty()) {
        Ok(results) => Ok(results.count() as u64),
        // A full buffer is a loss that the counts show; so is a port that the relay has closed already.
        Err(Errno::EAGAIN | Errno::ECONNREFUSED) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn receive(socket: &UdpSocket, arrived: &mut impl FnMut(SocketAddrV4, &[u8])) -> io::Result<usize> {
    let mut octets = [[0u8; 256]; MOST];
    let mut slices: Vec<[IoSliceMut<'_>; 1]> = octets.iter_mut().map(|o| [IoSliceMut::new(o)]).collect();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(MOST, None);
    let results = match recvmmsg(socket.as_raw_fd(), &mut headers, &mut slices, MsgFlags::MSG_DONTWAIT, None)
    {
        Ok(results) => results,
        Err(Errno::EAGAIN | Errno::ECONNREFUSED) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut count = 0;
    for message in results {
        count += 1;
        if let (Some(from), Some(packet)) = (message.address, message.iovs().next()) {
            arrived(from.into(), packet);
        }
    }
    Ok(count)
}
