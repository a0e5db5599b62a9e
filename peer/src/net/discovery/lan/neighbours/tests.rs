//! What is believed of those who speak on the local network, and how many of them are kept.

use libp2p::identity::Keypair;

use super::*;

fn at(secs: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(secs)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

fn instance(n: u32) -> Instance {
    let mut chance = [0; 10];
    chance[..4].copy_from_slice(&n.to_be_bytes());
    Instance::new(chance)
}

fn telling(keypair: &Keypair, seq: u64, addresses: &[&str]) -> Telling {
    let addresses: Vec<Multiaddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    let record = SignedRecord::sign(keypair, seq, &addresses).expect("a record").as_bytes().to_vec();
    Telling { instance: instance(seq as u32), lifetime: LIFETIME, record }
}

fn goodbye(telling: &Telling) -> Telling {
    Telling { lifetime: Duration::ZERO, ..telling.clone() }
}

fn neighbours() -> Neighbours {
    Neighbours::new(PeerId::random())
}

fn heard(keypair: &Keypair, addresses: &[&str]) -> Vec<LanEvent> {
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    vec![LanEvent::Heard { peer: keypair.public().to_peer_id(), addresses }]
}

fn lost(keypair: &Keypair) -> Vec<LanEvent> {
    vec![LanEvent::Lost { peer: keypair.public().to_peer_id() }]
}

#[test]
fn a_peer_is_news_once_and_again_when_it_says_something_new() {
    let (mut neighbours, keypair) = (neighbours(), Keypair::generate_ed25519());
    let first = telling(&keypair, 1, &["/ip4/10.0.0.1/tcp/1"]);
    let sender = ip("10.0.0.1");
    assert_eq!(neighbours.on_told(at(0), sender, first.clone()), heard(&keypair, &["/ip4/10.0.0.1/tcp/1"]));
    assert_eq!(neighbours.on_told(at(1), sender, first.clone()), []);
    let second = telling(&keypair, 2, &["/ip4/10.0.0.1/tcp/2"]);
    assert_eq!(neighbours.on_told(at(2), sender, second), heard(&keypair, &["/ip4/10.0.0.1/tcp/2"]));
    assert_eq!(neighbours.on_told(at(3), sender, first), [], "somebody repeats what it said before");
}

#[test]
fn a_record_is_believed_about_the_address_it_came_from_alone() {
    let keypair = Keypair::generate_ed25519();
    let all = [
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/10.0.0.2/tcp/1",
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/127.0.0.1/tcp/1",
        "/dns4/example.org/tcp/1",
        "/ip4/10.0.0.1/udp/1/quic-v1",
        "/ip6/::1/tcp/1",
    ];
    let said = telling(&keypair, 1, &all);
    let believed = heard(&keypair, &["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"]);
    assert_eq!(neighbours().on_told(at(0), ip("10.0.0.1"), said.clone()), believed);
    for sender in ["10.0.0.9", "127.0.0.1", "::1"] {
        assert_eq!(neighbours().on_told(at(0), ip(sender), said.clone()), [], "{sender}");
    }
}

#[test]
fn what_is_not_signed_and_what_we_say_ourselves_is_not_news() {
    let keypair = Keypair::generate_ed25519();
    let own = telling(&keypair, 1, &["/ip4/10.0.0.1/tcp/1"]);
    let mut neighbours = Neighbours::new(keypair.public().to_peer_id());
    assert_eq!(neighbours.on_told(at(0), ip("10.0.0.1"), own.clone()), []);
    let mut forged = own;
    let last = forged.record.len() - 1;
    forged.record[last] ^= 1;
    assert_eq!(super::tests::neighbours().on_told(at(0), ip("10.0.0.1"), forged), []);
    assert_eq!(neighbours.count(), 0);
}

#[test]
fn a_peer_on_two_networks_is_there_until_it_has_left_both() {
    let (mut neighbours, keypair) = (neighbours(), Keypair::generate_ed25519());
    let cable = telling(&keypair, 1, &["/ip4/10.0.0.1/tcp/1"]);
    let radio = telling(&keypair, 2, &["/ip6/fd00::1/tcp/1"]);
    neighbours.on_told(at(0), ip("10.0.0.1"), cable.clone());
    let both = heard(&keypair, &["/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1"]);
    assert_eq!(neighbours.on_told(at(0), ip("fd00::1"), radio.clone()), both);
    assert_eq!(neighbours.on_told(at(1), ip("10.0.0.1"), goodbye(&cable)), []);
    assert_eq!(neighbours.on_told(at(1), ip("fd00::1"), goodbye(&radio)), lost(&keypair));
    assert_eq!(neighbours.on_told(at(1), ip("fd00::1"), goodbye(&radio)), []);
    assert_eq!(neighbours.on_told(at(2), ip("fd00::1"), radio), heard(&keypair, &["/ip6/fd00::1/tcp/1"]));
}

#[test]
fn a_peer_that_falls_silent_is_lost_when_its_time_is_over() {
    let (mut neighbours, keypair) = (neighbours(), Keypair::generate_ed25519());
    let said = telling(&keypair, 1, &["/ip4/10.0.0.1/tcp/1"]);
    neighbours.on_told(at(0), ip("10.0.0.1"), said.clone());
    neighbours.on_told(at(500), ip("10.0.0.1"), said);
    assert_eq!(neighbours.expire(at(1099)), []);
    assert_eq!(neighbours.expire(at(1100)), lost(&keypair));
    assert_eq!(neighbours.expire(at(1101)), []);
    assert_eq!(neighbours.count(), 0);
}

#[test]
fn a_machine_whose_clock_was_set_back_is_heard_after_its_goodbye() {
    let (mut neighbours, keypair) = (neighbours(), Keypair::generate_ed25519());
    let late = telling(&keypair, 9, &["/ip4/10.0.0.1/tcp/1"]);
    let early = telling(&keypair, 3, &["/ip4/10.0.0.1/tcp/2"]);
    neighbours.on_told(at(0), ip("10.0.0.1"), late.clone());
    assert_eq!(neighbours.on_told(at(1), ip("10.0.0.1"), early.clone()), []);
    neighbours.on_told(at(2), ip("10.0.0.1"), goodbye(&late));
    assert_eq!(neighbours.on_told(at(3), ip("10.0.0.1"), early), heard(&keypair, &["/ip4/10.0.0.1/tcp/2"]));
}

#[test]
fn who_was_heard_lately_need_not_answer() {
    let (mut neighbours, keypair) = (neighbours(), Keypair::generate_ed25519());
    neighbours.on_told(at(0), ip("10.0.0.1"), telling(&keypair, 1, &["/ip4/10.0.0.1/tcp/1"]));
    let known = |secs| neighbours.known(at(secs)).map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(known(299), [instance(1)]);
    assert_eq!(known(300), []);
    assert!(neighbours.knows_all(at(1), &[instance(1)]));
    assert!(!neighbours.knows_all(at(1), &[instance(1), instance(2)]));
}

/// Lets `count` made-up peers speak from `sender`; how many of them are news.
fn make_up(neighbours: &mut Neighbours, now: Moment, sender: &str, count: usize) -> usize {
    let address = format!("/ip4/{sender}/tcp/1");
    let made_up = (0..count).map(|_| telling(&Keypair::generate_ed25519(), 1, &[&address]));
    made_up
        .flat_map(|telling| neighbours.on_told(now, ip(sender), telling))
        .filter(|event| matches!(event, LanEvent::Heard { .. }))
        .count()
}

#[test]
fn of_one_address_a_few_are_kept_however_fast_they_come_and_go() {
    let mut neighbours = neighbours();
    assert_eq!(make_up(&mut neighbours, at(0), "10.0.0.1", 100), PER_SENDER);
    let keypair = Keypair::generate_ed25519();
    let mut news = 0;
    for secs in 0..LEAST_STAY.as_secs() {
        let said = telling(&keypair, secs, &["/ip4/10.0.0.1/tcp/1"]);
        news += neighbours.on_told(at(secs), ip("10.0.0.1"), said.clone()).len();
        neighbours.on_told(at(secs), ip("10.0.0.1"), goodbye(&said));
        neighbours.expire(at(secs));
    }
    assert_eq!(news, 0, "no place came free");
}

#[test]
fn a_peer_that_speaks_from_an_address_of_its_own_is_heard_in_any_crowd() {
    let mut neighbours = neighbours();
    for n in 0..20 {
        make_up(&mut neighbours, at(0), &format!("10.0.1.{n}"), PER_SENDER);
    }
    assert_eq!(neighbours.count(), PEERS);
    let keypair = Keypair::generate_ed25519();
    let said = telling(&keypair, 1, &["/ip4/10.0.0.1/tcp/1"]);
    let events = neighbours.on_told(at(1), ip("10.0.0.1"), said);
    assert!(matches!(events[..], [LanEvent::Lost { .. }, LanEvent::Heard { .. }]), "{events:?}");
    assert_eq!(neighbours.count(), PEERS);
}

#[test]
fn one_peer_speaks_from_a_few_addresses() {
    let (mut neighbours, keypair) = (neighbours(), Keypair::generate_ed25519());
    let news = (0..20).flat_map(|n| {
        let said = telling(&keypair, 1, &[&format!("/ip4/10.0.0.{n}/tcp/1")]);
        neighbours.on_told(at(0), ip(&format!("10.0.0.{n}")), said)
    });
    assert_eq!(news.count(), SENDERS_PER_PEER);
}

#[test]
fn whoever_speaks_in_the_name_of_hundreds_of_machines_keeps_nobody_out_once_they_were_dialled_in_vain() {
    let mut neighbours = neighbours();
    let mut made_up = Vec::new();
    for n in 0..PEERS {
        let (keypair, sender) = (Keypair::generate_ed25519(), format!("10.0.{}.{}", n / 200, 1 + n % 200));
        let said = telling(&keypair, 1, &[&format!("/ip4/{sender}/tcp/1")]);
        assert_eq!(neighbours.on_told(at(0), ip(&sender), said).len(), 1);
        made_up.push(keypair);
    }
    let keypair = Keypair::generate_ed25519();
    let said = telling(&keypair, 1, &["/ip4/10.0.9.9/tcp/1"]);
    assert_eq!(neighbours.on_told(at(1), ip("10.0.9.9"), said.clone()), [], "all places are taken");

    neighbours.on_doubted(made_up[7].public().to_peer_id());
    neighbours.on_doubted(PeerId::random());
    let expected = [lost(&made_up[7]), heard(&keypair, &["/ip4/10.0.9.9/tcp/1"])].concat();
    assert_eq!(neighbours.on_told(at(2), ip("10.0.9.9"), said), expected);
    assert_eq!(neighbours.count(), PEERS);
}
