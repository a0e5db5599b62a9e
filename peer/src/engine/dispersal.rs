//! What a first seed shows to whom, so that it gives every piece once before it gives any piece twice.
//!
//! BEP 16 without its waiting: the seed hides what it has and shows each peer some pieces ahead of what that
//! peer takes, always those of which there are fewest copies. A piece promised counts as a copy, so no two
//! peers are promised the same one while a piece is left that nobody has; they get it from each other. Towards
//! the end a peer that could take more takes over what another would be given later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::availability::Availability;
use super::event::LinkId;
use super::rng::EngineRng;
use super::selection::{Priority, Selection};

/// Bytes shown ahead to a link of which nothing is known yet.
const AHEAD_FLOOR: u64 = 16 * BLOCK_LENGTH as u64;
/// Most bytes shown ahead: twice what the fastest link requests ahead.
const AHEAD_CEILING: u64 = 32 * 1024 * 1024;
/// What is shown ahead is given within this many seconds, however late requests come.
const AHEAD_SECONDS: u64 = 2;
/// A link that was handed nothing for this long may keep what it was promised for much longer.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// What was taken over from a link is kept from it for so long: it should come from who took it over.
const TAKEN_FOR: Duration = Duration::from_secs(3);
/// A peer that was given a piece has checked it, and told of it, after so long. We have better things to do than
/// to wait longer.
const TELLS_AFTER: Duration = Duration::from_secs(2);
/// A peer that was given a piece and does not tell that it has it for this long hides it or lost it.
const WRITTEN_OFF_AFTER: Duration = Duration::from_secs(5);
/// Pieces that a peer alone was given before it is asked what became of them.
const FIRSTS_MIN: u32 = 8;
/// How long it has for passing on one of them, at least, and how many times as long as it took others.
const PASSED_ON_AFTER: Duration = Duration::from_secs(3);
const TIMES_AS_LONG: u32 = 4;

/// A piece that is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The piece.
    pub piece: PieceIndex,
    /// Who was to be given it, and now is not.
    pub instead_of: Option<LinkId>,
}

/// What one link was shown and what that led to.
#[derive(Clone, Debug)]
struct Shown {
    /// Pieces that it neither has nor was shown.
    unseen: Bitfield,
    /// Pieces that it has.
    has: Bitfield,
    /// Pieces that it is being given or was given and has not told to have: bytes still to be handed out.
    promised: BTreeMap<PieceIndex, u32>,
    /// When the last of each was handed out, of those of which nothing is left.
    given: BTreeMap<PieceIndex, Moment>,
    /// Bytes promised and still to be handed out.
    open_bytes: u64,
    /// How many of those there should be.
    ahead_bytes: u64,
    /// Pieces that others took over from it or that it was refused, and when.
    taken: BTreeMap<PieceIndex, Moment>,
    /// Pieces that it asked for in vain, and has not been promised since.
    refused: BTreeSet<PieceIndex>,
    /// Pieces that it was the first to have.
    firsts: u32,
    /// When it had the first of them.
    first_at: Option<Moment>,
    /// Somebody else has had one of them since.
    passes_on: bool,
    /// Pieces that it was the first to have and keeps to itself: they count as if it had them not.
    kept: BTreeSet<PieceIndex>,
    /// It takes nothing of what is chosen for it.
    is_choosy: bool,
    /// When the link came up.
    linked_at: Moment,
    /// When it was last shown something, took something or told of something.
    moved_at: Moment,
}

impl Shown {
    /// It keeps what it is given to itself, for longer than `patience`.
    fn hoards(&self, now: Moment, patience: Duration) -> bool {
        let had_time = self.first_at.is_some_and(|at| at + patience <= now);
        had_time && self.firsts >= FIRSTS_MIN && !self.passes_on
    }

    /// What was taken over from it or refused may be shown to it again.
    fn give_back(&mut self, piece: PieceIndex) {
        let was_taken = self.taken.remove(&piece).is_some();
        if was_taken && !self.has.get(piece) && !self.promised.contains_key(&piece) {
            self.unseen.set(piece);
        }
    }

    fn promised_bytes(&mut self, piece: PieceIndex) -> Option<u32> {
        let bytes = self.promised.remove(&piece)?;
        self.given.remove(&piece);
        self.open_bytes -= u64::from(bytes);
        Some(bytes)
    }
}

