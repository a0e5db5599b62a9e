//! Who holds the address that a connection comes from, as far as one may be blamed for what another does.

use std::net::{IpAddr, Ipv6Addr};

use super::address::{Reach, canonical, reach_of};
use super::discovery::policy::one_holder;
use crate::engine::event::HolderKey;

/// Whoever holds `ip`: a public IPv4 address or IPv6 /64, of which one customer has all. On a local network
/// neighbours share a /64, and each address stands for itself. Nobody is blamed for what this machine does.
pub fn holder_of(ip: IpAddr) -> Option<HolderKey> {
    let ip = canonical(ip);
    let held = match reach_of(ip) {
        Reach::ThisMachine => return None,
        Reach::LocalNetwork => ip,
        Reach::Everybody => one_holder(ip),
    };
    Some(HolderKey(spelt_long(held).to_bits()))
}

/// The first of the addresses that are `holder`'s.
pub fn first_address(holder: HolderKey) -> IpAddr {
    Ipv6Addr::from_bits(holder.0).to_canonical()
}

fn spelt_long(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(text: &str) -> Option<HolderKey> {
        holder_of(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_that_one_customer_has_are_one_holders_and_others_are_not() {
        let same = [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("192.0.2.1", "64:ff9b::192.0.2.1"),
            ("2001:db8::1", "2001:db8::ffff:0:0:1"),
        ];
        let different = [
            ("192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8:0:1::1"),
            ("10.0.0.1", "10.0.0.2"),
            ("fd00::1", "fd00::2"),
            ("fe80::1", "fe80::2"),
        ];
        for (a, b) in same {
            assert_eq!(holder(a), holder(b), "{a} and {b}");
        }
        for (a, b) in different {
            assert_ne!(holder(a), holder(b), "{a} and {b}");
        }
    }

    #[test]
    fn this_machine_is_nobodys() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(holder(text), None, "{text}");
        }
    }

    #[test]
    fn a_holder_is_told_of_by_his_first_address() {
        let told =
            ["192.0.2.1", "10.0.0.1", "2001:db8:0:1::5"].map(|text| first_address(holder(text).unwrap()));
        assert_eq!(told.map(|ip| ip.to_string()), ["192.0.2.1", "10.0.0.1", "2001:db8:0:1::"]);
    }
}
