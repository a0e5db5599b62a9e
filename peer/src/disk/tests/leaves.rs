//! Hashes of single blocks: given of what is verified, and held against what is not.

use samara_proto::layout::FileIndex;
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::merkle;

use super::*;

/// One file of two pieces of four blocks, and one of three blocks of which the last is short.
fn source(format: Format) -> Source {
    Source::new(&[("content.bin", 170_000)], 4 * BLOCK_LENGTH, format)
}

#[tokio::test]
async fn leaves_of_a_verified_piece_lead_to_its_root() {
    for format in [Format::V2, Format::Hybrid] {
        let source = source(format);
        let seed = seed(&source).await;
        let layer = source.metainfo.piece_layer(FileIndex(0)).unwrap();
        for piece in pieces(&source.metainfo) {
            let leaves = seed.store.leaves(piece).await.unwrap();
            assert_eq!(leaves.len(), source.metainfo.layout().blocks_in(piece) as usize);
            assert_eq!(merkle::root(&leaves, 4), layer[piece.0 as usize]);
        }
        assert!(matches!(seed.store.leaves(PieceIndex(3)).await, Err(StoreError::NoSuchPiece(_))));
    }
}

#[tokio::test]
async fn no_leaves_are_given_of_what_is_not_verified_or_was_changed_or_has_none() {
    let source = source(Format::V2);
    let target = tempfile::tempdir().unwrap();
    let leech = get(&source, target.path(), None).await;
    assert!(matches!(leech.store.leaves(PieceIndex(0)).await, Err(StoreError::NotVerified(_))));
    let seed = seed(&source).await;
    fs::write(source.root().join("content.bin"), bytes(9, 170_000)).unwrap();
    assert!(matches!(seed.store.leaves(PieceIndex(0)).await, Err(StoreError::NotVerified(_))));
    let v1 = self::source(Format::V1);
    let seed_of_v1 = self::seed(&v1).await;
    assert!(matches!(seed_of_v1.store.leaves(PieceIndex(0)).await, Err(StoreError::HashUnknown(_))));
}

#[tokio::test]
async fn blocks_that_are_not_what_their_leaves_say_are_named() {
    let source = source(Format::V2);
    let seed = seed(&source).await;
    let target = tempfile::tempdir().unwrap();
    let leech = get(&source, target.path(), None).await;
    let piece = PieceIndex(2);
    let blocks: Vec<BlockRef> = blocks(&source.metainfo, piece).collect();
    for &block in &blocks {
        let mut data = seed.store.read_block(block).await.unwrap().to_vec();
        if block != blocks[1] {
            *data.last_mut().unwrap() ^= 1;
        }
        leech.store.write_block(block, data).await.unwrap();
    }
    let leaves = seed.store.leaves(piece).await.unwrap();
    let whole = BlockRef { piece, begin: 0, length: source.metainfo.layout().piece_size(piece) };
    assert_eq!(leech.store.judge(whole, leaves.clone()).await.unwrap(), [blocks[0], blocks[2]]);
    assert_eq!(leech.store.judge(blocks[1], vec![leaves[1]]).await.unwrap(), []);
    assert!(leech.store.judge(whole, leaves[1..].to_vec()).await.is_err(), "a leaf is missing");
}
