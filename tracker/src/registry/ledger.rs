//! The running totals that caps are measured against.

use std::net::IpAddr;

use super::hashing::{Keyed, KeyedMap, shrink};

/// Counts every entry by where it came from and what it takes.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    per_source: KeyedMap<u64, u32>,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

impl Ledger {
    pub(super) fn new(hashing: Keyed) -> Self {
        Self { per_source: KeyedMap::with_hasher(hashing), bytes: 0, entries: 0 }
    }

    /// Entries that came from the same host or household as `source`.
    pub(super) fn entries_of(&self, source: IpAddr) -> u32 {
        self.per_source.get(&household(source)).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, source: IpAddr, bytes: usize) {
        *self.per_source.entry(household(source)).or_insert(0) += 1;
        self.entries += 1;
        self.bytes += bytes as u64;
    }

    pub(super) fn remove(&mut self, source: IpAddr, bytes: usize) {
        let household = household(source);
        if let Some(entries) = self.per_source.get_mut(&household) {
            *entries -= 1;
            if *entries == 0 {
                self.per_source.swap_remove(&household);
                shrink(&mut self.per_source);
            }
        }
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

/// What one party is given as a whole: an IPv4 address, or an IPv6 /64.
pub(crate) fn household(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        // The top bit keeps them apart from IPv4; no two networks in use differ in it alone.
        IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 64).expect("64 bits are left") | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_have_gone_take_no_memory() {
        let mut ledger = Ledger::new(Keyed::new([1; 16]));
        let sources = || (0..10_000_u32).map(|n| IpAddr::V4(n.into()));
        sources().for_each(|source| ledger.add(source, 100));
        sources().for_each(|source| ledger.remove(source, 100));
        assert_eq!((ledger.entries, ledger.bytes), (0, 0));
        assert!(ledger.per_source.capacity() < 100, "{}", ledger.per_source.capacity());
    }
}
