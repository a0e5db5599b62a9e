//! Blocks go in, the same files come out.

use proptest::prelude::*;

use super::*;

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::V1), Just(Format::V2), Just(Format::Hybrid)]
}

/// Sizes around the edges of blocks and pieces, and none.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..100_usize, 16_380..16_390_usize, 1..200_000_usize, Just(65_536)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn blocks_written_in_any_order_make_the_same_files(
        sizes in prop::collection::vec(size(), 1..7),
        format in format(),
        piece_length in prop_oneof![Just(16_384), Just(32_768), Just(131_072)],
        order in any::<u64>(),
    ) {
        const PATHS: [&str; 6] = ["a", "b/c", "b/d.part", "b/d", "ü/é/ñ", "z"];
        prop_assume!(sizes.iter().sum::<usize>() > 0);
        let files: Vec<_> = PATHS.into_iter().zip(sizes).collect();
        let source = Source::new(&files, piece_length, format);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(copy_in_order(&source, order));
    }
}

async fn copy_in_order(source: &Source, order: u64) {
    let target = tempfile::tempdir().unwrap();
    let seed = seed(source).await;
    let mut leech = get(source, target.path(), None).await;
    assert!(leech.found.verified.is_empty());
    let mut blocks = source.blocks();
    let dice = bytes(order, blocks.len() * 8);
    let mut keys = dice.chunks(8);
    blocks.sort_by_cached_key(|_| keys.next().map(<[u8]>::to_vec));
    for block in blocks {
        let data = source.read(&seed.store, block).await;
        leech.store.write_block(block, data).await.unwrap();
    }
    for piece in pieces(&source.metainfo) {
        leech.store.check_piece(piece).await.unwrap();
    }
    for _ in pieces(&source.metainfo) {
        let event = leech.next().await;
        assert!(matches!(event, StoreEvent::Checked { verdict: Verdict::Good, .. }), "{event:?}");
    }
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_corrupt_block_makes_its_piece_bad_until_it_is_written_again() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    let blocks: Vec<_> = blocks(&source.metainfo, PieceIndex(1)).collect();
    let data = source.read(&seed.store, blocks[0]).await;
    leech.store.write_block(blocks[0], data).await.unwrap();
    leech.store.write_block(blocks[1], vec![7; blocks[1].length as usize]).await.unwrap();
    assert_eq!(leech.check(PieceIndex(1)).await, Verdict::Bad);
    assert!(matches!(leech.store.read_block(blocks[0]).await, Err(StoreError::NotVerified(_))));
    leech.fetch(&seed.store, &source.metainfo, [PieceIndex(1)]).await;
}

#[tokio::test]
async fn a_piece_nothing_was_written_of_is_bad() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let mut leech = get(&source, target.path(), None).await;
    assert_eq!(leech.check(PieceIndex(0)).await, Verdict::Bad);
}

#[tokio::test]
async fn verified_bytes_are_never_overwritten() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, [PieceIndex(2)]).await;
    let block = source.metainfo.layout().block(PieceIndex(2), 0);
    leech.store.write_block(block, vec![9; block.length as usize]).await.unwrap();
    leech.store.flush().await.unwrap();
    assert_eq!(source.read(&leech.store, block).await, source.read(&seed.store, block).await);
}

#[tokio::test]
async fn blocks_that_the_torrent_does_not_have_are_refused() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let leech = get(&source, target.path(), None).await;
    let seed = seed(&source).await;
    let beyond = BlockRef { piece: PieceIndex(5), begin: 0, length: 16_384 };
    let good = source.metainfo.layout().block(PieceIndex(0), 0);
    assert!(matches!(
        leech.store.write_block(beyond, vec![0; 16_384]).await,
        Err(StoreError::NoSuchBlock(_))
    ));
    assert!(matches!(seed.store.read_block(beyond).await, Err(StoreError::NoSuchBlock(_))));
    assert!(matches!(leech.store.write_block(good, vec![0; 1]).await, Err(StoreError::WrongLength { .. })));
    assert!(matches!(leech.store.check_piece(PieceIndex(6)).await, Err(StoreError::NoSuchPiece(_))));
    let write = seed.store.write_block(good, vec![0; good.length as usize]).await;
    assert!(matches!(write, Err(StoreError::ReadOnly)));
}

#[tokio::test]
async fn a_thousand_files_need_few_descriptors() {
    let names: Vec<String> = (0..1000).map(|number| format!("folder {}/file {number}", number % 7)).collect();
    let files: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 700)).collect();
    let source = Source::new(&files, 16_384, Format::V1);
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, pieces(&source.metainfo)).await;
    let scratches = [source.root(), target.path()];
    let ours = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let open = ours.filter(|path| scratches.iter().any(|scratch| path.starts_with(scratch))).count();
    assert!(open < 2 * 64 + 16, "{open} descriptors");
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn many_tasks_may_write_and_read_at_once() {
    let source = Arc::new(Source::new(&[("a", 900_000), ("b/c", 900_000)], 65_536, Format::V2));
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    let tasks = pieces(&source.metainfo).map(|piece| {
        let (from, to, source) = (seed.store.clone(), leech.store.clone(), source.clone());
        tokio::spawn(async move {
            for block in blocks(&source.metainfo, piece) {
                let data = from.read_block(block).await.unwrap();
                to.write_block(block, data).await.unwrap();
            }
            to.check_piece(piece).await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for _ in pieces(&source.metainfo) {
        assert!(matches!(leech.next().await, StoreEvent::Checked { verdict: Verdict::Good, .. }));
    }
    assert_eq!(tree(target.path()), tree(source.root()));
}
