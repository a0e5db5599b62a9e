//! From a scanned info dictionary to a checked metainfo.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use sha1::Digest as _;

use super::names::{Foreign, NameError, check_component};
use super::outer::Outer;
use super::v1::{self, V1, V1Pieces};
use super::{FileEntry, Metainfo, MetainfoError, limits, v2};
use crate::bencode::{BencodeError, Value};
use crate::infohash::{InfoHashes, Sha1Hash, Sha256Hash};
use crate::layout::{FileIndex, Layout, LayoutError};
use crate::limits::BLOCK_LENGTH;

/// Checks an info dictionary.
pub(super) fn info(info: Value<'_>) -> Result<Metainfo, MetainfoError> {
    if info.raw().len() > limits::INFO_BYTES {
        return Err(BencodeError::TooLarge(limits::INFO_BYTES).into());
    }
    check_unique_keys(info)?;
    let v2_files = v2::read(info)?;
    let foreign = if v2_files.is_some() { Foreign::Refused } else { Foreign::Replaced };
    let name = name(info, foreign)?;
    let piece_length = piece_length(info)?;
    let v1 = v1::read(info, &name, piece_length, foreign)?;
    let content = match (v1, v2_files) {
        (Some(v1), None) => v1_content(v1, piece_length)?,
        (None, Some(files)) => v2_content(files, piece_length, &name)?,
        (Some(v1), Some(files)) => hybrid_content(v1, files, piece_length)?,
        (None, None) => return Err(MetainfoError::Missing("pieces")),
    };
    if content.files.is_empty() {
        return Err(MetainfoError::NoFiles);
    }
    let v1_hash = || Sha1Hash(sha1::Sha1::digest(info.raw()).into());
    let v2_hash = || Sha256Hash(sha2::Sha256::digest(info.raw()).into());
    Ok(Metainfo {
        info_hashes: match (&content.v1_pieces, content.is_v2) {
            (Some(_), true) => InfoHashes::Hybrid(v1_hash(), v2_hash()),
            (Some(_), false) => InfoHashes::V1(v1_hash()),
            (None, _) => InfoHashes::V2(v2_hash()),
        },
        info: info.raw().to_vec(),
        name,
        single_file: content.single_file,
        private: info.get("private").is_some_and(|private| private.as_int() != Some(0)),
        layers: vec![OnceLock::new(); content.files.len()],
        files: content.files,
        layout: Arc::new(content.layout),
        v1_pieces: content.v1_pieces,
        outer: Outer::default(),
    })
}

/// What the two halves of an info dictionary come down to.
struct Content {
    single_file: bool,
    files: Vec<FileEntry>,
    layout: Layout,
    v1_pieces: Option<V1Pieces>,
    is_v2: bool,
}

fn v1_content(v1: V1, piece_length: u32) -> Result<Content, MetainfoError> {
    let layout = Layout::contiguous(piece_length, v1.stretches.iter().copied())?;
    let v1_pieces = Some(v1_pieces(&v1, &layout)?);
    Ok(Content { single_file: v1.single_file, files: v1.files, layout, v1_pieces, is_v2: false })
}

fn v2_content(files: Vec<FileEntry>, piece_length: u32, name: &str) -> Result<Content, MetainfoError> {
    let layout = v2_layout(&files, piece_length)?;
    let single_file = matches!(&files[..], [only] if only.path == [name]);
    Ok(Content { single_file, files, layout, v1_pieces: None, is_v2: true })
}

