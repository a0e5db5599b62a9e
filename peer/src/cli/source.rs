//! What X in `show X` and `get X` may be, and reading it without trusting it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use samara_proto::infohash::InfoHashes;
use samara_proto::limits;
use samara_proto::magnet::Magnet;
use samara_proto::metainfo::Metainfo;

use super::failure::Failure;

/// What a command was pointed at.
pub enum Source {
    /// A `.torrent` file, and this is what it says.
    Torrent(Arc<Metainfo>),
    /// A magnet link.
    Magnet(Magnet),
}

impl Source {
    /// Reads a `.torrent` file or a magnet link.
    pub fn read(text: &str) -> Result<Self, Failure> {
        if text.is_empty() {
            return Err(Failure::usage("the name is empty; give a .torrent file or a magnet link"));
        }
        if is_link(text) {
            return text
                .parse()
                .map(Self::Magnet)
                .map_err(|error| Failure::failed(format!("cannot use this link: {error}")));
        }
        if starts_with(text, "http://") || starts_with(text, "https://") {
            return Err(Failure::failed(format!(
                "cannot open {text}: download the .torrent first, for example with curl -O, and pass the file"
            )));
        }
        read_torrent(Path::new(text)).map(Self::Torrent)
    }

    /// The torrent's full names, as far as the source knows them.
    pub fn hashes(&self) -> InfoHashes {
        match self {
            Self::Torrent(metainfo) => metainfo.info_hashes(),
            Self::Magnet(magnet) => magnet.hashes,
        }
    }

    /// The trackers it names.
    pub fn trackers(&self) -> impl Iterator<Item = &str> {
        let (tiers, list) = match self {
            Self::Torrent(metainfo) => (metainfo.trackers(), &[][..]),
            Self::Magnet(magnet) => (&[][..], magnet.trackers.as_slice()),
        };
        tiers.iter().flatten().chain(list).map(String::as_str)
    }

    /// Whether it names peers.
    pub fn names_peers(&self) -> bool {
        matches!(self, Self::Magnet(magnet) if !magnet.peers.is_empty())
    }

    /// Whether only its trackers may say who takes part; a link does not tell.
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Torrent(metainfo) if metainfo.is_private())
    }

    /// What to call the torrent: its name, or while that is unknown its hash.
    pub fn label(&self) -> String {
        let name = match self {
            Self::Torrent(metainfo) => Some(metainfo.name()),
            Self::Magnet(magnet) => magnet.name.as_deref(),
        };
        let hash = || self.hashes().wire().next().map(|hash| hash.to_string());
        name.map(str::to_owned).or_else(hash).unwrap_or_default()
    }
}

/// Whether it is a magnet link, well made or not.
pub fn is_link(text: &str) -> bool {
    starts_with(text, "magnet:")
}

/// Reads and checks a `.torrent` file.
pub fn read_torrent(path: &Path) -> Result<Arc<Metainfo>, Failure> {
    let bytes = read_bounded(path)?;
    if !bytes.starts_with(b"d") {
        return Err(Failure::failed(format!("cannot use {}: it is not a .torrent file", path.display())));
    }
    Metainfo::from_bytes(&bytes)
        .map(Arc::new)
        .map_err(|error| Failure::failed(format!("cannot use {}: {error}", path.display())))
}

/// A whole file, unless it is longer than any torrent.
fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| Failure::file("read", path, &error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::failed(format!(
            "cannot read {}: it is a folder, not a .torrent",
            path.display()
        )));
    }
    let mut bytes = Vec::new();
    file.take(limits::TORRENT_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > limits::TORRENT_BYTES {
        return Err(Failure::failed(format!(
            "cannot use {}: it is not a .torrent file, or longer than any may be ({} bytes)",
            path.display(),
            limits::TORRENT_BYTES
        )));
    }
    Ok(bytes)
}

fn starts_with(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}
