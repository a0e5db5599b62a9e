//! A host's disk: which blocks are there, which of them are wrong, which pieces were found good; no bytes.

use std::collections::BTreeSet;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

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
    /// The same, for those found good by their leaf hashes.
    judged: Vec<u64>,
    wrong: BTreeSet<u32>,
}

/// What became of a block that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes that were there already.
    pub duplicate: u32,
}

impl Disk {
    /// A disk with everything or nothing on it.
    pub fn new(shape: Shape, is_full: bool) -> Self {
        let verified = if is_full { Bitfield::full(shape.pieces) } else { Bitfield::new(shape.pieces) };
        let words = (shape.pieces * shape.blocks()).div_ceil(64) as usize;
        Self { shape, verified, present: vec![0; words], judged: vec![0; words], wrong: BTreeSet::new() }
    }

    /// The pieces that were found good.
    pub fn verified(&self) -> &Bitfield {
        &self.verified
    }

    /// Marks a piece as good from the start, for a host that comes with a part of the content.
    pub fn preload(&mut self, piece: PieceIndex) {
        self.verified.set(piece);
    }

    /// The bytes of a block come, right or wrong. What was found good, alone or in its piece, is not
    /// overwritten.
    pub fn write(&mut self, block: BlockRef, is_bad: bool) -> Written {
        let first = self.shape.first(block);
        let mut duplicate = 0;
        for number in first..first + block.length / BLOCK_LENGTH {
            let (word, bit) = (number as usize / 64, 1 << (number % 64));
            let is_there = self.verified.get(block.piece) || self.present[word] & bit != 0;
            if is_there {
                duplicate += BLOCK_LENGTH;
            }
            if self.verified.get(block.piece) || self.judged[word] & bit != 0 {
                continue;
            }
            self.present[word] |= bit;
            if is_bad {
                self.wrong.insert(number);
            } else {
                self.wrong.remove(&number);
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

    /// Hashes a single block: whether it is there and right.
    pub fn is_good_block(&self, block: BlockRef) -> bool {
        let first = self.shape.first(block);
        self.verified.get(block.piece) || (self.has(first) && !self.wrong.contains(&first))
    }

    /// The piece was found good.
    pub fn on_good(&mut self, piece: PieceIndex) {
        self.verified.set(piece);
    }

    /// The piece was found bad: none of its blocks counts as there.
    pub fn on_bad(&mut self, piece: PieceIndex) {
        for number in self.numbers(piece) {
            self.present[number as usize / 64] &= !(1 << (number % 64));
            self.judged[number as usize / 64] &= !(1 << (number % 64));
            self.wrong.remove(&number);
        }
    }

    /// Whether all of a block was found good, alone or in its piece: it may be served, and is not asked for.
    pub fn is_verified(&self, block: BlockRef) -> bool {
        let first = self.shape.first(block);
        let is_judged = |number: u32| self.judged[number as usize / 64] & 1 << (number % 64) != 0;
        self.verified.get(block.piece) || (first..first + block.length / BLOCK_LENGTH).all(is_judged)
    }

    /// A single block was found good by its leaf hash.
    pub fn on_good_block(&mut self, block: BlockRef) {
        let number = self.shape.first(block);
        self.judged[number as usize / 64] |= 1 << (number % 64);
    }

    /// A single block was found bad.
    pub fn on_bad_block(&mut self, block: BlockRef) {
        let first = self.shape.first(block);
        for number in first..first + block.length / BLOCK_LENGTH {
            self.present[number as usize / 64] &= !(1 << (number % 64));
            self.wrong.remove(&number);
        }
    }

    /// Blocks that are there of pieces not yet verified: what a resume finds.
    pub fn stored(&self) -> Vec<BlockRef> {
        let open = self.verified.iter_zeros();
        let numbers = open.flat_map(|piece| self.numbers(piece)).filter(|&number| self.has(number));
        numbers
            .map(|number| BlockRef {
                piece: PieceIndex(number / self.shape.blocks()),
                begin: number % self.shape.blocks() * BLOCK_LENGTH,
                length: BLOCK_LENGTH,
            })
            .collect()
    }

    /// Whether a verified piece has a wrong byte.
    pub fn is_spoilt(&self) -> bool {
        let mut pieces = self.wrong.iter().map(|number| PieceIndex(number / self.shape.blocks()));
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
        assert_eq!(disk.write(block(1, 0, 3), false), Written { duplicate: 0 });
        disk.write(block(1, 3, 1), true);
        assert!(disk.is_whole(PieceIndex(1)) && !disk.is_good(PieceIndex(1)));
        disk.on_bad(PieceIndex(1));
        assert!(!disk.is_whole(PieceIndex(1)) && disk.stored().is_empty());
    }

    #[test]
    fn what_is_there_already_counts_as_duplicate_and_is_found_by_a_resume() {
        let mut disk = Disk::new(SHAPE, false);
        disk.write(block(0, 0, 2), false);
        assert_eq!(disk.write(block(0, 1, 2), false), Written { duplicate: BLOCK_LENGTH });
        assert_eq!(disk.stored(), [block(0, 0, 1), block(0, 1, 1), block(0, 2, 1)]);
    }
}
