//! The peers of one swarm, sorted into pools of those that the same announcers may be told of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use indexmap::map::Entry;
use rand::Rng;
use rand::seq::index;
use samara_proto::moment::Moment;

use super::hashing::{Keyed, KeyedMap, shrink};
use super::ledger::{Ledger, household};
use super::{Contact, Progress, Scope};

/// How many entries are looked at to find one that may go: close enough to the oldest, at no cost.
const EVICTION_SAMPLE: usize = 8;

/// How many peers are looked at for each that is wanted, and besides: some cannot be told, such as the
/// announcer itself and those in other private networks.
const LOOKED_AT: usize = 2;
const LOOKED_AT_BESIDES: usize = 8;

/// What all peers of a pool have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) reach: Reach,
    /// How far its addresses reach; `None` if nobody can be told of them.
    pub(super) scope: Option<Scope>,
    pub(super) progress: Progress,
}

/// How a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// BitTorrent at an IPv4 address.
    V4,
    /// BitTorrent at an IPv6 address.
    V6,
    /// libp2p alone.
    Libp2p,
    /// libp2p; the same peer has an entry for BitTorrent too, which is the one that is counted.
    Libp2pToo,
}

/// One peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<V> {
    /// When it counts as gone.
    pub(super) expires: Moment,
    /// Its download was counted.
    pub(super) has_completed: bool,
    pub(super) value: V,
}

/// What tells peers of a swarm apart.
pub(super) trait Key: std::hash::Hash + Eq {
    /// The address it announced from.
    fn source(&self) -> IpAddr;
}

/// What is kept of a peer.
pub(super) trait Value {
    /// About how many bytes it takes besides its own size.
    fn extra_bytes(&self) -> usize;
}

impl Key for SocketAddr {
    fn source(&self) -> IpAddr {
        self.ip()
    }
}

/// A libp2p peer's key: anybody can replay a record, so it only stands for its peer together with the
/// address it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Libp2pKey {
    pub(super) source: IpAddr,
    pub(super) peer_id: Vec<u8>,
}

impl Key for Libp2pKey {
    fn source(&self) -> IpAddr {
        self.source
    }
}

/// A BitTorrent peer id.
impl Value for [u8; 20] {
    fn extra_bytes(&self) -> usize {
        0
    }
}

impl Value for Arc<Contact> {
    fn extra_bytes(&self) -> usize {
        // The contact, and the peer id in the key.
        self.bytes() + 40
    }
}

/// Peers by key, in as many pools as there are classes among them: usually one to three.
#[derive(Debug)]
pub(super) struct Pools<K, V> {
    pools: Vec<Pool<K, V>>,
    crowd: Crowd,
    hashing: Keyed,
}

/// How many peers of a swarm each household has.
#[derive(Debug)]
struct Crowd(KeyedMap<u64, u32>);

impl Crowd {
    fn on_come(&mut self, source: IpAddr) {
        *self.0.entry(household(source)).or_insert(0) += 1;
    }

    fn on_gone(&mut self, source: IpAddr) {
        let household = household(source);
        if let Some(peers) = self.0.get_mut(&household) {
            *peers -= 1;
            if *peers == 0 {
                self.0.swap_remove(&household);
            }
        }
    }
}

type Pool<K, V> = (Class, KeyedMap<K, Member<V>>);

impl<K: Key, V: Value> Pools<K, V> {
    pub(super) fn new(hashing: Keyed) -> Self {
        Self { pools: Vec::new(), crowd: Crowd(KeyedMap::with_hasher(hashing)), hashing }
    }

    /// All peers.
    pub(super) fn len(&self) -> usize {
        self.pools.iter().map(|(_, pool)| pool.len()).sum()
    }

    /// How many peers are of a class that `counts`.
    pub(super) fn count(&self, counts: impl Fn(&Class) -> bool) -> u32 {
        let counted = self.pools.iter().filter(|(class, _)| counts(class));
        counted.map(|(_, pool)| pool.len()).sum::<usize>().try_into().unwrap_or(u32::MAX)
    }

    /// How many peers came from the same host or household as `source`.
    pub(super) fn peers_of(&self, source: IpAddr) -> u32 {
        self.crowd.0.get(&household(source)).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, key: &K) -> Option<(Class, &Member<V>)> {
        self.pools.iter().find_map(|(class, pool)| Some((*class, pool.get(key)?)))
    }

