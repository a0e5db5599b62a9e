//! What is known of a peer that speaks libp2p: its signed record, and which parts of it to pass on to whom.

use libp2p_core::multiaddr::Protocol;
use samara_proto::record::{Multiaddr, PeerId, SignedRecord};

use super::Scope;

/// A libp2p peer's verified record, its addresses sorted by how far they reach.
#[derive(Clone, Debug)]
pub struct Contact {
    record: SignedRecord,
    /// Those that can be passed on, in the record's order.
    addresses: Vec<Address>,
    /// All its addresses lead through relays.
    is_relayed: bool,
    scope: Scope,
}

#[derive(Clone, Debug)]
struct Address {
    scope: Scope,
    bytes: Vec<u8>,
}

impl Contact {
    /// The contact a record describes; `None` if it names no address anybody could dial. Addresses
    /// through relays count only if there are no others.
    pub fn new(record: SignedRecord) -> Option<Self> {
        let (relayed, direct): (Vec<_>, Vec<_>) =
            record.addresses().iter().partition(|addr| is_relayed(addr));
        let mut addresses: Vec<_> = direct.into_iter().filter_map(Address::new).collect();
        let is_relayed = addresses.is_empty();
        if is_relayed {
            addresses = relayed.into_iter().filter_map(Address::new).collect();
        }
        let scope = addresses.iter().map(|address| address.scope).max()?;
        Some(Self { record, addresses, is_relayed, scope })
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

    /// The widest scope of its addresses.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Its addresses that a peer seen in scope `viewer` may be told, as binary multiaddrs.
    pub fn addresses_for(&self, viewer: Scope) -> impl Iterator<Item = &[u8]> {
        let told = self.addresses.iter().filter(move |address| viewer.may_learn(address.scope));
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
    fn new(address: &Multiaddr) -> Option<Self> {
        Some(Self { scope: scope_of(address)?, bytes: address.to_vec() })
    }
}

fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The scope of the host an address begins with, be it the peer's or its relay's.
fn scope_of(address: &Multiaddr) -> Option<Scope> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Scope::of(ip.into()),
        Protocol::Ip6(ip) => Scope::of(ip.into()),
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_) => {
            Some(Scope::Global)
        }
        _ => None,
    }
}
