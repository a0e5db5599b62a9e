//! Which blocks to ask a peer for next: pieces wanted more before others, begun before new ones, among new ones
//! the rarest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::availability::Availability;
use super::cancelled::Cancelled;
use super::config::EngineConfig;
use super::event::{LinkId, PeerKey};
use super::partial::{Arrival, Givers, Judgement, Partials, Run, Sharing, Taker};
use super::parts::Parts;
use super::rng::EngineRng;
use super::selection::{Priority, Selection, Sequence};

/// How long those who gave blocks of a bad piece are not asked for it again.
const AVOID_GIVERS: Duration = Duration::from_secs(5);
/// A piece without progress for this long is asked even of those who may give bad blocks.
const SUSPECT_AFTER: Duration = Duration::from_secs(10);
/// Blocks looked at in one search for something to ask a second peer for.
const RESCUE_LOOKS: usize = 4096;

/// A link that could take requests, as the picker sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The link.
    pub link: LinkId,
    /// Whose it is.
    pub peer: PeerKey,
    /// What that peer has.
    pub has: &'a Bitfield,
    /// What it has of others.
    pub parts: &'a Parts,
    /// It chokes us: only these pieces may be asked for.
    pub only: Option<&'a BTreeSet<PieceIndex>>,
    /// Pieces it refused lately.
    pub refused: &'a BTreeMap<PieceIndex, Moment>,
    /// Blocks that were cancelled there and may still be answered.
    pub cancelled: &'a Cancelled,
    /// Pieces it would rather send, best first.
    pub suggested: &'a VecDeque<PieceIndex>,
    /// The piece it was asked for last.
    pub current: Option<PieceIndex>,
    /// It gave blocks of a bad piece: it must not share pieces with others until it is cleared.
    pub suspect: bool,
    /// Blocks that one request may ask for.
    pub max_blocks: u32,
}

impl<'a> Asker<'a> {
    fn taker(&self) -> Taker<'a> {
        Taker {
            link: self.link,
            cancelled: self.cancelled,
            has: self.has,
            parts: self.parts,
            max_blocks: self.max_blocks,
        }
    }
}

/// A piece that is to be given by one peer, at first by none of those who gave it before.
#[derive(Clone, Debug)]
struct Failure {
    givers: BTreeSet<PeerKey>,
    avoided_until: Moment,
    /// Blocks of the first attempt may still come.
    contested: bool,
}

/// Decides what to ask for and remembers what is being asked for.
#[derive(Clone, Debug)]
pub struct Picker {
    layout: Arc<Layout>,
    availability: Availability,
    partials: Partials,
    /// Pieces that failed their check.
    failed: BTreeMap<PieceIndex, Failure>,
    /// Pieces that were begun and are to be chosen again.
    returned: BTreeSet<PieceIndex>,
    partial_limit: usize,
    /// The last piece that each link began beyond the limit.
    beyond_limit: BTreeMap<LinkId, PieceIndex>,
    /// Pieces still to be chosen without regard to rarity.
    random_left: u32,
    sequence: Sequence,
}

impl Picker {
    /// A picker of the pieces in `missing` that `selection` wants.
    pub fn new(
        layout: Arc<Layout>,
        missing: impl Iterator<Item = PieceIndex>,
        selection: &Selection,
        config: &EngineConfig,
        rng: &mut EngineRng,
    ) -> Self {
        let mut availability = Availability::new(layout.piece_count(), selection);
        for piece in missing {
            availability.offer(piece, rng);
        }
        let fitting = config.partial_bytes / u64::from(layout.piece_length().max(1));
        let partial_limit = usize::try_from(fitting).unwrap_or(usize::MAX).max(config.partial_pieces_min);
        Self {
            layout,
            availability,
            partials: Partials::default(),
            failed: BTreeMap::new(),
            returned: BTreeSet::new(),
            partial_limit,
            beyond_limit: BTreeMap::new(),
            random_left: config.random_first_pieces,
            sequence: selection.sequence,
        }
    }

