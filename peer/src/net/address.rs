//! What an address says about who can reach it.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Who can reach an address, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Everybody, as far as the address tells.
    Everybody,
    /// The local network.
    LocalNetwork,
    /// This machine alone.
    ThisMachine,
}

/// Who can reach `address`.
pub fn reach(address: &Multiaddr) -> Reach {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) if ip.is_loopback() => Reach::ThisMachine,
        Some(Protocol::Ip4(ip)) if ip.is_private() || ip.is_link_local() => Reach::LocalNetwork,
        Some(Protocol::Ip6(ip)) if ip.is_loopback() => Reach::ThisMachine,
        Some(Protocol::Ip6(ip)) if ip.is_unique_local() || ip.is_unicast_link_local() => Reach::LocalNetwork,
        _ => Reach::Everybody,
    }
}

/// Whether `address` means something on one network cable only, and there not without naming it.
pub fn is_link_local(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_link_local(),
        Some(Protocol::Ip6(ip)) => ip.is_unicast_link_local(),
        _ => false,
    }
}

/// Whether `address` is reached over TCP.
pub fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_orders_the_world_before_the_house_before_the_machine() {
        let texts = ["/ip4/192.0.2.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/::1/tcp/1"];
        let reaches = texts.map(|text| reach(&text.parse().expect("an address")));
        assert_eq!(reaches, [Reach::Everybody, Reach::LocalNetwork, Reach::ThisMachine]);
        assert!(reaches.is_sorted());
    }
}
