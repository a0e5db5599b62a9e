//! A node of the DHT that keeps to its protocol and to nothing else: it lies, or notes what it is asked.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::iter::{Empty, empty};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::kad::store::{RecordStore, Result};
use libp2p::kad::{self, Mode, ProviderRecord, Record, RecordKey};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identify, tcp, tls, yamux};
use samara_peer::net::discovery::dht::PROTOCOL;
use samara_proto::dht::DhtKey;

use super::{MADE_UP, any_port};
use crate::process::LOOPBACK;

/// What it was asked for and told.
#[derive(Clone, Default)]
pub struct Heard {
    asked: Arc<Mutex<BTreeSet<DhtKey>>>,
    announced: Arc<Mutex<BTreeSet<DhtKey>>>,
}

impl Heard {
    /// Whether somebody asked who provides `key`.
    pub fn was_asked(&self, key: DhtKey) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Whether somebody announced `key`.
    pub fn was_told(&self, key: DhtKey) -> bool {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }
}

/// Keeps nothing, and names whom it likes.
struct Store {
    heard: Heard,
    /// Where the providers that it makes up are.
    doors: Vec<Multiaddr>,
}

impl RecordStore for Store {
    type RecordsIter<'a> = Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        let key = DhtKey::from_slice(record.key.as_ref());
        self.heard.announced.lock().unwrap_or_else(PoisonError::into_inner).extend(key);
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let asked = DhtKey::from_slice(key.as_ref());
        self.heard.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(asked);
        let false_record =
            |door: &Multiaddr| ProviderRecord::new(key.clone(), PeerId::random(), vec![door.clone()]);
        self.doors.iter().map(false_record).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        empty()
    }

    fn remove_provider(&mut self, _: &RecordKey, _: &PeerId) {}
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    /// It dials nobody: whoever is dialled was dialled by those it lied to.
    limits: connection_limits::Behaviour,
    kad: kad::Behaviour<Store>,
    identify: identify::Behaviour,
}

/// Starts a node that only notes what it hears; returns where it can be dialled. It runs until the runtime
/// ends.
pub async fn listen() -> (Multiaddr, Heard) {
    start(LOOPBACK, Vec::new()).await
}

/// Starts a node that names a thousand made-up providers and nodes, one at each door that `door` gives for the
/// numbers below a thousand; returns where it can be dialled. It lies until the runtime ends.
pub async fn lie(door: impl Fn(u16) -> Multiaddr) -> Multiaddr {
    lie_at(LOOPBACK, (0..MADE_UP).map(door).collect()).await
}

/// The same on another address of this machine, with one made-up provider and node at each of `doors`.
pub async fn lie_at(ip: IpAddr, doors: Vec<Multiaddr>) -> Multiaddr {
    start(ip, doors).await.0
}

async fn start(ip: IpAddr, doors: Vec<Multiaddr>) -> (Multiaddr, Heard) {
    let heard = Heard::default();
    let store = Store { heard: heard.clone(), doors: doors.clone() };
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), tls::Config::new, yamux::Config::default)
        .expect("a certificate can be made")
        .with_behaviour(|keypair| {
            let mut config = kad::Config::new(PROTOCOL);
            // As many as it makes up, in one answer.
            let most = NonZeroUsize::new(usize::from(MADE_UP)).expect("a thousand is not zero");
            config.set_replication_factor(most).set_max_packet_size(1 << 20);
            let kad = kad::Behaviour::with_config(keypair.public().to_peer_id(), store, config);
            let identify = identify::Config::new("/samara/1.0.0".to_owned(), keypair.public());
            let limits = ConnectionLimits::default().with_max_pending_outgoing(Some(0));
            let limits = connection_limits::Behaviour::new(limits);
            Behaviour { limits, kad, identify: identify::Behaviour::new(identify) }
        })
        .expect("it is made of its parts")
        .build();
    swarm.behaviour_mut().kad.set_mode(Some(Mode::Server));
    for door in doors {
        swarm.behaviour_mut().kad.add_address(&PeerId::random(), door);
    }
    swarm.listen_on(any_port(ip)).expect("a free port");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let own = address.with_p2p(*swarm.local_peer_id()).expect("an address without an identity");
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    (own, heard)
}
