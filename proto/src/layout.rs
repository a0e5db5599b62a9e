//! Arithmetic between pieces, blocks and files.

use std::fmt;
use std::ops::Range;

use crate::limits::{self, BLOCK_LENGTH};

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

impl BlockRef {
    /// The blocks of 16 KiB that make it up, in order; the last may be shorter. It begins where one of its piece does.
    pub fn blocks(self) -> impl Iterator<Item = Self> + use<> {
        let end = self.begin + self.length;
        (self.begin..end).step_by(BLOCK_LENGTH as usize).map(move |begin| Self {
            begin,
            length: BLOCK_LENGTH.min(end - begin),
            ..self
        })
    }
}

/// A part of a block that lies in one file, or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its bytes are stored; `None` for padding, which is stored nowhere and reads as zeros.
    pub file: Option<FileIndex>,
    /// Its first byte, counted from the start of the file (or of the padding).
    pub file_offset: u64,
    /// Its length in bytes, never zero.
    pub length: u32,
}

/// A stretch of a v1 torrent's bytes, in the order of its file list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// A file of so many bytes.
    File(u64),
    /// Padding of so many zeros (BEP 47).
    Padding(u64),
}

/// Why sizes do not make a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Zero, or longer than the cap.
    #[error("a piece length of {0} bytes is not between 1 and {max}", max = limits::PIECE_LENGTH)]
    PieceLength(u64),
    /// More files than the cap.
    #[error("more than {max} files", max = limits::FILES)]
    TooManyFiles,
    /// More bytes than the cap.
    #[error("the content is larger than any file system")]
    TooLarge,
    /// More pieces than the cap.
    #[error("more than {max} pieces: the piece length is too short for the content", max = limits::PIECES)]
    TooManyPieces,
}

/// Where a torrent's bytes are: pieces on one side, files on the other.
///
/// Both live in one line of bytes, the piece space. In v1 torrents the files follow each other without a
/// gap, padding files included; in v2 and hybrid torrents every file starts at a piece boundary, and the gap
/// before it is neither stored nor exchanged. Lookups take time logarithmic in the number of files. Indices
/// beyond the end yield sizes of zero and empty ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    piece_length: u32,
    piece_count: u32,
    /// Everything that is exchanged, ascending, without empty ones.
    extents: Vec<Extent>,
    /// Every file, empty ones too; both starts and ends ascend.
    files: Vec<FileSpan>,
    total_size: u64,
    exchanged_size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    start: u64,
    end: u64,
    file: Option<FileIndex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileSpan {
    start: u64,
    end: u64,
}

impl Layout {
    /// The layout of a v1 torrent: files and padding follow each other without a gap (BEP 3, BEP 47).
    ///
    /// # Errors
    /// If a cap of [`limits`] is broken.
    pub fn contiguous(
        piece_length: u32,
        stretches: impl IntoIterator<Item = Stretch>,
    ) -> Result<Self, LayoutError> {
        let mut layout = Self::empty(piece_length)?;
        for stretch in stretches {
            layout.push(layout.end(), stretch)?;
        }
        layout.finish()
    }

    /// The layout of a v2 or hybrid torrent: every file starts at a piece boundary (BEP 52).
    ///
    /// # Errors
    /// If a cap of [`limits`] is broken.
    pub fn aligned(
        piece_length: u32,
        file_sizes: impl IntoIterator<Item = u64>,
    ) -> Result<Self, LayoutError> {
        let mut layout = Self::empty(piece_length)?;
        for size in file_sizes {
            let start = layout.end().next_multiple_of(u64::from(piece_length));
            layout.push(start, Stretch::File(size))?;
        }
        layout.finish()
    }

    /// The layout of one file of `size` bytes; the same in every format.
    ///
    /// # Panics
    /// If a cap of [`limits`] is broken: it is for sizes that the program itself chose.
    pub fn single_file(size: u64, piece_length: u32) -> Self {
        Self::contiguous(piece_length, [Stretch::File(size)]).expect("sizes within the caps")
    }

    fn empty(piece_length: u32) -> Result<Self, LayoutError> {
        if piece_length == 0 || piece_length > limits::PIECE_LENGTH {
            return Err(LayoutError::PieceLength(u64::from(piece_length)));
        }
        Ok(Self {
            piece_length,
            piece_count: 0,
            extents: Vec::new(),
            files: Vec::new(),
            total_size: 0,
            exchanged_size: 0,
        })
    }

    /// Where the piece space ends so far; at most the cap, so that rounding up to a piece cannot overflow.
    fn end(&self) -> u64 {
        self.extents.last().map_or(0, |extent| extent.end)
    }

