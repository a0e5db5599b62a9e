//! The v2 half of an info dictionary: file tree and Merkle roots, and the piece layers beside it (BEP 52).

use super::names::PathSet;
use super::read;
use super::v1::Attributes;
use super::{FileEntry, Metainfo, MetainfoError, NameError, limits};
use crate::bencode::Value;
use crate::infohash::Sha256Hash;
use crate::layout::{FileIndex, LayoutError};

/// The files of the v2 half of `info`, if there is one, in the order of the tree as found.
pub(super) fn read(info: Value<'_>) -> Result<Option<Vec<FileEntry>>, MetainfoError> {
    match info.get("meta version").map(|version| version.as_int()) {
        None | Some(Some(1)) => return Ok(None),
        Some(Some(2)) => {}
        Some(Some(other)) => return Err(MetainfoError::Version(other)),
        Some(None) => return Err(MetainfoError::Missing("meta version")),
    }
    let tree = info.get("file tree").ok_or(MetainfoError::Missing("file tree"))?;
    let mut walk = Walk::default();
    walk.folder(tree)?;
    Ok(Some(walk.files))
}

/// Reads the piece layers of a `.torrent` into `metainfo`. Layers of unknown files and of files that need
/// none are skipped.
pub(super) fn read_piece_layers(metainfo: &Metainfo, layers: Value<'_>) -> Result<(), MetainfoError> {
    let layers: std::collections::BTreeMap<&[u8], Value<'_>> =
        layers.as_dict().ok_or(MetainfoError::Missing("piece layers"))?.collect();
    for file in metainfo.missing_piece_layers() {
        let entry = &metainfo.files[file.0 as usize];
        let root = entry.pieces_root.as_ref().map(|root| &root.as_bytes()[..]).unwrap_or_default();
        let Some(layer) = layers.get(root) else { continue };
        let refused = || MetainfoError::PieceLayer(entry.path.join("/"));
        let bytes = layer.as_bytes().filter(|bytes| bytes.len() % 32 == 0).ok_or_else(refused)?;
        if bytes.len() / 32 != metainfo.layout.pieces_of(file).len() {
            return Err(refused());
        }
        let layer = bytes.chunks(32).filter_map(Sha256Hash::from_slice).collect();
        metainfo.add_piece_layer(FileIndex(file.0), layer)?;
    }
    Ok(())
}

/// A walk through a file tree; its recursion is no deeper than paths may be.
#[derive(Default)]
struct Walk {
    path: Vec<String>,
    paths: PathSet,
    files: Vec<FileEntry>,
}

impl Walk {
    fn folder(&mut self, folder: Value<'_>) -> Result<(), MetainfoError> {
        read::check_unique_keys(folder)?;
        for (name, member) in folder.as_dict().ok_or(MetainfoError::Missing("file tree"))? {
            let name = std::str::from_utf8(name).map_err(|_| {
                let path = [self.path.as_slice(), &[String::from_utf8_lossy(name).into_owned()]].concat();
                read::refuse(&path, NameError::NotUtf8)
            })?;
            self.path.push(name.to_owned());
            if self.path.len() > limits::PATH_DEPTH {
                return Err(read::refuse(&self.path, NameError::TooDeep));
            }
            match member.get("") {
                Some(file) => self.file(member, file)?,
                None => self.folder(member)?,
            }
            self.path.pop();
        }
        Ok(())
    }

    fn file(&mut self, member: Value<'_>, file: Value<'_>) -> Result<(), MetainfoError> {
        self.paths.insert(&self.path).map_err(|reason| read::refuse(&self.path, reason))?;
        if member.as_dict().is_some_and(|entries| entries.count() != 1) {
            return Err(read::refuse(&self.path, NameError::FileAndFolder));
        }
        if self.files.len() >= limits::FILES as usize {
            return Err(LayoutError::TooManyFiles.into());
        }
        read::check_unique_keys(file)?;
        let attributes = Attributes::read(file);
        if attributes.is_symlink {
            return Err(MetainfoError::Symlink(self.path.join("/")));
        }
        // Alignment is implied here: padding would shift every file after it.
        if attributes.is_padding {
            return Err(MetainfoError::Missing("file tree"));
        }
        let size = read::length(file)?;
        let pieces_root = match size {
            0 => None,
            _ => {
                let root = file.get("pieces root").and_then(|root| Sha256Hash::from_slice(root.as_bytes()?));
                Some(root.ok_or(MetainfoError::Missing("pieces root"))?)
            }
        };
        let is_executable = attributes.is_executable;
        self.files.push(FileEntry { path: self.path.clone(), size, pieces_root, is_executable });
        Ok(())
    }
}
