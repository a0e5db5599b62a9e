//! New torrents: from files and their hashes to a metainfo.

use super::encode::{self, Writer};
use super::names::{PathSet, check_component};
use super::{FileEntry, Metainfo, MetainfoError, outer::Outer, read};
use crate::infohash::{Sha1Hash, Sha256Hash};
use crate::layout::{FileIndex, Layout, PieceIndex, Stretch};
use crate::limits::BLOCK_LENGTH;
use crate::merkle;

/// Which clients a new torrent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// All (BEP 3).
    V1,
    /// Those that know BEP 52.
    V2,
    /// All, with the benefits of BEP 52 for those that know it.
    Hybrid,
}

impl Format {
    /// Whether SHA-1 hashes of pieces are needed.
    pub fn has_v1(self) -> bool {
        self != Self::V2
    }

    /// Whether Merkle trees are needed.
    pub fn has_v2(self) -> bool {
        self != Self::V1
    }
}

/// What a new torrent shall contain.
#[derive(Clone, Debug)]
pub struct MetainfoBuilder {
    /// The name of the file, or of the folder around the files.
    pub name: String,
    /// Whether it is one file without a folder; its path is then its name alone.
    pub single_file: bool,
    /// Path below the folder and size in bytes of each file, in any order.
    pub files: Vec<(Vec<String>, u64)>,
    /// Bytes in a piece, a power of two of at least 16 KiB.
    pub piece_length: u32,
    /// For whom.
    pub format: Format,
    /// Announce URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub url_list: Vec<String>,
    /// Free text.
    pub comment: Option<String>,
    /// Whether only its trackers may be told of it (BEP 27).
    pub private: bool,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Now, in seconds since 1970, if that may be told.
    pub creation_date: Option<i64>,
}

