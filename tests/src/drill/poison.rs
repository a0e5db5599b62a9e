//! A source of peers is poisoned: it names a thousand peers that do not exist, at one bystander's ports or at a
//! thousand strangers' doors.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::network::{Machine, Network};
use super::stage::{Content, Peer, Stage};
use crate::netns::doorbell::{Dial, Doorbell};
use crate::patience;
use crate::rogue::MADE_UP;
use crate::rogue::child::Rogue;
use crate::scene::{PROMPT, Scene, path_text};

/// What a machine's cable carries, in megabits a second.
const CABLE: u32 = 400;
/// Dials by one honest node that are nothing a bystander complains of.
const HANDFUL: usize = 12;
/// Nothing but lies is heard for so long after the first of them was believed.
const LIES_ALONE: Duration = Duration::from_secs(4);
/// Addresses for measurements (RFC 2544): in nobody's house as far as a node can tell, and nobody's in truth.
const FAR_AWAY: [u8; 2] = [198, 18];
/// The drill's own network.
const NEAR: [u8; 2] = [10, 77];
/// The first of the networks that strangers are in, and how many are in each.
const STRANGERS_FROM: u16 = 64;
const STRANGERS_EACH: u16 = 10;

/// Whose doors the poisoned source names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doors {
    /// Ports of one bystander.
    OneBystanders,
    /// One at each of a thousand addresses that begin so.
    Strangers([u8; 2]),
}

/// The machines of one try. What they can reach besides each other ends at the bystander, who counts it.
struct Town {
    bystander: Machine,
    poisoner: Machine,
    homes: [Machine; 3],
    doorbell: Doorbell,
    doors: PathBuf,
    _network: Network,
}

/// The trackers that answer first name made-up peers alone; an honest one knows the seed.
pub(super) fn tracker(stage: &mut Stage) -> String {
    in_both_towns(stage, FAR_AWAY, |stage, town, content| {
        let liars = town.lie(&["tracker", &town.poisoner.address().to_string()]);
        let [helper, giver, taker] = &town.homes;
        let honest = stage.tracker_on(helper);
        let trackers: Vec<&str> = liars.found_at.iter().map(String::as_str).chain([&*honest.http]).collect();
        let args = ["--discovery", "tracker"];
        stage.move_to(taker.place());
        let mut newcomer = stage.join("newcomer", &content.link(&[], &trackers), &args);
        town.hear_lies(&mut newcomer);

        stage.move_to(giver.place());
        let own = trackers.iter().flat_map(|&url| ["--tracker", url]);
        let args: Vec<&str> = args.into_iter().chain(own).collect();
        let seed = stage.seed("seed", content, &args);
        finish(newcomer, content, vec![seed], &["tracker"])
    })
}

/// A peer that claims to have everything names made-up ones; an honest one comes later, and knows the seed.
pub(super) fn pex(stage: &mut Stage) -> String {
    const PEX: [&str; 2] = ["--discovery", "pex"];
    in_both_towns(stage, FAR_AWAY, |stage, town, content| {
        let ip = town.poisoner.address().to_string();
        let liar = town.lie(&["pex", &ip, &path_text(&content.torrent), &path_text(&content.path)]);
        let [helper, giver, taker] = &town.homes;
        stage.move_to(taker.place());
        // A liar gives no metainfo either, and who has none exchanges no peers.
        let args = [&PEX[..], &["--peer", &liar.found_at[0]]].concat();
        let mut newcomer = stage.join("newcomer", &path_text(&content.torrent), &args);
        town.hear_lies(&mut newcomer);

        stage.move_to(giver.place());
        let mut seed = stage.seed("seed", content, &PEX);
        stage.move_to(helper.place());
        let known = [seed.address_at(giver), newcomer.address_at(taker)];
        let helper = stage.join("helper", &content.link(&[&known[0], &known[1]], &[]), &PEX);
        finish(newcomer, content, vec![seed, helper], &["pex", "link"])
    })
}

/// Of the two ways into the DHT that a newcomer knows one leads to a node that names made-up peers and nodes.
pub(super) fn dht(stage: &mut Stage) -> String {
    in_both_towns(stage, FAR_AWAY, |stage, town, content| {
        let liar = town.lie(&["dht", &town.poisoner.address().to_string()]);
        let [helper, giver, taker] = &town.homes;
        stage.move_to(helper.place());
        let args = ["--discovery", "dht", "--bootstrap", &liar.found_at[0]];
        let mut node = stage.node("node", &args);
        let way_in = node.address_at(helper);
        let args = [&args[..], &["--bootstrap", &way_in]].concat();
        stage.move_to(taker.place());
        let mut newcomer = stage.join("newcomer", &content.link(&[], &[]), &args);
        town.hear_lies(&mut newcomer);

        stage.move_to(giver.place());
        let seed = stage.seed("seed", content, &args);
        finish(newcomer, content, vec![node, seed], &["dht"])
    })
}

