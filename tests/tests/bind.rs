//! `--bind` fails closed: what leaves a machine with two ways out, packet by packet. Needs root.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use samara_tests::content::{difference, write_file};
use samara_tests::netns::capture::{Capture, Seen};
use samara_tests::netns::{Namespace, available};
use samara_tests::process::Samara;
use samara_tests::scene::{PROMPT, Scene, path_text, text, wait_written};

/// A transfer takes seconds, even unoptimized on a busy machine.
const TRANSFER: Duration = Duration::from_secs(120);
/// An unbound node shows itself on the wrong cable within this time.
const LEAK: Duration = Duration::from_secs(60);
/// How long a bound one is watched for not doing so, once it has noticed that its interface is gone: the
/// unbound one needs less than a second.
const WATCH: Duration = Duration::from_secs(5);

/// Bytes of a file that arrives at once, and of one whose transfer can be interrupted.
const SMALL: u64 = 3_000_000;
const LARGE: u64 = 160 << 20;

/// A home with two cables, a friend on the right one, and a stranger on the wrong one, who is the way to
/// everywhere else.
struct Street {
    scene: Scene,
    home: Namespace,
    friend: Namespace,
    _stranger: Namespace,
    file: PathBuf,
}

impl Street {
    fn new(size: u64) -> Self {
        let scene = Scene::new();
        let [home, friend, stranger] = ["home", "friend", "stranger"].map(Namespace::new);
        let file = scene.path("file.bin");
        write_file(&file, size, 7).unwrap();
        let street = Self { scene, home, friend, _stranger: stranger, file };
        street.lay_right_cable();
        street.home.connect("wrong0", &street._stranger, "cable0");
        for (namespace, interface, number) in [(&street.home, "wrong0", 2), (&street._stranger, "cable0", 1)]
        {
            namespace.address(interface, &format!("10.88.0.{number}/24"));
            namespace.address(interface, &format!("fd88::{number}/64"));
        }
        street.home.default_route("10.88.0.1");
        street.home.default_route("fd88::1");
        street
    }

    fn lay_right_cable(&self) {
        self.home.connect("right0", &self.friend, "cable0");
        self.home.address("right0", "10.77.0.2/24");
        self.friend.address("cable0", "10.77.0.1/24");
    }

    /// A node that shares the file, where and how `place` says, and a link that tempts whoever reads it to go
    /// elsewhere: trackers with names, peers everywhere.
    fn seed(&self, place: &Namespace, bind: Option<&str>) -> (Samara, String) {
        let state = self.scene.state("seed");
        let file = path_text(&self.file);
        let mut seed = Samara::start_in(place, bind, "seed", &state, &["seed", &file]);
        let event = seed.wait_for("seeding", PROMPT);
        let mut magnet = text(&event, "magnet");
        let temptations = [
            "203.0.113.9/tcp/4001",
            "203.0.113.9/udp/4001/quic-v1",
            "10.88.0.1/tcp/4001",
            "192.168.77.7/tcp/4001",
        ];
        for address in temptations {
            let peer = PeerId::random();
            magnet.push_str(&format!("&x.lp=/ip4/{address}/p2p/{peer}").replace("=/", "=%2F"));
        }
        magnet.push_str(&format!("&x.lp=/ip6/fd88::1/tcp/4001/p2p/{}", PeerId::random()));
        magnet.push_str("&tr=http%3A%2F%2Ftracker.invalid%3A6969%2Fannounce");
        magnet.push_str("&tr=udp%3A%2F%2Ftracker.invalid%3A6969");
        magnet.push_str("&tr=http%3A%2F%2F203.0.113.9%3A6969%2Fannounce");
        (seed, magnet)
    }

    fn leech(&self, bind: Option<&str>, magnet: &str) -> (Samara, PathBuf) {
        let out = self.scene.path("out");
        let state = self.scene.state("leech");
        // Not --exit: what is said of an interface that came back may come just after the rest of a fast transfer.
        let args = ["get", magnet, "-o", &path_text(&out)];
        (Samara::start_in(&self.home, bind, "leech", &state, &args), out.join("file.bin"))
    }

    fn finish(&self, leech: &mut Samara, arrived: &Path) {
        leech.wait_for("complete", TRANSFER);
        assert_eq!(leech.wait_exit(PROMPT), 0, "{}", leech.story());
        assert_eq!(difference(&self.file, arrived).unwrap(), None);
    }

    /// A whole transfer to home from the friend; gives what left home by all ways but the right one.
    fn transfer(bind: Option<&str>) -> Seen {
        let street = Self::new(SMALL);
        let (_seed, magnet) = street.seed(&street.friend, None);
        let capture = Capture::start(&street.home, &["wrong0", "lo"]);
        let (mut leech, arrived) = street.leech(bind, &magnet);
        street.finish(&mut leech, &arrived);
        capture.seen()
    }
}

