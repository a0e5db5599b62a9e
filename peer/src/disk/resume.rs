//! What is remembered of a torrent's files between runs, so that they need not be hashed again.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use samara_proto::bitfield::Bitfield;
use samara_proto::infohash::InfoHashes;
use samara_proto::layout::{FileIndex, Layout};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::Place;
use super::identity::Stamp;
use super::whole::write_whole;

/// The first bytes of a resume file; the number is the version of everything after it.
const MAGIC: &[u8] = b"samara resume 1\n";

/// Bytes of the checksum that follows the magic.
const CHECKSUM_LENGTH: usize = 32;

/// Bytes that one file's record takes at most, in bencode.
const RECORD_BYTES: u64 = 80;

/// Bytes of everything else but the bitfield.
const HEAD_BYTES: u64 = 1024;

/// Whether the last words were said in peace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Everything queued was written and forced to the disk before this was saved, and nothing after.
    Clean,
    /// Work went on.
    Unclean,
}

/// What is remembered of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It was not there, or may be somebody else's.
    Absent,
    /// It was not there and was about to be made: what is as long as it shall be and incomplete is ours.
    Awaited,
    /// It was ours and incomplete. Without a stamp nothing that is said of it need be true.
    Partial(Option<Stamp>),
    /// It was complete and like this when its pieces were checked.
    Complete(Option<Stamp>),
}

/// What a torrent's files were when somebody last looked at all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResumeData {
    /// Pieces whose bytes were checked and forced to the disk.
    pub(super) verified: Bitfield,
    /// What is remembered of every file.
    pub(super) files: Vec<Record>,
    /// How the run ended.
    pub(super) stop: Stop,
}

impl ResumeData {
    /// Whether this file, which shall have so many bytes, was under this name and has not been touched since.
    pub(super) fn vouches_for(&self, file: FileIndex, place: Place, stamp: Option<Stamp>, size: u64) -> bool {
        let known = match (self.record(file), place) {
            (Record::Complete(known), Place::Complete) => known,
            // It goes on changing after an unclean stop, within what its timestamp can show; and of one that
            // others made shorter or longer it is not known what else they did.
            (Record::Partial(known), Place::Partial) if self.stop == Stop::Clean => {
                known.filter(|known| known.size == size)
            }
            _ => None,
        };
        known.is_some() && known == stamp
    }

    /// Whether this file was ever ours.
    pub(super) fn knows(&self, file: FileIndex) -> bool {
        matches!(self.record(file), Record::Partial(_) | Record::Complete(_))
    }

    /// Whether this file was ever ours, or what is incomplete in its place is.
    pub(super) fn expects(&self, file: FileIndex) -> bool {
        self.record(file) != Record::Absent
    }

    fn record(&self, file: FileIndex) -> Record {
        self.files.get(file.0 as usize).copied().unwrap_or(Record::Absent)
    }
}

/// Why resume data could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("cannot save what is known of the download in {}: {source}", path.display())]
pub struct ResumeError {
    path: PathBuf,
    source: io::Error,
}

/// Where the resume data of one torrent in one folder is kept.
#[derive(Clone, Debug)]
pub(super) struct ResumeFile {
    path: PathBuf,
    names: InfoHashes,
}

#[derive(Serialize, Deserialize)]
struct Body {
    /// When each file, or what is said about it, last changed. Earlier versions did not write it; what they
    /// vouched for is hashed again.
    #[serde(default)]
    changed: Vec<i64>,
    clean: u8,
    /// Place, size, modification time; size and times are zero where there is no stamp.
    files: Vec<(u8, u64, i64)>,
    #[serde(with = "serde_bytes")]
    info_hash: Vec<u8>,
    #[serde(with = "serde_bytes")]
    verified: Vec<u8>,
}

impl ResumeFile {
    /// The place in `state_dir` for the torrent of these names, kept in the folder `root`.
    pub(super) fn new(state_dir: &Path, names: InfoHashes, root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        let root = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let name = names.wire().next().map(|name| name.to_string()).unwrap_or_default();
        // Two folders with the same torrent, perhaps in two processes, do not overwrite each other's.
        let file = format!("{name}.{}.resume", HEXLOWER.encode(&root[..4]));
        Self { path: state_dir.join("resume").join(file), names }
    }

