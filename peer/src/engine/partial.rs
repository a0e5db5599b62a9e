//! Pieces begun and not yet verified: for each block who was asked and who gave it.

mod leaves;
mod slot;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::cancelled::Cancelled;
use super::event::{LinkId, PeerKey};
use super::parts::Parts;
use leaves::Leaves;
use slot::{Check, Origin, Slot};

/// Links that may be asked for one block at the same time.
pub const HOLDERS_MAX: usize = 3;
/// Links that may be asked for one block at the same time while none of them is overdue.
pub const ENDGAME_HOLDERS: usize = 2;

/// Consecutive blocks of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The piece.
    pub piece: PieceIndex,
    /// The number of the first block.
    pub first: u32,
    /// How many blocks.
    pub count: u32,
}

impl Run {
    fn slots(self) -> std::ops::Range<usize> {
        self.first as usize..(self.first + self.count) as usize
    }
}

/// A link that blocks are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Taker<'a> {
    /// The link.
    pub link: LinkId,
    /// Blocks that it must not be asked for yet.
    pub cancelled: &'a Cancelled,
    /// Pieces that its peer has.
    pub has: &'a Bitfield,
    /// What its peer has of others.
    pub parts: &'a Parts,
    /// Blocks that one request may ask for.
    pub max_blocks: u32,
}

/// Who may give blocks of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    Shared,
    /// One peer alone, so that a bad piece has one culprit; `None` until somebody takes it.
    Sole(Option<PeerKey>),
}

/// What an arrived request changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Blocks that were missing.
    pub fresh: u32,
    /// Blocks that were there already.
    pub duplicate: u32,
    /// Other links that were asked for some of these blocks, each once.
    pub others: BTreeSet<LinkId>,
    /// Whether the piece has all its blocks now and had not before.
    pub completed: bool,
}

/// Who the blocks of a piece came from, and who was asked for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Givers {
    /// Peers that gave at least one.
    pub peers: BTreeSet<PeerKey>,
    /// Whether some were on disk from an earlier time.
    pub disk: bool,
    /// Whether somebody else's blocks may have overwritten some unnoticed: they were asked for and came,
    /// or may have come, when they were there already.
    pub contested: bool,
    /// Links that are still asked for some.
    pub asked: BTreeSet<LinkId>,
}

/// What became of blocks that were held against their leaf hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Peers that gave a bad block for certain.
    pub culprits: BTreeSet<PeerKey>,
    /// Peers that may have given a bad block: somebody else was asked for it too.
    pub doubtful: BTreeSet<PeerKey>,
    /// Peers that gave good blocks only.
    pub cleared: BTreeSet<PeerKey>,
}

#[derive(Clone, Debug)]
struct Partial {
    slots: Vec<Slot>,
    /// Slots that are open.
    open: Bitfield,
    /// Slots without their block.
    missing: u32,
    /// No slot before this one is open.
    cursor: u32,
    sharing: Sharing,
    /// Who gave what there is of a piece that one peer alone is to give, but has been taken from.
    disowned: Option<PeerKey>,
    contested: bool,
    /// Hash checks of the whole ordered and not done.
    checks: u32,
    leaves: Leaves,
    progress_at: Moment,
}

/// All pieces that are begun.
#[derive(Clone, Debug, Default)]
pub struct Partials {
    pieces: BTreeMap<PieceIndex, Partial>,
    /// Those with an open slot.
    open: BTreeSet<PieceIndex>,
}

impl Partials {
    /// Begins `piece`, all of whose `blocks` are missing.
    pub fn begin(&mut self, piece: PieceIndex, blocks: u32, sharing: Sharing, now: Moment) {
        let slot = Slot { open: true, ..Slot::default() };
        let slots = vec![slot; blocks as usize];
        let partial = Partial {
            slots,
            open: Bitfield::full(blocks),
            missing: blocks,
            cursor: 0,
            sharing,
            disowned: None,
            contested: false,
            checks: 0,
            leaves: Leaves::default(),
            progress_at: now,
        };
        self.pieces.insert(piece, partial);
        self.open.insert(piece);
    }

