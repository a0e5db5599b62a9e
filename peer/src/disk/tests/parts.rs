//! Single blocks of pieces that are not verified: found good by their leaf hashes, kept, and read.

use samara_proto::limits::BLOCK_LENGTH;

use super::*;

const PIECE: PieceIndex = PieceIndex(0);

/// A leech that knows the leaf hashes of a piece of four blocks, and those of all blocks of the piece.
async fn begun() -> (Source, Opened, Opened, TempDir, Vec<BlockRef>) {
    let source = Source::new(&[("content.bin", 170_000)], 4 * BLOCK_LENGTH, Format::V2);
    let (seed, target) = (seed(&source).await, tempfile::tempdir().unwrap());
    let leech = get(&source, target.path(), None).await;
    let leaves = seed.store.leaves(PIECE).await.unwrap();
    leech.store.keep_leaves(PIECE, leaves).unwrap();
    let blocks = blocks(&source.metainfo, PIECE).collect();
    (source, seed, leech, target, blocks)
}

/// What is wrong of blocks that are checked.
async fn check(leech: &mut Opened, block: BlockRef) -> Vec<BlockRef> {
    leech.store.check_blocks(block, 9).await.unwrap();
    match leech.next().await {
        StoreEvent::BlocksChecked { block: checked, order: 9, bad } if checked == block => bad,
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn a_block_that_is_what_its_leaf_says_can_be_read_before_its_piece_is_whole() {
    let (_source, seed, mut leech, _target, blocks) = begun().await;
    let data = seed.store.read_block(blocks[2]).await.unwrap();
    leech.store.write_block(blocks[2], data.clone()).await.unwrap();
    assert!(leech.store.read_block(blocks[2]).await.is_err(), "it was not checked");
    assert_eq!(check(&mut leech, blocks[2]).await, []);
    assert_eq!(leech.store.read_block(blocks[2]).await.unwrap(), data);
    assert!(leech.store.read_block(blocks[1]).await.is_err());
    let both = BlockRef { length: 2 * BLOCK_LENGTH, ..blocks[2] };
    assert!(leech.store.read_block(both).await.is_err(), "one of them is missing");
}

#[tokio::test]
async fn a_wrong_block_is_named_and_not_read_and_a_good_one_not_written_over() {
    let (_source, seed, mut leech, _target, blocks) = begun().await;
    let both = BlockRef { length: 2 * BLOCK_LENGTH, ..blocks[0] };
    let good = seed.store.read_block(both).await.unwrap();
    let mut spoilt = good.to_vec();
    spoilt[BLOCK_LENGTH as usize] ^= 1;
    leech.store.write_block(both, spoilt).await.unwrap();
    assert_eq!(check(&mut leech, both).await, [blocks[1]]);
    assert!(leech.store.read_block(blocks[1]).await.is_err());
    // The first stays as it is, the second is replaced.
    let mut other = good.to_vec();
    other[0] ^= 1;
    leech.store.write_block(both, other).await.unwrap();
    assert_eq!(check(&mut leech, both).await, []);
    assert_eq!(leech.store.read_block(both).await.unwrap(), good);
}

#[tokio::test]
async fn a_good_block_that_somebody_else_changes_is_not_read() {
    let (_source, seed, mut leech, target, blocks) = begun().await;
    leech.store.write_block(blocks[0], seed.store.read_block(blocks[0]).await.unwrap()).await.unwrap();
    assert_eq!(check(&mut leech, blocks[0]).await, []);
    let part = target.path().join("content.bin.part");
    let mut on_disk = fs::read(&part).unwrap();
    on_disk[5] ^= 1;
    fs::write(&part, on_disk).unwrap();
    assert!(leech.store.read_block(blocks[0]).await.is_err());
}

#[tokio::test]
async fn a_piece_all_of_whose_blocks_are_good_is_good_and_its_leaves_stay_known() {
    let (source, seed, mut leech, _target, blocks) = begun().await;
    for &block in &blocks {
        leech.store.write_block(block, seed.store.read_block(block).await.unwrap()).await.unwrap();
        assert_eq!(check(&mut leech, block).await, []);
    }
    assert_eq!(leech.check(PIECE).await, Verdict::Good);
    assert_eq!(leech.store.known_leaves(PIECE), Some(seed.store.leaves(PIECE).await.unwrap()));
    let leaves = leech.store.leaves(PIECE).await.unwrap();
    assert!(leech.store.keep_leaves(PIECE, leaves).is_err(), "it is verified");
    assert_eq!(leech.store.read_block(blocks[3]).await.unwrap(), source.read(&seed.store, blocks[3]).await);
}

#[tokio::test]
async fn leaves_of_what_does_not_exist_are_not_kept() {
    let (_source, seed, leech, _target, _) = begun().await;
    let leaves = seed.store.leaves(PieceIndex(1)).await.unwrap();
    assert!(leech.store.keep_leaves(PieceIndex(1), leaves[1..].to_vec()).is_err(), "one is missing");
    assert!(leech.store.keep_leaves(PieceIndex(3), leaves.clone()).is_err());
    assert!(leech.store.keep_leaves(PieceIndex(1), leaves).is_ok());
}
