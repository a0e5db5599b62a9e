//! Where there is a local network: the interfaces on which a node listens and speaks, and from which address.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use if_addrs::Interface;

use crate::net::address::{Reach, reach_of};
use crate::net::bind::Binding;

/// Networks at once: a machine with more has them for its containers.
const PLACES: usize = 16;

/// One interface and one address family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The system's name of the interface.
    pub(super) device: String,
    /// Its number.
    pub(super) index: u32,
    /// What is said comes from this address, and speaks of it alone.
    pub(super) address: IpAddr,
}

/// Where a node that must stay on `binding`, if it has one, has a local network now.
///
/// # Errors
/// The system does not tell its interfaces.
pub(super) fn look(binding: Option<&Binding>) -> io::Result<BTreeSet<Place>> {
    let bind = binding.map(|binding| (binding.interface(), binding.address()));
    Ok(choose(&if_addrs::get_if_addrs()?, bind))
}

/// Of each interface that may be a local network's, one address of each family; or nothing but `bind`, an
/// interface and an address of it.
///
/// Loopback is no network, and a tunnel between two ends, such as a VPN's, is not a local one.
fn choose(interfaces: &[Interface], bind: Option<(&str, IpAddr)>) -> BTreeSet<Place> {
    let mut chosen: BTreeMap<(&str, bool), Place> = BTreeMap::new();
    for interface in interfaces {
        let address = interface.ip();
        // The second and further addresses of an interface may carry its name with a label.
        let device = interface.name.split(':').next().unwrap_or_default();
        let is_wanted = match bind {
            Some(bind) => bind == (device, address),
            None => !is_bound_to_its_cable(address),
        };
        if let Some(index) = interface.index
            && is_wanted
            && interface.is_oper_up()
            && !interface.is_p2p()
            && reach_of(address) != Reach::ThisMachine
        {
            let place = Place { device: device.to_owned(), index, address };
            chosen.entry((device, address.is_ipv4())).or_insert(place);
        }
    }
    let mut places: Vec<Place> = chosen.into_values().collect();
    // What is plugged in was there before what runs on it.
    places.sort_by_key(|place| place.index);
    places.into_iter().take(PLACES).collect()
}

/// Whether an address cannot be dialled without saying on which cable: IPv6's own ones. IPv4's can, and are
/// all that two laptops on one cable have.
fn is_bound_to_its_cable(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(name: &str, address: &str) -> Interface {
        let addr = match address.parse().expect("an address") {
            IpAddr::V4(ip) => {
                IfAddr::V4(Ifv4Addr { ip, netmask: Ipv4Addr::BROADCAST, prefixlen: 32, broadcast: None })
            }
            IpAddr::V6(ip) => {
                IfAddr::V6(Ifv6Addr { ip, netmask: Ipv6Addr::from([0; 16]), prefixlen: 64, broadcast: None })
            }
        };
        let oper_status = IfOperStatus::Up;
        Interface { name: name.to_owned(), addr, index: Some(1), oper_status, is_p2p: false }
    }

    fn chosen(interfaces: &[Interface], bind: Option<(&str, &str)>) -> Vec<String> {
        let bind = bind.map(|(device, address)| (device, address.parse().expect("an address")));
        let places = choose(interfaces, bind);
        places.into_iter().map(|place| format!("{} {}", place.device, place.address)).collect()
    }

    fn machine() -> Vec<Interface> {
        let mut tunnel = interface("tun0", "10.8.0.2");
        tunnel.is_p2p = true;
        let mut unplugged = interface("eth1", "10.1.0.1");
        unplugged.oper_status = IfOperStatus::Unknown;
        vec![
            interface("lo", "127.0.0.1"),
            interface("lo", "::1"),
            interface("eth0", "192.168.1.2"),
            interface("eth0:1", "192.168.7.2"),
            interface("eth0", "fe80::2"),
            interface("eth0", "fd00::2"),
            interface("eth0", "2001:db8::2"),
            interface("wlan0", "169.254.3.4"),
            tunnel,
            unplugged,
        ]
    }

    #[test]
    fn each_interface_that_may_be_a_local_network_has_one_address_of_each_family() {
        assert_eq!(chosen(&machine(), None), ["eth0 192.168.1.2", "eth0 fd00::2", "wlan0 169.254.3.4"]);
    }

    #[test]
    fn a_bound_node_has_the_network_of_its_address_alone() {
        assert_eq!(chosen(&machine(), Some(("eth0", "192.168.7.2"))), ["eth0 192.168.7.2"]);
        assert_eq!(chosen(&machine(), Some(("eth0", "2001:db8::2"))), ["eth0 2001:db8::2"]);
    }

    #[test]
    fn nothing_is_said_on_loopback_in_tunnels_or_from_an_address_that_is_gone_or_elsewhere() {
        for bind in [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("tun0", "10.8.0.2"),
            ("eth1", "10.1.0.1"),
            ("eth0", "203.0.113.9"),
            ("wlan0", "192.168.1.2"),
        ] {
            assert_eq!(chosen(&machine(), Some(bind)), [] as [&str; 0], "{bind:?}");
        }
    }

    #[test]
    fn a_machine_with_a_hundred_networks_speaks_on_a_few() {
        let many: Vec<Interface> =
            (0..100).map(|n| interface(&format!("veth{n}"), &format!("10.0.{n}.1"))).collect();
        assert_eq!(chosen(&many, None).len(), PLACES);
    }
}