/// Somebody on the local network makes up neighbours, in the name of the machines where they are said to be.
pub(super) fn lan(stage: &mut Stage) -> String {
    const LAN: [&str; 2] = ["--discovery", "lan"];
    in_both_towns(stage, NEAR, |stage, town, content| {
        let [_, giver, taker] = &town.homes;
        stage.move_to(taker.place());
        let mut newcomer = stage.join("newcomer", &content.link(&[], &[]), &LAN);
        newcomer.process.wait_for("stage", PROMPT);
        let ip = town.poisoner.address().to_string();
        let _ = town.lie(&["lan", &ip]);
        assert_eq!(town.doorbell.dials(), [], "in his own name he names others in vain");
        let _ = town.lie(&["lan", &ip, "--in-their-name"]);
        town.hear_lies(&mut newcomer);

        stage.move_to(giver.place());
        let seed = stage.seed("seed", content, &LAN);
        finish(newcomer, content, vec![seed], &["lan"])
    })
}

/// Tries it with each kind of doors: strangers' are below `far`.
fn in_both_towns(
    stage: &mut Stage,
    strangers: [u8; 2],
    run: impl Fn(&mut Stage, &Town, &Content) -> String,
) -> String {
    let mut remarks = Vec::new();
    for (name, doors) in [("bystander", Doors::OneBystanders), ("strangers", Doors::Strangers(strangers))] {
        stage.scene = Scene::new();
        let content = stage.content(stage.by_scale(4, 16));
        let town = Town::new(stage, doors);
        let found = run(stage, &town, &content);
        remarks.push(format!("{name}: {}, {found}", town.verdict(doors)));
    }
    remarks.join("; ")
}

/// Waits until the newcomer has everything, from peers that `sources` found.
fn finish(mut newcomer: Peer, content: &Content, _others: Vec<Peer>, sources: &[&str]) -> String {
    let began = Instant::now();
    let found = newcomer.complete(content);
    assert!(found.only_by(sources), "{found}");
    format!("complete {:.1} s after the seed came ({found})", began.elapsed().as_secs_f64())
}

impl Town {
    fn new(stage: &Stage, doors: Doors) -> Self {
        let mut network = Network::new();
        let bystander = network.machine("left", CABLE);
        let poisoner = network.machine("left", CABLE);
        let homes = [(); 3].map(|()| network.machine("right", CABLE));
        for home in &homes {
            home.leave_by(&bystander);
        }
        let addresses: Vec<String> = match doors {
            Doors::OneBystanders => {
                (0..MADE_UP).map(|n| format!("/ip4/{}/tcp/{}", bystander.address(), 10_000 + n)).collect()
            }
            Doors::Strangers([first, second]) => {
                let door = |n: u16| {
                    let [third, fourth] = [STRANGERS_FROM + n / STRANGERS_EACH, 1 + n % STRANGERS_EACH];
                    let ip = Ipv4Addr::new(first, second, third as u8, fourth as u8);
                    let way = if n.is_multiple_of(3) { "udp/4001/quic-v1" } else { "tcp/4001" };
                    format!("/ip4/{ip}/{way}")
                };
                (0..MADE_UP).map(door).collect()
            }
        };
        if let Doors::Strangers(NEAR) = doors {
            // Somebody must be there for a dial to be seen at all; nobody listens.
            bystander.answer_for("10.77.64.0/18");
            bystander.answer_for("10.77.128.0/17");
        }
        let path = stage.scene.path("doors");
        std::fs::write(&path, addresses.join("\n")).expect("the scratch folder is writable");
        let doorbell = Doorbell::listen(bystander.namespace(), "eth0");
        Self { bystander, poisoner, homes, doorbell, doors: path, _network: network }
    }

    fn lie(&self, args: &[&str]) -> Rogue {
        Rogue::start(self.poisoner.namespace(), &self.doors, args)
    }

    /// Waits until the newcomer has believed a lie, and some more.
    fn hear_lies(&self, newcomer: &mut Peer) {
        patience::wait_for("a false address is dialled", PROMPT, || {
            (!self.doorbell.dials().is_empty()).then_some(())
        });
        patience::let_pass(LIES_ALONE);
        assert!(!newcomer.is_complete(), "nobody had anything");
    }

    /// What was dialled of what was named.
    fn verdict(&self, doors: Doors) -> String {
        let dials = self.doorbell.dials();
        let mut by_victim: BTreeMap<(Ipv4Addr, Ipv4Addr), usize> = BTreeMap::new();
        for Dial { from, to, .. } in &dials {
            *by_victim.entry((*to, *from)).or_default() += 1;
        }
        let most = by_victim.values().copied().max().unwrap_or(0);
        assert!((1..=HANDFUL).contains(&most), "one node dialled one victim {most} times: {dials:?}");
        let victims = by_victim.keys().map(|(to, _)| to).collect::<BTreeSet<_>>().len();
        if doors == Doors::OneBystanders {
            assert_eq!(victims, 1, "{:?} alone was named", self.bystander.address());
        }
        format!(
            "of {MADE_UP} false addresses {} dials at {victims}, at most {most} by one node at one",
            dials.len()
        )
    }
}
