//! Which files of a torrent somebody wants, and what that means for its pieces.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{FileIndex, Layout, PieceIndex};
use samara_proto::metainfo::Metainfo;
use thiserror::Error;

use crate::engine::selection::{Priority, Selection, Sequence};

/// Some files of a torrent, as somebody names them who may not have seen the torrent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePattern {
    /// By their numbers in the order of the torrent, counted from 1.
    Numbers(Vec<RangeInclusive<u32>>),
    /// By their path, with or without the torrent's own folder. A folder stands for everything in it, `*` for
    /// any characters and `?` for one, `/` included.
    Path(String),
}

/// Why text names no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FilePatternError {
    /// It looks like numbers.
    #[error(
        "file numbers are counted from 1 and look like 2 or 1,4-6; a path of such characters begins with /"
    )]
    Numbers,
    /// There is nothing in it.
    #[error("it is empty; give a path, a pattern such as '*.iso', or file numbers")]
    Empty,
}

impl FromStr for FilePattern {
    type Err = FilePatternError;

    fn from_str(text: &str) -> Result<Self, FilePatternError> {
        let is_numeric = |character: char| character.is_ascii_digit() || matches!(character, ',' | '-');
        if !text.is_empty() && text.chars().all(is_numeric) {
            let ranges = text.split(',').map(range).collect::<Option<_>>();
            return ranges.map(Self::Numbers).ok_or(FilePatternError::Numbers);
        }
        let path = text.trim_start_matches("./").trim_matches('/');
        if path.is_empty() { Err(FilePatternError::Empty) } else { Ok(Self::Path(path.to_owned())) }
    }
}

fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (*range.start() > 0 && !range.is_empty()).then_some(range)
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(pattern) => f.write_str(pattern),
            Self::Numbers(ranges) => {
                let text = |range: &RangeInclusive<u32>| match range.start() == range.end() {
                    true => range.start().to_string(),
                    false => format!("{}-{}", range.start(), range.end()),
                };
                f.write_str(&ranges.iter().map(text).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl FilePattern {
    fn matches(&self, metainfo: &Metainfo, file: FileIndex) -> bool {
        match self {
            Self::Numbers(ranges) => ranges.iter().any(|range| range.contains(&(file.0 + 1))),
            Self::Path(pattern) => {
                let pattern: Vec<char> = pattern.chars().collect();
                let path: Vec<&str> = metainfo.disk_path(file).collect();
                let own_folder = usize::from(!metainfo.is_single_file());
                // The file itself, and every folder it is in, both below and within the torrent's own.
                [0, own_folder].into_iter().any(|from| {
                    (from + 1..=path.len()).any(|to| is_match(&pattern, &path[from..to].join("/")))
                })
            }
        }
    }
}

/// Whether all of `text` is what `pattern` says.
fn is_match(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` is, and the end of what it stands for so far.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&expected) if expected == '?' || expected == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, end)) = star else { return false };
                star = Some((at, end + 1));
                (p, t) = (at + 1, end + 1);
            }
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

/// What is wanted of a torrent. The default is everything, the rarest pieces first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only these files; empty means all.
    pub only: Vec<FilePattern>,
    /// In which order pieces are fetched.
    pub sequence: Sequence,
}

/// A pattern for which there is no file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no file of the torrent matches {pattern:?}; samara show lists them with their numbers")]
pub struct NoSuchFile {
    /// The first such pattern.
    pub pattern: String,
}

impl Choice {
    /// What it means for a torrent.
    ///
    /// # Errors
    /// If there is no file for one of the patterns.
    pub fn of(&self, metainfo: &Metainfo) -> Result<Chosen, NoSuchFile> {
        let layout = metainfo.layout();
        let everything = self.only.is_empty();
        let mut files = vec![everything; layout.file_count() as usize];
        for pattern in &self.only {
            let mut any = false;
            for (file, chosen) in (0..).map(FileIndex).zip(&mut files) {
                let is_named = pattern.matches(metainfo, file);
                any |= is_named;
                *chosen |= is_named;
            }
            if !any {
                return Err(NoSuchFile { pattern: pattern.to_string() });
            }
        }
        Ok(Chosen::new(layout, files, self.sequence))
    }
}

/// Chosen files of one torrent, and the pieces they take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    files: Vec<bool>,
    unwanted: Bitfield,
    bytes: u64,
    sequence: Sequence,
}

impl Chosen {
    /// Every file.
    pub fn everything(layout: &Layout) -> Self {
        Self::new(layout, vec![true; layout.file_count() as usize], Sequence::default())
    }

    fn new(layout: &Layout, files: Vec<bool>, sequence: Sequence) -> Self {
        let mut unwanted = Bitfield::full(layout.piece_count());
        for (file, _) in (0..).zip(&files).filter(|(_, chosen)| **chosen) {
            layout.pieces_of(FileIndex(file)).for_each(|piece| _ = unwanted.clear(PieceIndex(piece)));
        }
        // What lies in no file, a v1 torrent's padding, belongs to everybody who wants everything.
        if files.iter().all(|chosen| *chosen) {
            unwanted = Bitfield::new(layout.piece_count());
        }
        let bytes = unwanted.iter_zeros().map(|piece| u64::from(layout.content_size(piece))).sum();
        Self { files, unwanted, bytes, sequence }
    }

    /// Whether everything is wanted.
    pub fn is_everything(&self) -> bool {
        self.files.iter().all(|chosen| *chosen)
    }

    /// Whether a file is wanted.
    pub fn has(&self, file: FileIndex) -> bool {
        self.files.get(file.0 as usize).is_some_and(|chosen| *chosen)
    }

    /// Whether a file is wanted or shares a piece with one that is: it is written to then.
    pub fn touches(&self, layout: &Layout, file: FileIndex) -> bool {
        self.has(file) || layout.pieces_of(file).any(|piece| self.wants(PieceIndex(piece)))
    }

    /// Whether a piece is wanted.
    pub fn wants(&self, piece: PieceIndex) -> bool {
        !self.unwanted.get(piece)
    }

    /// The pieces that are not wanted.
    pub fn unwanted(&self) -> &Bitfield {
        &self.unwanted
    }

    /// Content bytes of the pieces that are wanted.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same for the engine.
    pub fn selection(&self) -> Selection {
        let mut priorities = vec![Priority::Normal; self.unwanted.len() as usize];
        self.unwanted.iter_ones().for_each(|piece| priorities[piece.0 as usize] = Priority::Skip);
        Selection { priorities, sequence: self.sequence }
    }
}

#[cfg(test)]
mod tests;
