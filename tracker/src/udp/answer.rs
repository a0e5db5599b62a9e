//! One packet, at most one answer. What is malformed, or shows no connection id of ours, is not answered:
//! its sender's address may be somebody else's.

use std::net::SocketAddr;

use samara_proto::announce::Event;
use samara_proto::announce::udp::{self, Announced, Family, Request, Response, TransactionId};

use super::connection_id::ConnectionIds;
use crate::registry::{Announce, Progress, TcpContact, Wants};
use crate::service::Service;

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
        let family = Family::of(from);
        let most = u32::try_from(family.peers()).unwrap_or(u32::MAX);
        let request = Announce {
            info_hash: announce.info_hash,
            source: from.ip().to_canonical(),
            tcp: (announce.port != 0)
                .then_some(TcpContact { port: announce.port, peer_id: announce.peer_id }),
            libp2p: None,
            progress: match (announce.left, announce.event) {
                (0, _) => Progress::Seed,
                (_, Event::Paused) => Progress::PartialSeed,
                _ => Progress::Downloader,
            },
            event: announce.event,
            num_want: announce.num_want.map(|wanted| wanted.min(most)),
            wants: Wants { v4: family == Family::V4, v6: family == Family::V6, libp2p: false },
        };
        match self.service.announce(&request) {
            Ok(announced) => {
                self.service.metrics.udp.announces.add_one();
                let counts = announced.swarm.counts;
                let announced = Announced {
                    interval_secs: announced.interval_secs,
                    leechers: counts.incomplete,
                    seeders: counts.complete,
                    peers: announced.peers.into_iter().map(|peer| peer.address).collect(),
                };
                Response::Announce { transaction_id, announced }
            }
            Err(error) => {
                self.service.metrics.udp.failures.add_one();
                Response::Error { transaction_id, message: error.to_string() }
            }
        }
    }
}
