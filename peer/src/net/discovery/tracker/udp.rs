//! Announces and scrapes over UDP (BEP 15), with the signed record that Samara's trackers know.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::Multiaddr;
use rand::RngExt;
use reqwest::Url;
use samara_proto::announce::SwarmCounts;
use samara_proto::announce::http::{AnnounceRequest, AnnounceResponse, AnswerError, Failure};
use samara_proto::announce::udp::{
    self, Announced, ConnectionId, Family, Request, Response, SCRAPE_HASHES, TransactionId,
};
use samara_proto::infohash::InfoHash;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::ClientError;
use super::client::LOCALHOST;
use crate::net::bind::Binding;
use crate::net::transport::stays_on;

/// How long an answer is waited for, one after the other each time the same is sent. BEP 15 begins with 15 s and
/// goes on for an hour, for whoever asks just once; here the announcer comes back by itself, ever more seldom,
/// and whoever has a dead tracker wants to know within seconds.
const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// A connection id is used for so long (BEP 15).
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// Connections kept for the next question within their life: of a few torrents with a few trackers.
const IDLE_CONNECTIONS: usize = 16;
/// Longest answer read: 200 peers at IPv6 addresses fit, and so does what Samara's trackers send.
const PACKET_BYTES: usize = 4096;
/// Sent as `left` while it is not known: any large number makes a downloader, and more does not fit the
/// integers of some trackers.
const UNKNOWN_LEFT: u64 = i64::MAX as u64;

/// Asks UDP trackers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Udp {
    bind: Option<IpAddr>,
    /// Tells this client from others behind its address, whatever its port is.
    key: u32,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// A socket that hears one tracker alone, and the proof the tracker gave it.
#[derive(Debug)]
struct Connection {
    socket: UdpSocket,
    tracker: SocketAddr,
    id: ConnectionId,
    since: Instant,
}

impl Udp {
    /// A client whose sockets stay on `bind`, if given.
    pub(super) fn new(bind: Option<IpAddr>) -> Self {
        Self { bind, key: rand::rng().random(), idle: Arc::default() }
    }

    /// Announces to the tracker at `url`; gives its answer, and the address that it came from. Without
    /// libp2p peers in the answer, not even an empty list, the tracker does not know what they are.
    pub(super) async fn announce(
        &self,
        url: &Url,
        request: &AnnounceRequest,
    ) -> Result<(AnnounceResponse, SocketAddr), ClientError> {
        let announce = self.to_packet(url, request);
        let question = |connection_id, transaction_id| Request::Announce {
            connection_id,
            transaction_id,
            announce: announce.clone(),
        };
        let answer = |response| match response {
            Response::Announce { announced, .. } => Some(to_response(announced)),
            _ => None,
        };
        self.ask(url, question, answer).await
    }

    /// What the tracker at `url` knows of each of these swarms, in their order; of those beyond the most that
    /// one question may name, nothing.
    pub(super) async fn scrape(
        &self,
        url: &Url,
        info_hashes: &[InfoHash],
    ) -> Result<Vec<SwarmCounts>, ClientError> {
        let asked = &info_hashes[..info_hashes.len().min(SCRAPE_HASHES)];
        let question = |connection_id, transaction_id| Request::Scrape {
            connection_id,
            transaction_id,
            info_hashes: asked.to_vec(),
        };
        let answer = |response| match response {
            // Figures belong to hashes by their place.
            Response::Scrape { counts, .. } if counts.len() == asked.len() => Some(counts),
            _ => None,
        };
        let (mut counts, _) = self.ask(url, question, answer).await?;
        counts.resize(info_hashes.len(), SwarmCounts::default());
        Ok(counts)
    }

    fn to_packet(&self, url: &Url, request: &AnnounceRequest) -> udp::Announce {
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let url_data = match &request.record {
            Some(record) => udp::url_data(&path_and_query, record),
            None => path_and_query.into_bytes(),
        };
        udp::Announce {
            info_hash: request.info_hash,
            peer_id: request.peer_id,
            downloaded: request.downloaded,
            left: request.left.unwrap_or(UNKNOWN_LEFT),
            uploaded: request.uploaded,
            event: request.event,
            key: self.key,
            num_want: request.num_want,
            port: request.port,
            url_data,
        }
    }

    /// Asks until there is an answer; gives it, and the address that it came from. An id from before is tried
    /// once: a tracker that was restarted meanwhile does not know it, and says so or nothing.
    async fn ask<T>(
        &self,
        url: &Url,
        question: impl Fn(ConnectionId, TransactionId) -> Request,
        answer: impl Fn(Response) -> Option<T>,
    ) -> Result<(T, SocketAddr), ClientError> {
        let addresses = self.addresses(url).await?;
        if let Some(connection) = self.take_idle(&addresses)
            && let Ok(found) = connection.ask(&WAITS[..1], &question, &answer).await
        {
            return Ok((found, self.keep(connection)));
        }
        let connection = self.connect(&addresses).await?;
        let found = connection.ask(&WAITS, question, answer).await?;
        Ok((found, self.keep(connection)))
    }

