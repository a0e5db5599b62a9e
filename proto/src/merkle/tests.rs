//! Claims about Merkle trees and their proofs.

use proptest::prelude::*;

use super::proof::{LayerTree, PieceTree, ProofError};
use super::*;
use crate::wire::message::HashRequest;

fn hash(n: u32) -> Sha256Hash {
    leaf(&n.to_be_bytes())
}

fn hashes(count: u32) -> Vec<Sha256Hash> {
    (0..count).map(hash).collect()
}

#[test]
fn a_lone_leaf_is_its_own_root() {
    assert_eq!(root(&[hash(1)], 1), hash(1));
}

#[test]
fn missing_leaves_are_zeros() {
    let zero = Sha256Hash([0; 32]);
    let expected = pair(pair(hash(0), hash(1)), pair(hash(2), zero));
    assert_eq!(root(&hashes(3), 4), expected);
    assert_eq!(root(&[], 2), pair(zero, zero));
}

#[test]
fn the_piece_layer_leads_to_the_same_root_as_the_leaves() {
    let leaves = hashes(11);
    let layer: Vec<Sha256Hash> = leaves.chunks(4).map(|piece| root(piece, 4)).collect();
    assert_eq!(piece_layer_root(&layer, 4 * BLOCK_LENGTH), root(&leaves, 16));
}

#[test]
fn a_whole_small_layer_needs_no_uncles() {
    let tree = LayerTree::new(hashes(3), BLOCK_LENGTH);
    let ranges: Vec<_> =
        HashRequest::of_piece_layer(tree.root(), 3 * u64::from(BLOCK_LENGTH), BLOCK_LENGTH).collect();
    assert_eq!(
        ranges,
        [HashRequest { pieces_root: tree.root(), base_layer: 0, index: 0, length: 4, proof_layers: 1 }]
    );
    assert_eq!(tree.prove(&ranges[0]).unwrap().len(), 4);
}

#[test]
fn impossible_ranges_are_refused() {
    let tree = LayerTree::new(hashes(8), BLOCK_LENGTH * 2);
    let good = HashRequest { pieces_root: tree.root(), base_layer: 1, index: 2, length: 2, proof_layers: 2 };
    assert!(tree.prove(&good).is_some());
    for bad in [
        HashRequest { base_layer: 0, ..good },
        HashRequest { base_layer: 4, ..good },
        HashRequest { base_layer: u32::MAX, ..good },
        HashRequest { index: 1, ..good },
        HashRequest { index: 8, ..good },
        HashRequest { index: u32::MAX - 1, ..good },
        HashRequest { length: 0, ..good },
        HashRequest { length: 1, ..good },
        HashRequest { length: 3, index: 3, ..good },
        HashRequest { length: 16, index: 0, ..good },
        HashRequest { proof_layers: 3, ..good },
        HashRequest { proof_layers: u32::MAX, ..good },
    ] {
        assert_eq!(tree.prove(&bad), None, "{bad:?}");
        let size = 16 * u64::from(BLOCK_LENGTH);
        if bad.base_layer != 0 {
            assert_eq!(bad.verify(size, &[]), Err(ProofError::Range), "{bad:?}");
        }
    }
}

/// A file's size, its leaves, and the tree above its pieces if it has several.
fn file(blocks: u32, height: u32) -> (u64, Vec<Sha256Hash>, Option<LayerTree>) {
    let leaves = hashes(blocks);
    let layer = leaves.chunks(1 << height).map(|piece| root(piece, 1 << height)).collect();
    let above = (blocks > 1 << height).then(|| LayerTree::new(layer, BLOCK_LENGTH << height));
    (u64::from(blocks) * u64::from(BLOCK_LENGTH) - 1, leaves, above)
}

