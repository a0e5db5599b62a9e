//! Checking the blocks of a piece that is begun one by one, by its leaf hashes.

use std::collections::BTreeSet;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;
use samara_proto::moment::Moment;

use super::{Check, Partial, Partials, Run};
use crate::engine::event::LinkId;

/// Peers asked for the leaf hashes of one piece.
const ASKED_MAX: u32 = 4;
/// How long an answer may take before somebody else is asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the leaf hashes of one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaves {
    are_known: bool,
    /// Peers that were asked for them.
    asked: u32,
    /// Who is waited for, and since when.
    waits_for: Option<(LinkId, Moment)>,
    /// How many blocks were found good.
    good: u32,
    /// How many blocks were found good when others were last told of them.
    told: u32,
}

impl Partials {
    /// Whether somebody should be asked for the leaf hashes of `piece`.
    pub fn lacks_leaves(&self, piece: PieceIndex, now: Moment) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| {
            let leaves = partial.leaves;
            let is_waiting = leaves.waits_for.is_some_and(|(_, since)| since + PATIENCE > now);
            !leaves.are_known && leaves.asked < ASKED_MAX && !is_waiting
        })
    }

    /// `link` is asked for the leaf hashes of `piece`.
    pub fn on_leaves_asked(&mut self, piece: PieceIndex, link: LinkId, now: Moment) {
        if let Some(partial) = self.pieces.get_mut(&piece) {
            partial.leaves.asked += 1;
            partial.leaves.waits_for = Some((link, now));
        }
    }

    /// `link` does not give the leaf hashes of `piece`.
    pub fn on_no_leaves(&mut self, piece: PieceIndex, link: LinkId) {
        if let Some(partial) = self.pieces.get_mut(&piece) {
            partial.leaves.waits_for = partial.leaves.waits_for.filter(|&(asked, _)| asked != link);
        }
    }

    /// The leaf hashes of `piece` are known from now on. The blocks that came before.
    pub fn on_leaves(&mut self, piece: PieceIndex) -> Vec<Run> {
        let Some(partial) = self.pieces.get_mut(&piece) else { return Vec::new() };
        partial.leaves.are_known = true;
        self.runs(Run { piece, first: 0, count: u32::MAX }, |origin, check| origin && check == Check::None)
    }

    /// Whether the leaf hashes of `piece` are known.
    pub fn knows_leaves(&self, piece: PieceIndex) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| partial.leaves.are_known)
    }

    /// What there is of `run` is being checked by `order`.
    pub fn on_check_ordered(&mut self, run: Run, order: u32) {
        let Some(partial) = self.pieces.get_mut(&run.piece) else { return };
        for slot in partial.slots.get_mut(run.slots()).unwrap_or_default() {
            if slot.origin.is_some() && !slot.is_good() {
                slot.check = Check::Ordered(order);
            }
        }
    }

    /// The blocks of `run` that are still those that were to be checked by `order`.
    pub fn checked_by(&self, run: Run, order: u32) -> Vec<Run> {
        self.runs(run, |origin, check| origin && check == Check::Ordered(order))
    }

    /// `run` was checked, and is good but for the blocks in `bad`.
    pub fn on_blocks_good(&mut self, run: Run, bad: &BTreeSet<u32>) {
        let Some(partial) = self.pieces.get_mut(&run.piece) else { return };
        for (n, slot) in (run.first..).zip(partial.slots.get_mut(run.slots()).unwrap_or_default()) {
            if slot.origin.is_some() && !bad.contains(&n) && !slot.is_good() {
                slot.check = Check::Good;
                partial.leaves.good += 1;
            }
        }
    }

    /// Whether every block of `run` was found good.
    pub fn is_good(&self, run: Run) -> bool {
        let slots = self.pieces.get(&run.piece).and_then(|partial| partial.slots.get(run.slots()));
        slots.is_some_and(|slots| slots.iter().all(|slot| slot.is_good()))
    }

    /// Whether blocks of `piece` are being checked.
    pub fn are_blocks_being_checked(&self, piece: PieceIndex) -> bool {
        let slots = self.pieces.get(&piece).into_iter().flat_map(|partial| &partial.slots);
        slots.into_iter().any(|slot| matches!(slot.check, Check::Ordered(_)))
    }

    /// The blocks of `piece` that were found good, if `group` more were since others were last told, and some are
    /// missing: of the whole piece they hear anyhow.
    pub fn take_news(&mut self, piece: PieceIndex, group: u32) -> Option<Bitfield> {
        let partial = self.pieces.get_mut(&piece)?;
        let good = partial.leaves.good;
        if good < partial.leaves.told + group || good as usize == partial.slots.len() {
            return None;
        }
        partial.leaves.told = good;
        Some(good_blocks(partial))
    }

    /// All pieces of which others were told, and the blocks that were found good.
    pub fn good_blocks(&self) -> impl Iterator<Item = (PieceIndex, Bitfield)> + '_ {
        let told = self.pieces.iter().filter(|(_, partial)| partial.leaves.told > 0);
        told.map(|(&piece, partial)| (piece, good_blocks(partial)))
    }

    /// One more hash check of `piece` is to be ordered, if all of it is there and none is.
    pub fn recheck(&mut self, piece: PieceIndex) -> bool {
        let Some(partial) = self.pieces.get_mut(&piece) else { return false };
        let is_due = partial.missing == 0 && partial.checks == 0;
        partial.checks += u32::from(is_due);
        is_due
    }

    /// The longest runs of slots within `run` of which all are meant, by whether their block is there and how it
    /// was checked.
    fn runs(&self, run: Run, is_meant: impl Fn(bool, Check) -> bool) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let Some(partial) = self.pieces.get(&run.piece) else { return runs };
        let (first, count) = (run.first as usize, run.count as usize);
        let slots = (run.first..).zip(partial.slots.iter().skip(first).take(count));
        let meant = slots.filter(|(_, slot)| is_meant(slot.origin.is_some(), slot.check));
        for (n, _) in meant {
            match runs.last_mut() {
                Some(last) if last.first + last.count == n => last.count += 1,
                _ => runs.push(Run { piece: run.piece, first: n, count: 1 }),
            }
        }
        runs
    }
}

fn good_blocks(partial: &Partial) -> Bitfield {
    // A piece has no more blocks than fit 32 bits.
    let mut blocks = Bitfield::new(partial.slots.len() as u32);
    for (n, slot) in (0..).zip(&partial.slots) {
        if slot.is_good() {
            blocks.set(PieceIndex(n));
        }
    }
    blocks
}