    fn push(&mut self, start: u64, stretch: Stretch) -> Result<(), LayoutError> {
        let (Stretch::File(size) | Stretch::Padding(size)) = stretch;
        let end = start
            .checked_add(size)
            .filter(|&end| end <= limits::CONTENT_BYTES)
            .ok_or(LayoutError::TooLarge)?;
        let file = match stretch {
            Stretch::File(_) => Some(FileIndex(self.files.len() as u32)),
            Stretch::Padding(_) => None,
        };
        if file.is_some() {
            self.files.push(FileSpan { start, end });
            self.total_size += size;
        }
        if size > 0 {
            self.extents.push(Extent { start, end, file });
            self.exchanged_size += size;
        }
        if self.files.len().max(self.extents.len()) > limits::FILES as usize {
            return Err(LayoutError::TooManyFiles);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Self, LayoutError> {
        let pieces = self.end().div_ceil(u64::from(self.piece_length));
        self.piece_count = u32::try_from(pieces)
            .ok()
            .filter(|&pieces| pieces <= limits::PIECES)
            .ok_or(LayoutError::TooManyPieces)?;
        Ok(self)
    }

    /// Pieces in the torrent.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Bytes of a whole piece.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Bytes of one piece that are exchanged and, padding apart, stored. Short for the last piece, and in
    /// v2 and hybrid torrents for the last piece of each file.
    pub fn piece_size(&self, piece: PieceIndex) -> u32 {
        let start = self.piece_start(piece);
        let whole_end = start + u64::from(self.piece_length);
        let begun = self.extents.partition_point(|extent| extent.start < whole_end);
        let end = self.extents[..begun].last().map_or(0, |last| last.end.min(whole_end));
        end.saturating_sub(start) as u32
    }

    /// Content bytes of one piece: what [`Self::piece_size`] says, less the padding in it.
    pub fn content_size(&self, piece: PieceIndex) -> u32 {
        let whole = BlockRef { piece, begin: 0, length: self.piece_size(piece) };
        self.segments(whole).filter(|segment| segment.file.is_some()).map(|segment| segment.length).sum()
    }

    /// Blocks of one piece.
    pub fn blocks_in(&self, piece: PieceIndex) -> u32 {
        self.piece_size(piece).div_ceil(BLOCK_LENGTH)
    }

    /// The block number `n` of a piece: 16 KiB, or less at the piece's end. Of length zero beyond it.
    pub fn block(&self, piece: PieceIndex, n: u32) -> BlockRef {
        let begin = n.saturating_mul(BLOCK_LENGTH);
        let length = self.piece_size(piece).saturating_sub(begin).min(BLOCK_LENGTH);
        BlockRef { piece, begin, length }
    }

    /// The number in its piece of the block that `block` starts in.
    pub fn block_index(&self, block: BlockRef) -> u32 {
        block.begin / BLOCK_LENGTH
    }

    /// Whether `block` is not empty and lies inside one piece of this torrent.
    pub fn contains(&self, block: BlockRef) -> bool {
        let end = block.begin.checked_add(block.length);
        block.length > 0 && end.is_some_and(|end| end <= self.piece_size(block.piece))
    }

    /// Bytes of all files, padding not counted.
    pub fn total_size(&self) -> u64 {
        self.total_size
    }

    /// Bytes of all pieces as exchanged: the files and a v1 torrent's padding.
    pub fn exchanged_size(&self) -> u64 {
        self.exchanged_size
    }

    /// The files that a block's bytes lie in, in order; nothing if the torrent does not contain the block.
    pub fn segments(&self, block: BlockRef) -> impl Iterator<Item = Segment> + '_ {
        let start = self.piece_start(block.piece) + u64::from(block.begin);
        let end = if self.contains(block) { start + u64::from(block.length) } else { start };
        let first = self.extents.partition_point(|extent| extent.end <= start);
        let touched = move |extent: &&Extent| extent.start < end && start < end;
        self.extents[first..].iter().take_while(touched).map(move |extent| {
            let from = extent.start.max(start);
            Segment {
                file: extent.file,
                file_offset: from - extent.start,
                length: (extent.end.min(end) - from) as u32,
            }
        })
    }

    /// The pieces that hold a file's bytes; none for an empty file.
    pub fn pieces_of(&self, file: FileIndex) -> Range<u32> {
        let Some(span) = self.files.get(file.0 as usize) else { return 0..0 };
        let piece_length = u64::from(self.piece_length);
        let first = (span.start / piece_length) as u32;
        if span.start == span.end { first..first } else { first..span.end.div_ceil(piece_length) as u32 }
    }

    /// The files that have bytes in a piece, as numbers of [`FileIndex`]; empty files that lie between or
    /// after them in that piece are counted in.
    pub fn files_of(&self, piece: PieceIndex) -> Range<u32> {
        let start = self.piece_start(piece);
        let end = start + u64::from(self.piece_size(piece));
        let first = self.files.partition_point(|file| file.end <= start) as u32;
        let last = self.files.partition_point(|file| file.start < end) as u32;
        first..last.max(first)
    }

    /// Files in the torrent, padding not counted.
    pub fn file_count(&self) -> u32 {
        self.files.len() as u32
    }

    /// Bytes of one file.
    pub fn file_size(&self, file: FileIndex) -> u64 {
        self.files.get(file.0 as usize).map_or(0, |span| span.end - span.start)
    }

    /// Where a file's first byte is in the piece space: in v2 and hybrid torrents a multiple of the piece
    /// length.
    pub fn file_start(&self, file: FileIndex) -> u64 {
        self.files.get(file.0 as usize).map_or(0, |span| span.start)
    }

    fn piece_start(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }
}

#[cfg(test)]
mod tests;
