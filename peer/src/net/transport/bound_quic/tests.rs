//! No dial without a listener, whatever is asked.

use std::future::poll_fn;
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::identity::Keypair;

use super::*;

const DIALS: [DialOpts; 3] = [
    DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse },
    DialOpts { role: Endpoint::Dialer, port_use: PortUse::New },
    DialOpts { role: Endpoint::Listener, port_use: PortUse::New },
];

fn transport() -> BoundQuic {
    BoundQuic::new(quic::Config::new(&Keypair::generate_ed25519()), [127, 0, 0, 1].into())
}

async fn listening(transport: &mut BoundQuic) -> (ListenerId, Multiaddr) {
    let id = ListenerId::next();
    transport.listen_on(id, address("/ip4/127.0.0.1/udp/0/quic-v1")).expect("a free port");
    let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx));
    let event = tokio::time::timeout(Duration::from_secs(10), event).await.expect("an event");
    (id, event.into_new_address().expect("it says where first"))
}

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

fn is_refused(transport: &mut BoundQuic, at: &Multiaddr) -> bool {
    let refused = |dial| matches!(transport.dial(at.clone(), dial), Err(TransportError::Other(_)));
    DIALS.into_iter().all(refused)
}

#[tokio::test]
async fn nothing_is_dialled_without_a_listener() {
    let at = address("/ip4/127.0.0.1/udp/9/quic-v1");
    let mut transport = transport();
    assert!(is_refused(&mut transport, &at));
    let (id, _) = listening(&mut transport).await;
    for dial in DIALS {
        assert!(transport.dial(at.clone(), dial).is_ok());
    }
    assert!(transport.remove_listener(id));
    assert!(is_refused(&mut transport, &at));
}

#[tokio::test]
async fn a_dial_leaves_from_the_listener_even_if_asked_for_a_new_port() {
    let (mut one, mut two) = (transport(), transport());
    let (_, at) = listening(&mut one).await;
    let (_, from) = listening(&mut two).await;
    let dial = two.dial(at, DIALS[1]).expect("there is a listener");
    let incoming = async {
        let event = poll_fn(|cx| Pin::new(&mut one).poll(cx)).await;
        let TransportEvent::Incoming { upgrade, send_back_addr, .. } = event else { panic!("nobody came") };
        (upgrade.await, send_back_addr)
    };
    // The dialling end's listener needs no polling: its socket has a driver of its own.
    let both = futures::future::join(dial, incoming);
    let (dialled, (accepted, seen_from)) =
        tokio::time::timeout(Duration::from_secs(10), both).await.expect("a connection");
    assert!(dialled.is_ok() && accepted.is_ok());
    assert_eq!(seen_from, from);
}

#[tokio::test]
async fn what_is_elsewhere_is_neither_dialled_nor_listened_on() {
    let mut transport = transport();
    listening(&mut transport).await;
    for text in ["/ip4/192.0.2.1/udp/1/quic-v1", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::1/udp/1/quic-v1"] {
        assert!(is_refused(&mut transport, &address(text)), "{text}");
        assert!(transport.listen_on(ListenerId::next(), address(text)).is_err(), "{text}");
    }
    let tcp = transport.dial(address("/ip4/127.0.0.1/tcp/1"), DIALS[0]);
    assert!(matches!(tcp, Err(TransportError::MultiaddrNotSupported(_))));
}
