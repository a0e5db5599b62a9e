//! What a stopped or killed download finds again.

use std::os::unix::fs::FileExt;

use super::*;

/// Pieces 0 to 2 of 6 fetched, and one block of piece 3.
async fn half_done(source: &Source, root: &Path, state_dir: Option<&Path>) -> Opened {
    let seed = seed(source).await;
    let mut leech = get(source, root, state_dir).await;
    leech.fetch(&seed.store, &source.metainfo, (0..3).map(PieceIndex)).await;
    let block = source.metainfo.layout().block(PieceIndex(3), 1);
    let data = source.read(&seed.store, block).await;
    leech.store.write_block(block, data).await.unwrap();
    leech
}

fn expect_half(found: &Found, metainfo: &Metainfo) {
    assert_eq!(found.verified.iter_ones().collect::<Vec<_>>(), [0, 1, 2].map(PieceIndex));
    assert_eq!(found.stored, [metainfo.layout().block(PieceIndex(3), 1)]);
    assert_eq!(found.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_download_finds_its_pieces_and_blocks_again() {
    let source = Source::single();
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for state_dir in [None, Some(state.path())] {
        let leech = half_done(&source, target.path(), state_dir).await;
        settled(leech).await;
        let again = get(&source, target.path(), state_dir).await;
        expect_half(&again.found, &source.metainfo);
        assert_eq!(again.hashed, 4, "holes are not hashed");
        settled(again).await;
        fs::remove_file(target.path().join("content.bin.part")).unwrap();
    }
}

#[tokio::test]
async fn a_download_killed_before_its_first_piece_finds_its_block_again() {
    for files in [&[("a", 170_000)][..], &[("a", 170_000), ("b", 40_000)][..]] {
        let source = Source::new(files, 32_768, Format::V2);
        let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seed = seed(&source).await;
        let block = source.metainfo.layout().block(PieceIndex(0), 1);
        for _ in 0..2 {
            let leech = get(&source, target.path(), Some(state.path())).await;
            let saved = tree(state.path());
            let data = source.read(&seed.store, block).await;
            leech.store.write_block(block, data).await.unwrap();
            killed(leech, state.path(), saved).await;
        }
        let again = get(&source, target.path(), Some(state.path())).await;
        assert_eq!(again.found.stored, [block]);
    }
}

#[tokio::test]
async fn a_download_whose_resume_data_is_lost_is_known_by_its_pieces() {
    let source = Source::single();
    let (target, lost, state) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leech = half_done(&source, target.path(), Some(lost.path())).await;
    leech.store.close().await.unwrap();
    drop(leech);
    expect_half(&get(&source, target.path(), Some(state.path())).await.found, &source.metainfo);
}

#[tokio::test]
async fn after_a_clean_stop_verified_pieces_are_not_hashed_again() {
    let source = Source::single();
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leech = half_done(&source, target.path(), Some(state.path())).await;
    leech.store.close().await.unwrap();
    let block = source.metainfo.layout().block(PieceIndex(4), 0);
    let late = leech.store.write_block(block, vec![1; block.length as usize]).await;
    assert!(matches!(late, Err(StoreError::Closed)));
    drop(leech);
    let again = get(&source, target.path(), Some(state.path())).await;
    expect_half(&again.found, &source.metainfo);
    assert_eq!(again.hashed, 1, "only the unfinished piece");
}

#[tokio::test]
async fn a_file_touched_after_a_clean_stop_is_hashed_again() {
    let source = Source::single();
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leech = half_done(&source, target.path(), Some(state.path())).await;
    leech.store.close().await.unwrap();
    drop(leech);
    let part = target.path().join("content.bin.part");
    fs::OpenOptions::new().write(true).open(part).unwrap().write_all_at(b"\0x", 40_000).unwrap();
    let again = get(&source, target.path(), Some(state.path())).await;
    assert_eq!(again.found.verified.iter_ones().collect::<Vec<_>>(), [0, 2].map(PieceIndex));
    assert_eq!(again.hashed, 4);
}

#[tokio::test]
async fn damage_is_noticed_though_the_time_of_modification_was_set_back() {
    let source = Source::single();
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leech = half_done(&source, target.path(), Some(state.path())).await;
    leech.store.close().await.unwrap();
    drop(leech);
    let part = fs::OpenOptions::new().write(true).open(target.path().join("content.bin.part")).unwrap();
    let before = part.metadata().unwrap().modified().unwrap();
    part.write_all_at(b"\0x", 40_000).unwrap();
    part.set_modified(before).unwrap();
    let again = get(&source, target.path(), Some(state.path())).await;
    assert_eq!(again.found.verified.iter_ones().collect::<Vec<_>>(), [0, 2].map(PieceIndex));
}

#[tokio::test]
async fn a_block_that_was_cut_short_counts_as_missing() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let leech = half_done(&source, target.path(), None).await;
    settled(leech).await;
    let part = fs::OpenOptions::new().write(true).open(target.path().join("content.bin.part")).unwrap();
    // The first page of a block, as if the process had been killed inside the write.
    part.write_all_at(&bytes(1, 4096), 4 * 32_768).unwrap();
    let again = get(&source, target.path(), None).await;
    expect_half(&again.found, &source.metainfo);
}

#[tokio::test]
async fn a_piece_whose_blocks_are_all_there_but_wrong_counts_as_missing() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let leech = get(&source, target.path(), None).await;
    for block in blocks(&source.metainfo, PieceIndex(0)) {
        leech.store.write_block(block, vec![5; block.length as usize]).await.unwrap();
    }
    settled(leech).await;
    let again = get(&source, target.path(), None).await;
    assert!(again.found.verified.is_empty());
    assert_eq!(again.found.stored, []);
}

