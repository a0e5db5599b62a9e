//! A torrent's files in a folder they cannot lead out of: found, opened, read, written and renamed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cap_std::fs::{Dir, File, FileExt, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{Mode, OFlags, RenameFlags, SeekFrom};
use samara_proto::layout::{BlockRef, FileIndex, Layout};

use super::Access;
use super::handles::Handles;
use super::identity::{Claim, Stamp, changed, insist_on_size};
use super::names::FileNames;

/// Files that are forced to the disk one by one; with more the whole file system is.
const SYNCED_SINGLY: usize = 16;

/// Under which name a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under none.
    Missing,
    /// Under its partial name.
    Partial,
    /// Under its final name.
    Complete,
}

/// The files of one torrent.
pub(super) struct Files {
    pub(super) dir: Dir,
    /// The path of `dir`, for messages.
    base: PathBuf,
    pub(super) access: Access,
    pub(super) number: u64,
    pub(super) handles: Arc<Handles>,
    entries: Vec<Entry>,
}

struct Entry {
    names: FileNames,
    size: u64,
    state: Mutex<State>,
    /// Written to since it was last forced to the disk.
    dirty: AtomicBool,
}

/// What is known of one file.
pub(super) struct State {
    pub(super) place: Place,
    /// Of a complete file, when its pieces were checked.
    pub(super) stamp: Option<Stamp>,
    /// As it was when we looked last.
    pub(super) seen: Option<Stamp>,
    pub(super) looked: Option<Instant>,
    /// Whose it is, unless it is complete.
    pub(super) claim: Claim,
}

impl State {
    fn new(place: Place, stamp: Option<Stamp>) -> Self {
        Self { place, stamp, seen: stamp, looked: None, claim: Claim::Foreign }
    }
}

impl Files {
    /// The files named `names` with the sizes of `layout`, in the folder `dir` at the path `base`. Nothing is
    /// looked for yet.
    pub(super) fn new(
        (dir, base): (Dir, PathBuf),
        access: Access,
        names: Vec<FileNames>,
        layout: &Layout,
        handles: Arc<Handles>,
    ) -> Self {
        let entries = names.into_iter().enumerate().map(|(index, names)| Entry {
            names,
            size: layout.file_size(FileIndex(index as u32)),
            state: Mutex::new(State::new(Place::Missing, None)),
            dirty: AtomicBool::new(false),
        });
        Self { dir, base, access, number: handles.store_number(), entries: entries.collect(), handles }
    }

    /// The folder they are in.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Every file.
    pub(super) fn indices(&self) -> impl Iterator<Item = FileIndex> + use<> {
        (0..self.entries.len() as u32).map(FileIndex)
    }

    /// A file's names.
    pub(super) fn names(&self, file: FileIndex) -> &FileNames {
        &self.entry(file).names
    }

    /// The length a file shall have.
    pub(super) fn size(&self, file: FileIndex) -> u64 {
        self.entry(file).size
    }

    /// Where a file is, as far as we know.
    pub(super) fn place(&self, file: FileIndex) -> Place {
        self.lock(file).place
    }

    /// Notes where a file was found.
    pub(super) fn found(&self, file: FileIndex, place: Place, stamp: Option<Stamp>) {
        *self.lock(file) = State::new(place, stamp);
    }

    /// Where a file is, for messages.
    pub(super) fn current_path(&self, file: FileIndex) -> PathBuf {
        let names = self.names(file);
        self.full_path(if self.place(file) == Place::Complete { &names.complete } else { &names.partial })
    }

    /// Where a file that is not complete goes next, for messages.
    pub(super) fn next_path(&self, file: FileIndex) -> PathBuf {
        let names = self.names(file);
        self.full_path(if self.place(file) == Place::Missing { &names.partial } else { &names.complete })
    }

    /// A path in the torrent's folder as the user knows it, for messages.
    pub(super) fn full_path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// What the file system says about `path` now; `None` if nothing is there.
    ///
    /// # Errors
    /// If it cannot be found out, or if what is there is not a plain file.
    pub(super) fn look(&self, path: &Path) -> io::Result<Option<Stamp>> {
        let metadata = match self.dir.symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if metadata.is_symlink() {
            return Err(io::Error::other("it is a symbolic link; links are not followed"));
        }
        if !metadata.is_file() {
            return Err(io::Error::other("something that is not a plain file has this name"));
        }
        Ok(Some(Stamp::of(&metadata)))
    }

