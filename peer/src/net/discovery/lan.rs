//! Peers on the local network, by multicast DNS: everybody there says where it can be dialled, and hears
//! where the others can. Of torrents nothing is said; who has which is found out by asking.
//!
//! Why not libp2p's: it speaks on every interface, and to every libp2p program under one name.

mod message;
mod neighbours;
mod places;
mod quota;
mod socket;
mod task;
mod timetable;

use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::net::bind::Binding;

/// News that may wait for the node; beyond it the network waits, which loses what it cannot hold.
const EVENTS: usize = 64;
/// Words of peers that cannot be dialled which may wait; further ones are lost, and said again when the next
/// dial fails.
const DOUBTS: usize = 64;
/// Saying goodbye takes no longer than this.
const GOODBYE: Duration = Duration::from_secs(1);

/// Something that the node should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LanEvent {
    /// A peer is there, or has something new to tell.
    Heard {
        /// Who.
        peer: PeerId,
        /// Where it can be dialled.
        addresses: Vec<Multiaddr>,
    },
    /// A peer went, or was not heard for too long.
    Lost {
        /// Who.
        peer: PeerId,
    },
}

/// What listens and speaks on the local network needs to know.
pub struct LanConfig {
    /// Signs what we say of ourselves.
    pub keypair: Keypair,
    /// Every socket stays on it, or there is none.
    pub binding: Option<Binding>,
    /// Where we can be dialled.
    pub addresses: watch::Receiver<Vec<Multiaddr>>,
}

/// Our ear and mouth on the local network.
pub struct Lan {
    events: mpsc::Receiver<LanEvent>,
    /// Closed, it says goodbye.
    news: watch::Sender<()>,
    doubts: mpsc::Sender<PeerId>,
    task: JoinHandle<()>,
}

impl Lan {
    /// Begins to listen and speak. Must be called on a tokio runtime.
    pub fn start(config: LanConfig) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let (news, heard) = watch::channel(());
        let (doubts, doubted) = mpsc::channel(DOUBTS);
        let task = tokio::spawn(task::run(config, heard, doubted, sender));
        Self { events, news, doubts, task }
    }

    /// What is heard next. Can be given up without losing anything.
    pub async fn next_event(&mut self) -> Option<LanEvent> {
        self.events.recv().await
    }

    /// Tells the neighbours that there is something new here, which they may want to ask for.
    pub fn announce(&self) {
        self.news.send_replace(());
    }

    /// Tells that `peer` does not answer where it said it is: its place is for others, if they need it.
    pub fn doubt(&self, peer: PeerId) {
        let _ = self.doubts.try_send(peer);
    }

    /// Says goodbye.
    pub async fn stop(self) {
        let Self { events, news, doubts, task } = self;
        drop((events, news, doubts));
        // Whoever is left without a goodbye finds out by itself.
        let _ = timeout(GOODBYE, task).await;
    }
}