    /// Whether `piece` is wanted.
    pub fn wants(&self, piece: PieceIndex) -> bool {
        self.availability.priority(piece) > Priority::Skip
    }

    /// Something else is wanted from now on. Who is still asked for pieces that were begun and are not wanted
    /// any more; a piece whose blocks are all there is checked all the same.
    pub fn select(
        &mut self,
        selection: &Selection,
        verified: &Bitfield,
        rng: &mut EngineRng,
    ) -> Vec<(PieceIndex, BTreeSet<LinkId>)> {
        self.sequence = selection.sequence;
        let mut dropped = Vec::new();
        for piece in (0..self.layout.piece_count()).map(PieceIndex) {
            let priority = selection.priority(piece);
            if priority == self.availability.priority(piece) {
                continue;
            }
            self.availability.set_priority(piece, priority, rng);
            if !verified.get(piece) && !self.partials.contains(piece) {
                self.availability.offer(piece, rng);
            }
            if let Some(asked) = self.drop_unwanted(piece) {
                dropped.push((piece, asked));
            }
        }
        dropped
    }

    /// Forgets what there is of `piece` if it is not wanted and lacks blocks. Who is still asked for it.
    pub fn drop_unwanted(&mut self, piece: PieceIndex) -> Option<BTreeSet<LinkId>> {
        if self.wants(piece) {
            return None;
        }
        self.failed.remove(&piece);
        let is_begun = self.partials.missing(piece).is_some_and(|missing| missing > 0);
        is_begun.then(|| self.partials.end(piece).asked)
    }

    /// A linked peer has `piece`, which it had not.
    pub fn on_have(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        self.availability.gain(piece, rng);
    }

    /// A linked peer came with every piece.
    pub fn on_have_all(&mut self) {
        self.availability.gain_all();
    }

    /// A linked peer that had told of these pieces one by one is gone.
    pub fn on_gone(&mut self, has: &Bitfield, rng: &mut EngineRng) {
        for piece in has.iter_ones() {
            self.availability.lose(piece, rng);
        }
    }

    /// A linked peer that came with every piece is gone.
    pub fn on_all_gone(&mut self) {
        self.availability.lose_all();
    }

