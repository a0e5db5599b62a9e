//! Whoever announces is found for an hour, and nobody can crowd others out.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn at(secs: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(secs)
}

fn key(number: u64) -> DhtKey {
    DhtKey::from_slice(&Sha256::digest(number.to_be_bytes())).expect("32 bytes")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

fn address(ip: &str) -> Multiaddr {
    Multiaddr::from(self::ip(ip)).with(libp2p::multiaddr::Protocol::Tcp(4001))
}

fn store() -> ProviderStore {
    ProviderStore::new(&PeerId::random())
}

/// Announces `key` from `from`, naming just that address.
fn announce(
    store: &mut ProviderStore,
    now: Moment,
    key: DhtKey,
    id: PeerId,
    from: &str,
) -> Result<(), Refused> {
    store.keep(now, key, id, &[ip(from)], [address(from)])
}

fn found(store: &ProviderStore, now: Moment, key: &DhtKey) -> Vec<Provider> {
    store.sample(now, key, usize::MAX, &mut ChaCha8Rng::seed_from_u64(1))
}

#[test]
fn a_provider_is_found_until_its_hour_is_over_and_announcing_again_begins_a_new_one() {
    let mut store = store();
    let id = PeerId::random();
    announce(&mut store, at(0), key(1), id, "192.0.2.1").expect("there is room");
    assert_eq!(found(&store, at(3599), &key(1)), [(id, vec![address("192.0.2.1")])]);
    assert_eq!(found(&store, at(3600), &key(1)), []);
    assert_eq!(found(&store, at(0), &key(2)), []);
    announce(&mut store, at(3000), key(1), id, "192.0.2.1").expect("there is room");
    assert_eq!(found(&store, at(6599), &key(1)).len(), 1);
    store.expire(at(6600));
    assert!(store.keys.is_empty() && store.by_provider.is_empty() && store.by_address.is_empty());
    assert_eq!(store.count, 0);
}

#[test]
fn nobody_can_name_an_address_but_his_own() {
    let mut store = store();
    let id = PeerId::random();
    let named = ["198.51.100.7", "192.0.2.1", "127.0.0.1"].map(address);
    store.keep(at(0), key(1), id, &[ip("192.0.2.1")], named).expect("one of them is its own");
    assert_eq!(found(&store, at(0), &key(1)), [(id, vec![address("192.0.2.1")])]);
    let bystander = [address("198.51.100.7"), "/dns4/example.org/tcp/1".parse().expect("an address")];
    let refused = store.keep(at(0), key(1), id, &[ip("192.0.2.1")], bystander);
    assert_eq!(refused, Err(Refused::ElsewhereOnly));
}

#[test]
fn one_address_cannot_crowd_the_others_out_of_a_key_but_one_machine_may_run_many_nodes() {
    let mut store = store();
    for _ in 0..100 {
        let _ = announce(&mut store, at(0), key(1), PeerId::random(), "192.0.2.1");
        announce(&mut store, at(0), key(2), PeerId::random(), "127.0.0.1").expect("this machine has no cap");
    }
    assert_eq!(found(&store, at(0), &key(1)).len(), PER_KEY_AND_ADDRESS);
    assert_eq!(found(&store, at(0), &key(2)).len(), 100);
    announce(&mut store, at(0), key(1), PeerId::random(), "192.0.2.2").expect("its neighbour may");
}

#[test]
fn neither_an_identity_nor_an_address_can_announce_without_end() {
    let mut store = store();
    let id = PeerId::random();
    let kept = |result: Result<(), Refused>| usize::from(result.is_ok());
    let of_one: usize = (0..3000).map(|n| kept(announce(&mut store, at(0), key(n), id, "127.0.0.1"))).sum();
    assert_eq!(of_one, PER_PROVIDER);
    let of_many: usize =
        (0..6000).map(|n| kept(announce(&mut store, at(0), key(n), PeerId::random(), "192.0.2.1"))).sum();
    assert_eq!(of_many, PER_ADDRESS);
}

#[test]
fn a_key_keeps_enough_for_a_fair_sample() {
    let mut store = store();
    for _ in 0..2 * PER_KEY {
        let _ = announce(&mut store, at(0), key(1), PeerId::random(), "127.0.0.1");
    }
    assert_eq!(found(&store, at(0), &key(1)).len(), PER_KEY);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut given = BTreeSet::new();
    for _ in 0..400 {
        let sample = store.sample(at(0), &key(1), 20, &mut rng);
        assert_eq!(sample.len(), 20);
        given.extend(sample.into_iter().map(|(id, _)| id));
    }
    assert_eq!(given.len(), PER_KEY, "everybody is given sooner or later");
}

#[test]
fn when_room_is_short_the_keys_far_from_us_give_way() {
    let mut store = store();
    let mut distances: Vec<Distance> = Vec::new();
    for n in 0..PROVIDERS as u64 + 1000 {
        distances.push(store.distance(&key(n)));
        let _ = announce(&mut store, at(0), key(n), PeerId::random(), "127.0.0.1");
    }
    distances.sort_unstable();
    assert_eq!(store.count, PROVIDERS);
    assert!(store.keys.keys().eq(distances.iter().take(PROVIDERS)), "the nearest are kept");
}

#[test]
fn what_is_over_makes_room_for_what_is_new() {
    let mut store = store();
    for n in 0..PROVIDERS as u64 {
        announce(&mut store, at(0), key(n), PeerId::random(), "127.0.0.1").expect("there is room");
    }
    for n in 0..100 {
        announce(&mut store, at(3600), key(n), PeerId::random(), "127.0.0.1").expect("the old are over");
    }
    assert_eq!(store.count, 100);
}

#[test]
fn our_own_keys_take_nobodys_room() {
    let mut store = store();
    (0..3000).for_each(|n| store.provide(key(n)));
    assert!((0..3000).all(|n| store.is_provided(&key(n))));
    assert_eq!((store.provided().count(), store.count), (3000, 0));
    store.withdraw(&key(7));
    assert!(!store.is_provided(&key(7)));
}
