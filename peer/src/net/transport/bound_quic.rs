//! QUIC for a node that stays on loopback: libp2p's transport, kept from ever making an unbound socket.
//!
//! It dials from the socket of a listener if one fits, and else from a new one on all addresses. Here a
//! dial without a listener is refused, so that the only sockets are those of listeners, on loopback.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, Transport, TransportError, TransportEvent};
use libp2p::quic;

use super::{is_quic, stays_on, why_off};

/// The transport.
pub(super) struct BoundQuic {
    inner: quic::tokio::Transport,
    /// Where every socket is; a loopback address.
    bind: IpAddr,
    /// Those the inner transport would dial from; as many as the user gave addresses, few.
    listeners: Vec<ListenerId>,
}

impl BoundQuic {
    /// Only for a loopback `bind`: sockets of the inner transport cannot be kept on any other interface.
    pub(super) fn new(config: quic::Config, bind: IpAddr) -> Self {
        debug_assert!(bind.is_loopback());
        Self { inner: quic::tokio::Transport::new(config), bind, listeners: Vec::new() }
    }

    /// Lets pass what is QUIC and stays.
    fn check(&self, address: &Multiaddr) -> Result<(), TransportError<quic::Error>> {
        if !is_quic(address) {
            return Err(TransportError::MultiaddrNotSupported(address.clone()));
        }
        if !stays_on(Some(self.bind), address) {
            return Err(refused(why_off(self.bind, address)));
        }
        Ok(())
    }
}

impl Transport for BoundQuic {
    type Output = <quic::tokio::Transport as Transport>::Output;
    type Error = quic::Error;
    type ListenerUpgrade = <quic::tokio::Transport as Transport>::ListenerUpgrade;
    type Dial = <quic::tokio::Transport as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<quic::Error>> {
        self.check(&address)?;
        self.inner.listen_on(id, address)?;
        self.listeners.push(id);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listeners.retain(|&listener| listener != id);
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<quic::Error>> {
        self.check(&address)?;
        if self.listeners.is_empty() {
            return Err(refused("nothing listens that could be dialled from".to_owned()));
        }
        self.inner.dial(address, DialOpts { port_use: PortUse::Reuse, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, quic::Error>> {
        let event = Pin::new(&mut self.inner).poll(cx);
        if let Poll::Ready(TransportEvent::ListenerClosed { listener_id, .. }) = &event {
            self.listeners.retain(|listener| listener != listener_id);
        }
        event
    }
}

fn refused(reason: String) -> TransportError<quic::Error> {
    TransportError::Other(io::Error::other(reason).into())
}

#[cfg(test)]
mod tests;
