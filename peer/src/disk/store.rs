//! One torrent's content: blocks in, verified blocks out.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cap_std::fs::File;
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, FileIndex, Layout, PieceIndex};
use samara_proto::metainfo::Metainfo;
use tokio::sync::{mpsc, oneshot};

use super::errors::{OpenError, StoreError};
use super::files::{Files, Freshness, read_segments};
use super::hasher::{Scratch, Wanted, hash_piece};
use super::names::shown;
use super::opening::{Opened, Opening};
use super::pool::{DiskPool, Job};
use super::recheck::is_absence;
use super::resume::{ResumeData, ResumeFile, Stop};
use super::{Access, Found, StoreEvent, StoreOptions};
use crate::engine::event::Verdict;

/// Bytes that are read at once: no peer is ever promised longer requests.
const READ_LENGTH: u32 = 1 << 20;

/// How often what is known is saved: a killed process hashes what it got since then again, and every save
/// makes the disk write everything out.
const SAVE_INTERVAL: Duration = Duration::from_secs(30);

/// One torrent's files. Cheap to clone; the files are closed and unlocked when the last clone is gone and
/// what is queued is done.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    metainfo: Arc<Metainfo>,
    layout: Arc<Layout>,
    access: Access,
    files: Files,
    verified: Mutex<Bitfield>,
    /// Pieces of each file that are not verified.
    missing: Vec<AtomicU32>,
    /// Nothing more is written or checked.
    halted: AtomicBool,
    events: mpsc::UnboundedSender<StoreEvent>,
    pool: DiskPool,
    /// Keeps the pieces of different torrents apart in the workers' queues.
    number: u64,
    resume: Option<ResumeFile>,
    /// More is known than was saved.
    unsaved: AtomicBool,
    saving: Mutex<()>,
    _lock: Option<File>,
}

impl Store {
    /// Opens a torrent's files, and hashes on all cores what is on disk and not vouched for by resume data.
    ///
    /// `progress` hears, from some thread, how many pieces of how many are hashed. Dropping the future stops
    /// the work. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing of the user's was changed then.
    pub async fn open(
        options: StoreOptions,
        progress: impl FnMut(u32, u32) + Send + 'static,
    ) -> Result<(Self, Found), OpenError> {
        let guard = CancelOnDrop(Arc::default());
        let cancelled = guard.0.clone();
        let opened = tokio::task::spawn_blocking(move || open_now(options, progress, &cancelled)).await;
        let (store, found) = match opened {
            Ok(opened) => opened?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(OpenError::Interrupted),
        };
        if store.inner.resume.is_some() {
            tokio::spawn(save_now_and_then(Arc::downgrade(&store.inner)));
        }
        Ok((store, found))
    }

    /// The pieces that are verified now.
    pub fn verified(&self) -> Bitfield {
        self.inner.verified().clone()
    }

    /// Queues a block to be written; waits while too much is queued. A block of a verified piece is dropped.
    /// What goes wrong later arrives as [`StoreEvent::Failed`].
    ///
    /// # Errors
    /// If the block is not the torrent's, or nothing is written any more.
    pub async fn write_block(&self, block: BlockRef, data: impl Into<Bytes>) -> Result<(), StoreError> {
        let inner = &self.inner;
        let data = data.into();
        if !inner.layout.contains(block) {
            return Err(StoreError::NoSuchBlock(block));
        }
        if data.len() != block.length as usize {
            return Err(StoreError::WrongLength { expected: block.length, found: data.len() });
        }
        if inner.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly);
        }
        let room = inner.pool.write_room(block.length).await.map_err(|_| StoreError::Closed)?;
        self.queue(block.piece, move |inner, _| {
            inner.write_now(block, &data);
            drop(room);
        })
        .await
    }

    /// Queues a hash check behind the writes of the same piece; waits for room in the queue. Ends in
    /// [`StoreEvent::Checked`], or [`StoreEvent::Failed`].
    ///
    /// # Errors
    /// If there is no such piece, its hash is not known, or nothing is checked any more.
    pub async fn check_piece(&self, piece: PieceIndex) -> Result<(), StoreError> {
        if piece.0 >= self.inner.layout.piece_count() {
            return Err(StoreError::NoSuchPiece(piece));
        }
        if self.inner.metainfo.piece_check(piece).is_none() {
            return Err(StoreError::HashUnknown(piece));
        }
        self.queue(piece, move |inner, scratch| inner.check_now(piece, scratch)).await
    }

    /// The bytes of a block of a verified piece.
    ///
    /// # Errors
    /// If the block is not the torrent's or longer than 1 MiB, its piece is not verified, or its file was
    /// changed; then [`StoreEvent::Changed`] says so too.
    pub async fn read_block(&self, block: BlockRef) -> Result<Bytes, StoreError> {
        if !self.inner.layout.contains(block) || block.length > READ_LENGTH {
            return Err(StoreError::NoSuchBlock(block));
        }
        let (reply, answer) = oneshot::channel();
        let inner = self.inner.clone();
        let job: Job = Box::new(move |_| _ = reply.send(inner.read_now(block)));
        self.inner.pool.run_anywhere(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for everything queued, forces it to the disk and saves the resume data.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.drain().await?;
        self.save(Stop::Unclean).await
    }

    /// Like [`Self::flush`], and nothing is written or checked any more: the next start need not hash
    /// anything.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.drain().await?;
        // What is queued only from now on finds the store halted, behind this second wait.
        self.inner.halted.store(true, Ordering::Release);
        self.drain().await?;
        self.save(Stop::Clean).await
    }

    async fn queue(
        &self,
        piece: PieceIndex,
        work: impl FnOnce(&Inner, &mut Scratch) + Send + 'static,
    ) -> Result<(), StoreError> {
        if self.inner.halted.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let inner = self.inner.clone();
        let job: Job = Box::new(move |scratch| work(&inner, scratch));
        let key = self.inner.number.wrapping_add(u64::from(piece.0));
        self.inner.pool.run_keyed(key, job).await.map_err(|_| StoreError::Closed)
    }

    /// Waits until every worker has done what was queued before.
    async fn drain(&self) -> Result<(), StoreError> {
        for worker in 0..self.inner.pool.workers().get() as u64 {
            let (reply, answer) = oneshot::channel();
            let job: Job = Box::new(move |_| _ = reply.send(()));
            self.inner.pool.run_keyed(worker, job).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?;
        }
        Ok(())
    }

    async fn save(&self, stop: Stop) -> Result<(), StoreError> {
        save(self.inner.clone(), stop).await
    }
}

