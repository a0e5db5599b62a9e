//! The user's other files stay as they are, and nothing is written outside the torrent's folder.

use std::os::unix::fs::symlink;

use super::*;

async fn refusal(source: &Source, root: &Path) -> OpenError {
    match try_open(&source.metainfo, root, Access::ReadWrite, None).await {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_file_of_the_users_with_the_same_name_is_refused_and_left_alone() {
    let source = Source::single();
    for name in ["content.bin", "content.bin.part"] {
        for size in [5, 170_001] {
            let target = tempfile::tempdir().unwrap();
            fs::write(target.path().join(name), bytes(77, size)).unwrap();
            let error = refusal(&source, target.path()).await;
            assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
            assert!(error.to_string().contains("choose another folder"), "{error}");
            assert_eq!(tree(target.path())[Path::new(name)], bytes(77, size));
            assert_eq!(tree(target.path()).len(), 1);
        }
    }
}

#[tokio::test]
async fn a_file_as_long_but_quite_different_is_refused_and_left_alone() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("content.bin"), bytes(77, 170_000)).unwrap();
    let error = refusal(&source, target.path()).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(tree(target.path())[Path::new("content.bin")], bytes(77, 170_000));
}

#[tokio::test]
async fn an_incomplete_file_of_somebody_elses_is_refused_and_left_alone() {
    for files in [&[("movie", 170_000)][..], &[("movie", 170_000), ("b", 5)][..]] {
        let source = Source::new(files, 32_768, Format::Hybrid);
        let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = if files.len() == 1 { target.path().to_path_buf() } else { target.path().join("top") };
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("movie.part"), bytes(77, 170_000)).unwrap();
        let before = fs::metadata(folder.join("movie.part")).unwrap().modified().unwrap();
        for _ in 0..2 {
            let opened =
                try_open(&source.metainfo, target.path(), Access::ReadWrite, Some(state.path())).await;
            let error = opened.err().unwrap();
            assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
            assert!(error.to_string().contains("movie.part is in the way: nothing in it is the"), "{error}");
        }
        assert_eq!(fs::read(folder.join("movie.part")).unwrap(), bytes(77, 170_000));
        assert_eq!(fs::metadata(folder.join("movie.part")).unwrap().modified().unwrap(), before);
    }
}

#[tokio::test]
async fn an_incomplete_file_without_any_data_is_in_nobodys_way() {
    let source = Source::single();
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::File::create(target.path().join("content.bin.part")).unwrap().set_len(170_000).unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), Some(state.path())).await;
    leech.fetch(&seed.store, &source.metainfo, pieces(&source.metainfo)).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_file_that_comes_under_the_name_of_an_incomplete_one_is_not_written_to() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000)], 16_384, Format::V2);
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    let path = target.path().join("top/a.part");
    fs::write(&path, b"precious").unwrap();
    let block = source.metainfo.layout().block(PieceIndex(0), 0);
    let data = source.read(&seed.store, block).await;
    leech.store.write_block(block, data).await.unwrap();
    let event = leech.next().await;
    assert!(
        matches!(&event, StoreEvent::Failed(StoreError::InTheWay { path: told }) if *told == path),
        "{event:?}"
    );
    assert_eq!(fs::read(path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_damaged_copy_is_repaired_with_a_warning() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let mut damaged = fs::read(source.root().join("content.bin")).unwrap();
    damaged[40_000] ^= 1;
    fs::write(target.path().join("content.bin"), damaged).unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    assert_eq!(leech.found.verified.iter_zeros().collect::<Vec<_>>(), [PieceIndex(1)]);
    assert!(leech.found.warnings[0].contains("damaged in 1 of 6 pieces"), "{:?}", leech.found.warnings);
    assert!(target.path().join("content.bin.part").exists());
    leech.fetch(&seed.store, &source.metainfo, [PieceIndex(1)]).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_whole_copy_is_used_as_it_is() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    fs::copy(source.root().join("content.bin"), target.path().join("content.bin")).unwrap();
    let leech = get(&source, target.path(), None).await;
    assert!(leech.found.verified.is_full());
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_file_that_appears_under_the_final_name_is_not_replaced() {
    let source = Source::single();
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, (0..5).map(PieceIndex)).await;
    fs::write(target.path().join("content.bin"), b"precious").unwrap();
    for block in blocks(&source.metainfo, PieceIndex(5)) {
        let data = source.read(&seed.store, block).await;
        leech.store.write_block(block, data).await.unwrap();
    }
    leech.store.check_piece(PieceIndex(5)).await.unwrap();
    let event = leech.next().await;
    let path = target.path().join("content.bin");
    assert!(
        matches!(&event, StoreEvent::Failed(StoreError::InTheWay { path: told }) if *told == path),
        "{event:?}"
    );
    assert_eq!(fs::read(path).unwrap(), b"precious");
    assert!(target.path().join("content.bin.part").exists());
}

#[tokio::test]
async fn links_lead_nowhere() {
    let source = Source::new(&[("a", 40_000), ("b/c", 40_000)], 16_384, Format::V1);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("victim"), bytes(5, 40_000)).unwrap();
    for (link, to) in [
        ("top", outside.path().to_path_buf()),
        ("top/b", outside.path().to_path_buf()),
        ("top/a", outside.path().join("victim")),
        ("top/a.part", outside.path().join("victim")),
        ("top/a.part", PathBuf::from("../beside")),
        ("top/a", PathBuf::from("nowhere")),
    ] {
        let target = tempfile::tempdir().unwrap();
        let link = target.path().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(to, &link).unwrap();
        let error = refusal(&source, target.path()).await;
        assert!(matches!(error, OpenError::File { .. } | OpenError::Folder { .. }), "{error}");
    }
    assert_eq!(tree(outside.path()), BTreeMap::from([(PathBuf::from("victim"), bytes(5, 40_000))]));
}