    /// A connection to one of these addresses whose id is still good.
    fn take_idle(&self, addresses: &[SocketAddr]) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| connection.since.elapsed() < CONNECTION_LIFE);
        let at = idle.iter().position(|connection| addresses.contains(&connection.tracker))?;
        Some(idle.swap_remove(at))
    }

    /// Keeps a connection for the next question; gives the tracker's address.
    fn keep(&self, connection: Connection) -> SocketAddr {
        let tracker = connection.tracker;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= IDLE_CONNECTIONS {
            idle.remove(0);
        }
        idle.push(connection);
        tracker
    }

    /// Where the tracker is, by what its name or number says.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, ClientError> {
        let unusable = |why: &str| ClientError::Unusable(why.to_owned());
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port().ok_or_else(|| unusable("a udp tracker needs a port"))?;
        let mut addresses: Vec<SocketAddr> = match (host.parse::<IpAddr>(), self.bind) {
            (Ok(ip), _) => vec![(ip, port).into()],
            (Err(_), Some(bind)) if host == LOCALHOST => vec![(bind, port).into()],
            // A name server would be asked by another way.
            (Err(_), Some(_)) => {
                return Err(unusable("its name cannot be looked up while bound to one address"));
            }
            (Err(_), None) => {
                let found = lookup_host((host, port)).await;
                found.map_err(|error| unreachable(&error))?.collect()
            }
        };
        addresses.retain(|address| stays_on(self.bind, &Multiaddr::from(address.ip())));
        if addresses.is_empty() {
            return Err(unusable("it cannot be reached from the address that --bind demands"));
        }
        Ok(addresses)
    }

    /// Gets a connection id. Each time nothing comes, the tracker's next address is tried: one of them may be
    /// of a family that leads nowhere from here.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<Connection, ClientError> {
        let mut last = silence();
        for (wait, &tracker) in WAITS.into_iter().zip(addresses.iter().cycle()) {
            match self.connect_to(tracker, wait).await {
                Err(error @ ClientError::Unreachable(_)) => last = error,
                done => return done,
            }
        }
        Err(last)
    }

    async fn connect_to(&self, tracker: SocketAddr, wait: Duration) -> Result<Connection, ClientError> {
        let socket = socket_to(self.bind, tracker).await.map_err(|error| unreachable(&error))?;
        let transaction_id = new_transaction();
        let request = Request::Connect { transaction_id }.encode();
        let answer = |response| match response {
            Response::Connect { connection_id, .. } => Some(connection_id),
            _ => None,
        };
        let family = Family::of(tracker);
        let id = exchange(&socket, family, &request, transaction_id, wait, answer).await?;
        Ok(Connection { socket, tracker, id, since: Instant::now() })
    }
}

impl Connection {
    /// Asks as many times as there are waits.
    async fn ask<T>(
        &self,
        waits: &[Duration],
        question: impl Fn(ConnectionId, TransactionId) -> Request,
        answer: impl Fn(Response) -> Option<T>,
    ) -> Result<T, ClientError> {
        // The same in every try: a late answer to the first is as good.
        let transaction_id = new_transaction();
        let request = question(self.id, transaction_id).encode();
        let family = Family::of(self.tracker);
        let mut last = silence();
        for &wait in waits {
            match exchange(&self.socket, family, &request, transaction_id, wait, &answer).await {
                Err(error @ ClientError::Unreachable(_)) => last = error,
                done => return done,
            }
        }
        Err(last)
    }
}

/// Sends a request and waits for what is an answer to it. Whatever else comes is not.
async fn exchange<T>(
    socket: &UdpSocket,
    family: Family,
    request: &[u8],
    transaction_id: TransactionId,
    wait: Duration,
    answer: impl Fn(Response) -> Option<T>,
) -> Result<T, ClientError> {
    socket.send(request).await.map_err(|error| unreachable(&error))?;
    let deadline = Instant::now() + wait;
    let mut packet = [0; PACKET_BYTES];
    loop {
        let received = timeout_at(deadline, socket.recv(&mut packet)).await.map_err(|_| silence())?;
        let length = received.map_err(|error| unreachable(&error))?;
        match Response::decode(&packet[..length], family) {
            Ok(response) if response.transaction_id() != transaction_id => {}
            Ok(Response::Error { message, .. }) => {
                return Err(AnswerError::Refused(Failure { reason: message, retry_in: None }).into());
            }
            Ok(response) => {
                if let Some(answer) = answer(response) {
                    return Ok(answer);
                }
            }
            Err(error) => tracing::debug!(%error, "a tracker sent something that is no answer"),
        }
    }
}

/// A socket that stays where the node must, and hears `tracker` alone.
async fn socket_to(bind: Option<IpAddr>, tracker: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match tracker {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = match bind {
        // Looked for anew each time: the interface may have gone and come back.
        Some(bind) => UdpSocket::from_std(Binding::find(bind).map_err(io::Error::other)?.udp_socket(0)?)?,
        None => UdpSocket::bind((any, 0)).await?,
    };
    socket.connect(tracker).await?;
    Ok(socket)
}

/// A number nobody can guess: an answer with it comes from somebody who saw the request.
fn new_transaction() -> TransactionId {
    TransactionId(rand::rng().random())
}

fn to_response(announced: Announced) -> AnnounceResponse {
    let Announced { interval_secs, leechers, seeders, peers: _, libp2p } = announced;
    let (min_interval_secs, libp2p) = match libp2p {
        Some(answer) => (answer.min_interval_secs, Some(answer.libp2p)),
        None => (None, None),
    };
    AnnounceResponse {
        interval_secs,
        min_interval_secs,
        complete: Some(seeders),
        incomplete: Some(leechers),
        libp2p,
        ..AnnounceResponse::default()
    }
}

fn unreachable(error: &io::Error) -> ClientError {
    ClientError::Unreachable(error.to_string())
}

fn silence() -> ClientError {
    ClientError::Unreachable("nothing came".to_owned())
}

#[cfg(test)]
mod tests;
