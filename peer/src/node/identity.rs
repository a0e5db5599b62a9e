//! Who this node is: a key and a port that stay the same over restarts.
//!
//! Several nodes of one user may run at once, so the state folder holds numbered places, of which no two
//! running nodes hold the same. With a place stands what the node in it is known for: whoever shares a torrent
//! gets the key and port back under which it was shared before, in whatever order nodes start, and links that
//! name them keep working.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use libp2p::identity::Keypair;
use samara_proto::infohash::InfoHash;
use thiserror::Error;

/// Nodes of one user at once, and torrents whose links keep their address; more at once is a mistake, and links
/// that are so many torrents old are given up.
const PLACES: u32 = 1024;
/// Keys and what nodes are known for are shorter.
const FILE_BYTES: u64 = 1024;

/// What others keep the address of a node for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownFor {
    /// Nothing: it is found anew each time.
    #[default]
    Nothing,
    /// Links to this torrent name it.
    Torrent(InfoHash),
    /// Others enter the DHT by it.
    Dht,
}

impl fmt::Display for KnownFor {
    /// As it is written down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Torrent(name) => write!(f, "torrent {name}"),
            Self::Dht => f.write_str("dht"),
        }
    }
}

/// The state folder cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file or folder in it cannot be read or written.
    #[error("cannot use {path}: {source}; choose another folder with --state-dir")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Every place is taken.
    #[error("{PLACES} nodes are running from {0} already")]
    Full(PathBuf),
}

/// A key, and the place that keeps it.
pub struct NodeIdentity {
    keypair: Keypair,
    place: Option<Place>,
    /// See [`NodeIdentity::is_lasting`].
    is_lasting: bool,
    /// Why it is another than before, for people.
    warnings: Vec<String>,
}

struct Place {
    port_file: PathBuf,
    /// Holds the lock for as long as the node lives.
    _key_file: File,
}

impl NodeIdentity {
    /// A new key that is forgotten with the process.
    pub fn ephemeral() -> Self {
        Self { keypair: Keypair::generate_ed25519(), place: None, is_lasting: false, warnings: Vec::new() }
    }

    /// The key of a free place in `state_dir`, made if it is new: the one that is `known_for` this, or else one
    /// that is known for nothing, or else the one whose links are oldest. A place that cannot be used is passed over.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn open(state_dir: &Path, known_for: KnownFor) -> Result<Self, IdentityError> {
        let folder = state_dir.join("identity");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let wanted = known_for.to_string();
        let mut is_lasting = known_for != KnownFor::Nothing;
        let mut trouble = None;
        for (number, record) in by_preference(&folder, &wanted) {
            match take_place(&folder, number, &record, known_for) {
                Ok(Taken::Ours(ours)) => {
                    let (place, keypair, mut warnings) = *ours;
                    warnings.extend(trouble.map(|trouble: IdentityError| {
                        format!("another identity is used than might have been: {trouble}")
                    }));
                    return Ok(Self { keypair, place: Some(place), is_lasting, warnings });
                }
                Ok(Taken::ByAnother) => is_lasting &= record != wanted,
                // Somebody came and went since.
                Ok(Taken::Before) => {}
                Err(error) => _ = trouble.get_or_insert(error),
            }
        }
        Err(trouble.unwrap_or(IdentityError::Full(folder)))
    }

    /// Whether it is the same at every start: it is known for something, and no other node that ran from the folder
    /// already is known for the same.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// Why it is another than before, for people; given once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The key.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The port this place listened on last time.
    pub fn last_port(&self) -> Option<u16> {
        read_line(&self.place.as_ref()?.port_file).parse().ok()
    }

    /// Remembers the port for next time.
    pub fn remember_port(&self, port: u16) {
        let Some(place) = &self.place else { return };
        if let Err(error) = fs::write(&place.port_file, format!("{port}\n")) {
            tracing::debug!(%error, "the port could not be remembered");
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    |source| IdentityError::Io { path, source }
}

/// Whose a place is.
enum Taken {
    Ours(Box<(Place, Keypair, Vec<String>)>),
    ByAnother,
    Before,
}

/// Takes a place, if it still is what `record` says, and writes down what it is `known_for`.
fn take_place(folder: &Path, number: u32, record: &str, known_for: KnownFor) -> Result<Taken, IdentityError> {
    let path = folder.join(format!("{number}.key"));
    let Some(mut key_file) = lock(&path).map_err(at(&path))? else { return Ok(Taken::ByAnother) };
    let record_file = record_file(folder, number);
    if read_line(&record_file) != record {
        return Ok(Taken::Before);
    }
    let (keypair, origin) = read_or_make(&mut key_file).map_err(at(&path))?;
    if known_for != KnownFor::Nothing {
        // Also where it stands there already: the file's age is that of its last use.
        plain(&record_file).map_err(at(&record_file))?;
        fs::write(&record_file, format!("{known_for}\n")).map_err(at(&record_file))?;
    }
    let port_file = folder.join(format!("{number}.port"));
    let mut warnings = Vec::new();
    // A port without a key is as much a trace of an earlier node as a damaged key.
    if origin == Origin::Replaced || (origin == Origin::New && port_file.exists()) {
        warnings.push(format!(
            "the identity in {} was damaged or gone and is made anew: addresses of this node that others have do \
             not work any more",
            path.display()
        ));
    }
    Ok(Taken::Ours(Box::new((Place { port_file, _key_file: key_file }, keypair, warnings))))
}

/// Refuses what is there and no plain file: to open a pipe may take for ever.
fn plain(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::other("it is not a plain file")),
        _ => Ok(()),
    }
}

