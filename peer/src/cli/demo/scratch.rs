//! A temporary folder with a made-up file in it, gone when dropped.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use rand::rngs::SysRng;
use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use samara_proto::infohash::Sha256Hash;
use sha2::{Digest, Sha256};

use crate::cli::failure::Failure;

/// Bytes read or written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A folder of our own, removed with everything in it when dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes it in the system's temporary folder.
    pub fn new() -> Result<Self, Failure> {
        let number = SysRng
            .try_next_u64()
            .map_err(|error| Failure::failed(format!("cannot draw a random number: {error}")))?;
        let path = std::env::temp_dir().join(format!("samara-demo-{number:016x}"));
        // It fails if anything of that name is there, so nobody else's files are ever touched.
        fs::create_dir(&path).map_err(|error| Failure::file("create", &path, &error))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(|error| Failure::file("create", &path, &error))?;
        Ok(path)
    }

    /// Removes it, and says if that fails.
    pub fn remove(self) -> Result<(), Failure> {
        fs::remove_dir_all(&self.path).map_err(|error| Failure::file("remove", &self.path, &error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After `remove` there is nothing left, which is no failure; on an early end nobody could act on one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Fills a new file with `size` bytes that nothing can compress or guess, and hashes them on the way.
pub fn make_up(path: &Path, size: u64) -> io::Result<Sha256Hash> {
    let mut noise = ChaCha8Rng::from_seed(*b"a samara is a winged seed. . . .");
    let mut digest = Sha256::new();
    let mut file = File::create_new(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        noise.fill_bytes(&mut chunk[..length]);
        digest.update(&chunk[..length]);
        file.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    Ok(Sha256Hash(digest.finalize().into()))
}

/// The SHA-256 of a whole file.
pub fn sha256(path: &Path) -> io::Result<Sha256Hash> {
    let mut digest = Sha256::new();
    let mut file = BufReader::new(File::open(path)?);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Sha256Hash(digest.finalize().into())),
            length => digest.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_file_has_the_size_and_hash_that_were_said() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("noise");
        let size = CHUNK_BYTES as u64 + 17;
        let hash = make_up(&path, size).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
        assert_eq!(sha256(&path).unwrap(), hash);
    }

    #[test]
    fn nothing_is_left_of_a_scratch_folder() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        fs::write(scratch.folder("a").unwrap().join("b"), "c").unwrap();
        scratch.remove().unwrap();
        assert!(!path.exists());
    }
}