/// The copies of each piece among the linked peers, and what each of them was shown.
#[derive(Clone, Debug)]
pub struct Dispersal {
    layout: Arc<Layout>,
    /// How many linked peers have a piece or are promised it.
    copies: Availability,
    /// How many linked peers have it.
    had: Vec<u32>,
    /// Who was the first to have it, as long as nobody else has.
    first: Vec<Option<LinkId>>,
    /// Pieces that no linked peer has.
    nowhere: u32,
    /// How many peers passed on something that they were the first to have, and how long all of them took for it.
    passed_on: (u32, Duration),
    links: BTreeMap<LinkId, Shown>,
}

impl Dispersal {
    /// Nobody has anything but us.
    pub fn new(layout: Arc<Layout>, rng: &mut EngineRng) -> Self {
        let pieces = layout.piece_count();
        let mut copies = Availability::new(pieces, &Selection::default());
        copies.gain_all();
        for piece in 0..pieces {
            copies.offer(PieceIndex(piece), rng);
        }
        Self {
            layout,
            copies,
            had: vec![0; pieces as usize],
            first: vec![None; pieces as usize],
            nowhere: pieces,
            passed_on: (0, Duration::ZERO),
            links: BTreeMap::new(),
        }
    }

    /// A link came up, whose peer has been shown nothing.
    pub fn on_linked(&mut self, link: LinkId, now: Moment) {
        let pieces = self.layout.piece_count();
        let shown = Shown {
            unseen: Bitfield::full(pieces),
            has: Bitfield::new(pieces),
            promised: BTreeMap::new(),
            given: BTreeMap::new(),
            open_bytes: 0,
            ahead_bytes: AHEAD_FLOOR,
            taken: BTreeMap::new(),
            refused: BTreeSet::new(),
            firsts: 0,
            first_at: None,
            passes_on: false,
            kept: BTreeSet::new(),
            is_choosy: false,
            linked_at: now,
            moved_at: now,
        };
        self.links.insert(link, shown);
    }

    /// Whether there is a link that lacks something.
    pub fn is_needed(&self) -> bool {
        self.links.values().any(|shown| !shown.has.is_full())
    }

    /// Links that may choose for themselves and cannot know of everything: those who took nothing of what was chosen
    /// for them, and one that has been alone in lacking something for `patience`, as there is nobody whom it could
    /// pass anything on to.
    pub fn choosing(&self, now: Moment, patience: Duration) -> Vec<LinkId> {
        let is_alone = self.links.values().filter(|shown| !shown.has.is_full()).count() == 1;
        let may = |shown: &Shown| {
            let is_left_alone = is_alone && !shown.has.is_full() && shown.linked_at + patience <= now;
            (shown.is_choosy || is_left_alone) && !shown.unseen.is_empty()
        };
        let may_be_shown = |link: &LinkId, shown: &Shown| may(shown) && !self.is_kept_from(*link, now);
        let choosing = self.links.iter().filter(|(link, shown)| may_be_shown(link, shown));
        choosing.map(|(&link, _)| link).collect()
    }

    /// Whether a link came up within the last `patience`.
    pub fn has_newcomer(&self, now: Moment, patience: Duration) -> bool {
        self.links.values().any(|shown| shown.linked_at + patience > now)
    }

    /// The link's peer told that it has `piece`. Whether it was the last that nobody had.
    pub fn on_have(&mut self, link: LinkId, piece: PieceIndex, now: Moment, rng: &mut EngineRng) -> bool {
        let Some(shown) = self.links.get_mut(&link) else { return false };
        shown.moved_at = now;
        shown.unseen.clear(piece);
        if !shown.has.set(piece) {
            return false;
        }
        let was_promised = shown.promised_bytes(piece).is_some();
        if !was_promised {
            self.copies.gain(piece, rng);
        }
        let at = piece.0 as usize;
        self.had[at] += 1;
        if self.had[at] > 1 {
            let first = self.first[at].take();
            if let Some(first) = first.and_then(|first| self.links.get_mut(&first))
                && !std::mem::replace(&mut first.passes_on, true)
            {
                let (count, time) = &mut self.passed_on;
                *count += 1;
                *time += now.since(first.first_at.unwrap_or(now));
            }
            return false;
        }
        if was_promised {
            shown.firsts += 1;
            shown.first_at.get_or_insert(now);
            self.first[at] = Some(link);
        }
        self.nowhere -= 1;
        self.nowhere == 0
    }

