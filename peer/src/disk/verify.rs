//! Hashes what is on disk against a torrent, and changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{FileIndex, PieceIndex};
use samara_proto::metainfo::Metainfo;

use super::errors::OpenError;
use super::files::{Files, Place};
use super::handles::Handles;
use super::layers::{compute_layers, unknown_layers};
use super::names::{content_root, file_names, shown};
use super::pool::cores;
use super::recheck::{Effort, check_files};
use super::{Access, folder};
use crate::choice::Chosen;

/// Why content cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The folder cannot be read.
    #[error(transparent)]
    Folder(OpenError),
    /// Something in the torrent's place cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    File {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be, and the metainfo does not say what its pieces shall be.
    #[error(
        "{} is incomplete or damaged, and the torrent file has no piece hashes to tell where: samara get \
         asks peers for them",
        shown(.0)
    )]
    HashesUnknown(PathBuf),
}

/// What is on disk of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Pieces that are wanted.
    pub pieces_total: u32,
    /// Those whose bytes are on disk.
    pub pieces_good: u32,
    /// Whether every file that is wanted is there, under its own name, with its own length and content.
    pub complete: bool,
    /// The files of which that is not true.
    pub damaged: Vec<PathBuf>,
    /// Those of them that are there under the names of incomplete files, by the names they should have.
    pub partial: Vec<PathBuf>,
}

/// Hashes on all cores what `dir` holds of what is chosen of a torrent; see [`content_root`] for what `dir` may
/// be. Files that are not the torrent's do not matter. A file that is only there under its incomplete name counts with the
/// pieces it has.
///
/// `progress` hears, from some thread, how many pieces of how many are hashed.
///
/// # Errors
/// If something that is there cannot be read, or hashes are not known. Missing files are no error.
pub fn verify(
    metainfo: &Metainfo,
    dir: &Path,
    chosen: &Chosen,
    mut progress: impl FnMut(u32, u32) + Send,
) -> Result<VerifyReport, VerifyError> {
    let layout = metainfo.layout();
    let unwanted = chosen.unwanted();
    let pieces_total = unwanted.len() - unwanted.count_ones();
    let root = content_root(metainfo, dir);
    let folder = match folder::open(metainfo, &root, Access::ReadOnly) {
        Err(OpenError::Folder { path, source })
            if source.kind() == io::ErrorKind::NotFound && path != root =>
        {
            return Ok(nothing_there(metainfo, chosen, &path));
        }
        folder => folder.map_err(VerifyError::Folder)?,
    };
    let names = file_names(metainfo);
    let files = Files::new(folder, Access::ReadOnly, names, layout, Arc::new(Handles::new()));
    let mut damaged: Vec<FileIndex> = Vec::new();
    for file in files.indices() {
        if !find(&files, file)? && chosen.has(file) {
            damaged.push(file);
        }
    }
    let effort = Effort { threads: cores(), cancelled: &AtomicBool::new(false) };
    let failed = |(path, source)| VerifyError::File { path, source };
    let whole = compute_layers(metainfo, &files, &effort, &mut progress).map_err(failed)?;
    if let Some(file) = unknown_layers(metainfo).find(|&file| files.place(file) != Place::Missing) {
        return Err(VerifyError::HashesUnknown(files.current_path(file)));
    }
    // What nobody asks for need not be hashed.
    let mut trusted: Bitfield = unwanted.clone();
    for piece in whole.into_iter().flat_map(|file| layout.pieces_of(file)) {
        trusted.set(PieceIndex(piece));
    }
    let checked = check_files(metainfo, &files, trusted, &effort, &mut progress).map_err(failed)?;
    let bad = files.indices().filter(|&file| chosen.has(file)).filter(|&file| {
        let mut pieces = layout.pieces_of(file).map(PieceIndex);
        pieces.any(|piece| !checked.verified.get(piece))
    });
    damaged.extend(bad);
    damaged.sort_unstable();
    damaged.dedup();
    let named = |file: FileIndex| files.full_path(&files.names(file).complete);
    let is_partial = |file: &FileIndex| files.place(*file) == Place::Partial;
    Ok(VerifyReport {
        pieces_total,
        pieces_good: checked.verified.count_ones() - unwanted.count_ones(),
        complete: damaged.is_empty() && checked.verified.is_full(),
        partial: damaged.iter().copied().filter(is_partial).map(named).collect(),
        damaged: damaged.into_iter().map(named).collect(),
    })
}

/// Looks for a file; whether it is there with its own name and length.
fn find(files: &Files, file: FileIndex) -> Result<bool, VerifyError> {
    let names = files.names(file);
    let look = |path: &Path| {
        files.look(path).map_err(|source| VerifyError::File { path: files.full_path(path), source })
    };
    if let Some(stamp) = look(&names.complete)? {
        files.found(file, Place::Complete, Some(stamp));
        return Ok(stamp.size == files.size(file));
    }
    if let Some(stamp) = look(&names.partial)? {
        files.found(file, Place::Partial, Some(stamp));
    }
    Ok(false)
}

fn nothing_there(metainfo: &Metainfo, chosen: &Chosen, folder: &Path) -> VerifyReport {
    let names = (0..).map(FileIndex).zip(file_names(metainfo)).filter(|(file, _)| chosen.has(*file));
    let damaged = names.map(|(_, names)| folder.join(names.complete));
    let unwanted = chosen.unwanted();
    VerifyReport {
        pieces_total: unwanted.len() - unwanted.count_ones(),
        pieces_good: 0,
        complete: false,
        damaged: damaged.collect(),
        partial: Vec::new(),
    }
}
