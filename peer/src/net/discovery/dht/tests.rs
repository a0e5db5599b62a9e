//! Whom it wants to dial is asked, whom it believes is sifted, and nobody speaks for anybody else.

use std::task::Waker;

use libp2p::kad::ConnectionType;

use super::*;

/// A behaviour without a network under it.
struct Lone(DhtBehaviour);

const HERE: &str = "/ip4/192.0.2.1/tcp/4001";
const ELSEWHERE: &str = "/ip4/198.51.100.7/tcp/443";

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

fn key() -> DhtKey {
    DhtKey::from_slice(&[7; 32]).expect("32 bytes")
}

fn named(id: PeerId, addresses: &[&str]) -> KadPeer {
    let multiaddrs = addresses.iter().map(|text| address(text)).collect();
    KadPeer { node_id: id, multiaddrs, connection_ty: ConnectionType::NotConnected }
}

impl Lone {
    fn new() -> Self {
        Self(DhtBehaviour::new(PeerId::random(), Reach::Everybody))
    }

    /// Everything it has to say by now.
    fn actions(&mut self) -> Vec<ToSwarm<DhtEvent, ToHandler>> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut actions = Vec::new();
        while let Poll::Ready(action) = self.0.poll(&mut cx) {
            actions.push(action);
        }
        actions
    }

    fn events(&mut self) -> Vec<DhtEvent> {
        let events = self.actions().into_iter().filter_map(|action| match action {
            ToSwarm::GenerateEvent(event) => Some(event),
            ToSwarm::Dial { .. } => panic!("it dials by itself"),
            _ => None,
        });
        events.collect()
    }

    /// A peer dials us from `from`.
    fn meet(&mut self, from: &str) -> (PeerId, ConnectionId) {
        let (peer, connection) =
            (PeerId::random(), ConnectionId::new_unchecked(rand::random_range(1..1 << 30)));
        let (local, remote) = (address("/ip4/203.0.113.1/tcp/1"), address(from));
        let handler = self.0.handle_established_inbound_connection(connection, peer, &local, &remote);
        assert!(handler.is_ok(), "it refuses nobody");
        let endpoint = ConnectedPoint::Listener { local_addr: local, send_back_addr: remote };
        self.0.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        (peer, connection)
    }

    fn part(&mut self, peer: PeerId, connection: ConnectionId) {
        let endpoint = ConnectedPoint::Listener { local_addr: address(HERE), send_back_addr: address(HERE) };
        self.0.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
    }

    /// A node of the DHT that was met at `HERE` and is gone again.
    fn known_node(&mut self) -> PeerId {
        let (peer, connection) = self.meet("/ip4/192.0.2.1/tcp/50000");
        self.0.on_identified(peer, &[PROTOCOL], &[address(HERE)]);
        self.part(peer, connection);
        peer
    }
}

#[test]
fn whom_a_query_wants_is_asked_of_the_node_and_a_refusal_ends_it_at_once() {
    let mut lone = Lone::new();
    let node = lone.known_node();
    assert!(matches!(lone.events()[..], [DhtEvent::Nodes { count: 1 }]));
    let query = lone.0.look_up(key());

    let events = lone.events();
    let [DhtEvent::Wanted { peer, addresses }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*peer, &addresses[..]), (node, &[address(HERE)][..]));

    lone.0.on_not_dialled(node);
    let events = lone.events();
    assert!(
        matches!(events[..], [DhtEvent::Ended { query: ended, reached: 0 }] if ended == query),
        "{events:?}"
    );
}

#[test]
fn nobody_is_put_into_the_table_with_an_address_he_does_not_have() {
    let mut lone = Lone::new();
    let (peer, _) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    lone.0.on_identified(peer, &[PROTOCOL], &[address(ELSEWHERE), address("/ip4/127.0.0.1/tcp/1")]);
    assert_eq!(lone.0.nodes(), 0);
    lone.0.on_identified(peer, &[PROTOCOL], &[address(ELSEWHERE), address(HERE)]);
    let own = address(HERE).with_p2p(peer).expect("an address without an identity");
    assert_eq!(lone.0.known_nodes(), [(peer, vec![own])]);
}

#[test]
fn a_peer_that_does_not_serve_the_dht_any_more_is_taken_out() {
    let mut lone = Lone::new();
    let (peer, _) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    lone.0.on_identified(peer, &[], &[address(HERE)]);
    assert_eq!(lone.0.nodes(), 0);
    lone.0.on_identified(peer, &[PROTOCOL], &[address(HERE)]);
    assert_eq!(lone.0.nodes(), 1);
    lone.0.on_identified(peer, &[], &[address(HERE)]);
    assert_eq!((lone.0.nodes(), lone.0.known_nodes()), (0, Vec::new()));
}

