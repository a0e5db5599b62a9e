//! Why a torrent's files cannot be opened, read or written, in sentences that say what to do.

use std::io;
use std::path::PathBuf;

use samara_proto::layout::{BlockRef, PieceIndex};

use super::names::shown;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is missing, not readable or cannot be made.
    #[error("cannot use the folder {}: {source}", shown(path))]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the torrent's place cannot be used.
    #[error("cannot use {}: {source}", shown(path))]
    File {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the user's has a name that the torrent needs.
    #[error("{} is in the way: {why}; it was left alone: move it away or choose another folder", shown(path))]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process, or another torrent here, writes there.
    #[error("{} is being downloaded already, by this or another process: choose another folder", shown(path))]
    InUse {
        /// What.
        path: PathBuf,
    },
    /// The disk is too full.
    #[error(
        "not enough room in {}: {} more needed, {} free",
        shown(path),
        readable(*needed_bytes),
        readable(*free_bytes)
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// Bytes that are still to be stored.
        needed_bytes: u64,
        /// Bytes that there is room for.
        free_bytes: u64,
    },
    /// A file to download cannot be checked before its piece hashes are known, nor is it there as a whole.
    #[error("{} cannot be checked: its piece hashes are not known yet", shown(path))]
    HashesUnknown {
        /// Which.
        path: PathBuf,
    },
    /// Whoever opened it did not wait.
    #[error("opening was interrupted")]
    Interrupted,
}

/// Why a block or piece cannot be read, written or checked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The torrent has no such block, or it is longer than is ever read at once.
    #[error("the torrent has no block of {} bytes at byte {} of piece {}", .0.length, .0.begin, .0.piece)]
    NoSuchBlock(BlockRef),
    /// The torrent has no such piece.
    #[error("the torrent has no piece {0}")]
    NoSuchPiece(PieceIndex),
    /// Not as many bytes as the block is long.
    #[error("{found} bytes for a block of {expected}")]
    WrongLength {
        /// As the block says.
        expected: u32,
        /// As many as there were.
        found: usize,
    },
    /// Nothing is ever written to a torrent that is only shared.
    #[error("the torrent was opened for reading only")]
    ReadOnly,
    /// Only verified pieces are read.
    #[error("piece {0} is not verified")]
    NotVerified(PieceIndex),
    /// The leaf hashes of a piece are not kept: it is verified, or too many are.
    #[error("the leaf hashes of piece {0} are not kept")]
    NoPart(PieceIndex),
    /// The hash of a piece is not known yet.
    #[error("the hash of piece {0} is not known")]
    HashUnknown(PieceIndex),
    /// Nothing goes on after a failure or after closing.
    #[error("the torrent's files are closed")]
    Closed,
    /// What was downloaded is not there any more.
    #[error(
        "{} was changed or removed by another program: run the same command again to repair it",
        shown(path)
    )]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody made a file under a name that the torrent needs.
    #[error(
        "{} is in the way: another program made it; move it away and run the same command again",
        shown(path)
    )]
    InTheWay {
        /// Which file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error(
        "the disk is full: cannot write {}; what was received is kept: free some space and start again",
        shown(path)
    )]
    Full {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be read, written or renamed.
    #[error("cannot {action} {}: {source}", shown(path))]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The resume data cannot be saved.
    #[error(transparent)]
    Resume(#[from] super::ResumeError),
}

impl StoreError {
    pub(super) fn file(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            _ => Self::File { action, path, source },
        }
    }
}

/// A number of bytes as people read it.
fn readable(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_told_in_readable_units() {
        assert_eq!(readable(1000), "1000 bytes");
        assert_eq!(readable(3 << 29), "1.5 GiB");
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = StoreError::file("write", PathBuf::from("x"), io::ErrorKind::StorageFull.into());
        assert!(full.to_string().starts_with("the disk is full: cannot write x;"));
    }
}
