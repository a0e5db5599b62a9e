//! What the workers do with one torrent's content: write, check, read, and look into changes.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cap_std::fs::File;
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, FileIndex, Layout, PieceIndex};
use samara_proto::metainfo::Metainfo;
use tokio::sync::mpsc;

use super::doubts::Doubts;
use super::errors::StoreError;
use super::files::{Files, Place, read_segments};
use super::hasher::{Scratch, Wanted, hash_piece};
use super::identity::{Freshness, Stamp, changed};
use super::names::shown;
use super::parts::Parts;
use super::recheck::is_absence;
use super::{Access, StoreEvent};
use crate::engine::event::Verdict;

/// What came of a read.
pub(super) enum Read {
    /// The bytes.
    Bytes(Bytes),
    /// A file was just seen to be touched: its pieces are in doubt.
    Touched(FileIndex, Stamp),
    /// The piece is in doubt.
    InDoubt,
}

/// A torrent's files and what is known of them. Calls block; those for one piece must not overlap.
pub(super) struct Content {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) layout: Arc<Layout>,
    pub(super) access: Access,
    pub(super) files: Files,
    verified: Mutex<Bitfield>,
    /// What is known of the blocks of pieces that are not verified, and of some that are.
    pub(super) parts: Mutex<Parts>,
    /// Taken before `verified` where both are.
    doubts: Mutex<Doubts>,
    /// Pieces of each file that are not verified.
    missing: Vec<AtomicU32>,
    /// Nothing more is written or checked.
    pub(super) halted: AtomicBool,
    /// More is known than was saved.
    pub(super) unsaved: AtomicBool,
    pub(super) events: mpsc::UnboundedSender<StoreEvent>,
    /// Keeps others from writing there, until nothing is left to write.
    lock: Mutex<Option<File>>,
}

impl Content {
    pub(super) fn new(
        metainfo: Arc<Metainfo>,
        access: Access,
        files: Files,
        verified: Bitfield,
        events: mpsc::UnboundedSender<StoreEvent>,
        lock: Option<File>,
    ) -> Self {
        let layout = metainfo.layout().clone();
        let missing = files.indices().map(|file| {
            let missing = layout.pieces_of(file).filter(|&piece| !verified.get(PieceIndex(piece)));
            AtomicU32::new(missing.count() as u32)
        });
        Self {
            missing: missing.collect(),
            metainfo,
            layout,
            access,
            files,
            lock: Mutex::new(lock.filter(|_| !verified.is_full())),
            doubts: Mutex::new(Doubts::new(verified.len())),
            verified: Mutex::new(verified),
            parts: Mutex::default(),
            halted: AtomicBool::new(false),
            unsaved: AtomicBool::new(false),
            events,
        }
    }

    /// The pieces that are verified now.
    pub(super) fn verified(&self) -> MutexGuard<'_, Bitfield> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a block, unless nothing is written any more, but for what is verified, alone or with its piece.
    pub(super) fn write_now(&self, block: BlockRef, data: &[u8]) {
        if self.halted.load(Ordering::Acquire) || self.verified().get(block.piece) {
            return;
        }
        let unverified = self.parts().not_good(block);
        for part in unverified {
            let begin = (part.begin - block.begin) as usize;
            self.write_part(part, &data[begin..begin + part.length as usize]);
        }
    }

    fn write_part(&self, block: BlockRef, data: &[u8]) {
        let mut rest = data;
        for segment in self.layout.segments(block) {
            let (bytes, after) = rest.split_at(segment.length as usize);
            rest = after;
            let Some(file) = segment.file else { continue };
            if let Err(error) = self.files.write(file, segment.file_offset, bytes) {
                return self.fail(self.failure("write", file, error));
            }
        }
    }

