//! Announces one torrent to a group of trackers, HTTP and UDP, for as long as the torrent is taken part in.

mod client;
mod pace;
mod tiers;
mod udp;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use samara_proto::announce::Event;
use samara_proto::announce::http::{AnnounceRequest, AnnounceResponse};
use samara_proto::infohash::InfoHash;
use samara_proto::limits::RECORD_ADDRESSES;
use samara_proto::record::SignedRecord;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use client::{Client, ClientError};
pub use tiers::{Tiers, Tracker, TrackerKey};

use super::policy::is_believable;
use super::{Discovered, Voice, seconds_since_1970};
use crate::engine::event::{Source, TorrentId};
use crate::net::address::{Reach, is_link_local, reach, reach_of};
use pace::{Pace, RETRY_MAX, retry_wait};

/// A tracker that has not answered by then is asked on, but others of its group are asked too.
const PATIENCE: Duration = Duration::from_secs(4);
/// A leech without a single peer asks again this soon, if the tracker allows it; then less and less often.
const LONELY_INTERVAL: Duration = Duration::from_secs(15);
/// How often figures are looked at between announces.
const POLL: Duration = Duration::from_secs(1);
/// Bytes of addresses told over UDP: with them the request fits a packet on every path, and so do others' records
/// in the answer. It is eight usual ones.
const UDP_ADDRESSES_BYTES: usize = 384;
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
    /// It stopped answering, refuses us, or names no peers of use; said once until it does again.
    Failed {
        /// The torrent it was asked about.
        torrent: TorrentId,
        /// Which tracker.
        url: String,
        /// For the user.
        message: String,
    },
    /// It is of use again.
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
    /// The trackers, of which one is enough.
    pub trackers: Tiers,
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
    /// How far it has come with telling trackers of completion; the default in the beginning.
    pub completion: Completion,
}

/// What is still to be told of a download that ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Completion {
    /// Something was missing since a tracker was last told.
    was_missing: bool,
    /// It was once complete by what was downloaded.
    has_come: bool,
    /// Nothing is missing any more, and no tracker was told yet.
    is_news: bool,
}

/// An answer, and where it came from.
type Answered = Result<(AnnounceResponse, Option<SocketAddr>), ClientError>;

impl Announcer {
    /// Announces until told to stop, then once more to say goodbye.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        // The sender lives as long as the node: an error means that nobody is left to work for.
        if self.addresses.wait_for(|list| !list.is_empty()).await.is_err() {
            return;
        }
        let mut lonely_wait = LONELY_INTERVAL;
        loop {
            let pace = tokio::select! {
                pace = self.ask_around() => pace,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let asked = Instant::now();
            let lonely = self.figures.links.load(Ordering::Relaxed) == 0;
            lonely_wait = if lonely { (lonely_wait * 2).min(RETRY_MAX) } else { LONELY_INTERVAL };
            let due_if_lonely = asked + pace.lonely.max(lonely_wait / 2);
            if !self.pause(asked, pace, due_if_lonely).await {
                break;
            }
            self.note_completion();
        }
        self.note_completion();
        self.say_goodbye().await;
    }

    /// Takes note of a download that has ended.
    fn note_completion(&mut self) {
        let completion = &mut self.completion;
        // What comes fast was never seen to be missing.
        let came_fast = !completion.has_come && self.figures.downloaded.load(Ordering::Relaxed) > 0;
        let is_whole = self.figures.completeness() == Completeness::Whole;
        if (completion.was_missing || came_fast) && is_whole {
            *completion = Completion { was_missing: false, has_come: true, is_news: true };
        }
    }

    /// Asks one tracker after the other until one is of use, and gives the pace that it asks for. One that lets
    /// us wait is asked on, while the next is asked too: whichever answers first will do.
    async fn ask_around(&mut self) -> Pace {
        let mut next: VecDeque<TrackerKey> = self.trackers.due(Instant::now()).collect();
        let mut asked = FuturesUnordered::new();
        while let Some(key) = next.pop_front() {
            asked.push(self.ask(key));
            loop {
                let answered = tokio::select! {
                    Some(answered) = asked.next() => Some(answered),
                    () = tokio::time::sleep(PATIENCE), if !next.is_empty() => None,
                    else => break,
                };
                let Some((key, answered)) = answered else {
                    self.on_slow(key).await;
                    break;
                };
                if let Some(pace) = self.on_answered(key, answered).await {
                    return pace;
                }
                if !next.is_empty() {
                    break;
                }
            }
        }
        let next_due = self.trackers.next_due();
        Pace::after(next_due.map_or(RETRY_MAX, |at| at.saturating_duration_since(Instant::now())))
    }

    fn ask(&self, key: TrackerKey) -> impl Future<Output = (TrackerKey, Answered)> + use<> {
        let tracker = self.trackers.get(key);
        let event = match tracker.is_told {
            false => Event::Started,
            true if self.completion.is_news => Event::Completed,
            true => Event::None,
        };
        let announce = self.announce(tracker, event);
        async move { (key, announce.await) }
    }

    /// A tracker is not waited for any longer before others are asked. Unless it answers after all, it has
    /// failed, and is not waited for next time.
    async fn on_slow(&mut self, key: TrackerKey) {
        let error = ClientError::Unreachable(format!("nothing came in {} s", PATIENCE.as_secs()));
        self.on_failed(key, error).await;
    }

