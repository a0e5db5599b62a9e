//! The task between the sockets and the node: it hears, speaks when it is time, and looks where there is a
//! network.

use std::collections::BTreeMap;
use std::io;
use std::net::{self, SocketAddr};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use samara_proto::limits::RECORD_ADDRESSES;
use samara_proto::moment::Moment;
use samara_proto::record::SignedRecord;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use super::message::{self, Instance, LIFETIME, Said};
use super::neighbours::Neighbours;
use super::places::{self, Place};
use super::quota::Quota;
use super::socket;
use super::timetable::{Due, Timetable};
use super::{LanConfig, LanEvent};
use crate::net::discovery::policy::Endpoint;
use crate::net::discovery::seconds_since_1970;

/// How often it is looked where there is a network, and who was not heard for too long.
const LOOK: Duration = Duration::from_secs(15);
/// Packets that may wait; the system holds more.
const PACKETS: usize = 64;
/// Bytes of a packet that are read: the longest that multicast DNS allows (RFC 6762 §17).
const LONGEST_PACKET: usize = 9000;
/// Pause after the system refused to receive.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// A packet, where it was heard and who sent it.
struct Packet {
    place: Place,
    sender: SocketAddr,
    bytes: Vec<u8>,
}

/// One place: how we speak there, what, and when.
struct Station {
    mouth: net::UdpSocket,
    timetable: Timetable,
    /// The addresses in our record, and the record; `None` if we cannot be dialled here.
    own: Option<(Vec<Multiaddr>, SignedRecord)>,
    /// Listens; dropped with the station.
    _ear: JoinSet<()>,
}

struct Task {
    config: LanConfig,
    instance: Instance,
    epoch: Instant,
    rng: ChaCha8Rng,
    stations: BTreeMap<Place, Station>,
    neighbours: Neighbours,
    quota: Quota,
    packets: mpsc::Sender<Packet>,
    last_seq: u64,
}

/// Runs until `news` is closed, and says goodbye then.
pub(super) async fn run(
    config: LanConfig,
    mut news: watch::Receiver<()>,
    mut doubted: mpsc::Receiver<PeerId>,
    events: mpsc::Sender<LanEvent>,
) {
    let (packets, mut heard) = mpsc::channel(PACKETS);
    let mut addresses = config.addresses.clone();
    let mut task = Task::new(config, packets);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut found = Vec::new();
        tokio::select! {
            Some(packet) = heard.recv() => found = task.on_packet(packet),
            Some(peer) = doubted.recv() => task.neighbours.on_doubted(peer),
            () = sleep_until(task.deadline().into()) => task.speak(),
            _ = look.tick() => {
                task.look();
                found = task.neighbours.expire(task.now());
            }
            changed = addresses.changed() => match changed {
                Ok(()) => task.renew(),
                // The node is gone.
                Err(_) => return task.say_goodbye(),
            },
            changed = news.changed() => match changed {
                Ok(()) => task.announce(),
                Err(_) => return task.say_goodbye(),
            },
        }
        for event in found {
            if events.send(event).await.is_err() {
                return task.say_goodbye();
            }
        }
    }
}