    /// Fills `buffer` from `offset` of a file.
    ///
    /// # Errors
    /// `NotFound` if the file is missing, `UnexpectedEof` if it is too short.
    pub(super) fn read(&self, file: FileIndex, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.handle(file)?.read_exact_at(buffer, offset)
    }

    /// Writes into an incomplete file, which is made at its full length if it never was.
    ///
    /// # Errors
    /// As [`Self::writable`].
    pub(super) fn write(&self, file: FileIndex, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let handle = self.writable(file)?;
        // What was cut off would come back as zeros, and what was added would stay.
        insist_on_size(handle.metadata()?.len(), self.size(file))?;
        handle.write_all_at(bytes, offset)?;
        // Only now, so that whoever clears the mark forces these bytes to the disk.
        self.entry(file).dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// An incomplete file, made at its full length if it never was.
    ///
    /// # Errors
    /// `PermissionDenied` if the file has its final name already: what is complete is never written to.
    /// `NotFound` or `UnexpectedEof` if somebody removed or resized it, `AlreadyExists` if somebody made it.
    pub(super) fn writable(&self, file: FileIndex) -> io::Result<Arc<File>> {
        let entry = self.entry(file);
        let mut state = self.lock(file);
        if state.place == Place::Complete {
            let text = "it was complete and has been changed since; move it away and start again";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let open = || match state.place {
            Place::Missing => self.make_partial(&entry.names.partial, entry.size),
            // Made anew it would hold zeros where verified pieces were.
            _ => self.open_partial(&entry.names.partial, entry.size),
        };
        let handle = self.handles.get_or_open(self.number, file, open)?;
        state.place = Place::Partial;
        Ok(handle)
    }

    fn make_partial(&self, path: &Path, size: u64) -> io::Result<File> {
        // What came there since we looked is not ours.
        let file = self.dir.open_with(path, writing().create_new(true))?;
        file.set_len(size)?;
        Ok(file)
    }

    fn open_partial(&self, path: &Path, size: u64) -> io::Result<File> {
        let file = self.dir.open_with(path, &writing())?;
        insist_on_size(file.metadata()?.len(), size)?;
        Ok(file)
    }

    /// Gives an incomplete file that was found, and is ours, its full length.
    pub(super) fn set_length(&self, file: FileIndex) -> io::Result<()> {
        let entry = self.entry(file);
        let opened = self.dir.open_with(&entry.names.partial, &writing())?;
        if opened.metadata()?.len() != entry.size {
            opened.set_len(entry.size)?;
        }
        Ok(())
    }

    fn handle(&self, file: FileIndex) -> io::Result<Arc<File>> {
        if let Some(handle) = self.handles.get(self.number, file) {
            return Ok(handle);
        }
        let state = self.lock(file);
        let names = self.names(file);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NOFOLLOW.bits() as i32);
        self.handles.get_or_open(self.number, file, || match (state.place, self.access) {
            (Place::Missing, _) => Err(io::ErrorKind::NotFound.into()),
            (Place::Complete, _) => self.dir.open_with(&names.complete, &options),
            (Place::Partial, Access::ReadOnly) => self.dir.open_with(&names.partial, &options),
            // Whoever writes next finds this handle.
            (Place::Partial, Access::ReadWrite) => self.dir.open_with(&names.partial, options.write(true)),
        })
    }

    /// Whether anything was ever written to this stretch of a file; true where the file system cannot tell.
    pub(super) fn has_data(&self, file: FileIndex, offset: u64, length: u64) -> bool {
        let Ok(handle) = self.handle(file) else { return false };
        match rustix::fs::seek(&*handle, SeekFrom::Data(offset)) {
            Ok(data) => data < offset + length,
            Err(error) => error != rustix::io::Errno::NXIO,
        }
    }

    /// Where the first stretch at or after `offset` of a file begins to which nothing was ever written; `None` where
    /// the file system cannot tell.
    pub(super) fn next_hole(&self, file: FileIndex, offset: u64) -> Option<u64> {
        let handle = self.handle(file).ok().filter(|_| offset < self.size(file))?;
        let hole = rustix::fs::seek(&*handle, SeekFrom::Hole(offset)).ok()?;
        // Every file ends in a hole.
        Some(hole).filter(|&hole| hole < self.size(file))
    }

    /// Gives a file its final name, unless it has it.
    ///
    /// # Errors
    /// `AlreadyExists` if another file has that name: it is left alone. `NotFound` or `UnexpectedEof` if somebody
    /// removed, replaced or resized it, or was found to have changed it before.
    pub(super) fn complete(&self, file: FileIndex) -> io::Result<()> {
        let mut state = self.lock(file);
        if state.place == Place::Complete {
            return Ok(());
        }
        if state.claim == Claim::Changed {
            return Err(changed());
        }
        self.look_at_ours(file)?;
        let names = self.names(file);
        self.handles.close(self.number, file);
        self.rename(&names.partial, &names.complete)?;
        *state = State::new(Place::Complete, self.look(&names.complete)?);
        Ok(())
    }

    /// Takes the final name from a damaged file, so that it can be repaired.
    ///
    /// # Errors
    /// `AlreadyExists` if there is an incomplete file as well: it is left alone.
    pub(super) fn reopen(&self, file: FileIndex) -> io::Result<()> {
        let mut state = self.lock(file);
        let names = self.names(file);
        self.handles.close(self.number, file);
        self.rename(&names.complete, &names.partial)?;
        *state = State { claim: Claim::Ours, ..State::new(Place::Partial, None) };
        Ok(())
    }

    /// Renames without replacing.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (Some(folder), Some(old), Some(new)) = (from.parent(), from.file_name(), to.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let inner = if folder.as_os_str().is_empty() { None } else { Some(self.dir.open_dir(folder)?) };
        let folder = inner.as_ref().unwrap_or(&self.dir);
        match rustix::fs::renameat_with(folder, old, folder, new, RenameFlags::NOREPLACE) {
            // File systems without this flag leave a moment between looking and renaming.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
                if folder.symlink_metadata(new).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                folder.rename(old, folder, new)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Makes an empty file under its final name, unless it is there.
    pub(super) fn create_empty(&self, file: FileIndex) -> io::Result<()> {
        let mut state = self.lock(file);
        if state.place == Place::Complete {
            return Ok(());
        }
        let path = &self.names(file).complete;
        self.dir.open_with(path, OpenOptions::new().write(true).create_new(true))?;
        *state = State::new(Place::Complete, self.look(path)?);
        Ok(())
    }

    /// Forces to the disk what was written since the last time.
    ///
    /// # Errors
    /// The path of the first file that could not be, and why.
    pub(super) fn sync(&self) -> Result<(), (PathBuf, io::Error)> {
        let dirty: Vec<FileIndex> =
            self.indices().filter(|&file| self.entry(file).dirty.swap(false, Ordering::AcqRel)).collect();
        if dirty.len() > SYNCED_SINGLY {
            return self.sync_file_system(&dirty);
        }
        for file in dirty {
            let synced = self.handle(file).and_then(|handle| handle.sync_data());
            synced.map_err(|error| {
                self.entry(file).dirty.store(true, Ordering::Release);
                (self.current_path(file), error)
            })?;
        }
        Ok(())
    }

    /// One call for the whole file system: thousands of files, each forced by itself, take minutes.
    fn sync_file_system(&self, dirty: &[FileIndex]) -> Result<(), (PathBuf, io::Error)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let synced = rustix::fs::openat(&self.dir, ".", flags, Mode::empty()).and_then(rustix::fs::syncfs);
        synced.map_err(|error| {
            for &file in dirty {
                self.entry(file).dirty.store(true, Ordering::Release);
            }
            (self.base.clone(), error.into())
        })
    }

    /// Bytes that the file system has yet to find room for.
    pub(super) fn unallocated(&self, file: FileIndex) -> u64 {
        let (size, names) = (self.size(file), self.names(file));
        let path = match self.place(file) {
            Place::Complete => return 0,
            Place::Missing => return size,
            Place::Partial => &names.partial,
        };
        let allocated = self.dir.symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
        size.saturating_sub(allocated)
    }

    fn entry(&self, file: FileIndex) -> &Entry {
        &self.entries[file.0 as usize]
    }

    pub(super) fn lock(&self, file: FileIndex) -> MutexGuard<'_, State> {
        self.entry(file).state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.handles.close_all(self.number);
    }
}

/// Fills `buffer` with the bytes of `block`, file by file; padding is zeros.
pub(super) fn read_segments(
    layout: &Layout,
    block: BlockRef,
    buffer: &mut [u8],
    mut read: impl FnMut(FileIndex, u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut rest = buffer;
    for segment in layout.segments(block) {
        let (part, after) = rest.split_at_mut(segment.length as usize);
        match segment.file {
            Some(file) => read(file, segment.file_offset, part)?,
            None => part.fill(0),
        }
        rest = after;
    }
    Ok(())
}

/// How an incomplete file is opened.
fn writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}
