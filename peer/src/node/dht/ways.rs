//! Ways into the DHT: nodes that the user, a tracker or an earlier session named, tried until enough nodes
//! are known.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use samara_proto::moment::Moment;

use crate::engine::event::Source;
use crate::net::discovery::cache::{self, CachedPeer};
use crate::net::discovery::seconds_since_1970;
use crate::node::NodeLoop;
use crate::node::peers::named_peer;

/// With fewer nodes in the routing table the ways in are tried.
const FEW_NODES: usize = 4;
/// Ways in that are kept: what a session saves, and as much again.
const WAYS: usize = 400;
/// Ways in that are tried at once.
const AT_ONCE: usize = 8;
/// First wait before others are tried; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest such wait while no node is known.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The longest such wait while some are: perhaps there are no more.
const LONGEST_WAIT_WITH_SOME: Duration = Duration::from_secs(600);
/// Known nodes are saved so soon for the first time, and then from time to time.
const FIRST_SAVE: Duration = Duration::from_secs(5);
const SAVE_AGAIN: Duration = Duration::from_secs(600);

/// Nodes that may let us in, and when to try them.
#[derive(Default)]
pub(super) struct Ways {
    /// In the order they became known.
    nodes: Vec<PeerId>,
    /// Whose turn it is.
    next: usize,
    tries: u32,
    try_at: Moment,
    /// When the first node became known in this session.
    inside_since: Option<Instant>,
    saved_at: Option<Instant>,
    /// Those named by the user of whom it was told that they do not let us in.
    told: BTreeSet<PeerId>,
}

impl Ways {
    /// Takes up a node; whether it is new.
    fn add(&mut self, id: PeerId) -> bool {
        let is_new = self.nodes.len() < WAYS && !self.nodes.contains(&id);
        if is_new {
            self.nodes.push(id);
        }
        is_new
    }

    /// Whom to try at `now`, with so many `known` nodes in the routing table.
    fn due(&mut self, now: Moment, known: usize) -> Vec<PeerId> {
        if known >= FEW_NODES || now < self.try_at || self.nodes.is_empty() {
            return Vec::new();
        }
        let longest = if known == 0 { LONGEST_WAIT } else { LONGEST_WAIT_WITH_SOME };
        self.try_at = now + (FIRST_WAIT * (1 << self.tries.min(16))).min(longest);
        self.tries += 1;
        let count = self.nodes.len();
        let chosen = (0..count.min(AT_ONCE)).map(|at| self.nodes[(self.next + at) % count]).collect();
        self.next = (self.next + AT_ONCE) % count;
        chosen
    }

    /// Tries again soon: something changed.
    fn hurry(&mut self) {
        self.tries = 0;
        self.try_at = Moment::ZERO;
    }

    /// Whether known nodes are to be saved, of which there are some.
    fn is_save_due(&self, now: Instant) -> bool {
        match (self.saved_at, self.inside_since) {
            (Some(at), _) => now.duration_since(at) >= SAVE_AGAIN,
            (None, Some(since)) => now.duration_since(since) >= FIRST_SAVE,
            (None, None) => false,
        }
    }
}

impl NodeLoop {
    /// Takes up the ways in that the user and earlier sessions know.
    pub(in crate::node) fn join_dht(&mut self) {
        if self.dht().is_none() {
            return;
        }
        for address in self.config.bootstrap.clone() {
            match named_peer(&address) {
                Some(id) => self.add_way(id, Source::Link, vec![address]),
                None => tracing::warn!(%address, "no way into the DHT: it does not end in /p2p/<peer id>"),
            }
        }
        for CachedPeer { id, addresses, .. } in
            self.nodes_file().map(|path| cache::load(&path, seconds_since_1970())).unwrap_or_default()
        {
            self.add_way(id, Source::Cache, addresses);
        }
        self.tend_dht();
    }

    /// A tracker named ways in.
    pub(in crate::node) fn on_ways_named(&mut self, addresses: Vec<Multiaddr>) {
        if self.dht().is_none() {
            return;
        }
        for address in addresses {
            if let Some(id) = named_peer(&address) {
                self.add_way(id, Source::Tracker, vec![address]);
            }
        }
        self.tend_dht();
    }

    fn add_way(&mut self, id: PeerId, source: Source, addresses: Vec<Multiaddr>) {
        if id == self.own_id {
            return;
        }
        let peer = self.peers.key(id);
        self.peers.learn(peer, source, addresses);
        if self.dht.ways.add(id) {
            self.dht.ways.hurry();
        }
    }