    /// What was saved last; `None` if that is nothing, damaged, of another version or of another torrent.
    pub(super) fn load(&self, layout: &Layout) -> Option<ResumeData> {
        let limit =
            HEAD_BYTES + u64::from(layout.piece_count()) / 8 + RECORD_BYTES * u64::from(layout.file_count());
        let mut bytes = Vec::new();
        File::open(&self.path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        let (checksum, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM_LENGTH)?;
        if Sha256::digest(body)[..] != *checksum {
            return None;
        }
        let body: Body = serde_bencode::from_bytes(body).ok()?;
        let fits =
            body.info_hash == full_name(&self.names) && body.files.len() == layout.file_count() as usize;
        let verified = Bitfield::from_wire(&body.verified, layout.piece_count()).ok()?;
        let changed = body.changed.into_iter().map(Some).chain(std::iter::repeat(None));
        let files = body.files.into_iter().zip(changed).map(read_record).collect::<Option<Vec<_>>>()?;
        let stop = if body.clean == 1 { Stop::Clean } else { Stop::Unclean };
        fits.then_some(ResumeData { verified, files, stop })
    }

    /// Replaces what was saved, in one step that a crash cannot cut in two.
    ///
    /// # Errors
    /// If the file system refuses; what was saved before is still there then.
    pub(super) fn save(&self, data: &ResumeData) -> Result<(), ResumeError> {
        let body = Body {
            changed: data.files.iter().map(changed).collect(),
            clean: u8::from(data.stop == Stop::Clean),
            files: data.files.iter().map(write_record).collect(),
            info_hash: full_name(&self.names),
            verified: data.verified.to_wire(),
        };
        self.write(&body).map_err(|source| ResumeError { path: self.path.clone(), source })
    }

    fn write(&self, body: &Body) -> io::Result<()> {
        let body = serde_bencode::to_bytes(body).map_err(io::Error::other)?;
        write_whole(&self.path, &[MAGIC, &Sha256::digest(&body), &body].concat())
    }
}

fn full_name(names: &InfoHashes) -> Vec<u8> {
    let v1 = names.v1().map(|hash| hash.0.to_vec());
    let v2 = names.v2().map(|hash| hash.0.to_vec());
    [v1, v2].into_iter().flatten().flatten().collect()
}

fn read_record(((place, size, modified), changed): ((u8, u64, i64), Option<i64>)) -> Option<Record> {
    let stamp = changed.filter(|&changed| changed != 0).map(|changed| Stamp { size, modified, changed });
    match place {
        0 => Some(Record::Absent),
        1 => Some(Record::Partial(stamp)),
        2 => Some(Record::Complete(stamp)),
        3 => Some(Record::Awaited),
        _ => None,
    }
}

fn write_record(record: &Record) -> (u8, u64, i64) {
    let stamped = |stamp: Option<Stamp>| stamp.map_or((0, 0), |stamp| (stamp.size, stamp.modified));
    let (place, (size, modified)) = match *record {
        Record::Absent => (0, (0, 0)),
        Record::Partial(stamp) => (1, stamped(stamp)),
        Record::Complete(stamp) => (2, stamped(stamp)),
        Record::Awaited => (3, (0, 0)),
    };
    (place, size, modified)
}

fn changed(record: &Record) -> i64 {
    match record {
        Record::Partial(Some(stamp)) | Record::Complete(Some(stamp)) => stamp.changed,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use samara_proto::infohash::{Sha1Hash, Sha256Hash};
    use samara_proto::layout::PieceIndex;

    fn example() -> ResumeData {
        let mut verified = Bitfield::new(10);
        verified.set(PieceIndex(3));
        let files = vec![Record::Partial(Some(Stamp { size: 160_000, modified: -5, changed: 7 }))];
        ResumeData { verified, files, stop: Stop::Clean }
    }

    fn scratch() -> (tempfile::TempDir, ResumeFile, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let names = InfoHashes::Hybrid(Sha1Hash([1; 20]), Sha256Hash([2; 32]));
        let file = ResumeFile::new(dir.path(), names, dir.path());
        (dir, file, Layout::single_file(160_000, 16_384))
    }

    #[test]
    fn resume_data_comes_back_as_it_was_saved() {
        let (_dir, file, layout) = scratch();
        assert_eq!(file.load(&layout), None);
        file.save(&example()).unwrap();
        assert_eq!(file.load(&layout), Some(example()));
        for record in [Record::Absent, Record::Awaited, Record::Partial(None), Record::Complete(None)] {
            let data = ResumeData { files: vec![record], ..example() };
            file.save(&data).unwrap();
            assert_eq!(file.load(&layout), Some(data));
        }
    }

    #[test]
    fn resume_data_of_an_earlier_version_is_read_and_vouches_for_nothing() {
        #[derive(Serialize)]
        struct Earlier {
            clean: u8,
            files: Vec<(u8, u64, i64)>,
            #[serde(with = "serde_bytes")]
            info_hash: Vec<u8>,
            #[serde(with = "serde_bytes")]
            verified: Vec<u8>,
        }
        let (_dir, file, layout) = scratch();
        let example = example();
        file.save(&example).unwrap();
        let (info_hash, verified) = (full_name(&file.names), example.verified.to_wire());
        let earlier = Earlier { clean: 1, files: vec![(2, 160_000, -5)], info_hash, verified };
        let body = serde_bencode::to_bytes(&earlier).unwrap();
        fs::write(&file.path, [MAGIC, &Sha256::digest(&body), &body].concat()).unwrap();

        let read = file.load(&layout).unwrap();
        assert_eq!((&read.verified, read.knows(FileIndex(0))), (&example.verified, true));
        let stamp = Some(Stamp { size: 160_000, modified: -5, changed: 0 });
        assert!(!read.vouches_for(FileIndex(0), Place::Complete, stamp, 160_000));
    }

    #[test]
    fn resume_data_with_any_flipped_or_missing_byte_is_ignored() {
        let (_dir, file, layout) = scratch();
        file.save(&example()).unwrap();
        let good = fs::read(&file.path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file.path, &bad).unwrap();
            assert_eq!(file.load(&layout), None, "byte {at}");
            fs::write(&file.path, &good[..at]).unwrap();
            assert_eq!(file.load(&layout), None, "cut at {at}");
        }
    }

    #[test]
    fn resume_data_of_another_torrent_is_ignored() {
        let (_dir, file, layout) = scratch();
        file.save(&example()).unwrap();
        let other = ResumeFile { names: InfoHashes::V1(Sha1Hash([1; 20])), ..file.clone() };
        assert_eq!(other.load(&layout), None);
        assert_eq!(file.load(&Layout::single_file(1_600_000, 16_384)), None);
    }

    #[test]
    fn an_unclean_stop_vouches_for_complete_files_only() {
        let stamp = Some(Stamp { size: 1, modified: 2, changed: 3 });
        let files = vec![Record::Complete(stamp), Record::Partial(stamp)];
        let data = ResumeData { verified: Bitfield::new(2), files, stop: Stop::Unclean };
        assert!(data.vouches_for(FileIndex(0), Place::Complete, stamp, 1));
        assert!(!data.vouches_for(FileIndex(1), Place::Partial, stamp, 1));
        let clean = ResumeData { stop: Stop::Clean, ..data };
        assert!(clean.vouches_for(FileIndex(1), Place::Partial, stamp, 1));
        let [later, changed] =
            [(3, 3), (2, 4)].map(|(modified, changed)| Stamp { size: 1, modified, changed });
        assert!(!clean.vouches_for(FileIndex(0), Place::Complete, Some(later), 1));
        assert!(!clean.vouches_for(FileIndex(0), Place::Complete, Some(changed), 1));
    }

    #[test]
    fn an_incomplete_file_of_another_length_or_without_a_stamp_is_known_but_not_vouched_for() {
        let stamp = Some(Stamp { size: 1, modified: 2, changed: 3 });
        for record in [Record::Partial(stamp), Record::Partial(None)] {
            let data = ResumeData { verified: Bitfield::new(2), files: vec![record], stop: Stop::Clean };
            assert!(data.knows(FileIndex(0)));
            assert!(!data.vouches_for(FileIndex(0), Place::Partial, stamp, 2));
            assert!(!data.vouches_for(FileIndex(0), Place::Partial, None, 2));
        }
    }
}
