//! Magnet links: a torrent's names, and where to ask for the rest (BEP 9, BEP 52, BEP 53).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use data_encoding::{BASE32, HEXLOWER, HEXLOWER_PERMISSIVE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::infohash::{InfoHashes, Sha1Hash, Sha256Hash};
use crate::limits;
use crate::metainfo::Metainfo;

/// The first two bytes of a multihash of SHA-256: the function's code and the digest's length.
const SHA256_MULTIHASH: &str = "1220";

/// What goes unescaped into a link's value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// `xt`: the torrent's names. A hybrid's link may carry one of its two.
    pub hashes: InfoHashes,
    /// `dn`: a name to show while the real one is unknown. Not safe for a file.
    pub name: Option<String>,
    /// `xl`: the content's size in bytes, to show while the real one is unknown.
    pub exact_length: Option<u64>,
    /// `tr`: announce URLs.
    pub trackers: Vec<String>,
    /// `x.lp`: libp2p multiaddresses of peers that can be dialled straight away.
    pub peers: Vec<String>,
    /// `so`: numbers of the files to fetch; `None` for all, also if the value is malformed.
    pub select_only: Option<Vec<RangeInclusive<u32>>>,
}

/// Why text is not a magnet link to a torrent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// It starts otherwise.
    #[error("a magnet link starts with \"magnet:?\"")]
    Scheme,
    /// Longer than the cap.
    #[error("a magnet link is at most {max} bytes long", max = limits::MAGNET_BYTES)]
    TooLong,
    /// No `xt=urn:btih:` or `xt=urn:btmh:`.
    #[error("the magnet link names no torrent: it has neither xt=urn:btih: nor xt=urn:btmh:")]
    NoHash,
    /// A hash of a wrong length or alphabet.
    #[error("the magnet link's {0} hash is malformed")]
    Hash(&'static str),
    /// Two different hashes of one kind.
    #[error("the magnet link names two different torrents")]
    TwoTorrents,
}

impl Magnet {
    /// A link that carries these names and nothing else.
    pub fn new(hashes: InfoHashes) -> Self {
        Self {
            hashes,
            name: None,
            exact_length: None,
            trackers: Vec::new(),
            peers: Vec::new(),
            select_only: None,
        }
    }

    /// The link to a torrent: names, size and trackers.
    pub fn to_torrent(metainfo: &Metainfo) -> Self {
        Self {
            name: Some(metainfo.name().to_owned()),
            exact_length: Some(metainfo.layout().total_size()),
            trackers: metainfo.trackers().concat(),
            ..Self::new(metainfo.info_hashes())
        }
    }