    /// Linked peers that have `piece`.
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        self.availability.count(piece)
    }

    /// Pieces begun and not verified.
    pub fn begun_count(&self) -> usize {
        self.partials.count()
    }

    /// Whether every block of `piece` came and none was verified yet.
    pub fn is_complete(&self, piece: PieceIndex) -> bool {
        self.partials.missing(piece) == Some(0)
    }

    /// Pieces that were begun and are not any more, or failed their check: who else may give them changed since
    /// this was asked last.
    pub fn take_returned(&mut self) -> BTreeSet<PieceIndex> {
        let mut returned = std::mem::take(&mut self.returned);
        returned.extend(self.failed.keys());
        returned
    }

    /// Whether a link could be asked for blocks of a piece that is begun, or for one of those in `returned`.
    pub fn has_something_for(&self, asker: &Asker<'_>, returned: &BTreeSet<PieceIndex>, now: Moment) -> bool {
        let may_begin = |&piece: &PieceIndex| {
            self.availability.is_choosable(piece)
                && self.suits(asker, piece, now)
                && self.can_begin(asker, piece)
        };
        returned.iter().any(may_begin) || self.begun(asker, now).is_some()
    }

    /// Chooses the next request for a link and takes note that it is sent.
    pub fn pick(&mut self, asker: &Asker<'_>, now: Moment, rng: &mut EngineRng) -> Option<BlockRef> {
        let begun = match self.current(asker, now) {
            Some(run) => Some(run),
            None => {
                let begun = self.begun(asker, now);
                let above = begun.map_or(Priority::Skip, |run| self.availability.priority(run.piece));
                let fresh = if self.is_at_limit() { None } else { self.fresh(asker, above, now, rng) };
                fresh.or(begun)
            }
        };
        Some(self.ask(begun?, asker, now))
    }

    /// Chooses a request of a new piece although as many are begun as may be, for a link that has nothing
    /// else to do: perhaps nobody is left who can finish those. A link begins one such piece after the other.
    pub fn pick_beyond_limit(
        &mut self,
        asker: &Asker<'_>,
        now: Moment,
        rng: &mut EngineRng,
    ) -> Option<BlockRef> {
        let last = self.beyond_limit.get(&asker.link);
        if !self.is_at_limit() || last.is_some_and(|&piece| self.partials.contains(piece)) {
            return None;
        }
        let run = self.fresh(asker, Priority::Skip, now, rng)?;
        let partials = &self.partials;
        self.beyond_limit.retain(|_, &mut piece| partials.contains(piece));
        self.beyond_limit.insert(asker.link, run.piece);
        Some(self.ask(run, asker, now))
    }

    fn ask(&mut self, run: Run, asker: &Asker<'_>, now: Moment) -> BlockRef {
        self.partials.claim(run.piece, asker.peer, now);
        self.partials.on_requested(run, asker.link);
        self.block_of(run)
    }

    /// Chooses blocks that others were asked for and would bring much later, once nothing else is left.
    pub fn rescue(&mut self, asker: &Asker<'_>, hopeless: impl Fn(LinkId) -> bool) -> Option<BlockRef> {
        if asker.suspect || asker.only.is_some() || !self.may_rescue() {
            return None;
        }
        let suits = |piece| asker.has.get(piece) && !asker.refused.contains_key(&piece);
        let run = self.partials.rescue_run(asker.taker(), RESCUE_LOOKS, suits, hopeless)?;
        self.partials.on_requested(run, asker.link);
        Some(self.block_of(run))
    }

    /// Whether everything is asked for, or nothing new may be begun.
    pub fn may_rescue(&self) -> bool {
        let all_begun = !self.availability.any_choosable_above(Priority::Skip) || self.is_at_limit();
        all_begun && self.partials.open().next().is_none()
    }

    /// Whether as many pieces are begun as may be.
    pub fn is_at_limit(&self) -> bool {
        self.partials.count() >= self.partial_limit
    }

    /// Whether `block` is what a request of ours could have been: whole blocks inside one piece.
    pub fn is_ours(&self, block: BlockRef) -> bool {
        let end = block.begin.saturating_add(block.length);
        self.layout.contains(block)
            && block.begin.is_multiple_of(BLOCK_LENGTH)
            && (end.is_multiple_of(BLOCK_LENGTH) || end == self.layout.piece_size(block.piece))
    }

    /// A request was answered.
    pub fn on_block(&mut self, block: BlockRef, link: LinkId, peer: PeerKey, now: Moment) -> Arrival {
        self.partials.on_block(run_of(block), link, peer, now)
    }

    /// Whether a request would bring nothing any more.
    pub fn is_superfluous(&self, block: BlockRef) -> bool {
        self.partials.has_all_of(run_of(block))
    }

    /// A request will not be answered. Whether somebody else can be asked now.
    pub fn on_refused(&mut self, block: BlockRef, link: LinkId, rng: &mut EngineRng) -> bool {
        let opened = self.partials.on_refused(run_of(block), link);
        if opened && self.partials.is_untouched(block.piece) {
            self.partials.end(block.piece);
            self.availability.offer(block.piece, rng);
            self.returned.insert(block.piece);
        }
        opened
    }

    /// A request was taken back, but may have been answered already. Whether somebody else can be asked now.
    pub fn on_withdrawn(&mut self, block: BlockRef, link: LinkId) -> bool {
        self.partials.on_withdrawn(run_of(block), link)
    }

    /// A request takes too long. Whether somebody else can be asked now.
    pub fn on_overdue(&mut self, block: BlockRef) -> bool {
        self.partials.on_overdue(run_of(block))
    }

    /// Opens pieces that make no progress to others.
    pub fn open_stalled(&mut self, now: Moment, patience: Duration) {
        self.partials.open_stalled(now, patience);
    }

    /// Whether who may give some piece depends on the time: it failed its check, or one peer alone is to
    /// give it.
    pub fn is_retrying(&self) -> bool {
        !self.failed.is_empty() || self.partials.any_sole()
    }

    /// A peer that may have been the only one allowed to give certain pieces will not.
    pub fn disown(&mut self, peer: PeerKey, now: Moment) -> bool {
        !self.partials.disown(peer, now).is_empty()
    }

    /// `block` lies on disk unverified. Whether its piece has all its blocks now.
    pub fn on_stored(&mut self, block: BlockRef, now: Moment) -> bool {
        let piece = block.piece;
        if !self.is_ours(block) {
            return false;
        }
        if self.availability.is_choosable(piece) {
            self.availability.withdraw(piece);
            self.partials.begin(piece, self.layout.blocks_in(piece), Sharing::Shared, now);
        }
        self.partials.on_stored(run_of(block))
    }

    /// What is known of the pieces that are begun.
    pub fn partials(&self) -> &Partials {
        &self.partials
    }

    /// `link` is asked for the leaf hashes of `piece`.
    pub fn on_leaves_asked(&mut self, piece: PieceIndex, link: LinkId, now: Moment) {
        self.partials.on_leaves_asked(piece, link, now);
    }

    /// `link` does not give the leaf hashes of `piece`.
    pub fn on_no_leaves(&mut self, piece: PieceIndex, link: LinkId) {
        self.partials.on_no_leaves(piece, link);
    }

    /// The leaf hashes of `piece` are known. What came before.
    pub fn on_leaves(&mut self, piece: PieceIndex) -> Vec<BlockRef> {
        let runs = self.partials.on_leaves(piece);
        runs.into_iter().map(|run| self.block_of(run)).collect()
    }

    /// What there is of `block` is being checked by `order`.
    pub fn on_check_ordered(&mut self, block: BlockRef, order: u32) {
        self.partials.on_check_ordered(run_of(block), order);
    }

    /// The parts of `block` that are still those that were to be checked by `order`.
    pub fn checked_by(&self, block: BlockRef, order: u32) -> Vec<BlockRef> {
        let runs = self.partials.checked_by(run_of(block), order);
        runs.into_iter().map(|run| self.block_of(run)).collect()
    }

    /// `block` was checked, and is good but for those in `bad`.
    pub fn on_blocks_good(&mut self, block: BlockRef, bad: &[BlockRef]) {
        let bad = bad.iter().map(|bad| run_of(*bad).first).collect();
        self.partials.on_blocks_good(run_of(block), &bad);
    }

    /// Whether all of `block` was found good although its piece is not whole.
    pub fn is_good(&self, block: BlockRef) -> bool {
        self.is_ours(block) && self.partials.is_good(run_of(block))
    }

    /// The good blocks of `piece`, if others should hear of `group` more.
    pub fn take_news(&mut self, piece: PieceIndex, group: u32) -> Option<Bitfield> {
        self.partials.take_news(piece, group)
    }

    /// Whether another hash check of `piece` is to be ordered.
    pub fn recheck(&mut self, piece: PieceIndex) -> bool {
        self.partials.recheck(piece)
    }

    /// A hash check of `piece` is done. Whether it is of all that is there now.
    pub fn on_check_done(&mut self, piece: PieceIndex) -> bool {
        self.partials.on_check_done(piece)
    }

    /// Somebody may have overwritten `block` unnoticed.
    pub fn doubt(&mut self, block: BlockRef) {
        self.partials.doubt(run_of(block));
    }

    /// `block` was held against its leaf hashes: the blocks in `bad` are to be fetched again.
    pub fn on_judged(
        &mut self,
        block: BlockRef,
        bad: &[BlockRef],
        may_be_anothers: impl Fn(u32, PeerKey) -> bool,
        now: Moment,
    ) -> Judgement {
        let bad: BTreeSet<u32> = bad.iter().map(|bad| run_of(*bad).first).collect();
        self.partials.on_judged(run_of(block), &bad, |n, peer| may_be_anothers(n * BLOCK_LENGTH, peer), now)
    }

    /// `piece` is what it should be: it is done with. Who gave it; who is still asked need not be.
    pub fn on_verified(&mut self, piece: PieceIndex) -> Givers {
        self.failed.remove(&piece);
        self.availability.withdraw(piece);
        self.partials.end(piece)
    }

    /// `piece` is not what it should be: all of it is to be fetched again, by one peer. Who gave it; who is
    /// still asked must not be.
    pub fn on_failed(&mut self, piece: PieceIndex, now: Moment, rng: &mut EngineRng) -> Givers {
        let givers = self.partials.end(piece);
        let failure = Failure {
            givers: if givers.disk { BTreeSet::new() } else { givers.peers.clone() },
            avoided_until: now + AVOID_GIVERS,
            contested: !givers.asked.is_empty(),
        };
        if self.wants(piece) {
            self.failed.insert(piece, failure);
        }
        self.availability.offer(piece, rng);
        givers
    }

    /// `piece` was verified and is gone: it is to be fetched again.
    pub fn on_lost(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        if !self.partials.contains(piece) {
            self.availability.offer(piece, rng);
        }
    }

    /// Blocks to ask for of the piece that the link was asked for last: it is finished first, unless the first
    /// piece is wanted before all others.
    fn current(&self, asker: &Asker<'_>, now: Moment) -> Option<Run> {
        let piece = asker.current.filter(|_| self.sequence == Sequence::Rarest)?;
        self.may_continue(asker, piece, now).then(|| self.partials.next_run(piece, asker.taker()))?
    }

    /// Blocks to ask for of pieces that are begun: of those wanted most, the one nearest to completion, or the
    /// first.
    fn begun(&self, asker: &Asker<'_>, now: Moment) -> Option<Run> {
        let rank = |piece| {
            let nearness = match self.sequence {
                Sequence::Rarest => self.partials.missing(piece),
                Sequence::Ascending => None,
            };
            (Reverse(self.availability.priority(piece)), nearness)
        };
        self.partials
            .open()
            .filter(|&piece| self.may_continue(asker, piece, now))
            .filter_map(|piece| Some((rank(piece), self.partials.next_run(piece, asker.taker())?)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, run)| run)
    }

    /// Blocks of a piece that is not begun and wanted more than `above` says: one the peer suggests, or the
    /// rarest, or the first.
    fn fresh(&mut self, asker: &Asker<'_>, above: Priority, now: Moment, rng: &mut EngineRng) -> Option<Run> {
        let piece = self.choose(asker, above, now, rng)?;
        let failure = self.failed.get(&piece);
        let alone = asker.suspect || failure.is_some();
        let sharing = if alone { Sharing::Sole(Some(asker.peer)) } else { Sharing::Shared };
        self.availability.withdraw(piece);
        self.partials.begin(piece, self.layout.blocks_in(piece), sharing, now);
        if failure.is_some_and(|failure| failure.contested) {
            self.partials.contest(piece);
        }
        self.random_left = self.random_left.saturating_sub(1);
        self.partials.next_run(piece, asker.taker())
    }

    fn choose(
        &self,
        asker: &Asker<'_>,
        above: Priority,
        now: Moment,
        rng: &mut EngineRng,
    ) -> Option<PieceIndex> {
        if !self.availability.any_choosable_above(above) {
            return None;
        }
        let suits = |piece| self.suits(asker, piece, now) && self.can_begin(asker, piece);
        let priority = |piece: &PieceIndex| self.availability.priority(*piece);
        let may_begin = |piece: &PieceIndex| {
            self.availability.is_choosable(*piece) && priority(piece) > above && suits(*piece)
        };
        if let Some(only) = asker.only {
            return only.iter().copied().filter(may_begin).min_by_key(|piece| Reverse(priority(piece)));
        }
        let in_part = asker.parts.pieces().filter(may_begin);
        if self.sequence == Sequence::Ascending {
            let order = |piece: &PieceIndex| (Reverse(priority(piece)), *piece);
            let whole = self.availability.first(asker.has, above, suits);
            return in_part.chain(whole).min_by_key(order);
        }
        // What a peer would rather send does not come before what we would rather have.
        let is_foremost = |piece: &PieceIndex| !self.availability.any_choosable_above(priority(piece));
        let suggested = asker.suggested.iter().copied();
        if let Some(piece) = suggested.into_iter().find(|piece| is_foremost(piece) && may_begin(piece)) {
            return Some(piece);
        }
        let whole = if self.random_left > 0 {
            self.availability.any(asker.has, above, rng, suits)
        } else {
            self.availability.rarest(asker.has, above, rng, suits)
        };
        // What is nowhere whole yet is the rarest.
        let rarity = |piece: &PieceIndex| (Reverse(priority(piece)), self.availability.count(*piece));
        in_part.chain(whole).min_by_key(rarity)
    }

    /// Whether the link could be asked for any of a piece that is not begun.
    fn can_begin(&self, asker: &Asker<'_>, piece: PieceIndex) -> bool {
        let is_offered = |n| asker.has.get(piece) || asker.parts.has(piece, n);
        let is_askable = |n| is_offered(n) && !asker.cancelled.covers(piece, n * BLOCK_LENGTH);
        (0..self.layout.blocks_in(piece)).any(is_askable)
    }

    fn may_continue(&self, asker: &Asker<'_>, piece: PieceIndex, now: Moment) -> bool {
        let shared_with_it = match self.partials.sharing(piece) {
            // Perhaps nobody else is left who has it.
            Some(Sharing::Shared) => !asker.suspect || self.partials.is_idle(piece, now, SUSPECT_AFTER),
            Some(Sharing::Sole(None)) => true,
            Some(Sharing::Sole(Some(owner))) => owner == asker.peer,
            None => false,
        };
        shared_with_it && self.suits(asker, piece, now)
    }

    fn suits(&self, asker: &Asker<'_>, piece: PieceIndex, now: Moment) -> bool {
        (asker.has.get(piece) || self.may_give_part(asker, piece))
            && !asker.refused.contains_key(&piece)
            && asker.only.is_none_or(|only| only.contains(&piece))
            && self
                .failed
                .get(&piece)
                .is_none_or(|failure| failure.avoided_until <= now || !failure.givers.contains(&asker.peer))
    }

    /// Whether the link has a part of a piece that need not come from one peer alone.
    fn may_give_part(&self, asker: &Asker<'_>, piece: PieceIndex) -> bool {
        asker.parts.contains(piece)
            && !asker.suspect
            && !self.failed.contains_key(&piece)
            && self.partials.sharing(piece).is_none_or(|sharing| sharing == Sharing::Shared)
    }

    fn block_of(&self, run: Run) -> BlockRef {
        let begin = run.first * BLOCK_LENGTH;
        let rest = self.layout.piece_size(run.piece) - begin;
        // Saturates only for runs longer than any piece, which `rest` then bounds.
        let length = run.count.saturating_mul(BLOCK_LENGTH).min(rest);
        BlockRef { piece: run.piece, begin, length }
    }
}

fn run_of(block: BlockRef) -> Run {
    Run { piece: block.piece, first: block.begin / BLOCK_LENGTH, count: block.length.div_ceil(BLOCK_LENGTH) }
}

#[cfg(test)]
mod tests;
