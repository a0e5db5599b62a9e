//! Pieces of which a peer has single verified blocks, and not all.

use std::collections::BTreeMap;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;
use samara_proto::limits::PARTS;

/// Pieces of fewer blocks are passed on soon enough as a whole, and their leaf hashes, with proof, would be more than a
/// few thousandths of the content.
pub const BLOCKS_MIN: u32 = 16;

/// What news of a part of a piece came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// There are blocks among them that were not known of.
    Some,
    /// All of them were known of.
    None,
    /// There is no place for more pieces.
    Forgotten,
}

/// The verified blocks of one peer's unfinished pieces, as far as it told; a set counts blocks where others count
/// pieces.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    blocks: BTreeMap<PieceIndex, Bitfield>,
}

impl Parts {
    /// The peer has `blocks` of `piece`, too.
    pub fn add(&mut self, piece: PieceIndex, blocks: Bitfield) -> News {
        let has_room = self.blocks.len() < PARTS;
        match self.blocks.get_mut(&piece) {
            Some(known) if blocks.any_not_in(known) => {
                known.set_all_of(&blocks);
                News::Some
            }
            Some(_) => News::None,
            None if !has_room => News::Forgotten,
            None => {
                self.blocks.insert(piece, blocks);
                News::Some
            }
        }
    }

    /// The blocks of `piece` that the peer has, as far as it told.
    pub fn get(&self, piece: PieceIndex) -> Option<&Bitfield> {
        self.blocks.get(&piece)
    }

    /// Whether the peer has block `n` of `piece`, as far as it told.
    pub fn has(&self, piece: PieceIndex, n: u32) -> bool {
        self.get(piece).is_some_and(|blocks| blocks.get(PieceIndex(n)))
    }

    /// Whether the peer told of blocks of `piece`.
    pub fn contains(&self, piece: PieceIndex) -> bool {
        self.blocks.contains_key(&piece)
    }

    /// Forgets what the peer has of `piece`; whether there was anything.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        self.blocks.remove(&piece).is_some()
    }

    /// Forgets the pieces that are not meant.
    pub fn retain(&mut self, mut is_meant: impl FnMut(PieceIndex) -> bool) {
        self.blocks.retain(|&piece, _| is_meant(piece));
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The pieces, in ascending order.
    pub fn pieces(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.blocks.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(blocks: impl IntoIterator<Item = u32>) -> Bitfield {
        let mut set = Bitfield::new(16);
        blocks.into_iter().for_each(|n| _ = set.set(PieceIndex(n)));
        set
    }

    #[test]
    fn what_is_told_adds_up_and_what_is_told_again_is_no_news() {
        let (mut parts, piece) = (Parts::default(), PieceIndex(3));
        assert_eq!(parts.add(piece, blocks([1, 2])), News::Some);
        assert_eq!(parts.add(piece, blocks([2])), News::None);
        assert_eq!(parts.add(piece, blocks([2, 9])), News::Some);
        assert!([1, 2, 9].into_iter().all(|n| parts.has(piece, n)) && !parts.has(piece, 3));
        assert!(parts.remove(piece) && parts.is_empty());
    }

    #[test]
    fn no_more_pieces_are_remembered_than_the_bound() {
        let mut parts = Parts::default();
        let told: Vec<News> = (0..100).map(|piece| parts.add(PieceIndex(piece), blocks([0]))).collect();
        assert_eq!(told.iter().filter(|news| **news == News::Some).count(), PARTS);
        assert_eq!(parts.pieces().count(), PARTS);
        assert_eq!(parts.add(PieceIndex(0), blocks([1])), News::Some, "it is known already");
    }
}
