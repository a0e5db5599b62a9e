//! SHA-256 Merkle trees over 16 KiB blocks, and proofs for parts of them (BEP 52).
//!
//! A layer's height counts from the leaves, which have height 0. Leaves beyond a file's end are 32 zero
//! bytes, not the hash of anything.

use sha2::{Digest, Sha256};

use crate::infohash::Sha256Hash;
use crate::limits::BLOCK_LENGTH;

pub mod proof;

/// The hash of one block: 16 KiB, or less at the end of a file.
pub fn leaf(block: &[u8]) -> Sha256Hash {
    Sha256Hash(Sha256::digest(block).into())
}

/// The root of a subtree of `width` leaves, of which `leaves` are the first and the rest lie beyond the
/// file's end.
///
/// # Panics
/// If `width` is not a power of two, or less than the number of leaves.
pub fn root(leaves: &[Sha256Hash], width: usize) -> Sha256Hash {
    subtree_root(leaves, 0, width)
}

/// The root of a file whose pieces have these roots, for a file longer than one piece.
///
/// # Panics
/// If `piece_length` is not a power of two of at least 16 KiB.
pub fn piece_layer_root(layer: &[Sha256Hash], piece_length: u32) -> Sha256Hash {
    subtree_root(layer, piece_height(piece_length), layer.len().next_power_of_two())
}

/// Leaves in a file's tree, padding included; 1 for an empty file.
pub fn file_width(file_size: u64) -> u64 {
    file_size.div_ceil(u64::from(BLOCK_LENGTH)).max(1).next_power_of_two()
}

/// The height of the layer that holds one hash for each piece.
///
/// # Panics
/// If `piece_length` is not a power of two of at least 16 KiB.
pub fn piece_height(piece_length: u32) -> u32 {
    assert!(
        piece_length.is_power_of_two() && piece_length >= BLOCK_LENGTH,
        "a v2 piece length is a power of two of at least 16 KiB"
    );
    (piece_length / BLOCK_LENGTH).ilog2()
}

fn subtree_root(nodes: &[Sha256Hash], height: u32, width: usize) -> Sha256Hash {
    assert!(width.is_power_of_two() && nodes.len() <= width, "a subtree's width is a power of two");
    let mut nodes = nodes.to_vec();
    let mut pad = padding(height);
    for _ in 0..width.ilog2() {
        nodes = parents(&nodes, pad);
        pad = pair(pad, pad);
    }
    nodes.first().copied().unwrap_or(pad)
}

/// The layer above `nodes`, whose missing last sibling is `pad`.
fn parents(nodes: &[Sha256Hash], pad: Sha256Hash) -> Vec<Sha256Hash> {
    nodes.chunks(2).map(|siblings| pair(siblings[0], siblings.get(1).copied().unwrap_or(pad))).collect()
}

/// The root of a subtree of that height which lies beyond the file's end altogether.
fn padding(height: u32) -> Sha256Hash {
    (0..height).fold(Sha256Hash([0; 32]), |hash, _| pair(hash, hash))
}

fn pair(left: Sha256Hash, right: Sha256Hash) -> Sha256Hash {
    let both = Sha256::new().chain_update(left.as_bytes()).chain_update(right.as_bytes());
    Sha256Hash(both.finalize().into())
}

#[cfg(test)]
mod tests;
