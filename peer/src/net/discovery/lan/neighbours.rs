//! Whom a node has heard on the local network: everybody there may say anything, so little is believed and
//! less is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use samara_proto::moment::Moment;
use samara_proto::record::SignedRecord;

use super::LanEvent;
use super::message::{Instance, LIFETIME, Telling};
use crate::net::address::Reach;
use crate::net::discovery::policy::{Endpoint, is_believable};

/// Peers kept at once: several times what a node links with.
const PEERS: usize = 256;
/// Peers kept that speak from one address: a machine full of nodes.
const PER_SENDER: usize = 32;
/// Addresses from which one peer speaks: two networks, in both families.
const SENDERS_PER_PEER: usize = 4;
/// A peer that came and went keeps its place for so long: else somebody who makes them up could push a
/// new one every moment.
const LEAST_STAY: Duration = Duration::from_secs(120);

/// What a peer said from one address.
#[derive(Clone, Debug)]
struct Words {
    instance: Instance,
    seq: u64,
    record: Vec<u8>,
    addresses: Vec<Multiaddr>,
    /// It has not said goodbye, nor was it silent for too long.
    is_there: bool,
    believed_until: Moment,
    /// When its place may be given to another, if it is gone.
    stays_until: Moment,
}

/// Everybody who was heard.
#[derive(Debug)]
pub(super) struct Neighbours {
    own_id: PeerId,
    peers: BTreeMap<PeerId, BTreeMap<IpAddr, Words>>,
    /// Those of them who did not answer when they were dialled.
    doubted: BTreeSet<PeerId>,
}

impl Neighbours {
    /// Nobody, as heard by `own_id`.
    pub(super) fn new(own_id: PeerId) -> Self {
        Self { own_id, peers: BTreeMap::new(), doubted: BTreeSet::new() }
    }

    /// Peers believed to be there, and some that just went.
    pub(super) fn count(&self) -> usize {
        self.peers.len()
    }

    /// The names of peers that need not say again that they are there, and for how long that is believed.
    pub(super) fn known(&self, now: Moment) -> impl Iterator<Item = (&Instance, Duration)> {
        let words = self.peers.values().flat_map(BTreeMap::values).filter(|words| words.is_there);
        words
            .map(move |words| (&words.instance, words.believed_until.since(now)))
            .filter(|(_, left)| *left > LIFETIME / 2)
    }

    /// Whether none of `instances` is news.
    pub(super) fn knows_all(&self, now: Moment, instances: &[Instance]) -> bool {
        instances.iter().all(|instance| self.known(now).any(|(known, _)| known == instance))
    }

    /// Takes in what came from `sender` at `now`; what that means for the node.
    pub(super) fn on_told(&mut self, now: Moment, sender: IpAddr, telling: Telling) -> Vec<LanEvent> {
        let Telling { instance, lifetime, record } = telling;
        let known = self.from(sender).find(|(_, words)| words.record == record);
        if let Some((peer, words)) = known {
            let was_there = std::mem::replace(&mut words.is_there, !lifetime.is_zero());
            (words.instance, words.believed_until) = (instance, now + lifetime);
            return match (was_there, words.is_there) {
                (false, true) => vec![self.heard(peer)],
                (true, false) => self.lost(peer).into_iter().collect(),
                _ => Vec::new(),
            };
        }
        let Ok(signed) = SignedRecord::verify(&record) else { return Vec::new() };
        let (peer, seq) = (signed.peer_id(), signed.seq());
        let addresses = believed(&signed, sender);
        if peer == self.own_id || addresses.is_empty() || lifetime.is_zero() {
            return Vec::new();
        }
        let before = self.peers.get(&peer).and_then(|senders| senders.get(&sender));
        // Only the peer itself can sign a later record; anybody can repeat an earlier one. A machine whose
        // clock was set back is believed when it comes back.
        if before.is_some_and(|words| words.is_there && words.seq >= seq) {
            return Vec::new();
        }
        let stays_until = before.map_or(now + LEAST_STAY, |words| words.stays_until);
        let evicted = match before {
            Some(_) => Vec::new(),
            None => match self.make_room(peer, sender) {
                Some(evicted) => evicted,
                None => return Vec::new(),
            },
        };
        let believed_until = now + lifetime;
        let words = Words { instance, seq, record, addresses, is_there: true, believed_until, stays_until };
        self.peers.entry(peer).or_default().insert(sender, words);
        let lost = evicted.into_iter().map(|peer| LanEvent::Lost { peer });
        lost.chain([self.heard(peer)]).collect()
    }

