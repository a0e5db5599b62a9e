//! One request, one answer. Announces and scrapes are answered with status 200 even when they fail:
//! clients throw the body of anything else away.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use samara_proto::announce::Event;
use samara_proto::announce::http::{
    AnnounceRequest, AnnounceResponse, Failure, Libp2pPeer, Libp2pPeers, PeerFlags, PeerFormat, QueryError,
    ScrapeRequest, ScrapeResponse,
};
use samara_proto::record::{RecordError, SignedRecord};
use thiserror::Error;

use super::page;
use crate::registry::{Announce, Announced, Contact, Progress, Scope, TcpContact, Wants};
use crate::service::{Service, ServiceError};

const TEXT: &str = "text/plain";
const HTML: &str = "text/html; charset=utf-8";

/// Why an announce or scrape gets a `failure reason`.
#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("lp2p_rec: {0}")]
    Record(#[from] RecordError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

pub(super) fn respond<B>(service: &Service, source: IpAddr, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let query = request.uri().query().unwrap_or_default().as_bytes();
    match request.uri().path() {
        "/announce" => bencode(service, announce(service, source, query)),
        "/scrape" => bencode(service, scrape(service, query)),
        "/metrics" => plain(StatusCode::OK, TEXT, service.metrics.render(service.totals()).into()),
        "/" => plain(StatusCode::OK, HTML, page::render(service.totals()).into()),
        _ => plain(StatusCode::NOT_FOUND, TEXT, "there is nothing here; announce to /announce\n".into()),
    }
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn bencode(service: &Service, answer: Result<Vec<u8>, Refused>) -> Response<Full<Bytes>> {
    let body = answer.unwrap_or_else(|refused| {
        let counts = &service.metrics.http;
        match refused {
            Refused::Query(_) | Refused::Record(_) => counts.malformed.add_one(),
            Refused::Service(_) => counts.failures.add_one(),
        }
        Failure { reason: refused.to_string(), retry_in: None }.encode()
    });
    plain(StatusCode::OK, TEXT, body.into())
}

fn scrape(service: &Service, query: &[u8]) -> Result<Vec<u8>, Refused> {
    let request = ScrapeRequest::from_query(query)?;
    let counts = service.scrape(&request.info_hashes);
    service.metrics.http.scrapes.add_one();
    Ok(ScrapeResponse { files: request.info_hashes.into_iter().zip(counts).collect() }.encode())
}

fn announce(service: &Service, source: IpAddr, query: &[u8]) -> Result<Vec<u8>, Refused> {
    let request = AnnounceRequest::from_query(query)?;
    let announced = service.announce(&to_announce(&request, source)?)?;
    service.metrics.http.announces.add_one();
    let format = match (request.compact, request.no_peer_id) {
        (true, _) => PeerFormat::Compact,
        (false, true) => PeerFormat::DictionariesWithoutIds,
        (false, false) => PeerFormat::Dictionaries,
    };
    let ways = if request.wants_libp2p { service.ways_for(source) } else { Vec::new() };
    Ok(to_response(announced, ways, &request, source).encode(format))
}

fn to_announce(request: &AnnounceRequest, source: IpAddr) -> Result<Announce, RecordError> {
    let record = request.record.as_deref().filter(|_| request.wants_libp2p);
    let record = record.map(SignedRecord::verify).transpose()?;
    Ok(Announce {
        info_hash: request.info_hash,
        source,
        tcp: (request.port != 0).then_some(TcpContact { port: request.port, peer_id: request.peer_id }),
        libp2p: record.map(|record| Arc::new(Contact::new(record, source))),
        progress: match (request.left, request.event) {
            (Some(0), _) => Progress::Seed,
            (_, Event::Paused) => Progress::PartialSeed,
            _ => Progress::Downloader,
        },
        event: request.event,
        num_want: request.num_want,
        wants: Wants { v4: true, v6: true, libp2p: request.wants_libp2p },
    })
}

fn to_response(
    announced: Announced,
    bootstrap: Vec<Vec<u8>>,
    request: &AnnounceRequest,
    source: IpAddr,
) -> AnnounceResponse {
    let counts = announced.swarm.counts;
    let libp2p = announced.libp2p.iter().map(|(progress, contact)| libp2p_peer(*progress, contact, source));
    AnnounceResponse {
        interval_secs: announced.interval_secs,
        min_interval_secs: Some(announced.min_interval_secs),
        complete: Some(counts.complete),
        incomplete: Some(counts.incomplete),
        downloaded: Some(counts.downloaded),
        // Elsewhere it says nothing about how the client is reached.
        external_ip: (Scope::of(source) == Some(Scope::Global)).then_some(source),
        warning: None,
        tracker_id: None,
        libp2p: request.wants_libp2p.then(|| Libp2pPeers { bootstrap, peers: libp2p.collect() }),
        peers: announced.peers,
    }
}

/// A libp2p peer as it is told to a client at `viewer`, whatever the client asks over.
pub(crate) fn libp2p_peer(progress: Progress, contact: &Contact, viewer: IpAddr) -> Libp2pPeer {
    Libp2pPeer {
        addresses: contact.addresses_for(viewer).map(<[u8]>::to_vec).collect(),
        flags: PeerFlags {
            seed: progress == Progress::Seed,
            partial: progress == Progress::PartialSeed,
            relay: contact.is_relayed(),
        },
        id: contact.peer_id().to_bytes(),
        record: contact.record().as_bytes().to_vec(),
    }
}
