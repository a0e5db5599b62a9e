//! Opening a torrent's files: what is ours, what is not, what needs hashing, and whether there is room.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cap_std::fs::{Dir, File};
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{FileIndex, Layout, PieceIndex};
use samara_proto::metainfo::Metainfo;

use super::errors::OpenError;
use super::files::{Files, Place};
use super::folder::{self, Lock};
use super::layers::{compute_layers, is_whole, unknown_layers};
use super::names::{file_names, shown};
use super::pool::DiskPool;
use super::recheck::{Effort, check_files};
use super::resume::{ResumeData, ResumeFile};
use super::wanted::Wanted;
use super::{Access, Found};
use crate::choice::Chosen;

/// Files that are ready for use.
pub(super) struct Opened {
    pub(super) files: Files,
    pub(super) found: Found,
    /// Whether more is known now than the resume data says.
    pub(super) learnt: bool,
    /// Held against other processes and stores as long as it is open.
    pub(super) lock: Option<File>,
}

/// What is opened, where and how.
pub(super) struct Opening<'a> {
    pub(super) metainfo: &'a Metainfo,
    pub(super) root: &'a Path,
    pub(super) access: Access,
    pub(super) chosen: &'a Chosen,
    pub(super) resume: Option<&'a ResumeFile>,
    pub(super) pool: &'a DiskPool,
    pub(super) cancelled: &'a AtomicBool,
}

