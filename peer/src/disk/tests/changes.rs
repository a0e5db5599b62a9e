//! Files that change under a running seed.

use super::*;

/// Reads a block until the store notices that it changed.
async fn until_changed(seed: &mut Opened, block: BlockRef) -> Vec<PieceIndex> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if seed.store.read_block(block).await.is_err() {
            match seed.next().await {
                StoreEvent::Changed { pieces, message } => {
                    assert!(message.contains("was changed or removed"), "{message}");
                    return pieces;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never noticed");
}

#[tokio::test]
async fn a_changed_file_is_not_served_until_it_is_good_again() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000)], 16_384, Format::V2);
    let mut seed = seed(&source).await;
    let block = source.metainfo.layout().block(PieceIndex(0), 0);
    source.read(&seed.store, block).await;
    let path = source.root().join("top/a");
    let good = fs::read(&path).unwrap();
    fs::write(&path, bytes(50, 40_000)).unwrap();
    assert_eq!(until_changed(&mut seed, block).await, [0, 1, 2].map(PieceIndex));
    assert_eq!(seed.check(PieceIndex(0)).await, Verdict::Bad);
    assert!(matches!(seed.store.read_block(block).await, Err(StoreError::NotVerified(_))));
    source.read(&seed.store, source.metainfo.layout().block(PieceIndex(3), 0)).await;
    fs::write(&path, good).unwrap();
    assert_eq!(seed.check(PieceIndex(0)).await, Verdict::Good);
}

#[tokio::test]
async fn a_removed_replaced_or_shortened_file_is_noticed() {
    for change in [remove, replace, shorten] {
        let source = Source::single();
        let mut seed = seed(&source).await;
        let block = source.metainfo.layout().block(PieceIndex(5), 0);
        change(&source.root().join("content.bin"));
        assert_eq!(until_changed(&mut seed, block).await.len(), 6);
    }
}

#[tokio::test]
async fn what_a_seed_lost_is_shared_again_once_it_is_put_back() {
    for change in [damage, remove] {
        let source = Source::single();
        let mut seed = seed(&source).await;
        let path = source.root().join("content.bin");
        let good = fs::read(&path).unwrap();
        change(&path);
        let block = source.metainfo.layout().block(PieceIndex(1), 0);
        let lost = until_changed(&mut seed, block).await;
        fs::write(&path, good).unwrap();
        for piece in lost {
            match seed.next().await {
                StoreEvent::Checked { piece: again, verdict } => {
                    assert_eq!((again, verdict), (piece, Verdict::Good));
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        source.read(&seed.store, block).await;
        assert!(seed.store.verified().is_full());
    }
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn replace(path: &Path) {
    fs::write(path.with_extension("new"), bytes(3, 170_000)).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

fn shorten(path: &Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1000).unwrap();
}

#[tokio::test]
async fn a_seed_with_a_missing_or_wrong_file_offers_the_rest() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000), ("c", 40_000)], 16_384, Format::V2);
    fs::remove_file(source.root().join("top/a")).unwrap();
    fs::write(source.root().join("top/b"), b"short").unwrap();
    let seed = try_open(&source.metainfo, source.root(), Access::ReadOnly, None).await.unwrap();
    assert_eq!(seed.found.verified.iter_ones().collect::<Vec<_>>(), [6, 7, 8].map(PieceIndex));
    assert_eq!(seed.found.warnings.len(), 1);
    assert!(seed.found.warnings[0].contains("it has 5 bytes where the torrent has 40000"));
    assert_eq!(fs::read(source.root().join("top/b")).unwrap(), b"short");
}

/// Gives a file a modification time that no other change gives it.
fn touch(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
}

