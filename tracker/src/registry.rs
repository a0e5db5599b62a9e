//! Who takes part in which swarm: the tracker's memory, and the answers it gives from it.
//!
//! Pure: time and chance are arguments, and nothing here knows how announces arrive. Peers that speak
//! BitTorrent over TCP are told apart by address and port, those that speak libp2p by address and peer
//! id: never by what a client calls itself alone, or anybody could speak for anybody.

mod announce;
mod contact;
mod entry;
mod hashing;
mod interval;
mod ledger;
mod pools;
mod rules;
mod scope;
mod swarm;
mod ways;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::time::Duration;

use rand::Rng;
use rand::seq::index;
use samara_proto::announce::Event;
use samara_proto::announce::http::Scraped;
use samara_proto::infohash::InfoHash;
use samara_proto::moment::Moment;

pub use announce::{Announce, Announced, Progress, Refusal, TcpContact, Wants};
pub use contact::{Contact, names_host};
pub use rules::{Limits, Pace};
pub use scope::Scope;
pub use ways::Ways;

pub(crate) use ledger::household;

use entry::{Entry, Told};
use hashing::{Keyed, KeyedMap, shrink};
use ledger::Ledger;
use swarm::{SWARM_BYTES, Swarm};

/// How many swarms are looked at to find one that may go.
const EVICTION_SAMPLE: usize = 8;

/// Figures of the whole registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Swarms known.
    pub swarms: u64,
    /// Entries of peers in all swarms.
    pub entries: u64,
    /// About how much memory they take.
    pub bytes: u64,
    /// Swarms forgotten to make room.
    pub evicted_swarms: u64,
    /// Peers forgotten to make room.
    pub evicted_peers: u64,
}

/// The swarms a tracker knows.
#[derive(Debug)]
pub struct Registry {
    limits: Limits,
    pace: Pace,
    hashing: Keyed,
    swarms: KeyedMap<InfoHash, Swarm>,
    ledger: Ledger,
    /// The swarm that the next sweep starts with.
    sweep_from: usize,
    evicted_swarms: u64,
    evicted_peers: u64,
}

impl Registry {
    /// An empty registry. `hash_key` is to be secret: who knows it can make lookups slow.
    pub fn new(limits: Limits, pace: Pace, hash_key: [u8; 16]) -> Self {
        let hashing = Keyed::new(hash_key);
        Self {
            limits,
            pace,
            hashing,
            swarms: KeyedMap::with_hasher(hashing),
            ledger: Ledger::new(hashing),
            sweep_from: 0,
            evicted_swarms: 0,
            evicted_peers: 0,
        }
    }

    /// Takes an announce in, and tells the announcer of others.
    ///
    /// # Errors
    ///
    /// See [`Refusal`]; nothing has changed then.
    pub fn announce(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        announce: &Announce,
    ) -> Result<Announced, Refusal> {
        let entry = Entry::of(announce);
        // Who has gone takes nobody's place.
        if let Some(swarm) = self.swarms.get_mut(&announce.info_hash) {
            swarm.expire(now, &mut self.ledger);
        }
        self.check(announce, &entry)?;
        if announce.event == Event::Stopped {
            return Ok(self.stop(now, rng, announce.info_hash, &entry));
        }
        self.make_room(now, rng, announce.info_hash);
        let hashing = self.hashing;
        let swarm = self.swarms.entry(announce.info_hash).or_insert_with(|| Swarm::new(now, hashing));
        swarm.last_seen = now;

        let (peers, swarm_age) = (swarm.entries(), now.since(swarm.first_seen));
        let swarm_peers = u32::try_from(peers).unwrap_or(u32::MAX);
        let interval = interval::interval_secs(&self.pace, rng, swarm_age, swarm_peers, self.ledger.entries);
        let expires = now + interval::lifetime(interval);
        let has_completed = entry.update(swarm, announce, expires, &mut self.ledger);
        swarm.downloaded = swarm.downloaded.saturating_add(has_completed.into());
        while swarm.entries() > self.limits.peers_per_swarm.max(1) {
            swarm.evict(rng, &mut self.ledger);
            self.evicted_peers += 1;
        }

        let wanted = announce.num_want.unwrap_or(self.pace.default_peers).min(self.pace.max_peers);
        let told = entry.sample(swarm, now, rng, announce, wanted as usize);
        Ok(self.announced(announce.info_hash, interval, told))
    }

    /// The figures of a swarm; all zero if it is not known.
    pub fn scrape(&mut self, now: Moment, info_hash: InfoHash) -> Scraped {
        if let Some(swarm) = self.swarms.get_mut(&info_hash) {
            swarm.expire(now, &mut self.ledger);
        }
        self.scraped(info_hash)
    }

    /// Forgets silent peers and empty swarms among the next `swarms` swarms in turn.
    pub fn sweep(&mut self, now: Moment, swarms: usize) {
        for _ in 0..swarms.min(self.swarms.len()) {
            if self.sweep_from >= self.swarms.len() {
                self.sweep_from = 0;
            }
            let Some((_, swarm)) = self.swarms.get_index_mut(self.sweep_from) else { break };
            swarm.expire(now, &mut self.ledger);
            if swarm.is_over(now) {
                self.swarms.swap_remove_index(self.sweep_from);
            } else {
                self.sweep_from += 1;
            }
        }
        shrink(&mut self.swarms);
    }

