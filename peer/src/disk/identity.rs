//! Whether a file is still the one we know: its stamp, looks at it, and what is remembered of it.

use std::io;
use std::time::{Duration, Instant};

use cap_std::fs::{Metadata, MetadataExt};
use samara_proto::layout::FileIndex;

use super::Access;
use super::files::{Files, Place};
use super::resume::Record;

/// How long a file may have been changed by others before we notice.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a file system tells about a file's last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Length in bytes.
    pub(super) size: u64,
    /// Last modification, nanoseconds since 1970. Programs can set it to what they like.
    pub(super) modified: i64,
    /// Last change of the file or of what is said about it, nanoseconds since 1970. Nobody can set it back, and
    /// whatever takes a file's place by a new name has a later one. (Its number in the file system would say
    /// the same, but some give files new numbers at any time.)
    pub(super) changed: i64,
}

impl Stamp {
    /// From what the file system gives: seconds, and nanoseconds beside them.
    pub(super) fn new(size: u64, modified: (i64, i64), changed: (i64, i64)) -> Self {
        let nanoseconds =
            |(seconds, rest): (i64, i64)| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self { size, modified: nanoseconds(modified), changed: nanoseconds(changed) }
    }

    /// What is said about a file now.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self::new(metadata.len(), modified, (metadata.ctime(), metadata.ctime_nsec()))
    }
}

/// Whether a served file is what it was when its pieces were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is.
    Same,
    /// Somebody changed or replaced it, or perhaps only its time: it may be the same still.
    Touched(Stamp),
    /// Somebody removed it or changed its length.
    Lost,
}

/// Whose an incomplete file is, or one that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Perhaps somebody else's: it is not written to.
    Foreign,
    /// Ours, made or to be made.
    Ours,
    /// Ours, but somebody else changed it: nothing that was said of it need be true.
    Changed,
}

/// Why nothing is done with an incomplete file that somebody else changed.
pub(super) fn changed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// [`changed`] if somebody made an incomplete file shorter or longer.
pub(super) fn insist_on_size(found: u64, size: u64) -> io::Result<()> {
    if found == size { Ok(()) } else { Err(changed()) }
}

impl Files {
    /// Looks at a complete file again, at most once a second, and notes a change: it is reported once. A file that is
    /// only shared is looked for under its final name wherever it was before.
    pub(super) fn freshness(&self, file: FileIndex) -> Freshness {
        let mut state = self.lock(file);
        let is_looked_for = state.place == Place::Complete || self.access == Access::ReadOnly;
        if !is_looked_for || state.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return Freshness::Same;
        }
        state.looked = Some(Instant::now());
        let now = match self.dir.symlink_metadata(&self.names(file).complete) {
            Ok(metadata) => metadata.is_file().then(|| Stamp::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It cannot be found out now, which says nothing about the file.
            Err(_) => return Freshness::Same,
        };
        if now == state.seen {
            return Freshness::Same;
        }
        state.seen = now;
        let whole = now.filter(|stamp| stamp.size == self.size(file));
        if whole.is_none() && state.place != Place::Complete {
            return Freshness::Same;
        }
        self.handles.close(self.number, file);
        if state.place != Place::Complete {
            (state.place, state.stamp) = (Place::Complete, None);
        } else if whole.is_none() {
            state.stamp = now;
        }
        whole.map_or(Freshness::Lost, Freshness::Touched)
    }

    /// Notes that a file's pieces were checked again since its stamp became this, unless it has changed.
    pub(super) fn checked(&self, file: FileIndex, stamp: Stamp) {
        let mut state = self.lock(file);
        let now = self.look(&self.names(file).complete).ok().flatten();
        if now == Some(stamp) && state.seen == now {
            state.stamp = now;
        }
    }

    /// Notes that an incomplete file is ours, or will be when it is made; whether that is news.
    pub(super) fn claim(&self, file: FileIndex) -> bool {
        let mut state = self.lock(file);
        let is_new = state.claim == Claim::Foreign;
        if is_new {
            state.claim = Claim::Ours;
        }
        is_new
    }

    /// Notes that somebody else changed an incomplete file of ours: nothing that was said of it need be true.
    pub(super) fn on_changed(&self, file: FileIndex) {
        let mut state = self.lock(file);
        if state.claim == Claim::Ours {
            state.claim = Claim::Changed;
        }
    }

    /// Whether a file that is not complete is ours.
    pub(super) fn is_claimed(&self, file: FileIndex) -> bool {
        let state = self.lock(file);
        state.place != Place::Complete && state.claim != Claim::Foreign
    }

    /// Whether there is an incomplete file that may be somebody else's.
    pub(super) fn is_foreign(&self, file: FileIndex) -> bool {
        let state = self.lock(file);
        state.place == Place::Partial && state.claim == Claim::Foreign
    }

    /// What is under the partial name of an incomplete file: the very file that is open, with its full length. One
    /// that is not open now is taken for the one it was: there is nothing that every file system keeps by which to
    /// tell.
    ///
    /// # Errors
    /// [`changed`] if somebody changed its length or put another file in its place, `NotFound` if nothing is there.
    pub(super) fn look_at_ours(&self, file: FileIndex) -> io::Result<Stamp> {
        let metadata = self.dir.symlink_metadata(&self.names(file).partial)?;
        if !metadata.is_file() {
            return Err(changed());
        }
        let number = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        if let Some(handle) = self.handles.get(self.number, file)
            && number(&handle.metadata()?) != number(&metadata)
        {
            return Err(changed());
        }
        insist_on_size(metadata.len(), self.size(file))?;
        Ok(Stamp::of(&metadata))
    }

    /// What resume data says about a file.
    pub(super) fn record(&self, file: FileIndex) -> Record {
        let state = self.lock(file);
        match (state.place, state.claim) {
            // Of a complete file only what was checked counts, not what somebody made of it since.
            (Place::Complete, _) if state.stamp.is_some() => Record::Complete(state.stamp),
            (Place::Complete, _) | (_, Claim::Foreign) => Record::Absent,
            (Place::Missing, _) => Record::Awaited,
            (Place::Partial, Claim::Changed) => Record::Partial(None),
            (Place::Partial, Claim::Ours) => Record::Partial(self.look_at_ours(file).ok()),
        }
    }
}
