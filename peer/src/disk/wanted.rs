//! Making ready for what is wanted: room, folders, lengths, and names under which files can be written to.

use std::path::{Path, PathBuf};

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{FileIndex, PieceIndex};
use samara_proto::metainfo::Metainfo;

use super::errors::OpenError;
use super::files::{Files, Place};
use super::folder;
use super::names::shown;
use super::resume::Record;
use crate::choice::Chosen;

/// What is wanted of a torrent, and where it is to be.
pub(super) struct Wanted<'a> {
    pub(super) metainfo: &'a Metainfo,
    pub(super) chosen: &'a Chosen,
    pub(super) files: &'a Files,
    /// The folder the user named.
    pub(super) root: &'a Path,
}

impl Wanted<'_> {
    /// Whether there is room for all of it.
    pub(super) fn check_room(&self) -> Result<(), OpenError> {
        let wanted = self.files.indices().filter(|&file| self.chosen.has(file));
        let needed_bytes = wanted.map(|file| self.files.unallocated(file)).fold(0, u64::saturating_add);
        match folder::free_bytes(self.files.dir()) {
            Some(free_bytes) if free_bytes < needed_bytes => {
                Err(OpenError::NoRoom { path: self.root.to_path_buf(), needed_bytes, free_bytes })
            }
            _ => Ok(()),
        }
    }

    /// Whether every incomplete file that is to be written to is ours.
    pub(super) fn refuse_foreign(&self) -> Result<(), OpenError> {
        let files = self.files;
        let mut written_to = files.indices().filter(|&file| self.is_written_to(file));
        match written_to.find(|&file| files.is_foreign(file)) {
            Some(file) => {
                let why = "nothing in it is the torrent's".to_owned();
                Err(OpenError::Foreign { path: files.current_path(file), why })
            }
            None => Ok(()),
        }
    }

    /// Makes every folder that a file to be written is in and every empty file that is wanted, and gives
    /// incomplete files their length. Whether resume data must know of more files before they are made.
    pub(super) fn prepare(&self) -> Result<bool, OpenError> {
        let files = self.files;
        let mut has_news = false;
        let mut made = PathBuf::new();
        for file in files.indices().filter(|&file| self.is_written_to(file)) {
            let path = &files.names(file).complete;
            let parent = path.parent().unwrap_or(Path::new(""));
            if !parent.as_os_str().is_empty() && parent != made {
                files
                    .dir()
                    .create_dir_all(parent)
                    .map_err(|source| OpenError::Folder { path: files.full_path(parent), source })?;
                made = parent.to_path_buf();
            }
            let ready = match files.place(file) {
                Place::Missing if files.size(file) == 0 => files.create_empty(file),
                Place::Missing => {
                    has_news |= files.claim(file);
                    Ok(())
                }
                Place::Partial => files.set_length(file),
                Place::Complete => Ok(()),
            };
            ready.map_err(|source| OpenError::File { path: files.current_path(file), source })?;
        }
        Ok(has_news)
    }

    /// Takes the final name from files that are damaged, so that they can be repaired, and says so; `is_ours` says
    /// of one without any good piece whether it ever was the torrent's. Where nothing is to be written to a file,
    /// it is left alone.
    pub(super) fn reopen_damaged(
        &self,
        verified: &Bitfield,
        is_ours: impl Fn(FileIndex) -> bool,
    ) -> Result<Vec<String>, OpenError> {
        let mut warnings = Vec::new();
        let files = self.files;
        let written_to = files.indices().filter(|&file| files.size(file) > 0 && self.is_written_to(file));
        for file in written_to.filter(|&file| files.place(file) == Place::Complete) {
            let pieces = self.metainfo.layout().pieces_of(file).map(PieceIndex);
            let all = pieces.len();
            let good = pieces.filter(|&piece| verified.get(piece)).count();
            if good == all {
                continue;
            }
            let path = files.full_path(&files.names(file).complete);
            if good == 0 && !is_ours(file) {
                let why = "it is not the torrent's file, although it is as long".to_owned();
                return Err(OpenError::Foreign { path, why });
            }
            let now = files.look(&files.names(file).complete);
            if !now.is_ok_and(|now| now.is_some() && files.record(file) == Record::Complete(now)) {
                // Its good pieces may be so no more, and nobody looks after a file that is being written to.
                let why = "it was changed since it was checked".to_owned();
                return Err(OpenError::Foreign { path, why });
            }
            let bad = all - good;
            warnings.push(format!(
                "{} is damaged in {bad} of {all} pieces; they are fetched again",
                shown(&path)
            ));
            files.reopen(file).map_err(|source| OpenError::File { path, source })?;
        }
        Ok(warnings)
    }

    fn is_written_to(&self, file: FileIndex) -> bool {
        self.chosen.touches(self.metainfo.layout(), file)
    }
}
