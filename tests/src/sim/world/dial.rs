//! How links come up and end, and how hosts learn of each other.

use samara_peer::engine::event::{Direction, Input, LinkId, PeerKey, PeerTraits, Source};
use samara_peer::net::link::REQUEST_QUEUE;
use samara_proto::limits::REQUEST_LENGTH;

use super::{TORRENT, World, nanos};
use crate::sim::agenda::{Event, HostNo, LinkNo, Nanos};
use crate::sim::host::MBIT;
use crate::sim::link::{Link, pipe_no};
use crate::sim::wire::HANDSHAKE_BYTES;

/// One-way trips before both ends have shaken hands: transport, encryption, BEP 3.
const TRIPS: Nanos = 6;
/// How long a dial into a part of the net that is cut off takes to fail.
const UNREACHABLE: Nanos = 5_000_000_000;
/// To the tracker and back.
const TRACKER_TRIP: Nanos = 20_000_000;
/// Between two announces of one host.
const ANNOUNCE_INTERVAL: Nanos = 30_000_000_000;
/// The same while it has hardly anybody.
const LONELY_INTERVAL: Nanos = 5_000_000_000;
/// Fewer links than this are hardly any.
const LONELY: usize = 4;
/// Between two times that a host tells a neighbour of others.
const GOSSIP_INTERVAL: Nanos = 30_000_000_000;
/// Others it tells of.
const GOSSIP_PEERS: usize = 10;
/// Bytes that may be under way on a path are what it holds, so many times over.
const WINDOW_ROUND_TRIPS: f64 = 2.0;

/// What every host offers.
const TRAITS: PeerTraits = PeerTraits {
    fast: true,
    request_length: REQUEST_LENGTH,
    request_queue: REQUEST_QUEUE,
    upload_only: false,
    blocks: false,
};

impl World {
    pub(super) fn dial(&mut self, host: HostNo, to: HostNo) {
        let Some(other) = self.hosts.get(to as usize) else {
            return self.violate(host, format!("it dials {to}, whom nobody named"));
        };
        let is_cut_off = other.side != self.hosts[host as usize].side;
        let wait = if is_cut_off { UNREACHABLE } else { self.latency(host, to) * TRIPS };
        self.plan_for(host, wait, |host, life| Event::Dialled { host, life, to });
    }

    pub(super) fn on_dialled(&mut self, host: HostNo, to: HostNo) {
        let (dialler, other) = (&self.hosts[host as usize], &self.hosts[to as usize]);
        if !other.is_up || other.side != dialler.side || host == to {
            let (torrent, peer) = (TORRENT, PeerKey(u64::from(to)));
            return self.fact(host, Input::DialFailed { torrent, peer });
        }
        let pair = (host.min(to), host.max(to));
        if let Some(&old) = self.pairs.get(&pair) {
            // Of two links opened by different ends both keep that of the smaller identity; of two by the
            // same end the newer.
            let by_same = self.links[old as usize].ends[0].host == host;
            if !by_same && self.identity(host) > self.identity(to) {
                return;
            }
            self.sever(old);
        }
        let number = self.links.len() as LinkNo;
        let latency = self.latency(host, to);
        let mut link = Link::new(host, to, latency, self.now);
        for side in [0, 1] {
            let (sender, receiver) = (&self.hosts[link.ends[side].host as usize], link.ends[1 - side].host);
            let rate = sender.spec.up.min(self.hosts[receiver as usize].spec.down) * MBIT;
            let path = rate * (2 * latency) as f64 / 1e9 * WINDOW_ROUND_TRIPS;
            link.pipes[side].window = self.settings.window_bytes.max(path as u32);
            link.pipes[side].preface(HANDSHAKE_BYTES);
        }
        self.links.push(link);
        self.pairs.insert(pair, number);
        for (end, peer, direction) in [(to, host, Direction::Inbound), (host, to, Direction::Outbound)] {
            let upload_only = self.engine(peer).is_some_and(|engine| engine.is_complete(TORRENT));
            let traits = PeerTraits { upload_only, blocks: self.settings.v2, ..TRAITS };
            let holder = self.hosts[peer as usize].spec.holder;
            let host = &mut self.hosts[end as usize];
            host.links.push(number);
            host.counts.control += u64::from(HANDSHAKE_BYTES);
            let (torrent, peer, link) = (TORRENT, PeerKey(u64::from(peer)), LinkId(u64::from(number)));
            self.fact(end, Input::Connected { torrent, peer, holder, link, direction, traits });
        }
        for side in [0, 1] {
            self.offer(pipe_no(number, side));
        }
        self.touched.extend([host, to]);
        self.welcome(to, host);
        self.welcome(host, to);
    }