/// Reads one block of every piece until a second has passed, after which every change has been noticed.
async fn read_for_a_while(opened: &Opened, source: &Source) {
    let end = tokio::time::Instant::now() + Duration::from_millis(1300);
    while tokio::time::Instant::now() < end {
        for piece in pieces(&source.metainfo) {
            source.read(&opened.store, source.metainfo.layout().block(piece, 0)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_that_was_only_touched_goes_on_being_served() {
    let source = Source::new(&[("a", 70_000), ("b", 50_000)], 16_384, Format::V1);
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), Some(state.path())).await;
    leech.fetch(&seed.store, &source.metainfo, pieces(&source.metainfo)).await;
    read_for_a_while(&leech, &source).await;
    touch(&target.path().join("top/a"));
    read_for_a_while(&leech, &source).await;
    assert!(leech.store.verified().is_full());
    assert!(leech.events.try_recv().is_err());
    settled(leech).await;

    let again = get(&source, target.path(), Some(state.path())).await;
    assert_eq!(again.hashed, 0, "the new modification time is not remembered");
}

#[tokio::test]
async fn of_a_changed_file_only_the_bad_pieces_are_lost() {
    let source = Source::single();
    let mut seed = seed(&source).await;
    let layout = source.metainfo.layout().clone();
    damage(&source.root().join("content.bin"));
    assert_eq!(until_changed(&mut seed, layout.block(PieceIndex(1), 0)).await, [PieceIndex(1)]);
    for piece in [0, 2, 3, 4, 5] {
        source.read(&seed.store, layout.block(PieceIndex(piece), 0)).await;
    }
    assert!(seed.events.try_recv().is_err());
}

#[tokio::test]
async fn a_download_whose_complete_file_was_changed_says_how_to_repair_it_and_leaves_it_alone() {
    let source = Source::single();
    let (seed, target) = (seed(&source).await, tempfile::tempdir().unwrap());
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, pieces(&source.metainfo)).await;
    let path = target.path().join("content.bin");
    damage(&path);
    let damaged = fs::read(&path).unwrap();
    let block = source.metainfo.layout().block(PieceIndex(1), 0);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while leech.store.read_block(block).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "never noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match leech.next().await {
        StoreEvent::Failed(error @ StoreError::Changed { .. }) => {
            assert!(error.to_string().ends_with("run the same command again to repair it"), "{error}");
        }
        other => panic!("unexpected {other:?}"),
    }
    settled(leech).await;
    assert_eq!(tree(target.path()), BTreeMap::from([(PathBuf::from("content.bin"), damaged)]));

    let mut again = get(&source, target.path(), None).await;
    again.fetch(&seed.store, &source.metainfo, [PieceIndex(1)]).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

/// Changes a byte of the second piece, with no change of length.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[40_000] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Writes the blocks of a piece, orders its check, and returns what the failure says.
async fn failure(seed: &Opened, leech: &mut Opened, metainfo: &Metainfo, piece: PieceIndex) -> String {
    for block in blocks(metainfo, piece) {
        let data = seed.store.read_block(block).await.unwrap();
        // Refused once an earlier block has failed.
        leech.store.write_block(block, data).await.ok();
    }
    leech.store.check_piece(piece).await.ok();
    match leech.next().await {
        StoreEvent::Failed(error) => error.to_string(),
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn an_unfinished_file_that_was_removed_or_shortened_is_not_filled_up_with_zeros() {
    // As many other unfinished files as it takes to have the first one closed.
    let names: Vec<String> = (0..70).map(|number| format!("z{number}")).collect();
    let others = names.iter().map(|name| (name.as_str(), 20_000));
    let files: Vec<(&str, usize)> = [("a", 40_000)].into_iter().chain(others).collect();
    let source = Source::new(&files, 16_384, Format::V2);
    let seed = seed(&source).await;
    for change in [remove as fn(&Path), shorten] {
        let target = tempfile::tempdir().unwrap();
        let mut leech = get(&source, target.path(), None).await;
        leech.fetch(&seed.store, &source.metainfo, [PieceIndex(0), PieceIndex(1)]).await;
        leech.fetch(&seed.store, &source.metainfo, (3..143).step_by(2).map(PieceIndex)).await;
        let path = target.path().join("top/a.part");
        change(&path);
        let message = failure(&seed, &mut leech, &source.metainfo, PieceIndex(2)).await;
        assert!(message.contains("a.part was changed or removed by another program: run"), "{message}");
        assert!(fs::metadata(path).map_or(true, |found| found.len() == 1000), "it was filled up");
        assert!(!target.path().join("top/a").exists());
    }
}

#[tokio::test]
async fn an_open_unfinished_file_that_was_shortened_is_not_filled_up_and_gets_no_final_name() {
    let source = Source::single();
    let seed = seed(&source).await;
    for last in [0, 5] {
        let target = tempfile::tempdir().unwrap();
        let mut leech = get(&source, target.path(), None).await;
        let others = (0..6).filter(|&piece| piece != last).map(PieceIndex);
        leech.fetch(&seed.store, &source.metainfo, others).await;
        let path = target.path().join("content.bin.part");
        shorten(&path);
        let message = failure(&seed, &mut leech, &source.metainfo, PieceIndex(last)).await;
        assert!(message.contains("content.bin.part was changed or removed"), "{message}");
        assert_eq!(fs::metadata(path).unwrap().len(), 1000);
    }
}

#[tokio::test]
async fn an_open_unfinished_file_that_was_removed_is_missed_at_its_end() {
    let source = Source::single();
    let (seed, target) = (seed(&source).await, tempfile::tempdir().unwrap());
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, (0..5).map(PieceIndex)).await;
    remove(&target.path().join("content.bin.part"));
    let message = failure(&seed, &mut leech, &source.metainfo, PieceIndex(5)).await;
    assert!(message.contains("content.bin.part was changed or removed"), "{message}");
}

#[tokio::test]
async fn what_was_said_of_an_unfinished_file_counts_no_more_once_others_changed_it() {
    let source = Source::single();
    let seed = seed(&source).await;
    for is_put_back in [false, true] {
        let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut leech = get(&source, target.path(), Some(state.path())).await;
        leech.fetch(&seed.store, &source.metainfo, (0..5).map(PieceIndex)).await;
        let path = target.path().join("content.bin.part");
        shorten(&path);
        let message = failure(&seed, &mut leech, &source.metainfo, PieceIndex(5)).await;
        assert!(message.ends_with("run the same command again to repair it"), "{message}");
        if is_put_back {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(170_000).unwrap();
        }
        leech.store.close().await.unwrap();
        drop(leech);

        let mut again = get(&source, target.path(), Some(state.path())).await;
        assert!(again.found.verified.is_empty(), "{:?}", again.found.verified);
        again.fetch(&seed.store, &source.metainfo, pieces(&source.metainfo)).await;
        assert_eq!(tree(target.path()), tree(source.root()));
    }
}

fn grow(path: &Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(170_001).unwrap();
}

#[tokio::test]
async fn a_file_that_took_the_place_of_an_unfinished_one_or_grew_does_not_become_the_finished_one() {
    let source = Source::single();
    let seed = seed(&source).await;
    for change in [replace as fn(&Path), grow] {
        let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut leech = get(&source, target.path(), Some(state.path())).await;
        leech.fetch(&seed.store, &source.metainfo, (0..5).map(PieceIndex)).await;
        change(&target.path().join("content.bin.part"));
        let left = tree(target.path());
        let message = failure(&seed, &mut leech, &source.metainfo, PieceIndex(5)).await;
        assert!(message.contains("content.bin.part was changed or removed"), "{message}");
        assert_eq!(tree(target.path()), left);
        leech.store.close().await.unwrap();
        drop(leech);

        let mut again = get(&source, target.path(), Some(state.path())).await;
        let missing: Vec<_> = again.found.verified.iter_zeros().collect();
        again.fetch(&seed.store, &source.metainfo, missing).await;
        assert_eq!(tree(target.path()), tree(source.root()));
    }
}

#[tokio::test]
async fn nothing_vouches_for_a_file_that_took_the_place_of_an_unfinished_one_unseen() {
    let source = Source::single();
    let (seed, target, state) =
        (seed(&source).await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leech = get(&source, target.path(), Some(state.path())).await;
    leech.fetch(&seed.store, &source.metainfo, (0..5).map(PieceIndex)).await;
    replace(&target.path().join("content.bin.part"));
    leech.store.close().await.unwrap();
    drop(leech);
    let again = get(&source, target.path(), Some(state.path())).await;
    assert!(again.found.verified.is_empty(), "{:?}", again.found.verified);
}

/// Cuts a file of 170,000 bytes off and makes it as long as before.
fn punch(path: &Path, from: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(from).unwrap();
    file.set_len(170_000).unwrap();
}

#[tokio::test]
async fn a_file_that_was_cut_and_made_as_long_again_between_two_writes_is_not_finished() {
    let source = Source::single();
    let seed = seed(&source).await;
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut leech = get(&source, target.path(), Some(state.path())).await;
    leech.fetch(&seed.store, &source.metainfo, (1..6).map(PieceIndex)).await;
    punch(&target.path().join("content.bin.part"), 100_000);
    let message = failure(&seed, &mut leech, &source.metainfo, PieceIndex(0)).await;
    assert!(message.contains("content.bin.part was changed or removed"), "{message}");
    leech.store.close().await.unwrap();
    drop(leech);

    let mut again = get(&source, target.path(), Some(state.path())).await;
    assert_eq!(again.found.verified.iter_ones().collect::<Vec<_>>(), [0, 1, 2].map(PieceIndex));
    again.fetch(&seed.store, &source.metainfo, (3..6).map(PieceIndex)).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn holes_where_the_torrent_has_zeros_are_no_damage() {
    let mut source = Source::single();
    let path = source.root().join("content.bin");
    punch(&path, 50_000);
    source.metainfo = Arc::new(create(&path, options(Format::V1, 32_768), |_, _| ()).unwrap().metainfo);
    let (seed, target) = (seed(&source).await, tempfile::tempdir().unwrap());
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, (1..6).map(PieceIndex)).await;
    punch(&target.path().join("content.bin.part"), 50_000);
    leech.fetch(&seed.store, &source.metainfo, [PieceIndex(0)]).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn what_a_seed_lacked_when_it_started_is_shared_once_it_is_there() {
    let before: [fn(&Path); 3] =
        [remove, shorten, |path| fs::rename(path, path.with_extension("bin.part")).unwrap()];
    for change in before {
        let source = Source::new(&[("a.bin", 40_000), ("b.bin", 40_000)], 16_384, Format::V2);
        let path = source.root().join("top/a.bin");
        let good = fs::read(&path).unwrap();
        change(&path);
        let mut seed = try_open(&source.metainfo, source.root(), Access::ReadOnly, None).await.unwrap();
        let there = seed.found.verified.clone();
        fs::write(&path, &good).unwrap();
        for piece in there.iter_zeros() {
            match seed.next().await {
                StoreEvent::Checked { piece: now, verdict } => {
                    assert_eq!((now, verdict), (piece, Verdict::Good));
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        source.read(&seed.store, source.metainfo.layout().block(PieceIndex(0), 0)).await;
        assert!(seed.store.verified().is_full());
    }
}