/// Lets blocking work know that nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn open_now(
    options: StoreOptions,
    progress: impl FnMut(u32, u32) + Send,
    cancelled: &AtomicBool,
) -> Result<(Store, Found), OpenError> {
    let StoreOptions { metainfo, root, access, state_dir, pool, events } = options;
    let resume = state_dir.map(|dir| ResumeFile::new(&dir, metainfo.info_hashes(), &root));
    let opening =
        Opening { metainfo: &metainfo, root: &root, access, resume: resume.as_ref(), pool: &pool, cancelled };
    let Opened { files, mut found, learnt, lock } = opening.run(progress)?;
    let layout = metainfo.layout().clone();
    let missing = files.indices().map(|file| {
        let missing = layout.pieces_of(file).filter(|&piece| !found.verified.get(PieceIndex(piece)));
        AtomicU32::new(missing.count() as u32)
    });
    let inner = Inner {
        missing: missing.collect(),
        metainfo,
        layout,
        access,
        files,
        verified: Mutex::new(found.verified.clone()),
        halted: AtomicBool::new(false),
        events,
        number: pool.handles().store_number(),
        pool,
        resume,
        unsaved: AtomicBool::new(learnt),
        saving: Mutex::new(()),
        _lock: lock,
    };
    if learnt && let Err(error) = inner.save(Stop::Unclean) {
        found.warnings.push(error.to_string());
    }
    Ok((Store { inner: Arc::new(inner) }, found))
}

async fn save_now_and_then(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(SAVE_INTERVAL).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.halted.load(Ordering::Acquire) {
            return;
        }
        if inner.unsaved.load(Ordering::Acquire)
            && let Err(error) = save(inner, Stop::Unclean).await
        {
            tracing::warn!(%error, "progress not saved");
        }
    }
}

async fn save(inner: Arc<Inner>, stop: Stop) -> Result<(), StoreError> {
    let saved = tokio::task::spawn_blocking(move || inner.save(stop)).await;
    saved.unwrap_or(Err(StoreError::Closed))
}