    /// `side` lets go of a link; its host is told at once, the other hears of it a latency later.
    pub(super) fn cut(&mut self, link_no: LinkNo, side: usize) {
        let link = &self.links[link_no as usize];
        if link.ends[1 - side].is_open {
            let event = Event::HungUp { link: link_no, side: 1 - side as u8 };
            self.agenda.plan(link.pipes[side].last_arrival.max(self.now + link.latency), event);
        }
        self.close(link_no, side);
    }

    /// The other end is gone. What it had sent before still comes.
    pub(super) fn on_hung_up(&mut self, link_no: LinkNo, side: u8) {
        let pipe = &self.links[link_no as usize].pipes[1 - usize::from(side)];
        match pipe.last_landing() {
            Some(at) => self.agenda.plan(at, Event::HungUp { link: link_no, side }),
            None => self.close(link_no, usize::from(side)),
        }
    }

    /// Both ends let go at once, and what is on its way is lost.
    pub(super) fn sever(&mut self, link_no: LinkNo) {
        self.close(link_no, 0);
        self.close(link_no, 1);
    }

    fn close(&mut self, link_no: LinkNo, side: usize) {
        let link = &mut self.links[link_no as usize];
        if !std::mem::replace(&mut link.ends[side].is_open, false) {
            return;
        }
        link.pipes[side].abandon();
        let lost = link.pipes[1 - side].discard();
        link.ends[side].asked = Vec::new();
        let (host, other) = (link.ends[side].host, link.ends[1 - side].host);
        let pair = (host.min(other), host.max(other));
        if self.pairs.get(&pair) == Some(&link_no) {
            self.pairs.remove(&pair);
        }
        let own = &mut self.hosts[host as usize];
        own.inbound = own.inbound.saturating_sub(lost);
        own.links.retain(|&open| open != link_no);
        self.fact(host, Input::Disconnected { link: LinkId(u64::from(link_no)) });
    }

    fn latency(&self, a: HostNo, b: HostNo) -> Nanos {
        nanos(self.hosts[a as usize].spec.delay + self.hosts[b as usize].spec.delay)
    }

    /// Decides between two links of one pair, with no host always first.
    fn identity(&self, host: HostNo) -> u64 {
        (u64::from(host) ^ self.settings.rng_seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
    }

    pub(super) fn announce(&mut self, host: HostNo) {
        if self.tracker.announce(host) {
            self.plan_for(host, TRACKER_TRIP, |host, life| Event::Answered { host, life });
        }
        let is_lonely = self.hosts[host as usize].links.len() < LONELY;
        let wait = self.jittered(if is_lonely { LONELY_INTERVAL } else { ANNOUNCE_INTERVAL });
        self.plan_for(host, wait, |host, life| Event::Announce { host, life });
    }

    pub(super) fn on_answered(&mut self, host: HostNo) {
        let hosts = &self.hosts;
        let named = self.tracker.sample(
            self.settings.tracker_peers,
            host,
            |peer| hosts[peer as usize].is_gone,
            &mut self.rng,
        );
        self.name_all(host, named, Source::Tracker);
    }

    pub(super) fn gossip(&mut self, host: HostNo) {
        let links = &self.hosts[host as usize].links;
        if !links.is_empty() {
            let to = self.links[links[self.rng.index(links.len())] as usize].other(host);
            let others = self.some_neighbours(host, to);
            if self.hosts[to as usize].is_up && self.hosts[to as usize].side == self.hosts[host as usize].side
            {
                self.name_all(to, others, Source::Pex);
            }
        }
        let wait = self.jittered(GOSSIP_INTERVAL);
        self.plan_for(host, wait, |host, life| Event::Gossip { host, life });
    }

    /// A host tells one that it has just been linked with of others, if that one knows few.
    fn welcome(&mut self, host: HostNo, newcomer: HostNo) {
        if self.settings.gossip && self.hosts[newcomer as usize].links.len() < LONELY {
            let others = self.some_neighbours(host, newcomer);
            self.name_all(newcomer, others, Source::Pex);
        }
    }

    fn some_neighbours(&mut self, host: HostNo, but: HostNo) -> Vec<HostNo> {
        let links = &self.hosts[host as usize].links;
        let drawn = (0..GOSSIP_PEERS.min(links.len())).map(|_| links[self.rng.index(links.len())]);
        let others = drawn.map(|link| self.links[link as usize].other(host));
        others.filter(|&other| other != but).collect()
    }

    fn name_all(&mut self, host: HostNo, peers: Vec<HostNo>, source: Source) {
        for peer in peers {
            let (torrent, peer) = (TORRENT, PeerKey(u64::from(peer)));
            self.fact(host, Input::Candidate { torrent, peer, source });
        }
    }
}
