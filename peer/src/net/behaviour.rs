//! The behaviours of a node's libp2p swarm, composed.

#![allow(missing_docs, reason = "the derived enum of events cannot be documented")]

use std::net::IpAddr;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{identify, ping, upnp};

use super::discovery::dht::DhtBehaviour;
use super::shares;
use super::wire::WireBehaviour;

/// Connections of ours in their handshakes: some tens of milliseconds of work on each. Those from outside are
/// bounded by the transport, which knows from where they come.
const DIALLING: u32 = 64;
/// Established connections, each way: with their buffers some hundred mebibytes at the worst.
const ESTABLISHED: u32 = 200;
/// Connections with one peer: one each way, and one to replace each when addresses change.
const PER_PEER: u32 = 4;

/// A dead connection is noticed after two failed pings in a row.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Pings wait behind bulk data on a slow path.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Everything a node does on its connections besides moving bytes.
///
/// Deliberately small: each member is asked for its protocols whenever a connection's task runs.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    /// Refuses connections beyond what a node can serve. First, because it is asked first.
    pub limits: connection_limits::Behaviour,
    /// Refuses those beyond the share of one address.
    pub shares: shares::Behaviour,
    /// Wire streams.
    pub wire: WireBehaviour,
    /// Tells remotes which address we see them at, and hears which one they see.
    pub identify: identify::Behaviour,
    /// Notices connections whose other end is gone without a word.
    pub ping: ping::Behaviour,
    /// Asks the router to pass connections on to us. Its sockets cannot be kept on one address: a bound node
    /// does without.
    pub upnp: Toggle<upnp::tokio::Behaviour>,
    /// Takes part in the DHT, if that is wanted.
    pub dht: Toggle<DhtBehaviour>,
}

impl Behaviour {
    /// The behaviours of the node with this identity, which must stay on `bind`.
    pub fn new(keypair: &Keypair, bind: Option<IpAddr>) -> Self {
        let agent = concat!("samara/", env!("CARGO_PKG_VERSION")).to_owned();
        let identify = identify::Config::new("/samara/1.0.0".to_owned(), keypair.public())
            .with_agent_version(agent)
            .with_push_listen_addr_updates(true)
            // What remotes say of their addresses must not get round the dial policy.
            .with_cache_size(0);
        let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
        let limits = ConnectionLimits::default()
            .with_max_pending_outgoing(Some(DIALLING))
            .with_max_established_incoming(Some(ESTABLISHED))
            .with_max_established_outgoing(Some(ESTABLISHED))
            .with_max_established_per_peer(Some(PER_PEER));
        Self {
            limits: connection_limits::Behaviour::new(limits),
            shares: shares::Behaviour::new(ESTABLISHED as usize / 2),
            wire: WireBehaviour::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            upnp: bind.is_none().then(upnp::tokio::Behaviour::default).into(),
            dht: Toggle::from(None),
        }
    }
}
