//! Which names may become files: those that every operating system can hold, and that stay inside the
//! torrent's own folder.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use super::limits;

/// Why a name or path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("a name is empty")]
    Empty,
    /// Not text.
    #[error("a name is not UTF-8")]
    NotUtf8,
    /// `.`, `..`, or dots and spaces alone, which Windows takes for one of the two.
    #[error("a name means this folder or the one above")]
    Relative,
    /// A NUL, slash or backslash.
    #[error("a name contains the separator {0:?}")]
    Separator(char),
    /// A control character: whoever lists the folder has it sent to his terminal.
    #[error("a name contains the control character {0:?}")]
    Control(char),
    /// A letter and a colon, with or without more.
    #[error("a name starts with a drive letter")]
    Drive,
    /// A device on Windows, with or without an extension.
    #[error("a name means a device on Windows")]
    Device,
    /// Longer than any file system allows.
    #[error("a name is longer than {max} bytes", max = limits::NAME_BYTES)]
    NameTooLong,
    /// More components than the cap.
    #[error("it is deeper than {max} folders", max = limits::PATH_DEPTH)]
    TooDeep,
    /// Longer than the cap.
    #[error("it is longer than {max} bytes", max = limits::PATH_BYTES)]
    PathTooLong,
    /// Two files whose names are the same, or mean the same file on some system: upper and lower case, the
    /// way accents are written, dots and spaces at the end, and what follows a colon do not tell them apart.
    #[error("another file has the same name, or one that some systems take for the same")]
    Duplicate,
    /// A file where another file's folder is.
    #[error("it is a file and a folder at once")]
    FileAndFolder,
    /// All paths together take more memory than the cap.
    #[error("all paths together are too long")]
    TooMuch,
}

/// What is done about names that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// They are no names: BEP 52 wants UTF-8, and the halves of a hybrid are compared by name.
    Refused,
    /// `_` stands for what is not understood: old v1 torrents are in their author's local encoding.
    Replaced,
}

impl Foreign {
    /// The name in `bytes`, if it is one.
    pub(super) fn read(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Refused => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Replaced => {
                let stand_in = |invalid: &[u8]| if invalid.is_empty() { "" } else { "_" };
                let chunks = bytes.utf8_chunks();
                Some(chunks.flat_map(|chunk| [chunk.valid(), stand_in(chunk.invalid())]).collect())
            }
        }
    }
}

/// Where macOS keeps a folder's picture: a file of many honest torrents.
const FOLDER_ICON: &str = "Icon\r";

/// Checks one component of a path.
///
/// Refused are: nothing; `.`, `..` and other names of dots and spaces alone; NUL, `/` and `\`; a drive (`C:`
/// at the start); Windows' device names, whatever their case and extension; what is longer than 255 bytes; and
/// control characters, which steer terminals and tear the lists that scripts read, but for the `Icon\r` that
/// macOS puts into folders. Colons elsewhere and trailing dots or spaces are allowed: they are names like any
/// other where they can be stored, and harmless where they cannot. That no two of a torrent's names become one
/// is checked where all are known.
///
/// # Errors
/// The first of these that applies.
pub fn check_component(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().all(|c| matches!(c, '.' | ' ')) {
        return Err(NameError::Relative);
    }
    if let Some(separator) = name.chars().find(|c| matches!(c, '\0' | '/' | '\\')) {
        return Err(NameError::Separator(separator));
    }
    if name.len() > limits::NAME_BYTES {
        return Err(NameError::NameTooLong);
    }
    if matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(NameError::Drive);
    }
    if is_device(name) {
        return Err(NameError::Device);
    }
    match name.chars().find(|c| c.is_control()) {
        Some(control) if name != FOLDER_ICON => Err(NameError::Control(control)),
        _ => Ok(()),
    }
}