/// Why a torrent cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// What it would say is not acceptable.
    #[error(transparent)]
    Invalid(#[from] MetainfoError),
    /// A single file whose path is not the torrent's name.
    #[error("a torrent of a single file has that file's name")]
    NotSingle,
    /// A v2 torrent of a folder that holds nothing but a file of the folder's name.
    #[error("a v2 torrent cannot tell a folder that holds only a file of its own name from that file alone")]
    Ambiguous,
    /// Not one hash for each piece.
    #[error("{found} piece hashes where {expected} belong")]
    Hashes {
        /// One for each piece.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}

/// What must be hashed for a new torrent, and in which order.
#[derive(Clone, Debug)]
pub struct Plan {
    builder: MetainfoBuilder,
    files: Vec<FileEntry>,
    layout: Layout,
}

/// How one piece of a new torrent is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceRecipe {
    /// For its SHA-1: zero bytes to hash after the piece's own. `None` if none is needed.
    pub v1_padding: Option<u32>,
    /// For its Merkle root: leaves of the tree, a power of two. `None` if none is needed.
    pub v2_width: Option<u32>,
}

/// The hashes of a new torrent's pieces, in order.
#[derive(Clone, Debug, Default)]
pub struct HashedContent {
    /// SHA-1 of each piece with its padding; empty for [`Format::V2`].
    pub v1_pieces: Vec<Sha1Hash>,
    /// Merkle root of each piece; empty for [`Format::V1`].
    pub v2_pieces: Vec<Sha256Hash>,
}

/// A piece length for so many bytes of content: a power of two from 16 KiB to 16 MiB that makes 1,000 to
/// 2,000 pieces where it can.
pub fn default_piece_length(total_size: u64) -> u32 {
    const PIECES: u64 = 2000;
    const LONGEST: u32 = 16 * 1024 * 1024;
    let mut length = BLOCK_LENGTH;
    while length < LONGEST && total_size > PIECES * u64::from(length) {
        length *= 2;
    }
    length
}

impl MetainfoBuilder {
    /// Checks everything that can be checked before hashing, and puts the files in order: sorted by path,
    /// byte by byte, as BEP 52 demands, whatever the format.
    ///
    /// # Errors
    /// If no reader would accept the result.
    pub fn plan(mut self) -> Result<Plan, BuildError> {
        if !self.piece_length.is_power_of_two() || self.piece_length < BLOCK_LENGTH {
            return Err(MetainfoError::PieceLength(self.piece_length).into());
        }
        let refused = |reason| BuildError::from(read::refuse(std::slice::from_ref(&self.name), reason));
        check_component(&self.name).map_err(refused)?;
        let looks_single = matches!(&self.files[..], [(path, _)] if *path == [self.name.as_str()]);
        if self.single_file && !looks_single {
            return Err(BuildError::NotSingle);
        }
        if self.format == Format::V2 && looks_single && !self.single_file {
            return Err(BuildError::Ambiguous);
        }
        let mut named = std::mem::take(&mut self.files);
        named.sort();
        let mut paths = PathSet::default();
        let mut files = Vec::with_capacity(named.len());
        for (path, size) in named {
            paths.insert(&path).map_err(|reason| read::refuse(&path, reason))?;
            files.push(FileEntry { path, size, pieces_root: None, is_executable: false });
        }
        if files.is_empty() {
            return Err(MetainfoError::NoFiles.into());
        }
        let sizes = files.iter().map(|file| file.size);
        let layout = match self.format {
            Format::V1 => Layout::contiguous(self.piece_length, sizes.map(Stretch::File)),
            Format::V2 | Format::Hybrid => Layout::aligned(self.piece_length, sizes),
        };
        let layout = layout.map_err(MetainfoError::from)?;
        Ok(Plan { builder: self, files, layout })
    }
}

impl Plan {
    /// The pieces to hash.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The files in their final order.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The format to hash for.
    pub fn format(&self) -> Format {
        self.builder.format
    }

    /// How a piece is hashed.
    pub fn recipe(&self, piece: PieceIndex) -> PieceRecipe {
        let format = self.builder.format;
        let v1_padding = match format {
            Format::V2 => None,
            Format::Hybrid if piece.0 + 1 < self.layout.piece_count() => {
                Some(self.layout.piece_length() - self.layout.piece_size(piece))
            }
            Format::V1 | Format::Hybrid => Some(0),
        };
        let v2_width = format.has_v2().then(|| {
            let size = self.layout.file_size(FileIndex(self.layout.files_of(piece).start));
            let whole = self.layout.piece_length() / BLOCK_LENGTH;
            merkle::file_width(size).min(u64::from(whole)) as u32
        });
        PieceRecipe { v1_padding, v2_width }
    }

    /// The metainfo of the hashed content.
    ///
    /// # Errors
    /// If the hashes are not one for each piece, or the result is beyond a cap that only shows now.
    pub fn finish(mut self, content: HashedContent) -> Result<Metainfo, BuildError> {
        let pieces = self.layout.piece_count() as usize;
        let format = self.builder.format;
        check_count(content.v1_pieces.len(), if format.has_v1() { pieces } else { 0 })?;
        check_count(content.v2_pieces.len(), if format.has_v2() { pieces } else { 0 })?;
        let mut layers = Vec::new();
        if format.has_v2() {
            for (file, index) in self.files.iter_mut().zip(0..) {
                let span = self.layout.pieces_of(FileIndex(index));
                let hashes = &content.v2_pieces[span.start as usize..span.end as usize];
                file.pieces_root = match hashes {
                    [] => None,
                    [only] => Some(*only),
                    layer => {
                        layers.push((FileIndex(index), layer.to_vec()));
                        Some(merkle::piece_layer_root(layer, self.layout.piece_length()))
                    }
                };
            }
        }
        let mut metainfo = Metainfo::from_info(&self.info(&content.v1_pieces))?;
        for (file, layer) in layers {
            metainfo.add_piece_layer(file, layer)?;
        }
        metainfo.outer = Outer {
            trackers: Vec::new(),
            url_list: self.builder.url_list,
            comment: self.builder.comment,
            created_by: self.builder.created_by,
            creation_date: self.builder.creation_date,
        };
        metainfo.set_trackers(self.builder.trackers);
        Ok(metainfo)
    }

    fn info(&self, v1_pieces: &[Sha1Hash]) -> Vec<u8> {
        let builder = &self.builder;
        let mut writer = Writer::default();
        writer.open_dict();
        if builder.format.has_v2() {
            writer.string("file tree");
            encode::file_tree(&mut writer, &self.files);
        }
        if builder.format.has_v1() {
            if builder.single_file {
                writer.string("length");
                writer.integer(self.layout.total_size());
            } else {
                writer.string("files");
                encode::file_list(&mut writer, &self.files, |file| self.padding_after(file));
            }
        }
        if builder.format.has_v2() {
            writer.string("meta version");
            writer.integer(2);
        }
        writer.string("name");
        writer.string(&builder.name);
        writer.string("piece length");
        writer.integer(builder.piece_length);
        if builder.format.has_v1() {
            writer.string("pieces");
            writer.string(v1_pieces.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>());
        }
        if builder.private {
            writer.string("private");
            writer.integer(1);
        }
        writer.close();
        writer.into_bytes()
    }

    /// Zeros between a file and the next piece boundary, if more content follows it.
    fn padding_after(&self, file: FileIndex) -> u64 {
        let end = self.layout.file_start(file) + self.layout.file_size(file);
        let last_piece = self.layout.pieces_of(file).end == self.layout.piece_count();
        match self.builder.format {
            Format::Hybrid if self.layout.file_size(file) > 0 && !last_piece => {
                end.next_multiple_of(u64::from(self.layout.piece_length())) - end
            }
            _ => 0,
        }
    }
}

fn check_count(found: usize, expected: usize) -> Result<(), BuildError> {
    if found == expected { Ok(()) } else { Err(BuildError::Hashes { expected, found }) }
}
