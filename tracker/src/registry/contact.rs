//! What is known of a peer that speaks libp2p: its signed record, and which parts of it to pass on to whom.

use std::net::IpAddr;

use libp2p_core::multiaddr::Protocol;
use samara_proto::record::{Multiaddr, PeerId, SignedRecord};

use super::scope::{Scope, may_learn};

/// A libp2p peer's verified record, and those of its addresses that the peer can have, as far as the
/// tracker saw.
///
/// A record proves who says that the addresses are its own, not that they are. So that nobody sends a
/// swarm to a stranger's door, an address on the Internet counts only if the announce came from there.
/// A peer that came from a private network or from this machine may have any other address there. Of
/// relays nothing is known, and names are never passed on: they may lead anywhere.
#[derive(Clone, Debug)]
pub struct Contact {
    record: SignedRecord,
    /// Those that count, in the record's order.
    addresses: Vec<Address>,
    /// They lead through relays.
    is_relayed: bool,
    /// The widest of theirs; `None` if there are none.
    scope: Option<Scope>,
}

#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: IpAddr,
    scope: Scope,
    is_relayed: bool,
    pub(super) bytes: Vec<u8>,
}

impl Contact {
    /// The contact described by a record that was announced from `source`. Addresses through relays count
    /// only if there are no others.
    pub fn new(record: SignedRecord, source: IpAddr) -> Self {
        let is_credible = |address: &Address| address.is_credible_from(source.to_canonical());
        let mut addresses: Vec<_> =
            record.addresses().iter().filter_map(Address::new).filter(is_credible).collect();
        let is_relayed = addresses.iter().all(|address| address.is_relayed);
        addresses.retain(|address| address.is_relayed == is_relayed);
        let scope = addresses.iter().map(|address| address.scope).max();
        Self { record, addresses, is_relayed, scope }
    }

    /// Whose record it is.
    pub fn peer_id(&self) -> PeerId {
        self.record.peer_id()
    }

    /// Higher in later records of the same peer.
    pub fn seq(&self) -> u64 {
        self.record.seq()
    }

    /// The record, as it is passed on.
    pub fn record(&self) -> &SignedRecord {
        &self.record
    }

    /// Whether it can only be reached through relays.
    pub fn is_relayed(&self) -> bool {
        self.is_relayed
    }

    /// The widest scope of its addresses; `None` if it has none that could be passed on.
    pub fn scope(&self) -> Option<Scope> {
        self.scope
    }

    /// Its addresses that a peer seen at `viewer` may be told, as binary multiaddrs.
    pub fn addresses_for(&self, viewer: IpAddr) -> impl Iterator<Item = &[u8]> {
        let told = self.addresses.iter().filter(move |address| may_learn(viewer, address.host));
        told.map(|address| address.bytes.as_slice())
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let addresses: usize =
            self.addresses.iter().map(|address| 2 * address.bytes.len() + size_of::<Address>()).sum();
        size_of::<Self>() + self.record.as_bytes().len() + addresses
    }
}

impl Address {
    /// Reads an address; `None` if it does not begin with the number of a host, be it the peer's or its
    /// relay's, or names any other host: some clients would dial that one.
    pub(super) fn new(address: &Multiaddr) -> Option<Self> {
        let host = match address.iter().next()? {
            Protocol::Ip4(ip) => IpAddr::from(ip),
            Protocol::Ip6(ip) => IpAddr::from(ip).to_canonical(),
            _ => return None,
        };
        let names_another = address.iter().skip(1).any(|part| names_host(&part));
        let is_relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
        let scope = Scope::of(host)?;
        (!names_another).then(|| Self { host, scope, is_relayed, bytes: address.to_vec() })
    }

    fn is_credible_from(&self, source: IpAddr) -> bool {
        match Scope::of(source) {
            Some(Scope::Global) if self.is_relayed => self.scope == Scope::Global,
            Some(Scope::Global) => self.host == source,
            Some(_) => self.is_relayed || self.scope != Scope::Global,
            None => false,
        }
    }
}

/// Whether a part of an address says which host it is at.
pub fn names_host(part: &Protocol<'_>) -> bool {
    matches!(
        part,
        Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_)
            | Protocol::Dnsaddr(_)
    )
}
