//! Makes a torrent of a file or folder: finds the files, hashes them on all cores, writes the metainfo.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use samara_proto::bitfield::Bitfield;
use samara_proto::infohash::{Sha1Hash, Sha256Hash};
use samara_proto::layout::{FileIndex, PieceIndex};
use samara_proto::metainfo::{
    BuildError, Format, HashedContent, Metainfo, MetainfoBuilder, Plan, default_piece_length,
};

use super::Access;
use super::files::{Files, Place, read_segments};
use super::handles::Handles;
use super::hasher::{PieceHashes, Scratch, Wanted, for_pieces, hash_piece};
use super::identity::Stamp;
use super::names::{names_of_paths, shown};
use super::pool::cores;
use super::resume::{Record, ResumeData, ResumeError, ResumeFile, Stop};
use super::walk::{WalkError, Walked, walk};

/// What a new torrent says besides its content.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// For which clients.
    pub format: Format,
    /// Bytes in a piece; `None` chooses by the size of the content.
    pub piece_length: Option<u32>,
    /// Announce URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub url_list: Vec<String>,
    /// Free text.
    pub comment: Option<String>,
    /// Whether only its trackers may be told of it (BEP 27).
    pub private: bool,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Now, in seconds since 1970, if that may be told.
    pub creation_date: Option<i64>,
}

/// Why a torrent cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// What is there cannot be shared.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The torrent would not be accepted by anybody.
    #[error("cannot make a torrent of {}: {source}", shown(path))]
    Build {
        /// Of what.
        path: PathBuf,
        /// Why.
        source: BuildError,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was written to while it was hashed.
    #[error("{} changed while it was read: wait until it is finished and try again", shown(path))]
    Changed {
        /// Which.
        path: PathBuf,
    },
}

/// A new torrent.
#[derive(Clone, Debug)]
pub struct Created {
    /// What it says.
    pub metainfo: Metainfo,
    /// The folder that holds its file or folder: what a node seeds it from.
    pub root: PathBuf,
    resume: ResumeData,
}

impl Created {
    /// Notes in `state_dir` that the content was just hashed, so that seeding it need not do so again.
    ///
    /// # Errors
    /// If the note cannot be written.
    pub fn remember(&self, state_dir: &Path) -> Result<(), ResumeError> {
        ResumeFile::new(state_dir, self.metainfo.info_hashes(), &self.root).save(&self.resume)
    }
}

/// Makes a torrent of the file or folder at `path`, hidden files included.
///
/// `progress` hears, from some thread, how many pieces of how many are hashed.
///
/// # Errors
/// If anything there cannot be read or carried by a torrent (nothing is skipped silently), or changes
/// meanwhile.
pub fn create(
    path: &Path,
    options: CreateOptions,
    progress: impl FnMut(u32, u32) + Send,
) -> Result<Created, CreateError> {
    let walked = walk(path)?;
    let refused = |source| CreateError::Build { path: path.to_path_buf(), source };
    let plan = builder(&walked, options).plan().map_err(refused)?;
    let files = open(&walked, &plan)?;
    let content = hash(&plan, &files, progress)?;
    check_unchanged(&files, &walked)?;
    let metainfo = plan.finish(content).map_err(refused)?;
    let resume = ResumeData {
        verified: Bitfield::full(metainfo.layout().piece_count()),
        files: walked.files.iter().map(|file| Record::Complete(Some(file.stamp))).collect(),
        stop: Stop::Clean,
    };
    Ok(Created { metainfo, root: walked.root, resume })
}

fn builder(walked: &Walked, options: CreateOptions) -> MetainfoBuilder {
    let total_size = walked.files.iter().map(|file| file.stamp.size).fold(0, u64::saturating_add);
    MetainfoBuilder {
        name: walked.name.clone(),
        single_file: walked.single_file,
        files: walked.files.iter().map(|file| (file.path.clone(), file.stamp.size)).collect(),
        piece_length: options.piece_length.unwrap_or_else(|| default_piece_length(total_size)),
        format: options.format,
        trackers: options.trackers,
        url_list: options.url_list,
        comment: options.comment,
        private: options.private,
        created_by: options.created_by,
        creation_date: options.creation_date,
    }
}

/// The files of the plan, which are those of the walk in the same order.
fn open(walked: &Walked, plan: &Plan) -> Result<Files, CreateError> {
    let base = if walked.single_file { walked.root.clone() } else { walked.root.join(&walked.name) };
    let dir = Dir::open_ambient_dir(&base, ambient_authority())
        .map_err(|source| CreateError::Read { path: base.clone(), source })?;
    let names = names_of_paths(plan.files().iter().map(|file| file.path.as_slice()));
    let handles = Arc::new(Handles::new());
    let files = Files::new((dir, base), Access::ReadOnly, names, plan.layout(), handles);
    for (file, walked) in files.indices().zip(&walked.files) {
        files.found(file, Place::Complete, Some(walked.stamp));
    }
    Ok(files)
}

fn hash(
    plan: &Plan,
    files: &Files,
    mut progress: impl FnMut(u32, u32) + Send,
) -> Result<HashedContent, CreateError> {
    let layout = plan.layout();
    let total = layout.piece_count();
    let pieces: Vec<PieceIndex> = (0..total).map(PieceIndex).collect();
    let mut v1 = vec![Sha1Hash([0; 20]); if plan.format().has_v1() { pieces.len() } else { 0 }];
    let mut v2 = vec![Sha256Hash([0; 32]); if plan.format().has_v2() { pieces.len() } else { 0 }];
    let mut hashed = 0;
    let work = |piece, scratch: &mut Scratch| hash_one(plan, files, piece, scratch);
    for_pieces(&pieces, cores(), &AtomicBool::new(false), work, |piece, hashes| {
        if let Some(hash) = hashes.v1 {
            v1[piece.0 as usize] = hash;
        }
        if let Some(hash) = hashes.v2 {
            v2[piece.0 as usize] = hash;
        }
        hashed += 1;
        progress(hashed, total);
    })?;
    Ok(HashedContent { v1_pieces: v1, v2_pieces: v2 })
}

fn hash_one(
    plan: &Plan,
    files: &Files,
    piece: PieceIndex,
    scratch: &mut Scratch,
) -> Result<PieceHashes, CreateError> {
    let recipe = plan.recipe(piece);
    let wanted = Wanted { v1_padding: recipe.v1_padding, v2_width: recipe.v2_width };
    let mut failed_path = PathBuf::new();
    let hashes = hash_piece(plan.layout(), piece, wanted, scratch, |stride, bytes| {
        read_segments(plan.layout(), stride, bytes, |file, offset, part| {
            let read = files.read(file, offset, part);
            read.inspect_err(|_| failed_path = files.current_path(file))
        })
    });
    hashes.map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => CreateError::Changed { path: failed_path },
        _ => CreateError::Read { path: failed_path, source },
    })
}

fn check_unchanged(files: &Files, walked: &Walked) -> Result<(), CreateError> {
    let mut stamps = files.indices().zip(walked.files.iter().map(|file| file.stamp));
    let same = |file: FileIndex, stamp: Stamp| {
        files.look(&files.names(file).complete).is_ok_and(|now| now == Some(stamp))
    };
    match stamps.find(|&(file, stamp)| !same(file, stamp)) {
        Some((file, _)) => Err(CreateError::Changed { path: files.current_path(file) }),
        None => Ok(()),
    }
}