#[tokio::test]
async fn a_download_killed_before_its_last_rename_is_complete_when_opened() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000)], 16_384, Format::V1);
    let target = tempfile::tempdir().unwrap();
    fs::create_dir(target.path().join("top")).unwrap();
    fs::copy(source.root().join("top/a"), target.path().join("top/a")).unwrap();
    fs::copy(source.root().join("top/b"), target.path().join("top/b.part")).unwrap();
    let again = get(&source, target.path(), None).await;
    assert!(again.found.verified.is_full());
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn killed_at_any_block_nothing_verified_is_lost() {
    let source = Source::new(&[("a", 90_000), ("b/c", 50_000), ("e", 0), ("f", 30_000)], 32_768, Format::V1);
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seed = seed(&source).await;
    for piece in pieces(&source.metainfo) {
        let mut leech = get(&source, target.path(), Some(state.path())).await;
        assert_eq!(leech.found.verified.count_ones(), piece.0, "before piece {piece}");
        leech.fetch(&seed.store, &source.metainfo, [piece]).await;
        settled(leech).await;
    }
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_remembered_creation_is_not_hashed_again() {
    let source = Source::new(&[("a", 90_000), ("b/c", 50_000), ("e", 0)], 32_768, Format::Hybrid);
    let state = tempfile::tempdir().unwrap();
    let path = source.root().join(&source.name);
    let created = create(&path, options(Format::Hybrid, 32_768), |_, _| ()).unwrap();
    created.remember(state.path()).unwrap();
    let metainfo = Arc::new(created.metainfo);
    let seed = try_open(&metainfo, &created.root, Access::ReadOnly, Some(state.path())).await.unwrap();
    assert!(seed.found.verified.is_full());
    assert_eq!(seed.hashed, 0);
    fs::write(path.join("a"), bytes(99, 90_000)).unwrap();
    let seed = try_open(&metainfo, &created.root, Access::ReadOnly, Some(state.path())).await.unwrap();
    assert_eq!(seed.hashed, 3, "the pieces of the changed file");
    assert_eq!(seed.found.verified.count_ones(), 2);
}
