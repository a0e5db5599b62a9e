//! What a `.torrent` says, checked: v1 (BEP 3), v2 (BEP 52) and hybrids of both.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::bencode::{self, BencodeError, Limits};
use crate::infohash::{InfoHashes, Sha1Hash, Sha256Hash};
use crate::layout::{FileIndex, Layout, LayoutError, PieceIndex};
use crate::limits::{self, BLOCK_LENGTH};
use crate::merkle::{self, proof::LayerTree};

mod build;
mod encode;
mod names;
mod outer;
mod read;
mod v1;
mod v2;

pub use build::{
    BuildError, Format, HashedContent, MetainfoBuilder, PieceRecipe, Plan, default_piece_length,
};
pub use names::{NameError, check_component};
use outer::Outer;
use v1::V1Pieces;

/// One file of a torrent; padding files are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path below the torrent's own folder; for a single file just the torrent's name. Every component
    /// passed [`check_component`].
    pub path: Vec<String>,
    /// Its length in bytes.
    pub size: u64,
    /// The root of its Merkle tree; `None` in v1 torrents and for empty files.
    pub pieces_root: Option<Sha256Hash>,
    /// Whether it should be made executable (BEP 47).
    pub is_executable: bool,
}

/// How the bytes of one piece are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceCheck {
    /// By SHA-1 (BEP 3).
    V1 {
        /// What the piece's bytes must hash to.
        hash: Sha1Hash,
        /// Zero bytes hashed after the piece's own: a hybrid's padding, which is never exchanged.
        padding: u32,
    },
    /// By the Merkle tree of its blocks (BEP 52).
    V2 {
        /// What the tree's root must be.
        root: Sha256Hash,
        /// Leaves in the tree, a power of two; those beyond the piece's bytes are zero.
        width: u32,
    },
}

