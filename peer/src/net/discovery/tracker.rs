//! Announces to one HTTP tracker for one torrent, for as long as the torrent is taken part in.

mod client;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use rand::RngExt;
use samara_proto::announce::Event;
use samara_proto::announce::http::{AnnounceRequest, AnnounceResponse, RetryIn};
use samara_proto::infohash::InfoHash;
use samara_proto::limits::RECORD_ADDRESSES;
use samara_proto::record::SignedRecord;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use client::{Client, ClientError};

use super::Discovered;
use super::policy::is_believable;
use crate::engine::event::{Source, TorrentId};
use crate::net::address::{Reach, is_link_local, reach, reach_of};

/// First wait after a tracker failed; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest wait after a tracker failed.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Never ask sooner than this, whatever the tracker allows.
const INTERVAL_FLOOR: Duration = Duration::from_secs(5);
/// A leech without a single peer asks again this soon, if the tracker allows it; then less and less often.
const LONELY_INTERVAL: Duration = Duration::from_secs(15);
/// A swarm that needs the tracker asks this many times as often as the tracker wants at the least, if the
/// tracker allows it.
const NEED: u32 = 4;
/// How often figures are looked at between announces.
const POLL: Duration = Duration::from_secs(1);
/// Peers asked for at once.
const NUM_WANT: u32 = 50;

/// What the node knows of a torrent and a tracker wants to hear.
#[derive(Debug, Default)]
pub struct Figures {
    /// Content bytes sent.
    pub uploaded: AtomicU64,
    /// Content bytes received.
    pub downloaded: AtomicU64,
    /// Content bytes missing; [`u64::MAX`] while the metainfo is not known.
    pub left: AtomicU64,
    /// Linked peers.
    pub links: AtomicU64,
    /// Share of linked peers that the tracker is not needed for, in thousandths.
    pub autonomy_permille: AtomicU64,
}

/// Whether everything is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Completeness {
    /// What there is to have is not known yet.
    Unknown,
    /// Something is missing.
    Missing,
    /// Nothing is.
    Whole,
}

impl Figures {
    fn completeness(&self) -> Completeness {
        match self.left.load(Ordering::Relaxed) {
            u64::MAX => Completeness::Unknown,
            0 => Completeness::Whole,
            _ => Completeness::Missing,
        }
    }
}

/// What an announcer tells the node.
#[derive(Debug)]
pub enum TrackerEvent {
    /// It named somebody.
    Found(Discovered),
    /// It stopped answering, or refuses us; said once until it answers again.
    Failed {
        /// The torrent it was asked about.
        torrent: TorrentId,
        /// Which tracker.
        url: String,
        /// For the user.
        message: String,
    },
    /// It answers again.
    Recovered {
        /// The torrent it was asked about.
        torrent: TorrentId,
        /// Which tracker.
        url: String,
        /// For the user.
        message: String,
    },
    /// It named ways into the DHT.
    WaysNamed {
        /// As far as the tracker can be believed.
        addresses: Vec<Multiaddr>,
    },
    /// Its answer carried a warning.
    Warned {
        /// The torrent it was asked about.
        torrent: TorrentId,
        /// For the user; untrusted text.
        message: String,
    },
}

/// Everything one announcer needs.
pub struct Announcer {
    /// Which torrent.
    pub torrent: TorrentId,
    /// One of its 20-byte names.
    pub info_hash: InfoHash,
    /// The announce URL.
    pub url: String,
    /// Signs our addresses.
    pub keypair: Keypair,
    /// Our 20-byte id.
    pub peer_id: [u8; 20],
    /// Where we can be dialled, most useful first.
    pub addresses: watch::Receiver<Vec<Multiaddr>>,
    /// Where the node must stay.
    pub bind: Option<IpAddr>,
    /// What is reported.
    pub figures: Arc<Figures>,
    /// Does the asking.
    pub client: Client,
    /// Where findings go.
    pub events: mpsc::Sender<TrackerEvent>,
    /// Turns true when the torrent is left.
    pub stop: watch::Receiver<bool>,
    /// What the tracker wants to be told next time; nothing in the beginning.
    pub tracker_id: Option<Vec<u8>>,
    /// Something was missing since the tracker was last told of completion; false in the beginning.
    pub was_missing: bool,
}

