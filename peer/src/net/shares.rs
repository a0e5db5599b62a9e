//! What share of the inbound connections one address may have, so that nobody who opens many, each under an
//! identity of its own, takes the place of all others.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

use super::address::{canonical, ip_of};
use super::discovery::policy::one_holder;

/// An address has its share already.
#[derive(Clone, Copy, Debug, Error)]
#[error("{0} connections from this address are enough")]
struct Enough(usize);

/// The behaviour: it only says no.
#[derive(Debug)]
pub struct Behaviour {
    /// Connections from one IPv4 address or IPv6 /64. This machine is not counted: its user is one of us.
    most: usize,
    /// Those that are up, and from where.
    inbound: BTreeMap<ConnectionId, IpAddr>,
}

impl Behaviour {
    /// At most `most` inbound connections from one address.
    pub fn new(most: usize) -> Self {
        Self { most, inbound: BTreeMap::new() }
    }

    fn has_share(&self, source: IpAddr) -> bool {
        self.inbound.values().filter(|other| **other == source).count() >= self.most
    }
}

/// Whose connections are counted together, if they are.
fn source(remote: &Multiaddr) -> Option<IpAddr> {
    let ip = canonical(ip_of(remote)?);
    (!ip.is_loopback()).then(|| one_holder(ip))
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        match source(remote) {
            Some(source) if self.has_share(source) => Err(ConnectionDenied::new(Enough(self.most))),
            _ => Ok(dummy::ConnectionHandler),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(up) => {
                if let ConnectedPoint::Listener { send_back_addr, .. } = up.endpoint
                    && let Some(source) = source(send_back_addr)
                {
                    self.inbound.insert(up.connection_id, source);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.inbound.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::behaviour::ConnectionEstablished;

    use super::*;

    /// A connection from `remote` asks in; whether it is let in.
    fn come(shares: &mut Behaviour, number: usize, remote: &str) -> bool {
        let (id, peer) = (ConnectionId::new_unchecked(number), PeerId::random());
        let local_addr: Multiaddr = "/ip4/192.0.2.9/tcp/1".parse().unwrap();
        let send_back_addr: Multiaddr = remote.parse().unwrap();
        let admitted = shares.handle_established_inbound_connection(id, peer, &local_addr, &send_back_addr);
        if admitted.is_err() {
            return false;
        }
        let endpoint = ConnectedPoint::Listener { local_addr, send_back_addr };
        let up = ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        };
        shares.on_swarm_event(FromSwarm::ConnectionEstablished(up));
        true
    }

    #[test]
    fn one_address_has_its_share_and_others_have_theirs() {
        let mut shares = Behaviour::new(2);
        assert!(come(&mut shares, 1, "/ip4/192.0.2.1/tcp/1"));
        assert!(come(&mut shares, 2, "/ip6/::ffff:192.0.2.1/tcp/2"));
        assert!(!come(&mut shares, 3, "/ip4/192.0.2.1/udp/3/quic-v1"));
        assert!(come(&mut shares, 4, "/ip4/192.0.2.2/tcp/1"));
        assert!(
            come(&mut shares, 5, "/ip6/2001:db8::1/tcp/1") && come(&mut shares, 6, "/ip6/2001:db8::2/tcp/1")
        );
        assert!(!come(&mut shares, 7, "/ip6/2001:db8::3/tcp/1"));
        assert!((8..20).all(|number| come(&mut shares, number, "/ip4/127.0.0.1/tcp/1")));

        shares.inbound.remove(&ConnectionId::new_unchecked(1));
        assert!(come(&mut shares, 21, "/ip4/192.0.2.1/tcp/4"), "there is room again");
    }
}