#[tokio::test]
async fn a_link_put_there_while_downloading_is_not_followed() {
    let source = Source::new(&[("a", 40_000), ("b/c", 40_000)], 16_384, Format::V2);
    let (target, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    fs::remove_dir(target.path().join("top/b")).unwrap();
    symlink(outside.path(), target.path().join("top/b")).unwrap();
    symlink(outside.path().join("x"), target.path().join("top/a.part")).unwrap();
    for piece in [PieceIndex(3), PieceIndex(0)] {
        let block = source.metainfo.layout().block(piece, 0);
        let data = source.read(&seed.store, block).await;
        leech.store.write_block(block, data).await.ok();
    }
    let event = leech.next().await;
    assert!(matches!(event, StoreEvent::Failed(StoreError::File { .. })), "{event:?}");
    assert!(tree(outside.path()).is_empty());
}

#[tokio::test]
async fn a_folder_is_downloaded_into_by_one_at_a_time() {
    for files in [&[("content.bin", 90_000)][..], &[("a", 50_000), ("b", 0)][..]] {
        let source = Source::new(files, 16_384, Format::V1);
        let target = tempfile::tempdir().unwrap();
        let first = get(&source, target.path(), None).await;
        let error = refusal(&source, target.path()).await;
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
        settled(first).await;
        get(&source, target.path(), None).await;
    }
}

#[tokio::test]
async fn a_finished_download_keeps_nobody_out() {
    let source = Source::new(&[("a", 50_000), ("b", 0)], 16_384, Format::V1);
    let target = tempfile::tempdir().unwrap();
    let seed = seed(&source).await;
    let mut leech = get(&source, target.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, pieces(&source.metainfo)).await;
    let second = get(&source, target.path(), None).await;
    let third = get(&source, target.path(), None).await;
    assert!(second.found.verified.is_full() && third.found.verified.is_full());
}

#[tokio::test]
async fn something_else_in_the_place_of_a_file_is_refused() {
    let source = Source::new(&[("a", 40_000), ("b/c", 40_000)], 16_384, Format::V1);
    let target = tempfile::tempdir().unwrap();
    fs::create_dir_all(target.path().join("top/a")).unwrap();
    let error = refusal(&source, target.path()).await;
    assert!(error.to_string().contains("not a plain file"), "{error}");
    let target = tempfile::tempdir().unwrap();
    fs::create_dir(target.path().join("top")).unwrap();
    fs::write(target.path().join("top/b"), b"a file").unwrap();
    refusal(&source, target.path()).await;
    assert_eq!(fs::read(target.path().join("top/b")).unwrap(), b"a file");
}