/// Whether Windows takes a name for a device: it looks at what comes before the first dot or colon, without
/// trailing spaces.
fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    let numbered = |port: &str| {
        let number = stem.strip_prefix(port).map(|rest| rest.chars());
        number.is_some_and(|mut rest| {
            matches!((rest.next(), rest.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
}

/// The paths of a torrent so far, to find those that cannot be beside each other.
#[derive(Debug, Default)]
pub(super) struct PathSet {
    /// What a folded name is in a folder; folders are numbered, 0 is the topmost.
    entries: BTreeMap<(u32, String), Entry>,
    folders: u32,
    cost_bytes: usize,
    /// The folders of the path before, with their numbers: files of one folder mostly follow each other.
    last_folders: Vec<(String, u32)>,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    File,
    Folder(u32),
}

impl PathSet {
    /// Checks a path by itself and against those before.
    pub(super) fn insert(&mut self, path: &[String]) -> Result<(), NameError> {
        let (name, folders) = path.split_last().ok_or(NameError::Empty)?;
        if path.len() > limits::PATH_DEPTH {
            return Err(NameError::TooDeep);
        }
        let length: usize = path.iter().map(|component| component.len() + 1).sum();
        if length > limits::PATH_BYTES {
            return Err(NameError::PathTooLong);
        }
        self.cost_bytes += length + size_of_val(path);
        if self.cost_bytes > limits::PATHS_BYTES {
            return Err(NameError::TooMuch);
        }
        check_component(name)?;
        let inside = self.enter(folders)?;
        match self.entries.insert((inside, fold(name)), Entry::File) {
            None => Ok(()),
            Some(Entry::File) => Err(NameError::Duplicate),
            Some(Entry::Folder(_)) => Err(NameError::FileAndFolder),
        }
    }

    /// The number of the innermost of these folders, new or known.
    fn enter(&mut self, folders: &[String]) -> Result<u32, NameError> {
        let known = self.last_folders.iter().zip(folders).take_while(|((known, _), folder)| known == *folder);
        let shared = known.count();
        self.last_folders.truncate(shared);
        for folder in &folders[shared..] {
            check_component(folder)?;
            let above = self.last_folders.last().map_or(0, |&(_, number)| number);
            let next = self.folders + 1;
            let number = match *self.entries.entry((above, fold(folder))).or_insert(Entry::Folder(next)) {
                Entry::File => return Err(NameError::FileAndFolder),
                Entry::Folder(number) => number,
            };
            self.folders = self.folders.max(number);
            self.last_folders.push((folder.clone(), number));
        }
        Ok(self.last_folders.last().map_or(0, |&(_, number)| number))
    }
}

/// What names have in common that are one file somewhere, close enough to what file systems do: upper and
/// lower case are the same, macOS takes an accent and its letter for one character or two alike, and Windows
/// drops dots and spaces from the end and takes an unnamed stream, or the one called `$DATA`, for the file.
fn fold(name: &str) -> String {
    let opened = name.strip_suffix("::$DATA").unwrap_or(name).trim_end_matches(['.', ' ', ':']);
    opened.nfc().collect::<String>().to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> Option<NameError> {
        check_component(name).err()
    }

    #[test]
    fn ordinary_names_are_accepted() {
        for name in [
            "a",
            "...x",
            ".hidden",
            "a b",
            "name.",
            "name ",
            "12:30",
            "日本語",
            "cone",
            "com10",
            "com",
            "COM0",
            "nul-1",
            "lpt",
            "Icon\r",
            "x.con",
            "é",
        ] {
            assert_eq!(refused(name), None, "{name:?}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [".", "..", "...", ". .", " ", ".. "] {
            assert_eq!(refused(name), Some(NameError::Relative), "{name:?}");
        }
        assert_eq!(refused(""), Some(NameError::Empty));
        assert_eq!(refused("a/b"), Some(NameError::Separator('/')));
        assert_eq!(refused("..\\b"), Some(NameError::Separator('\\')));
        assert_eq!(refused("a\0"), Some(NameError::Separator('\0')));
        for control in ['\u{1b}', '\n', '\r', '\u{7f}', '\u{9b}'] {
            assert_eq!(refused(&format!("a{control}[0m")), Some(NameError::Control(control)));
        }
        assert_eq!(refused("C:"), Some(NameError::Drive));
        assert_eq!(refused("z:x"), Some(NameError::Drive));
    }

    #[test]
    fn devices_are_refused_whatever_their_case_and_extension() {
        for name in [
            "CON",
            "nul",
            "Aux.txt",
            "prn .x",
            "com1",
            "LPT9.tar.gz",
            "COM²",
            "conin$",
            "CON ",
            "nul:x",
            "CON.",
        ] {
            assert_eq!(refused(name), Some(NameError::Device), "{name:?}");
        }
    }
}
