//! Some files of a torrent, and nothing beside them.

use super::*;
use crate::choice::Choice;

const PIECE: u32 = 16_384;

fn chosen(source: &Source, patterns: &[&str]) -> Chosen {
    let only = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
    Choice { only, ..Choice::default() }.of(&source.metainfo).unwrap()
}

/// Fetches what these patterns name, and nothing else.
async fn get_only(source: &Source, root: &Path, state_dir: Option<&Path>, patterns: &[&str]) -> Opened {
    let chosen = chosen(source, patterns);
    let access = Access::ReadWrite;
    let mut leech = try_open_chosen(&source.metainfo, root, access, state_dir, chosen.clone()).await.unwrap();
    let missing: Vec<PieceIndex> = pieces(&source.metainfo)
        .filter(|&piece| chosen.wants(piece) && !leech.found.verified.get(piece))
        .collect();
    leech.fetch(&seed(source).await.store, &source.metainfo, missing).await;
    leech
}

fn paths(folder: &Path) -> Vec<String> {
    tree(folder).into_keys().map(|path| path.to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn only_the_chosen_files_are_made_where_files_start_with_a_piece() {
    for format in [Format::V2, Format::Hybrid] {
        let files =
            [("a", 20_000), ("in/b", 40_000), ("in/empty", 0), ("other/c", 20_000), ("other/empty", 0)];
        let source = Source::new(&files, PIECE, format);
        let target = tempfile::tempdir().unwrap();
        let leech = get_only(&source, target.path(), None, &["in"]).await;
        assert_eq!(paths(target.path()), ["top/in/b", "top/in/empty"]);
        assert!(!target.path().join("top/other").exists(), "not even a folder");
        assert_eq!(tree(target.path())[Path::new("top/in/b")], tree(source.root())[Path::new("top/in/b")]);
        settled(leech).await;
    }
}

#[tokio::test]
async fn what_comes_along_of_a_neighbour_is_kept_in_its_incomplete_file_and_used_later() {
    let files = [("a", 20_000), ("b", 40_000), ("c", 60_000), ("d", 5)];
    let source = Source::new(&files, PIECE, Format::V1);
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leech = get_only(&source, target.path(), Some(state.path()), &["b"]).await;
    assert_eq!(paths(target.path()), ["top/a.part", "top/b", "top/c.part"]);
    let (here, there) = (tree(target.path()), tree(source.root()));
    assert_eq!(here[Path::new("top/b")], there[Path::new("top/b")]);
    // The piece that a and b share is the second; what was not fetched is a hole.
    let (a, whole) = (&here[Path::new("top/a.part")], &there[Path::new("top/a")]);
    assert_eq!(a[PIECE as usize..], whole[PIECE as usize..]);
    assert!(a[..PIECE as usize].iter().all(|&byte| byte == 0));
    leech.store.close().await.unwrap();
    drop(leech);

    let again = try_open_chosen(
        &source.metainfo,
        target.path(),
        Access::ReadWrite,
        Some(state.path()),
        chosen(&source, &["b"]),
    );
    let again = again.await.unwrap();
    assert_eq!(again.found.verified.count_ones(), 3, "everything that was wanted");
    settled(again).await;

    let mut all = get(&source, target.path(), Some(state.path())).await;
    let rest: Vec<PieceIndex> = all.found.verified.iter_zeros().collect();
    assert_eq!(rest.len(), pieces(&source.metainfo).count() - 3);
    all.fetch(&seed(&source).await.store, &source.metainfo, rest).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_file_that_is_not_chosen_is_shared_if_it_is_there_and_left_alone_if_it_is_damaged() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000), ("c", 40_000)], PIECE, Format::Hybrid);
    let target = tempfile::tempdir().unwrap();
    let top = target.path().join("top");
    fs::create_dir(&top).unwrap();
    fs::copy(source.root().join("top/a"), top.join("a")).unwrap();
    let mut damaged = fs::read(source.root().join("top/c")).unwrap();
    damaged[20_000] ^= 1;
    fs::write(top.join("c"), &damaged).unwrap();
    let leech = get_only(&source, target.path(), None, &["b"]).await;
    assert_eq!(leech.found.verified.count_ones(), 3 + 2, "a, and what is good of c");
    assert_eq!(leech.found.warnings, Vec::<String>::new());
    assert_eq!(paths(target.path()), ["top/a", "top/b", "top/c"]);
    assert_eq!(fs::read(top.join("c")).unwrap(), damaged);
}

