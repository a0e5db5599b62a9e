//! Maps that nobody outside can slow down: their hash has a key.

use std::hash::{BuildHasher, Hash};

use indexmap::IndexMap;
use siphasher::sip::SipHasher13;

/// Hashes with a key given at the start, since info-hashes and addresses are chosen by strangers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    key: (u64, u64),
}

/// A map in a fixed order whose entries also have positions.
pub(super) type KeyedMap<K, V> = IndexMap<K, V, Keyed>;

/// Places a map may have for nothing: few enough not to matter.
const SPARE_PLACES: usize = 64;

/// Gives back memory that `map` no longer needs, if that is most of what it has. To be called after entries
/// have gone: it moves no more of them than have gone since it last did.
pub(super) fn shrink<K: Hash + Eq, V>(map: &mut KeyedMap<K, V>) {
    if map.capacity() > SPARE_PLACES && map.len() < map.capacity() / 4 {
        map.shrink_to(2 * map.len());
    }
}

impl Keyed {
    pub(super) fn new(key: [u8; 16]) -> Self {
        let (first, second) = key.split_at(8);
        let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("half of 16 bytes"));
        Self { key: (half(first), half(second)) }
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}
