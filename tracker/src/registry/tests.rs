//! The registry's promises, each as a claim.

mod caps;
mod counting;
mod libp2p;
mod selection;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use samara_proto::announce::Event;
use samara_proto::announce::http::Scraped;
use samara_proto::infohash::InfoHash;
use samara_proto::moment::Moment;

use super::*;

const HASH: InfoHash = InfoHash([1; 20]);

/// A registry with a clock and dice of its own.
struct World {
    registry: Registry,
    rng: ChaCha8Rng,
    now: Moment,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self::of(Registry::new(limits, Pace::default(), [9; 16]))
    }

    fn with_pace(pace: Pace) -> Self {
        Self::of(Registry::new(Limits::default(), pace, [9; 16]))
    }

    fn of(registry: Registry) -> Self {
        Self { registry, rng: ChaCha8Rng::seed_from_u64(1), now: Moment::ZERO }
    }

    fn wait(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }

    fn try_announce(&mut self, announce: &Announce) -> Result<Announced, Refusal> {
        self.registry.announce(self.now, &mut self.rng, announce)
    }

    fn announce(&mut self, announce: &Announce) -> Announced {
        self.try_announce(announce).unwrap()
    }

    /// Announces, and lists whom the announcer was told of.
    fn told(&mut self, announce: &Announce) -> Vec<String> {
        let mut told: Vec<_> =
            self.announce(announce).peers.iter().map(|peer| peer.address.to_string()).collect();
        told.sort();
        told
    }

    fn scrape(&mut self) -> Scraped {
        self.registry.scrape(self.now, HASH)
    }

    /// Seeds, downloads finished, others; and of these the downloaders.
    fn figures(&mut self) -> [u32; 4] {
        let Scraped { counts, downloaders } = self.scrape();
        [counts.complete, counts.downloaded, counts.incomplete, downloaders.unwrap()]
    }
}

/// A downloader at `address` that wants BitTorrent peers of both families.
fn peer(address: &str) -> Announce {
    // Each has a name of its own.
    let mut peer_id = [b'-'; 20];
    peer_id[..address.len()].copy_from_slice(address.as_bytes());
    let address: SocketAddr = address.parse().unwrap();
    Announce {
        info_hash: HASH,
        source: address.ip(),
        tcp: Some(TcpContact { port: address.port(), peer_id }),
        libp2p: None,
        progress: Progress::Downloader,
        event: Event::None,
        num_want: None,
        wants: Wants { v4: true, v6: true, libp2p: false },
    }
}

/// The `n`th of many downloaders, each at an Internet address of its own.
fn nth(n: u32) -> Announce {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(20, 0, 0, 0).to_bits() + n);
    peer(&SocketAddr::new(IpAddr::V4(ip), 6881).to_string())
}

impl Announce {
    fn seed(mut self) -> Self {
        self.progress = Progress::Seed;
        self
    }

    fn partial(mut self) -> Self {
        self.progress = Progress::PartialSeed;
        self.event = Event::Paused;
        self
    }

    fn event(mut self, event: Event) -> Self {
        self.event = event;
        self
    }

    fn called(mut self, peer_id: [u8; 20]) -> Self {
        self.tcp = self.tcp.map(|tcp| TcpContact { peer_id, ..tcp });
        self
    }

    fn of(mut self, swarm: u8) -> Self {
        self.info_hash = InfoHash([swarm; 20]);
        self
    }

    fn wanting(mut self, peers: u32) -> Self {
        self.num_want = Some(peers);
        self
    }
}
