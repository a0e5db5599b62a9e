//! Who dials a machine that has nothing to do with a swarm.

use std::net::Ipv4Addr;

use super::Namespace;
use super::sniffer::Sniffer;

/// Reads packets; Python can, without a crate or a package that not every machine has.
const SCRIPT: &str = include_str!("doorbell.py");

/// Counts the dials that come to a machine until dropped.
pub struct Doorbell(Sniffer<Vec<Dial>>);

/// Somebody tried to connect, over TCP or QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// `tcp` or `quic`.
    pub protocol: String,
    /// Who dialled.
    pub from: Ipv4Addr,
    /// Whom: not only the machine itself, but whoever is reached through it.
    pub to: Ipv4Addr,
    /// At which port.
    pub port: u16,
}

impl Doorbell {
    /// Listens to `interface`, from when this returns.
    ///
    /// # Panics
    /// When Python or the interface is missing.
    pub fn listen(namespace: &Namespace, interface: &str) -> Self {
        Self(Sniffer::start(namespace, SCRIPT, &[interface], |dials: &mut Vec<Dial>, line| {
            dials.extend(Dial::read(line));
        }))
    }

    /// Every dial so far.
    pub fn dials(&self) -> Vec<Dial> {
        self.0.heard()
    }
}

impl Dial {
    /// `None` for the line that was cut off when the reader was killed.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let protocol = words.next()?.to_owned();
        let (from, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { protocol, from, to, port: words.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_no_dial() {
        let whole = "tcp 10.77.0.1 198.18.0.7 443";
        let dial = Dial::read(whole).expect("a whole line");
        assert_eq!((dial.to, dial.port), (Ipv4Addr::new(198, 18, 0, 7), 443));
        assert_eq!(Dial::read("tcp 10.77.0.1 198.1"), None);
        assert_eq!(Dial::read(""), None);
    }
}
