//! Links hear of everybody once, soon and then seldom; floods and lies go unheard.

use libp2p::identity::Keypair;

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

fn record(address: &str) -> SignedRecord {
    let keypair = Keypair::generate_ed25519();
    SignedRecord::sign(&keypair, 1, &[address.parse().expect("an address")]).expect("a record")
}

fn records(count: usize) -> Vec<SignedRecord> {
    (0..count).map(|n| record(&format!("/ip4/192.0.2.1/tcp/{}", n + 1))).collect()
}

fn present(records: &[SignedRecord]) -> BTreeMap<PeerId, Neighbour<'_>> {
    let neighbour = |record| Neighbour { record, flags: PexFlags::REACHED };
    records.iter().map(|record| (record.peer_id(), neighbour(record))).collect()
}

#[test]
fn only_changes_are_told_and_never_more_than_fifty() {
    let records = records(60);
    let mut outbox = Outbox::default();
    let first = outbox.next(at(0), &present(&records), Some(&records[0])).expect("a message");
    assert_eq!((first.added.len(), first.dropped.len(), first.me.is_some()), (50, 0, true));
    let second = outbox.next(at(250), &present(&records), None).expect("a message");
    assert_eq!((second.added.len(), second.dropped.len(), second.me.is_some()), (10, 0, false));
    assert_eq!(outbox.next(at(1250), &present(&records), None), None);
    let third = outbox.next(at(1250), &present(&records[..59]), None).expect("a message");
    assert_eq!(third.dropped, [records[59].peer_id().to_bytes()]);
    assert!(third.added.is_empty());
}

#[test]
fn the_first_messages_are_quick_and_the_later_ones_a_minute_apart() {
    let records = records(12);
    let mut outbox = Outbox::default();
    let mut sent = Vec::new();
    for millis in (0..300_000).step_by(250) {
        // Somebody new for each message.
        if outbox.is_open(at(millis))
            && outbox.next(at(millis), &present(&records[..=sent.len()]), None).is_some()
        {
            sent.push(millis);
        }
    }
    assert_eq!(sent, [0, 250, 1250, 5250, 20_250, 50_250, 110_250, 170_250, 230_250, 290_250]);
}

#[test]
fn nothing_sent_costs_no_turn() {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.next(at(0), &BTreeMap::new(), None), None);
    assert!(outbox.is_open(at(0)));
}

#[test]
fn whoever_keeps_the_pace_is_heard_and_whoever_does_not_is_cut_off() {
    let mut inbox = Inbox::new(at(0));
    for millis in [0, 250, 1250, 5250, 20_250, 50_250] {
        assert_eq!(inbox.admit(at(millis)), Ok(true));
    }
    for minute in 2..100 {
        assert_eq!(inbox.admit(at(60_000 * minute)), Ok(true));
    }
    let mut flooded = Inbox::new(at(0));
    let verdicts: Vec<_> = (0..200).map_while(|n| flooded.admit(at(n)).ok()).collect();
    assert_eq!(verdicts.iter().filter(|heard| **heard).count() as u32, BURST);
    assert_eq!(verdicts.len() as u32, BURST + SKIPPED);
}

#[test]
fn only_what_verifies_is_read() {
    let (own, honest) = (record("/ip4/192.0.2.1/tcp/1"), record("/ip4/192.0.2.2/tcp/1"));
    let mut forged = record("/ip4/192.0.2.3/tcp/1").as_bytes().to_vec();
    *forged.last_mut().expect("not empty") ^= 1;
    let peer = |record: &[u8]| PexPeer { record: record.to_vec(), flags: PexFlags::REACHED };
    let message = PexMessage {
        me: Some(own.as_bytes().to_vec()),
        added: vec![peer(honest.as_bytes()), peer(&forged), peer(honest.as_bytes()), peer(own.as_bytes())],
        dropped: vec![honest.peer_id().to_bytes(), b"nobody".to_vec()],
    };
    let told = read(&message.encode(), own.peer_id()).expect("a message");
    assert_eq!(told.me.as_ref(), Some(&own));
    assert_eq!(told.added, [(honest.clone(), PexFlags::REACHED)]);
    assert_eq!(told.dropped, [honest.peer_id()]);
    let told = read(&message.encode(), PeerId::random()).expect("a message");
    assert_eq!(told.me, None, "a record of somebody else's is not the remote's own");
}

#[test]
fn a_teller_of_peers_that_are_not_there_is_not_listened_to() {
    let mut teller = Teller::default();
    let mut tried = 0;
    for _ in 0..1000 {
        let peer = PeerId::random();
        if teller.on_named(peer, false) {
            tried += 1;
            teller.on_failed(peer);
        }
    }
    assert_eq!(tried, FAILURES_FREE);
    assert_eq!(teller.standing().count(), 0);
}

#[test]
fn a_teller_has_a_hundred_untried_peers_at_most_and_honest_ones_many() {
    let mut teller = Teller::default();
    assert_eq!((0..1000).filter(|_| teller.on_named(PeerId::random(), false)).count(), UNTRIED);
    let mut honest = Teller::default();
    for n in 0..1000 {
        let peer = PeerId::random();
        assert!(honest.on_named(peer, false));
        if n % 3 == 0 { honest.on_failed(peer) } else { honest.on_worked(peer) }
    }
}
