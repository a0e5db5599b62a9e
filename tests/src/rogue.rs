//! A peer that speaks the wire and lies, and the bystander it lies about.

pub mod child;
pub mod dht;
#[cfg(target_os = "linux")]
pub mod lan;
pub mod tracker;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream};
use samara_peer::net::behaviour::BehaviourEvent;
use samara_peer::net::bind::Binding;
use samara_peer::net::link::{Established, Hosted, Identity, Incoming, greet, respond};
use samara_peer::net::transport;
use samara_peer::net::wire::{Ticket, WireEvent};
use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{BlockRef, FileIndex};
use samara_proto::limits::{BLOCK_LENGTH, PEX_PEERS};
use samara_proto::merkle;
use samara_proto::merkle::proof::PieceTree;
use samara_proto::metainfo::Metainfo;
use samara_proto::record::SignedRecord;
use samara_proto::wire::extension::{PexFlags, PexMessage, PexPeer, SAMARA_PEX};
use samara_proto::wire::message::{HashRequest, Message};
use tokio::net::TcpListener;

/// What it does to whoever connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Has everything, and flips a bit in every block it sends.
    CorruptBlocks,
    /// Has everything, unchokes, and never answers a request.
    NoAnswer,
    /// Announces a frame of four gibibytes.
    HugeFrame,
    /// Sends pseudo-random bytes in place of a handshake.
    Noise,
    /// Claims pieces that the torrent does not have.
    PiecesBeyondTheEnd,
    /// Sends blocks that nobody asked for.
    UnaskedBlocks,
    /// Has everything, proves it, and gives only the first half of each piece.
    WithholdsHalves,
    /// Names made-up peers, one at each of these doors.
    FalsePeers {
        /// Doors of others, who know nothing of it.
        doors: Arc<[Multiaddr]>,
    },
}

/// What a lying peer says of its victims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Somebody came.
    Linked {
        /// Who.
        peer: PeerId,
    },
    /// The victim ended it.
    Ended {
        /// Who.
        peer: PeerId,
        /// Corrupt blocks it was sent.
        blocks: u64,
    },
}

const IDENTITY: Identity = Identity { peer_id: *b"-XX0000-000000000000", exchanges_peers: true };

/// How many peers somebody makes up who means it.
pub const MADE_UP: u16 = 1000;

/// Starts a lying peer on loopback; returns where it can be dialled. It lies until the runtime ends.
///
/// # Panics
/// When it cannot listen.
pub async fn start(lie: Lie, metainfo: Arc<Metainfo>, content: &Path) -> Multiaddr {
    start_at(crate::process::LOOPBACK, lie, metainfo, content, |_| {}).await
}

/// Starts a lying peer at an address of this machine, which tells what comes of it; returns where it can be
/// dialled. It lies until the runtime ends.
///
/// # Panics
/// When it cannot listen.
pub async fn start_at(
    ip: IpAddr,
    lie: Lie,
    metainfo: Arc<Metainfo>,
    content: &Path,
    tell: impl Fn(Report) + Clone + Send + 'static,
) -> Multiaddr {
    let bytes: Arc<[u8]> = std::fs::read(content).expect("a single file").into();
    let keypair = Keypair::generate_ed25519();
    let peer_id = keypair.public().to_peer_id();
    let binding = Binding::find(ip).expect("the address is this machine's");
    let mut swarm = transport::build(&keypair, Some(&binding)).expect("a swarm on one address");
    swarm.listen_on(any_port(ip)).expect("a free port");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Wire(WireEvent::Inbound { stream, peer, .. })) =
                swarm.select_next_some().await
            {
                let (lie, metainfo, bytes, tell) =
                    (lie.clone(), metainfo.clone(), bytes.clone(), tell.clone());
                tokio::spawn(async move {
                    tell(Report::Linked { peer });
                    let mut blocks = 0;
                    lie_on(stream, lie, metainfo, bytes, &mut blocks).await;
                    tell(Report::Ended { peer, blocks });
                });
            }
        }
    });
    address.with_p2p(peer_id).expect("an address without an identity")
}

/// Comes to `victim` from an address of this machine under a name nobody knows, has everything, and flips a bit in
/// every block it sends; the blocks it gave before the victim had enough of it.
///
/// # Panics
/// When the victim cannot be reached, or does not shake hands.
pub async fn corrupt(ip: IpAddr, victim: &Multiaddr, metainfo: Arc<Metainfo>, content: &Path) -> u64 {
    visit(ip, Lie::CorruptBlocks, victim, metainfo, content).await
}

/// Comes to `victim` from an address of this machine under a name nobody knows, and lies; the blocks it gave before
/// the victim had enough of it.
///
/// # Panics
/// When the victim cannot be reached, or does not shake hands.
pub async fn visit(ip: IpAddr, lie: Lie, victim: &Multiaddr, metainfo: Arc<Metainfo>, content: &Path) -> u64 {
    let bytes = std::fs::read(content).expect("a single file");
    let keypair = Keypair::generate_ed25519();
    let binding = Binding::find(ip).expect("the address is this machine's");
    let mut swarm = transport::build(&keypair, Some(&binding)).expect("a swarm on one address");
    swarm.dial(victim.clone()).expect("an address with an identity");
    let stream = loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                swarm.behaviour_mut().wire.open(peer_id, Ticket(1));
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("the victim is not there: {error}"),
            SwarmEvent::Behaviour(BehaviourEvent::Wire(WireEvent::Opened { stream, .. })) => break stream,
            _ => {}
        }
    };
    let lying = async {
        let hosted = Hosted { metainfo: metainfo.clone(), upload_only: false };
        let name = metainfo.info_hashes().wire().next().expect("a torrent has a name");
        let mut link = greet(stream, IDENTITY, name, Some(hosted)).await.expect("the victim takes part");
        let mut blocks = 0;
        // Whatever the victim does to the stream is its right.
        let _ = lie_along(&mut link, lie, &metainfo, &bytes, &mut blocks).await;
        blocks
    };
    tokio::select! {
        blocks = lying => blocks,
        never = async { loop { swarm.select_next_some().await; } } => never,
    }
}

