//! The swarm's transports: TCP and QUIC, encrypted, kept on the address the user chose.
//!
//! The order decided is to be the order sent, so little waits below whoever decides. Of one link, with its writer:
//! what it sends in 5 ms, at least 32 KiB or a block. Of one connection over TCP: what it sends in 40 ms in the
//! muxer and in 20 ms unsent in the kernel, at least 32 KiB in each; a record in TLS; a frame before the socket.
//! QUIC, for those whom TCP does not reach, has a send window of 10 MB that libp2p does not let us choose.

mod anteroom;
mod bound_quic;
mod bound_tcp;
mod buffered;
mod gate;
mod muxer;
mod tls;
mod unsent;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::Either;
use libp2p::core::ConnectedPoint;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{OptionalTransport, OrTransport, Transport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, Swarm};
use libp2p::{Multiaddr, PeerId, dns, quic, tcp};
use thiserror::Error;

use super::address::ip_of;
use super::behaviour::Behaviour;
use super::bind::Binding;
use anteroom::{Anteroom, Guarded};
use bound_quic::BoundQuic;
use bound_tcp::BoundTcp;
use buffered::Buffered;
use muxer::Yamux;
use tls::Tls;
use unsent::Bounded;

/// For a connection from its first packet to its muxer.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// Inbound TCP connections in their handshakes: four of five file descriptors are left for everything else, and
/// most cost no more than that, because nothing is begun before something came in.
const TCP_HANDSHAKES: usize = 200;
/// The same over QUIC, where every one has cost some computing already.
const QUIC_HANDSHAKES: usize = 100;
/// A connection without streams is kept for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one connection that may be in negotiation.
const NEGOTIATING_STREAMS: usize = 32;
/// Streams on one QUIC connection, as on a TCP connection.
const QUIC_STREAMS: u32 = 64;
/// Bytes under way to us on one QUIC stream and connection: enough for a fast local network.
const QUIC_STREAM_WINDOW: u32 = 8 << 20;
const QUIC_CONNECTION_WINDOW: u32 = 16 << 20;
/// Silence after which a QUIC connection is dead, in milliseconds; it is kept alive every 5 s.
const QUIC_IDLE_MILLIS: u32 = 30_000;

/// The swarm could not be put together.
#[derive(Debug, Error)]
#[error("cannot set up the network: {0}")]
pub struct TransportError(String);

/// An encrypted connection and whose it is.
type Connection = (PeerId, StreamMuxerBox);

/// A swarm with the identity `keypair`, listening nowhere yet. Must be called inside a tokio runtime.
///
/// A node that must stay on one address does without name lookups, which would leave by another way, and on
/// any address but loopback without QUIC, whose sockets cannot be kept on an interface.
///
/// # Errors
/// The system refuses what a transport needs, such as its DNS configuration.
pub fn build(keypair: &Keypair, binding: Option<&Binding>) -> Result<Swarm<Behaviour>, TransportError> {
    let failed = |error: &dyn std::fmt::Display| TransportError(error.to_string());
    let tls = Tls::new(keypair).map_err(|error| failed(&error))?;
    let transport = match binding {
        Some(binding) => {
            let has_quic = binding.address().is_loopback();
            tracing::debug!(address = %binding.address(), interface = binding.interface(), has_quic, "bound");
            let quic = has_quic.then(|| BoundQuic::new(quic_config(keypair), binding.address()));
            let quic = quic.map_or_else(OptionalTransport::none, OptionalTransport::some);
            either(quic, secured(BoundTcp::new(binding.clone()), tls)).boxed()
        }
        None => {
            let quic = quic::tokio::Transport::new(quic_config(keypair));
            let tcp = secured(tcp::tokio::Transport::new(tcp::Config::default()), tls);
            dns::tokio::Transport::system(either(quic, tcp)).map_err(|error| failed(&error))?.boxed()
        }
    };
    let config = swarm::Config::with_tokio_executor()
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS)
        .with_idle_connection_timeout(IDLE_TIMEOUT);
    Ok(Swarm::new(
        transport,
        Behaviour::new(keypair, binding.map(Binding::address)),
        keypair.public().to_peer_id(),
        config,
    ))
}

/// TCP with encryption and a muxer on top.
fn secured<T>(tcp: T, tls: Tls) -> Guarded
where
    T: Transport<Output = tcp::tokio::TcpStream, Error = io::Error> + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let anteroom = Anteroom::new(TCP_HANDSHAKES);
    let door = anteroom.clone();
    let tcp = tcp
        .and_then(move |socket, point| first_word(door, socket, point))
        .map(|socket, _| Buffered::new(Bounded::new(socket)))
        .upgrade(Version::V1Lazy)
        .authenticate(tls)
        .multiplex(Yamux)
        .timeout(UPGRADE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    anteroom.before(tcp)
}

