//! Who provides what, as other nodes told us: bounded, so that nobody can fill it up, and nobody be sent to
//! a stranger's door by it.
//!
//! The ready-made store counts our own keys and everybody's together, keeps the first twenty providers of a
//! key for ever and gives all of them to everybody. Whoever fills it stops us from announcing, and a big
//! swarm is answered for by twenty dead peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use rand::Rng;
use rand::seq::IteratorRandom;
use samara_proto::dht::DhtKey;
use samara_proto::moment::Moment;
use sha2::{Digest, Sha256};

use crate::net::address::{Reach, reach_of};
use crate::net::discovery::policy::{Endpoint, one_holder};

/// A provider that did not announce again for so long is forgotten; everybody announces two or three times
/// in it. All nodes must agree on it: it is in PROTOCOL.md.
pub(super) const PROVIDER_TTL: Duration = Duration::from_secs(3600);
/// Providers kept of one key: a sample of them is given, and more would make it no better.
const PER_KEY: usize = 512;
/// Of these, providers at one IPv4 address or IPv6 /64: a household's peers, so that it takes many addresses
/// to crowd out the others.
const PER_KEY_AND_ADDRESS: usize = 8;
/// Keys one provider may announce here: each is kept by twenty nodes of many.
const PER_PROVIDER: usize = 2000;
/// The same for one IPv4 address or IPv6 /64.
const PER_ADDRESS: usize = 4000;
/// Providers of all keys: with their addresses some ten mebibytes.
const PROVIDERS: usize = 20_000;
/// Addresses kept of one provider: TCP and QUIC, and one of each to spare.
const ADDRESSES: usize = 4;

/// A full store is swept once in this time and no more: sweeping costs more than an announce.
const SWEEP_GAP: Duration = Duration::from_secs(60);

/// Why an announce is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// None of its addresses is where it comes from.
    ElsewhereOnly,
    /// It, its address or its key has enough already.
    TooMany,
    /// There is no room, and every key here is nearer to us.
    Full,
}

/// A provider and where it says it can be dialled.
pub(super) type Provider = (PeerId, Vec<Multiaddr>);

/// What other nodes announced to us.
#[derive(Debug)]
pub(super) struct ProviderStore {
    /// Where we are ourselves among the keys.
    own_point: [u8; 32],
    /// By the key's distance from us: when room is short the farthest give way, for which others answer.
    keys: BTreeMap<Distance, Entry>,
    by_provider: BTreeMap<PeerId, usize>,
    by_address: BTreeMap<IpAddr, usize>,
    count: usize,
    swept: Moment,
    /// What we announce ourselves, without bound: it is our own doing.
    own: BTreeSet<DhtKey>,
}

/// The exclusive or of two points, as Kademlia measures.
type Distance = [u8; 32];

#[derive(Debug, Default)]
struct Entry {
    providers: BTreeMap<PeerId, Announced>,
}

#[derive(Debug)]
struct Announced {
    addresses: Vec<Multiaddr>,
    /// What shares its caps; `None` on this machine, where everybody may run as many nodes as he likes.
    group: Option<IpAddr>,
    expires: Moment,
}

impl ProviderStore {
    /// An empty store of the node with this identity.
    pub(super) fn new(own_id: &PeerId) -> Self {
        Self {
            own_point: point(&own_id.to_bytes()),
            keys: BTreeMap::new(),
            by_provider: BTreeMap::new(),
            by_address: BTreeMap::new(),
            count: 0,
            swept: Moment::ZERO,
            own: BTreeSet::new(),
        }
    }

