//! Which addresses may be dialled, on whose word and how often: whoever can name peers to us must not be
//! able to send us to a stranger's door, let alone a crowd of us.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use samara_proto::moment::Moment;

use crate::net::address::{Reach, canonical, reach_of};

/// Failed dials are held against an address and its neighbours for so long.
const WINDOW: Duration = Duration::from_secs(300);
/// Failed and unfinished dials of one IPv4 address or IPv6 /64 in a window: a household's peers, not a scan
/// of a stranger's ports.
const PER_ADDRESS: u32 = 8;
/// The same for a /24 of IPv4 or a /48 of IPv6: a provider's peers, not a flood on its line.
const PER_NETWORK: u32 = 32;
/// The same for such a network that is a local one: a fleet may come up or go away all at once. An address at
/// which nothing failed yet is tried even so, or whoever fills this cap would keep the others out.
const PER_LOCAL_NETWORK: u32 = 256;
/// First wait after a failure at one port of one address; doubled each time. Half of what the engine lets a
/// peer wait, so that only other peers that claim the same address feel it.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Addresses remembered; when so many wait for their time nothing new is dialled.
const ENDPOINTS: usize = 8192;

/// An address in the only form that is dialled on anybody's word but the user's: an IP address, a port, and
/// TCP or QUIC. No name is looked up, no relay is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    at: SocketAddr,
    is_quic: bool,
}

impl Endpoint {
    /// Reads `address`; `None` if it has another form or means nobody in particular.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter().peekable();
        let ip = match parts.next()? {
            Protocol::Ip4(ip) => IpAddr::from(ip),
            Protocol::Ip6(ip) => canonical(ip.into()),
            _ => return None,
        };
        let (port, is_quic) = match (parts.next()?, parts.peek()) {
            (Protocol::Tcp(port), _) => (port, false),
            (Protocol::Udp(port), Some(Protocol::QuicV1)) => (port, true),
            _ => return None,
        };
        if is_quic {
            parts.next();
        }
        let rest_is_fine = match parts.next() {
            None => true,
            Some(Protocol::P2p(_)) => parts.next().is_none(),
            Some(_) => false,
        };
        (rest_is_fine && port != 0 && is_somebody(ip)).then_some(Self { at: (ip, port).into(), is_quic })
    }

    /// Whose door it is.
    pub fn ip(&self) -> IpAddr {
        self.at.ip()
    }

    fn reach(&self) -> Reach {
        reach_of(self.at.ip())
    }

    /// What shares its caps. This machine has none: everybody may run as many nodes as he likes.
    fn groups(&self) -> impl Iterator<Item = (Group, u32)> + use<> {
        let ip = self.at.ip();
        let per_network = match self.reach() {
            Reach::ThisMachine => None,
            Reach::LocalNetwork => Some(PER_LOCAL_NETWORK),
            Reach::Everybody => Some(PER_NETWORK),
        };
        let address = (Group::Address(one_holder(ip)), PER_ADDRESS);
        let network = move |cap| [address, (Group::Network(narrowed(ip, 24, 48)), cap)];
        per_network.into_iter().flat_map(network)
    }
}

fn is_somebody(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            first != 0 && first < 224
        }
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    }
}

/// What all addresses that one holder has at hand have in common: an IPv4 address, or an IPv6 /64.
pub(in crate::net) fn one_holder(ip: IpAddr) -> IpAddr {
    narrowed(ip, 32, 64)
}

/// The first bits of an address: `v4_bits` or `v6_bits`.
pub(in crate::net) fn narrowed(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - v4_bits))).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - v6_bits))).into(),
    }
}

