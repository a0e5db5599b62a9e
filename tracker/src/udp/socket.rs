//! A UDP socket whose answers leave from the address the request came to, also when it listens on all
//! addresses: clients drop answers from another.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::debug;

use crate::device::Device;

/// Most packets taken from the system at once.
const BATCH: usize = quinn_udp::BATCH_SIZE;

/// The system may hand over this much of one sender's packets in one piece; no packet is longer.
const BUFFER_BYTES: usize = 64 * 1024;

/// What the system should hold while we are busy; it may grant less.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Pause after the system refused to receive.
pub(super) const ERROR_PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Packets received together.
pub(super) struct Inbox {
    buffers: Vec<u8>,
    metas: [RecvMeta; BATCH],
    received: usize,
}

/// One packet.
pub(super) struct Packet<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) from: SocketAddr,
    /// The address it was sent to, if the system says.
    to: Option<IpAddr>,
}

impl Socket {
    /// Listens on `address`; on `[::]` for IPv4 too. Also says where, for port 0.
    pub(crate) fn bind(address: SocketAddr, device: &Device) -> io::Result<(Self, SocketAddr)> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
            debug!(%error, "the receive buffer stays as it is");
        }
        device.keep(&socket)?;
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let address = socket.local_addr()?;
        Ok((Self { socket, state }, address))
    }

    /// Room for packets.
    pub(super) fn inbox(&self) -> Inbox {
        Inbox { buffers: vec![0; BATCH * BUFFER_BYTES], metas: [RecvMeta::default(); BATCH], received: 0 }
    }

    /// Waits for packets, and takes all there are and there is room for.
    pub(super) async fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.received = 0;
        let mut buffers = inbox.buffers.chunks_exact_mut(BUFFER_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let receive = || self.state.recv((&self.socket).into(), &mut slices, &mut inbox.metas);
        inbox.received = self.socket.async_io(Interest::READABLE, receive).await?;
        Ok(())
    }

    /// Answers a packet; `false` if the system has no room. Waiting would not help the others.
    pub(super) fn send(&self, answer: &[u8], packet: &Packet<'_>) -> bool {
        let transmit = Transmit {
            destination: packet.from,
            ecn: None,
            contents: answer,
            segment_size: None,
            src_ip: packet.to,
        };
        let send = || self.state.send((&self.socket).into(), &transmit);
        self.socket.try_io(Interest::WRITABLE, send).is_ok()
    }
}

impl Inbox {
    /// The packets that were received last.
    pub(super) fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let pieces = self.buffers.chunks_exact(BUFFER_BYTES).zip(&self.metas).take(self.received);
        pieces.flat_map(|(buffer, meta)| {
            let packets = buffer[..meta.len.min(buffer.len())].chunks(meta.stride.max(1));
            packets.map(|bytes| Packet { bytes, from: meta.addr, to: meta.dst_ip })
        })
    }
}
