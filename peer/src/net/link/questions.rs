//! What one remote was asked for besides content: leaf hashes, with proof (BEP 52).

use std::collections::VecDeque;

use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{BlockRef, FileIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::metainfo::Metainfo;
use samara_proto::wire::message::HashRequest;

/// Questions that may wait for an answer on one link; the oldest, which was given up long ago, gives way. The
/// engine has fewer open at once, with all peers.
const QUESTIONS: usize = 128;

/// What leaf hashes are asked for for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What is on disk is to be held against them, once.
    Judge,
    /// They are of a piece that is begun, and are to be kept.
    Keep,
}

/// The leaf hashes of some blocks, as far as they have come.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) purpose: Purpose,
    /// What they are for: a block, or several of one piece.
    pub(super) block: BlockRef,
    file_size: u64,
    /// What is still to be asked for; the first has been.
    ranges: VecDeque<HashRequest>,
    leaves: Vec<Sha256Hash>,
    /// Leaves that come before those of the block.
    before: usize,
}

/// What an answer led to.
#[derive(Debug)]
pub(super) enum Heard {
    /// The next part is to be asked for.
    Next(HashRequest),
    /// All are there, one for each 16 KiB block.
    Leaves(Purpose, BlockRef, Vec<Sha256Hash>),
    /// The answer is false.
    False(Purpose, BlockRef),
    /// Nobody asked.
    Unasked,
}

impl Question {
    /// What to ask to judge `block`; `None` if no leaf hashes of it exist that are not known.
    pub(super) fn about(purpose: Purpose, block: BlockRef, metainfo: &Metainfo) -> Option<Self> {
        let layout = metainfo.layout();
        if !layout.contains(block) {
            return None;
        }
        let file = FileIndex(layout.files_of(block.piece).start);
        let entry = metainfo.files().get(file.0 as usize)?;
        let (pieces_root, file_size) = (entry.pieces_root?, entry.size);
        let piece_of_file = block.piece.0.checked_sub(layout.pieces_of(file).start)?;
        let piece_blocks = layout.piece_length() / BLOCK_LENGTH;
        let first = piece_of_file.checked_mul(piece_blocks)?.checked_add(block.begin / BLOCK_LENGTH)?;
        let count = block.length.div_ceil(BLOCK_LENGTH);
        let ranges: VecDeque<HashRequest> =
            HashRequest::of_leaves(pieces_root, file_size, layout.piece_length(), first, count).collect();
        let before = (first - ranges.front()?.index) as usize;
        Some(Self { purpose, block, file_size, ranges, leaves: Vec::new(), before })
    }

    /// What is to be asked for now.
    pub(super) fn next(&self) -> Option<HashRequest> {
        self.ranges.front().copied()
    }

    fn on_hashes(mut self, hashes: &[Sha256Hash]) -> Result<Self, Heard> {
        let Some(range) = self.ranges.pop_front() else { return Err(Heard::Unasked) };
        match range.verify(self.file_size, hashes) {
            Ok(base) => self.leaves.extend_from_slice(base),
            Err(_) => return Err(Heard::False(self.purpose, self.block)),
        }
        if !self.ranges.is_empty() {
            return Ok(self);
        }
        let count = self.block.length.div_ceil(BLOCK_LENGTH) as usize;
        self.leaves.drain(..self.before);
        self.leaves.truncate(count);
        Err(Heard::Leaves(self.purpose, self.block, self.leaves))
    }
}

/// The questions of one link that were not answered.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: VecDeque<Question>,
}

impl Questions {
    /// A question has been asked.
    pub(super) fn push(&mut self, question: Question) {
        if self.open.len() >= QUESTIONS {
            self.open.pop_front();
        }
        self.open.push_back(question);
    }

