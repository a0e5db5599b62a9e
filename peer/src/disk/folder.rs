//! The torrent's own folder: opened so that nothing leads out of it, locked, and measured.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use samara_proto::metainfo::Metainfo;

use super::Access;
use super::errors::OpenError;

/// The folder in which the torrent's files are named as in the metainfo: `root` for a single file, else the
/// folder in it that has the torrent's name. With its path.
pub(super) fn open(metainfo: &Metainfo, root: &Path, access: Access) -> Result<(Dir, PathBuf), OpenError> {
    let outer = open_root(root, access).map_err(|source| failed(root.to_path_buf(), source))?;
    if metainfo.is_single_file() {
        return Ok((outer, root.to_path_buf()));
    }
    let name = metainfo.name();
    match open_inner(&outer, name, access) {
        Ok(inner) => Ok((inner, root.join(name))),
        Err(source) => Err(failed(root.join(name), source)),
    }
}

fn open_root(root: &Path, access: Access) -> io::Result<Dir> {
    if access == Access::ReadWrite {
        Dir::create_ambient_dir_all(root, ambient_authority())?;
    }
    Dir::open_ambient_dir(root, ambient_authority())
}

fn open_inner(outer: &Dir, name: &str, access: Access) -> io::Result<Dir> {
    if access == Access::ReadWrite {
        match outer.create_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    if outer.symlink_metadata(name)?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link; links are not followed"));
    }
    outer.open_dir(name)
}

fn failed(path: PathBuf, source: io::Error) -> OpenError {
    OpenError::Folder { path, source }
}

/// Whether a lock was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// It is ours until the file is closed, or the file system has no locks.
    Ours,
    /// Somebody else has it.
    Taken,
}

/// Locks an open file or folder against every other process and store that asks.
pub(super) fn lock(file: &File) -> io::Result<Lock> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock::Ours),
        Err(Errno::WOULDBLOCK) => Ok(Lock::Taken),
        // Some network file systems lock nothing, or no folders; without a lock is better than not at all.
        Err(Errno::NOLCK | Errno::NOTSUP | Errno::BADF | Errno::NOSYS | Errno::INVAL) => Ok(Lock::Ours),
        Err(error) => Err(error.into()),
    }
}

/// Bytes that may still be written to the file system of `dir`; `None` where it does not say.
pub(super) fn free_bytes(dir: &Dir) -> Option<u64> {
    let stats = rustix::fs::fstatvfs(dir).ok()?;
    (stats.f_blocks > 0).then(|| stats.f_bavail.saturating_mul(stats.f_frsize))
}
