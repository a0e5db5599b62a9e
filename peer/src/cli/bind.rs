//! The value of `--bind`: an address, or an interface that has one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::failure::Failure;

/// Where every socket must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// On this address.
    Address(IpAddr),
    /// On an address of the interface of this name.
    Interface(String),
}

impl FromStr for Bind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        // No system allows longer interface names, and a mistyped address is no name.
        if text.is_empty()
            || text.len() > 64
            || text.contains(['/', ' '])
            || text.parse::<std::net::SocketAddr>().is_ok()
        {
            return Err("write an IP address without a port, or the name of a network interface");
        }
        Ok(Self::Interface(text.to_owned()))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

impl Bind {
    /// The address meant; of an interface its first IPv4 address, else its first routable IPv6 one.
    pub fn resolve(&self) -> Result<IpAddr, Failure> {
        let name = match self {
            Self::Address(address) => return Ok(*address),
            Self::Interface(name) => name,
        };
        let interfaces = if_addrs::get_if_addrs()
            .map_err(|error| Failure::failed(format!("cannot list the network interfaces: {error}")))?;
        let on_it = || interfaces.iter().filter(|interface| interface.name == *name);
        let best = on_it().find(|i| i.ip().is_ipv4()).or_else(|| on_it().find(|i| !i.is_link_local()));
        if let Some(interface) = best {
            return Ok(interface.ip());
        }
        let mut names: Vec<_> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        Err(Failure::failed(format!(
            "cannot bind to {name}: no such network interface with an address; there are {}",
            names.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_interfaces_are_told_apart() {
        assert_eq!("127.0.0.1".parse(), Ok(Bind::Address(IpAddr::from([127, 0, 0, 1]))));
        assert_eq!("::1".parse(), Ok(Bind::Address("::1".parse().unwrap())));
        assert_eq!("eth0".parse(), Ok(Bind::Interface("eth0".into())));
    }

    #[test]
    fn ports_and_paths_are_refused() {
        for wrong in ["", "127.0.0.1:80", "[::1]:80", "/ip4/127.0.0.1", "a b"] {
            assert!(wrong.parse::<Bind>().is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn an_unknown_interface_is_named_in_the_error() {
        let error = Bind::Interface("no-such-if".into()).resolve().unwrap_err();
        assert!(error.to_string().contains("no-such-if"));
    }
}