/// Why a metainfo is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// Not bencode, or beyond the caps.
    #[error(transparent)]
    Bencode(#[from] BencodeError),
    /// A value that must be there is missing or of another kind.
    #[error("the torrent has no valid {0:?}")]
    Missing(&'static str),
    /// A key is there twice, so that two programs could read two torrents out of one.
    #[error("the torrent has the key {0:?} twice in one dictionary")]
    DuplicateKey(String),
    /// A newer format than any known.
    #[error("the torrent has meta version {0}; versions 1 and 2 are known")]
    Version(i64),
    /// A v2 piece length that is not a power of two of at least 16 KiB.
    #[error("a piece length of {0} bytes is not a power of two of at least 16 KiB")]
    PieceLength(u32),
    /// Sizes beyond the caps.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Not as many v1 hashes as there are pieces.
    #[error("the torrent has {found} bytes of piece hashes where {expected} belong")]
    PieceHashes {
        /// 20 for each piece.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A name that cannot be created safely everywhere.
    #[error("the path {path:?} is refused: {reason}")]
    Name {
        /// The path, joined with slashes.
        path: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// A symbolic link (BEP 47), which could lead out of the torrent's folder.
    #[error("the torrent contains a symbolic link, {0:?}; links are refused")]
    Symlink(String),
    /// Padding (BEP 47) of a piece or more between two files, which aligns nothing: a few bytes would buy
    /// hours of hashing zeros.
    #[error("the torrent has padding as long as a piece")]
    Padding,
    /// No file at all.
    #[error("the torrent has no files")]
    NoFiles,
    /// The v1 and v2 halves of a hybrid describe different content.
    #[error("the v1 and v2 parts of the hybrid torrent disagree about {0}")]
    Disagreement(&'static str),
    /// Hashes of a piece layer that do not belong to their file.
    #[error("the piece layer of {0:?} does not match its file")]
    PieceLayer(String),
}

/// A torrent's metainfo. Every value of this type is consistent and within [`limits`]; the only ways to one
/// are [`Self::from_bytes`], [`Self::from_info`] and [`Plan::finish`].
///
/// Piece layers, which a magnet link does not bring, may be added later through a shared reference: each can
/// only be added once and only if it is right, so nobody sees it change.
#[derive(Clone)]
pub struct Metainfo {
    info: Vec<u8>,
    info_hashes: InfoHashes,
    name: String,
    single_file: bool,
    private: bool,
    files: Vec<FileEntry>,
    layout: Arc<Layout>,
    v1_pieces: Option<V1Pieces>,
    /// For each file, the top of its Merkle tree; only files longer than a piece ever have one.
    layers: Vec<OnceLock<LayerTree>>,
    outer: Outer,
}

impl Metainfo {
    /// Reads a `.torrent` file.
    ///
    /// Keys may be unsorted or unknown; the info-hashes are taken over the info dictionary as found. Piece
    /// layers that are there are checked, those that are not are [missing](Self::missing_piece_layers). What
    /// follows the bencode, mostly a newline, is skipped.
    ///
    /// # Errors
    /// If anything about it is inconsistent, unsafe or beyond the caps of [`limits`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let scan = bencode::scan_prefix(bytes, Limits::TORRENT)?;
        let root = scan.root();
        read::check_unique_keys(root)?;
        let info = root.get("info").ok_or(MetainfoError::Missing("info"))?;
        let mut metainfo = read::info(info)?;
        metainfo.outer = Outer::read(root);
        if let Some(layers) = root.get("piece layers") {
            v2::read_piece_layers(&metainfo, layers)?;
        }
        Ok(metainfo)
    }

    /// Reads an info dictionary alone, as peers send it (BEP 9). Whether it is the one that was asked for
    /// is for [`Self::is_named_by`] to say.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn from_info(info: &[u8]) -> Result<Self, MetainfoError> {
        read::info(bencode::scan(info, Limits::INFO)?.root())
    }

    /// The exact bytes of the info dictionary, which the info-hashes are taken over.
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    /// The whole as a `.torrent` file, with every piece layer that is known.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode::torrent(self)
    }

    /// The torrent's names.
    pub fn info_hashes(&self) -> InfoHashes {
        self.info_hashes
    }

    /// Whether every hash of `names`, as a link gives them, is this torrent's.
    pub fn is_named_by(&self, names: &InfoHashes) -> bool {
        let v1_fits = names.v1().is_none_or(|v1| self.info_hashes.v1() == Some(v1));
        let v2_fits = names.v2().is_none_or(|v2| self.info_hashes.v2() == Some(v2));
        v1_fits && v2_fits
    }

    /// The name of the file, or of the folder that holds the files. It passed [`check_component`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where pieces, blocks and files lie.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The files, in the order of [`FileIndex`].
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Whether the torrent is one file without a folder around it.
    pub fn is_single_file(&self) -> bool {
        self.single_file
    }

    /// The components of a file's path below the folder the user chose: the torrent's name comes first.
    /// Nothing beyond the last file.
    pub fn disk_path(&self, file: FileIndex) -> impl Iterator<Item = &str> {
        let folder = (!self.single_file).then_some(self.name.as_str());
        let path = self.files.get(file.0 as usize).map(|entry| entry.path.as_slice());
        let folder = folder.filter(|_| path.is_some());
        folder.into_iter().chain(path.unwrap_or_default().iter().map(String::as_str))
    }

    /// Announce URLs in tiers (BEP 12), none of them empty.
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.outer.trackers
    }

    /// Replaces the announce URLs.
    pub fn set_trackers(&mut self, tiers: Vec<Vec<String>>) {
        self.outer.set_trackers(tiers);
    }

    /// Web seeds (BEP 19).
    pub fn url_list(&self) -> &[String] {
        &self.outer.url_list
    }

    /// What its author has to say.
    pub fn comment(&self) -> Option<&str> {
        self.outer.comment.as_deref()
    }

    /// The program it was made with.
    pub fn created_by(&self) -> Option<&str> {
        self.outer.created_by.as_deref()
    }

    /// When it was made, in seconds since 1970.
    pub fn creation_date(&self) -> Option<i64> {
        self.outer.creation_date
    }

    /// Whether only its trackers may be told of it (BEP 27). So it is whatever `private` says, other than 0:
    /// a torrent told of by mistake cannot be taken back.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// How a piece is checked: by its Merkle tree where that is known, else by SHA-1. `None` beyond the last
    /// piece, and in v2 torrents while the piece layer of the piece's file is missing.
    pub fn piece_check(&self, piece: PieceIndex) -> Option<PieceCheck> {
        (piece.0 < self.layout.piece_count())
            .then(|| self.v2_check(piece).or_else(|| self.v1_check(piece)))
            .flatten()
    }

    fn v2_check(&self, piece: PieceIndex) -> Option<PieceCheck> {
        self.info_hashes.v2()?;
        let file = FileIndex(self.layout.files_of(piece).start);
        let entry = self.files.get(file.0 as usize)?;
        if entry.size <= u64::from(self.layout.piece_length()) {
            let width = merkle::file_width(entry.size) as u32;
            return Some(PieceCheck::V2 { root: entry.pieces_root?, width });
        }
        let at = piece.0 - self.layout.pieces_of(file).start;
        let root = *self.piece_layer(file)?.get(at as usize)?;
        Some(PieceCheck::V2 { root, width: self.layout.piece_length() / BLOCK_LENGTH })
    }

    fn v1_check(&self, piece: PieceIndex) -> Option<PieceCheck> {
        let pieces = self.v1_pieces.as_ref()?;
        let hash = Sha1Hash::from_slice(self.info[pieces.span.clone()].chunks(20).nth(piece.0 as usize)?)?;
        let start = u64::from(piece.0) * u64::from(self.layout.piece_length());
        let hashed = (pieces.hashed_bytes - start).min(u64::from(self.layout.piece_length())) as u32;
        Some(PieceCheck::V1 { hash, padding: hashed - self.layout.piece_size(piece) })
    }

    /// The hash of each piece of a file longer than one piece, if known.
    pub fn piece_layer(&self, file: FileIndex) -> Option<&[Sha256Hash]> {
        Some(self.layer_tree(file)?.piece_layer())
    }

    /// The top of a file's Merkle tree, which hash requests are answered from; known if its piece layer is.
    pub fn layer_tree(&self, file: FileIndex) -> Option<&LayerTree> {
        self.layers.get(file.0 as usize)?.get()
    }

    /// The files whose pieces cannot be checked by their Merkle trees yet: longer than one piece, in a v2 or
    /// hybrid torrent, and without a piece layer.
    pub fn missing_piece_layers(&self) -> Vec<FileIndex> {
        let files = (0..self.layout.file_count()).map(FileIndex);
        files.filter(|&file| self.has_piece_layer(file) && self.piece_layer(file).is_none()).collect()
    }

    /// Adds the hashes of each piece of a file. A layer that is known already stays.
    ///
    /// # Errors
    /// If the file has no piece layer, or this is not it.
    pub fn add_piece_layer(&self, file: FileIndex, layer: Vec<Sha256Hash>) -> Result<(), MetainfoError> {
        let refused = || MetainfoError::PieceLayer(self.disk_path(file).collect::<Vec<_>>().join("/"));
        let entry = self.files.get(file.0 as usize).filter(|_| self.has_piece_layer(file));
        let entry = entry.ok_or_else(refused)?;
        if layer.len() != self.layout.pieces_of(file).len() {
            return Err(refused());
        }
        let tree = LayerTree::new(layer, self.layout.piece_length());
        if Some(tree.root()) != entry.pieces_root {
            return Err(refused());
        }
        self.layers[file.0 as usize].get_or_init(|| tree);
        Ok(())
    }

    /// Whether a piece layer belongs to this file, known or not.
    fn has_piece_layer(&self, file: FileIndex) -> bool {
        self.info_hashes.v2().is_some() && self.layout.file_size(file) > u64::from(self.layout.piece_length())
    }
}

impl fmt::Debug for Metainfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metainfo({:?}, {:?})", self.name, self.info_hashes)
    }
}

#[cfg(test)]
mod tests;
