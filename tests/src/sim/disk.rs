//! A host's disk: which blocks are there, which of them are wrong and who gave those, which pieces were found
//! good; no bytes.

use std::collections::{BTreeMap, BTreeSet};

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::agenda::HostNo;

/// Where content lies on every disk of a world: pieces of one length, which is a multiple of a block's.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Pieces.
    pub pieces: u32,
    /// Bytes of each.
    pub piece_length: u32,
}

impl Shape {
    /// Blocks of a piece.
    pub fn blocks(self) -> u32 {
        self.piece_length / BLOCK_LENGTH
    }

    /// Bytes in all.
    pub fn bytes(self) -> u64 {
        u64::from(self.pieces) * u64::from(self.piece_length)
    }

    fn first(self, block: BlockRef) -> u32 {
        block.piece.0 * self.blocks() + block.begin / BLOCK_LENGTH
    }
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub struct Disk {
    shape: Shape,
    verified: Bitfield,
    /// A bit for each block.
    present: Vec<u64>,
    /// Who gave each wrong one.
    wrong: BTreeMap<u32, HostNo>,
    /// Pieces whose leaf hashes are known, in this life.
    leaves: BTreeSet<PieceIndex>,
    /// Blocks that were held against those and found good.
    good: BTreeSet<u32>,
}

/// What became of a block that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes that were there already, and right.
    pub duplicate: u32,
}

impl Disk {
    /// A disk with everything or nothing on it.
    pub fn new(shape: Shape, is_full: bool) -> Self {
        let verified = if is_full { Bitfield::full(shape.pieces) } else { Bitfield::new(shape.pieces) };
        let words = (shape.pieces * shape.blocks()).div_ceil(64) as usize;
        Self {
            shape,
            verified,
            present: vec![0; words],
            wrong: BTreeMap::new(),
            leaves: BTreeSet::new(),
            good: BTreeSet::new(),
        }
    }

    /// The pieces that were found good.
    pub fn verified(&self) -> &Bitfield {
        &self.verified
    }

    /// Marks a piece as good from the start, for a host that comes with a part of the content.
    pub fn preload(&mut self, piece: PieceIndex) {
        self.verified.set(piece);
    }

    /// The bytes of a block come, right or wrong from somebody. What was found good is not overwritten.
    pub fn write(&mut self, block: BlockRef, wrong_from: Option<HostNo>) -> Written {
        let first = self.shape.first(block);
        let mut duplicate = 0;
        for number in first..first + block.length / BLOCK_LENGTH {
            let (word, bit) = (number as usize / 64, 1 << (number % 64));
            let is_verified = self.verified.get(block.piece);
            if is_verified || (self.present[word] & bit != 0 && !self.wrong.contains_key(&number)) {
                duplicate += BLOCK_LENGTH;
            }
            if is_verified || self.good.contains(&number) {
                continue;
            }
            self.present[word] |= bit;
            match wrong_from {
                Some(giver) => _ = self.wrong.insert(number, giver),
                None => _ = self.wrong.remove(&number),
            }
        }
        Written { duplicate }
    }

    /// Whether every block of a piece is there.
    pub fn is_whole(&self, piece: PieceIndex) -> bool {
        self.verified.get(piece) || self.numbers(piece).all(|number| self.has(number))
    }

    /// Hashes a piece: whether every block is there and right.
    pub fn is_good(&self, piece: PieceIndex) -> bool {
        self.is_whole(piece) && self.wrong.range(self.numbers(piece)).next().is_none()
    }

    /// Hashes the single blocks of a block: those that are wrong, and who gave them.
    pub fn wrong_in(&self, block: BlockRef) -> Vec<(BlockRef, HostNo)> {
        let first = self.shape.first(block);
        let wrong = self.wrong.range(first..first + block.length / BLOCK_LENGTH);
        wrong.map(|(&number, &giver)| (self.block(number), giver)).collect()
    }

    /// The leaf hashes of a piece are known.
    pub fn on_leaves(&mut self, piece: PieceIndex) {
        if !self.verified.get(piece) {
            self.leaves.insert(piece);
        }
    }

    /// Whether the leaf hashes of a piece are known, or could be computed.
    pub fn knows_leaves(&self, piece: PieceIndex) -> bool {
        self.verified.get(piece) || self.leaves.contains(&piece)
    }

