//! The v1 half of an info dictionary: file list and SHA-1 hashes (BEP 3), padding files (BEP 47).

use std::ops::Range;

use super::names::{Foreign, PathSet};
use super::{FileEntry, MetainfoError, limits, read};
use crate::bencode::Value;
use crate::layout::{LayoutError, Stretch};

/// What a v1 half says.
pub(super) struct V1 {
    pub(super) single_file: bool,
    pub(super) files: Vec<FileEntry>,
    /// The files again, with the padding between them.
    pub(super) stretches: Vec<Stretch>,
    /// Where the piece hashes are, counted from the start of the info dictionary.
    pub(super) pieces: Range<usize>,
}

/// The SHA-1 hashes of a torrent's pieces.
#[derive(Clone, Debug)]
pub(super) struct V1Pieces {
    /// Where they are in the info dictionary.
    pub(super) span: Range<usize>,
    /// Bytes they are taken over in all, padding included.
    pub(super) hashed_bytes: u64,
}

/// Reads the v1 half of `info`, if there is one.
pub(super) fn read(
    info: Value<'_>,
    name: &str,
    piece_length: u32,
    foreign: Foreign,
) -> Result<Option<V1>, MetainfoError> {
    let Some(pieces) = info.get("pieces") else { return Ok(None) };
    let hashes = pieces.as_bytes().ok_or(MetainfoError::Missing("pieces"))?;
    let end = pieces.span().end - info.span().start;
    let mut v1 =
        V1 { single_file: false, files: Vec::new(), stretches: Vec::new(), pieces: end - hashes.len()..end };
    match info.get("files") {
        Some(files) => v1.read_list(files, u64::from(piece_length), foreign)?,
        None => v1.read_single(info, name)?,
    }
    Ok(Some(v1))
}

impl V1 {
    fn read_single(&mut self, info: Value<'_>, name: &str) -> Result<(), MetainfoError> {
        self.single_file = true;
        let attributes = Attributes::read(info);
        if attributes.is_symlink {
            return Err(MetainfoError::Symlink(name.to_owned()));
        }
        self.push(vec![name.to_owned()], read::length(info)?, attributes);
        Ok(())
    }

    fn read_list(
        &mut self,
        files: Value<'_>,
        piece_length: u64,
        foreign: Foreign,
    ) -> Result<(), MetainfoError> {
        let mut paths = PathSet::default();
        // Zeros since the last byte of content.
        let mut padding = 0u64;
        for file in files.as_list().ok_or(MetainfoError::Missing("files"))? {
            if self.stretches.len() >= limits::FILES as usize {
                return Err(LayoutError::TooManyFiles.into());
            }
            read::check_unique_keys(file)?;
            let size = read::length(file)?;
            let attributes = Attributes::read(file);
            if attributes.is_padding {
                padding = padding.saturating_add(size);
                if padding >= piece_length {
                    return Err(MetainfoError::Padding);
                }
                self.stretches.push(Stretch::Padding(size));
                continue;
            }
            let path = path_of(file, foreign)?;
            if attributes.is_symlink {
                return Err(MetainfoError::Symlink(path.join("/")));
            }
            paths.insert(&path).map_err(|reason| read::refuse(&path, reason))?;
            if size > 0 {
                padding = 0;
            }
            self.push(path, size, attributes);
        }
        Ok(())
    }

    fn push(&mut self, path: Vec<String>, size: u64, attributes: Attributes) {
        self.stretches.push(Stretch::File(size));
        let is_executable = attributes.is_executable;
        self.files.push(FileEntry { path, size, pieces_root: None, is_executable });
    }
}

/// The path of a file: `path.utf-8`, which old clients added where `path` is in another encoding, or `path`.
fn path_of(file: Value<'_>, foreign: Foreign) -> Result<Vec<String>, MetainfoError> {
    let components = |key, foreign: Foreign| -> Option<Vec<String>> {
        let components = file.get(key)?.as_list()?.take(limits::PATH_DEPTH + 1);
        components.map(|component| foreign.read(component.as_bytes()?)).collect()
    };
    let marked = components("path.utf-8", Foreign::Refused).filter(|path| !path.is_empty());
    marked.or_else(|| components("path", foreign)).ok_or(MetainfoError::Missing("path"))
}

/// The letters of `attr` (BEP 47) that matter here.
#[derive(Clone, Copy, Default)]
pub(super) struct Attributes {
    pub(super) is_padding: bool,
    pub(super) is_symlink: bool,
    pub(super) is_executable: bool,
}

impl Attributes {
    /// The attributes of a file's dictionary.
    pub(super) fn read(file: Value<'_>) -> Self {
        let letters = file.get("attr").and_then(|attr| attr.as_bytes()).unwrap_or_default();
        Self {
            is_padding: letters.contains(&b'p'),
            is_symlink: letters.contains(&b'l') || file.get("symlink path").is_some(),
            is_executable: letters.contains(&b'x'),
        }
    }
}