impl Inner {
    fn verified(&self) -> MutexGuard<'_, Bitfield> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_now(&self, block: BlockRef, data: &[u8]) {
        if self.halted.load(Ordering::Acquire) || self.verified().get(block.piece) {
            return;
        }
        let mut rest = data;
        for segment in self.layout.segments(block) {
            let (bytes, after) = rest.split_at(segment.length as usize);
            rest = after;
            let Some(file) = segment.file else { continue };
            if let Err(error) = self.files.write(file, segment.file_offset, bytes) {
                return self.fail(StoreError::file("write", self.files.current_path(file), error));
            }
        }
    }

    fn check_now(&self, piece: PieceIndex, scratch: &mut Scratch) {
        if self.halted.load(Ordering::Acquire) {
            return;
        }
        let verdict = match self.judge(piece, scratch) {
            Ok(verdict) => verdict,
            Err(error) => return self.fail(error),
        };
        // Nobody listens any more: the torrent was removed.
        _ = self.events.send(StoreEvent::Checked { piece, verdict });
    }

    fn judge(&self, piece: PieceIndex, scratch: &mut Scratch) -> Result<Verdict, StoreError> {
        if self.verified().get(piece) {
            return Ok(Verdict::Good);
        }
        let check = self.metainfo.piece_check(piece).ok_or(StoreError::HashUnknown(piece))?;
        let hashes = hash_piece(&self.layout, piece, Wanted::by(&check), scratch, |stride, bytes| {
            self.files.read_block(&self.layout, stride, bytes)
        });
        match hashes {
            Ok(hashes) if hashes.satisfy(&check) => self.accept(piece).map(|()| Verdict::Good),
            Ok(_) => Ok(Verdict::Bad),
            Err(error) if is_absence(&error) => Ok(Verdict::Bad),
            Err(error) => Err(StoreError::file("read", self.path_in(piece), error)),
        }
    }

    /// Notes that a piece is good, and gives the files that it completes their final names.
    fn accept(&self, piece: PieceIndex) -> Result<(), StoreError> {
        if !self.verified().set(piece) {
            return Ok(());
        }
        self.unsaved.store(true, Ordering::Release);
        for file in self.files_of(piece) {
            let last = self.missing[file.0 as usize].fetch_sub(1, Ordering::AcqRel) == 1;
            if last && self.access == Access::ReadWrite {
                self.files.complete(file).map_err(|error| {
                    StoreError::file("give the final name to", self.files.current_path(file), error)
                })?;
            }
        }
        Ok(())
    }

    fn read_now(&self, block: BlockRef) -> Result<Bytes, StoreError> {
        if !self.verified().get(block.piece) {
            return Err(StoreError::NotVerified(block.piece));
        }
        let files = self.layout.segments(block).filter_map(|segment| segment.file);
        for file in files {
            if self.files.freshness(file) == Freshness::Changed {
                self.lose(file);
                return Err(StoreError::NotVerified(block.piece));
            }
        }
        let mut bytes = vec![0; block.length as usize];
        let read = read_segments(&self.layout, block, &mut bytes, |file, offset, part| {
            let read = self.files.read(file, offset, part);
            read.inspect_err(|error| {
                if is_absence(error) {
                    self.lose(file);
                }
            })
        });
        read.map_err(|error| StoreError::file("read", self.path_in(block.piece), error))?;
        Ok(bytes.into())
    }

    /// Takes back what was said of a file that somebody changed.
    fn lose(&self, file: FileIndex) {
        let mut verified = self.verified();
        let pieces: Vec<PieceIndex> =
            self.layout.pieces_of(file).map(PieceIndex).filter(|&piece| verified.clear(piece)).collect();
        for &piece in &pieces {
            for file in self.files_of(piece) {
                self.missing[file.0 as usize].fetch_add(1, Ordering::AcqRel);
            }
        }
        drop(verified);
        self.unsaved.store(true, Ordering::Release);
        if !pieces.is_empty() {
            let name = shown(&self.files.current_path(file));
            let message = format!("{name} was changed or removed; its pieces are not shared any more");
            _ = self.events.send(StoreEvent::Changed { message, pieces });
        }
    }

    /// The files with bytes in a piece.
    fn files_of(&self, piece: PieceIndex) -> impl Iterator<Item = FileIndex> {
        let files = self.layout.files_of(piece).map(FileIndex);
        files.filter(|&file| self.layout.file_size(file) > 0)
    }

    /// The path of the first file in a piece, for messages.
    fn path_in(&self, piece: PieceIndex) -> PathBuf {
        self.files_of(piece).next().map_or_else(PathBuf::new, |file| self.files.current_path(file))
    }

    fn fail(&self, error: StoreError) {
        if !self.halted.swap(true, Ordering::AcqRel) {
            _ = self.events.send(StoreEvent::Failed(error));
        }
    }

    /// Forces what is verified to the disk, then writes down that it is there.
    fn save(&self, stop: Stop) -> Result<(), StoreError> {
        let _one_at_a_time = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.unsaved.store(false, Ordering::Release);
        let verified = self.verified().clone();
        let saved = self.write_down(verified, stop);
        if saved.is_err() {
            self.unsaved.store(true, Ordering::Release);
        }
        saved
    }

    fn write_down(&self, verified: Bitfield, stop: Stop) -> Result<(), StoreError> {
        self.files.sync().map_err(|(path, error)| StoreError::file("force to the disk", path, error))?;
        let Some(resume) = &self.resume else { return Ok(()) };
        let files = self.files.indices().map(|file| self.files.record(file));
        resume.save(&ResumeData { verified, files: files.collect(), stop })?;
        Ok(())
    }
}
