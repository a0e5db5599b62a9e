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

/// What is wanted of a torrent, and what of it first. The default is everything, the rarest pieces first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only these files; empty means all.
    pub only: Vec<FilePattern>,
    /// Of these, the files that are fetched before everything else.
    pub first: Vec<FilePattern>,
    /// The files that are fetched after everything else.
    pub last: Vec<FilePattern>,
    /// In which order pieces are fetched.
    pub sequence: Sequence,
}

/// Why a choice makes no sense for a torrent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChoiceError {
    /// A pattern for which there is no file.
    #[error("no file of the torrent matches {pattern:?}; samara show lists them with their numbers")]
    NoSuchFile {
        /// The first such pattern.
        pattern: String,
    },
    /// Something is to come first or last that is not to come at all.
    #[error(
        "{pattern:?} is to come first or last, but none of its files is wanted; name them with --only too"
    )]
    NotWanted {
        /// The first such pattern.
        pattern: String,
    },
    /// A file is to come both first and last.
    #[error("{path:?} is to come both first and last; narrow --first or --last")]
    FirstAndLast {
        /// The first such file, by its path within the torrent.
        path: String,
    },
}

impl Choice {
    /// What it means for a torrent.
    ///
    /// # Errors
    /// See [`ChoiceError`].
    pub fn of(&self, metainfo: &Metainfo) -> Result<Chosen, ChoiceError> {
        let layout = metainfo.layout();
        let [only, first, last] = [&self.only, &self.first, &self.last];
        let mut wanted = vec![only.is_empty(); layout.file_count() as usize];
        for pattern in only {
            for file in files_of(pattern, metainfo)? {
                wanted[file.0 as usize] = true;
            }
        }
        let named = |patterns: &[FilePattern]| {
            let mut named = vec![false; wanted.len()];
            for pattern in patterns {
                let mut any = false;
                for file in files_of(pattern, metainfo)?.into_iter().filter(|file| wanted[file.0 as usize]) {
                    named[file.0 as usize] = true;
                    any = true;
                }
                if !any {
                    return Err(ChoiceError::NotWanted { pattern: pattern.to_string() });
                }
            }
            Ok(named)
        };
        let (first, last) = (named(first)?, named(last)?);
        let priority = |file: usize| match (wanted[file], first[file], last[file]) {
            (false, ..) => Ok(Priority::Skip),
            (true, false, false) => Ok(Priority::Normal),
            (true, true, false) => Ok(Priority::High),
            (true, false, true) => Ok(Priority::Low),
            (true, true, true) => {
                let path: Vec<&str> = metainfo.disk_path(FileIndex(file as u32)).collect();
                Err(ChoiceError::FirstAndLast { path: path.join("/") })
            }
        };
        let files = (0..wanted.len()).map(priority).collect::<Result<_, _>>()?;
        Ok(Chosen::new(layout, files, self.sequence))
    }
}

/// The files that a pattern names: one at least.
fn files_of(pattern: &FilePattern, metainfo: &Metainfo) -> Result<Vec<FileIndex>, ChoiceError> {
    let all = (0..metainfo.layout().file_count()).map(FileIndex);
    let files: Vec<FileIndex> = all.filter(|&file| pattern.matches(metainfo, file)).collect();
    if files.is_empty() {
        return Err(ChoiceError::NoSuchFile { pattern: pattern.to_string() });
    }
    Ok(files)
}

/// Chosen files of one torrent, and the pieces they take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    files: Vec<Priority>,
    unwanted: Bitfield,
    bytes: u64,
    sequence: Sequence,
}

impl Chosen {
    /// Every file.
    pub fn everything(layout: &Layout) -> Self {
        Self::new(layout, vec![Priority::Normal; layout.file_count() as usize], Sequence::default())
    }

    fn new(layout: &Layout, files: Vec<Priority>, sequence: Sequence) -> Self {
        let mut unwanted = Bitfield::full(layout.piece_count());
        for (file, _) in (0..).zip(&files).filter(|(_, priority)| **priority > Priority::Skip) {
            layout.pieces_of(FileIndex(file)).for_each(|piece| _ = unwanted.clear(PieceIndex(piece)));
        }
        // What lies in no file, a v1 torrent's padding, belongs to everybody who wants everything.
        if files.iter().all(|priority| *priority > Priority::Skip) {
            unwanted = Bitfield::new(layout.piece_count());
        }
        let bytes = unwanted.iter_zeros().map(|piece| u64::from(layout.content_size(piece))).sum();
        Self { files, unwanted, bytes, sequence }
    }

    /// Whether everything is wanted.
    pub fn is_everything(&self) -> bool {
        self.files.iter().all(|priority| *priority > Priority::Skip)
    }

    /// Whether a file is wanted.
    pub fn has(&self, file: FileIndex) -> bool {
        self.files.get(file.0 as usize).is_some_and(|priority| *priority > Priority::Skip)
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

    /// The same for the engine. A piece that several files share is wanted as much as the one that is wanted most.
    pub fn selection(&self, layout: &Layout) -> Selection {
        let mut priorities: Vec<Option<Priority>> = vec![None; layout.piece_count() as usize];
        let mut raise = |piece: u32, priority: Priority| {
            let known = &mut priorities[piece as usize];
            *known = (*known).max(Some(priority));
        };
        let edges_first = self.sequence == Sequence::Ascending && !self.files.contains(&Priority::High);
        for (file, &priority) in (0..).map(FileIndex).zip(&self.files) {
            let pieces = layout.pieces_of(file);
            // A player reads the end of a file before its middle. One without a middle comes whole in its turn; where
            // the user said what comes first or last, it is that.
            if edges_first && priority == Priority::Normal && pieces.len() > 2 {
                raise(pieces.start, Priority::High);
                raise(pieces.end - 1, Priority::High);
            }
            pieces.for_each(|piece| raise(piece, priority));
        }
        let of_padding = |piece| if self.wants(piece) { Priority::Normal } else { Priority::Skip };
        let priorities = (0..).map(PieceIndex).zip(priorities);
        let priorities = priorities.map(|(piece, priority)| priority.unwrap_or_else(|| of_padding(piece)));
        Selection { priorities: priorities.collect(), sequence: self.sequence }
    }
}

#[cfg(test)]
mod tests;
