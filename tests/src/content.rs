//! Made-up content: files and folders that a seed number determines to the last byte, and their comparison.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// How much is written or compared at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Writes `size` bytes that look random and follow from `rng_seed`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_file(path: &Path, size: u64, rng_seed: u64) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
    let mut state = rng_seed;
    let mut left = size;
    let mut chunk = Vec::with_capacity(CHUNK);
    while left > 0 {
        chunk.clear();
        while chunk.len() < CHUNK {
            chunk.extend_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    file.flush()
}

/// Writes a folder of `files` files with about `total_size` bytes: empty files, single bytes, exact
/// multiples of a block and of common piece lengths, folders eight deep, names outside ASCII.
///
/// # Errors
/// When a file cannot be written.
pub fn write_folder(root: &Path, files: usize, total_size: u64, rng_seed: u64) -> io::Result<()> {
    let mut state = rng_seed;
    let share = total_size / files.max(1) as u64;
    for index in 0..files {
        let size = match index % 10 {
            0 => 0,
            1 => 1,
            2 => 16 * 1024,
            3 => 64 * 1024 + 1,
            // What the small ones above leave over goes to the large ones.
            4 => share * 4,
            5 => (share * 2).next_multiple_of(16 * 1024),
            _ => split_mix(&mut state) % (share + 1) + 1,
        };
        write_file(&root.join(made_up_path(index)), size, rng_seed ^ (index as u64) << 20)?;
    }
    Ok(())
}

fn made_up_path(index: usize) -> PathBuf {
    let name = match index % 7 {
        0 => format!("пример-{index:04}.bin"),
        1 => format!("日本語 {index:04}.dat"),
        2 => format!("naïve café {index:04}.txt"),
        3 => format!("🌱 {index:04}"),
        _ => format!("file-{index:04}.bin"),
    };
    match index % 25 {
        0..8 => PathBuf::from(name),
        8..16 => PathBuf::from(format!("album {:02}", index % 13)).join(name),
        16..22 => PathBuf::from("ordner").join(format!("größe {}", index % 3)).join(name),
        _ => PathBuf::from("a/b/c/d/e/f/g/h").join(name),
    }
}

/// The first difference between two files or folders, in words; `None` when every name and byte agrees.
///
/// # Errors
/// When one of them cannot be read.
pub fn difference(expected: &Path, actual: &Path) -> io::Result<Option<String>> {
    if expected.is_file() {
        return file_difference(expected, actual);
    }
    let (wanted, found) = (list(expected)?, list(actual)?);
    if let Some(missing) = wanted.difference(&found).next() {
        return Ok(Some(format!("{} is missing", missing.display())));
    }
    if let Some(extra) = found.difference(&wanted).next() {
        return Ok(Some(format!("{} is too much", extra.display())));
    }
    for path in &wanted {
        if let Some(difference) = file_difference(&expected.join(path), &actual.join(path))? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// How many bytes of `expected` are already in `actual` (a file still being written, perhaps shorter or
/// with holes), counted in whole blocks of 16 KiB.
///
/// # Errors
/// When one of them cannot be read.
pub fn bytes_in_place(expected: &Path, actual: &Path) -> io::Result<u64> {
    let (mut expected, mut actual) = (File::open(expected)?, File::open(actual)?);
    let mut found = 0;
    let (mut a, mut b) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let wanted = read_full(&mut expected, &mut a)?;
        let present = read_full(&mut actual, &mut b)?;
        if wanted == 0 {
            return Ok(found);
        }
        if wanted == present && a[..wanted] == b[..wanted] {
            found += wanted as u64;
        }
    }
}

/// The sum of the sizes of all files below `root`, in bytes.
///
/// # Errors
/// When a folder cannot be listed.
pub fn total_size(root: &Path) -> io::Result<u64> {
    if root.is_file() {
        return Ok(root.metadata()?.len());
    }
    list(root)?.iter().map(|path| Ok(root.join(path).metadata()?.len())).sum()
}

fn file_difference(expected: &Path, actual: &Path) -> io::Result<Option<String>> {
    let (a, b) = (File::open(expected)?, File::open(actual));
    let b = match b {
        Ok(b) => b,
        Err(error) => return Ok(Some(format!("{}: {error}", actual.display()))),
    };
    let (wanted, found) = (a.metadata()?.len(), b.metadata()?.len());
    if wanted != found {
        return Ok(Some(format!("{} has {found} bytes, not {wanted}", actual.display())));
    }
    let (mut a, mut b) = (a, b);
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = 0u64;
    loop {
        let length = read_full(&mut a, &mut left)?;
        if length != read_full(&mut b, &mut right)? {
            return Ok(Some(format!("{} changed its size while compared", actual.display())));
        }
        if length == 0 {
            return Ok(None);
        }
        if left[..length] != right[..length] {
            let at = left.iter().zip(&right).position(|(x, y)| x != y).unwrap_or(0);
            return Ok(Some(format!("{} differs at byte {}", actual.display(), offset + at as u64)));
        }
        offset += length as u64;
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

fn list(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(root).expect("it was listed below the root").to_owned());
            }
        }
    }
    Ok(files)
}

/// The next number of Steele and Vigna's SplitMix64: fast without optimization, the same everywhere.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_folder_and_another_seed_another() {
        let scratch = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| scratch.path().join(name));
        write_folder(&a, 60, 1 << 20, 1).unwrap();
        write_folder(&b, 60, 1 << 20, 1).unwrap();
        write_folder(&c, 60, 1 << 20, 2).unwrap();
        assert_eq!(difference(&a, &b).unwrap(), None);
        assert!(difference(&a, &c).unwrap().is_some());
    }

    #[test]
    fn one_changed_byte_is_a_difference() {
        let scratch = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| scratch.path().join(name));
        write_file(&a, 100_000, 7).unwrap();
        let mut bytes = std::fs::read(&a).unwrap();
        bytes[70_000] ^= 1;
        std::fs::write(&b, &bytes).unwrap();
        assert!(difference(&a, &b).unwrap().is_some_and(|text| text.contains("at byte 70000")));
        assert_eq!(bytes_in_place(&a, &b).unwrap(), 100_000 - 16 * 1024);
    }
}
