//! Which blocks are being held against their leaf hashes, and which peers were asked for those.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;

use super::event::LinkId;

/// Bad pieces of one torrent that are looked into at once; further ones are fetched again as a whole. Bad pieces
/// come from few peers, and each of these is gone with its first case.
const FAILURES_MAX: usize = 16;
/// Peers asked for the leaf hashes of one case, one after the other: proofs leave a liar nothing but silence, and
/// so many silent ones in a row are no accident.
const WITNESSES_MAX: usize = 4;
/// How long an answer may take that waits behind nothing: a peer reads and hashes one piece, and the way there and back
/// may be long.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest that an answer may take behind blocks that were asked for before.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// Whether a peer may be asked for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// For one block: it has given none yet that is known to be good.
    First,
    /// For nothing until its first block is judged.
    Awaited,
    /// For as much as its pipeline takes.
    Passed,
}

/// Why blocks are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// They are the first of this link.
    FirstOf(LinkId),
    /// Their piece is bad.
    BadPiece,
}

/// Blocks that are being judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Why.
    pub charge: Charge,
    /// Who was asked for the leaf hashes; the last is waited for, though any answer will do.
    pub asked: Vec<LinkId>,
    /// Until when.
    due: Moment,
}

impl Case {
    /// A case in which nobody has been asked.
    pub fn new(charge: Charge, now: Moment) -> Self {
        Self { charge, asked: Vec::new(), due: now }
    }

    /// Whether one more may be asked.
    pub fn may_ask(&self) -> bool {
        self.asked.len() < WITNESSES_MAX
    }

    /// Whether `link` is the one that is waited for.
    fn waits_for(&self, link: LinkId) -> bool {
        self.asked.last() == Some(&link)
    }
}

/// The cases of one torrent, by what is judged.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    open: BTreeMap<BlockRef, Case>,
}

impl Cases {
    /// Whether one more bad piece may be looked into. First blocks are bounded by the links.
    pub fn has_room(&self) -> bool {
        self.open.values().filter(|case| case.charge == Charge::BadPiece).count() < FAILURES_MAX
    }

    /// Whether `block` is being judged.
    pub fn contains(&self, block: BlockRef) -> bool {
        self.open.contains_key(&block)
    }

    /// Whether any is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// `link` is asked in a case at `now`; what was asked of it before should take `queue` to come.
    pub fn ask(&mut self, block: BlockRef, mut case: Case, link: LinkId, now: Moment, queue: Duration) {
        case.asked.push(link);
        case.due = now + (queue * 2).clamp(PATIENCE, PATIENCE_MAX);
        self.open.insert(block, case);
    }

    /// What is open about `block`.
    pub fn get(&self, block: BlockRef) -> Option<&Case> {
        self.open.get(&block)
    }

    /// Takes a case out.
    pub fn take(&mut self, block: BlockRef) -> Option<Case> {
        self.open.remove(&block)
    }

    /// Takes a case out if `link` is the one that is waited for.
    pub fn take_from(&mut self, block: BlockRef, link: LinkId) -> Option<Case> {
        self.open.get(&block).filter(|case| case.waits_for(link))?;
        self.open.remove(&block)
    }

    /// Takes the cases out that are meant.
    fn take_if(&mut self, is_meant: impl Fn(&BlockRef, &Case) -> bool) -> Vec<(BlockRef, Case)> {
        let meant = self.open.iter().filter(|(block, case)| is_meant(block, case));
        let meant: Vec<BlockRef> = meant.map(|(&block, _)| block).collect();
        meant.into_iter().filter_map(|block| Some((block, self.open.remove(&block)?))).collect()
    }

    /// Takes the cases out in which the answer takes too long.
    pub fn take_overdue(&mut self, now: Moment) -> Vec<(BlockRef, Case)> {
        self.take_if(|_, case| case.due <= now)
    }

    /// Takes the cases out in which `link` is waited for.
    pub fn take_waiting_for(&mut self, link: LinkId) -> Vec<(BlockRef, Case)> {
        self.take_if(|_, case| case.waits_for(link))
    }

    /// Takes the cases out that are about `piece`.
    pub fn take_piece(&mut self, piece: PieceIndex) -> Vec<(BlockRef, Case)> {
        self.take_if(|block, _| block.piece == piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LinkId = LinkId(1);
    const B: LinkId = LinkId(2);

    fn block(piece: u32) -> BlockRef {
        BlockRef { piece: PieceIndex(piece), begin: 0, length: 1 }
    }

    fn seconds(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_case_waits_for_the_last_who_was_asked_and_not_for_ever() {
        let mut cases = Cases::default();
        cases.ask(block(1), Case::new(Charge::BadPiece, seconds(0)), A, seconds(0), Duration::ZERO);
        let (_, case) = cases.take_waiting_for(A).pop().unwrap();
        cases.ask(block(1), case, B, seconds(2), Duration::ZERO);
        assert_eq!(cases.take_waiting_for(A), []);
        assert_eq!(cases.take_overdue(seconds(4)), []);
        let (found, case) = cases.take_overdue(seconds(5)).pop().unwrap();
        assert_eq!((found, &case.asked[..], cases.is_empty()), (block(1), &[A, B][..], true));
    }

    #[test]
    fn an_answer_behind_blocks_may_take_longer_and_not_for_ever() {
        for (queue, due) in [(1, 3), (5, 10), (3600, 30)] {
            let mut cases = Cases::default();
            let case = Case::new(Charge::BadPiece, seconds(0));
            cases.ask(block(1), case, A, seconds(0), Duration::from_secs(queue));
            assert_eq!(cases.take_overdue(seconds(due - 1)), []);
            assert_eq!(cases.take_overdue(seconds(due)).len(), 1);
        }
    }

    #[test]
    fn cases_and_those_asked_in_one_are_bounded() {
        let mut cases = Cases::default();
        for piece in 0..FAILURES_MAX as u32 {
            assert!(cases.has_room());
            cases.ask(block(piece), Case::new(Charge::BadPiece, seconds(0)), A, seconds(0), Duration::ZERO);
        }
        assert!(!cases.has_room());
        assert_eq!(cases.take_piece(PieceIndex(3)).len(), 1);
        assert!(cases.has_room() && !cases.contains(block(3)) && cases.contains(block(4)));
        let mut case = Case::new(Charge::FirstOf(A), seconds(0));
        for link in 0..WITNESSES_MAX as u64 {
            assert!(case.may_ask());
            cases.ask(block(3), case, LinkId(link), seconds(0), Duration::ZERO);
            case = cases.take(block(3)).unwrap();
        }
        assert!(!case.may_ask());
    }
}
