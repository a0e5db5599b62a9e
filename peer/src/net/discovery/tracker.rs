//! Announces to one HTTP tracker for one torrent, for as long as the torrent is taken part in.

mod client;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use rand::RngExt;
use samara_proto::announce::Event;
use samara_proto::announce::http::{AnnounceRequest, AnnounceResponse, RetryIn};
use samara_proto::infohash::InfoHash;
use samara_proto::record::SignedRecord;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use client::{Client, ClientError};

use super::Discovered;
use crate::engine::event::{Source, TorrentId};

/// First wait after a tracker failed; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest wait after a tracker failed.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Never ask sooner than this, whatever the tracker allows.
const INTERVAL_FLOOR: Duration = Duration::from_secs(5);
/// A leech without a single peer asks again this soon, if the tracker allows it; then less and less often.
const LONELY_INTERVAL: Duration = Duration::from_secs(15);
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
        /// For the user.
        message: String,
    },
    /// It answers again.
    Recovered {
        /// The torrent it was asked about.
        torrent: TorrentId,
        /// For the user.
        message: String,
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
    /// What is reported.
    pub figures: Arc<Figures>,
    /// Does the asking.
    pub client: Client,
    /// Where findings go.
    pub events: mpsc::Sender<TrackerEvent>,
    /// Turns true when the torrent is left.
    pub stop: watch::Receiver<bool>,
}

impl Announcer {
    /// Announces until told to stop, then once more to say goodbye.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        // The sender lives as long as the node: an error means that nobody is left to work for.
        if self.addresses.wait_for(|list| !list.is_empty()).await.is_err() {
            return;
        }
        let mut sequence = 0;
        let mut event = Event::Started;
        let mut failures = 0;
        let mut had_all = self.has_all();
        let mut lonely_wait = LONELY_INTERVAL;
        loop {
            let asked = Instant::now();
            let answer = tokio::select! {
                answer = self.announce(event, sequence) => answer,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            sequence += 1;
            let (wait, soonest) = match answer {
                Ok(answer) => {
                    if failures > 0 {
                        let message = format!("tracker {} answers again", self.url);
                        self.tell(TrackerEvent::Recovered { torrent: self.torrent, message }).await;
                    }
                    failures = 0;
                    event = Event::None;
                    self.on_answer(answer).await
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
                        self.tell(TrackerEvent::Failed { torrent: self.torrent, message }).await;
                    }
                    (wait, wait)
                }
            };
            let lonely = self.figures.links.load(Ordering::Relaxed) == 0;
            lonely_wait = if lonely { lonely_wait * 2 } else { LONELY_INTERVAL };
            let due = asked + jittered(wait);
            let due_if_lonely = asked + soonest.max(lonely_wait / 2);
            if !self.pause(due, due_if_lonely).await {
                break;
            }
            if !had_all && self.has_all() {
                had_all = true;
                event = Event::Completed;
            }
        }
        // A goodbye that does not arrive costs nothing: the entry expires.
        let _ = self.announce(Event::Stopped, sequence).await;
    }

    /// Waits for the next announce; false when the torrent was left meanwhile. Completion does not wait.
    async fn pause(&mut self, due: Instant, due_if_lonely: Instant) -> bool {
        let had_all = self.has_all();
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = self.stop.wait_for(|stop| *stop) => return false,
            }
            let now = Instant::now();
            let lonely = !had_all && self.figures.links.load(Ordering::Relaxed) == 0;
            if now >= due || (lonely && now >= due_if_lonely) || had_all != self.has_all() {
                return true;
            }
        }
    }

    fn has_all(&self) -> bool {
        self.figures.left.load(Ordering::Relaxed) == 0
    }

    async fn announce(&self, event: Event, sequence: u64) -> Result<AnnounceResponse, ClientError> {
        let addresses = self.addresses.borrow().clone();
        let record = SignedRecord::sign(&self.keypair, seconds_since_1970() + sequence, &addresses)
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
            ..AnnounceRequest::new(self.info_hash, self.peer_id)
        };
        self.client.announce(&self.url, &request).await
    }

    /// Passes on who was named; gives the wait until the next announce and the shortest allowed one.
    async fn on_answer(&self, answer: AnnounceResponse) -> (Duration, Duration) {
        let own = PeerId::from(self.keypair.public());
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
            let addresses = record.addresses().to_vec();
            let (torrent, source) = (self.torrent, Source::Tracker);
            self.tell(TrackerEvent::Found(Discovered { torrent, peer, addresses, source })).await;
        }
        if let Some(message) = answer.warning {
            self.tell(TrackerEvent::Warned { torrent: self.torrent, message }).await;
        }
        let soonest = Duration::from_secs(answer.min_interval_secs.unwrap_or(0).into()).max(INTERVAL_FLOOR);
        let wait = Duration::from_secs(answer.interval_secs.into())
            .clamp(soonest, Duration::from_secs(7200).max(soonest));
        (wait, soonest)
    }

    async fn tell(&self, event: TrackerEvent) {
        // Fails only when the node is gone, and then there is nobody to tell.
        let _ = self.events.send(event).await;
    }
}

fn retry_wait(error: &ClientError, failures: u32) -> Duration {
    match error.retry_in() {
        Some(RetryIn::Minutes(minutes)) => Duration::from_secs(60 * u64::from(minutes.clamp(1, 1440))),
        Some(RetryIn::Never) => Duration::from_secs(24 * 3600),
        None => RETRY_FIRST.saturating_mul(1 << failures.min(8)).min(RETRY_MAX) / 2,
    }
}

/// Ten percent more or less, so that a swarm does not announce in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.9..1.1))
}

/// Orders our records; later ones replace earlier ones at the tracker, over restarts too.
fn seconds_since_1970() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