/// Waits until whoever connected says something; nothing is kept ready for the silent.
async fn first_word(
    anteroom: Anteroom,
    socket: tcp::tokio::TcpStream,
    point: ConnectedPoint,
) -> io::Result<tcp::tokio::TcpStream> {
    if let ConnectedPoint::Listener { send_back_addr, .. } = point {
        socket.0.readable().await?;
        anteroom.on_heard(&send_back_addr);
    }
    Ok(socket)
}

/// QUIC for what is QUIC, TCP for the rest.
fn either<T>(
    quic: T,
    tcp: Guarded,
) -> impl Transport<Output = Connection, Error = impl Send + Sync, Dial = impl Send, ListenerUpgrade = impl Send>
+ Send
+ Unpin
where
    T: Transport<Output = (PeerId, quic::Connection), Error = quic::Error> + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let quic = quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed();
    OrTransport::new(Anteroom::new(QUIC_HANDSHAKES).before(quic), tcp).map(|either, _| match either {
        Either::Left(connection) | Either::Right(connection) => connection,
    })
}

fn quic_config(keypair: &Keypair) -> quic::Config {
    let mut config = quic::Config::new(keypair);
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    config.max_concurrent_stream_limit = QUIC_STREAMS;
    config.max_idle_timeout = QUIC_IDLE_MILLIS;
    config
}

/// Where to listen when the user named no address: TCP and QUIC on `port` (0 for any) of every interface, or
/// of `bind`, there without QUIC unless it is loopback.
pub fn default_listen(bind: Option<IpAddr>, port: u16) -> Vec<Multiaddr> {
    let addresses = match bind {
        Some(address) => vec![address],
        None => vec![IpAddr::from([0; 4]), IpAddr::from([0u16; 8])],
    };
    let both = |address: IpAddr| {
        let base = Multiaddr::from(address);
        let tcp = base.clone().with(Protocol::Tcp(port));
        let quic = base.with(Protocol::Udp(port)).with(Protocol::QuicV1);
        [tcp, quic]
    };
    addresses.into_iter().flat_map(both).filter(|address| stays_on(bind, address)).collect()
}

/// Why [`stays_on`] says no, for people.
pub fn why_off(bind: IpAddr, address: &Multiaddr) -> String {
    if is_quic(address) && !bind.is_loopback() {
        return "QUIC cannot be kept on the interface that --bind demands, except on loopback; use TCP"
            .to_owned();
    }
    format!("it is not on {bind}, which --bind demands")
}

fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::QuicV1 | Protocol::Quic))
}

/// Whether an address may be used, listening or dialling, by a node that must stay on `bind`.
///
/// A loopback node talks to loopback only, any other address to its own family only and never to
/// loopback; names are refused because asking for them would leave by another way. QUIC is for loopback: on
/// any other interface its sockets could not be kept.
pub fn stays_on(bind: Option<IpAddr>, address: &Multiaddr) -> bool {
    let Some(bind) = bind else { return true };
    let Some(ip) = ip_of(address) else { return false };
    let is_kept = bind.is_loopback() || !is_quic(address);
    is_kept && ip.is_ipv4() == bind.is_ipv4() && ip.is_loopback() == bind.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_node_stays_on_loopback() {
        let bind = Some(IpAddr::from([127, 0, 0, 1]));
        let stays = |text: &str| stays_on(bind, &text.parse().expect("an address"));
        assert!(stays("/ip4/127.0.0.1/tcp/1"));
        assert!(!stays("/ip4/192.0.2.1/tcp/1"));
        assert!(!stays("/ip6/::1/tcp/1"));
        assert!(!stays("/dns4/localhost/tcp/1"));
    }

    #[test]
    fn without_a_bind_every_address_will_do() {
        assert!(stays_on(None, &"/dns4/example.org/tcp/1".parse().expect("an address")));
    }

    #[test]
    fn a_node_bound_elsewhere_does_without_quic() {
        let bind = Some(IpAddr::from([192, 0, 2, 1]));
        let stays = |text: &str| stays_on(bind, &text.parse().expect("an address"));
        assert!(stays("/ip4/198.51.100.1/tcp/1"));
        assert!(!stays("/ip4/198.51.100.1/udp/1/quic-v1"));
        assert!(!stays("/ip4/127.0.0.1/tcp/1"));
        let text: Vec<String> = default_listen(bind, 7).iter().map(Multiaddr::to_string).collect();
        assert_eq!(text, ["/ip4/192.0.2.1/tcp/7"]);
    }

    #[test]
    fn the_default_listens_on_tcp_and_quic() {
        let addresses = default_listen(Some(IpAddr::from([127, 0, 0, 1])), 7);
        let text: Vec<String> = addresses.iter().map(Multiaddr::to_string).collect();
        assert_eq!(text, ["/ip4/127.0.0.1/tcp/7", "/ip4/127.0.0.1/udp/7/quic-v1"]);
    }
}
