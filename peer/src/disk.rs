//! Files on disk: what a torrent's pieces are stored in, and every hash of them.
//!
//! [`Store`] is one torrent's content; [`DiskPool`] the threads that all stores share. [`create`] and
//! [`verify`] make and check metainfo without a node.

mod content;
mod create;
mod doubts;
mod errors;
mod files;
mod folder;
mod handles;
mod hasher;
mod identity;
mod layers;
mod leaves;
mod names;
mod opening;
mod parts;
mod pool;
mod recheck;
mod resume;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod wanted;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::metainfo::Metainfo;
use tokio::sync::mpsc;

pub use create::{CreateError, CreateOptions, Created, create};
pub use errors::{OpenError, StoreError};
pub use names::content_root;
pub use pool::DiskPool;
pub use resume::ResumeError;
pub use store::Store;
pub use verify::{VerifyError, VerifyReport, verify};
pub use walk::WalkError;
pub use whole::write_whole;

use crate::choice::Chosen;
use crate::engine::event::Verdict;

/// What may be done to a torrent's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They are shared as they are, never changed.
    ReadOnly,
    /// They are made, filled and renamed.
    ReadWrite,
}

/// What a store is opened with.
pub struct StoreOptions {
    /// What the torrent is.
    pub metainfo: Arc<Metainfo>,
    /// The folder that holds the torrent's file or folder; made if it is missing and may be.
    pub root: PathBuf,
    /// What may be done there.
    pub access: Access,
    /// What of it is wanted. Other files are not made, but for those that share a piece with a wanted one;
    /// what is there of them is used all the same.
    pub chosen: Arc<Chosen>,
    /// Where resume data is kept; without it everything found is hashed at every start.
    pub state_dir: Option<PathBuf>,
    /// Who does the work.
    pub pool: DiskPool,
    /// Where the store reports to. Unbounded, because a worker must not wait for whoever waits for a
    /// worker; it holds at most one `Checked` or `BlocksChecked` for each check ordered, one `Changed` a second for
    /// each file, and one `Failed`.
    pub events: mpsc::UnboundedSender<StoreEvent>,
}

/// What was on disk when a store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Pieces whose bytes are the torrent's.
    pub verified: Bitfield,
    /// Blocks of other pieces that were received before; they may still turn out bad.
    pub stored: Vec<BlockRef>,
    /// What the user should know, a sentence each.
    pub warnings: Vec<String>,
}

/// What happens in a store.
#[derive(Debug)]
pub enum StoreEvent {
    /// A check that was ordered is done. With the last piece of a file, the file has its final name by now.
    Checked {
        /// Of which piece.
        piece: PieceIndex,
        /// How it ended.
        verdict: Verdict,
    },
    /// A check of single blocks that was ordered is done.
    BlocksChecked {
        /// Which, exactly as ordered.
        block: BlockRef,
        /// By which order.
        order: u32,
        /// The 16 KiB blocks of it that are wrong.
        bad: Vec<BlockRef>,
    },
    /// Somebody changed or removed a file that is only shared. These of its pieces are not served any more
    /// unless a later check finds them good; the others were found good again.
    Changed {
        /// What happened, as a sentence for the user.
        message: String,
        /// The pieces that were verified until now.
        pieces: Vec<PieceIndex>,
    },
    /// Nothing more is written or checked, and nothing more is reported; verified pieces stay readable and
    /// can be resumed. Said once.
    Failed(StoreError),
}
