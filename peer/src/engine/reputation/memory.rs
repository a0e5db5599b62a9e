//! What is remembered of each of many, and never of more than a bound.

use std::collections::{BTreeMap, VecDeque};

/// A record for each of at most `MOST`; the one that was made longest ago is forgotten first.
#[derive(Clone, Debug)]
pub(super) struct Memory<K, V, const MOST: usize> {
    records: BTreeMap<K, V>,
    in_order: VecDeque<K>,
}

impl<K, V, const MOST: usize> Default for Memory<K, V, MOST> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), in_order: VecDeque::new() }
    }
}

impl<K: Copy + Ord, V: Default, const MOST: usize> Memory<K, V, MOST> {
    /// What is remembered of `key`.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.records.get(&key)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.records.get_mut(&key)
    }

    /// The record of `key`, made if there is none.
    pub(super) fn record(&mut self, key: K) -> &mut V {
        if !self.records.contains_key(&key) {
            if self.in_order.len() >= MOST
                && let Some(oldest) = self.in_order.pop_front()
            {
                self.records.remove(&oldest);
            }
            self.in_order.push_back(key);
        }
        self.records.entry(key).or_default()
    }

    /// How many are remembered, and how many in their order.
    #[cfg(test)]
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.records.len(), self.in_order.len())
    }
}