    fn read_parameter(&mut self, key: &str, value: String) {
        // A number after a key (`tr.1`) counts repetitions.
        let key = match key.rsplit_once('.') {
            Some((stem, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => stem,
            _ => key,
        };
        match key {
            "dn" => self.name = Some(value).filter(|name| !name.is_empty()),
            "xl" => self.exact_length = value.parse().ok(),
            "tr" => keep(&mut self.trackers, value, limits::TRACKERS),
            "x.lp" => keep(&mut self.peers, value, limits::LINK_PEERS),
            "so" => self.select_only = selection(&value),
            _ => {}
        }
    }
}

/// Keeps a URL or address that is usable, new, and within the cap.
fn keep(list: &mut Vec<String>, value: String, most: usize) {
    let usable = !value.is_empty() && value.len() <= limits::URL_BYTES && list.len() < most;
    if usable && !list.contains(&value) {
        list.push(value);
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    /// Unknown parameters are skipped. Of names and lists that are too long, the excess is dropped.
    fn from_str(link: &str) -> Result<Self, MagnetError> {
        if link.len() > limits::MAGNET_BYTES {
            return Err(MagnetError::TooLong);
        }
        let prefix = link.get(..8).filter(|prefix| prefix.eq_ignore_ascii_case("magnet:?"));
        let query = &link[prefix.ok_or(MagnetError::Scheme)?.len()..];
        let parameters = || query.split('&').filter_map(|parameter| parameter.split_once('='));
        let mut names = Names::default();
        for (key, value) in parameters() {
            let key = key.to_ascii_lowercase();
            if key == "xt" || key.starts_with("xt.") {
                names.read(&decode(value))?;
            }
        }
        let mut magnet = Self::new(names.finish()?);
        for (key, value) in parameters() {
            magnet.read_parameter(&key.to_ascii_lowercase(), decode(value));
        }
        Ok(magnet)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:?")?;
        let v1 = self.hashes.v1().map(|hash| format!("xt=urn:btih:{hash}"));
        let v2 = self.hashes.v2().map(|hash| format!("xt=urn:btmh:{SHA256_MULTIHASH}{hash}"));
        f.write_str(&v1.into_iter().chain(v2).collect::<Vec<_>>().join("&"))?;
        let escaped = |value| utf8_percent_encode(value, ESCAPED);
        if let Some(name) = &self.name {
            write!(f, "&dn={}", escaped(name))?;
        }
        if let Some(length) = self.exact_length {
            write!(f, "&xl={length}")?;
        }
        for tracker in &self.trackers {
            write!(f, "&tr={}", escaped(tracker))?;
        }
        for peer in &self.peers {
            write!(f, "&x.lp={}", escaped(peer))?;
        }
        if let Some(ranges) = &self.select_only {
            let ranges: Vec<String> = ranges.iter().map(range_text).collect();
            write!(f, "&so={}", ranges.join(","))?;
        }
        Ok(())
    }
}

/// The hashes that a link's `xt` parameters give.
#[derive(Default)]
struct Names {
    v1: Option<Sha1Hash>,
    v2: Option<Sha256Hash>,
}

impl Names {
    fn read(&mut self, urn: &str) -> Result<(), MagnetError> {
        let scheme_and_hash = (urn.get(..9), urn.get(9..));
        let (Some(scheme), Some(hash)) = scheme_and_hash else { return Ok(()) };
        if scheme.eq_ignore_ascii_case("urn:btih:") {
            let found = btih(hash).ok_or(MagnetError::Hash("btih"))?;
            same_or_new(&mut self.v1, found)
        } else if scheme.eq_ignore_ascii_case("urn:btmh:") {
            let found = btmh(hash).ok_or(MagnetError::Hash("btmh"))?;
            same_or_new(&mut self.v2, found)
        } else {
            Ok(())
        }
    }

    fn finish(self) -> Result<InfoHashes, MagnetError> {
        match (self.v1, self.v2) {
            (Some(v1), Some(v2)) => Ok(InfoHashes::Hybrid(v1, v2)),
            (Some(v1), None) => Ok(InfoHashes::V1(v1)),
            (None, Some(v2)) => Ok(InfoHashes::V2(v2)),
            (None, None) => Err(MagnetError::NoHash),
        }
    }
}

fn same_or_new<T: PartialEq>(slot: &mut Option<T>, found: T) -> Result<(), MagnetError> {
    match slot {
        Some(known) if *known != found => Err(MagnetError::TwoTorrents),
        _ => {
            *slot = Some(found);
            Ok(())
        }
    }
}

/// 40 hexadecimal digits, or 32 of base 32.
fn btih(hash: &str) -> Option<Sha1Hash> {
    let bytes = match hash.len() {
        40 => HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok()?,
        32 => BASE32.decode(hash.to_ascii_uppercase().as_bytes()).ok()?,
        _ => return None,
    };
    Sha1Hash::from_slice(&bytes)
}

/// A multihash of SHA-256, in hexadecimal.
fn btmh(hash: &str) -> Option<Sha256Hash> {
    let digest = hash.strip_prefix(SHA256_MULTIHASH)?.to_ascii_lowercase();
    Sha256Hash::from_slice(&HEXLOWER.decode(digest.as_bytes()).ok()?)
}

fn decode(value: &str) -> String {
    percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A list such as `0,2,4-8` (BEP 53). One with a mistake in it is none: what was meant is anybody's guess,
/// and all files are more use than no link.
fn selection(value: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let range = |text: &str| -> Option<RangeInclusive<u32>> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let range = number(first)?..=number(last)?;
        (!range.is_empty()).then_some(range)
    };
    value.split(',').take(limits::LINK_RANGES).map(range).collect()
}

fn range_text(range: &RangeInclusive<u32>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests;