/// What makes the interface of a running transfer unusable, and what makes it usable again.
struct Outage {
    begin: fn(&Street),
    end: fn(&Street),
}

const DOWN: Outage =
    Outage { begin: |street| street.home.down("right0"), end: |street| street.home.up("right0") };

/// As a VPN does that ends and is started again.
const REMOVED: Outage =
    Outage { begin: |street| street.home.ip("link del right0"), end: |street| street.lay_right_cable() };

fn assert_silent(seen: &Seen) {
    assert_eq!(seen.packets, 0, "these left by another way:\n{}", seen.first.join("\n"));
}

fn wait_leak(capture: &Capture, leech: &mut Samara) {
    let end = Instant::now() + LEAK;
    while capture.seen().packets == 0 {
        assert!(Instant::now() < end, "an unbound node kept to itself:\n{}", leech.story());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A bound transfer that is interrupted and ends all the same.
fn survives(outage: &Outage, bind: &str) {
    let street = Street::new(LARGE);
    let (_seed, magnet) = street.seed(&street.friend, None);
    let capture = Capture::start(&street.home, &["wrong0", "lo"]);
    let (mut leech, arrived) = street.leech(Some(bind), &magnet);
    let part = arrived.with_extension("bin.part");
    wait_written(&mut leech, &part, 2 << 20, TRANSFER);
    (outage.begin)(&street);
    let is_gone = |event: &serde_json::Value| {
        event["event"] == "warning"
            && event["message"].as_str().is_some_and(|said| said.contains("right0 is gone"))
    };
    leech.wait_until("the warning that the interface is gone", PROMPT, is_gone);
    let end = Instant::now() + WATCH;
    while Instant::now() < end {
        assert_silent(&capture.seen());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(leech.is_running(), "{}", leech.story());
    let mut meanwhile = leech.events().iter().skip_while(|event| !is_gone(event));
    assert!(meanwhile.all(|event| event["stage"] != "autonomous"), "nobody is there to be autonomous with");
    assert!(part.exists(), "the transfer was over before the interface was gone");
    (outage.end)(&street);
    street.finish(&mut leech, &arrived);
    assert!(leech.events().iter().any(|event| event["event"] == "note"), "it is back: {}", leech.story());
    assert_eq!(leech.events().iter().filter(|event| is_gone(event)).count(), 1, "said once");
    assert_silent(&capture.seen());
}

#[test]
fn nothing_leaves_by_another_way_than_the_bound_one() {
    if !available("nothing_leaves_by_another_way_than_the_bound_one") {
        return;
    }
    for bind in ["10.77.0.2", "right0"] {
        assert_silent(&Street::transfer(Some(bind)));
    }
}

#[test]
fn without_bind_the_same_transfer_is_seen_elsewhere() {
    if !available("without_bind_the_same_transfer_is_seen_elsewhere") {
        return;
    }
    let seen = Street::transfer(None);
    assert!(seen.packets > 0, "the capture is blind, or the link tempts nobody");
}

#[test]
fn nothing_leaves_a_node_bound_to_loopback() {
    if !available("nothing_leaves_a_node_bound_to_loopback") {
        return;
    }
    let street = Street::new(SMALL);
    let capture = Capture::start(&street.home, &["wrong0", "right0"]);
    let bind = Some("127.0.0.1");
    let (_seed, magnet) = street.seed(&street.home, bind);
    let (mut leech, arrived) = street.leech(bind, &magnet);
    street.finish(&mut leech, &arrived);
    assert_silent(&capture.seen());
}

#[test]
fn a_transfer_outlives_its_interface_being_down() {
    if !available("a_transfer_outlives_its_interface_being_down") {
        return;
    }
    survives(&DOWN, "10.77.0.2");
}

#[test]
fn a_transfer_outlives_its_interface_being_removed() {
    if !available("a_transfer_outlives_its_interface_being_removed") {
        return;
    }
    survives(&REMOVED, "right0");
}

#[test]
fn without_bind_a_transfer_goes_elsewhere_when_its_interface_is_gone() {
    if !available("without_bind_a_transfer_goes_elsewhere_when_its_interface_is_gone") {
        return;
    }
    let street = Street::new(LARGE);
    let (_seed, magnet) = street.seed(&street.friend, None);
    // Nothing tempts it now: all that is left to leak is the transfer itself.
    let honest: Vec<&str> = magnet.split('&').filter(|part| !part.starts_with("tr=")).collect();
    let own: Vec<&str> = honest.into_iter().filter(|part| !part.contains("4001")).collect();
    let (mut leech, arrived) = street.leech(None, &own.join("&"));
    wait_written(&mut leech, &arrived.with_extension("bin.part"), 2 << 20, TRANSFER);
    let capture = Capture::start(&street.home, &["wrong0"]);
    street.home.down("right0");
    wait_leak(&capture, &mut leech);
}