    /// Whether the leaf hashes of a piece that is not verified came.
    pub fn has_leaves(&self, piece: PieceIndex) -> bool {
        self.leaves.contains(&piece)
    }

    /// Holds blocks against their leaf hashes: those that are wrong or not there. The others stay as they are.
    pub fn check(&mut self, block: BlockRef) -> Vec<BlockRef> {
        let first = self.shape.first(block);
        let numbers = first..first + block.length / BLOCK_LENGTH;
        let is_good = |number: &u32| self.has(*number) && !self.wrong.contains_key(number);
        let (good, bad): (Vec<u32>, Vec<u32>) = numbers.partition(is_good);
        self.good.extend(good);
        bad.into_iter().map(|number| self.block(number)).collect()
    }

    /// Whether all of a block was found good, alone or with its piece.
    pub fn may_serve(&self, block: BlockRef) -> bool {
        let first = self.shape.first(block);
        let mut numbers = first..first + block.length / BLOCK_LENGTH;
        self.verified.get(block.piece) || numbers.all(|number| self.good.contains(&number))
    }

    /// What is only in memory is gone.
    pub fn on_crash(&mut self) {
        self.leaves.clear();
        self.good.clear();
    }

    /// The piece was found good.
    pub fn on_good(&mut self, piece: PieceIndex) {
        self.verified.set(piece);
        self.leaves.remove(&piece);
        for number in self.numbers(piece) {
            self.good.remove(&number);
        }
    }

    /// The piece was found bad: none of its blocks counts as there.
    pub fn on_bad(&mut self, piece: PieceIndex) {
        for number in self.numbers(piece) {
            self.good.remove(&number);
            self.present[number as usize / 64] &= !(1 << (number % 64));
            self.wrong.remove(&number);
        }
    }

    /// Blocks that are there of pieces not yet verified: what a resume finds.
    pub fn stored(&self) -> Vec<BlockRef> {
        let open = self.verified.iter_zeros();
        let numbers = open.flat_map(|piece| self.numbers(piece)).filter(|&number| self.has(number));
        numbers.map(|number| self.block(number)).collect()
    }

    fn block(&self, number: u32) -> BlockRef {
        let (piece, n) = (PieceIndex(number / self.shape.blocks()), number % self.shape.blocks());
        BlockRef { piece, begin: n * BLOCK_LENGTH, length: BLOCK_LENGTH }
    }

    /// Whether a verified piece has a wrong byte.
    pub fn is_spoilt(&self) -> bool {
        let mut pieces = self.wrong.keys().map(|number| PieceIndex(number / self.shape.blocks()));
        pieces.any(|piece| self.verified.get(piece))
    }

    fn has(&self, number: u32) -> bool {
        self.present[number as usize / 64] & 1 << (number % 64) != 0
    }

    fn numbers(&self, piece: PieceIndex) -> std::ops::Range<u32> {
        piece.0 * self.shape.blocks()..(piece.0 + 1) * self.shape.blocks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { pieces: 3, piece_length: 4 * BLOCK_LENGTH };

    fn block(piece: u32, n: u32, blocks: u32) -> BlockRef {
        BlockRef { piece: PieceIndex(piece), begin: n * BLOCK_LENGTH, length: blocks * BLOCK_LENGTH }
    }

    #[test]
    fn one_wrong_block_makes_a_piece_bad_and_is_forgotten_with_it() {
        let mut disk = Disk::new(SHAPE, false);
        assert_eq!(disk.write(block(1, 0, 3), None), Written { duplicate: 0 });
        disk.write(block(1, 3, 1), Some(7));
        assert_eq!(disk.wrong_in(block(1, 0, 4)), [(block(1, 3, 1), 7)]);
        assert!(disk.is_whole(PieceIndex(1)) && !disk.is_good(PieceIndex(1)));
        disk.on_bad(PieceIndex(1));
        assert!(!disk.is_whole(PieceIndex(1)) && disk.stored().is_empty());
    }

    #[test]
    fn what_is_there_already_counts_as_duplicate_and_is_found_by_a_resume() {
        let mut disk = Disk::new(SHAPE, false);
        disk.write(block(0, 0, 2), None);
        assert_eq!(disk.write(block(0, 1, 2), None), Written { duplicate: BLOCK_LENGTH });
        assert_eq!(disk.stored(), [block(0, 0, 1), block(0, 1, 1), block(0, 2, 1)]);
    }
}