#[test]
fn leaves_of_another_piece_are_refused() {
    let (size, leaves, above) = file(21, 3);
    let piece = PieceTree::new(leaves[8..16].to_vec(), 8, 8);
    let root = above.as_ref().unwrap().root();
    let ranges: Vec<_> = HashRequest::of_leaves(root, size, 8 * BLOCK_LENGTH, 8, 8).collect();
    let good = HashRequest { pieces_root: root, base_layer: 0, index: 8, length: 8, proof_layers: 4 };
    assert_eq!(ranges, [good]);
    assert!(piece.prove(above.as_ref(), &good).is_some());
    let [one] = HashRequest::of_leaves(root, size, 8 * BLOCK_LENGTH, 13, 1).collect::<Vec<_>>()[..] else {
        panic!("one request for one block")
    };
    assert_eq!((one.index, one.length), (12, 2));
    assert_eq!(one.verify(size, &piece.prove(above.as_ref(), &one).unwrap()).unwrap()[1], leaves[13]);
    assert_eq!(HashRequest::of_leaves(root, size, BLOCK_LENGTH, 13, 1).count(), 0);
    for bad in [
        HashRequest { index: 0, ..good },
        HashRequest { index: 16, ..good },
        HashRequest { index: 0, length: 16, ..good },
        HashRequest { index: u32::MAX - 7, ..good },
        HashRequest { base_layer: 1, length: 2, ..good },
        HashRequest { proof_layers: 5, ..good },
        HashRequest { length: 0, ..good },
    ] {
        assert_eq!(piece.prove(above.as_ref(), &bad), None, "{bad:?}");
    }
    assert_eq!(piece.prove(None, &good), None, "it climbs beyond what is known");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn leaves_fetched_with_proof_are_the_file_s(
        blocks in 2u32..3000,
        height in 1u32..11,
        wanted: prop::sample::Index,
        flaw: prop::sample::Index,
    ) {
        let (size, leaves, above) = file(blocks, height);
        let file_root = root(&leaves, blocks.next_power_of_two() as usize);
        let width = (1 << height).min(blocks.next_power_of_two());
        let piece_no = wanted.index(blocks.div_ceil(width) as usize) as u32;
        let (first, end) = (piece_no * width, ((piece_no + 1) * width).min(blocks));
        let of_piece = leaves[first as usize..end as usize].to_vec();
        let piece = PieceTree::new(of_piece.clone(), first, width);
        let mut fetched = Vec::new();
        let ranges = HashRequest::of_leaves(file_root, size, BLOCK_LENGTH << height, first, end - first);
        for range in ranges {
            let mut answer = piece.prove(above.as_ref(), &range).unwrap();
            fetched.extend_from_slice(range.verify(size, &answer).unwrap());
            let at = flaw.index(answer.len());
            answer[at].0[7] ^= 1;
            prop_assert_eq!(range.verify(size, &answer), Err(ProofError::Mismatch));
        }
        prop_assert!(fetched.len() >= of_piece.len());
        prop_assert_eq!(&fetched[..of_piece.len()], &of_piece[..]);
    }

    #[test]
    fn a_layer_fetched_in_ranges_is_the_layer(pieces in 2u32..1400, height in 0u32..4, flaw: prop::sample::Index) {
        let piece_length = BLOCK_LENGTH << height;
        let size = u64::from(pieces) * u64::from(piece_length) - 1;
        let layer = hashes(pieces);
        let tree = LayerTree::new(layer.clone(), piece_length);
        prop_assert_eq!(tree.root(), piece_layer_root(&layer, piece_length));
        let mut fetched = Vec::new();
        for range in HashRequest::of_piece_layer(tree.root(), size, piece_length) {
            let mut answer = tree.prove(&range).unwrap();
            fetched.extend_from_slice(range.verify(size, &answer).unwrap());
            let at = flaw.index(answer.len());
            answer[at].0[7] ^= 1;
            prop_assert_eq!(range.verify(size, &answer), Err(ProofError::Mismatch));
            answer.pop();
            let is_count = matches!(range.verify(size, &answer), Err(ProofError::Count { .. }));
            prop_assert!(is_count);
        }
        fetched.truncate(pieces as usize);
        prop_assert_eq!(fetched, layer);
    }
}
