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