#[test]
fn providers_are_passed_on_as_far_as_their_teller_is_believed_and_are_not_dialled() {
    let mut lone = Lone::new();
    let (node, connection) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    lone.0.on_identified(node, &[PROTOCOL], &[address(HERE)]);
    let query = lone.0.look_up(key());
    lone.actions();

    let honest = PeerId::random();
    let own_id = lone.0.own_id;
    let provider_peers = vec![
        named(honest, &[ELSEWHERE, "/ip4/127.0.0.1/tcp/22", "/ip4/192.168.0.1/tcp/80"]),
        named(PeerId::random(), &["/ip4/127.0.0.1/tcp/22"]),
        named(own_id, &[ELSEWHERE]),
    ];
    let answer = FromHandler::GetProvidersRes { closer_peers: Vec::new(), provider_peers, query_id: query };
    lone.0.on_connection_handler_event(node, connection, answer);

    let events = lone.events();
    let [DhtEvent::Found { providers, .. }, DhtEvent::Ended { reached: 1, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*providers, [(honest, vec![address(ELSEWHERE)])]);
}

#[test]
fn of_nodes_that_an_answer_names_those_are_asked_for_that_can_be() {
    let mut lone = Lone::new();
    let (node, connection) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    lone.0.on_identified(node, &[PROTOCOL], &[address(HERE)]);
    let query = lone.0.look_up(key());
    lone.actions();

    let other = PeerId::random();
    let closer_peers = vec![named(other, &[ELSEWHERE]), named(PeerId::random(), &["/ip4/10.0.0.1/tcp/80"])];
    let answer = FromHandler::GetProvidersRes { closer_peers, provider_peers: Vec::new(), query_id: query };
    lone.0.on_connection_handler_event(node, connection, answer);

    let events = lone.events();
    let [DhtEvent::Wanted { peer, addresses }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*peer, &addresses[..]), (other, &[address(ELSEWHERE)][..]));
}

#[test]
fn a_lookup_is_not_over_because_one_node_names_many() {
    let mut lone = Lone::new();
    let (node, connection) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    lone.0.on_identified(node, &[PROTOCOL], &[address(HERE)]);
    let query = lone.0.look_up(key());
    lone.actions();
    let provider_peers = (0..1000).map(|_| named(PeerId::random(), &[ELSEWHERE])).collect();
    let closer_peers = vec![named(PeerId::random(), &[ELSEWHERE])];
    let answer = FromHandler::GetProvidersRes { closer_peers, provider_peers, query_id: query };
    lone.0.on_connection_handler_event(node, connection, answer);

    let events = lone.events();
    let [DhtEvent::Found { providers, .. }, DhtEvent::Wanted { .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(providers.len(), 20);
}

#[test]
fn an_announce_counts_for_whoever_makes_it_from_where_he_makes_it() {
    let mut lone = Lone::new();
    let (source, connection) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    let announce = |lone: &mut Lone, id, addresses: &[&str]| {
        let key = RecordKey::new(key().as_bytes());
        let event = FromHandler::AddProvider { key, provider: named(id, addresses) };
        lone.0.on_connection_handler_event(source, connection, event);
        lone.0.inner.store_mut().announced(&self::key())
    };
    assert_eq!(announce(&mut lone, PeerId::random(), &[HERE]), [], "in somebody else's name");
    assert_eq!(announce(&mut lone, source, &[ELSEWHERE]), [], "at somebody else's door");
    assert_eq!(announce(&mut lone, source, &[ELSEWHERE, HERE]), [(source, vec![address(HERE)])]);
}

#[test]
fn a_node_that_cannot_be_reached_is_forgotten_unless_nobody_can() {
    let failed = |lone: &mut Lone, peer| {
        let error = &DialError::Transport(Vec::new());
        let connection_id = ConnectionId::new_unchecked(0);
        let failure = DialFailure { peer_id: Some(peer), error, connection_id };
        lone.0.on_swarm_event(FromSwarm::DialFailure(failure));
    };
    let mut lone = Lone::new();
    let node = lone.known_node();
    (0..10).for_each(|_| failed(&mut lone, node));
    assert_eq!(lone.0.nodes(), 1, "it is we who are cut off");
    lone.meet("/ip4/192.0.2.2/tcp/50000");
    (0..3).for_each(|_| failed(&mut lone, node));
    assert_eq!(lone.0.nodes(), 0);
}

#[test]
fn a_query_that_was_given_up_is_heard_of_no_more() {
    let mut lone = Lone::new();
    lone.known_node();
    lone.events();
    let lookup = lone.0.look_up(key());
    let announce = lone.0.announce(Moment::ZERO, key()).expect("our own store takes it");
    lone.0.give_up(lookup);
    lone.0.give_up(announce);
    let ended = lone.events().into_iter().filter(|event| matches!(event, DhtEvent::Ended { .. })).count();
    assert_eq!(ended, 0);
}

#[test]
fn an_announce_does_not_wait_for_nodes_that_a_liar_made_up() {
    let mut lone = Lone::new();
    let (liar, connection) = lone.meet("/ip4/192.0.2.1/tcp/50000");
    lone.0.on_identified(liar, &[PROTOCOL], &[address(HERE)]);
    let query_id = lone.0.announce(Moment::ZERO, key()).expect("one key fits");
    lone.actions();
    let closer_peers = (0..20).map(|_| named(PeerId::random(), &[ELSEWHERE])).collect();
    let answer = FromHandler::FindNodeRes { closer_peers, query_id };
    lone.0.on_connection_handler_event(liar, connection, answer);
    let is_waiting = |events: &[DhtEvent]| matches!(events, [DhtEvent::Wanted { .. }, ..]);
    assert!(is_waiting(&lone.events()), "for those who never answer");

    lone.0.hasten_announces(Moment::ZERO + ANNOUNCE_LOOKING);
    let told = lone.actions().into_iter().find_map(|action| match action {
        ToSwarm::NotifyHandler { peer_id, event: ToHandler::AddProvider { .. }, .. } => Some(peer_id),
        _ => None,
    });
    assert_eq!(told, Some(liar), "whoever answered is told, here the liar alone");
}