#[tokio::test]
async fn verify_looks_at_the_chosen_files_only() {
    for format in [Format::V1, Format::Hybrid] {
        let source = Source::new(&[("a", 20_000), ("b", 40_000), ("c", 0)], PIECE, format);
        let target = tempfile::tempdir().unwrap();
        settled(get_only(&source, target.path(), None, &["b"]).await).await;
        let report = |patterns: &[&str]| {
            disk_verify(&source.metainfo, target.path(), &chosen(&source, patterns), |_, _| ()).unwrap()
        };
        let (only_b, all) = (report(&["b"]), report(&["*"]));
        assert!(only_b.complete && only_b.pieces_good == only_b.pieces_total, "{only_b:?}");
        assert!(!all.complete && all.pieces_good < all.pieces_total, "{all:?}");
        assert_eq!(all.damaged.len(), 2);
        assert_eq!(report(&["c"]).damaged.len(), 1, "an empty file counts too");
    }
}

/// What is there of `c` when only `b` is fetched, and what comes of wanting everything then.
async fn want_all_beside(
    c: impl Fn(&mut Vec<u8>),
    meanwhile: impl Fn(&Path),
) -> (Source, tempfile::TempDir, Opened, Result<Vec<String>, OpenError>) {
    let source = Source::new(&[("b", 40_000), ("c", 40_000), ("deep/d", 0)], PIECE, Format::Hybrid);
    let target = tempfile::tempdir().unwrap();
    let top = target.path().join("top");
    fs::create_dir(&top).unwrap();
    let mut bytes = fs::read(source.root().join("top/c")).unwrap();
    c(&mut bytes);
    fs::write(top.join("c"), &bytes).unwrap();
    let leech = get_only(&source, target.path(), None, &["b"]).await;
    assert_eq!(paths(target.path()), ["top/b", "top/c"]);
    meanwhile(&top.join("c"));
    let everything = Chosen::everything(source.metainfo.layout());
    let chose = leech.store.choose(Arc::new(everything)).await;
    (source, target, leech, chose)
}

#[tokio::test]
async fn what_is_wanted_after_all_is_made_and_repaired() {
    let (source, target, mut leech, chose) = want_all_beside(|c| c[20_000] ^= 1, |_| ()).await;
    let warnings = chose.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("damaged in 1 of 3 pieces"), "{warnings:?}");
    assert_eq!(paths(target.path()), ["top/b", "top/c.part", "top/deep/d"]);
    let missing: Vec<PieceIndex> = leech.store.verified().iter_zeros().collect();
    assert_eq!(missing.len(), 1);
    leech.fetch(&seed(&source).await.store, &source.metainfo, missing).await;
    assert_eq!(tree(target.path()), tree(source.root()));
}

#[tokio::test]
async fn a_file_that_was_never_the_torrents_or_was_changed_is_not_taken_when_it_is_wanted_after_all() {
    let strange = want_all_beside(|c| c.iter_mut().for_each(|byte| *byte ^= 1), |_| ()).await;
    let changed = want_all_beside(|c| c[20_000] ^= 1, |path| fs::write(path, vec![7; 40_000]).unwrap()).await;
    for ((_, target, leech, chose), why) in [(strange, "not the torrent's"), (changed, "was changed")] {
        let error = chose.unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }) && error.to_string().contains(why), "{error}");
        assert!(target.path().join("top/c").exists(), "it was left alone");
        settled(leech).await;
    }
}

#[tokio::test]
async fn an_incomplete_file_of_somebody_elses_is_refused_when_it_is_chosen_later() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000)], PIECE, Format::V2);
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = target.path().join("top/a.part");
    fs::create_dir(target.path().join("top")).unwrap();
    fs::write(&path, bytes(77, 40_000)).unwrap();
    for _ in 0..2 {
        let leech = get_only(&source, target.path(), Some(state.path()), &["b"]).await;
        let error = leech.store.choose(Arc::new(chosen(&source, &["a"]))).await.err().unwrap();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        leech.store.close().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes(77, 40_000));
    }
}

#[tokio::test]
async fn a_file_chosen_later_is_known_to_be_ours_before_it_has_a_whole_piece() {
    let source = Source::new(&[("a", 40_000), ("b", 40_000)], 2 * PIECE, Format::V2);
    let (target, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seed = seed(&source).await;
    let leech = get_only(&source, target.path(), Some(state.path()), &["b"]).await;
    leech.store.choose(Arc::new(chosen(&source, &["a"]))).await.unwrap();
    let saved = tree(state.path());
    let block = source.metainfo.layout().block(PieceIndex(0), 1);
    let data = source.read(&seed.store, block).await;
    leech.store.write_block(block, data).await.unwrap();
    killed(leech, state.path(), saved).await;
    assert_eq!(get(&source, target.path(), Some(state.path())).await.found.stored, [block]);
}
