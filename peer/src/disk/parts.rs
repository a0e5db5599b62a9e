//! Single blocks of pieces that are not verified: checked by leaf hashes, kept from being written over, and read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use samara_proto::bitfield::Bitfield;
use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::merkle;

use super::StoreEvent;
use super::content::Content;
use super::errors::StoreError;

/// Leaf hashes kept of pieces that are begun, 32 bytes each: those of 4 GiB, many times what is begun at once.
const LEAVES_MAX: usize = 256 * 1024;
/// Leaf hashes kept of pieces that are verified, for whoever asks next: those of the last GiB.
const RECENT_LEAVES_MAX: usize = 64 * 1024;

/// A piece that is begun.
struct Part {
    /// Proven.
    leaves: Vec<Sha256Hash>,
    /// The blocks that are what their leaves say; counted where others count pieces.
    good: Bitfield,
}

/// What is known of single blocks.
#[derive(Default)]
pub(super) struct Parts {
    begun: BTreeMap<PieceIndex, Part>,
    begun_leaves: usize,
    /// Verified pieces, and in which order they came.
    recent: BTreeMap<PieceIndex, Vec<Sha256Hash>>,
    order: VecDeque<PieceIndex>,
    recent_leaves: usize,
}

impl Parts {
    /// The leaf hashes of a piece, if they are known.
    pub(super) fn leaves(&self, piece: PieceIndex) -> Option<Vec<Sha256Hash>> {
        let begun = self.begun.get(&piece).map(|part| &part.leaves);
        begun.or_else(|| self.recent.get(&piece)).cloned()
    }

    /// Whether every block of a piece was found good.
    pub(super) fn is_all_good(&self, piece: PieceIndex) -> bool {
        self.begun.get(&piece).is_some_and(|part| part.good.is_full())
    }

    /// The longest parts of `block` that were not found good.
    pub(super) fn not_good(&self, block: BlockRef) -> Vec<BlockRef> {
        let Some(part) = self.begun.get(&block.piece).filter(|part| !part.good.is_empty()) else {
            return vec![block];
        };
        let mut parts: Vec<BlockRef> = Vec::new();
        for one in block.blocks().filter(|one| !part.good.get(number_of(*one))) {
            match parts.last_mut() {
                Some(last) if last.begin + last.length == one.begin => last.length += one.length,
                _ => parts.push(one),
            }
        }
        parts
    }

    /// Remembers the leaf hashes of a piece that is verified.
    pub(super) fn remember(&mut self, piece: PieceIndex, leaves: &[Sha256Hash]) {
        if self.recent.contains_key(&piece) {
            return;
        }
        self.recent.insert(piece, leaves.to_vec());
        self.recent_leaves += leaves.len();
        self.order.push_back(piece);
        while self.recent_leaves > RECENT_LEAVES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent_leaves -= self.recent.remove(&oldest).map_or(0, |leaves| leaves.len());
        }
    }

    /// A piece is verified: its blocks are nothing special any more.
    pub(super) fn on_whole(&mut self, piece: PieceIndex) {
        if let Some(part) = self.begun.remove(&piece) {
            self.begun_leaves -= part.leaves.len();
            self.remember(piece, &part.leaves);
        }
    }

    /// Keeps the leaf hashes of a piece that is begun; false if enough is kept.
    fn begin(&mut self, piece: PieceIndex, leaves: Vec<Sha256Hash>) -> bool {
        if self.begun.contains_key(&piece) {
            return true;
        }
        if self.begun_leaves + leaves.len() > LEAVES_MAX {
            return false;
        }
        self.begun_leaves += leaves.len();
        // A piece has no more blocks than fit 32 bits.
        let good = Bitfield::new(leaves.len() as u32);
        self.begun.insert(piece, Part { leaves, good });
        true
    }

    /// The leaf hash of one block of 16 KiB of a piece that is begun, and whether the block was found good.
    fn leaf(&self, block: BlockRef) -> Option<(Sha256Hash, bool)> {
        let (part, number) = (self.begun.get(&block.piece)?, number_of(block));
        let leaf = part.leaves.get(number.0 as usize)?;
        Some((*leaf, part.good.get(number)))
    }

    fn set_good(&mut self, block: BlockRef) {
        if let Some(part) = self.begun.get_mut(&block.piece) {
            part.good.set(number_of(block));
        }
    }
}

impl Content {
    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep_leaves(&self, piece: PieceIndex, leaves: Vec<Sha256Hash>) -> Result<(), StoreError> {
        if piece.0 >= self.layout.piece_count() || leaves.len() != self.layout.blocks_in(piece) as usize {
            return Err(StoreError::NoSuchPiece(piece));
        }
        // Held so that the piece does not become verified in between.
        let verified = self.verified();
        if verified.get(piece) || !self.parts().begin(piece, leaves) {
            return Err(StoreError::NoPart(piece));
        }
        Ok(())
    }

    /// Holds blocks against the leaf hashes that are kept, and reports which are wrong; of those whose leaf hashes are
    /// kept no more it says nothing.
    pub(super) fn check_blocks_now(&self, block: BlockRef, order: u32) {
        if self.halted.load(Ordering::Acquire) {
            return;
        }
        let mut bytes = vec![0; BLOCK_LENGTH as usize];
        let mut bad = Vec::new();
        for one in block.blocks() {
            let known = self.parts().leaf(one);
            let Some((leaf, false)) = known else { continue };
            match self.is_leaf_of(one, leaf, &mut bytes) {
                Ok(true) => self.parts().set_good(one),
                Ok(false) => bad.push(one),
                Err(error) => return self.fail(error),
            }
        }
        // Nobody listens any more: the torrent was removed.
        _ = self.events.send(StoreEvent::BlocksChecked { block, order, bad });
    }

    /// Reads a block that was found good, and makes sure that it still is.
    pub(super) fn read_part(&self, block: BlockRef) -> Result<Bytes, StoreError> {
        let not_verified = || StoreError::NotVerified(block.piece);
        let mut leaves = Vec::new();
        for one in block.blocks() {
            match self.parts().leaf(one) {
                Some((leaf, true)) => leaves.push(leaf),
                _ => return Err(not_verified()),
            }
        }
        let mut bytes = vec![0; block.length as usize];
        self.read(block, &mut bytes).map_err(|_| not_verified())?;
        let are_good = bytes.chunks(BLOCK_LENGTH as usize).map(merkle::leaf).eq(leaves);
        if are_good { Ok(bytes.into()) } else { Err(not_verified()) }
    }
}

fn number_of(block: BlockRef) -> PieceIndex {
    PieceIndex(block.begin / BLOCK_LENGTH)
}