impl Task {
    fn new(config: LanConfig, packets: mpsc::Sender<Packet>) -> Self {
        let (mut rng_seed, mut name) = ([0; 32], [0; 10]);
        rand::fill(&mut rng_seed);
        rand::fill(&mut name);
        let own_id = config.keypair.public().to_peer_id();
        Self {
            config,
            instance: Instance::new(name),
            epoch: Instant::now(),
            rng: ChaCha8Rng::from_seed(rng_seed),
            stations: BTreeMap::new(),
            neighbours: Neighbours::new(own_id),
            quota: Quota::default(),
            packets,
            last_seq: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When something is to be said next.
    fn deadline(&self) -> Instant {
        let next = self.stations.values().map(|station| station.timetable.deadline()).min();
        // Without a station there is nothing to say before the next look.
        next.map_or(Instant::now() + LOOK, |at| self.epoch + at.since(Moment::ZERO))
    }

    /// Sets up where a network came, and takes down where one went.
    fn look(&mut self) {
        let places = match places::look(self.config.binding.as_ref()) {
            Ok(places) => places,
            Err(error) => return tracing::debug!(%error, "the network interfaces cannot be listed"),
        };
        self.stations.retain(|place, _| {
            let stays = places.contains(place);
            if !stays {
                tracing::debug!(?place, "the local network is gone");
            }
            stays
        });
        for place in places {
            if self.stations.contains_key(&place) {
                continue;
            }
            match self.set_up(&place) {
                Ok(station) => {
                    tracing::debug!(?place, "listening to the local network");
                    self.stations.insert(place, station);
                }
                Err(error) => tracing::debug!(?place, %error, "no local discovery here"),
            }
        }
    }

    fn set_up(&mut self, place: &Place) -> io::Result<Station> {
        let (ear, mouth) = socket::open(place)?;
        let mut listening = JoinSet::new();
        listening.spawn(listen(place.clone(), ear, self.packets.clone()));
        let timetable = Timetable::new(self.now(), &mut self.rng);
        let own = self.own_record(place);
        Ok(Station { mouth, timetable, own, _ear: listening })
    }

    /// Our record at a place: what we listen on at its address, and nothing else, because nothing else would
    /// be believed.
    fn own_record(&mut self, place: &Place) -> Option<(Vec<Multiaddr>, SignedRecord)> {
        let is_here = |address: &&Multiaddr| {
            Endpoint::of(address).is_some_and(|endpoint| endpoint.ip() == place.address)
        };
        let addresses: Vec<Multiaddr> =
            self.config.addresses.borrow().iter().filter(is_here).take(RECORD_ADDRESSES).cloned().collect();
        if addresses.is_empty() {
            return None;
        }
        // Whoever hears a record anew must see that it is a new one, however fast they follow each other.
        self.last_seq = seconds_since_1970().max(self.last_seq + 1);
        SignedRecord::sign(&self.config.keypair, self.last_seq, &addresses)
            .inspect_err(|error| tracing::warn!(%error, "our own addresses cannot be signed"))
            .ok()
            .map(|record| (addresses, record))
    }

    /// Tells what changed where we can be dialled.
    fn renew(&mut self) {
        let places: Vec<Place> = self.stations.keys().cloned().collect();
        for place in places {
            let old = self.stations.get(&place).and_then(|station| station.own.as_ref());
            let old = old.map(|(addresses, _)| addresses.clone());
            let own = self.own_record(&place);
            if own.as_ref().map(|(addresses, _)| addresses) != old.as_ref() {
                self.tell_anew(&place, own);
            }
        }
    }

    /// Tells that there is something new here.
    fn announce(&mut self) {
        let places: Vec<Place> = self.stations.keys().cloned().collect();
        for place in places {
            let own = self.own_record(&place);
            self.tell_anew(&place, own);
        }
    }

    fn tell_anew(&mut self, place: &Place, own: Option<(Vec<Multiaddr>, SignedRecord)>) {
        let now = self.now();
        if let Some(station) = self.stations.get_mut(place) {
            station.own = own;
            station.timetable.announce(now, &mut self.rng);
        }
    }

    fn on_packet(&mut self, packet: Packet) -> Vec<LanEvent> {
        let now = self.now();
        let sender = packet.sender.ip();
        if !self.quota.admit(now, sender) {
            return Vec::new();
        }
        let Some(station) = self.stations.get_mut(&packet.place) else { return Vec::new() };
        match message::parse(&packet.bytes) {
            // A question from another port is a simple resolver's, which waits for an answer of its own.
            Some(Said::Asked { known }) if packet.sender.port() == socket::PORT => {
                if !known.contains(&self.instance) {
                    station.timetable.on_asked(now, self.neighbours.count(), &mut self.rng);
                }
                let others: Vec<Instance> = known.into_iter().filter(|name| *name != self.instance).collect();
                if self.neighbours.knows_all(now, &others) {
                    station.timetable.on_asked_for_us(now, &mut self.rng);
                }
                Vec::new()
            }
            Some(Said::Told(tellings)) => {
                let told =
                    tellings.into_iter().flat_map(|telling| self.neighbours.on_told(now, sender, telling));
                told.collect()
            }
            Some(Said::Asked { .. }) | None => Vec::new(),
        }
    }

    /// Says at every place what is due.
    fn speak(&mut self) {
        let now = self.now();
        for (place, station) in &mut self.stations {
            while let Some(due) = station.timetable.next(now, &mut self.rng) {
                let packet = match due {
                    // That we know ourselves keeps us from answering: what we say we hear too.
                    Due::Ask => message::question(
                        [(&self.instance, LIFETIME)].into_iter().chain(self.neighbours.known(now)),
                    ),
                    Due::Tell => station
                        .own
                        .as_ref()
                        .and_then(|(_, record)| message::answer(&self.instance, record.as_bytes(), LIFETIME)),
                };
                if let Some(packet) = packet {
                    say(place, station, &packet);
                }
            }
        }
    }

    fn say_goodbye(&mut self) {
        for (place, station) in &self.stations {
            let own = station.own.as_ref();
            let goodbye = own
                .and_then(|(_, record)| message::answer(&self.instance, record.as_bytes(), Duration::ZERO));
            if let Some(packet) = goodbye {
                say(place, station, &packet);
            }
        }
    }
}

/// Hands a packet to the system. What it does not take is lost, as much else may be on a network.
fn say(place: &Place, station: &Station, packet: &[u8]) {
    if let Err(error) = station.mouth.send(packet) {
        tracing::debug!(?place, %error, "the local network cannot be spoken to");
    }
}

/// Hears a place until it is taken down.
async fn listen(place: Place, ear: UdpSocket, packets: mpsc::Sender<Packet>) {
    let mut buffer = vec![0; LONGEST_PACKET];
    loop {
        match ear.recv_from(&mut buffer).await {
            Ok((length, sender)) => {
                let bytes = buffer[..length].to_vec();
                if packets.send(Packet { place: place.clone(), sender, bytes }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(?place, %error, "the local network cannot be heard");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}
