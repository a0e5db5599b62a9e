//! Answers a remote's requests for leaf hashes of pieces we have verified (BEP 52), within bounds.

use std::time::Instant;

use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{FileIndex, PieceIndex};
use samara_proto::limits::{BLOCK_LENGTH, HASHES_PER_REQUEST};
use samara_proto::merkle;
use samara_proto::merkle::proof::PieceTree;
use samara_proto::metainfo::Metainfo;
use samara_proto::wire::message::HashRequest;

use crate::disk::Store;

/// Bytes that one remote may make us hash at once, and a piece more: an honest one asks about its first block, about a
/// bad piece now and then, and about pieces that it begins to take from us.
const BURST_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// Bytes that it may make us hash each second for ever, beside as many as it is given: well below what a core hashes,
/// for a hundred remotes.
const RATE_BYTES: f64 = 1024.0 * 1024.0;

/// To hash the tree over known leaves takes so much less than to hash their blocks, and more.
const TREE_SHARE: u32 = 128;

/// What one remote has had hashed.
pub(super) struct Leaves {
    debt_bytes: f64,
    debt_at: Instant,
    /// Content bytes that it had been given by then.
    given: u64,
    /// The last piece, if its leaves take several answers.
    kept: Option<(PieceIndex, PieceTree)>,
}

impl Leaves {
    /// Of a remote that has asked for nothing.
    pub(super) fn new(now: Instant) -> Self {
        Self { debt_bytes: 0.0, debt_at: now, given: 0, kept: None }
    }

    /// The answer to a request for leaf hashes of `file` by a remote that was given so many content bytes so far;
    /// `None` if it is refused.
    pub(super) async fn prove(
        &mut self,
        request: &HashRequest,
        file: FileIndex,
        metainfo: &Metainfo,
        store: &Store,
        given: u64,
    ) -> Option<Vec<Sha256Hash>> {
        let (piece, first, width) = piece_with(request, file, metainfo)?;
        let above = metainfo.layer_tree(file);
        if let Some((kept, tree)) = &self.kept
            && *kept == piece
        {
            return tree.prove(above, request);
        }
        let size = metainfo.layout().piece_size(piece);
        let known = store.known_leaves(piece);
        let cost = if known.is_some() { size / TREE_SHARE } else { size };
        if !self.afford(Instant::now(), given, cost) {
            return None;
        }
        let leaves = match known {
            Some(known) => known,
            None => store.leaves(piece).await.ok()?,
        };
        let tree = PieceTree::new(leaves, first, width);
        let answer = tree.prove(above, request);
        self.kept = (width > HASHES_PER_REQUEST).then_some((piece, tree));
        answer
    }

    /// Pays for hashing so many bytes; false if too much was hashed lately.
    fn afford(&mut self, now: Instant, given: u64, bytes: u32) -> bool {
        let paid = now.saturating_duration_since(self.debt_at).as_secs_f64() * RATE_BYTES;
        let given_since = given.saturating_sub(std::mem::replace(&mut self.given, given));
        self.debt_bytes = (self.debt_bytes - paid - given_since as f64).max(0.0);
        self.debt_at = now;
        if self.debt_bytes >= BURST_BYTES {
            return false;
        }
        self.debt_bytes += f64::from(bytes);
        true
    }
}

/// The piece that all the hashes asked for are of, its first leaf in the file, and its leaves with those beyond
/// the file's end.
fn piece_with(request: &HashRequest, file: FileIndex, metainfo: &Metainfo) -> Option<(PieceIndex, u32, u32)> {
    let layout = metainfo.layout();
    let piece_blocks = layout.piece_length() / BLOCK_LENGTH;
    let is_possible = request.base_layer == 0 && request.length <= HASHES_PER_REQUEST && piece_blocks > 0;
    let pieces = layout.pieces_of(file);
    let number = request.index.checked_div(piece_blocks)?;
    let piece = PieceIndex(pieces.start.checked_add(number)?);
    if !is_possible || !pieces.contains(&piece.0) {
        return None;
    }
    // A file of one piece has no more leaves than that piece.
    let width = merkle::file_width(layout.file_size(file)).min(u64::from(piece_blocks)) as u32;
    Some((piece, number * piece_blocks, width))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_remote_may_have_little_hashed_at_once_and_little_for_ever() {
        let now = Instant::now();
        let mut leaves = Leaves::new(now);
        let mebibyte = 1 << 20;
        let at_once = (0..1000).take_while(|_| leaves.afford(now, 0, mebibyte)).count();
        assert_eq!(at_once, 16);
        let later = now + Duration::from_secs(10);
        assert_eq!((0..1000).take_while(|_| leaves.afford(later, 0, mebibyte)).count(), 10);
        let much_later = now + Duration::from_secs(1000);
        assert!(leaves.afford(much_later, 0, 256 * mebibyte), "a long piece, if nothing is owed");
        assert!(!leaves.afford(much_later + Duration::from_secs(100), 0, 1));
    }

    #[test]
    fn a_remote_that_takes_content_may_have_as_much_hashed() {
        let now = Instant::now();
        let mut leaves = Leaves::new(now);
        let mebibyte = 1 << 20;
        for taken in 0..1000 {
            assert!(leaves.afford(now, taken << 20, mebibyte), "{taken} MiB");
        }
        assert_eq!((0..1000).take_while(|_| leaves.afford(now, 999 << 20, mebibyte)).count(), 15);
    }
}