    /// The remote gave `hashes` for `range`.
    pub(super) fn on_hashes(&mut self, range: &HashRequest, hashes: &[Sha256Hash]) -> Heard {
        let Some(question) = self.take(range) else { return Heard::Unasked };
        match question.on_hashes(hashes) {
            Ok(question) => {
                let next = question.next();
                self.push(question);
                next.map_or(Heard::Unasked, Heard::Next)
            }
            Err(heard) => heard,
        }
    }

    /// The remote gives no hashes for `range`; what they would have been for.
    pub(super) fn on_reject(&mut self, range: &HashRequest) -> Option<(Purpose, BlockRef)> {
        self.take(range).map(|question| (question.purpose, question.block))
    }

    fn take(&mut self, range: &HashRequest) -> Option<Question> {
        let at = self.open.iter().position(|question| question.next().as_ref() == Some(range))?;
        self.open.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use samara_proto::layout::PieceIndex;
    use samara_proto::merkle::proof::{LayerTree, PieceTree};
    use samara_proto::merkle::{leaf, root};

    use super::*;

    /// A question about the whole of the second piece of a file of three pieces of `width` blocks, the leaves,
    /// and what an honest peer knows.
    fn question(width: u32) -> (Question, Vec<Sha256Hash>, PieceTree, LayerTree) {
        let leaves: Vec<Sha256Hash> = (0..3 * width).map(|n| leaf(&n.to_be_bytes())).collect();
        let layer = leaves.chunks(width as usize).map(|piece| root(piece, width as usize)).collect();
        let above = LayerTree::new(layer, width * BLOCK_LENGTH);
        let of_piece = leaves[width as usize..2 * width as usize].to_vec();
        let piece = PieceTree::new(of_piece.clone(), width, width);
        let file_size = u64::from(3 * width) * u64::from(BLOCK_LENGTH);
        let ranges =
            HashRequest::of_leaves(above.root(), file_size, width * BLOCK_LENGTH, width, width).collect();
        let block = BlockRef { piece: PieceIndex(1), begin: 0, length: width * BLOCK_LENGTH };
        let purpose = Purpose::Judge;
        (
            Question { purpose, block, file_size, ranges, leaves: Vec::new(), before: 0 },
            of_piece,
            piece,
            above,
        )
    }

    #[test]
    fn leaves_of_a_large_piece_come_in_parts() {
        let (question, leaves, piece, above) = question(2048);
        let mut next = question.next().unwrap();
        let mut questions = Questions::default();
        questions.push(question);
        for part in 0..4 {
            let answer = piece.prove(Some(&above), &next).unwrap();
            match questions.on_hashes(&next, &answer) {
                Heard::Next(range) if part < 3 => next = range,
                Heard::Leaves(_, _, all) if part == 3 => assert_eq!(all, leaves),
                heard => panic!("part {part}: {heard:?}"),
            }
        }
        assert!(matches!(questions.on_hashes(&next, &[]), Heard::Unasked), "it was answered");
    }

    #[test]
    fn a_false_proof_a_refusal_and_what_nobody_asked_for_are_told_apart() {
        let (first, _, piece, above) = question(4);
        let range = first.next().unwrap();
        let mut questions = Questions::default();
        assert!(matches!(questions.on_hashes(&range, &[]), Heard::Unasked));
        assert_eq!(questions.on_reject(&range), None);
        let block = first.block;
        questions.push(first);
        let mut answer = piece.prove(Some(&above), &range).unwrap();
        answer[2].0[0] ^= 1;
        let other = HashRequest { index: range.index + 4, ..range };
        assert!(matches!(questions.on_hashes(&other, &answer), Heard::Unasked));
        assert!(matches!(questions.on_hashes(&range, &answer), Heard::False(..)));
        questions.push(question(4).0);
        assert_eq!(questions.on_reject(&range), Some((Purpose::Judge, block)));
    }

    #[test]
    fn questions_are_bounded() {
        let mut questions = Questions::default();
        for _ in 0..2 * QUESTIONS {
            questions.push(question(2).0);
        }
        assert_eq!(questions.open.len(), QUESTIONS);
    }
}
