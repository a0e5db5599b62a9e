//! The sockets of one place: one that hears the group and nothing else, and one that speaks to it from our
//! address.

use std::io;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::places::Place;

/// Multicast DNS (RFC 6762 §3).
pub(super) const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// So that a receiver who cares can tell that no router passed the packet on (RFC 6762 §11).
const HOPS: u32 = 255;

/// Opens the socket on which a place is listened to, and the one on which is spoken there; neither ever waits.
///
/// What is addressed to us alone is not heard: it may come from another network. What is addressed to the
/// group is never passed on from one network to another. No answer is therefore asked for, or given, to one
/// address alone; the port is shared with every other program that speaks multicast DNS, and the system would
/// hand such an answer to any of them (RFC 6762 §15.1).
///
/// # Errors
/// The interface cannot do multicast, or is gone, or the system does not let us.
pub(super) fn open(place: &Place) -> io::Result<(UdpSocket, net::UdpSocket)> {
    let group = group(place);
    let ear = shared_socket(place)?;
    match place.address {
        IpAddr::V4(address) => ear.join_multicast_v4(&GROUP_V4, &address)?,
        IpAddr::V6(_) => ear.join_multicast_v6(&GROUP_V6, place.index)?,
    }
    ear.bind(&heard_at(group).into())?;
    let mouth = shared_socket(place)?;
    match place.address {
        IpAddr::V4(address) => {
            mouth.set_multicast_if_v4(&address)?;
            mouth.set_multicast_ttl_v4(HOPS)?;
            // Other nodes of this machine are to hear us.
            mouth.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(_) => {
            mouth.set_multicast_if_v6(place.index)?;
            mouth.set_multicast_hops_v6(HOPS)?;
            mouth.set_multicast_loop_v6(true)?;
        }
    }
    mouth.bind(&SocketAddr::new(place.address, PORT).into())?;
    // Nobody sends from the group's address: what others send to ours is left to other programs.
    mouth.connect(&group.into())?;
    Ok((UdpSocket::from_std(ear.into())?, mouth.into()))
}

fn group(place: &Place) -> SocketAddr {
    match place.address {
        IpAddr::V4(_) => SocketAddr::new(GROUP_V4.into(), PORT),
        IpAddr::V6(_) => SocketAddrV6::new(GROUP_V6, PORT, 0, place.index).into(),
    }
}

/// A socket on the place's device that does not mind others on its port.
fn shared_socket(place: &Place) -> io::Result<Socket> {
    let domain = if place.address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(true)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.bind_device(Some(place.device.as_bytes()))?;
    if place.address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(unix)]
fn heard_at(group: SocketAddr) -> SocketAddr {
    group
}

/// Windows binds to no group. What comes to us alone is heard there, and is believed no more than what comes
/// to the group: about its own sender.
#[cfg(not(unix))]
fn heard_at(group: SocketAddr) -> SocketAddr {
    match group {
        SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT),
    }
}
