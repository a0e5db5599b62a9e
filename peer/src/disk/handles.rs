//! The open files of all torrents, few enough for any limit on descriptors.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::File;
use samara_proto::layout::FileIndex;

/// Files held open at once: far below the smallest usual limit of 256 descriptors, and enough that the
/// files of a few pieces in flight are not opened again for every block.
const OPEN_FILES: usize = 64;

/// The most recently used files, last used first. A file that falls out is closed once nobody uses it.
pub(super) struct Handles {
    open: Mutex<Vec<Open>>,
    next_store: AtomicU64,
}

struct Open {
    key: Key,
    file: Arc<File>,
}

type Key = (u64, FileIndex);

impl Handles {
    pub(super) fn new() -> Self {
        Self { open: Mutex::new(Vec::with_capacity(OPEN_FILES + 1)), next_store: AtomicU64::new(0) }
    }

    /// A number that no other store has.
    pub(super) fn store_number(&self) -> u64 {
        self.next_store.fetch_add(1, Ordering::Relaxed)
    }

    /// The file, if it is open.
    pub(super) fn get(&self, store: u64, file: FileIndex) -> Option<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|entry| entry.key == (store, file))?;
        open[..=at].rotate_right(1);
        Some(open[0].file.clone())
    }

    /// The file, opened by `opener` if it is not open.
    ///
    /// The caller must keep others from opening, renaming or closing the same file meanwhile.
    pub(super) fn get_or_open(
        &self,
        store: u64,
        file: FileIndex,
        opener: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        if let Some(handle) = self.get(store, file) {
            return Ok(handle);
        }
        let handle = Arc::new(opener()?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(0, Open { key: (store, file), file: handle.clone() });
        open.truncate(OPEN_FILES);
        Ok(handle)
    }

    /// Closes one file.
    pub(super) fn close(&self, store: u64, file: FileIndex) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|entry| entry.key != (store, file));
    }

    /// Closes every file of a store.
    pub(super) fn close_all(&self, store: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|entry| entry.key.0 != store);
    }
}
