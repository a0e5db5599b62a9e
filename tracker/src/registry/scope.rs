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

    /// Whether a peer seen in this scope may be told of an address of scope `other`: one that reaches
    /// as far or farther. Link-local addresses are for link-local peers alone.
    pub fn may_learn(self, other: Self) -> bool {
        other >= self && (other != Self::LinkLocal || self == Self::LinkLocal)
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
    fn nobody_learns_of_an_address_that_does_not_reach_as_far_as_itself() {
        use Scope::*;
        let learns = |who: Scope| [Loopback, LinkLocal, Private, Global].map(|other| who.may_learn(other));
        assert_eq!(learns(Loopback), [true, false, true, true]);
        assert_eq!(learns(LinkLocal), [false, true, true, true]);
        assert_eq!(learns(Private), [false, false, true, true]);
        assert_eq!(learns(Global), [false, false, false, true]);
    }
}
