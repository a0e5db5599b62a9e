//! `samara create`: make a `.torrent`, and the same as the first step of `samara seed PATH`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::{Format, Metainfo};

use super::args::{CreateArgs, TorrentFormat};
use super::bars::Meter;
use super::events::Event;
use super::failure::{Exit, Failure, Outcome};
use super::output::Output;
use super::source::read_torrent;
use super::units;
use crate::disk::{self, CreateOptions, Created};

/// Runs it.
pub fn run(args: &CreateArgs, output: &Output) -> Outcome {
    let torrent = match &args.output {
        Some(path) => path.clone(),
        None => default_torrent(&args.path)?,
    };
    if !args.force && torrent.symlink_metadata().is_ok() {
        return Err(exists(&torrent));
    }
    check_folder(&torrent)?;
    let options = CreateOptions {
        piece_length: args.piece_length,
        private: args.private,
        comment: args.comment.clone(),
        ..options(format_of(args.format), tiers(&args.trackers))
    };
    let metainfo = hash(&args.path, options, output)?.metainfo;
    write(&torrent, &metainfo.to_bytes(), Existing::from_force(args.force))?;
    tell(&metainfo, &torrent, output);
    Ok(Exit::Done)
}

/// A `.torrent` and what it describes.
pub struct Made {
    /// What it says.
    pub metainfo: Arc<Metainfo>,
    /// Where it is.
    pub torrent: PathBuf,
    /// The folder that holds the content.
    pub root: PathBuf,
}

/// Makes `NAME.torrent` in the current folder for what is at `path`, or uses the one that is there if it
/// describes the same content. Notes in `state_dir` that the content was just hashed.
pub fn for_seeding(
    path: &Path,
    trackers: &[String],
    state_dir: &Path,
    output: &Output,
) -> Result<Made, Failure> {
    let torrent = default_torrent(path)?;
    let (created, metainfo) = if torrent.symlink_metadata().is_ok() {
        let existing = read_torrent(&torrent)?;
        let created = hash(path, options_like(&existing), output)?;
        let metainfo = reuse(&torrent, path, existing, &created.metainfo, trackers, output)?;
        (created, metainfo)
    } else {
        let created = hash(path, options(Format::Hybrid, tiers(trackers)), output)?;
        write(&torrent, &created.metainfo.to_bytes(), Existing::Kept)?;
        tell(&created.metainfo, &torrent, output);
        let metainfo = Arc::new(created.metainfo.clone());
        (created, metainfo)
    };
    if let Err(error) = created.remember(state_dir) {
        tracing::warn!(%error, "the content will be hashed again");
    }
    Ok(Made { metainfo, torrent, root: created.root })
}

/// Makes a `.torrent` at `torrent` for the demo's file.
pub fn for_demo(path: &Path, torrent: &Path, tracker: String, output: &Output) -> Result<Metainfo, Failure> {
    let metainfo = disk::create(path, options(Format::Hybrid, tiers(&[tracker])), |_, _| {})
        .map_err(|error| Failure::failed(error.to_string()))?
        .metainfo;
    write(torrent, &metainfo.to_bytes(), Existing::Kept)?;
    let hashes = metainfo.info_hashes().into();
    output.event(&Event::Created { torrent: torrent.display().to_string(), hashes });
    Ok(metainfo)
}

/// Checks that the existing `.torrent` describes what was just hashed, and adds trackers it does not name yet.
fn reuse(
    torrent: &Path,
    path: &Path,
    existing: Arc<Metainfo>,
    hashed: &Metainfo,
    trackers: &[String],
    output: &Output,
) -> Result<Arc<Metainfo>, Failure> {
    if hashed.info_hashes() != existing.info_hashes() {
        let (torrent, path) = (torrent.display(), path.display());
        return Err(Failure::failed(format!(
            "{torrent} is there already and describes something other than {path}; move it away, or share \
             what it describes with samara seed {torrent} --data DIR"
        )));
    }
    let is_new = |url: &&String| !existing.trackers().iter().flatten().any(|known| known == *url);
    let new: Vec<String> = trackers.iter().filter(is_new).cloned().collect();
    if new.is_empty() {
        output.note(format_args!("using {}: it describes this content", torrent.display()));
        return Ok(existing);
    }
    let mut extended = Metainfo::clone(&existing);
    extended.set_trackers([existing.trackers(), &tiers(&new)].concat());
    write(torrent, &extended.to_bytes(), Existing::Replaced)?;
    output.note(format_args!("using {}, with the new trackers added", torrent.display()));
    Ok(Arc::new(extended))
}

