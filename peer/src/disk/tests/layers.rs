//! v2 torrents that come without their piece layers.

use samara_proto::layout::FileIndex;

use super::*;

/// Two files longer than a piece, one shorter.
fn source() -> Source {
    Source::new(&[("a", 100_000), ("b", 9), ("c", 65_536)], 32_768, Format::V2)
}

/// What a magnet link leads to: no piece layers.
fn link_only(source: &Source) -> Arc<Metainfo> {
    Arc::new(Metainfo::from_info(source.metainfo.info_bytes()).unwrap())
}

fn has_every_layer(metainfo: &Metainfo, source: &Source) -> bool {
    (0..3).map(FileIndex).all(|file| metainfo.piece_layer(file) == source.metainfo.piece_layer(file))
}

#[tokio::test]
async fn complete_files_are_shared_without_piece_layers_and_hashed_once() {
    let source = source();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let metainfo = link_only(&source);
        let opened = try_open(&metainfo, source.root(), access, None).await.unwrap();
        assert!(opened.found.verified.is_full(), "{access:?}");
        assert_eq!(opened.found.warnings, Vec::<String>::new());
        assert!(has_every_layer(&metainfo, &source));
        assert_eq!(opened.hashed, 1, "only the file that needs no layer is left to be checked");
        for block in source.blocks() {
            source.read(&opened.store, block).await;
        }
    }
}

#[tokio::test]
async fn a_damaged_file_without_piece_layers_is_not_shared_and_the_others_are() {
    let source = source();
    fs::write(source.root().join("top/a"), bytes(9, 100_000)).unwrap();
    let metainfo = link_only(&source);
    let seed = try_open(&metainfo, source.root(), Access::ReadOnly, None).await.unwrap();
    assert_eq!(seed.found.verified.iter_ones().collect::<Vec<_>>(), [4, 5, 6].map(PieceIndex));
    assert_eq!(metainfo.missing_piece_layers().len(), 1);
}

#[tokio::test]
async fn a_download_whose_hashes_are_unknown_is_refused_and_touches_no_file() {
    let source = source();
    let target = tempfile::tempdir().unwrap();
    for damaged in [false, true] {
        if damaged {
            for name in ["a", "c"] {
                let size = fs::metadata(source.root().join("top").join(name)).unwrap().len();
                fs::write(target.path().join("top").join(name), bytes(9, size as usize)).unwrap();
            }
        }
        let before = tree(target.path());
        let refused = try_open(&link_only(&source), target.path(), Access::ReadWrite, None).await;
        assert!(matches!(refused, Err(OpenError::HashesUnknown { .. })));
        assert_eq!(tree(target.path()), before);
    }
}

#[test]
fn files_are_verified_without_piece_layers() {
    let source = source();
    let report = verify(&link_only(&source), source.root(), |_, _| ()).unwrap();
    assert!(report.complete);
    assert_eq!(report.pieces_good, report.pieces_total);

    fs::remove_file(source.root().join("top/c")).unwrap();
    let report = verify(&link_only(&source), source.root(), |_, _| ()).unwrap();
    assert_eq!((report.complete, report.pieces_good), (false, 5));

    fs::write(source.root().join("top/a"), bytes(9, 100_000)).unwrap();
    let error = verify(&link_only(&source), source.root(), |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("top/a is incomplete or damaged"), "{error}");
}
