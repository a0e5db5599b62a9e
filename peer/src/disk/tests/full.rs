//! A full disk: said clearly, nothing lost. Needs the right to mount a small file system.

use std::process::Command;

use super::*;

/// A file system in memory, unmounted on drop.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, said aloud, where mounting is not allowed.
    fn mount(bytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("SKIPPED: no right to mount a small disk");
        }
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn too_little_room_is_said_before_anything_is_written() {
    let Some(disk) = SmallDisk::mount(128 << 10) else { return };
    let source = Source::single();
    let error = try_open(&source.metainfo, disk.path(), Access::ReadWrite, None).await.err().unwrap();
    assert!(matches!(error, OpenError::NoRoom { .. }), "{error}");
    assert!(error.to_string().contains("166.0 KiB more needed, 128.0 KiB free"), "{error}");
    assert!(tree(disk.path()).is_empty());
}

#[tokio::test]
async fn a_disk_that_fills_up_stops_the_download_and_keeps_what_is_there() {
    let Some(disk) = SmallDisk::mount(256 << 10) else { return };
    let source = Source::single();
    let seed = seed(&source).await;
    let mut leech = get(&source, disk.path(), None).await;
    leech.fetch(&seed.store, &source.metainfo, (0..2).map(PieceIndex)).await;
    let other = disk.path().join("somebody else's");
    _ = fs::write(&other, vec![1; 300 << 10]);
    let mut written = 0;
    for block in source.blocks() {
        let data = source.read(&seed.store, block).await;
        written += u32::from(leech.store.write_block(block, data).await.is_ok());
    }
    assert!(written > 0);
    let event = leech.next().await;
    let StoreEvent::Failed(error) = event else { panic!("unexpected {event:?}") };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().contains("free some space and start again"), "{error}");
    source.read(&leech.store, source.metainfo.layout().block(PieceIndex(1), 0)).await;
    leech.store.close().await.unwrap();
    drop(leech);
    fs::remove_file(other).unwrap();
    let mut again = get(&source, disk.path(), None).await;
    assert!(again.found.verified.count_ones() >= 2);
    let missing: Vec<_> = again.found.verified.iter_zeros().collect();
    again.fetch(&seed.store, &source.metainfo, missing).await;
    assert_eq!(tree(disk.path()), tree(source.root()));
}
