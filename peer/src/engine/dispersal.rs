//! What a first seed shows to whom, so that it gives every piece once before it gives any piece twice.
//!
//! BEP 16 without its waiting: the seed hides what it has and shows each peer some pieces ahead of what that
//! peer takes, always those of which there are fewest copies. A piece shown counts as a copy, so no two peers
//! are shown the same one while a piece is left that nobody has; they get it from each other.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

use super::availability::Availability;
use super::event::LinkId;
use super::rng::EngineRng;

/// What one link was shown and what that led to.
#[derive(Clone, Debug)]
struct Shown {
    /// Pieces that it neither has nor was shown.
    unseen: Bitfield,
    /// Pieces of which it counts as a copy: those it has and those it is being given.
    counted: Bitfield,
    /// Bytes still to be handed out of the pieces it is being given.
    open: BTreeMap<PieceIndex, u32>,
    open_bytes: u64,
    /// When it was last shown something, took something or told of something.
    moved_at: Moment,
}

/// The copies of each piece among the linked peers, and what each of them was shown.
#[derive(Clone, Debug)]
pub struct Dispersal {
    copies: Availability,
    links: BTreeMap<LinkId, Shown>,
}

impl Dispersal {
    /// Nobody has any of `pieces` pieces but us.
    pub fn new(pieces: u32, rng: &mut EngineRng) -> Self {
        let mut copies = Availability::new(pieces);
        copies.gain_all();
        for piece in 0..pieces {
            copies.offer(PieceIndex(piece), rng);
        }
        Self { copies, links: BTreeMap::new() }
    }

    /// A link came up, whose peer has been shown nothing.
    pub fn on_linked(&mut self, link: LinkId, pieces: u32, now: Moment) {
        let shown = Shown {
            unseen: Bitfield::full(pieces),
            counted: Bitfield::new(pieces),
            open: BTreeMap::new(),
            open_bytes: 0,
            moved_at: now,
        };
        self.links.insert(link, shown);
    }

    /// Whether there is a link that was not shown everything.
    pub fn is_needed(&self) -> bool {
        self.links.values().any(|shown| !shown.unseen.is_empty())
    }

    /// The link's peer told that it has `piece`.
    pub fn on_have(&mut self, link: LinkId, piece: PieceIndex, now: Moment, rng: &mut EngineRng) {
        let Some(shown) = self.links.get_mut(&link) else { return };
        shown.moved_at = now;
        shown.unseen.clear(piece);
        if let Some(bytes) = shown.open.remove(&piece) {
            shown.open_bytes -= u64::from(bytes);
        }
        if shown.counted.set(piece) {
            self.copies.gain(piece, rng);
        }
    }

    /// Part of a piece was handed out to the link.
    pub fn on_handed(&mut self, link: LinkId, block: BlockRef, now: Moment) {
        let Some(shown) = self.links.get_mut(&link) else { return };
        shown.moved_at = now;
        let Some(left) = shown.open.get_mut(&block.piece) else { return };
        let bytes = block.length.min(*left);
        *left -= bytes;
        shown.open_bytes -= u64::from(bytes);
        if *left == 0 {
            shown.open.remove(&block.piece);
        }
    }

    /// Bytes of what the link was shown that were not handed out yet.
    pub fn open_bytes(&self, link: LinkId) -> u64 {
        self.links.get(&link).map_or(0, |shown| shown.open_bytes)
    }

    /// Chooses one more piece to show to the link: of those it cannot know of, one with the fewest copies.
    pub fn show(&mut self, link: LinkId, now: Moment, rng: &mut EngineRng) -> Option<PieceIndex> {
        let shown = self.links.get_mut(&link)?;
        let piece = self.copies.rarest(&shown.unseen, rng, |_| true)?;
        shown.unseen.clear(piece);
        shown.moved_at = now;
        Some(piece)
    }

    /// The link is to be given `piece`, of `bytes` bytes: it counts as a copy from now on.
    pub fn promise(&mut self, link: LinkId, piece: PieceIndex, bytes: u32, rng: &mut EngineRng) {
        let Some(shown) = self.links.get_mut(&link) else { return };
        if shown.counted.set(piece) {
            self.copies.gain(piece, rng);
            shown.open.insert(piece, bytes);
            shown.open_bytes += u64::from(bytes);
        }
    }

    /// Links that for `patience` have taken nothing of what they were shown.
    pub fn unmoved(&self, now: Moment, patience: Duration) -> Vec<LinkId> {
        let unmoved = self.links.iter().filter(|(_, shown)| shown.moved_at + patience <= now);
        unmoved.map(|(&link, _)| link).collect()
    }

    /// The link gets nothing more for now: what it was not given yet is free for others.
    pub fn on_choked(&mut self, link: LinkId, rng: &mut EngineRng) {
        let Some(shown) = self.links.get_mut(&link) else { return };
        shown.open_bytes = 0;
        for piece in std::mem::take(&mut shown.open).into_keys() {
            shown.counted.clear(piece);
            self.copies.lose(piece, rng);
        }
    }

    /// The link ended: it counts no more.
    pub fn forget(&mut self, link: LinkId, rng: &mut EngineRng) {
        let Some(shown) = self.links.remove(&link) else { return };
        for piece in shown.counted.iter_ones() {
            self.copies.lose(piece, rng);
        }
    }

    /// We have `piece` no more.
    pub fn on_lost(&mut self, piece: PieceIndex) {
        self.copies.withdraw(piece);
    }
}
