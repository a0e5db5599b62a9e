//! Which nodes may be in our routing table: those that answer, and of no single owner many.

use std::collections::BTreeMap;
use std::net::IpAddr;

use libp2p::PeerId;

use crate::net::address::{Reach, reach_of};
use crate::net::discovery::policy::narrowed;

/// Nodes at one public IPv4 address or IPv6 /64: a household's. Whoever wants to surround us needs many.
const PER_ADDRESS: usize = 4;
/// Nodes in one public /24 of IPv4 or /48 of IPv6.
const PER_NETWORK: usize = 16;
/// Dials of one node that fail in a row before it is forgotten.
const FAILURES: u32 = 3;

/// The members of the routing table.
#[derive(Debug, Default)]
pub(super) struct Table {
    members: BTreeMap<PeerId, Member>,
}

#[derive(Debug)]
struct Member {
    /// Where it was met, if that was by an address.
    ip: Option<IpAddr>,
    failures: u32,
}

impl Table {
    /// Whether a node met at `ip` may be added.
    pub(super) fn admits(&self, id: &PeerId, ip: Option<IpAddr>) -> bool {
        let Some(ip) = ip.filter(|&ip| reach_of(ip) == Reach::Everybody) else { return true };
        let others = self.members.iter().filter(|(other, _)| *other != id);
        let near: Vec<IpAddr> = others.filter_map(|(_, member)| member.ip).collect();
        let shared = |v4_bits, v6_bits| {
            let group = narrowed(ip, v4_bits, v6_bits);
            near.iter().filter(|&&other| narrowed(other, v4_bits, v6_bits) == group).count()
        };
        shared(32, 64) < PER_ADDRESS && shared(24, 48) < PER_NETWORK
    }

    /// A node was added, or met again.
    pub(super) fn on_met(&mut self, id: PeerId, ip: Option<IpAddr>) {
        self.members.insert(id, Member { ip, failures: 0 });
    }

    /// A connection with a node is up.
    pub(super) fn on_connected(&mut self, id: &PeerId) {
        if let Some(member) = self.members.get_mut(id) {
            member.failures = 0;
        }
    }

    /// A node could not be reached; whether that is enough to forget it.
    pub(super) fn on_failed(&mut self, id: &PeerId) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        member.failures += 1;
        member.failures >= FAILURES
    }

    /// A node is not in the table any more.
    pub(super) fn on_removed(&mut self, id: &PeerId) {
        self.members.remove(id);
    }

    /// Whether a node is in it.
    pub(super) fn contains(&self, id: &PeerId) -> bool {
        self.members.contains_key(id)
    }

    /// How many nodes are in it.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds nodes at these addresses, as far as they are admitted, and gives how many were.
    fn admitted(ips: impl IntoIterator<Item = String>) -> usize {
        let mut table = Table::default();
        for text in ips {
            let (id, ip) = (PeerId::random(), Some(text.parse().expect("an IP address")));
            if table.admits(&id, ip) {
                table.on_met(id, ip);
            }
        }
        table.len()
    }

    #[test]
    fn nobody_surrounds_us_from_one_address_or_network() {
        assert_eq!(admitted((0..100).map(|_| "192.0.2.1".to_owned())), PER_ADDRESS);
        assert_eq!(admitted((0..100).map(|n| format!("192.0.2.{n}"))), PER_NETWORK);
        assert_eq!(admitted((0..100).map(|n| format!("2001:db8:1:{n:x}::1"))), PER_NETWORK);
        assert_eq!(admitted((0..100).map(|n| format!("2001:db8:{n:x}::1"))), 100);
    }

    #[test]
    fn a_fleet_on_one_network_and_many_nodes_on_one_machine_are_welcome() {
        assert_eq!(admitted((0..100).map(|n| format!("10.0.0.{n}"))), 100);
        assert_eq!(admitted((0..100).map(|_| "127.0.0.1".to_owned())), 100);
    }

    #[test]
    fn a_node_is_forgotten_after_failures_in_a_row() {
        let mut table = Table::default();
        let id = PeerId::random();
        table.on_met(id, None);
        assert!(!table.on_failed(&id) && !table.on_failed(&id));
        table.on_connected(&id);
        assert!(!table.on_failed(&id) && !table.on_failed(&id));
        assert!(table.on_failed(&id));
        assert!(!table.on_failed(&PeerId::random()), "a stranger is not in it");
    }

    #[test]
    fn a_node_met_again_does_not_count_twice() {
        let mut table = Table::default();
        let (id, ip) = (PeerId::random(), Some(IpAddr::from([192, 0, 2, 1])));
        for _ in 0..10 {
            assert!(table.admits(&id, ip));
            table.on_met(id, ip);
        }
        assert_eq!(table.len(), 1);
    }
}