impl Announcer {
    /// Announces until told to stop, then once more to say goodbye.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        // The sender lives as long as the node: an error means that nobody is left to work for.
        if self.addresses.wait_for(|list| !list.is_empty()).await.is_err() {
            return;
        }
        let mut event = Event::Started;
        let mut failures = 0;
        let mut lonely_wait = LONELY_INTERVAL;
        loop {
            let asked = Instant::now();
            let answer = tokio::select! {
                answer = self.announce(event) => answer,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let pace = match answer {
                Ok((mut answer, from)) => {
                    if answer.tracker_id.is_some() {
                        self.tracker_id = answer.tracker_id.take();
                    }
                    if failures > 0 {
                        let message = format!("tracker {} answers again", self.url);
                        self.tell(TrackerEvent::Recovered {
                            torrent: self.torrent,
                            url: self.url.clone(),
                            message,
                        })
                        .await;
                    }
                    failures = 0;
                    event = Event::None;
                    self.on_answer(answer, from).await
                }
                Err(error) => {
                    failures += 1;
                    let wait = retry_wait(&error, failures);
                    if failures == 1 {
                        let message = format!(
                            "tracker {}: {error}; trying again in {} s, and peers already known stay",
                            self.url,
                            wait.as_secs().max(1)
                        );
                        self.tell(TrackerEvent::Failed {
                            torrent: self.torrent,
                            url: self.url.clone(),
                            message,
                        })
                        .await;
                    }
                    Pace { needed: wait, longest: wait, lonely: wait }
                }
            };
            let lonely = self.figures.links.load(Ordering::Relaxed) == 0;
            lonely_wait = if lonely { (lonely_wait * 2).min(RETRY_MAX) } else { LONELY_INTERVAL };
            let due_if_lonely = asked + pace.lonely.max(lonely_wait / 2);
            if !self.pause(asked, pace.jittered(), due_if_lonely).await {
                break;
            }
            if self.was_missing && self.figures.completeness() == Completeness::Whole {
                self.was_missing = false;
                event = Event::Completed;
            }
        }
        // A goodbye that does not arrive costs nothing: the entry expires.
        let _ = self.announce(Event::Stopped).await;
    }

