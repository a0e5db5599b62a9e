//! Hashes of single blocks (BEP 52): of pieces that are verified, for others, and of blocks that are to be judged.

use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::merkle;
use samara_proto::metainfo::PieceCheck;

use super::content::Content;
use super::errors::StoreError;
use super::files::read_segments;
use super::hasher::{Scratch, Wanted, hash_piece};

impl Content {
    /// The leaf hashes of a verified piece, which lead to its root.
    pub(super) fn leaves_now(
        &self,
        piece: PieceIndex,
        scratch: &mut Scratch,
    ) -> Result<Vec<Sha256Hash>, StoreError> {
        let check = self.metainfo.piece_check(piece);
        let Some(check @ PieceCheck::V2 { .. }) = check else { return Err(StoreError::HashUnknown(piece)) };
        if !self.verified().get(piece) {
            return Err(StoreError::NotVerified(piece));
        }
        let hashes = hash_piece(&self.layout, piece, Wanted::by(&check), scratch, |stride, bytes| {
            self.read(stride, bytes)
        });
        match hashes {
            Ok(hashes) if hashes.satisfy(&check) => {
                self.parts().remember(piece, scratch.leaves());
                Ok(scratch.leaves().to_vec())
            }
            // Somebody changed the file; whoever reads the piece next finds out and says so.
            Ok(_) => Err(StoreError::NotVerified(piece)),
            Err(error) => Err(StoreError::file("read", self.path_in(piece), error)),
        }
    }

    /// The 16 KiB blocks of `block` whose hashes are not those in `leaves`, one for each.
    pub(super) fn judge_now(
        &self,
        block: BlockRef,
        leaves: &[Sha256Hash],
    ) -> Result<Vec<BlockRef>, StoreError> {
        let mut bytes = vec![0; BLOCK_LENGTH as usize];
        let mut bad = Vec::new();
        for (one, leaf) in block.blocks().zip(leaves) {
            if !self.is_leaf_of(one, *leaf, &mut bytes)? {
                bad.push(one);
            }
        }
        Ok(bad)
    }

    /// Whether `leaf` is the hash of what is on disk of one block of 16 KiB, for which `bytes` has room.
    pub(super) fn is_leaf_of(
        &self,
        block: BlockRef,
        leaf: Sha256Hash,
        bytes: &mut [u8],
    ) -> Result<bool, StoreError> {
        let bytes = &mut bytes[..block.length as usize];
        let read = self.read(block, bytes);
        read.map_err(|error| StoreError::file("read", self.path_in(block.piece), error))?;
        Ok(merkle::leaf(bytes) == leaf)
    }

    pub(super) fn read(&self, block: BlockRef, bytes: &mut [u8]) -> std::io::Result<()> {
        read_segments(&self.layout, block, bytes, |file, offset, part| self.files.read(file, offset, part))
    }
}