/// Every place with what it is known for, if anything: those that are known for `wanted`, those known for nothing,
/// then the others, the one first that was used least recently.
fn by_preference(folder: &Path, wanted: &str) -> Vec<(u32, String)> {
    // Most places have none, and need not be looked for one by one.
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let found: BTreeSet<PathBuf> = found.map(|entry| entry.path()).collect();
    let mut places: Vec<_> = (0..PLACES)
        .map(|number| {
            let file = record_file(folder, number);
            let record = if found.contains(&file) { read_line(&file) } else { String::new() };
            let order = if record == wanted {
                Order::Own
            } else if record.is_empty() {
                Order::Free
            } else {
                let used = file.metadata().and_then(|metadata| metadata.modified());
                Order::Others(used.unwrap_or(SystemTime::UNIX_EPOCH))
            };
            (order, number, record)
        })
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, number, record)| (number, record)).collect()
}

/// In which order places are tried.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Own,
    Free,
    Others(SystemTime),
}

/// Where it stands what a place is known for.
fn record_file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.known-for"))
}

/// What a file of one line says; nothing if there is none, or a crash tore it.
fn read_line(file: &Path) -> String {
    let read = || -> io::Result<String> {
        plain(file)?;
        let mut text = String::new();
        File::open(file)?.take(FILE_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    read().unwrap_or_default().trim().to_owned()
}

/// The file, locked for us, or `None` if another process holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    plain(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Kept,
    New,
    Replaced,
}

/// A key that cannot be read, after a crash while it was first written, is made anew.
fn read_or_make(file: &mut File) -> io::Result<(Keypair, Origin)> {
    let mut bytes = Vec::new();
    Read::by_ref(file).take(FILE_BYTES).read_to_end(&mut bytes)?;
    if let Ok(keypair) = Keypair::from_protobuf_encoding(&bytes) {
        return Ok((keypair, Origin::Kept));
    }
    let keypair = Keypair::generate_ed25519();
    let encoded = keypair.to_protobuf_encoding().map_err(io::Error::other)?;
    file.set_len(0)?;
    io::Seek::rewind(file)?;
    file.write_all(&encoded)?;
    file.sync_all()?;
    Ok((keypair, if bytes.is_empty() { Origin::New } else { Origin::Replaced }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: KnownFor = KnownFor::Nothing;

    fn torrent(number: u8) -> KnownFor {
        KnownFor::Torrent(InfoHash([number; 20]))
    }

    /// Opened and let go of at once: the key's name.
    fn opened(folder: &Path, known_for: KnownFor) -> libp2p::PeerId {
        name(&NodeIdentity::open(folder, known_for).expect("an identity"))
    }

    fn name(identity: &NodeIdentity) -> libp2p::PeerId {
        identity.keypair().public().to_peer_id()
    }

    #[test]
    fn a_second_node_gets_a_place_of_its_own_and_a_restart_the_old_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = NodeIdentity::open(folder.path(), NOTHING).expect("a first identity");
        let second = NodeIdentity::open(folder.path(), NOTHING).expect("a second identity");
        assert_ne!(name(&first), name(&second));
        let old = name(&first);
        first.remember_port(4001);
        drop(first);
        let mut again = NodeIdentity::open(folder.path(), NOTHING).expect("the first identity again");
        assert_eq!(again.take_warnings(), Vec::<String>::new());
        assert_eq!(name(&again), old);
        assert_eq!(again.last_port(), Some(4001));
    }

    #[test]
    fn whoever_is_known_for_something_gets_its_place_back_in_whatever_order_nodes_start() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = |known_for| NodeIdentity::open(folder.path(), known_for).expect("an identity");
        let known = [torrent(1), torrent(2), KnownFor::Dht];
        let before: Vec<_> = known.map(open).iter().map(name).collect();
        let others: Vec<_> = [NOTHING, torrent(3)].map(open).iter().map(name).collect();
        let after: Vec<_> = [known[2], known[1], known[0]].map(open).iter().map(name).rev().collect();
        assert_eq!(before, after);
        assert!(
            others.iter().all(|other| !before.contains(other)),
            "a place that links name went to another"
        );
    }

    #[test]
    fn an_identity_lasts_unless_somebody_runs_who_is_known_for_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = |known_for| NodeIdentity::open(folder.path(), known_for).expect("an identity");
        let [other, first, second] = [torrent(1), KnownFor::Dht, KnownFor::Dht].map(open);
        assert!(other.is_lasting() && first.is_lasting() && !second.is_lasting());
        assert!(!open(NOTHING).is_lasting());
    }

    #[test]
    fn where_every_place_is_known_for_something_the_one_least_recently_used_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = folder.path().join("identity");
        fs::create_dir_all(&places).expect("a folder");
        for number in 0..PLACES {
            fs::write(record_file(&places, number), "torrent of long ago").expect("a file");
        }
        let old = File::options().write(true).open(record_file(&places, 700)).expect("it is there");
        old.set_modified(SystemTime::UNIX_EPOCH).expect("it is ours");
        let new = opened(folder.path(), torrent(1));
        assert_eq!(read_line(&record_file(&places, 700)), torrent(1).to_string());
        assert_eq!(opened(folder.path(), torrent(1)), new);
    }

    #[test]
    fn a_damaged_key_is_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("identity")).expect("a folder");
        fs::write(folder.path().join("identity/0.key"), b"torn").expect("a file");
        let mut identity = NodeIdentity::open(folder.path(), NOTHING).expect("an identity");
        assert!(identity.take_warnings()[0].contains("damaged"), "it is told");
        let made = name(&identity);
        drop(identity);
        assert_eq!(made, opened(folder.path(), NOTHING));
    }

    #[test]
    fn a_place_that_cannot_be_used_is_passed_over_and_told_of() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = folder.path().join("identity");
        fs::create_dir_all(places.join("0.key")).expect("a folder");
        fs::create_dir_all(places.join("1.known-for")).expect("a folder");
        fs::write(places.join("2.known-for"), vec![b'x'; 1 << 20]).expect("a file");
        let mut identity = NodeIdentity::open(folder.path(), torrent(1)).expect("an identity");
        let warnings = identity.take_warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("not a plain file"), "{warnings:?}");
        let made = name(&identity);
        drop(identity);
        assert_eq!(made, opened(folder.path(), torrent(1)));
        assert_eq!(read_line(&places.join("2.known-for")).len() as u64, FILE_BYTES);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_folder_holds_nobody_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = folder.path().join("identity");
        fs::create_dir_all(&places).expect("a folder");
        for name in ["0.key", "1.known-for", "2.port"] {
            let made = std::process::Command::new("mkfifo").arg(places.join(name)).status();
            assert!(made.expect("mkfifo is everywhere").success());
        }
        let identity = NodeIdentity::open(folder.path(), torrent(1)).expect("an identity");
        assert_eq!(identity.last_port(), None);
    }

    #[test]
    fn an_emptied_key_is_told_of_and_a_first_start_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut first = NodeIdentity::open(folder.path(), NOTHING).expect("an identity");
        assert_eq!(first.take_warnings(), Vec::<String>::new());
        first.remember_port(4001);
        drop(first);
        fs::write(folder.path().join("identity/0.key"), b"").expect("a file");
        let mut second = NodeIdentity::open(folder.path(), NOTHING).expect("an identity");
        assert_eq!(second.take_warnings().len(), 1);
    }
}
