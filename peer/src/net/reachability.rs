//! Whether others can dial this node, and at which address of ours that nobody told us; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use samara_proto::moment::Moment;

use crate::net::address::{Reach, canonical, reach};
use crate::net::discovery::policy::narrowed;

/// Peers learn our addresses within seconds and try one of them: if none has come by then, none can.
const PATIENCE: Duration = Duration::from_secs(90);
/// Networks whose word on our address counts: one alone may be mistaken, or lie.
const WITNESSES: usize = 2;
/// Addresses of ours kept that others say they see: one for each protocol and family, and those before a change.
const OBSERVED: usize = 16;
/// Networks remembered for each: more than count.
const WITNESSES_KEPT: usize = 8;

/// Who can dial this node, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialability {
    /// Nobody has had the time to try.
    #[default]
    Unknown,
    /// Peers know where we listen, and none has come.
    Nobody,
    /// Somebody has come from as far as that.
    From(Reach),
}

/// What is known of our being dialled.
#[derive(Debug, Default)]
pub struct Reachability {
    widest: Option<Reach>,
    /// Since when somebody has known our addresses.
    known_since: Option<Moment>,
    /// Addresses at which others see us, and from which networks they do.
    observed: BTreeMap<Multiaddr, BTreeSet<IpAddr>>,
}

impl Reachability {
    /// A connection came in from as far as `from`.
    pub fn on_dialled(&mut self, from: Reach) {
        self.widest = Some(self.widest.map_or(from, |widest| widest.min(from)));
    }

    /// Somebody was told where we listen.
    pub fn on_told(&mut self, now: Moment) {
        self.known_since.get_or_insert(now);
    }

    /// A remote at `witness` sees us at `address`. Only what everybody could dial is news.
    pub fn on_observed(&mut self, address: Multiaddr, witness: IpAddr) {
        if reach(&address) != Reach::Everybody {
            return;
        }
        if self.observed.len() >= OBSERVED && !self.observed.contains_key(&address) {
            // The least witnessed gives way; the present ones are seen again with every new peer.
            let weakest = self.observed.iter().min_by_key(|(_, witnesses)| witnesses.len());
            let weakest = weakest.map(|(address, _)| address.clone());
            weakest.and_then(|address| self.observed.remove(&address));
        }
        let witnesses = self.observed.entry(address).or_default();
        if witnesses.len() < WITNESSES_KEPT {
            witnesses.insert(network(witness));
        }
    }

    /// Our addresses change: what was seen before says nothing any more.
    pub fn on_moved(&mut self) {
        *self = Self::default();
    }

    /// Addresses of ours on the far side of a router that passes connections on: enough networks see us there,
    /// and somebody has come from as far.
    pub fn confirmed(&self) -> impl Iterator<Item = &Multiaddr> {
        let is_open = self.widest == Some(Reach::Everybody);
        let is_confirmed = move |witnesses: &BTreeSet<IpAddr>| is_open && witnesses.len() >= WITNESSES;
        self.observed.iter().filter(move |(_, witnesses)| is_confirmed(witnesses)).map(|(address, _)| address)
    }

    /// Who can dial us, as far as is known at `now`.
    pub fn dialability(&self, now: Moment) -> Dialability {
        match (self.widest, self.known_since) {
            (Some(widest), _) => Dialability::From(widest),
            (None, Some(since)) if now.since(since) >= PATIENCE => Dialability::Nobody,
            _ => Dialability::Unknown,
        }
    }
}

/// What one operator usually holds: a /16 of IPv4, a /32 of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    narrowed(canonical(ip), 16, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(secs)
    }

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an IP address")
    }

    #[test]
    fn the_widest_reach_from_which_somebody_came_counts() {
        let mut reachability = Reachability::default();
        assert_eq!(reachability.dialability(at(0)), Dialability::Unknown);
        reachability.on_dialled(Reach::LocalNetwork);
        reachability.on_dialled(Reach::ThisMachine);
        assert_eq!(reachability.dialability(at(0)), Dialability::From(Reach::LocalNetwork));
        reachability.on_dialled(Reach::Everybody);
        assert_eq!(reachability.dialability(at(0)), Dialability::From(Reach::Everybody));
    }

    #[test]
    fn a_node_that_peers_know_and_nobody_dials_cannot_be_dialled() {
        let mut reachability = Reachability::default();
        assert_eq!(reachability.dialability(at(1000)), Dialability::Unknown);
        reachability.on_told(at(1000));
        reachability.on_told(at(1080));
        assert_eq!(reachability.dialability(at(1089)), Dialability::Unknown);
        assert_eq!(reachability.dialability(at(1090)), Dialability::Nobody);
        reachability.on_dialled(Reach::Everybody);
        assert_eq!(reachability.dialability(at(1091)), Dialability::From(Reach::Everybody));
    }

    #[test]
    fn an_observed_address_needs_witnesses_from_two_networks_and_a_visit_from_afar() {
        let mut reachability = Reachability::default();
        let ours = address("/ip4/198.51.100.7/tcp/4001");
        for witness in ["203.0.113.1", "203.0.113.2", "203.0.200.3"] {
            reachability.on_observed(ours.clone(), ip(witness));
        }
        reachability.on_dialled(Reach::Everybody);
        assert_eq!(reachability.confirmed().count(), 0, "one network said it");
        reachability.on_observed(ours.clone(), ip("192.0.2.1"));
        assert_eq!(reachability.confirmed().collect::<Vec<_>>(), [&ours]);

        let mut closed = Reachability::default();
        closed.on_dialled(Reach::LocalNetwork);
        closed.on_observed(ours.clone(), ip("203.0.113.1"));
        closed.on_observed(ours, ip("192.0.2.1"));
        assert_eq!(closed.confirmed().count(), 0, "nobody has come from as far");
    }

    #[test]
    fn nobody_makes_us_claim_a_private_address_or_remember_without_end() {
        let mut reachability = Reachability::default();
        reachability.on_dialled(Reach::Everybody);
        for witness in ["203.0.113.1", "192.0.2.1"] {
            reachability.on_observed(address("/ip4/10.0.0.1/tcp/1"), ip(witness));
            reachability.on_observed(address("/ip4/198.51.100.7/tcp/1"), ip(witness));
        }
        for port in 2..1000 {
            reachability.on_observed(address(&format!("/ip4/198.51.100.7/tcp/{port}")), ip("192.0.2.9"));
        }
        assert_eq!(
            reachability.confirmed().collect::<Vec<_>>(),
            [&address("/ip4/198.51.100.7/tcp/1")],
            "the well witnessed one stays"
        );
        assert!(reachability.observed.len() <= OBSERVED);
    }

    #[test]
    fn a_node_that_moved_starts_anew() {
        let mut reachability = Reachability::default();
        reachability.on_dialled(Reach::Everybody);
        reachability.on_moved();
        assert_eq!(reachability.dialability(at(1)), Dialability::Unknown);
    }
}
