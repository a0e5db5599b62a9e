//! Who may be told of whom: addresses by how far they reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches. Wider scopes are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The tracker's own machine.
    Loopback,
    /// One cable: without the interface's number, which nobody can pass on, only good for neighbours.
    LinkLocal,
    /// A private network (RFC 1918, 4193, 6598).
    Private,
    /// The Internet.
    Global,
}

impl Scope {
    /// The scope of `ip`; `None` if no single host can have it.
    pub fn of(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        let [a, b, ..] = ip.octets();
        if a == 0 || a >= 224 {
            None // this network, multicast, reserved, broadcast
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_link_local() {
            Some(Self::LinkLocal)
        } else if ip.is_private() || (a == 100 && b & 0xC0 == 64) {
            Some(Self::Private)
        } else {
            Some(Self::Global)
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        if ip.is_unspecified() || ip.is_multicast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_unicast_link_local() {
            Some(Self::LinkLocal)
        } else if ip.is_unique_local() {
            Some(Self::Private)
        } else {
            Some(Self::Global)
        }
    }

    /// Whether a peer seen in this scope may be told of addresses of scope `other`: those that reach as far
    /// or farther. Link-local addresses are for link-local peers alone.
    pub(super) fn may_learn(self, other: Self) -> bool {
        other >= self && (other != Self::LinkLocal || self == Self::LinkLocal)
    }
}

/// Whether a peer seen at `viewer` may be told of the address `other`: one in a scope it may learn of, and
/// if both are private, in the same network. In another one the address is somebody else's, or nobody's.
pub(super) fn may_learn(viewer: IpAddr, other: IpAddr) -> bool {
    let (viewer, other) = (viewer.to_canonical(), other.to_canonical());
    let (Some(own_scope), Some(scope)) = (Scope::of(viewer), Scope::of(other)) else { return false };
    let both_private = own_scope == Scope::Private && scope == Scope::Private;
    own_scope.may_learn(scope) && (!both_private || private_network(viewer) == private_network(other))
}

/// The prefix of the private network that `ip` is in: a block of RFC 1918 or 6598, or a site of RFC 4193.
fn private_network(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => {
            let prefix_bits = match ip.octets()[0] {
                10 => 8,
                100 => 10,
                172 => 12,
                _ => 16,
            };
            u128::from(ip.to_bits() >> (32 - prefix_bits))
        }
        IpAddr::V6(ip) => ip.to_bits() >> (128 - 48),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(ip: &str) -> Option<Scope> {
        Scope::of(ip.parse().unwrap())
    }

    #[test]
    fn addresses_have_the_scope_their_rfc_gives() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(scope(ip), Some(Scope::Loopback), "{ip}");
        }
        for ip in ["169.254.1.1", "fe80::1"] {
            assert_eq!(scope(ip), Some(Scope::LinkLocal), "{ip}");
        }
        for ip in ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"] {
            assert_eq!(scope(ip), Some(Scope::Private), "{ip}");
        }
        for ip in ["1.2.3.4", "172.32.0.1", "100.128.0.1", "2a00::1"] {
            assert_eq!(scope(ip), Some(Scope::Global), "{ip}");
        }
        for ip in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "ff02::1"] {
            assert_eq!(scope(ip), None, "{ip}");
        }
    }

    #[test]
    fn of_a_private_address_only_its_own_network_and_the_machine_itself_learn() {
        let networks = [
            ["10.0.0.1", "10.255.0.1"],
            ["172.16.0.1", "172.31.0.1"],
            ["192.168.0.1", "192.168.255.1"],
            ["100.64.0.1", "100.127.0.1"],
            ["fd00:1:2::1", "fd00:1:2:ffff::1"],
            ["fd00:1:3::1", "fd00:1:3:4::5"],
        ];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for [one, other] in networks {
            for [viewer, _] in networks {
                assert_eq!(may_learn(ip(viewer), ip(other)), viewer == one, "{viewer} of {other}");
            }
            assert!(may_learn(ip("127.0.0.1"), ip(one)) && may_learn(ip(one), ip("20.0.0.1")), "{one}");
        }
        assert!(may_learn(ip("::ffff:10.0.0.1"), ip("10.0.0.2")));
    }

    #[test]
    fn nobody_learns_of_an_address_that_does_not_reach_as_far_as_itself() {
        use Scope::*;
        let learns = |who: Scope| [Loopback, LinkLocal, Private, Global].map(|other| who.may_learn(other));
        assert_eq!(learns(Loopback), [true, false, true, true]);
        assert_eq!(learns(LinkLocal), [false, true, true, true]);
        assert_eq!(learns(Private), [false, false, true, true]);
        assert_eq!(learns(Global), [false, false, false, true]);
    }
}