    /// Waits for the next announce; false when the torrent was left meanwhile. Completion does not wait.
    /// The less the swarm needs its tracker, the longer it waits, and it may come to need it less meanwhile.
    async fn pause(&mut self, asked: Instant, pace: Pace, due_if_lonely: Instant) -> bool {
        let before = self.figures.completeness();
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = self.stop.wait_for(|stop| *stop) => return false,
            }
            let now = Instant::now();
            let due = asked + pace.wait(self.figures.autonomy_permille.load(Ordering::Relaxed));
            let completeness = self.figures.completeness();
            self.was_missing |= completeness == Completeness::Missing;
            let lonely =
                completeness != Completeness::Whole && self.figures.links.load(Ordering::Relaxed) == 0;
            let completed = before != Completeness::Whole && completeness == Completeness::Whole;
            if now >= due || (lonely && now >= due_if_lonely) || completed {
                return true;
            }
        }
    }

    async fn announce(&self, event: Event) -> Result<(AnnounceResponse, Option<SocketAddr>), ClientError> {
        let addresses = addresses_for(&self.url, &self.addresses.borrow());
        let record = SignedRecord::sign(&self.keypair, seconds_since_1970(), &addresses)
            .map_err(|error| ClientError::Unusable(error.to_string()))?;
        let left = match self.figures.left.load(Ordering::Relaxed) {
            u64::MAX => None,
            left => Some(left),
        };
        let request = AnnounceRequest {
            port: 0,
            uploaded: self.figures.uploaded.load(Ordering::Relaxed),
            downloaded: self.figures.downloaded.load(Ordering::Relaxed),
            left,
            event,
            num_want: (event != Event::Stopped).then_some(NUM_WANT),
            compact: true,
            record: Some(record.as_bytes().to_vec()),
            wants_libp2p: true,
            tracker_id: self.tracker_id.clone(),
            ..AnnounceRequest::new(self.info_hash, self.peer_id)
        };
        self.client.announce(&self.url, &request).await
    }

    /// Passes on who was named by a tracker at `from`; gives the pace it asks for.
    async fn on_answer(&self, answer: AnnounceResponse, from: Option<SocketAddr>) -> Pace {
        let near = |ip: Option<IpAddr>| ip.map_or(Reach::Everybody, reach_of);
        let teller = near(from.map(|from| from.ip())).max(near(self.bind));
        let own = PeerId::from(self.keypair.public());
        let ways = answer.libp2p.iter().flat_map(|libp2p| &libp2p.bootstrap);
        let addresses: Vec<Multiaddr> = ways
            .filter_map(|bytes| Multiaddr::try_from(bytes.clone()).ok())
            .filter(|address| is_believable(address, teller))
            .take(RECORD_ADDRESSES)
            .collect();
        if !addresses.is_empty() {
            self.tell(TrackerEvent::WaysNamed { addresses }).await;
        }
        for entry in answer.libp2p.into_iter().flat_map(|libp2p| libp2p.peers) {
            let record = match SignedRecord::verify(&entry.record) {
                Ok(record) => record,
                Err(error) => {
                    tracing::debug!(%error, url = self.url, "a peer record from the tracker is not valid");
                    continue;
                }
            };
            let peer = record.peer_id();
            if peer == own {
                continue;
            }
            // The peer vouches that they are its own, the tracker that the peer announced from there:
            // neither alone may send us to somebody else's door.
            let named = |address: &&Multiaddr| entry.addresses.contains(&address.to_vec());
            let believed = |address: &&Multiaddr| named(address) && is_believable(address, teller);
            let addresses: Vec<Multiaddr> = record.addresses().iter().filter(believed).cloned().collect();
            let (torrent, source) = (self.torrent, Source::Tracker);
            self.tell(TrackerEvent::Found(Discovered { torrent, peer, addresses, source })).await;
        }
        if let Some(message) = answer.warning {
            self.tell(TrackerEvent::Warned { torrent: self.torrent, message }).await;
        }
        Pace::asked_for(answer.interval_secs, answer.min_interval_secs)
    }

    async fn tell(&self, event: TrackerEvent) {
        // Fails only when the node is gone, and then there is nobody to tell.
        let _ = self.events.send(event).await;
    }
}

/// The addresses worth telling the tracker at `url`, as many as a record holds. A tracker on this machine
/// serves this machine first; any other has no use for addresses that mean somebody else to everybody.
fn addresses_for(url: &str, all: &[Multiaddr]) -> Vec<Multiaddr> {
    let is_here = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(is_this_machine));
    let mut useful: Vec<Multiaddr> = all.iter().filter(|address| !is_link_local(address)).cloned().collect();
    if is_here == Some(true) {
        useful.sort_by_key(|address| reach(address) != Reach::ThisMachine);
    } else {
        useful.retain(|address| reach(address) != Reach::ThisMachine);
    }
    useful.truncate(RECORD_ADDRESSES);
    useful
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn retry_wait(error: &ClientError, failures: u32) -> Duration {
    match error.retry_in() {
        Some(RetryIn::Minutes(minutes)) => Duration::from_secs(60 * u64::from(minutes.clamp(1, 1440))),
        Some(RetryIn::Never) => Duration::from_secs(24 * 3600),
        None => RETRY_FIRST.saturating_mul(1 << failures.min(8)).min(RETRY_MAX) / 2,
    }
}

