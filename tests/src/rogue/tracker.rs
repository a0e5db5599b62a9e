//! Trackers that name made-up peers, and nobody else.

use std::net::IpAddr;
use std::sync::Arc;

use libp2p::Multiaddr;
use samara_proto::announce::http::{AnnounceResponse, Libp2pPeer, Libp2pPeers, PeerFormat};
use samara_proto::limits::ANSWER_LIBP2P_PEERS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::false_record;

/// Starts trackers on an address of this machine that name one made-up peer at each of `doors`, as many
/// trackers as that takes; returns their announce URLs. They lie until the runtime ends.
///
/// # Panics
/// When they cannot listen.
pub async fn start(ip: IpAddr, doors: &[Multiaddr]) -> Vec<String> {
    let listener = TcpListener::bind((ip, 0)).await.expect("a free port");
    let base = listener.local_addr().expect("it is bound");
    let shares: Arc<[Vec<Multiaddr>]> = doors.chunks(ANSWER_LIBP2P_PEERS).map(<[_]>::to_vec).collect();
    let urls = (0..shares.len()).map(|number| format!("http://{base}/{number}/announce")).collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, shares.clone()));
        }
    });
    urls
}

async fn answer(mut stream: TcpStream, shares: Arc<[Vec<Multiaddr>]>) {
    let mut request = [0; 4096];
    let Ok(length) = stream.read(&mut request).await else { return };
    let path = String::from_utf8_lossy(&request[..length]).into_owned();
    let number = path.strip_prefix("GET /").and_then(|path| path.split('/').next()?.parse::<usize>().ok());
    let Some(doors) = number.and_then(|number| shares.get(number)) else { return };
    let body = name(doors);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked may have gone.
    let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
}

fn name(doors: &[Multiaddr]) -> Vec<u8> {
    let peers = doors.iter().map(|door| {
        let record = false_record(door);
        Libp2pPeer {
            addresses: record.addresses().iter().map(|address| address.to_vec()).collect(),
            flags: Default::default(),
            id: record.peer_id().to_bytes(),
            record: record.as_bytes().to_vec(),
        }
    });
    let libp2p = Libp2pPeers { bootstrap: Vec::new(), peers: peers.collect() };
    AnnounceResponse { interval_secs: 1800, libp2p: Some(libp2p), ..AnnounceResponse::default() }
        .encode(PeerFormat::Compact)
}
