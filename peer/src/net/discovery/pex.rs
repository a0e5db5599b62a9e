//! Peer exchange: what to tell one link and when, and how much to believe of what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p::PeerId;
use samara_proto::limits::{PEX_PEERS, PEX_RECORDS_BYTES};
use samara_proto::moment::Moment;
use samara_proto::record::SignedRecord;
use samara_proto::wire::extension::{PexError, PexFlags, PexMessage, PexPeer};

/// Least time from each of the first messages to the next: a newcomer finds the swarm within a second.
const FIRST_GAPS: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(30),
];
/// Least time between all later ones (BEP 11).
const GAP: Duration = Duration::from_secs(60);
/// Messages that pass at any speed: all that may be sent fast, and as many again for clocks that differ.
const BURST: u32 = 10;
/// A further one passes in this time.
const REFILL: Duration = Duration::from_secs(50);
/// Messages skipped before a link that floods us is ended.
const SKIPPED: u32 = 100;
/// Peers of one teller waiting to be tried: as many as a node has links in a torrent, and some more.
const UNTRIED: usize = 100;
/// Dials on one teller's word that may fail before it is judged.
const FAILURES_FREE: u32 = 30;
/// A teller of whose peers fewer than one in so many answer is not listened to any longer.
const WORTH: u32 = 10;

/// A peer that may be told of.
#[derive(Clone, Debug)]
pub struct Neighbour<'a> {
    /// Its own signed words.
    pub record: &'a SignedRecord,
    /// What we know of it.
    pub flags: PexFlags,
}

/// What one link was told, and when it may be told more.
#[derive(Debug, Default)]
pub struct Outbox {
    told: BTreeSet<PeerId>,
    sent: usize,
    not_before: Moment,
}

impl Outbox {
    /// Whether a message may be sent now.
    pub fn is_open(&self, now: Moment) -> bool {
        now >= self.not_before
    }

    /// The next message to a link that has been told of some of those in `present`; `None` when there is
    /// nothing to say. `me` is our own record, if it is to be sent.
    ///
    /// Whoever calls makes sure that [`Self::is_open`], and leaves the link's own remote out of `present`.
    pub fn next(
        &mut self,
        now: Moment,
        present: &BTreeMap<PeerId, Neighbour<'_>>,
        me: Option<&SignedRecord>,
    ) -> Option<PexMessage> {
        let dropped: Vec<PeerId> =
            self.told.iter().filter(|id| !present.contains_key(id)).take(PEX_PEERS).copied().collect();
        let mut room = PEX_RECORDS_BYTES;
        let mut added = Vec::new();
        for (id, neighbour) in present.iter().filter(|(id, _)| !self.told.contains(id)).take(PEX_PEERS) {
            let record = neighbour.record.as_bytes();
            if record.len() > room {
                break;
            }
            room -= record.len();
            added.push((*id, PexPeer { record: record.to_vec(), flags: neighbour.flags }));
        }
        if me.is_none() && dropped.is_empty() && added.is_empty() {
            return None;
        }
        for id in &dropped {
            self.told.remove(id);
        }
        self.told.extend(added.iter().map(|(id, _)| id));
        self.not_before = now + FIRST_GAPS.get(self.sent).copied().unwrap_or(GAP);
        self.sent += 1;
        Some(PexMessage {
            me: me.map(|record| record.as_bytes().to_vec()),
            added: added.into_iter().map(|(_, peer)| peer).collect(),
            dropped: dropped.into_iter().map(PeerId::to_bytes).collect(),
        })
    }
}

/// How often one link may speak.
#[derive(Debug)]
pub struct Inbox {
    allowed: u32,
    refilled_at: Moment,
    skipped: u32,
}

/// A link sends peer exchange messages without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PexFlood;

impl Inbox {
    /// For a link that came up at `now`.
    pub fn new(now: Moment) -> Self {
        Self { allowed: BURST, refilled_at: now, skipped: 0 }
    }

    /// Whether the message that came now is read; it is skipped otherwise.
    ///
    /// # Errors
    /// So many were skipped that the link should end.
    pub fn admit(&mut self, now: Moment) -> Result<bool, PexFlood> {
        while self.allowed < BURST && now.since(self.refilled_at) >= REFILL {
            self.allowed += 1;
            self.refilled_at += REFILL;
        }
        if self.allowed == BURST {
            self.refilled_at = now;
        }
        if self.allowed > 0 {
            self.allowed -= 1;
            return Ok(true);
        }
        self.skipped += 1;
        if self.skipped > SKIPPED { Err(PexFlood) } else { Ok(false) }
    }
}

/// What a link told, every signature verified.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The remote's own record.
    pub me: Option<SignedRecord>,
    /// Peers it is linked with.
    pub added: Vec<(SignedRecord, PexFlags)>,
    /// Peers it is no longer linked with.
    pub dropped: Vec<PeerId>,
}

/// Reads a message from `remote`. Records that do not verify are skipped, and so is a record of its own that
/// is somebody else's.
///
/// # Errors
/// The message breaks a limit or is none.
pub fn read(payload: &[u8], remote: PeerId) -> Result<Told, PexError> {
    let message = PexMessage::decode(payload)?;
    let verified = |record: &[u8]| match SignedRecord::verify(record) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::debug!(%remote, %error, "a peer record from another peer is not valid");
            None
        }
    };
    let me = message.me.and_then(|record| verified(&record)).filter(|record| record.peer_id() == remote);
    let mut seen = BTreeSet::from([remote]);
    let mut added = Vec::new();
    for peer in message.added {
        if let Some(record) = verified(&peer.record)
            && seen.insert(record.peer_id())
        {
            added.push((record, peer.flags));
        }
    }
    let dropped = message.dropped.iter().filter_map(|id| PeerId::from_bytes(id).ok()).collect();
    Ok(Told { me, added, dropped })
}

/// Whom one link named, and how good its word proved to be.
#[derive(Debug, Default)]
pub struct Teller {
    /// Named and not taken back.
    standing: BTreeSet<PeerId>,
    untried: BTreeSet<PeerId>,
    worked: u32,
    failed: u32,
}

impl Teller {
    /// Takes note that it named `peer`; `false` if that is not to be believed. A peer that is linked already
    /// vouches for the teller.
    pub fn on_named(&mut self, peer: PeerId, is_linked: bool) -> bool {
        if is_linked {
            self.standing.insert(peer);
            return true;
        }
        let is_liar = self.failed >= FAILURES_FREE && self.worked * WORTH < self.failed;
        if is_liar || (self.untried.len() >= UNTRIED && !self.untried.contains(&peer)) {
            return false;
        }
        self.standing.insert(peer);
        self.untried.insert(peer);
        true
    }

    /// Takes note that it took `peer` back.
    pub fn on_dropped(&mut self, peer: PeerId) {
        self.standing.remove(&peer);
        self.untried.remove(&peer);
    }

    /// `peer` could be linked.
    pub fn on_worked(&mut self, peer: PeerId) {
        if self.untried.remove(&peer) {
            self.worked += 1;
        }
    }

    /// `peer` could not be reached.
    pub fn on_failed(&mut self, peer: PeerId) {
        if self.untried.remove(&peer) {
            self.standing.remove(&peer);
            self.failed += 1;
        }
    }

    /// Whom it still vouches for.
    pub fn standing(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.standing.iter().copied()
    }
}

#[cfg(test)]
mod tests;