/// Whether an address may be believed when somebody as near as `teller` names it: a private address that
/// came from afar names something in our own house, and a loopback one ourselves.
pub fn is_believable(address: &Multiaddr, teller: Reach) -> bool {
    Endpoint::of(address).is_some_and(|endpoint| endpoint.reach() <= teller)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Address(IpAddr),
    Network(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct State {
    under_way: bool,
    failures: u32,
    not_before: Moment,
}

/// Counts dials and says which further ones may be made.
#[derive(Debug, Default)]
pub struct DialPolicy {
    /// Dials that failed or are under way, oldest first.
    counted: VecDeque<(Moment, Endpoint)>,
    groups: BTreeMap<Group, u32>,
    endpoints: BTreeMap<Endpoint, State>,
}

impl DialPolicy {
    /// Whether `address` may be dialled now. If so, the dial is under way until one of the `on_` functions
    /// says how it ended.
    pub fn permit(&mut self, now: Moment, address: &Multiaddr) -> bool {
        let Some(endpoint) = Endpoint::of(address) else { return false };
        self.expire(now);
        if let Some(state) = self.endpoints.get(&endpoint) {
            if state.under_way || now < state.not_before {
                return false;
            }
        } else if self.endpoints.len() >= ENDPOINTS {
            return false;
        }
        let count = |group: Group| self.groups.get(&group).copied().unwrap_or(0);
        let is_full = |(group, cap): (Group, u32)| count(group) >= cap;
        let is_untried = |(group, _): (Group, u32)| matches!(group, Group::Address(_)) && count(group) == 0;
        let is_welcome = endpoint.reach() == Reach::LocalNetwork && endpoint.groups().any(is_untried);
        if !is_welcome && endpoint.groups().any(is_full) {
            return false;
        }
        let state = State { under_way: true, failures: 0, not_before: now };
        self.endpoints.entry(endpoint).or_insert(state).under_way = true;
        for (group, _) in endpoint.groups() {
            *self.groups.entry(group).or_default() += 1;
        }
        self.counted.push_back((now, endpoint));
        true
    }

    /// Nobody answered at `address`, or not who was meant.
    pub fn on_failed(&mut self, now: Moment, address: &Multiaddr) {
        let Some(state) = Endpoint::of(address).and_then(|endpoint| self.endpoints.get_mut(&endpoint)) else {
            return;
        };
        let wait = FIRST_WAIT.saturating_mul(1 << state.failures.min(16)).min(LONGEST_WAIT);
        state.failures += 1;
        state.under_way = false;
        state.not_before = now + wait;
    }

    /// The peer that was meant answered at `address`: nothing is held against it.
    pub fn on_worked(&mut self, address: &Multiaddr) {
        let Some(endpoint) = Endpoint::of(address) else { return };
        self.endpoints.remove(&endpoint);
        let mut kept = VecDeque::with_capacity(self.counted.len());
        for (at, other) in std::mem::take(&mut self.counted) {
            if other == endpoint {
                self.uncount(endpoint);
            } else {
                kept.push_back((at, other));
            }
        }
        self.counted = kept;
    }

    /// The dial of `address` ended before it was known whether anybody answers.
    pub fn on_abandoned(&mut self, address: &Multiaddr) {
        if let Some(state) = Endpoint::of(address).and_then(|endpoint| self.endpoints.get_mut(&endpoint)) {
            state.under_way = false;
        }
    }

    fn uncount(&mut self, endpoint: Endpoint) {
        for (group, _) in endpoint.groups() {
            if let Some(count) = self.groups.get_mut(&group) {
                *count -= 1;
                if *count == 0 {
                    self.groups.remove(&group);
                }
            }
        }
    }

    fn expire(&mut self, now: Moment) {
        while let Some(&(at, endpoint)) = self.counted.front()
            && now.since(at) >= WINDOW
        {
            self.counted.pop_front();
            self.uncount(endpoint);
        }
        if self.endpoints.len() >= ENDPOINTS {
            let forgotten = |state: &State| !state.under_way && now.since(state.not_before) >= WINDOW;
            self.endpoints.retain(|_, state| !forgotten(state));
        }
    }
}

#[cfg(test)]
mod tests;