    /// Some of `piece` may come from somebody who is not known to be asked.
    pub fn contest(&mut self, piece: PieceIndex) {
        if let Some(partial) = self.pieces.get_mut(&piece) {
            partial.contested = true;
        }
    }

    /// Forgets `piece`; who gave what of it.
    pub fn end(&mut self, piece: PieceIndex) -> Givers {
        self.open.remove(&piece);
        let Some(partial) = self.pieces.remove(&piece) else { return Givers::default() };
        let mut givers = Givers { contested: partial.contested, ..Givers::default() };
        for slot in partial.slots {
            givers.asked.extend(slot.holders.iter().flatten());
            match slot.origin {
                Some(Origin::Peer(peer)) => {
                    givers.peers.insert(peer);
                }
                Some(Origin::Disk) => givers.disk = true,
                None => {}
            }
        }
        givers
    }

    /// Whether `piece` is begun.
    pub fn contains(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    /// How many are begun.
    pub fn count(&self) -> usize {
        self.pieces.len()
    }

    /// Pieces with blocks to be asked for, in ascending order.
    pub fn open(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.open.iter().copied()
    }

    /// Blocks that `piece` still lacks; `None` if it is not begun.
    pub fn missing(&self, piece: PieceIndex) -> Option<u32> {
        self.pieces.get(&piece).map(|partial| partial.missing)
    }

    /// Who may give blocks of `piece`; `None` if it is not begun.
    pub fn sharing(&self, piece: PieceIndex) -> Option<Sharing> {
        self.pieces.get(&piece).map(|partial| partial.sharing)
    }

    /// Gives a piece that nobody has to `peer` alone, without what others gave of it.
    pub fn claim(&mut self, piece: PieceIndex, peer: PeerKey, now: Moment) {
        let Some(partial) = self.pieces.get_mut(&piece) else { return };
        if partial.sharing != Sharing::Sole(None) {
            return;
        }
        partial.sharing = Sharing::Sole(Some(peer));
        partial.progress_at = now;
        if partial.disowned.is_none_or(|before| before == peer) {
            return;
        }
        partial.contested |= partial.slots.iter().any(|slot| slot.holder_count() > 0);
        // Fits 32 bits: it was made of such a number.
        partial.missing = partial.slots.iter().filter(|slot| !slot.is_good()).count() as u32;
        let all = Run { piece, first: 0, count: partial.slots.len() as u32 };
        self.change(all, |slot| {
            if !slot.is_good() {
                slot.reset();
                slot.open = slot.has_room();
            }
        });
    }

    /// Whether a piece that one peer alone is to give lacks some of its blocks.
    pub fn any_sole(&self) -> bool {
        self.pieces.values().any(|partial| partial.missing > 0 && partial.sharing != Sharing::Shared)
    }

    /// The first blocks of `piece` that `taker` can be asked for.
    pub fn next_run(&self, piece: PieceIndex, taker: Taker<'_>) -> Option<Run> {
        let partial = self.pieces.get(&piece)?;
        let askable = |slot: &Slot| slot.open && slot.has_room();
        run_of(piece, partial, partial.cursor, taker, askable)
    }

    /// The first blocks that `taker` can be asked for although others are, where every one of those is
    /// `hopeless`; looks at no more than `looks` blocks of pieces that `suits`.
    pub fn rescue_run(
        &self,
        taker: Taker<'_>,
        mut looks: usize,
        suits: impl Fn(PieceIndex) -> bool,
        hopeless: impl Fn(LinkId) -> bool,
    ) -> Option<Run> {
        let rescuable = |slot: &Slot| {
            slot.origin.is_none()
                && (1..ENDGAME_HOLDERS).contains(&slot.holder_count())
                && slot.holders.iter().flatten().all(|&holder| hopeless(holder))
        };
        for (&piece, partial) in &self.pieces {
            if looks == 0 {
                return None;
            }
            if partial.missing == 0 || partial.sharing != Sharing::Shared || !suits(piece) {
                continue;
            }
            looks = looks.saturating_sub(partial.slots.len());
            if let Some(run) = run_of(piece, partial, 0, taker, rescuable) {
                return Some(run);
            }
        }
        None
    }

    /// `link` is asked for `run`.
    pub fn on_requested(&mut self, run: Run, link: LinkId) {
        self.change(run, |slot| {
            slot.open = false;
            slot.add_holder(link);
        });
    }

    /// `link` will not give `run`. Whether some of it has to be asked for again.
    pub fn on_refused(&mut self, run: Run, link: LinkId) -> bool {
        self.change(run, |slot| {
            // It may have been written all the same, if the link ended in that moment.
            slot.doubted |= slot.origin.is_some() && slot.is_held_by(link);
            slot.remove_holder(link);
            slot.open |= slot.origin.is_none() && slot.holder_count() == 0;
        })
    }

    /// `link` was told not to give `run`, which may come all the same. Whether some of it has to be asked
    /// for again.
    pub fn on_withdrawn(&mut self, run: Run, link: LinkId) -> bool {
        self.contest(run.piece);
        self.on_refused(run, link)
    }

    /// Those asked for `run` take too long. Whether somebody else can be asked.
    pub fn on_overdue(&mut self, run: Run) -> bool {
        self.change(run, |slot| slot.open |= slot.origin.is_none() && slot.has_room())
    }

    /// `run` was on disk already. Whether that completes its piece.
    pub fn on_stored(&mut self, run: Run) -> bool {
        let mut completed = false;
        if let Some(partial) = self.pieces.get_mut(&run.piece) {
            let missing_before = partial.missing;
            let slots = partial.slots.get_mut(run.slots()).unwrap_or_default();
            for slot in slots.iter_mut().filter(|slot| slot.origin.is_none()) {
                slot.origin = Some(Origin::Disk);
                partial.missing -= 1;
            }
            completed = missing_before > 0 && partial.missing == 0;
            partial.checks += u32::from(completed);
        }
        self.change(run, |slot| slot.open = false);
        completed
    }

    /// `run` came from `peer` over `link`.
    pub fn on_block(&mut self, run: Run, link: LinkId, peer: PeerKey, now: Moment) -> Arrival {
        let mut arrival = Arrival::default();
        let Some(partial) = self.pieces.get_mut(&run.piece) else {
            return Arrival { duplicate: run.count, ..arrival };
        };
        let missing_before = partial.missing;
        for slot in partial.slots.get_mut(run.slots()).unwrap_or_default() {
            slot.remove_holder(link);
            arrival.others.extend(slot.holders.iter().flatten());
            if slot.origin.is_none() {
                partial.missing -= 1;
                arrival.fresh += 1;
            } else {
                arrival.duplicate += 1;
                slot.doubted |= slot.origin != Some(Origin::Peer(peer));
            }
            slot.origin = slot.origin.or(Some(Origin::Peer(peer)));
        }
        partial.contested |= arrival.duplicate > 0 || !arrival.others.is_empty();
        partial.progress_at = now;
        arrival.completed = missing_before > 0 && partial.missing == 0;
        partial.checks += u32::from(arrival.completed);
        self.change(run, |slot| slot.open = false);
        arrival
    }

    /// A hash check of `piece` is done. Whether it is of all that is there now: no block was replaced since,
    /// or only before a later check.
    pub fn on_check_done(&mut self, piece: PieceIndex) -> bool {
        let Some(partial) = self.pieces.get_mut(&piece) else { return false };
        partial.checks = partial.checks.saturating_sub(1);
        partial.checks == 0 && partial.missing == 0
    }

    /// Whether a hash check of `piece` is ordered and not done.
    pub fn is_being_checked(&self, piece: PieceIndex) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| partial.checks > 0)
    }

    /// Links that are asked for blocks of `piece`.
    pub fn asked(&self, piece: PieceIndex) -> BTreeSet<LinkId> {
        let slots = self.pieces.get(&piece).into_iter().flat_map(|partial| &partial.slots);
        slots.flat_map(|slot| slot.holders.into_iter().flatten()).collect()
    }

    /// Peers that gave blocks of `piece`.
    pub fn gave(&self, piece: PieceIndex) -> BTreeSet<PeerKey> {
        let slots = self.pieces.get(&piece).into_iter().flat_map(|partial| &partial.slots);
        slots.filter_map(Slot::giver).collect()
    }

    /// Whether somebody else's blocks may have overwritten some of `piece` unnoticed.
    pub fn is_contested(&self, piece: PieceIndex) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| partial.contested)
    }

    /// Somebody may have overwritten `run` unnoticed.
    pub fn doubt(&mut self, run: Run) {
        self.change(run, |slot| slot.doubted |= slot.origin.is_some());
    }

    /// `run` was held against its leaf hashes, and the blocks in `bad` are to be fetched again, by one peer if it
    /// is not certain who gave them. `may_be_anothers` says whether a peer other than the giver may have written
    /// a block.
    pub fn on_judged(
        &mut self,
        run: Run,
        bad: &BTreeSet<u32>,
        may_be_anothers: impl Fn(u32, PeerKey) -> bool,
        now: Moment,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(partial) = self.pieces.get_mut(&run.piece) else { return judgement };
        for (n, slot) in (run.first..).zip(partial.slots.get_mut(run.slots()).unwrap_or_default()) {
            let in_doubt = |giver| slot.doubted || may_be_anothers(n, giver);
            match (bad.contains(&n), slot.giver()) {
                (true, Some(giver)) if in_doubt(giver) => _ = judgement.doubtful.insert(giver),
                (true, Some(giver)) => _ = judgement.culprits.insert(giver),
                (false, Some(giver)) if !in_doubt(giver) => _ = judgement.cleared.insert(giver),
                _ => {}
            }
            if bad.contains(&n) && slot.origin.is_some() && !slot.is_good() {
                slot.reset();
                partial.missing += 1;
                slot.doubted = false;
            }
        }
        partial.progress_at = now;
        if !judgement.doubtful.is_empty() && partial.sharing == Sharing::Shared {
            partial.sharing = Sharing::Sole(None);
        }
        self.change(run, |slot| slot.open |= slot.origin.is_none() && slot.holder_count() == 0);
        judgement
            .cleared
            .retain(|peer| !judgement.culprits.contains(peer) && !judgement.doubtful.contains(peer));
        judgement
    }

    /// Whether every block of `run` is there.
    pub fn has_all_of(&self, run: Run) -> bool {
        let Some(partial) = self.pieces.get(&run.piece) else { return true };
        let slots = partial.slots.get(run.slots()).unwrap_or_default();
        slots.iter().all(|slot| slot.origin.is_some())
    }

    /// Whether nothing of `piece` came and nobody is asked for it.
    pub fn is_untouched(&self, piece: PieceIndex) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| {
            partial.missing as usize == partial.slots.len()
                && partial.slots.iter().all(|slot| slot.holder_count() == 0)
        })
    }

    /// Lets others take the pieces that `peer` alone was to give and that are not complete. What it gave is
    /// kept as long as nobody else does. Returns them.
    pub fn disown(&mut self, peer: PeerKey, now: Moment) -> Vec<PieceIndex> {
        let owned = |partial: &Partial| partial.sharing == Sharing::Sole(Some(peer)) && partial.missing > 0;
        let pieces: Vec<PieceIndex> =
            self.pieces.iter().filter(|(_, partial)| owned(partial)).map(|(&piece, _)| piece).collect();
        for &piece in &pieces {
            let Some(partial) = self.pieces.get_mut(&piece) else { continue };
            partial.sharing = Sharing::Sole(None);
            partial.disowned = Some(peer);
            partial.progress_at = now;
            let all = Run { piece, first: 0, count: partial.slots.len() as u32 };
            self.on_overdue(all);
        }
        pieces
    }

    /// Whether `piece` made no progress for `patience`.
    pub fn is_idle(&self, piece: PieceIndex, now: Moment, patience: Duration) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| partial.progress_at + patience <= now)
    }

    /// Opens what is outstanding of pieces without progress for `patience` to others, and takes pieces
    /// away from a sole giver that does not give.
    pub fn open_stalled(&mut self, now: Moment, patience: Duration) {
        let late = |partial: &Partial| partial.missing > 0 && partial.progress_at + patience <= now;
        let idle_owners: BTreeSet<PeerKey> = self
            .pieces
            .values()
            .filter(|partial| late(partial))
            .filter_map(|partial| match partial.sharing {
                Sharing::Sole(owner) => owner,
                Sharing::Shared => None,
            })
            .collect();
        for owner in idle_owners {
            self.disown(owner, now);
        }
        let is_stalled = |partial: &Partial| late(partial) && partial.open.count_ones() < partial.missing;
        let stalled: Vec<Run> = self
            .pieces
            .iter_mut()
            .filter(|(_, partial)| is_stalled(partial))
            .map(|(&piece, partial)| {
                partial.progress_at = now;
                Run { piece, first: 0, count: partial.slots.len() as u32 }
            })
            .collect();
        for run in stalled {
            self.on_overdue(run);
        }
    }

    /// Changes slots and keeps the counts of open ones right. Whether any was opened.
    fn change(&mut self, run: Run, mut change: impl FnMut(&mut Slot)) -> bool {
        let Some(partial) = self.pieces.get_mut(&run.piece) else { return false };
        let mut opened = false;
        for (n, slot) in partial.slots.iter_mut().enumerate().take(run.slots().end).skip(run.slots().start) {
            let was_open = slot.open;
            change(slot);
            match (was_open, slot.open) {
                (false, true) => {
                    partial.open.set(PieceIndex(n as u32));
                    partial.cursor = partial.cursor.min(n as u32);
                    opened = true;
                }
                (true, false) => _ = partial.open.clear(PieceIndex(n as u32)),
                _ => {}
            }
        }
        while partial.slots.get(partial.cursor as usize).is_some_and(|slot| !slot.open) {
            partial.cursor += 1;
        }
        if !partial.open.is_empty() {
            self.open.insert(run.piece);
        } else {
            self.open.remove(&run.piece);
        }
        opened
    }
}

