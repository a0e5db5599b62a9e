//! Somebody on the local network who makes up peers, in his own name or in the name of their machines.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use socket2::{Domain, Socket, Type};

use super::false_record;

/// Where multicast DNS is heard (RFC 6762 §3).
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Between two packets: slow enough that those who count packets hear most of them.
const GAP: Duration = Duration::from_millis(2);

/// In whose name a lie is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// In that of whoever tells it.
    Own,
    /// In that of the machine whose door it names: nobody on a cable can tell.
    Victims,
}

/// Tells everybody on the network of the machine's address `here` of one made-up peer at each of `doors`.
///
/// # Errors
/// The system does not let us: speaking in another's name takes root.
///
/// # Panics
/// When a door is not at an IPv4 address.
pub fn tell(here: Ipv4Addr, doors: &[Multiaddr], name: Name) -> io::Result<()> {
    let mut mouths: BTreeMap<Ipv4Addr, Socket> = BTreeMap::new();
    for (number, door) in doors.iter().enumerate() {
        let source = match (name, door.iter().next()) {
            (Name::Own, _) => here,
            (Name::Victims, Some(Protocol::Ip4(ip))) => ip,
            (Name::Victims, _) => panic!("{door} has no IPv4 address"),
        };
        if !mouths.contains_key(&source) {
            // One door's socket after another: a thousand names do not take a thousand sockets.
            mouths.clear();
            mouths.insert(source, mouth(here, source)?);
        }
        mouths[&source].send_to(&packet(number, door), &SocketAddr::V4(GROUP).into())?;
        std::thread::sleep(GAP);
    }
    Ok(())
}

fn mouth(here: Ipv4Addr, source: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_ip_transparent_v4(source != here)?;
    socket.set_reuse_address(true)?;
    socket.set_multicast_if_v4(&here)?;
    socket.bind(&SocketAddr::from((source, GROUP.port())).into())?;
    Ok(socket)
}

/// What a peer at `door` would say.
fn packet(number: usize, door: &Multiaddr) -> Vec<u8> {
    let text = BASE64URL_NOPAD.encode(false_record(door).as_bytes());
    let mut strings = Vec::new();
    for (at, part) in text.as_bytes().chunks(252).enumerate() {
        strings.push(part.len() as u8 + 3);
        strings.extend(format!("r{at}=").bytes());
        strings.extend(part);
    }
    let label = format!("false{number:05}");
    let mut packet = b"\0\0\x84\0\0\0\0\x01\0\0\0\0".to_vec();
    packet.push(label.len() as u8);
    packet.extend(label.bytes());
    packet.extend(b"\x07_samara\x04_udp\x05local\0\0\x10\x80\x01\0\0\x02\x58");
    packet.extend((strings.len() as u16).to_be_bytes());
    packet.extend(strings);
    packet
}
