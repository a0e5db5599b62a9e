//! Hashes of pieces: one piece in strides of bounded size, many pieces on all cores.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use samara_proto::infohash::{Sha1Hash, Sha256Hash};
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::merkle;
use samara_proto::metainfo::PieceCheck;
use sha1::{Digest, Sha1};

/// Bytes read at once: large enough for the disk, small enough to stay in a core's cache until both hashes
/// have seen them. A multiple of the block length.
const STRIDE_LENGTH: u32 = 1 << 20;

/// What one thread reuses from piece to piece.
#[derive(Default)]
pub(super) struct Scratch {
    stride: Vec<u8>,
    leaves: Vec<Sha256Hash>,
}

impl Scratch {
    /// The leaf hashes of the piece of which the v2 hash was computed last.
    pub(super) fn leaves(&self) -> &[Sha256Hash] {
        &self.leaves
    }
}

/// Which hashes of a piece to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The v1 hash, of the piece's bytes and so many zeros after them.
    pub(super) v1_padding: Option<u32>,
    /// The root of the v2 subtree of so many leaves.
    pub(super) v2_width: Option<u32>,
}

/// The hashes that were wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceHashes {
    /// BEP 3.
    pub(super) v1: Option<Sha1Hash>,
    /// BEP 52.
    pub(super) v2: Option<Sha256Hash>,
}

impl Wanted {
    /// What `check` compares.
    pub(super) fn by(check: &PieceCheck) -> Self {
        match *check {
            PieceCheck::V1 { padding, .. } => Self { v1_padding: Some(padding), v2_width: None },
            PieceCheck::V2 { width, .. } => Self { v1_padding: None, v2_width: Some(width) },
        }
    }
}

impl PieceHashes {
    /// Whether they are what `check` demands.
    pub(super) fn satisfy(&self, check: &PieceCheck) -> bool {
        match *check {
            PieceCheck::V1 { hash, .. } => self.v1 == Some(hash),
            PieceCheck::V2 { root, .. } => self.v2 == Some(root),
        }
    }
}

/// Reads a piece once, in strides, and hashes it.
///
/// `read` fills a buffer with the bytes of a run of blocks; it may look at them too.
///
/// # Errors
/// What `read` returned.
pub(super) fn hash_piece(
    layout: &Layout,
    piece: PieceIndex,
    wanted: Wanted,
    scratch: &mut Scratch,
    mut read: impl FnMut(BlockRef, &mut [u8]) -> io::Result<()>,
) -> io::Result<PieceHashes> {
    let size = layout.piece_size(piece);
    let mut sha1 = wanted.v1_padding.map(|_| Sha1::new());
    scratch.leaves.clear();
    if scratch.stride.is_empty() {
        scratch.stride.resize(STRIDE_LENGTH as usize, 0);
    }
    for begin in (0..size).step_by(STRIDE_LENGTH as usize) {
        let stride = BlockRef { piece, begin, length: (size - begin).min(STRIDE_LENGTH) };
        let bytes = &mut scratch.stride[..stride.length as usize];
        read(stride, bytes)?;
        if let Some(sha1) = &mut sha1 {
            sha1.update(&bytes);
        }
        if wanted.v2_width.is_some() {
            scratch.leaves.extend(bytes.chunks(BLOCK_LENGTH as usize).map(merkle::leaf));
        }
    }
    if let (Some(sha1), Some(padding)) = (&mut sha1, wanted.v1_padding) {
        hash_zeros(sha1, padding);
    }
    Ok(PieceHashes {
        v1: sha1.map(|sha1| Sha1Hash(sha1.finalize().into())),
        v2: wanted.v2_width.map(|width| merkle::root(&scratch.leaves, width as usize)),
    })
}

fn hash_zeros(sha1: &mut Sha1, mut count: u32) {
    static ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let now = count.min(ZEROS.len() as u32);
        sha1.update(&ZEROS[..now as usize]);
        count -= now;
    }
}

/// Does `work` for every piece on `threads` threads, in ascending order as far as that goes, and hands the
/// results to `done`, one at a time, in the order they come. Ends early, without an error, once `cancelled`.
///
/// # Errors
/// The first that `work` returned; the rest is not done.
pub(super) fn for_pieces<T: Send, E: Send>(
    pieces: &[PieceIndex],
    threads: NonZeroUsize,
    cancelled: &AtomicBool,
    work: impl Fn(PieceIndex, &mut Scratch) -> Result<T, E> + Sync,
    done: impl FnMut(PieceIndex, T) + Send,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(done);
    let run = || -> Result<(), E> {
        let mut scratch = Scratch::default();
        while !cancelled.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
            let Some(&piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let result = work(piece, &mut scratch).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done(piece, result);
        }
        Ok(())
    };
    let threads = threads.get().min(pieces.len().max(1));
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        helpers.into_iter().fold(own, |result, helper| {
            let theirs = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.and(theirs)
        })
    })
}