/// How long to wait until the next announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// While the tracker is the only way to find peers.
    needed: Duration,
    /// When it could vanish: the longest wait it asks for.
    longest: Duration,
    /// The least, for a leech that has nobody.
    lonely: Duration,
}

impl Pace {
    fn asked_for(interval_secs: u32, min_interval_secs: Option<u32>) -> Self {
        let lonely = Duration::from_secs(min_interval_secs.unwrap_or(0).into()).max(INTERVAL_FLOOR);
        let longest =
            Duration::from_secs(interval_secs.into()).clamp(lonely, Duration::from_secs(7200).max(lonely));
        // Coming back early is welcome only where the tracker says how early.
        let needed = if min_interval_secs.is_some() { (longest / NEED).max(lonely) } else { longest };
        Self { needed, longest, lonely }
    }

    /// The wait of a swarm with so much autonomy.
    fn wait(&self, autonomy_permille: u64) -> Duration {
        let share = autonomy_permille.min(1000) as f64 / 1000.0;
        self.needed + self.longest.saturating_sub(self.needed).mul_f64(share)
    }

    /// Ten percent more or less, so that a swarm does not announce in step.
    fn jittered(self) -> Self {
        let factor = rand::rng().random_range(0.9..1.1);
        Self { needed: self.needed.mul_f64(factor), longest: self.longest.mul_f64(factor), ..self }
    }
}

/// Orders our records; later ones replace earlier ones at the tracker, over restarts too.
fn seconds_since_1970() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many() -> Vec<Multiaddr> {
        let private = (0..10).map(|n| format!("/ip4/172.17.0.{n}/tcp/1"));
        let here = ["/ip6/fe80::1/tcp/1".to_owned(), "/ip4/127.0.0.1/tcp/1".to_owned()];
        private.chain(here).map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn a_machine_with_many_addresses_tells_as_many_as_a_record_holds() {
        let told = addresses_for("http://192.0.2.1/announce", &many());
        assert_eq!(told.len(), RECORD_ADDRESSES);
        let keypair = Keypair::generate_ed25519();
        SignedRecord::sign(&keypair, 1, &told).expect("as many as a record holds");
    }

    #[test]
    fn only_a_tracker_on_this_machine_is_told_of_loopback() {
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        for url in ["http://127.0.0.1:6969/announce", "http://localhost/announce", "http://[::1]:1/announce"]
        {
            assert_eq!(addresses_for(url, &many())[0], loopback, "{url}");
        }
        for url in ["http://192.0.2.1/announce", "http://example.org/announce"] {
            assert!(!addresses_for(url, &many()).contains(&loopback), "{url}");
        }
    }

    #[test]
    fn the_less_a_swarm_needs_its_tracker_the_less_it_asks() {
        let secs = |pace: Pace, permille| pace.wait(permille).as_secs();
        let pace = Pace::asked_for(1800, Some(60));
        assert_eq!([0, 500, 1000, 5000].map(|permille| secs(pace, permille)), [450, 1125, 1800, 1800]);
        let strict = Pace::asked_for(1800, Some(900));
        assert_eq!([0, 1000].map(|permille| secs(strict, permille)), [900, 1800]);
        let silent = Pace::asked_for(1800, None);
        assert_eq!([0, 1000].map(|permille| secs(silent, permille)), [1800, 1800]);
        let hasty = Pace::asked_for(0, None);
        assert_eq!(secs(hasty, 0), INTERVAL_FLOOR.as_secs());
    }

    #[test]
    fn waits_after_failures_double_up_to_a_bound() {
        let error = ClientError::TooLong;
        let waits: Vec<u64> = [1, 2, 3, 20].map(|n| retry_wait(&error, n).as_secs()).into();
        assert_eq!(waits, [2, 4, 8, 150]);
    }
}
