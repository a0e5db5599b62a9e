//! Whole stores on real folders.

mod changes;
mod choice;
mod create;
mod foreign;
mod full;
mod layers;
mod leaves;
mod parts;
mod resume;
mod transfer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::metainfo::{Format, Metainfo};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::verify as disk_verify;
use super::*;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Content in a scratch folder, and its torrent.
struct Source {
    scratch: TempDir,
    metainfo: Arc<Metainfo>,
    name: String,
}

impl Source {
    /// A torrent of `files` (path, size); of a single file if there is only one and it is in no folder.
    fn new(files: &[(&str, usize)], piece_length: u32, format: Format) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let single = matches!(files, [(path, _)] if !path.contains('/'));
        let top = if single { scratch.path().to_path_buf() } else { scratch.path().join("top") };
        for (number, &(path, size)) in files.iter().enumerate() {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes(number as u64, size)).unwrap();
        }
        let name = if single { files[0].0 } else { "top" }.to_owned();
        let created = create(&scratch.path().join(&name), options(format, piece_length), |_, _| ()).unwrap();
        Self { scratch, metainfo: Arc::new(created.metainfo), name }
    }

    /// One file of six pieces, the last one short.
    fn single() -> Self {
        Self::new(&[("content.bin", 170_000)], 32_768, Format::Hybrid)
    }

    fn root(&self) -> &Path {
        self.scratch.path()
    }

    fn blocks(&self) -> Vec<BlockRef> {
        pieces(&self.metainfo).flat_map(|piece| blocks(&self.metainfo, piece)).collect()
    }

    async fn read(&self, store: &Store, block: BlockRef) -> bytes::Bytes {
        store.read_block(block).await.unwrap()
    }
}

/// A store under test and what it reported.
struct Opened {
    store: Store,
    found: Found,
    events: mpsc::UnboundedReceiver<StoreEvent>,
    /// Pieces hashed on opening.
    hashed: u32,
}

impl Opened {
    async fn next(&mut self) -> StoreEvent {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("no event in time").expect("the store is there")
    }

    /// Checks a piece and waits for the verdict.
    async fn check(&mut self, piece: PieceIndex) -> Verdict {
        self.store.check_piece(piece).await.unwrap();
        match self.next().await {
            StoreEvent::Checked { piece: checked, verdict } if checked == piece => verdict,
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Copies pieces from a seed's store, and checks them.
    async fn fetch(
        &mut self,
        seed: &Store,
        metainfo: &Metainfo,
        pieces: impl IntoIterator<Item = PieceIndex>,
    ) {
        for piece in pieces {
            for block in blocks(metainfo, piece) {
                let data = seed.read_block(block).await.unwrap();
                self.store.write_block(block, data).await.unwrap();
            }
            assert_eq!(self.check(piece).await, Verdict::Good);
        }
    }
}

async fn try_open(
    metainfo: &Arc<Metainfo>,
    root: &Path,
    access: Access,
    state_dir: Option<&Path>,
) -> Result<Opened, OpenError> {
    let chosen = Chosen::everything(metainfo.layout());
    try_open_chosen(metainfo, root, access, state_dir, chosen).await
}

async fn try_open_chosen(
    metainfo: &Arc<Metainfo>,
    root: &Path,
    access: Access,
    state_dir: Option<&Path>,
    chosen: Chosen,
) -> Result<Opened, OpenError> {
    let (sender, events) = mpsc::unbounded_channel();
    let options = StoreOptions {
        metainfo: metainfo.clone(),
        root: root.to_path_buf(),
        access,
        chosen: Arc::new(chosen),
        state_dir: state_dir.map(PathBuf::from),
        pool: DiskPool::with_workers(3.try_into().unwrap()).unwrap(),
        events: sender,
    };
    let hashed = Arc::new(AtomicU32::new(0));
    let counter = hashed.clone();
    let (store, found) = Store::open(options, move |done, _| counter.store(done, Ordering::Relaxed)).await?;
    Ok(Opened { store, found, events, hashed: hashed.load(Ordering::Relaxed) })
}

/// [`disk_verify`] of everything.
fn verify(
    metainfo: &Metainfo,
    dir: &Path,
    progress: impl FnMut(u32, u32) + Send,
) -> Result<VerifyReport, VerifyError> {
    disk_verify(metainfo, dir, &Chosen::everything(metainfo.layout()), progress)
}

async fn seed(source: &Source) -> Opened {
    let opened = try_open(&source.metainfo, source.root(), Access::ReadOnly, None).await.unwrap();
    assert!(opened.found.verified.is_full());
    opened
}

async fn get(source: &Source, root: &Path, state_dir: Option<&Path>) -> Opened {
    try_open(&source.metainfo, root, Access::ReadWrite, state_dir).await.unwrap()
}

/// Waits until every other user of a dropped store's files has let go of them: jobs run to their end.
async fn settled(opened: Opened) {
    let pool_done = opened.store.flush().await;
    drop(opened);
    pool_done.unwrap();
}

/// Drops a store when all is written, and leaves no other resume data than `saved`, as if it had been killed.
async fn killed(opened: Opened, state_dir: &Path, saved: BTreeMap<PathBuf, Vec<u8>>) {
    settled(opened).await;
    for path in tree(state_dir).into_keys() {
        fs::remove_file(state_dir.join(path)).unwrap();
    }
    for (path, bytes) in saved {
        fs::write(state_dir.join(path), bytes).unwrap();
    }
}

fn options(format: Format, piece_length: u32) -> CreateOptions {
    CreateOptions {
        format,
        piece_length: Some(piece_length),
        trackers: Vec::new(),
        url_list: Vec::new(),
        comment: None,
        private: false,
        created_by: None,
        creation_date: None,
    }
}

fn pieces(metainfo: &Metainfo) -> impl Iterator<Item = PieceIndex> + use<> {
    (0..metainfo.layout().piece_count()).map(PieceIndex)
}

fn blocks(metainfo: &Metainfo, piece: PieceIndex) -> impl Iterator<Item = BlockRef> {
    let layout = metainfo.layout();
    (0..layout.blocks_in(piece)).map(move |number| layout.block(piece, number))
}

/// Bytes that look random and hold no zero, the same for the same seed.
fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 | 1
    };
    (0..size).map(step).collect()
}

/// Every plain file below a folder, with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap());
        }
    }
    files
}
