//! Finds the files of a folder that is to be shared, and refuses what a torrent cannot carry.

use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use samara_proto::limits;

use super::identity::Stamp;
use super::names::shown;

/// Why a file or folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Something cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path that ends in no name, such as the root folder.
    #[error("{} has no name that a torrent could carry", shown(path))]
    NoName {
        /// Which.
        path: PathBuf,
    },
    /// A name that is not UTF-8.
    #[error("the name of {} is not UTF-8, which torrents demand: rename it", shown(path))]
    NotUtf8 {
        /// Which.
        path: PathBuf,
    },
    /// A symbolic link, socket, pipe or device.
    #[error("{} is {what}, which a torrent cannot carry: move it away or replace it by a file", shown(path))]
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A folder without a file.
    #[error("there is nothing to share: {} contains no files", shown(path))]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// More files than a torrent may have.
    #[error("{} contains more than {max} files: share an archive of it", shown(path), max = limits::FILES)]
    TooManyFiles {
        /// Which.
        path: PathBuf,
    },
    /// Folders inside folders without end.
    #[error("{} is nested deeper than {max} folders", shown(path), max = limits::PATH_DEPTH)]
    TooDeep {
        /// Which.
        path: PathBuf,
    },
}

/// What there is to share.
#[derive(Debug)]
pub(super) struct Walked {
    /// The folder that holds it.
    pub(super) root: PathBuf,
    /// Its own name.
    pub(super) name: String,
    /// Whether it is one file, not a folder.
    pub(super) single_file: bool,
    /// Every file in the order of a torrent: sorted bytewise by path components.
    pub(super) files: Vec<WalkedFile>,
}

/// One file, when it was found.
#[derive(Debug)]
pub(super) struct WalkedFile {
    /// Components below the folder's name; the file's own name if it is the only one.
    pub(super) path: Vec<String>,
    pub(super) stamp: Stamp,
}

/// Everything at and below `path`, hidden files included.
pub(super) fn walk(path: &Path) -> Result<Walked, WalkError> {
    let whole = path.canonicalize().map_err(|source| read_error(path, source))?;
    let (Some(root), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(WalkError::NoName { path: whole });
    };
    let name = utf8(name, &whole)?;
    let metadata = fs::symlink_metadata(&whole).map_err(|source| read_error(&whole, source))?;
    let mut walked =
        Walked { root: root.to_path_buf(), name, single_file: !metadata.is_dir(), files: Vec::new() };
    if metadata.is_dir() {
        walk_folder(&whole, &mut walked.files)?;
    } else {
        let stamp = plain_file(&whole, &metadata)?;
        walked.files.push(WalkedFile { path: vec![walked.name.clone()], stamp });
    }
    if walked.files.is_empty() {
        return Err(WalkError::Empty { path: whole });
    }
    Ok(walked)
}

fn walk_folder(top: &Path, files: &mut Vec<WalkedFile>) -> Result<(), WalkError> {
    // Components of what is still to be looked at, the next one last.
    let mut waiting = contents(top, &[])?;
    while let Some(components) = waiting.pop() {
        let path: PathBuf = top.join(components.iter().collect::<PathBuf>());
        let metadata = fs::symlink_metadata(&path).map_err(|source| read_error(&path, source))?;
        if metadata.is_dir() {
            if components.len() >= limits::PATH_DEPTH {
                return Err(WalkError::TooDeep { path });
            }
            waiting.extend(contents(&path, &components)?);
        } else {
            let stamp = plain_file(&path, &metadata)?;
            files.push(WalkedFile { path: components, stamp });
        }
        if files.len() + waiting.len() > limits::FILES as usize {
            return Err(WalkError::TooManyFiles { path: top.to_path_buf() });
        }
    }
    Ok(())
}

/// What is in a folder, last name first.
fn contents(folder: &Path, components: &[String]) -> Result<Vec<Vec<String>>, WalkError> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<OsString>>>()
    });
    let mut names = entries
        .map_err(|source| read_error(folder, source))?
        .into_iter()
        .map(|name| utf8(&name, &folder.join(&name)))
        .collect::<Result<Vec<String>, _>>()?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names.into_iter().map(|name| components.iter().cloned().chain([name]).collect()).collect())
}

fn plain_file(path: &Path, metadata: &Metadata) -> Result<Stamp, WalkError> {
    if !metadata.is_file() {
        return Err(WalkError::Special { path: path.to_path_buf(), what: kind(metadata.file_type()) });
    }
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Ok(Stamp::new(metadata.len(), modified, (metadata.ctime(), metadata.ctime_nsec())))
}

fn kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

fn utf8(name: &OsStr, path: &Path) -> Result<String, WalkError> {
    name.to_str().map(str::to_owned).ok_or_else(|| WalkError::NotUtf8 { path: path.to_path_buf() })
}

fn read_error(path: &Path, source: io::Error) -> WalkError {
    WalkError::Read { path: path.to_path_buf(), source }
}