/// What makes the same torrent again, if the content is the same.
fn options_like(existing: &Metainfo) -> CreateOptions {
    let format = match existing.info_hashes() {
        InfoHashes::Hybrid(..) => Format::Hybrid,
        InfoHashes::V2(_) => Format::V2,
        InfoHashes::V1(_) => Format::V1,
    };
    CreateOptions {
        piece_length: Some(existing.layout().piece_length()),
        private: existing.is_private(),
        ..options(format, Vec::new())
    }
}

/// `NAME.torrent` in the current folder.
fn default_torrent(path: &Path) -> Result<PathBuf, Failure> {
    let full = fs::canonicalize(path).map_err(|error| Failure::file("read", path, &error))?;
    let Some(name) = full.file_name() else {
        return Err(Failure::failed(format!("cannot name a torrent after {}; use -o", path.display())));
    };
    let mut name = OsString::from(name);
    name.push(".torrent");
    Ok(PathBuf::from(name))
}

fn hash(path: &Path, options: CreateOptions, output: &Output) -> Result<Created, Failure> {
    let mut bar = output.bar(&path.display().to_string());
    let meter = Meter::new();
    let created = disk::create(path, options, |done, total| bar.set_pieces(done, total, &meter))
        .map_err(|error| Failure::failed(error.to_string()))?;
    drop(bar);
    let total = created.metainfo.layout().total_size();
    let (size, time) = (units::size(total), units::duration(meter.elapsed()));
    output.note(format_args!("hashed {size} in {time}, {}", units::rate(meter.rate(total))));
    Ok(created)
}

/// What every torrent of ours says.
fn options(format: Format, trackers: Vec<Vec<String>>) -> CreateOptions {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    CreateOptions {
        format,
        piece_length: None,
        trackers,
        url_list: Vec::new(),
        comment: None,
        private: false,
        created_by: Some(concat!("Samara/", env!("CARGO_PKG_VERSION")).to_owned()),
        creation_date: now.and_then(|now| i64::try_from(now.as_secs()).ok()),
    }
}

fn tiers(trackers: &[String]) -> Vec<Vec<String>> {
    trackers.iter().map(|url| vec![url.clone()]).collect()
}

fn format_of(format: TorrentFormat) -> Format {
    match format {
        TorrentFormat::Hybrid => Format::Hybrid,
        TorrentFormat::V2 => Format::V2,
        TorrentFormat::V1 => Format::V1,
    }
}

fn tell(metainfo: &Metainfo, torrent: &Path, output: &Output) {
    let hashes = metainfo.info_hashes();
    output.say(format_args!("created {}", torrent.display()));
    if let Some(hash) = hashes.v1() {
        output.field("info-hash v1", hash);
    }
    if let Some(hash) = hashes.v2() {
        output.field("info-hash v2", hash);
    }
    output.event(&Event::Created { torrent: torrent.display().to_string(), hashes: hashes.into() });
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Kept,
    Replaced,
}

impl Existing {
    fn from_force(force: bool) -> Self {
        if force { Self::Replaced } else { Self::Kept }
    }
}

fn exists(torrent: &Path) -> Failure {
    Failure::failed(format!("{} is there already; use --force to overwrite it, or -o", torrent.display()))
}

/// Refuses a folder that is not there, which may be a slip of the hand, before anything that takes time.
fn check_folder(torrent: &Path) -> Result<(), Failure> {
    match torrent.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Failure::failed(format!(
            "cannot write {}: there is no folder {}; make it first",
            torrent.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Writes a whole file or nothing.
fn write(torrent: &Path, bytes: &[u8], existing: Existing) -> Result<(), Failure> {
    if existing == Existing::Kept && torrent.symlink_metadata().is_ok() {
        return Err(exists(torrent));
    }
    disk::write_whole(torrent, bytes).map_err(|error| Failure::file("write", torrent, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_kept_unless_it_may_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let torrent = dir.path().join("a.torrent");
        write(&torrent, b"one", Existing::Kept).unwrap();
        assert!(write(&torrent, b"two", Existing::Kept).is_err());
        assert_eq!(fs::read(&torrent).unwrap(), b"one");
        write(&torrent, b"three", Existing::Replaced).unwrap();
        assert_eq!(fs::read(&torrent).unwrap(), b"three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn a_torrent_is_named_after_what_the_path_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("photos.2024");
        fs::create_dir(&folder).unwrap();
        assert_eq!(default_torrent(&folder.join(".")).unwrap(), Path::new("photos.2024.torrent"));
        assert!(default_torrent(&dir.path().join("missing")).is_err());
    }
}
