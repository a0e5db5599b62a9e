//! One torrent's content: blocks in, verified blocks out.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use samara_proto::bitfield::Bitfield;
use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{BlockRef, FileIndex, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::content::{Content, Read};
use super::errors::{OpenError, StoreError};
use super::hasher::Scratch;
use super::identity::Stamp;
use super::opening::{Opened, Opening};
use super::pool::{DiskPool, Job};
use super::resume::{ResumeData, ResumeFile, Stop};
use super::wanted::Wanted;
use super::{Access, Found, StoreOptions};
use crate::choice::Chosen;

/// Bytes that are read at once: no peer is ever promised longer requests.
const READ_LENGTH: u32 = 1 << 20;

/// How often what is known is saved: a killed process hashes what it got since then again, and every save
/// makes the disk write everything out.
const SAVE_INTERVAL: Duration = Duration::from_secs(30);

/// How often the bad pieces of a touched file are told while it is hashed again: many at a time.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is looked whether somebody put back what a seed lost or never had.
const LOOK_FOR_LOST: Duration = Duration::from_secs(5);

/// One torrent's files. Cheap to clone; the files are closed and unlocked when the last clone is gone and
/// what is queued is done.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    content: Content,
    pool: DiskPool,
    /// Keeps the pieces of different torrents apart in the workers' queues.
    number: u64,
    /// The folder the user named.
    root: PathBuf,
    resume: Option<ResumeFile>,
    saving: Mutex<()>,
    /// Held by whoever has leaf hashes computed for others.
    leaf_turn: Semaphore,
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
        if store.inner.content.access == Access::ReadOnly {
            tokio::spawn(look_for_lost(Arc::downgrade(&store.inner)));
        }
        Ok((store, found))
    }

    /// The pieces that are verified now.
    pub fn verified(&self) -> Bitfield {
        self.inner.content.verified().clone()
    }

    /// Queues a block to be written; waits while too much is queued. A block of a verified piece is dropped.
    /// What goes wrong later arrives as [`StoreEvent::Failed`](super::StoreEvent::Failed).
    ///
    /// # Errors
    /// If the block is not the torrent's, or nothing is written any more.
    pub async fn write_block(&self, block: BlockRef, data: impl Into<Bytes>) -> Result<(), StoreError> {
        let inner = &self.inner;
        let data = data.into();
        if !inner.content.layout.contains(block) {
            return Err(StoreError::NoSuchBlock(block));
        }
        if data.len() != block.length as usize {
            return Err(StoreError::WrongLength { expected: block.length, found: data.len() });
        }
        if inner.content.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly);
        }
        let room = inner.pool.write_room(block.length).await.map_err(|_| StoreError::Closed)?;
        self.queue(block.piece, move |content, _| {
            content.write_now(block, &data);
            drop(room);
        })
        .await
    }

    /// Queues a hash check behind the writes of the same piece; waits for room in the queue. Ends in
    /// [`StoreEvent::Checked`](super::StoreEvent::Checked), or [`StoreEvent::Failed`](super::StoreEvent::Failed).
    ///
    /// # Errors
    /// If there is no such piece, its hash is not known, or nothing is checked any more.
    pub async fn check_piece(&self, piece: PieceIndex) -> Result<(), StoreError> {
        if piece.0 >= self.inner.content.layout.piece_count() {
            return Err(StoreError::NoSuchPiece(piece));
        }
        if self.inner.content.metainfo.piece_check(piece).is_none() {
            return Err(StoreError::HashUnknown(piece));
        }
        self.queue(piece, move |content, scratch| content.check_now(piece, scratch)).await
    }

    /// The leaf hashes of a verified piece of a v2 file, none for what lies beyond the file's end. One piece is
    /// hashed at a time, so that those who ask keep no more than one worker from other work.
    ///
    /// # Errors
    /// If the piece is not verified, or its v2 hash not known.
    pub async fn leaves(&self, piece: PieceIndex) -> Result<Vec<Sha256Hash>, StoreError> {
        if piece.0 >= self.inner.content.layout.piece_count() {
            return Err(StoreError::NoSuchPiece(piece));
        }
        let _turn = self.inner.leaf_turn.acquire().await.map_err(|_| StoreError::Closed)?;
        self.ask(piece, move |content, scratch| content.leaves_now(piece, scratch)).await
    }

    /// The leaf hashes of a piece, if they need not be computed: of one that was verified lately, or is begun and whose
    /// leaf hashes came.
    pub fn known_leaves(&self, piece: PieceIndex) -> Option<Vec<Sha256Hash>> {
        self.inner.content.parts().leaves(piece)
    }

    /// Keeps the proven leaf hashes of a piece that is begun, so that its blocks can be checked and read one by one.
    ///
    /// # Errors
    /// If there is no such piece, it is verified, it has another number of blocks, or enough is kept.
    pub fn keep_leaves(&self, piece: PieceIndex, leaves: Vec<Sha256Hash>) -> Result<(), StoreError> {
        self.inner.content.keep_leaves(piece, leaves)
    }

    /// Queues a check of single blocks by the leaf hashes that are kept, behind the writes of the piece; waits for room
    /// in the queue. Ends in [`StoreEvent::BlocksChecked`](super::StoreEvent::BlocksChecked), or
    /// [`StoreEvent::Failed`](super::StoreEvent::Failed). What is good is not written to any more, and can be read.
    ///
    /// # Errors
    /// If the block is not the torrent's, or nothing is checked any more.
    pub async fn check_blocks(&self, block: BlockRef, order: u32) -> Result<(), StoreError> {
        if !self.inner.content.layout.contains(block) {
            return Err(StoreError::NoSuchBlock(block));
        }
        self.queue(block.piece, move |content, _| content.check_blocks_now(block, order)).await
    }

    /// Holds what is on disk of a block, or several of one piece, against leaf hashes; behind the writes of the
    /// piece. The 16 KiB blocks that are something else.
    ///
    /// # Errors
    /// If the block is not the torrent's, there are not as many leaves as it has, or the disk cannot be read.
    pub async fn judge(&self, block: BlockRef, leaves: Vec<Sha256Hash>) -> Result<Vec<BlockRef>, StoreError> {
        let is_whole = leaves.len() == block.length.div_ceil(BLOCK_LENGTH) as usize;
        if !is_whole || !self.inner.content.layout.contains(block) {
            return Err(StoreError::NoSuchBlock(block));
        }
        self.ask(block.piece, move |content, _| content.judge_now(block, &leaves)).await
    }

    /// Queues work on a piece and waits for its result.
    async fn ask<T: Send + 'static>(
        &self,
        piece: PieceIndex,
        work: impl FnOnce(&Content, &mut Scratch) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue(piece, move |content, scratch| _ = reply.send(work(content, scratch))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// The bytes of a block of a verified piece, or that was itself found good. If the file of a verified piece was
    /// touched, the piece is hashed first.
    ///
    /// # Errors
    /// If the block is not the torrent's or longer than 1 MiB, its piece is not verified, or its file was
    /// changed; then [`StoreEvent::Changed`](super::StoreEvent::Changed) or
    /// [`StoreEvent::Failed`](super::StoreEvent::Failed) says so too.
    pub async fn read_block(&self, block: BlockRef) -> Result<Bytes, StoreError> {
        if !self.inner.content.layout.contains(block) || block.length > READ_LENGTH {
            return Err(StoreError::NoSuchBlock(block));
        }
        loop {
            match self.try_read(block).await? {
                Read::Bytes(bytes) => return Ok(bytes),
                Read::Touched(..) | Read::InDoubt => self.inner.settle(block.piece).await?,
            }
        }
    }

    async fn try_read(&self, block: BlockRef) -> Result<Read, StoreError> {
        let (reply, answer) = oneshot::channel();
        let (inner, runtime) = (self.inner.clone(), Handle::current());
        let job: Job = Box::new(move |_| {
            let read = inner.content.read_now(block);
            // From here, because whoever reads may not wait for the answer.
            if let Ok(Read::Touched(file, stamp)) = read {
                runtime.spawn(hash_again(Arc::downgrade(&inner), file, stamp));
            }
            _ = reply.send(read);
        });
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
        self.inner.content.halted.store(true, Ordering::Release);
        self.drain().await?;
        self.save(Stop::Clean).await
    }

    /// Makes ready for other files being wanted than before: room, folders, and names under which they can be
    /// written to. What is there of files that are not wanted any more stays. Gives what the user should know, a
    /// sentence each.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing of the user's was changed then.
    pub async fn choose(&self, chosen: Arc<Chosen>) -> Result<Vec<String>, OpenError> {
        let inner = self.inner.clone();
        let chose = tokio::task::spawn_blocking(move || inner.choose(&chosen)).await;
        chose.unwrap_or(Err(OpenError::Interrupted))
    }

    async fn queue(
        &self,
        piece: PieceIndex,
        work: impl FnOnce(&Content, &mut Scratch) + Send + 'static,
    ) -> Result<(), StoreError> {
        if self.inner.content.halted.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let inner = self.inner.clone();
        let job: Job = Box::new(move |scratch| work(&inner.content, scratch));
        self.inner.pool.run_keyed(self.inner.key(piece), job).await.map_err(|_| StoreError::Closed)
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
    let StoreOptions { metainfo, root, access, chosen, state_dir, pool, events } = options;
    let resume = state_dir.map(|dir| ResumeFile::new(&dir, metainfo.info_hashes(), &root));
    let opening = Opening {
        metainfo: &metainfo,
        root: &root,
        access,
        chosen: &chosen,
        resume: resume.as_ref(),
        pool: &pool,
        cancelled,
    };
    let Opened { files, mut found, learnt, lock } = opening.run(progress)?;
    let content = Content::new(metainfo, access, files, found.verified.clone(), events, lock);
    content.unsaved.store(learnt, Ordering::Release);
    let number = pool.handles().store_number();
    let (saving, leaf_turn) = (Mutex::new(()), Semaphore::new(1));
    let inner = Inner { content, number, pool, root, resume, saving, leaf_turn };
    if learnt && let Err(error) = inner.save(Stop::Unclean) {
        found.warnings.push(error.to_string());
    }
    Ok((Store { inner: Arc::new(inner) }, found))
}

/// Settles what is in doubt of a touched file, a piece at a time so that other work gets its turn.
async fn hash_again(inner: Weak<Inner>, file: FileIndex, stamp: Stamp) {
    let Some(pieces) = inner.upgrade().map(|inner| inner.content.layout.pieces_of(file)) else { return };
    let mut reported = Instant::now();
    for piece in pieces.map(PieceIndex) {
        let Some(inner) = inner.upgrade() else { return };
        // What a seed lost or lacked may be good now; what is downloaded is checked when it is here.
        if inner.content.is_missing(piece) && inner.content.access == Access::ReadOnly {
            inner.check_again(piece).await;
        }
        while inner.content.is_in_doubt(piece) {
            if let Err(error) = inner.settle(piece).await {
                tracing::warn!(%error, piece = piece.0, "a changed piece could not be hashed");
                return inner.content.report_bad(file);
            }
        }
        if reported.elapsed() >= REPORT_INTERVAL {
            inner.content.report_bad(file);
            reported = Instant::now();
        }
    }
    let Some(inner) = inner.upgrade() else { return };
    inner.content.report_bad(file);
    inner.content.settled(file, stamp);
}

/// Hashes files that lack pieces and were touched since the last look: nobody reads from them, and would notice.
async fn look_for_lost(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK_FOR_LOST).await;
        let Some(looking) = inner.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || looking.content.touched_since_lost()).await;
        for (file, stamp) in looked.unwrap_or_default() {
            hash_again(inner.clone(), file, stamp).await;
        }
    }
}