    /// Part of a piece was handed out to the link.
    pub fn on_handed(&mut self, link: LinkId, block: BlockRef, now: Moment) {
        let Some(shown) = self.links.get_mut(&link) else { return };
        shown.moved_at = now;
        let Some(left) = shown.promised.get_mut(&block.piece) else { return };
        let bytes = block.length.min(*left);
        *left -= bytes;
        shown.open_bytes -= u64::from(bytes);
        if *left == 0 {
            shown.given.insert(block.piece, now);
        }
    }

    /// What was given long ago to somebody who does not tell that he has it is free for others, and what was
    /// taken over from a link that still lacks it may be shown to it again.
    pub fn write_off(&mut self, now: Moment, rng: &mut EngineRng) {
        let mut lost = Vec::new();
        for (&link, shown) in &mut self.links {
            while let Some((&piece, _)) = shown.taken.iter().find(|&(_, &at)| at + TAKEN_FOR <= now) {
                shown.give_back(piece);
            }
            let overdue = shown.given.iter().filter(|&(_, &at)| at + WRITTEN_OFF_AFTER <= now);
            let overdue: Vec<PieceIndex> = overdue.map(|(&piece, _)| piece).collect();
            shown.firsts += overdue.len() as u32;
            if !overdue.is_empty() {
                shown.first_at.get_or_insert(now);
            }
            lost.extend(overdue.into_iter().map(|piece| (link, piece)));
        }
        for (link, piece) in lost {
            self.retract(link, piece, rng);
        }
        self.write_off_kept(now, rng);
    }

    /// What is kept by those who pass nothing on is to be given to somebody else.
    fn write_off_kept(&mut self, now: Moment, rng: &mut EngineRng) {
        let hoards = |(_, shown): &(&LinkId, &Shown)| self.hoards(shown, now);
        let hoarders: BTreeSet<LinkId> = self.links.iter().filter(hoards).map(|(&link, _)| link).collect();
        if hoarders.is_empty() || hoarders.len() == self.links.len() {
            return;
        }
        for (at, first) in self.first.iter_mut().enumerate() {
            let Some(link) = first.filter(|link| hoarders.contains(link)) else { continue };
            // No more than there are pieces.
            let piece = PieceIndex(at as u32);
            *first = None;
            self.had[at] -= 1;
            self.nowhere += 1;
            self.copies.lose(piece, rng);
            if let Some(shown) = self.links.get_mut(&link) {
                shown.kept.insert(piece);
            }
        }
    }

    /// The link took everything that it asked for, so far: it is to be shown more ahead.
    pub fn on_dry(&mut self, link: LinkId, rate: u64) {
        if let Some(shown) = self.links.get_mut(&link) {
            let ceiling = (rate * AHEAD_SECONDS).clamp(AHEAD_FLOOR, AHEAD_CEILING);
            shown.ahead_bytes = (shown.ahead_bytes * 2).min(ceiling);
        }
    }

    /// Whether all that was promised to the link is handed out.
    pub fn is_all_given(&self, link: LinkId) -> bool {
        self.links.get(&link).is_none_or(|shown| shown.open_bytes == 0)
    }

