//! Golden lines: the exact names that scripts rely on.

use serde_json::{Value, json};

use super::*;

fn hashes() -> Hashes {
    Hashes { infohash_v1: Some("11".into()), infohash_v2: None }
}

fn which() -> Which {
    Which { node: None, name: "big.bin".into(), hashes: hashes() }
}

#[track_caller]
fn check(event: Event, expected: Value) {
    assert_eq!(serde_json::to_value(event).unwrap(), expected);
}

#[test]
fn listening_has_the_contract_s_fields() {
    check(
        Event::Listening { protocol: "http", address: "127.0.0.1:6969".into(), node: None },
        json!({"event": "listening", "protocol": "http", "address": "127.0.0.1:6969"}),
    );
}

#[test]
fn created_has_the_contract_s_fields() {
    check(
        Event::Created { torrent: "a.torrent".into(), hashes: hashes() },
        json!({"event": "created", "torrent": "a.torrent", "infohash_v1": "11", "infohash_v2": null}),
    );
}

#[test]
fn seeding_has_the_contract_s_fields() {
    check(
        Event::Seeding {
            name: "a".into(),
            magnet: "magnet:?xt=urn:btih:11".into(),
            torrent: "a.torrent".into(),
            hashes: hashes(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            node: None,
        },
        json!({"event": "seeding", "name": "a", "magnet": "magnet:?xt=urn:btih:11", "torrent": "a.torrent",
               "infohash_v1": "11", "infohash_v2": null, "addresses": ["/ip4/127.0.0.1/tcp/1"]}),
    );
}

#[test]
fn progress_has_the_contract_s_fields() {
    let progress = Progress {
        bytes_done: 1,
        bytes_total: 2,
        down_rate: 3,
        up_rate: 4,
        bytes_received: 6,
        bytes_sent: 7,
        peers: 5,
        interested_peers: 6,
        stage: Stage::Assisted,
        autonomy: 0.5,
        why: String::new(),
        named_by: vec![(Source::Pex, 4), (Source::Dht, 1)],
        live_peers: 6,
        waiting: Some(Waiting::ForPieces),
        pieces_unseen: 8,
        found_peers: 2,
        asked_peers: 0,
    };
    check(
        Event::progress(which(), &progress),
        json!({"event": "progress", "name": "big.bin", "infohash_v1": "11", "infohash_v2": null,
               "bytes_done": 1, "bytes_total": 2, "down_rate": 3, "up_rate": 4,
               "bytes_received": 6, "bytes_sent": 7, "peers": 5,
               "stage": "assisted", "autonomy": 0.5, "named_by": {"pex": 4, "dht": 1}, "live_peers": 6,
               "waiting_for": "pieces", "pieces_unseen": 8}),
    );
}

#[test]
fn a_linked_peer_is_told_with_its_source() {
    check(
        Event::Linked { which: which(), peer: "12D3Koo".into(), source: "dht" },
        json!({"event": "linked", "name": "big.bin", "infohash_v1": "11", "infohash_v2": null,
               "peer": "12D3Koo", "source": "dht"}),
    );
}

#[test]
fn an_event_of_a_demo_names_its_node_too() {
    check(
        Event::Linked {
            which: Which { node: Some("leech 1"), ..which() },
            peer: "12D3Koo".into(),
            source: "dht",
        },
        json!({"event": "linked", "node": "leech 1", "name": "big.bin", "infohash_v1": "11",
               "infohash_v2": null, "peer": "12D3Koo", "source": "dht"}),
    );
}

#[test]
fn who_can_dial_the_node_is_told_with_its_addresses() {
    check(
        Event::Reachable { by: "local_network", addresses: vec!["/ip4/10.0.0.1/tcp/1".into()] },
        json!({"event": "reachable", "by": "local_network", "addresses": ["/ip4/10.0.0.1/tcp/1"]}),
    );
}

#[test]
fn stage_has_the_contract_s_fields() {
    check(
        Event::Stage {
            which: which(),
            stage: stage_name(Stage::Autonomous),
            autonomy: 1.0,
            why: "so".into(),
        },
        json!({"event": "stage", "name": "big.bin", "infohash_v1": "11", "infohash_v2": null,
               "stage": "autonomous", "autonomy": 1.0, "why": "so"}),
    );
}

#[test]
fn complete_has_the_contract_s_fields() {
    check(
        Event::Complete {
            which: which(),
            bytes: 9,
            seconds: 1.5,
            bytes_from: bytes_from(&[(Source::Tracker, 4), (Source::Link, 5)]),
            peers: 2,
        },
        json!({"event": "complete", "name": "big.bin", "infohash_v1": "11", "infohash_v2": null,
               "bytes": 9, "seconds": 1.5, "bytes_from": {"tracker": 4, "link": 5}, "peers": 2}),
    );
}

#[test]
fn warning_and_error_carry_a_message() {
    check(Event::Warning { message: "w".into(), node: None }, json!({"event": "warning", "message": "w"}));
    check(Event::Error { message: "e".into() }, json!({"event": "error", "message": "e"}));
}

#[test]
fn show_prints_null_where_a_link_does_not_know() {
    let shown = Shown {
        name: None,
        hashes: hashes(),
        piece_length: None,
        pieces: None,
        total_size: None,
        private: None,
        trackers: vec![],
        magnet: "magnet:?".into(),
        files: None,
        comment: None,
        created_by: None,
        peers: vec![],
        swarm: None,
    };
    assert_eq!(
        serde_json::to_value(shown).unwrap(),
        json!({"name": null, "infohash_v1": "11", "infohash_v2": null, "piece_length": null, "pieces": null,
               "total_size": null, "private": null, "trackers": [], "magnet": "magnet:?", "files": null,
               "comment": null, "created_by": null, "peers": []}),
    );
}

#[test]
fn what_a_tracker_says_is_figures_or_an_error() {
    let tracker = || "udp://127.0.0.1:1".to_owned();
    let said = [
        ShownSwarm::Figures { tracker: tracker(), seeds: 1, leeches: 2, completed: 3 },
        ShownSwarm::Error { tracker: tracker(), error: "no answer".into() },
    ];
    assert_eq!(
        serde_json::to_value(said).unwrap(),
        json!([{"tracker": "udp://127.0.0.1:1", "seeds": 1, "leeches": 2, "completed": 3},
               {"tracker": "udp://127.0.0.1:1", "error": "no answer"}]),
    );
}

#[test]
fn verify_has_the_contract_s_fields() {
    let file = |path: &str, problem| ProblemFile { path: path.into(), problem };
    let verified = Verified {
        name: "n".into(),
        hashes: hashes(),
        pieces_total: 3,
        pieces_good: 2,
        complete: false,
        files: vec![file("a", Problem::Missing), file("b", Problem::Bad), file("c", Problem::WrongSize)],
    };
    assert_eq!(
        serde_json::to_value(verified).unwrap(),
        json!({"name": "n", "infohash_v1": "11", "infohash_v2": null,
               "pieces_total": 3, "pieces_good": 2, "complete": false,
               "files": [{"path": "a", "problem": "missing"}, {"path": "b", "problem": "bad"},
                         {"path": "c", "problem": "wrong_size"}]}),
    );
}

#[test]
fn every_source_has_its_glossary_name() {
    use Source::*;
    let names = [Tracker, Dht, Pex, Lan, Cache, Link, Incoming].map(source_name);
    assert_eq!(names, ["tracker", "dht", "pex", "lan", "cache", "link", "incoming"]);
}