impl Opening<'_> {
    /// Looks at every file, hashes those that nothing vouches for, and settles their names.
    pub(super) fn run(&self, mut progress: impl FnMut(u32, u32) + Send) -> Result<Opened, OpenError> {
        let layout: &Layout = self.metainfo.layout();
        let folder = folder::open(self.metainfo, self.root, self.access)?;
        let mut lock = self.lock_folder(&folder.0)?;
        let files =
            Files::new(folder, self.access, file_names(self.metainfo), layout, self.pool.handles().clone());
        let wanted = Wanted { metainfo: self.metainfo, chosen: self.chosen, files: &files, root: self.root };
        let resume = self.resume.and_then(|resume| resume.load(layout));
        let mut warnings = Vec::new();
        let vouched = self.survey(&files, resume.as_ref(), &mut warnings)?;
        let effort = Effort { threads: self.pool.workers(), cancelled: self.cancelled };
        let whole = self.learn_layers(&files, &effort, &mut progress)?;
        if self.access == Access::ReadWrite {
            wanted.check_room()?;
            wanted.prepare()?;
            lock = lock.map_or_else(|| self.lock_single_file(&files), |lock| Ok(Some(lock)))?;
        }
        let mut trusted = trusted_pieces(layout, resume.as_ref(), &vouched);
        let known = trusted.count_ones();
        for piece in whole.into_iter().flat_map(|file| layout.pieces_of(file)) {
            trusted.set(PieceIndex(piece));
        }
        let checked = check_files(self.metainfo, &files, trusted, &effort, &mut progress)
            .map_err(|(path, source)| OpenError::File { path, source })?;
        if self.cancelled.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(OpenError::Interrupted);
        }
        let claimed = self.claim(&files, resume.as_ref(), &checked.verified);
        let learnt = claimed || checked.verified.count_ones() > known;
        let mut found = Found { verified: checked.verified, stored: checked.stored, warnings };
        match self.access {
            Access::ReadWrite => self.settle(&wanted, resume.as_ref(), &mut found)?,
            Access::ReadOnly => found.stored.clear(),
        }
        Ok(Opened { files, found, learnt, lock })
    }

    /// Computes the piece layers that the metainfo lacks from files that are there, and returns those files.
    /// What is to be downloaded needs all layers; nothing was made yet if it cannot have them.
    fn learn_layers(
        &self,
        files: &Files,
        effort: &Effort<'_>,
        progress: &mut (impl FnMut(u32, u32) + Send),
    ) -> Result<Vec<FileIndex>, OpenError> {
        let needed = |file: Option<FileIndex>| match file.filter(|_| self.access == Access::ReadWrite) {
            Some(file) => Err(OpenError::HashesUnknown { path: files.current_path(file) }),
            None => Ok(()),
        };
        needed(unknown_layers(self.metainfo).find(|&file| !is_whole(files, file)))?;
        let whole = compute_layers(self.metainfo, files, effort, progress)
            .map_err(|(path, source)| OpenError::File { path, source })?;
        needed(unknown_layers(self.metainfo).next())?;
        Ok(whole)
    }

    /// Locks the folder of a torrent of many files that will be written to.
    fn lock_folder(&self, dir: &Dir) -> Result<Option<File>, OpenError> {
        if self.access == Access::ReadOnly || self.metainfo.is_single_file() {
            return Ok(None);
        }
        let path = self.root.join(self.metainfo.name());
        let locked = dir.open(".").and_then(|folder| Ok((folder::lock(&folder)?, folder)));
        match locked {
            Ok((Lock::Ours, folder)) => Ok(Some(folder)),
            Ok((Lock::Taken, _)) => Err(OpenError::InUse { path }),
            Err(source) => Err(OpenError::Folder { path, source }),
        }
    }

    /// Makes and locks the one incomplete file of a single-file torrent; the folder it is in is not ours.
    fn lock_single_file(&self, files: &Files) -> Result<Option<File>, OpenError> {
        let file = FileIndex(0);
        let place = files.place(file);
        if place == Place::Complete || files.size(file) == 0 {
            return Ok(None);
        }
        let names = files.names(file);
        let lock = || -> io::Result<Option<File>> {
            let handle = files.writable(file)?;
            match folder::lock(&handle)? {
                // Between our first look and the lock, somebody else may have finished the download.
                Lock::Ours if files.look(&names.complete)?.is_none() => handle.try_clone().map(Some),
                Lock::Ours if place == Place::Missing => {
                    files.dir().remove_file(&names.partial).map(|()| None)
                }
                _ => Ok(None),
            }
        };
        let in_use = || OpenError::InUse { path: files.full_path(&names.complete) };
        match lock() {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(in_use()),
            // Somebody else began since our first look.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(in_use()),
            Err(source) => Err(OpenError::File { path: files.full_path(&names.partial), source }),
        }
    }

    /// Finds every file, and says of which the resume data is still true.
    fn survey(
        &self,
        files: &Files,
        resume: Option<&ResumeData>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<bool>, OpenError> {
        files.indices().map(|file| self.survey_file(files, file, resume, warnings)).collect()
    }

    fn survey_file(
        &self,
        files: &Files,
        file: FileIndex,
        resume: Option<&ResumeData>,
        warnings: &mut Vec<String>,
    ) -> Result<bool, OpenError> {
        let names = files.names(file);
        let look = |path: &Path| {
            files.look(path).map_err(|source| OpenError::File { path: files.full_path(path), source })
        };
        let (place, path, stamp) = match look(&names.complete)? {
            Some(stamp) => (Place::Complete, &names.complete, Some(stamp)),
            None => match look(&names.partial)? {
                Some(stamp) => (Place::Partial, &names.partial, Some(stamp)),
                None => (Place::Missing, &names.partial, None),
            },
        };
        let size = files.size(file);
        if let Some(stamp) = stamp
            && stamp.size != size
        {
            let path = files.full_path(path);
            let why = format!("it has {} bytes where the torrent has {size}", stamp.size);
            // An incomplete file of no length is one that was just made when the process was killed. One that was
            // awaited has its full length, but for that moment.
            let ours =
                place == Place::Partial && (stamp.size == 0 || resume.is_some_and(|it| it.knows(file)));
            match self.access {
                Access::ReadWrite if ours => {}
                Access::ReadWrite => return Err(OpenError::Foreign { path, why }),
                Access::ReadOnly => {
                    warnings.push(format!("{} is not the torrent's file: {why}", shown(&path)))
                }
            }
        }
        files.found(file, place, stamp);
        Ok(resume.is_some_and(|resume| resume.vouches_for(file, place, stamp, size)))
    }

    /// Claims the incomplete files that are ours: those that resume data expects, hold a good piece, or nothing at
    /// all. Where no resume data is kept, every one is. Whether any file to be written is ours that is not expected.
    fn claim(&self, files: &Files, resume: Option<&ResumeData>, verified: &Bitfield) -> bool {
        let is_expected = |file| self.resume.is_none() || resume.is_some_and(|resume| resume.expects(file));
        let is_good = |piece| verified.get(PieceIndex(piece));
        for file in files.indices().filter(|&file| files.is_foreign(file)) {
            let is_ours = is_expected(file)
                || self.metainfo.layout().pieces_of(file).any(is_good)
                || !files.has_data(file, 0, files.size(file));
            if is_ours {
                files.claim(file);
            }
        }
        let is_news = |file| files.is_claimed(file) && !is_expected(file);
        self.access == Access::ReadWrite && files.indices().any(is_news)
    }

    /// Gives every file the name that its pieces have earned, once none is in the way.
    fn settle(
        &self,
        wanted: &Wanted<'_>,
        resume: Option<&ResumeData>,
        found: &mut Found,
    ) -> Result<(), OpenError> {
        let files = wanted.files;
        wanted.refuse_foreign()?;
        for file in files.indices().filter(|&file| files.size(file) > 0) {
            let mut pieces = self.metainfo.layout().pieces_of(file).map(PieceIndex);
            if files.place(file) == Place::Partial && pieces.all(|piece| found.verified.get(piece)) {
                let path = files.full_path(&files.names(file).complete);
                files.complete(file).map_err(|source| OpenError::File { path, source })?;
            }
        }
        let is_ours = |file| resume.is_some_and(|resume| resume.knows(file));
        found.warnings.extend(wanted.reopen_damaged(&found.verified, is_ours)?);
        Ok(())
    }
}

/// The pieces that the resume data claims and whose files it still describes.
fn trusted_pieces(layout: &Layout, resume: Option<&ResumeData>, vouched: &[bool]) -> Bitfield {
    let mut trusted = Bitfield::new(layout.piece_count());
    let Some(resume) = resume else { return trusted };
    for piece in resume.verified.iter_ones() {
        let mut files = layout.files_of(piece).filter(|&file| layout.file_size(FileIndex(file)) > 0);
        if files.all(|file| vouched[file as usize]) {
            trusted.set(piece);
        }
    }
    trusted
}
