//! Which swarms the tracker serves.

use std::collections::BTreeSet;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use samara_proto::infohash::{InfoHash, Sha256Hash};
use serde::Deserialize;

/// Lists of info-hashes. An empty `allow` allows all; `deny` always wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// The only swarms served, if there are any here.
    pub allow: BTreeSet<ListedHash>,
    /// Swarms never served.
    pub deny: BTreeSet<ListedHash>,
}

/// An info-hash as an operator writes it: 40 hexadecimal digits, or 64 for a v2 torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ListedHash(pub InfoHash);

impl Access {
    /// Whether announces to this swarm are accepted.
    pub fn permits(&self, info_hash: InfoHash) -> bool {
        let listed = ListedHash(info_hash);
        (self.allow.is_empty() || self.allow.contains(&listed)) && !self.deny.contains(&listed)
    }
}

impl FromStr for ListedHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap_or_default();
        let v2 = Sha256Hash::from_slice(&bytes).map(InfoHash::from);
        InfoHash::from_slice(&bytes)
            .or(v2)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no info-hash: write 40 or 64 hexadecimal digits"))
    }
}

impl TryFrom<String> for ListedHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(allow: &[u8], deny: &[u8]) -> Access {
        let list = |bytes: &[u8]| bytes.iter().map(|&byte| ListedHash(InfoHash([byte; 20]))).collect();
        Access { allow: list(allow), deny: list(deny) }
    }

    #[test]
    fn without_lists_everything_is_served() {
        assert!(access(&[], &[]).permits(InfoHash([1; 20])));
    }

    #[test]
    fn a_list_of_the_allowed_shuts_all_others_out() {
        let access = access(&[1], &[]);
        assert!(access.permits(InfoHash([1; 20])));
        assert!(!access.permits(InfoHash([2; 20])));
    }

    #[test]
    fn what_is_denied_is_denied_even_if_allowed() {
        let access = access(&[1], &[1]);
        assert!(!access.permits(InfoHash([1; 20])));
    }

    #[test]
    fn hashes_of_both_lengths_are_read() {
        let v1: ListedHash = "AB".repeat(20).parse().unwrap();
        let v2: ListedHash = "ab".repeat(32).parse().unwrap();
        assert_eq!(v1, v2, "a v2 hash is announced by its first 20 bytes");
        for bad in ["", "ab", "zz", &"ab".repeat(21)] {
            assert!(bad.parse::<ListedHash>().unwrap_err().contains("hexadecimal"), "{bad}");
        }
    }
}