    /// Whether the link should be shown more.
    pub fn has_room(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|shown| shown.open_bytes < shown.ahead_bytes)
    }

    /// Chooses a piece that the link cannot know of to be given to it: one that nobody has nor is promised;
    /// then one that somebody else would be given later; once everything is out, or should be, the rarest. One
    /// that passes nothing on gets nothing that nobody else has, as long as there is somebody who might.
    pub fn choose(&self, link: LinkId, now: Moment, rng: &mut EngineRng) -> Option<Choice> {
        let shown = self.links.get(&link)?;
        if self.is_kept_from(link, now) {
            return None;
        }
        let piece = self.copies.rarest(&shown.unseen, Priority::Skip, rng, |_| true)?;
        // We count as one.
        if self.nowhere == 0 || self.copies.count(piece) == 1 {
            return Some(Choice { piece, instead_of: None });
        }
        let spare = || self.is_waiting_in_vain(now).then_some(Choice { piece, instead_of: None });
        self.take_over(link, shown).or_else(|| self.double(link, shown, now)).or_else(spare)
    }

    /// Whether the link gets nothing that nobody else has, since it would keep that to itself.
    pub fn is_kept_from(&self, link: LinkId, now: Moment) -> bool {
        self.nowhere > 0
            && self.links.get(&link).is_some_and(|shown| self.hoards(shown, now))
            && self.links.values().any(|other| !self.hoards(other, now))
    }

    /// Whether a peer keeps what it is given to itself, as far as one can tell from what others pass on: where all
    /// uplinks are slow, nobody does so soon.
    fn hoards(&self, shown: &Shown, now: Moment) -> bool {
        let (count, time) = self.passed_on;
        let usual = time.checked_div(count);
        usual.is_some_and(|usual| shown.hoards(now, PASSED_ON_AFTER.max(usual * TIMES_AS_LONG)))
    }

    /// Whether everything was handed out, and nobody has told of any of it for a while.
    fn is_waiting_in_vain(&self, now: Moment) -> bool {
        let given = |shown: &Shown| shown.given.values().all(|&at| at + TELLS_AFTER <= now);
        self.links.values().all(|shown| shown.open_bytes == 0 && given(shown))
    }

    /// A piece of which nothing was handed out to one whose queue is longer than ours would be.
    fn take_over(&self, link: LinkId, shown: &Shown) -> Option<Choice> {
        let others = self.links.iter().filter(|&(&other, _)| other != link);
        let (&longest, other) = others.max_by_key(|(_, other)| other.open_bytes)?;
        let mut untouched = other.promised.iter().rev().filter(|&(&piece, &left)| {
            let size = self.layout.piece_size(piece);
            left == size && shown.unseen.get(piece) && shown.open_bytes + u64::from(size) < other.open_bytes
        });
        untouched.next().map(|(&piece, _)| Choice { piece, instead_of: Some(longest) })
    }

    /// A piece that nobody has since who is to give it on does not take it.
    fn double(&self, link: LinkId, shown: &Shown, now: Moment) -> Option<Choice> {
        let stuck = |other: &Shown| other.open_bytes > 0 && other.moved_at + STUCK_AFTER <= now;
        let others = self.links.iter().filter(|&(&other, state)| other != link && stuck(state));
        let mut promised = others.flat_map(|(_, other)| other.promised.keys());
        let piece = promised.find(|&&piece| shown.unseen.get(piece) && self.copies.count(piece) == 2)?;
        Some(Choice { piece: *piece, instead_of: None })
    }

    /// Whether the link may be given `piece`, which it asks for: not what somebody else has or is to be given,
    /// while a piece is left that nobody has, and nothing until then if it would keep it to itself.
    pub fn allows(&self, link: LinkId, piece: PieceIndex, now: Moment) -> bool {
        let Some(shown) = self.links.get(&link) else { return true };
        // We count as one.
        let is_free = self.nowhere == 0 || self.copies.count(piece) == 1 || shown.is_choosy;
        shown.promised.contains_key(&piece) || (is_free && !self.is_kept_from(link, now))
    }

    /// The link asked for `piece` and was refused: it is to be shown again later.
    pub fn on_refused(&mut self, link: LinkId, piece: PieceIndex, now: Moment) {
        if let Some(shown) = self.links.get_mut(&link) {
            shown.taken.insert(piece, now);
            shown.refused.insert(piece);
        }
    }

    /// Chooses a piece that the link cannot know of, to make it want something.
    pub fn lure(&mut self, link: LinkId, now: Moment, rng: &mut EngineRng) -> Option<PieceIndex> {
        if self.is_kept_from(link, now) {
            return None;
        }
        let shown = self.links.get_mut(&link)?;
        let piece = self.copies.any(&shown.unseen, Priority::Skip, rng, |_| true)?;
        shown.unseen.clear(piece);
        shown.moved_at = now;
        Some(piece)
    }

    /// The link is to be given `piece`: it counts as a copy from now on. Whether the link was refused it before.
    pub fn promise(&mut self, link: LinkId, piece: PieceIndex, now: Moment, rng: &mut EngineRng) -> bool {
        let Some(shown) = self.links.get_mut(&link) else { return false };
        shown.unseen.clear(piece);
        let was_refused = shown.refused.remove(&piece);
        if !shown.has.get(piece) && !shown.promised.contains_key(&piece) {
            let bytes = self.layout.piece_size(piece);
            shown.moved_at = now;
            shown.promised.insert(piece, bytes);
            shown.open_bytes += u64::from(bytes);
            self.copies.gain(piece, rng);
        }
        was_refused
    }

    /// Somebody else is to be given `piece` instead of the link.
    pub fn take(&mut self, link: LinkId, piece: PieceIndex, now: Moment, rng: &mut EngineRng) {
        self.retract(link, piece, rng);
        self.on_refused(link, piece, now);
    }

    fn retract(&mut self, link: LinkId, piece: PieceIndex, rng: &mut EngineRng) {
        if let Some(shown) = self.links.get_mut(&link)
            && shown.promised_bytes(piece).is_some()
        {
            self.copies.lose(piece, rng);
        }
    }

    /// Links that for `patience` have taken nothing of what they were shown, and the bytes that they could
    /// have taken.
    pub fn unmoved(&self, now: Moment, patience: Duration) -> Vec<(LinkId, u64)> {
        let unmoved = self.links.iter().filter(|(_, shown)| shown.moved_at + patience <= now);
        unmoved.map(|(&link, shown)| (link, shown.open_bytes)).collect()
    }

    /// If the link takes nothing of what is chosen for it, and has not for `patience`, it may have what it likes
    /// from now on.
    pub fn give_way(&mut self, link: LinkId, now: Moment, patience: Duration) {
        if let Some(shown) = self.links.get_mut(&link) {
            shown.is_choosy |= shown.moved_at + patience <= now;
        }
    }

    /// The link gets nothing more for now: what it was not given yet is free for others. Whether there was any.
    pub fn on_choked(&mut self, link: LinkId, rng: &mut EngineRng) -> bool {
        let Some(shown) = self.links.get_mut(&link) else { return false };
        let open = shown.promised.iter().filter(|&(_, &left)| left > 0);
        let open: Vec<PieceIndex> = open.map(|(&piece, _)| piece).collect();
        for &piece in &open {
            self.retract(link, piece, rng);
            self.wait_no_longer(piece);
        }
        !open.is_empty()
    }

    /// Those who asked for `piece` in vain may be shown it again, if it is nobody's now.
    fn wait_no_longer(&mut self, piece: PieceIndex) {
        // We count as one.
        if self.copies.count(piece) == 1 {
            self.links.values_mut().for_each(|shown| shown.give_back(piece));
        }
    }

    /// The link ended: it counts no more.
    pub fn forget(&mut self, link: LinkId, rng: &mut EngineRng) {
        let Some(shown) = self.links.remove(&link) else { return };
        let mut freed: Vec<PieceIndex> = shown.promised.into_keys().collect();
        for piece in shown.has.iter_ones().filter(|piece| !shown.kept.contains(piece)) {
            let had = &mut self.had[piece.0 as usize];
            *had -= 1;
            self.nowhere += u32::from(*had == 0);
            freed.push(piece);
        }
        for piece in freed {
            self.copies.lose(piece, rng);
            self.wait_no_longer(piece);
        }
    }

    /// We have `piece` no more: nobody is given it, and nobody waits for it to be out.
    pub fn on_lost(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        self.copies.withdraw(piece);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.retract(link, piece, rng);
        }
        // As if somebody had it who stays until we have it again.
        let had = &mut self.had[piece.0 as usize];
        *had += 1;
        self.nowhere -= u32::from(*had == 1);
    }

    /// We have `piece` again, of which everybody linked is told.
    pub fn on_regained(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        self.copies.offer(piece, rng);
        for shown in self.links.values_mut() {
            shown.unseen.clear(piece);
        }
        let had = &mut self.had[piece.0 as usize];
        *had -= 1;
        self.nowhere += u32::from(*had == 0);
    }
}

#[cfg(test)]
mod tests;