fn hybrid_content(v1: V1, files: Vec<FileEntry>, piece_length: u32) -> Result<Content, MetainfoError> {
    let v1_layout = Layout::contiguous(piece_length, v1.stretches.iter().copied())?;
    let layout = v2_layout(&files, piece_length)?;
    if v1.files.len() != files.len() {
        return Err(MetainfoError::Disagreement("how many files there are"));
    }
    for (n, (old, new)) in v1.files.iter().zip(&files).enumerate() {
        let file = FileIndex(n as u32);
        if old.path != new.path {
            return Err(MetainfoError::Disagreement("the files' names or order"));
        }
        if old.size != new.size {
            return Err(MetainfoError::Disagreement("the files' sizes"));
        }
        if new.size > 0 && v1_layout.file_start(file) != layout.file_start(file) {
            return Err(MetainfoError::Disagreement("where the files start"));
        }
    }
    // Padding after the last file is optional, but if it is there it fills the piece.
    let v1_end = v1_layout.exchanged_size();
    let v2_end = (0..layout.file_count())
        .map(FileIndex)
        .filter(|&file| layout.file_size(file) > 0)
        .map(|file| layout.file_start(file) + layout.file_size(file))
        .max()
        .unwrap_or(0);
    if v1_end != v2_end && v1_end != v2_end.next_multiple_of(u64::from(piece_length)) {
        return Err(MetainfoError::Disagreement("where the content ends"));
    }
    let v1_pieces = Some(v1_pieces(&v1, &v1_layout)?);
    Ok(Content { single_file: v1.single_file, files, layout, v1_pieces, is_v2: true })
}

fn v1_pieces(v1: &V1, layout: &Layout) -> Result<V1Pieces, MetainfoError> {
    let expected = u64::from(layout.piece_count()) * 20;
    let found = v1.pieces.len() as u64;
    if found != expected {
        return Err(MetainfoError::PieceHashes { expected, found });
    }
    Ok(V1Pieces { span: v1.pieces.clone(), hashed_bytes: layout.exchanged_size() })
}

fn v2_layout(files: &[FileEntry], piece_length: u32) -> Result<Layout, MetainfoError> {
    if !piece_length.is_power_of_two() || piece_length < BLOCK_LENGTH {
        return Err(MetainfoError::PieceLength(piece_length));
    }
    Ok(Layout::aligned(piece_length, files.iter().map(|file| file.size))?)
}

/// The torrent's name: `name.utf-8`, which old clients added where `name` is in another encoding, or `name`.
fn name(info: Value<'_>, foreign: Foreign) -> Result<String, MetainfoError> {
    let text = |key, foreign: Foreign| foreign.read(info.get(key)?.as_bytes()?);
    let marked = text("name.utf-8", Foreign::Refused).filter(|name| !name.is_empty());
    let name = marked.or_else(|| text("name", foreign)).ok_or(MetainfoError::Missing("name"))?;
    match check_component(&name) {
        Ok(()) => Ok(name),
        Err(reason) => Err(refuse(&[name], reason)),
    }
}

fn piece_length(info: Value<'_>) -> Result<u32, MetainfoError> {
    let length = info.get("piece length").and_then(|length| length.as_int());
    let length = length.ok_or(MetainfoError::Missing("piece length"))?;
    let length = u64::try_from(length).map_err(|_| MetainfoError::Missing("piece length"))?;
    u32::try_from(length).map_err(|_| LayoutError::PieceLength(length).into())
}

/// The length of a file, from its dictionary.
pub(super) fn length(file: Value<'_>) -> Result<u64, MetainfoError> {
    let length = file.get("length").and_then(|length| length.as_int());
    length.and_then(|length| u64::try_from(length).ok()).ok_or(MetainfoError::Missing("length"))
}

/// Refuses a dictionary that has a key twice.
pub(super) fn check_unique_keys(dict: Value<'_>) -> Result<(), MetainfoError> {
    let mut keys = BTreeSet::new();
    for (key, _) in dict.as_dict().into_iter().flatten() {
        if !keys.insert(key) {
            return Err(MetainfoError::DuplicateKey(String::from_utf8_lossy(key).into_owned()));
        }
    }
    Ok(())
}

pub(super) fn refuse(path: &[String], reason: NameError) -> MetainfoError {
    let path = path.join("/").chars().take(limits::NAME_BYTES).collect();
    MetainfoError::Name { path, reason }
}