    /// Hashes a piece and reports the verdict.
    pub(super) fn check_now(&self, piece: PieceIndex, scratch: &mut Scratch) {
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

    /// Hashes a piece that is not verified, whose file somebody touched; reports it only if it is good now.
    pub(super) fn check_again(&self, piece: PieceIndex, scratch: &mut Scratch) -> Result<(), StoreError> {
        if self.halted.load(Ordering::Acquire)
            || self.verified().get(piece)
            || self.judge(piece, scratch)? == Verdict::Bad
        {
            return Ok(());
        }
        // Nobody listens any more: the torrent was removed.
        _ = self.events.send(StoreEvent::Checked { piece, verdict: Verdict::Good });
        Ok(())
    }

    fn judge(&self, piece: PieceIndex, scratch: &mut Scratch) -> Result<Verdict, StoreError> {
        if self.verified().get(piece) {
            return Ok(Verdict::Good);
        }
        if !self.is_good(piece, scratch)? {
            return Ok(Verdict::Bad);
        }
        self.accept(piece, scratch).map(|()| Verdict::Good)
    }

    /// Whether the bytes of a piece are the torrent's.
    fn is_good(&self, piece: PieceIndex, scratch: &mut Scratch) -> Result<bool, StoreError> {
        let check = self.metainfo.piece_check(piece).ok_or(StoreError::HashUnknown(piece))?;
        if self.parts().is_all_good(piece) {
            return Ok(true);
        }
        let mut vanished = None;
        let hashes = hash_piece(&self.layout, piece, Wanted::by(&check), scratch, |stride, bytes| {
            read_segments(&self.layout, stride, bytes, |file, offset, part| {
                let read = self.files.read(file, offset, part);
                read.inspect_err(|error| {
                    if is_absence(error) && self.files.place(file) == Place::Partial {
                        vanished = Some(file);
                    }
                })
            })
        });
        match hashes {
            Ok(hashes) => {
                let is_good = hashes.satisfy(&check);
                if is_good && hashes.v2.is_some() {
                    self.parts().remember(piece, scratch.leaves());
                }
                Ok(is_good)
            }
            Err(error) if let Some(file) = vanished => Err(self.failure("read", file, error)),
            Err(error) if is_absence(&error) => Ok(false),
            Err(error) => Err(StoreError::file("read", self.path_in(piece), error)),
        }
    }

    /// Notes that a piece is good, and gives the files that it completes their final names.
    fn accept(&self, piece: PieceIndex, scratch: &mut Scratch) -> Result<(), StoreError> {
        if !self.verified().set(piece) {
            return Ok(());
        }
        self.parts().on_whole(piece);
        self.unsaved.store(true, Ordering::Release);
        let complete = self.verified().is_full();
        for file in self.files_of(piece) {
            let last = self.missing[file.0 as usize].fetch_sub(1, Ordering::AcqRel) == 1;
            if last && self.access == Access::ReadWrite {
                self.check_holes(file, scratch)?;
                let completed = self.files.complete(file);
                completed.map_err(|error| self.failure("give the final name to", file, error))?;
            }
        }
        if complete {
            self.unlock();
        }
        Ok(())
    }

    /// Hashes the pieces of a file again in which it has holes: somebody may have cut it off and made it as long as
    /// before. Some file systems store zeros as holes, so that a good piece may have one.
    fn check_holes(&self, file: FileIndex, scratch: &mut Scratch) -> Result<(), StoreError> {
        let (start, piece_length) = (self.layout.file_start(file), u64::from(self.layout.piece_length()));
        let mut offset = 0;
        while let Some(hole) = self.files.next_hole(file, offset) {
            let number = (start + hole) / piece_length;
            // A torrent has no more pieces than fit 32 bits.
            if !self.is_good(PieceIndex(number as u32), scratch)? {
                return Err(self.failure("read", file, changed()));
            }
            offset = (number + 1) * piece_length - start;
        }
        Ok(())
    }

    /// Lets others into the folder: nothing is written any more.
    fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads a block that is verified, alone or of a verified piece, the latter after a look at whether its files are
    /// still the same.
    pub(super) fn read_now(&self, block: BlockRef) -> Result<Read, StoreError> {
        if !self.verified().get(block.piece) {
            return self.read_part(block).map(Read::Bytes);
        }
        let files = self.layout.segments(block).filter_map(|segment| segment.file);
        for file in files {
            match self.look(file) {
                Freshness::Same => {}
                Freshness::Touched(stamp) => return Ok(Read::Touched(file, stamp)),
                Freshness::Lost => return Err(StoreError::NotVerified(block.piece)),
            }
        }
        if self.is_in_doubt(block.piece) {
            return Ok(Read::InDoubt);
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
        Ok(Read::Bytes(bytes.into()))
    }

    /// Looks whether a file is still the same, and takes back or puts in doubt what was said of it if not.
    fn look(&self, file: FileIndex) -> Freshness {
        let freshness = self.files.freshness(file);
        match freshness {
            Freshness::Same => {}
            Freshness::Touched(_) => self.doubts().raise(self.layout.pieces_of(file), &self.verified()),
            Freshness::Lost => self.lose(file),
        }
        freshness
    }

    /// Files with pieces that are not there, or were taken back, which somebody touched since the last look.
    pub(super) fn touched_since_lost(&self) -> Vec<(FileIndex, Stamp)> {
        let lost =
            self.files.indices().filter(|file| self.missing[file.0 as usize].load(Ordering::Acquire) > 0);
        let touched = lost.filter_map(|file| match self.look(file) {
            Freshness::Touched(stamp) => Some((file, stamp)),
            Freshness::Same | Freshness::Lost => None,
        });
        touched.collect()
    }

    /// Whether a piece is not verified.
    pub(super) fn is_missing(&self, piece: PieceIndex) -> bool {
        !self.verified().get(piece)
    }

    /// Whether a piece must be hashed again before it is served.
    pub(super) fn is_in_doubt(&self, piece: PieceIndex) -> bool {
        self.doubts().about(piece).is_some()
    }

    /// Hashes a piece again if it is in doubt. Afterwards it is not, unless a file was touched meanwhile.
    pub(super) fn settle(&self, piece: PieceIndex, scratch: &mut Scratch) -> Result<(), StoreError> {
        let Some(begun) = self.doubts().about(piece) else { return Ok(()) };
        let is_good = self.is_good(piece, scratch)?;
        let mut doubts = self.doubts();
        if doubts.settle(piece, begun) && !is_good && self.forget(piece, &mut self.verified()) {
            doubts.add_bad(piece);
        }
        Ok(())
    }

    /// Reports the pieces of a touched file that were found bad since the last time.
    pub(super) fn report_bad(&self, file: FileIndex) {
        let pieces = self.doubts().take_bad(&self.layout.pieces_of(file));
        if !pieces.is_empty() {
            self.report_lost(file, pieces);
        }
    }

    /// Notes that every piece of a touched file was hashed again since it had this stamp.
    pub(super) fn settled(&self, file: FileIndex, stamp: Stamp) {
        self.files.checked(file, stamp);
        self.unsaved.store(true, Ordering::Release);
    }

    /// Takes back what was said of a file that somebody removed or made shorter or longer.
    fn lose(&self, file: FileIndex) {
        let mut verified = self.verified();
        let pieces = self.layout.pieces_of(file).map(PieceIndex);
        let pieces = pieces.filter(|&piece| self.forget(piece, &mut verified)).collect();
        drop(verified);
        self.report_lost(file, pieces);
    }

    /// Takes back that a piece is verified; whether it was.
    fn forget(&self, piece: PieceIndex, verified: &mut Bitfield) -> bool {
        let was_verified = verified.clear(piece);
        if was_verified {
            for file in self.files_of(piece) {
                self.missing[file.0 as usize].fetch_add(1, Ordering::AcqRel);
            }
        }
        was_verified
    }

    fn report_lost(&self, file: FileIndex, pieces: Vec<PieceIndex>) {
        self.unsaved.store(true, Ordering::Release);
        let path = self.files.current_path(file);
        if self.access == Access::ReadWrite {
            self.files.on_changed(file);
            // A complete file is never written to, so nothing can replace them before the next start.
            self.fail(StoreError::Changed { path });
        } else if !pieces.is_empty() {
            let (name, lost, all) = (shown(&path), pieces.len(), self.layout.pieces_of(file).len());
            let message =
                format!("{name} was changed or removed; {lost} of its {all} pieces are not shared any more");
            _ = self.events.send(StoreEvent::Changed { message, pieces });
        }
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files with bytes in a piece.
    fn files_of(&self, piece: PieceIndex) -> impl Iterator<Item = FileIndex> {
        let files = self.layout.files_of(piece).map(FileIndex);
        files.filter(|&file| self.layout.file_size(file) > 0)
    }

    /// The path of the first file in a piece, for messages.
    pub(super) fn path_in(&self, piece: PieceIndex) -> PathBuf {
        self.files_of(piece).next().map_or_else(PathBuf::new, |file| self.files.current_path(file))
    }

    /// Why something could not be done with a file that was there.
    fn failure(&self, action: &'static str, file: FileIndex, error: io::Error) -> StoreError {
        let path = self.files.current_path(file);
        if is_absence(&error) {
            self.files.on_changed(file);
            return StoreError::Changed { path };
        }
        if error.kind() == io::ErrorKind::AlreadyExists {
            return StoreError::InTheWay { path: self.files.next_path(file) };
        }
        StoreError::file(action, path, error)
    }

    pub(super) fn fail(&self, error: StoreError) {
        if !self.halted.swap(true, Ordering::AcqRel) {
            _ = self.events.send(StoreEvent::Failed(error));
        }
    }
}
