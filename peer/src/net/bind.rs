//! Sockets that stay where the user put them: on one address and on the network interface that carries it.
//!
//! A source address alone binds no route: on Linux a socket with the address of `tun0` sends through `eth0`
//! once `tun0` is gone. Bound to the interface too (`SO_BINDTODEVICE`, for everybody since Linux 5.7), it
//! sends nothing then. On systems without that option the address alone has to do.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use if_addrs::IfOperStatus;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// Connections the kernel may hold until they are accepted: as many as the default of libp2p.
const BACKLOG: i32 = 1024;

/// Nothing can be kept on an address.
#[derive(Debug, Error)]
pub enum BindError {
    /// The system does not say what there is.
    #[error("cannot list the network interfaces: {0}")]
    List(io::Error),
    /// No interface carries the address.
    #[error("cannot bind to {0}: no network interface has this address")]
    Nowhere(IpAddr),
    /// Which way packets would leave is left to chance.
    #[error("cannot bind to {address}: several network interfaces have this address: {}", names.join(", "))]
    Ambiguous {
        /// The address.
        address: IpAddr,
        /// The interfaces that carry it.
        names: Vec<String>,
    },
}

/// Where sockets stay, found once: an interface that comes later with the same address is not it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    address: IpAddr,
    interface: String,
}

/// Whether the interface of a [`Binding`] can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is up and carries the address. The number is a new one after it was removed and made again.
    Up(Option<u32>),
    /// It is down, gone, or has lost the address.
    Gone,
}

/// Whether a TCP socket may use a port together with others of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody else may listen there.
    Alone,
    /// The listener and connections from its port use it together.
    Shared,
}

impl Binding {
    /// The interface that carries `address`.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn find(address: IpAddr) -> Result<Self, BindError> {
        let interfaces = if_addrs::get_if_addrs().map_err(BindError::List)?;
        let mut names: Vec<String> = interfaces
            .iter()
            .filter(|interface| carries(interface.ip(), address))
            .map(|interface| device_name(&interface.name).to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        match <[String; 1]>::try_from(names) {
            Ok([interface]) => Ok(Self { address, interface }),
            Err(none) if none.is_empty() => Err(BindError::Nowhere(address)),
            Err(names) => Err(BindError::Ambiguous { address, names }),
        }
    }

    /// The address every socket has.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The interface every socket uses.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether the interface is there and up, with the address.
    ///
    /// # Errors
    /// The system does not say what there is.
    pub fn presence(&self) -> io::Result<Presence> {
        let interfaces = if_addrs::get_if_addrs()?;
        let is_it = |interface: &&if_addrs::Interface| {
            device_name(&interface.name) == self.interface && carries(interface.ip(), self.address)
        };
        // Only Linux is known to say reliably whether an interface is up.
        let is_up = |interface: &&if_addrs::Interface| {
            !cfg!(target_os = "linux") || interface.oper_status == IfOperStatus::Up
        };
        Ok(match interfaces.iter().filter(is_it).find(is_up) {
            Some(interface) => Presence::Up(interface.index),
            None => Presence::Gone,
        })
    }

    /// A UDP socket on `port` (0 for any) of the address, not blocking.
    ///
    /// # Errors
    /// The interface or its address is gone, or the port is taken.
    pub fn udp_socket(&self, port: u16) -> io::Result<UdpSocket> {
        let socket = self.socket(Type::DGRAM, Protocol::UDP)?;
        socket.bind(&SocketAddr::new(self.address, port).into())?;
        Ok(socket.into())
    }

    /// A TCP socket on `port` (0 for any) of the address, not blocking and not connected.
    ///
    /// # Errors
    /// The interface or its address is gone, or the port is taken.
    pub fn tcp_socket(&self, port: u16, sharing: Sharing) -> io::Result<Socket> {
        let socket = self.socket(Type::STREAM, Protocol::TCP)?;
        socket.set_tcp_nodelay(true)?;
        // On Windows these options would let anybody take the port.
        #[cfg(unix)]
        {
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(sharing == Sharing::Shared)?;
        }
        #[cfg(not(unix))]
        let _ = sharing;
        socket.bind(&SocketAddr::new(self.address, port).into())?;
        Ok(socket)
    }

