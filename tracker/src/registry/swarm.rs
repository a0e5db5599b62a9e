//! One swarm: who takes part, and how many have finished.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use samara_proto::announce::SwarmCounts;
use samara_proto::announce::http::Scraped;
use samara_proto::moment::Moment;

use super::hashing::Keyed;
use super::ledger::Ledger;
use super::pools::{Class, Libp2pKey, Pools, Reach};
use super::{Contact, Progress};

/// A swarm is searched for silent peers at most this often, whatever announces come in between.
const EXPIRY_PAUSE: Duration = Duration::from_secs(30);

/// A swarm nobody takes part in is forgotten after this long, and its count of downloads with it.
const EMPTY_SWARM_LIFE: Duration = Duration::from_secs(24 * 3600);

/// About what a swarm takes besides its peers: itself, its key and its place in the map; and what its first
/// peer makes it allocate, a list of four pools and a map with room for three.
pub(super) const SWARM_BYTES: u64 = size_of::<Swarm>() as u64 + 64 + 500;

#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) tcp: Pools<SocketAddr, [u8; 20]>,
    pub(super) libp2p: Pools<Libp2pKey, Arc<Contact>>,
    /// Downloads seen to finish.
    pub(super) downloaded: u32,
    pub(super) first_seen: Moment,
    pub(super) last_seen: Moment,
    last_expiry: Moment,
}

impl Swarm {
    pub(super) fn new(now: Moment, hashing: Keyed) -> Self {
        Self {
            tcp: Pools::new(hashing),
            libp2p: Pools::new(hashing),
            downloaded: 0,
            first_seen: now,
            last_seen: now,
            last_expiry: now,
        }
    }

    /// Entries kept: more than there are peers if some have two.
    pub(super) fn entries(&self) -> usize {
        self.tcp.len() + self.libp2p.len()
    }

    pub(super) fn scraped(&self) -> Scraped {
        let complete = self.count(|progress| progress == Progress::Seed);
        let incomplete = self.count(|progress| progress != Progress::Seed);
        let downloaders = self.count(|progress| progress == Progress::Downloader);
        let counts = SwarmCounts { complete, downloaded: self.downloaded, incomplete };
        Scraped { counts, downloaders: Some(downloaders) }
    }

    fn count(&self, counts: impl Fn(Progress) -> bool) -> u32 {
        let is_counted = |class: &Class| class.reach != Reach::Libp2pToo && counts(class.progress);
        self.tcp.count(is_counted).saturating_add(self.libp2p.count(is_counted))
    }

    /// Forgets silent peers, unless that was done a moment ago.
    pub(super) fn expire(&mut self, now: Moment, ledger: &mut Ledger) {
        if now.since(self.last_expiry) >= EXPIRY_PAUSE {
            self.last_expiry = now;
            self.tcp.expire(now, ledger);
            self.libp2p.expire(now, ledger);
        }
    }

    /// Forgets one peer that has long been silent.
    pub(super) fn evict(&mut self, rng: &mut impl Rng, ledger: &mut Ledger) {
        if self.libp2p.len() > self.tcp.len() {
            self.libp2p.evict(rng, ledger);
        } else {
            self.tcp.evict(rng, ledger);
        }
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self, ledger: &mut Ledger) {
        self.tcp.clear(ledger);
        self.libp2p.clear(ledger);
    }

    /// Whether nothing is lost by forgetting it.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.entries() == 0 && (self.downloaded == 0 || now.since(self.last_seen) >= EMPTY_SWARM_LIFE)
    }
}
