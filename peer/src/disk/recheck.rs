//! Hashes what is on disk already, and finds the blocks of unfinished pieces.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::metainfo::Metainfo;

use super::files::{Files, Place, read_segments};
use super::hasher::{Scratch, Wanted, for_pieces, hash_piece};

/// Bytes that a killed write fills or leaves as a whole.
const PAGE_BYTES: u64 = 4096;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) verified: Bitfield,
    pub(super) stored: Vec<BlockRef>,
}

/// How many threads work, and until when.
pub(super) struct Effort<'a> {
    pub(super) threads: NonZeroUsize,
    pub(super) cancelled: &'a AtomicBool,
}

/// Hashes every piece that is not `trusted` and of which anything is on disk.
///
/// `progress` hears how many pieces of how many are hashed.
///
/// # Errors
/// If a file that is there cannot be read. Missing and short files are no errors: their pieces are bad.
pub(super) fn check_files(
    metainfo: &Metainfo,
    files: &Files,
    trusted: Bitfield,
    effort: &Effort<'_>,
    progress: &mut (impl FnMut(u32, u32) + Send),
) -> Result<Checked, (PathBuf, io::Error)> {
    let layout: &Layout = metainfo.layout();
    let pieces: Vec<PieceIndex> =
        trusted.iter_zeros().filter(|&piece| worth_hashing(layout, files, piece)).collect();
    let total = pieces.len() as u32;
    let mut checked = Checked { verified: trusted, stored: Vec::new() };
    let mut hashed = 0;
    let work = |piece, scratch: &mut Scratch| check_piece(metainfo, files, piece, scratch);
    for_pieces(&pieces, effort.threads, effort.cancelled, work, |piece, result| {
        match result {
            Piece::Good => _ = checked.verified.set(piece),
            Piece::Unfinished(blocks) => checked.stored.extend(blocks),
        }
        hashed += 1;
        progress(hashed, total);
    })?;
    checked.stored.sort_unstable();
    Ok(checked)
}

/// Whether any byte of a piece may be on disk, or no byte of it need be.
fn worth_hashing(layout: &Layout, files: &Files, piece: PieceIndex) -> bool {
    let whole = BlockRef { piece, begin: 0, length: layout.piece_size(piece) };
    let mut stored = layout.segments(whole).filter_map(|part| Some((part.file?, part))).peekable();
    stored.peek().is_none()
        || stored.any(|(file, part)| match files.place(file) {
            Place::Missing => false,
            // A hole in an unfinished file was never written; in a complete one it is zeros.
            Place::Partial => files.has_data(file, part.file_offset, u64::from(part.length)),
            Place::Complete => true,
        })
}

enum Piece {
    Good,
    Unfinished(Vec<BlockRef>),
}

fn check_piece(
    metainfo: &Metainfo,
    files: &Files,
    piece: PieceIndex,
    scratch: &mut Scratch,
) -> Result<Piece, (PathBuf, io::Error)> {
    let layout: &Layout = metainfo.layout();
    let check = metainfo.piece_check(piece);
    let wanted = check.as_ref().map_or(Wanted { v1_padding: None, v2_width: None }, Wanted::by);
    let mut failed_path = None;
    let mut absent = false;
    let mut written = Vec::new();
    let hashes = hash_piece(layout, piece, wanted, scratch, |stride, bytes| {
        read_segments(layout, stride, bytes, |file, offset, part| match files.read(file, offset, part) {
            Err(error) if is_absence(&error) => {
                part.fill(0);
                absent = true;
                Ok(())
            }
            read => read.inspect_err(|_| failed_path = Some(files.current_path(file))),
        })?;
        written.extend(written_blocks(layout, stride, bytes));
        Ok(())
    });
    let hashes = hashes.map_err(|error| (failed_path.unwrap_or_default(), error))?;
    if !absent && check.as_ref().is_some_and(|check| hashes.satisfy(check)) {
        return Ok(Piece::Good);
    }
    // Every block is there and yet the piece is bad: nobody knows which, so all count as missing.
    if check.is_some() && written.len() == layout.blocks_in(piece) as usize {
        written.clear();
    }
    Ok(Piece::Unfinished(written))
}

/// Whether a read failed because the bytes are not there.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// The blocks of a stride that were received and written as a whole.
fn written_blocks(layout: &Layout, stride: BlockRef, bytes: &[u8]) -> impl Iterator<Item = BlockRef> {
    let parts = bytes[..stride.length as usize].chunks(BLOCK_LENGTH as usize);
    stride
        .blocks()
        .zip(parts)
        .filter(|&(block, part)| is_written(layout, block, part))
        .map(|(block, _)| block)
}

/// Whether no page of a block's files is all zeros: a write that was cut short leaves such pages.
fn is_written(layout: &Layout, block: BlockRef, mut bytes: &[u8]) -> bool {
    layout.segments(block).all(|segment| {
        let (part, after) = bytes.split_at(segment.length as usize);
        bytes = after;
        segment.file.is_none()
            || pages(segment.file_offset, part).all(|page| page.iter().any(|&byte| byte != 0))
    })
}

/// `bytes`, which start at `offset` of a file, cut where the file's pages end.
fn pages(offset: u64, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = (PAGE_BYTES - offset % PAGE_BYTES).min(bytes.len() as u64) as usize;
    let (head, rest) = bytes.split_at(first);
    std::iter::once(head).chain(rest.chunks(PAGE_BYTES as usize)).filter(|page| !page.is_empty())
}