async fn save_now_and_then(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(SAVE_INTERVAL).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.content.halted.load(Ordering::Acquire) {
            return;
        }
        if inner.content.unsaved.load(Ordering::Acquire)
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
    /// Jobs for one piece have the same key.
    fn key(&self, piece: PieceIndex) -> u64 {
        self.number.wrapping_add(u64::from(piece.0))
    }

    /// Hashes a piece again if it is in doubt.
    async fn settle(self: &Arc<Self>, piece: PieceIndex) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let inner = self.clone();
        let job: Job = Box::new(move |scratch| _ = reply.send(inner.content.settle(piece, scratch)));
        self.pool.run_keyed(self.key(piece), job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Hashes a piece that is not verified, beside its other work.
    async fn check_again(self: &Arc<Self>, piece: PieceIndex) {
        let (reply, answer) = oneshot::channel();
        let inner = self.clone();
        let job: Job = Box::new(move |scratch| _ = reply.send(inner.content.check_again(piece, scratch)));
        // Closed: nothing is checked any more.
        let Ok(()) = self.pool.run_keyed(self.key(piece), job).await else { return };
        if let Ok(Err(error)) = answer.await {
            tracing::warn!(%error, piece = piece.0, "a piece that was lost could not be hashed");
        }
    }

    fn choose(&self, chosen: &Chosen) -> Result<Vec<String>, OpenError> {
        let Content { metainfo, files, access, .. } = &self.content;
        if *access == Access::ReadOnly {
            return Ok(Vec::new());
        }
        let wanted = Wanted { metainfo, chosen, files, root: &self.root };
        wanted.check_room()?;
        wanted.refuse_foreign()?;
        let has_news = wanted.prepare()?;
        let verified = self.content.verified().clone();
        // What was ever ours and is whole no more was found when the store was opened.
        let mut warnings = wanted.reopen_damaged(&verified, |_| false)?;
        // Once it is halted, nothing is written.
        if has_news
            && !self.content.halted.load(Ordering::Acquire)
            && let Err(error) = self.save(Stop::Unclean)
        {
            warnings.push(error.to_string());
        }
        Ok(warnings)
    }

    /// Forces what is verified to the disk, then writes down that it is there.
    fn save(&self, stop: Stop) -> Result<(), StoreError> {
        let _one_at_a_time = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.content.unsaved.store(false, Ordering::Release);
        let verified = self.content.verified().clone();
        let saved = self.write_down(verified, stop);
        if saved.is_err() {
            self.content.unsaved.store(true, Ordering::Release);
        }
        saved
    }

    fn write_down(&self, verified: Bitfield, stop: Stop) -> Result<(), StoreError> {
        let files = &self.content.files;
        files.sync().map_err(|(path, error)| StoreError::file("force to the disk", path, error))?;
        let Some(resume) = &self.resume else { return Ok(()) };
        let records = files.indices().map(|file| files.record(file));
        resume.save(&ResumeData { verified, files: records.collect(), stop })?;
        Ok(())
    }
}