    /// A TCP socket that listens on `port` (0 for any) of the address, not blocking.
    ///
    /// # Errors
    /// The interface or its address is gone, or the port is taken.
    pub fn tcp_listener(&self, port: u16, sharing: Sharing) -> io::Result<TcpListener> {
        let socket = self.tcp_socket(port, sharing)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// A socket that stays on the interface and has no address yet, not blocking: what multicast needs.
    ///
    /// # Errors
    /// The interface is gone, or the kernel keeps the option for administrators.
    pub fn socket(&self, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let domain = if self.address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if self.address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.bind_device(Some(self.interface.as_bytes())).map_err(|error| {
            let interface = &self.interface;
            io::Error::new(error.kind(), format!("cannot stay on interface {interface}: {error}"))
        })?;
        Ok(socket)
    }
}

/// Whether an interface with the address `own` carries `address`: all of loopback is one interface's.
fn carries(own: IpAddr, address: IpAddr) -> bool {
    let is_loopback_v4 = |ip: IpAddr| ip.is_ipv4() && ip.is_loopback();
    own == address || (is_loopback_v4(own) && is_loopback_v4(address))
}

/// The interface behind a name: `eth0:1` is another label of an address on `eth0`.
fn device_name(name: &str) -> &str {
    if cfg!(target_os = "linux") { name.split(':').next().unwrap_or(name) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Binding {
        Binding::find([127, 0, 0, 1].into()).expect("every machine has loopback")
    }

    #[test]
    fn sockets_have_the_address_and_the_interface() {
        let binding = Binding::find([127, 0, 0, 9].into()).expect("all of 127/8 is loopback");
        let udp = binding.udp_socket(0).expect("a socket");
        let tcp = binding.tcp_listener(0, Sharing::Alone).expect("a listener");
        for address in [udp.local_addr(), tcp.local_addr()] {
            assert_eq!(address.expect("bound").ip(), binding.address());
        }
        #[cfg(target_os = "linux")]
        for socket in [Socket::from(udp), Socket::from(tcp)] {
            let device = socket.device().expect("a device");
            assert_eq!(device.as_deref(), Some(binding.interface().as_bytes()));
        }
        assert!(matches!(binding.presence(), Ok(Presence::Up(_))));
    }

    #[test]
    fn an_address_of_nobody_is_refused() {
        // Documentation addresses (RFC 5737) are never given to an interface.
        let nobody = IpAddr::from([203, 0, 113, 77]);
        assert!(matches!(Binding::find(nobody), Err(BindError::Nowhere(address)) if address == nobody));
    }

    #[test]
    fn without_its_interface_there_is_no_socket() {
        let gone = Binding { interface: "no-such-if".to_owned(), ..loopback() };
        assert_eq!(gone.presence().expect("a list"), Presence::Gone);
        if cfg!(target_os = "linux") {
            assert!(gone.udp_socket(0).is_err());
            assert!(gone.tcp_listener(0, Sharing::Shared).is_err());
        }
    }

    #[test]
    fn a_port_is_shared_only_by_those_who_say_so() {
        let binding = loopback();
        let listener = binding.tcp_listener(0, Sharing::Shared).expect("a listener");
        let port = listener.local_addr().expect("bound").port();
        assert!(binding.tcp_socket(port, Sharing::Shared).is_ok());
        assert!(binding.tcp_listener(port, Sharing::Alone).is_err());
    }

    #[test]
    fn labels_are_not_interfaces() {
        if cfg!(target_os = "linux") {
            assert_eq!(device_name("eth0:1"), "eth0");
        }
    }
}
