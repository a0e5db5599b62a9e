//! How many connections each household has open, so that none takes the place of all others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::registry::household;

/// The open connections by household.
#[derive(Debug)]
pub(super) struct Crowd {
    most: u32,
    /// No household without a connection.
    open: Mutex<BTreeMap<u64, u32>>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// The crowd and the household; nothing for those who are not counted.
    taken: Option<(Arc<Crowd>, u64)>,
}

impl Crowd {
    /// Nobody yet, and at most `most` connections from each household.
    pub(super) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for a connection from `client`; `None` if its household has as many as it may have.
    /// Who is on this machine is not counted: it may be a proxy that speaks for many.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        if client.to_canonical().is_loopback() {
            return Some(Place { taken: None });
        }
        let household = household(client);
        let mut open = self.open();
        let count = open.get(&household).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        open.insert(household, count + 1);
        Some(Place { taken: Some((Arc::clone(self), household)) })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        // Nothing panics while it is locked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((crowd, household)) = &self.taken else { return };
        let mut open = crowd.open();
        if let Some(count) = open.get_mut(household) {
            *count -= 1;
            if *count == 0 {
                open.remove(household);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(crowd: &Arc<Crowd>, client: &str) -> Option<Place> {
        crowd.admit(client.parse().unwrap())
    }

    #[test]
    fn a_household_has_so_many_places_and_no_more() {
        let crowd = Crowd::new(2);
        let places = [admit(&crowd, "20.0.0.1").unwrap(), admit(&crowd, "::ffff:20.0.0.1").unwrap()];
        assert!(admit(&crowd, "20.0.0.1").is_none());
        let elsewhere = admit(&crowd, "20.0.0.2");
        assert!(elsewhere.is_some());
        drop((places, elsewhere));
        assert!(admit(&crowd, "20.0.0.1").is_some());
        assert!(crowd.open().is_empty(), "nobody who has left is remembered");
    }

    #[test]
    fn an_ipv6_network_is_one_household() {
        let crowd = Crowd::new(1);
        let _place = admit(&crowd, "2a00::1").unwrap();
        assert!(admit(&crowd, "2a00::2").is_none());
        assert!(admit(&crowd, "2a00:0:0:1::1").is_some());
    }

    #[test]
    fn this_machine_is_not_counted() {
        let crowd = Crowd::new(0);
        for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(admit(&crowd, client).is_some(), "{client}");
        }
    }
}
