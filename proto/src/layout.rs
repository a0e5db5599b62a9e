//! Arithmetic between pieces, blocks and files.

use std::fmt;

/// The number of a piece, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a file in a torrent, counted from 0, padding files not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIndex(pub u32);

/// A run of bytes inside one piece: what a request asks for and a piece message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRef {
    /// The piece it lies in.
    pub piece: PieceIndex,
    /// Its first byte, counted from the start of the piece.
    pub begin: u32,
    /// Its length in bytes.
    pub length: u32,
}