    /// `peer` did not answer when it was dialled.
    pub(super) fn on_doubted(&mut self, peer: PeerId) {
        if self.peers.contains_key(&peer) {
            self.doubted.insert(peer);
        }
    }

    /// Forgets whom nobody heard for too long.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<LanEvent> {
        let mut silent = Vec::new();
        for (&peer, senders) in &mut self.peers {
            for words in senders.values_mut().filter(|words| words.is_there && words.believed_until <= now) {
                words.is_there = false;
                silent.push(peer);
            }
        }
        silent.dedup();
        let lost = silent.into_iter().filter_map(|peer| self.lost(peer)).collect();
        for senders in self.peers.values_mut() {
            senders.retain(|_, words| words.is_there || words.stays_until > now);
        }
        self.peers.retain(|_, senders| !senders.is_empty());
        self.doubted.retain(|peer| self.peers.contains_key(peer));
        lost
    }

    fn from(&mut self, sender: IpAddr) -> impl Iterator<Item = (PeerId, &mut Words)> {
        self.peers.iter_mut().filter_map(move |(&peer, senders)| Some((peer, senders.get_mut(&sender)?)))
    }

    fn heard(&self, peer: PeerId) -> LanEvent {
        let words = self.peers.get(&peer).into_iter().flat_map(BTreeMap::values);
        let there = words.filter(|words| words.is_there);
        LanEvent::Heard { peer, addresses: there.flat_map(|words| words.addresses.clone()).collect() }
    }

    /// What it means that `peer` is gone from one address: nothing, if it is still there from another.
    fn lost(&self, peer: PeerId) -> Option<LanEvent> {
        let senders = self.peers.get(&peer)?;
        senders.values().all(|words| !words.is_there).then_some(LanEvent::Lost { peer })
    }

    /// Makes room for `peer`, who speaks from `sender` for the first time; who had to go for it, or `None` if
    /// there is none.
    ///
    /// When all places are taken, somebody goes who did not answer when he was dialled: whoever makes up peers
    /// must make them answer, too. If all did, one goes of the address that has the most, so that he must
    /// speak from as many addresses as others have peers.
    fn make_room(&mut self, peer: PeerId, sender: IpAddr) -> Option<Vec<PeerId>> {
        let mut by_sender: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for &sender in self.peers.values().flat_map(BTreeMap::keys) {
            *by_sender.entry(sender).or_default() += 1;
        }
        let of_sender = by_sender.get(&sender).copied().unwrap_or(0);
        if of_sender >= PER_SENDER {
            return None;
        }
        if let Some(senders) = self.peers.get(&peer) {
            return (senders.len() < SENDERS_PER_PEER).then(Vec::new);
        }
        if self.peers.len() < PEERS {
            return Some(Vec::new());
        }
        if let Some(evicted) = self.doubted.pop_first() {
            self.peers.remove(&evicted);
            return Some(vec![evicted]);
        }
        let (&greedy, &most) = by_sender.iter().max_by_key(|(_, count)| **count)?;
        if most < of_sender + 2 {
            return None;
        }
        let candidates = self.from(greedy).map(|(peer, words)| (words.believed_until, peer));
        let (_, evicted) = candidates.min()?;
        self.peers.remove(&evicted);
        Some(vec![evicted])
    }
}

/// Those addresses in a record that are where it came from: nobody can name another's, unless he can speak in
/// his name on this network, and then nothing here is safe from him.
fn believed(record: &SignedRecord, sender: IpAddr) -> Vec<Multiaddr> {
    let is_senders = |address: &&Multiaddr| {
        Endpoint::of(address).is_some_and(|endpoint| endpoint.ip() == sender)
            && is_believable(address, Reach::LocalNetwork)
    };
    record.addresses().iter().filter(is_senders).cloned().collect()
}

#[cfg(test)]
mod tests;
