//! The network interface that listeners stay on when the tracker is bound to an address.
//!
//! A source address binds no route: without this an answer to a client elsewhere leaves by whatever way the
//! system's routes say.

use std::io;
use std::net::IpAddr;

use socket2::Socket;

/// An interface, by name; without one sockets go where routes send them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device(Option<String>);

impl Device {
    /// The one that carries `address`.
    pub(crate) fn carrying(address: IpAddr) -> io::Result<Self> {
        let is_loopback_v4 = |ip: IpAddr| ip.is_ipv4() && ip.is_loopback();
        let carries = |own: IpAddr| own == address || (is_loopback_v4(own) && is_loopback_v4(address));
        let mut names: Vec<String> = if_addrs::get_if_addrs()?
            .iter()
            .filter(|interface| carries(interface.ip()))
            .map(|interface| without_label(&interface.name).to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        match <[String; 1]>::try_from(names) {
            Ok([name]) => Ok(Self(Some(name))),
            Err(none) if none.is_empty() => Err(io::Error::other("no network interface has this address")),
            Err(names) => {
                let reason = format!("several network interfaces have this address: {}", names.join(", "));
                Err(io::Error::other(reason))
            }
        }
    }

    /// Keeps `socket` on it, on systems that can: Linux since 5.7, or earlier for administrators.
    pub(crate) fn keep(&self, socket: &Socket) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = &self.0 {
            return socket.bind_device(Some(name.as_bytes())).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot stay on interface {name}: {error}"))
            });
        }
        let _ = socket;
        Ok(())
    }
}

/// On Linux `eth0:1` is another label of an address on `eth0`.
fn without_label(name: &str) -> &str {
    if cfg!(target_os = "linux") { name.split(':').next().unwrap_or(name) } else { name }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn sockets_are_kept_on_the_interface_of_the_address() {
        let device = Device::carrying([127, 0, 0, 9].into()).unwrap();
        assert!(device.0.is_some());
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        device.keep(&socket).unwrap();
        #[cfg(target_os = "linux")]
        assert_eq!(socket.device().unwrap(), device.0.map(String::into_bytes));
    }

    #[test]
    fn an_address_of_nobody_has_no_interface() {
        assert!(Device::carrying([203, 0, 113, 77].into()).is_err());
    }
}
