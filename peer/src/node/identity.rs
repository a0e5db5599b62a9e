//! Who this node is: a key and a port that stay the same over restarts.
//!
//! Several nodes of one user may run at once, so the state folder holds numbered places; a node takes
//! the first that no running node holds. Whoever restarts alone gets its old key and port back, and a
//! link that names them keeps working.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;
use thiserror::Error;

/// Nodes of one user at once; more is a mistake.
const PLACES: u32 = 1024;

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
    /// Why it is another than before, for people.
    warnings: Vec<String>,
}

struct Place {
    number: u32,
    port_file: PathBuf,
    /// Holds the lock for as long as the node lives.
    _key_file: File,
}

impl NodeIdentity {
    /// A new key that is forgotten with the process.
    pub fn ephemeral() -> Self {
        Self { keypair: Keypair::generate_ed25519(), place: None, warnings: Vec::new() }
    }

    /// The key of the first free place in `state_dir`, made if it is new.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn open(state_dir: &Path) -> Result<Self, IdentityError> {
        let folder = state_dir.join("identity");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        for number in 0..PLACES {
            let path = folder.join(format!("{number}.key"));
            let Some(mut key_file) = lock(&path).map_err(at(&path))? else { continue };
            let (keypair, origin) = read_or_make(&mut key_file).map_err(at(&path))?;
            let port_file = folder.join(format!("{number}.port"));
            let mut warnings = Vec::new();
            // A port without a key is as much a trace of an earlier node as a damaged key.
            if origin == Origin::Replaced || (origin == Origin::New && port_file.exists()) {
                warnings.push(format!(
                    "the identity in {} was damaged or gone and is made anew: addresses of this node that others \
                     have do not work any more",
                    path.display()
                ));
            }
            return Ok(Self {
                keypair,
                place: Some(Place { number, port_file, _key_file: key_file }),
                warnings,
            });
        }
        Err(IdentityError::Full(folder))
    }

    /// Whether it is the same at every start, because no other node ran from the folder already.
    pub fn is_lasting(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.number == 0)
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
        let text = fs::read_to_string(&self.place.as_ref()?.port_file).ok()?;
        text.trim().parse().ok()
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

/// The file, locked for us, or `None` if another process holds it.
fn lock(path: &Path) -> io::Result<Option<File>> {
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
    file.read_to_end(&mut bytes)?;
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

    #[test]
    fn a_second_node_gets_a_place_of_its_own_and_a_restart_the_old_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = NodeIdentity::open(folder.path()).expect("a first identity");
        let second = NodeIdentity::open(folder.path()).expect("a second identity");
        assert!(first.is_lasting() && !second.is_lasting());
        let key = |identity: &NodeIdentity| identity.keypair().public();
        assert_ne!(key(&first), key(&second));
        let old = key(&first);
        first.remember_port(4001);
        drop(first);
        let mut again = NodeIdentity::open(folder.path()).expect("the first identity again");
        assert_eq!(again.take_warnings(), Vec::<String>::new());
        assert_eq!(key(&again), old);
        assert_eq!(again.last_port(), Some(4001));
    }

    #[test]
    fn a_damaged_key_is_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("identity")).expect("a folder");
        fs::write(folder.path().join("identity/0.key"), b"torn").expect("a file");
        let mut identity = NodeIdentity::open(folder.path()).expect("an identity");
        assert!(identity.take_warnings()[0].contains("damaged"), "it is told");
        let made = identity.keypair().public();
        drop(identity);
        let again = NodeIdentity::open(folder.path()).expect("an identity").keypair().public();
        assert_eq!(made, again);
    }

    #[test]
    fn an_emptied_key_is_told_of_and_a_first_start_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut first = NodeIdentity::open(folder.path()).expect("an identity");
        assert_eq!(first.take_warnings(), Vec::<String>::new());
        first.remember_port(4001);
        drop(first);
        fs::write(folder.path().join("identity/0.key"), b"").expect("a file");
        let mut second = NodeIdentity::open(folder.path()).expect("an identity");
        assert_eq!(second.take_warnings().len(), 1);
    }
}