    /// Dials ways in, if too few nodes are known and it is time.
    pub(super) fn try_ways(&mut self) {
        let now = self.now();
        let known = self.dht().map_or(0, |dht| dht.nodes());
        for id in self.dht.ways.due(now, known) {
            if self.dht().is_some_and(|dht| dht.knows(&id)) {
                continue;
            }
            let peer = self.peers.key(id);
            let (tcp, others) = self.peers.dialable(peer, self.config.bind);
            if tcp.is_empty()
                && others.is_empty()
                && let Some(reason) = self.why_undialled(peer)
            {
                self.tell_no_way(id, &reason);
            }
            self.dial_node(id, [tcp, others].concat());
        }
    }

    /// Tells once that a node which the user named as a way in is none.
    pub(in crate::node) fn tell_no_way(&mut self, id: PeerId, reason: &str) {
        let is_named = self.config.bootstrap.iter().any(|address| named_peer(address) == Some(id));
        if is_named && self.dht().is_some() && self.dht.ways.told.insert(id) {
            self.warn_of_node(format!("no way into the DHT by {id}: {reason}"));
        }
    }

    /// So many nodes are in the routing table now.
    pub(super) fn on_nodes_known(&mut self, count: usize) {
        if count == 0 {
            self.dht.ways.hurry();
        } else if self.dht.ways.inside_since.is_none() {
            self.dht.ways.inside_since = Some(Instant::now());
        }
    }

    /// Saves the nodes known, if it is time.
    pub(super) fn remember_nodes(&mut self) {
        let now = Instant::now();
        if self.dht.ways.is_save_due(now) {
            self.dht.ways.saved_at = Some(now);
            self.save_nodes();
        }
    }

    /// Saves the nodes known, beside the loop, which waits for it before it ends.
    pub(in crate::node) fn save_nodes(&mut self) {
        let Some(path) = self.nodes_file() else { return };
        let now_secs = seconds_since_1970();
        let nodes = self.dht().map(|dht| dht.known_nodes()).unwrap_or_default();
        let cached = |(id, addresses)| CachedPeer { id, addresses, seen_secs: now_secs };
        let list: Vec<CachedPeer> = nodes.into_iter().map(cached).collect();
        if list.is_empty() {
            return;
        }
        self.leaving.spawn_blocking(move || {
            if let Err(error) = cache::save(&path, list, now_secs) {
                tracing::warn!(%error, path = %path.display(), "nodes of the DHT could not be saved");
            }
        });
    }

    fn nodes_file(&self) -> Option<PathBuf> {
        self.config.state_dir.as_ref().map(|dir| dir.join("dht").join("nodes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(secs)
    }

    fn ways(count: usize) -> Ways {
        let mut ways = Ways::default();
        assert!((0..count).all(|_| ways.add(PeerId::random())));
        ways
    }

    /// Seconds of an hour at which ways are tried with so many nodes known.
    fn tried(ways: &mut Ways, known: usize) -> Vec<u64> {
        (0..3600).filter(|&secs| !ways.due(at(secs), known).is_empty()).collect()
    }

    #[test]
    fn everybody_gets_a_turn_until_enough_nodes_are_known() {
        let mut ways = ways(20);
        let mut asked: Vec<PeerId> = Vec::new();
        for secs in [0, 1, 3] {
            asked.extend(ways.due(at(secs), 0));
        }
        let everybody: std::collections::BTreeSet<PeerId> = ways.nodes.iter().copied().collect();
        assert_eq!(asked.into_iter().collect::<std::collections::BTreeSet<_>>(), everybody);
        assert_eq!(ways.due(at(1000), FEW_NODES), []);
    }

    #[test]
    fn tries_become_rare_and_rarer_still_when_some_nodes_are_known() {
        let outside = tried(&mut ways(1), 0);
        assert_eq!(outside[..5], [0, 1, 3, 7, 15]);
        assert!((60..70).contains(&outside.len()), "{outside:?}");
        let inside = tried(&mut ways(1), 1);
        assert!(inside.len() < 16, "{inside:?}");
    }

    #[test]
    fn who_is_named_again_is_no_news_and_the_too_many_are_not_kept() {
        let mut ways = ways(WAYS);
        assert!(!ways.add(ways.nodes[0]));
        assert!(!ways.add(PeerId::random()));
        assert_eq!(ways.nodes.len(), WAYS);
    }

    #[test]
    fn nodes_are_saved_soon_and_then_from_time_to_time() {
        let now = Instant::now();
        let mut ways = Ways { inside_since: Some(now), ..Ways::default() };
        assert!(!Ways::default().is_save_due(now + SAVE_AGAIN) && !ways.is_save_due(now));
        assert!(ways.is_save_due(now + FIRST_SAVE));
        ways.saved_at = Some(now);
        assert!(!ways.is_save_due(now + FIRST_SAVE) && ways.is_save_due(now + SAVE_AGAIN));
    }
}
