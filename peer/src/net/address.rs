//! What an address says about who can reach it.

use std::net::{IpAddr, Ipv4Addr};

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
    ip_of(address).map_or(Reach::Everybody, reach_of)
}

/// The IP address that `address` begins with, as it is spelt there.
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        _ => None,
    }
}

/// The same address without the identity of who is there.
pub fn without_identity(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// Who can reach `ip`.
pub fn reach_of(ip: IpAddr) -> Reach {
    let ip = canonical(ip);
    let is_local = match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    match ip.is_loopback() {
        true => Reach::ThisMachine,
        false if is_local => Reach::LocalNetwork,
        false => Reach::Everybody,
    }
}

/// The IPv4 address that an IPv6 address stands for, mapped (RFC 4291) or translated (RFC 6052), or itself:
/// so that nobody gets round a rule by spelling an address differently.
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => ip,
    }
}

/// Whether a provider shares this address among its customers (RFC 6598): private in all but name.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

/// Whether `address` means something on one network cable only, and there not without naming it.
pub fn is_link_local(address: &Multiaddr) -> bool {
    match ip_of(address) {
        Some(IpAddr::V4(ip)) => ip.is_link_local(),
        Some(IpAddr::V6(ip)) => ip.is_unicast_link_local(),
        None => false,
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
