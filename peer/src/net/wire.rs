//! Raw `/samara/wire/1.0.0` streams: opens them, accepts them and hands them over.
//!
//! Neither request-response (a substream and a round trip for every block, bodies whole in memory)
//! nor the ready-made stream behaviour (drops bursts of inbound streams, picks a random connection)
//! fits a bulk protocol, so this is a behaviour of our own and nothing more: what the bytes mean is
//! decided elsewhere.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

use futures::future::{Ready, ready};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};

/// The name under which the wire is negotiated.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/samara/wire/1.0.0");

/// Streams a remote may open on one connection before we have taken them over; more are dropped.
const PENDING_STREAMS: usize = 64;

/// Identifies one attempt to open a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happened to streams.
#[derive(Debug)]
pub enum WireEvent {
    /// A remote opened a stream.
    Inbound {
        /// Who.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// The stream, nothing read yet.
        stream: Stream,
    },
    /// An attempt of ours succeeded.
    Opened {
        /// To whom.
        peer: PeerId,
        /// On which connection.
        connection: ConnectionId,
        /// Which attempt.
        ticket: Ticket,
        /// The stream, nothing written yet.
        stream: Stream,
    },
    /// An attempt of ours failed: the connection went away or the remote does not speak the wire.
    OpenFailed {
        /// Which attempt.
        ticket: Ticket,
    },
}

/// Opens and accepts wire streams on whatever connections the swarm has.
#[derive(Default)]
pub struct WireBehaviour {
    actions: VecDeque<ToSwarm<WireEvent, Ticket>>,
    connections: BTreeMap<PeerId, Vec<ConnectionId>>,
    opening: BTreeMap<Ticket, ConnectionId>,
    waker: Option<Waker>,
}

impl WireBehaviour {
    /// Whether there is a connection to open a stream on.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.connections.contains_key(peer)
    }

    /// Opens a stream on the oldest connection to `peer`; answered by one event with `ticket`.
    pub fn open(&mut self, peer: PeerId, ticket: Ticket) {
        let action = match self.connections.get(&peer).and_then(|list| list.first()) {
            Some(&connection) => {
                self.opening.insert(ticket, connection);
                ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler: NotifyHandler::One(connection),
                    event: ticket,
                }
            }
            None => ToSwarm::GenerateEvent(WireEvent::OpenFailed { ticket }),
        };
        self.push(action);
    }

    /// Closes every connection to `peer`.
    pub fn close(&mut self, peer: PeerId) {
        self.push(ToSwarm::CloseConnection { peer_id: peer, connection: CloseConnection::All });
    }

    fn push(&mut self, action: ToSwarm<WireEvent, Ticket>) {
        self.actions.push_back(action);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Opens nothing more on a connection, and gives up what is being opened on it.
    pub fn forget(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(list) = self.connections.get_mut(&peer) {
            list.retain(|&id| id != connection);
            if list.is_empty() {
                self.connections.remove(&peer);
            }
        }
        let lost: Vec<Ticket> = self
            .opening
            .iter()
            .filter(|&(_, &opening)| opening == connection)
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in lost {
            self.opening.remove(&ticket);
            self.push(ToSwarm::GenerateEvent(WireEvent::OpenFailed { ticket }));
        }
    }
}

impl NetworkBehaviour for WireBehaviour {
    type ConnectionHandler = WireHandler;
    type ToSwarm = WireEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(WireHandler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(WireHandler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(made) => {
                self.connections.entry(made.peer_id).or_default().push(made.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => self.forget(closed.peer_id, closed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let event = match event {
            HandlerEvent::Inbound(stream) => WireEvent::Inbound { peer, connection, stream },
            HandlerEvent::Opened(ticket, stream) => {
                self.opening.remove(&ticket);
                WireEvent::Opened { peer, connection, ticket, stream }
            }
            HandlerEvent::OpenFailed(ticket) => {
                self.opening.remove(&ticket);
                WireEvent::OpenFailed { ticket }
            }
        };
        self.push(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What one connection reports.
#[derive(Debug)]
pub enum HandlerEvent {
    /// The remote opened a stream.
    Inbound(Stream),
    /// We opened one.
    Opened(Ticket, Stream),
    /// We could not.
    OpenFailed(Ticket),
}

/// The wire on one connection.
#[derive(Default)]
pub struct WireHandler {
    wanted: VecDeque<Ticket>,
    done: VecDeque<HandlerEvent>,
}

impl ConnectionHandler for WireHandler {
    type FromBehaviour = Ticket;
    type ToBehaviour = HandlerEvent;
    type InboundProtocol = WireUpgrade;
    type OutboundProtocol = WireUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Ticket;

    fn listen_protocol(&self) -> SubstreamProtocol<WireUpgrade> {
        SubstreamProtocol::new(WireUpgrade, ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<WireUpgrade, Ticket, HandlerEvent>> {
        // Both queues are filled from callbacks of the connection task, which polls again after each.
        if let Some(event) = self.done.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(ticket) = self.wanted.pop_front() {
            let protocol = SubstreamProtocol::new(WireUpgrade, ticket);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, ticket: Ticket) {
        self.wanted.push_back(ticket);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, WireUpgrade, WireUpgrade, (), Ticket>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. })
                if self.done.len() < PENDING_STREAMS =>
            {
                self.done.push_back(HandlerEvent::Inbound(protocol));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.done.push_back(HandlerEvent::Opened(info, protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, .. }) => {
                self.done.push_back(HandlerEvent::OpenFailed(info));
            }
            _ => {}
        }
    }
}

/// Negotiates [`PROTOCOL`] and passes the stream on untouched.
#[derive(Clone, Copy, Debug)]
pub struct WireUpgrade;

impl UpgradeInfo for WireUpgrade {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl InboundUpgrade<Stream> for WireUpgrade {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

impl OutboundUpgrade<Stream> for WireUpgrade {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