    /// Keeps the announce of `provider`, which is connected from the addresses `from`. Of the addresses it
    /// names only those there count: it cannot send a crowd to a bystander.
    pub(super) fn keep(
        &mut self,
        now: Moment,
        key: DhtKey,
        provider: PeerId,
        from: &[IpAddr],
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Result<(), Refused> {
        let own_ip = |address: &Multiaddr| Endpoint::of(address).is_some_and(|at| from.contains(&at.ip()));
        let addresses: Vec<Multiaddr> = addresses.into_iter().filter(own_ip).take(ADDRESSES).collect();
        let ip = addresses.first().and_then(Endpoint::of).ok_or(Refused::ElsewhereOnly)?.ip();
        let group = (reach_of(ip) != Reach::ThisMachine).then(|| one_holder(ip));
        let distance = self.distance(&key);
        self.forget(distance, &provider);
        self.make_room(now, distance, &provider, group)?;
        let announced = Announced { addresses, group, expires: now + PROVIDER_TTL };
        self.keys.entry(distance).or_default().providers.insert(provider, announced);
        *self.by_provider.entry(provider).or_default() += 1;
        if let Some(group) = group {
            *self.by_address.entry(group).or_default() += 1;
        }
        self.count += 1;
        Ok(())
    }

    fn make_room(
        &mut self,
        now: Moment,
        distance: Distance,
        provider: &PeerId,
        group: Option<IpAddr>,
    ) -> Result<(), Refused> {
        if self.count >= PROVIDERS && now.since(self.swept) >= SWEEP_GAP {
            self.expire(now);
        }
        let of_provider = self.by_provider.get(provider).copied().unwrap_or(0);
        let of_address = group.and_then(|group| self.by_address.get(&group).copied()).unwrap_or(0);
        if of_provider >= PER_PROVIDER || of_address >= PER_ADDRESS {
            return Err(Refused::TooMany);
        }
        self.expire_key(now, distance);
        let of_key = self.keys.get(&distance).map(|entry| &entry.providers);
        let beside = of_key.into_iter().flat_map(BTreeMap::values);
        let beside = beside.filter(|announced| group.is_some() && announced.group == group).count();
        if of_key.is_some_and(|providers| providers.len() >= PER_KEY) || beside >= PER_KEY_AND_ADDRESS {
            return Err(Refused::TooMany);
        }
        while self.count >= PROVIDERS {
            let Some((&farthest, entry)) = self.keys.last_key_value() else { break };
            if farthest <= distance {
                return Err(Refused::Full);
            }
            let soonest = entry.providers.iter().min_by_key(|(_, announced)| announced.expires);
            let Some((&soonest, _)) = soonest else { break };
            self.forget(farthest, &soonest);
        }
        Ok(())
    }

    fn forget(&mut self, distance: Distance, provider: &PeerId) {
        let Some(entry) = self.keys.get_mut(&distance) else { return };
        let Some(announced) = entry.providers.remove(provider) else { return };
        if entry.providers.is_empty() {
            self.keys.remove(&distance);
        }
        self.count -= 1;
        lower(&mut self.by_provider, provider);
        if let Some(group) = announced.group {
            lower(&mut self.by_address, &group);
        }
    }

    /// Forgets who has not announced again in time.
    pub(super) fn expire(&mut self, now: Moment) {
        self.swept = now;
        let distances: Vec<Distance> = self.keys.keys().copied().collect();
        for distance in distances {
            self.expire_key(now, distance);
        }
    }

    fn expire_key(&mut self, now: Moment, distance: Distance) {
        let Some(entry) = self.keys.get(&distance) else { return };
        let overdue = entry.providers.iter().filter(|(_, announced)| announced.expires <= now);
        let silent: Vec<PeerId> = overdue.map(|(&provider, _)| provider).collect();
        for provider in silent {
            self.forget(distance, &provider);
        }
    }

    /// At most `count` providers of `key`, each as likely as any other.
    pub(super) fn sample(
        &self,
        now: Moment,
        key: &DhtKey,
        count: usize,
        rng: &mut impl Rng,
    ) -> Vec<Provider> {
        let Some(entry) = self.keys.get(&self.distance(key)) else { return Vec::new() };
        let fresh = entry.providers.iter().filter(|(_, announced)| now < announced.expires);
        let chosen = fresh.sample(rng, count);
        chosen.into_iter().map(|(&provider, announced)| (provider, announced.addresses.clone())).collect()
    }

    /// Takes note that we announce `key` ourselves.
    pub(super) fn provide(&mut self, key: DhtKey) {
        self.own.insert(key);
    }

    /// We do not announce `key` any more.
    pub(super) fn withdraw(&mut self, key: &DhtKey) {
        self.own.remove(key);
    }

    /// Whether we announce `key` ourselves.
    pub(super) fn is_provided(&self, key: &DhtKey) -> bool {
        self.own.contains(key)
    }

    /// What we announce ourselves.
    pub(super) fn provided(&self) -> impl Iterator<Item = &DhtKey> {
        self.own.iter()
    }

    fn distance(&self, key: &DhtKey) -> Distance {
        let mut distance = point(key.as_bytes());
        distance.iter_mut().zip(self.own_point).for_each(|(byte, own)| *byte ^= own);
        distance
    }
}

/// Where Kademlia places a key or a node.
fn point(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn lower<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

#[cfg(test)]
mod tests;