    /// Figures of everything.
    pub fn totals(&self) -> Totals {
        Totals {
            swarms: self.swarms.len() as u64,
            entries: self.ledger.entries,
            bytes: self.bytes(),
            evicted_swarms: self.evicted_swarms,
            evicted_peers: self.evicted_peers,
        }
    }

    fn check(&self, announce: &Announce, entry: &Entry) -> Result<(), Refusal> {
        let swarm = self.swarms.get(&announce.info_hash);
        let is_stopping = announce.event == Event::Stopped;
        let mut new_entries = 0;
        let mut is_crowded = false;
        let is_counted = Scope::of(announce.source) == Some(Scope::Global);
        let most = self.limits.peers_per_swarm_and_ip;
        if let Some((key, _)) = &entry.tcp {
            let is_new = swarm.is_none_or(|swarm| swarm.tcp.get(key).is_none());
            new_entries += u32::from(is_new);
            is_crowded |= is_new && swarm.is_some_and(|swarm| swarm.tcp.peers_of(announce.source) >= most);
        }
        if let (Some((key, _)), Some(contact)) = (&entry.libp2p, &announce.libp2p) {
            let known = swarm.and_then(|swarm| swarm.libp2p.get(key));
            let is_stale = known.is_some_and(|(_, member)| contact.seq() < member.value.seq());
            if is_stale && is_stopping {
                return Err(Refusal::StaleRecord);
            }
            new_entries += u32::from(known.is_none());
            is_crowded |=
                known.is_none() && swarm.is_some_and(|swarm| swarm.libp2p.peers_of(announce.source) >= most);
        }
        let entries = self.ledger.entries_of(announce.source).saturating_add(new_entries);
        let is_too_many = entries > self.limits.peers_per_ip || (is_counted && is_crowded);
        if !is_stopping && new_entries > 0 && is_too_many {
            return Err(Refusal::TooManyFromSource);
        }
        Ok(())
    }

    /// Takes a peer that leaves out of its swarm. It is told of nobody.
    fn stop(&mut self, now: Moment, rng: &mut impl Rng, info_hash: InfoHash, entry: &Entry) -> Announced {
        let mut swarm_age = Duration::ZERO;
        if let Some(swarm) = self.swarms.get_mut(&info_hash) {
            swarm_age = now.since(swarm.first_seen);
            if let Some((key, _)) = &entry.tcp {
                swarm.tcp.remove(key, &mut self.ledger);
            }
            if let Some((key, _)) = &entry.libp2p {
                swarm.libp2p.remove(key, &mut self.ledger);
            }
        }
        let interval = interval::interval_secs(&self.pace, rng, swarm_age, 0, self.ledger.entries);
        self.announced(info_hash, interval, Told::default())
    }

    fn announced(&self, info_hash: InfoHash, interval_secs: u32, told: Told) -> Announced {
        Announced {
            swarm: self.scraped(info_hash),
            interval_secs,
            min_interval_secs: interval::min_interval_secs(&self.pace, interval_secs),
            peers: told.peers,
            libp2p: told.libp2p,
        }
    }

    fn scraped(&self, info_hash: InfoHash) -> Scraped {
        let unknown = Scraped { downloaders: Some(0), ..Scraped::default() };
        self.swarms.get(&info_hash).map_or(unknown, Swarm::scraped)
    }

    /// Forgets swarms until there is room for one more, and for what an announce may add.
    fn make_room(&mut self, now: Moment, rng: &mut impl Rng, keep: InfoHash) {
        let is_new = !self.swarms.contains_key(&keep);
        let memory = self.limits.memory_mib.saturating_mul(1 << 20);
        while (is_new && self.swarms.len() >= self.limits.swarms.max(1)) || self.bytes() > memory {
            if !self.evict_swarm(now, rng, keep) {
                break;
            }
        }
        // The swarm itself may be what fills the memory.
        while self.bytes() > memory
            && let Some(swarm) = self.swarms.get_mut(&keep)
            && swarm.entries() > 0
        {
            swarm.evict(rng, &mut self.ledger);
            self.evicted_peers += 1;
        }
    }

    /// Forgets the least of a few swarms taken by chance: the one with the fewest peers, and of equals the
    /// longest silent. Swarms made up to fill the tracker are small, so it is they that go. `false` if
    /// there is none but `keep`.
    fn evict_swarm(&mut self, now: Moment, rng: &mut impl Rng, keep: InfoHash) -> bool {
        let amount = EVICTION_SAMPLE.min(self.swarms.len());
        let picks = index::sample(rng, self.swarms.len(), amount);
        let candidates =
            picks.into_iter().filter(|&at| self.swarms.get_index(at).is_none_or(|(h, _)| *h != keep));
        let least = candidates.min_by_key(|&at| {
            let swarm = &self.swarms[at];
            (swarm.entries(), Reverse(now.since(swarm.last_seen)))
        });
        let Some(at) = least else { return false };
        if let Some((_, mut swarm)) = self.swarms.swap_remove_index(at) {
            swarm.clear(&mut self.ledger);
            shrink(&mut self.swarms);
            self.evicted_swarms += 1;
        }
        true
    }

    fn bytes(&self) -> u64 {
        self.ledger.bytes + self.swarms.len() as u64 * SWARM_BYTES
    }
}