    /// Takes note of what a tracker said; gives the pace that it asks for if it is of use.
    async fn on_answered(&mut self, key: TrackerKey, answered: Answered) -> Option<Pace> {
        let error = match answered {
            Ok((answer, from)) if answer.libp2p.is_some() => {
                return Some(self.on_useful(key, answer, from).await);
            }
            Ok((answer, _)) => {
                self.trackers.get_mut(key).is_told = true;
                let wait = Pace::asked_for(answer.interval_secs, answer.min_interval_secs).useless();
                self.trackers.on_failure(key, Instant::now() + wait);
                self.report(key, "it answers, but knows no peers that speak libp2p".to_owned()).await;
                return None;
            }
            Err(error) => error,
        };
        self.on_failed(key, error).await;
        None
    }

    async fn on_failed(&mut self, key: TrackerKey, error: ClientError) {
        let failures = self.trackers.get(key).failures.saturating_add(1);
        let wait = retry_wait(&error, failures, &mut rand::rng());
        self.trackers.on_failure(key, Instant::now() + wait);
        let next = match error {
            ClientError::Unusable(_) => "it is not asked again".to_owned(),
            _ => format!("trying again in {} s, and peers already known stay", wait.as_secs().max(1)),
        };
        self.report(key, format!("{error}; {next}")).await;
    }

    async fn on_useful(
        &mut self,
        key: TrackerKey,
        mut answer: AnnounceResponse,
        from: Option<SocketAddr>,
    ) -> Pace {
        self.trackers.on_answer(key);
        self.completion.is_news = false;
        let tracker = self.trackers.get_mut(key);
        tracker.is_told = true;
        let voice = Voice::of(&tracker.url);
        if answer.tracker_id.is_some() {
            tracker.tracker_id = answer.tracker_id.take();
        }
        if std::mem::take(&mut tracker.is_reported) {
            let url = tracker.url.clone();
            let message = format!("tracker {url} answers again");
            self.tell(TrackerEvent::Recovered { torrent: self.torrent, url, message }).await;
        }
        self.on_answer(answer, from, voice).await.jittered(&mut rand::rng())
    }

    /// Says once that a tracker is of no use now.
    async fn report(&mut self, key: TrackerKey, why: String) {
        let tracker = self.trackers.get_mut(key);
        if std::mem::replace(&mut tracker.is_reported, true) {
            return;
        }
        let url = tracker.url.clone();
        let message = format!("tracker {url}: {why}");
        self.tell(TrackerEvent::Failed { torrent: self.torrent, url, message }).await;
    }

    /// Tells those that were told that we take part that we do not any more. A goodbye that does not arrive
    /// costs nothing: the entry expires.
    async fn say_goodbye(&self) {
        let told = self.trackers.trackers().filter(|tracker| tracker.is_told);
        let goodbyes = told.map(async |tracker| {
            if self.completion.is_news {
                // Whether it is heard or not, we go.
                let _ = self.announce(tracker, Event::Completed).await;
            }
            self.announce(tracker, Event::Stopped).await
        });
        goodbyes.collect::<FuturesUnordered<_>>().map(drop).collect::<()>().await;
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
            self.completion.was_missing |= completeness == Completeness::Missing;
            let lonely =
                completeness != Completeness::Whole && self.figures.links.load(Ordering::Relaxed) == 0;
            let completed = before != Completeness::Whole && completeness == Completeness::Whole;
            if now >= due || (lonely && now >= due_if_lonely) || completed {
                return true;
            }
        }
    }

    fn announce(&self, tracker: &Tracker, event: Event) -> impl Future<Output = Answered> + use<> {
        let addresses = addresses_for(&tracker.url, &self.addresses.borrow());
        let record = SignedRecord::sign(&self.keypair, seconds_since_1970(), &addresses);
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
            wants_libp2p: true,
            tracker_id: tracker.tracker_id.clone(),
            ..AnnounceRequest::new(self.info_hash, self.peer_id)
        };
        let (client, url) = (self.client.clone(), tracker.url.clone());
        async move {
            let record = record.map_err(|error| ClientError::Unusable(error.to_string()))?;
            let request = AnnounceRequest { record: Some(record.as_bytes().to_vec()), ..request };
            client.announce(&url, &request).await
        }
    }

    /// Passes on who was named by a tracker at `from`, whose voice that is; gives the pace it asks for.
    async fn on_answer(&self, answer: AnnounceResponse, from: Option<SocketAddr>, voice: Voice) -> Pace {
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
                    tracing::debug!(%error, ?from, "a peer record from the tracker is not valid");
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
            let found = Discovered { torrent, peer, addresses, source, voice };
            self.tell(TrackerEvent::Found(found)).await;
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
    let parsed = reqwest::Url::parse(url).ok();
    let is_here = parsed.as_ref().and_then(|url| url.host_str().map(is_this_machine));
    let mut useful: Vec<Multiaddr> = all.iter().filter(|address| !is_link_local(address)).cloned().collect();
    if is_here == Some(true) {
        useful.sort_by_key(|address| reach(address) != Reach::ThisMachine);
    } else {
        useful.retain(|address| reach(address) != Reach::ThisMachine);
    }
    useful.truncate(RECORD_ADDRESSES);
    if parsed.is_some_and(|url| url.scheme() == "udp") {
        let mut room = UDP_ADDRESSES_BYTES;
        useful.retain(|address| {
            let left = room.checked_sub(address.len());
            room = left.unwrap_or(room);
            left.is_some()
        });
    }
    useful
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
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
}