async fn lie_on(stream: Stream, lie: Lie, metainfo: Arc<Metainfo>, content: Arc<[u8]>, blocks: &mut u64) {
    if lie == Lie::Noise {
        return make_noise(stream).await;
    }
    let hosted = Hosted { metainfo: metainfo.clone(), upload_only: false };
    let Ok(mut link) = respond(stream, IDENTITY, |_| Some(hosted)).await else { return };
    // Whatever the victim does to the stream is its right.
    let _ = lie_along(&mut link, lie, &metainfo, &content, blocks).await;
}

/// Any free TCP port of `ip`.
fn any_port(ip: IpAddr) -> Multiaddr {
    Multiaddr::from(ip).with(Protocol::Tcp(0))
}

fn name_false_peers(link: &mut Established, doors: &[Multiaddr]) {
    let Some(id) = link.remote.id_of(SAMARA_PEX) else { return };
    for doors in doors.chunks(PEX_PEERS) {
        let records = doors.iter().map(|door| false_record(door).as_bytes().to_vec());
        let added = records.map(|record| PexPeer { record, flags: PexFlags::REACHED }).collect();
        let message = PexMessage { added, ..PexMessage::default() };
        link.writer.push(&Message::Extended { id: id.get(), payload: message.encode() });
    }
}

/// The record of a made-up peer that says it is at somebody else's door.
///
/// # Panics
/// When the address is longer than a record may hold.
pub fn false_record(door: &Multiaddr) -> SignedRecord {
    SignedRecord::sign(&Keypair::generate_ed25519(), 1, std::slice::from_ref(door))
        .expect("a record within the limits")
}

/// As many times the same door as somebody makes up peers: a bystander's TCP port of loopback.
///
/// # Panics
/// Never.
pub fn one_door(port: u16) -> Arc<[Multiaddr]> {
    let door: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
    (0..MADE_UP).map(|_| door.clone()).collect()
}

/// Somebody who has nothing to do with the swarm: its port, and how often it was dialled.
///
/// # Panics
/// When it cannot listen.
pub async fn bystander() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let dials = Arc::new(AtomicUsize::new(0));
    let counter = dials.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, dials)
}

async fn make_noise(mut stream: Stream) {
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let _ = futures::AsyncWriteExt::write_all(&mut stream, &noise).await;
    let _ = futures::AsyncWriteExt::close(&mut stream).await;
}

async fn lie_along(
    link: &mut Established,
    lie: Lie,
    metainfo: &Metainfo,
    content: &[u8],
    blocks: &mut u64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    link.writer.push(&Message::HaveAll);
    link.writer.push(&Message::Unchoke);
    let past_the_end = samara_proto::layout::PieceIndex(metainfo.layout().piece_count());
    match lie {
        Lie::HugeFrame => link.writer.push_bytes(&u32::MAX.to_be_bytes()),
        Lie::PiecesBeyondTheEnd => link.writer.push(&Message::Have(past_the_end)),
        Lie::UnaskedBlocks => {
            let block = BlockRef { piece: Default::default(), begin: 0, length: 16 << 10 };
            for _ in 0..10_000 {
                link.writer.push_block(block, &vec![0; block.length as usize]);
            }
        }
        Lie::FalsePeers { ref doors } => name_false_peers(link, doors),
        Lie::CorruptBlocks | Lie::NoAnswer | Lie::Noise | Lie::WithholdsHalves => {}
    }
    link.writer.flush().await?;
    loop {
        let Incoming::Message(message) = link.reader.next(&link.limits, |_| false).await? else { continue };
        let piece_length = metainfo.layout().piece_length();
        let is_given = match lie {
            Lie::CorruptBlocks => |_: BlockRef, _: u32| true,
            Lie::WithholdsHalves => |block: BlockRef, piece: u32| block.begin + block.length <= piece / 2,
            _ => continue,
        };
        match message {
            Message::Request(block) if is_given(block, piece_length) => {
                let begin = block.piece.0 as usize * piece_length as usize + block.begin as usize;
                let mut bytes = content[begin..begin + block.length as usize].to_vec();
                bytes[0] ^= u8::from(lie == Lie::CorruptBlocks);
                link.writer.push_block(block, &bytes);
                *blocks += 1;
            }
            Message::HashRequest(request) if lie == Lie::WithholdsHalves => {
                let hashes = leaves(&request, metainfo, content).ok_or("there are no such leaves")?;
                link.writer.push(&Message::Hashes { request, hashes });
            }
            _ => continue,
        }
        link.writer.flush().await?;
    }
}

/// Leaf hashes of a file that has whole pieces only, with proof.
fn leaves(request: &HashRequest, metainfo: &Metainfo, content: &[u8]) -> Option<Vec<Sha256Hash>> {
    let width = metainfo.layout().piece_length() / BLOCK_LENGTH;
    let first = request.index / width * width;
    let blocks = content.chunks(BLOCK_LENGTH as usize).skip(first as usize).take(width as usize);
    let tree = PieceTree::new(blocks.map(merkle::leaf).collect(), first, width);
    tree.prove(metainfo.layer_tree(FileIndex(0)), request)
}