    /// Adds a peer, or replaces what is known of it.
    pub(super) fn insert(&mut self, key: K, class: Class, member: Member<V>, ledger: &mut Ledger) {
        if self.get(&key).is_some_and(|(old, _)| old != class) {
            self.remove(&key, ledger);
        }
        let pool = match self.pools.iter().position(|(other, _)| *other == class) {
            Some(at) => at,
            None => {
                self.pools.push((class, KeyedMap::with_hasher(self.hashing)));
                self.pools.len() - 1
            }
        };
        ledger.add(key.source(), Self::cost(&member));
        self.crowd.on_come(key.source());
        match self.pools[pool].1.entry(key) {
            Entry::Occupied(mut entry) => {
                ledger.remove(entry.key().source(), Self::cost(entry.get()));
                self.crowd.on_gone(entry.key().source());
                entry.insert(member);
            }
            Entry::Vacant(entry) => {
                entry.insert(member);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K, ledger: &mut Ledger) {
        for (_, pool) in &mut self.pools {
            if let Some(member) = pool.swap_remove(key) {
                ledger.remove(key.source(), Self::cost(&member));
                self.crowd.on_gone(key.source());
            }
        }
        self.tidy();
    }

    /// Forgets peers that have been silent for too long.
    pub(super) fn expire(&mut self, now: Moment, ledger: &mut Ledger) {
        for (_, pool) in &mut self.pools {
            pool.retain(|key, member| {
                let stays = member.expires > now;
                if !stays {
                    ledger.remove(key.source(), Self::cost(member));
                    self.crowd.on_gone(key.source());
                }
                stays
            });
        }
        self.tidy();
    }

    /// Forgets the longest silent of a few peers taken by chance; nothing if there are none.
    pub(super) fn evict(&mut self, rng: &mut impl Rng, ledger: &mut Ledger) {
        let length = self.len();
        let picks = index::sample(rng, length, EVICTION_SAMPLE.min(length));
        let found = picks.into_iter().filter_map(|at| self.at(at, |_| true));
        let oldest = found.min_by_key(|(pool, at)| self.pools[*pool].1[*at].expires);
        if let Some((pool, at)) = oldest
            && let Some((key, member)) = self.pools[pool].1.swap_remove_index(at)
        {
            ledger.remove(key.source(), Self::cost(&member));
            self.crowd.on_gone(key.source());
            self.tidy();
        }
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self, ledger: &mut Ledger) {
        self.crowd.0.clear();
        for (_, pool) in self.pools.drain(..) {
            for (key, member) in pool {
                ledger.remove(key.source(), Self::cost(&member));
            }
        }
    }

    /// Up to `wanted` peers by chance, each at most once and all equally likely, among those of a class
    /// that is `visible` and that may be `told`, without those that should be gone.
    pub(super) fn sample(
        &self,
        now: Moment,
        rng: &mut impl Rng,
        wanted: usize,
        visible: impl Fn(&Class) -> bool,
        told: impl Fn(&K, &V) -> bool,
    ) -> Vec<(Class, &K, &Member<V>)> {
        let seen = self.pools.iter().filter(|(class, _)| visible(class));
        let length: usize = seen.map(|(_, pool)| pool.len()).sum();
        let amount = if wanted == 0 { 0 } else { length.min(LOOKED_AT * wanted + LOOKED_AT_BESIDES) };
        let picks = index::sample(rng, length, amount).into_iter();
        let peers = picks.filter_map(|at| {
            let (pool, at) = self.at(at, &visible)?;
            let (class, pool) = &self.pools[pool];
            let (key, member) = pool.get_index(at)?;
            Some((*class, key, member))
        });
        peers
            .filter(|(_, key, member)| member.expires > now && told(key, &member.value))
            .take(wanted)
            .collect()
    }

    /// The pool, and the place in it, of the `at`th peer of all `visible` pools together.
    fn at(&self, mut at: usize, visible: impl Fn(&Class) -> bool) -> Option<(usize, usize)> {
        for (pool, (class, members)) in self.pools.iter().enumerate() {
            if !visible(class) {
                continue;
            }
            if at < members.len() {
                return Some((pool, at));
            }
            at -= members.len();
        }
        None
    }

    /// Gives back the memory of peers that have gone.
    fn tidy(&mut self) {
        self.pools.retain(|(_, pool)| !pool.is_empty());
        for (_, pool) in &mut self.pools {
            shrink(pool);
        }
        shrink(&mut self.crowd.0);
    }

    /// About how many bytes a peer takes: its entry and its household's, the maps' hashes and positions with their
    /// slack, and its share of the ledger.
    fn cost(member: &Member<V>) -> usize {
        let counted = size_of::<(u64, u32)>() + 16;
        2 * (size_of::<K>() + size_of::<Member<V>>() + 16 + counted) + member.value.extra_bytes()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const CLASS: Class =
        Class { reach: Reach::V4, scope: Some(Scope::Global), progress: Progress::Downloader };

    impl<K, V> Pools<K, V> {
        /// Bytes its lists and maps have, whatever is in them.
        pub(in crate::registry) fn allocated(&self) -> usize {
            // Of each entry a map keeps the hash, and in a table of their own the position and a byte.
            let entry = size_of::<(K, Member<V>)>() + size_of::<usize>() + size_of::<usize>() + 1;
            let maps = self.pools.iter().map(|(_, pool)| pool.capacity() * entry);
            let counted = size_of::<(u64, u32)>() + size_of::<usize>() + size_of::<usize>() + 1;
            let crowd = self.crowd.0.capacity() * counted;
            self.pools.capacity() * size_of::<Pool<K, V>>() + maps.sum::<usize>() + crowd
        }
    }

    fn key(port: u16) -> SocketAddr {
        SocketAddr::from(([20, 0, 0, 1], port))
    }

    #[test]
    fn peers_that_have_gone_take_no_memory_however_they_went() {
        let hashing = Keyed::new([1; 16]);
        let filled = |ledger: &mut Ledger| {
            let mut pools = Pools::new(hashing);
            for port in 1..=10_000 {
                let expires = Moment::from_micros(port.into());
                let member = Member { expires, has_completed: false, value: [0; 20] };
                pools.insert(key(port), CLASS, member, ledger);
            }
            pools
        };
        let mut ledger = Ledger::new(hashing);
        let (mut removed, mut expired, mut evicted) =
            (filled(&mut ledger), filled(&mut ledger), filled(&mut ledger));
        let full = removed.allocated();
        for port in 1..9_900 {
            removed.remove(&key(port), &mut ledger);
        }
        expired.expire(Moment::from_micros(9_900), &mut ledger);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..9_900 {
            evicted.evict(&mut rng, &mut ledger);
        }
        for pools in [removed, expired, evicted] {
            assert!((100..=101).contains(&pools.len()));
            assert!(pools.allocated() < full / 20, "{} of {full}", pools.allocated());
        }
    }
}
