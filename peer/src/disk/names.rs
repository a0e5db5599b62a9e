//! Where a torrent's files are: final names, names while incomplete, and the folder that holds them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use samara_proto::limits::NAME_BYTES;
use samara_proto::metainfo::Metainfo;

/// What is appended to the name of an incomplete file.
const PART_SUFFIX: &str = ".part";

/// The paths of one file, relative to the torrent's own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileNames {
    /// Once every piece of it is verified.
    pub(super) complete: PathBuf,
    /// Until then.
    pub(super) partial: PathBuf,
}

/// The names of every file of a torrent; no partial name is a file or folder of the torrent itself.
pub(super) fn file_names(metainfo: &Metainfo) -> Vec<FileNames> {
    names_of_paths(metainfo.files().iter().map(|file| file.path.as_slice()))
}

/// The names of files with these path components.
pub(super) fn names_of_paths<'a>(paths: impl Iterator<Item = &'a [String]>) -> Vec<FileNames> {
    partial_names(paths.map(|path| path.iter().collect()).collect())
}

fn partial_names(paths: Vec<PathBuf>) -> Vec<FileNames> {
    let mut taken: HashSet<u64> = paths.iter().flat_map(|path| partial_looking(path)).collect();
    paths
        .into_iter()
        .enumerate()
        .map(|(index, complete)| {
            let mut partial = with_suffix(&complete, PART_SUFFIX);
            let mut attempt = 0;
            while !taken.insert(fingerprint(&partial)) {
                partial = with_suffix(&complete, &format!(".{index}-{attempt}{PART_SUFFIX}"));
                attempt += 1;
            }
            FileNames { complete, partial }
        })
        .collect()
}

/// Fingerprints of a path and the folders it is in, of those that could be taken for an incomplete file.
/// Not the names: a hostile torrent may have so many folders that their paths fill the memory.
fn partial_looking(path: &Path) -> impl Iterator<Item = u64> {
    let mut hasher = DefaultHasher::new();
    path.components().filter_map(move |component| {
        let name = fold(component.as_os_str());
        name.hash(&mut hasher);
        name.ends_with(PART_SUFFIX).then(|| hasher.finish())
    })
}

/// The same for two paths that are one on a file system that ignores case. Different paths may share one by
/// chance: then one more name than needed is avoided.
fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.components().for_each(|component| fold(component.as_os_str()).hash(&mut hasher));
    hasher.finish()
}

fn fold(name: &OsStr) -> String {
    name.to_string_lossy().to_lowercase()
}

/// `path` with `suffix` after its last component, which is shortened where no file system could store it.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let mut end = name.len().min(NAME_BYTES - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    path.with_file_name(format!("{}{suffix}", &name[..end]))
}

/// The folder that holds the torrent's file or folder, if the user pointed to `dir`: that is `dir` itself, or
/// its parent where `dir` is the torrent's own file or folder.
pub fn content_root(metainfo: &Metainfo, dir: &Path) -> PathBuf {
    let name = metainfo.name();
    let inside = dir.join(name);
    let partial = with_suffix(&inside, PART_SUFFIX);
    if inside.symlink_metadata().is_ok() || partial.symlink_metadata().is_ok() {
        return dir.to_path_buf();
    }
    let Ok(resolved) = dir.canonicalize() else { return dir.to_path_buf() };
    match resolved.parent() {
        Some(parent)
            if resolved.file_name() == Some(OsStr::new(name))
                && resolved.is_file() == metainfo.is_single_file() =>
        {
            parent.to_path_buf()
        }
        _ => dir.to_path_buf(),
    }
}

/// A path as it may be shown on a terminal: control and invisible characters are escaped.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().flat_map(shown_char).collect()
}

fn shown_char(character: char) -> impl Iterator<Item = char> {
    let quote = matches!(character, '\'' | '"' | '\\');
    let plain = quote.then_some(character);
    let escaped = (!quote).then(|| character.escape_debug());
    plain.into_iter().chain(escaped.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partials(paths: &[&str]) -> Vec<String> {
        let names = partial_names(paths.iter().map(PathBuf::from).collect());
        names.into_iter().map(|names| names.partial.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn an_incomplete_file_carries_the_suffix() {
        assert_eq!(partials(&["a/b", "c"]), ["a/b.part", "c.part"]);
    }

    #[test]
    fn a_partial_name_is_never_a_file_or_folder_of_the_torrent() {
        let names = partials(&["x", "X.part", "y", "y.part/z"]);
        assert_eq!(names, ["x.0-0.part", "X.part.part", "y.2-0.part", "y.part/z.part"]);
    }

    #[test]
    fn a_partial_name_of_a_longest_name_still_fits() {
        let long = "ü".repeat(127);
        for name in partials(&[&long, &format!("{}a", "ü".repeat(127))]) {
            assert!(name.len() <= NAME_BYTES, "{}", name.len());
            assert!(name.ends_with(PART_SUFFIX));
        }
    }

    #[test]
    fn a_shown_path_cannot_steer_a_terminal() {
        assert_eq!(shown(Path::new("it's \u{1b}[2J\u{202e}é")), "it's \\u{1b}[2J\\u{202e}é");
    }
}
