//! Which sockets the transport makes, and which it refuses.

use std::future::poll_fn;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::Endpoint;
use socket2::SockRef;

use super::*;

const DIAL: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };

fn transport() -> BoundTcp {
    BoundTcp::new(Binding::find([127, 0, 0, 1].into()).expect("every machine has loopback"))
}

async fn next(transport: &mut BoundTcp) -> Event {
    let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx));
    tokio::time::timeout(Duration::from_secs(10), event).await.expect("an event")
}

async fn listening(transport: &mut BoundTcp) -> Multiaddr {
    transport.listen_on(ListenerId::next(), address("/ip4/127.0.0.1/tcp/0")).expect("a free port");
    next(transport).await.into_new_address().expect("it says where first")
}

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

/// Both ends of a connection from `dialler` to `listener` at `at`.
async fn connection(
    dialler: &mut BoundTcp,
    listener: &mut BoundTcp,
    at: &Multiaddr,
) -> (TcpStream, TcpStream) {
    let dial = dialler.dial(at.clone(), DIAL).expect("an address of ours");
    let accept = async { next(listener).await.into_incoming().expect("somebody comes").0.await };
    let (dialled, accepted) = futures::join!(dial, accept);
    (dialled.expect("dialled"), accepted.expect("accepted"))
}

#[tokio::test]
async fn bytes_pass_and_both_ends_are_bound() {
    let (mut one, mut two) = (transport(), transport());
    let at = listening(&mut one).await;
    let from = listening(&mut two).await;
    let (mut dialled, mut accepted) = connection(&mut two, &mut one, &at).await;
    dialled.write_all(b"seed").await.expect("written");
    let mut read = [0; 4];
    accepted.read_exact(&mut read).await.expect("read");
    assert_eq!(&read, b"seed");
    assert_eq!(
        multiaddr(dialled.0.local_addr().expect("connected")),
        from,
        "it left from the listener's port"
    );
    #[cfg(target_os = "linux")]
    for stream in [&dialled, &accepted] {
        let device = SockRef::from(&stream.0).device().expect("a device");
        assert_eq!(device.as_deref(), Some(one.binding.interface().as_bytes()));
    }
}

#[tokio::test]
async fn a_second_connection_between_the_same_ports_leaves_from_another_but_bound() {
    let (mut one, mut two) = (transport(), transport());
    let at = listening(&mut one).await;
    let from = listening(&mut two).await;
    let _first = connection(&mut two, &mut one, &at).await;
    let (second, _accepted) = connection(&mut two, &mut one, &at).await;
    let local = second.0.local_addr().expect("connected");
    assert_eq!(local.ip(), one.binding.address());
    assert_ne!(multiaddr(local), from);
    #[cfg(target_os = "linux")]
    assert!(SockRef::from(&second.0).device().expect("a device").is_some());
}

#[tokio::test]
async fn what_is_elsewhere_is_neither_dialled_nor_listened_on() {
    let mut transport = transport();
    for text in ["/ip4/192.0.2.1/tcp/1", "/ip6/::1/tcp/1"] {
        assert!(matches!(transport.dial(address(text), DIAL), Err(TransportError::Other(_))), "{text}");
    }
    for text in ["/ip4/127.0.0.1/udp/1/quic-v1", "/dns4/localhost/tcp/1", "/ip4/127.0.0.1/tcp/1/ws"] {
        let refused = transport.dial(address(text), DIAL);
        assert!(matches!(refused, Err(TransportError::MultiaddrNotSupported(_))), "{text}");
    }
    for text in ["/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.2/tcp/0"] {
        assert!(transport.listen_on(ListenerId::next(), address(text)).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_closed_listener_says_so_and_gives_its_port_back() {
    let mut transport = transport();
    let id = ListenerId::next();
    transport.listen_on(id, address("/ip4/127.0.0.1/tcp/0")).expect("a free port");
    let at = next(&mut transport).await.into_new_address().expect("it says where first");
    assert!(transport.remove_listener(id));
    assert!(
        matches!(next(&mut transport).await, TransportEvent::ListenerClosed { listener_id, .. } if listener_id == id)
    );
    assert!(!transport.remove_listener(id));
    let port = socket_address(&at).expect("TCP").port();
    transport.binding.tcp_listener(port, Sharing::Alone).expect("the port is free");
}
