//! Piece layers that a v2 torrent came without, computed from files that are on disk already (BEP 52).

use std::io;
use std::path::PathBuf;

use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{FileIndex, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::metainfo::Metainfo;

use super::files::{Files, read_segments};
use super::hasher::{Scratch, Wanted, for_pieces, hash_piece};
use super::recheck::{Effort, is_absence};
use super::resume::Record;

/// The files whose pieces cannot be checked yet.
pub(super) fn unknown_layers(metainfo: &Metainfo) -> impl Iterator<Item = FileIndex> {
    let layout = metainfo.layout();
    let first = |file| PieceIndex(layout.pieces_of(file).start);
    let lacks = metainfo.missing_piece_layers().into_iter();
    lacks.filter(move |&file| metainfo.piece_check(first(file)).is_none())
}

/// Hashes the complete files whose piece layers are unknown, adds the layers that fit the files' roots, and
/// returns these files: every piece of theirs is good.
///
/// `progress` hears how many pieces of how many are hashed.
///
/// # Errors
/// If a file that is there cannot be read.
pub(super) fn compute_layers(
    metainfo: &Metainfo,
    files: &Files,
    effort: &Effort<'_>,
    progress: &mut (impl FnMut(u32, u32) + Send),
) -> Result<Vec<FileIndex>, (PathBuf, io::Error)> {
    let layout: &Layout = metainfo.layout();
    let there: Vec<FileIndex> = unknown_layers(metainfo).filter(|&file| is_whole(files, file)).collect();
    let total = there.iter().map(|&file| layout.pieces_of(file).len() as u32).sum();
    let mut hashed = 0;
    let mut good = Vec::new();
    for file in there {
        let pieces: Vec<PieceIndex> = layout.pieces_of(file).map(PieceIndex).collect();
        let first = layout.pieces_of(file).start;
        let mut layer = vec![None; pieces.len()];
        let work = |piece, scratch: &mut Scratch| root_of(layout, files, piece, scratch);
        for_pieces(&pieces, effort.threads, effort.cancelled, work, |piece, root| {
            layer[(piece.0 - first) as usize] = root;
            hashed += 1;
            progress(hashed, total);
        })
        .map_err(|error| (files.current_path(file), error))?;
        let layer: Option<Vec<Sha256Hash>> = layer.into_iter().collect();
        // A layer that does not fit is that of a damaged file.
        if layer.is_some_and(|layer| metainfo.add_piece_layer(file, layer).is_ok()) {
            good.push(file);
        }
    }
    Ok(good)
}

/// Whether a file is there under its final name and may be the torrent's.
pub(super) fn is_whole(files: &Files, file: FileIndex) -> bool {
    matches!(files.record(file), Record::Complete(Some(stamp)) if stamp.size == files.size(file))
}

/// The root of a piece of a file longer than one piece; `None` if not all of it is there.
fn root_of(
    layout: &Layout,
    files: &Files,
    piece: PieceIndex,
    scratch: &mut Scratch,
) -> io::Result<Option<Sha256Hash>> {
    let wanted = Wanted { v1_padding: None, v2_width: Some(layout.piece_length() / BLOCK_LENGTH) };
    let hashes = hash_piece(layout, piece, wanted, scratch, |stride, bytes| {
        read_segments(layout, stride, bytes, |file, offset, part| files.read(file, offset, part))
    });
    match hashes {
        Ok(hashes) => Ok(hashes.v2),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