/// The first blocks of `piece` that fit and that `taker` can be asked for, if it has the piece; or a part of it, and
/// those that are open fit.
fn run_of(
    piece: PieceIndex,
    partial: &Partial,
    from: u32,
    taker: Taker<'_>,
    fits: impl Fn(&Slot) -> bool,
) -> Option<Run> {
    // It has all of it, or a part.
    let part = if taker.has.get(piece) { None } else { Some(taker.parts.get(piece)?) };
    let fits = |n: u32| {
        let is_cancelled = || taker.cancelled.covers(piece, n * BLOCK_LENGTH);
        partial.slots.get(n as usize).is_some_and(|slot| fits(slot) && !slot.is_held_by(taker.link))
            && part.is_none_or(|part| part.get(PieceIndex(n)))
            && !is_cancelled()
    };
    // A piece has no more blocks than fit 32 bits.
    let first = match part {
        None => (from..partial.slots.len() as u32).find(|&n| fits(n))?,
        Some(part) => part.common_from(&partial.open, PieceIndex(0)).map(|n| n.0).find(|&n| fits(n))?,
    };
    let count = (first..first.saturating_add(taker.max_blocks)).take_while(|&n| fits(n)).count();
    Some(Run { piece, first, count: count as u32 })
}

#[cfg(test)]
mod tests;
