//! One packet, at most one answer. What is malformed, or shows no connection id of ours, is not answered:
//! its sender's address may be somebody else's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use samara_proto::announce::Event;
use samara_proto::announce::http::{Libp2pPeers, QueryError};
use samara_proto::announce::udp::{self, Announced, Family, Libp2pAnswer, Request, Response, TransactionId};
use samara_proto::record::{RecordError, SignedRecord};
use thiserror::Error;

use super::connection_id::ConnectionIds;
use crate::http::libp2p_peer;
use crate::registry::{self, Announce, Contact, Progress, TcpContact, Wants};
use crate::service::{Service, ServiceError};

/// libp2p peers looked up for an answer, of which those that fit are told: usual records leave room for four.
const LIBP2P_PEERS: u32 = 16;

/// Why an announce is answered with an error.
#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("lp2p_rec: {0}")]
    Record(#[from] RecordError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

pub(super) struct Answerer<'a> {
    service: &'a Service,
    connection_ids: ConnectionIds,
}

impl<'a> Answerer<'a> {
    pub(super) fn new(service: &'a Service, connection_key: [u8; 16]) -> Self {
        Self { service, connection_ids: ConnectionIds::new(connection_key) }
    }

    /// The answer to `packet`, if it deserves one.
    pub(super) fn answer(&self, packet: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let (now, ip) = (self.service.now(), from.ip().to_canonical());
        let metrics = &self.service.metrics;
        let Some(request) = Request::decode(packet).ok().filter(|_| from.port() != 0) else {
            metrics.udp.malformed.add_one();
            return None;
        };
        if request.connection_id().is_some_and(|id| !self.connection_ids.is_good(now, ip, id)) {
            metrics.udp_bad_connection_ids.add_one();
            return None;
        }
        let response = match request {
            Request::Connect { transaction_id } => {
                metrics.udp_connects.add_one();
                Response::Connect { transaction_id, connection_id: self.connection_ids.give(now, ip) }
            }
            Request::Announce { transaction_id, announce, .. } => {
                self.announce(transaction_id, &announce, from)
            }
            Request::Scrape { transaction_id, info_hashes, .. } => {
                metrics.udp.scrapes.add_one();
                let counts = self.service.scrape(&info_hashes);
                let counts = counts.into_iter().map(|scraped| scraped.counts).collect();
                Response::Scrape { transaction_id, counts }
            }
        };
        Some(response.encode())
    }

    fn announce(
        &self,
        transaction_id: TransactionId,
        announce: &udp::Announce,
        from: SocketAddr,
    ) -> Response {
        let counts = &self.service.metrics.udp;
        match self.announced(announce, from) {
            Ok(announced) => {
                counts.announces.add_one();
                Response::Announce { transaction_id, announced }
            }
            Err(refused) => {
                match refused {
                    Refused::Query(_) | Refused::Record(_) => counts.malformed.add_one(),
                    Refused::Service(_) => counts.failures.add_one(),
                }
                Response::Error { transaction_id, message: refused.to_string() }
            }
        }
    }

    fn announced(&self, announce: &udp::Announce, from: SocketAddr) -> Result<Announced, Refused> {
        let source = from.ip().to_canonical();
        let record = announce.libp2p_record()?.map(|record| SignedRecord::verify(&record)).transpose()?;
        let asks_for_libp2p = record.is_some();
        let announced = self.service.announce(&to_announce(announce, record, from))?;
        let swarm = announced.swarm.counts;
        Ok(Announced {
            interval_secs: announced.interval_secs,
            leechers: swarm.incomplete,
            seeders: swarm.complete,
            libp2p: asks_for_libp2p.then(|| to_libp2p(&announced, self.service.ways_for(source), source)),
            peers: announced.peers.into_iter().map(|peer| peer.address).collect(),
        })
    }
}

fn to_announce(announce: &udp::Announce, record: Option<SignedRecord>, from: SocketAddr) -> Announce {
    let (source, family) = (from.ip().to_canonical(), Family::of(from));
    let most = match record {
        Some(_) => LIBP2P_PEERS,
        None => u32::try_from(family.peers()).unwrap_or(u32::MAX),
    };
    let wants = match record {
        Some(_) => Wants { v4: false, v6: false, libp2p: true },
        None => Wants { v4: family == Family::V4, v6: family == Family::V6, libp2p: false },
    };
    Announce {
        info_hash: announce.info_hash,
        source,
        tcp: (announce.port != 0).then_some(TcpContact { port: announce.port, peer_id: announce.peer_id }),
        libp2p: record.map(|record| Arc::new(Contact::new(record, source))),
        progress: match (announce.left, announce.event) {
            (0, _) => Progress::Seed,
            (_, Event::Paused) => Progress::PartialSeed,
            _ => Progress::Downloader,
        },
        event: announce.event,
        num_want: announce.num_want.map(|wanted| wanted.min(most)),
        wants,
    }
}

fn to_libp2p(announced: &registry::Announced, mut ways: Vec<Vec<u8>>, viewer: IpAddr) -> Libp2pAnswer {
    // One lets a client in, and more would take the place of peers.
    ways.truncate(1);
    let peers = announced.libp2p.iter().map(|(progress, contact)| libp2p_peer(*progress, contact, viewer));
    let libp2p = Libp2pPeers { bootstrap: ways, peers: peers.collect() };
    Libp2pAnswer { min_interval_secs: Some(announced.min_interval_secs), libp2p }
}
