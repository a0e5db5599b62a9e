//! Somebody on the local network who makes up peers.

use std::io::Write;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use libp2p::identity::Keypair;
use samara_proto::record::SignedRecord;
use samara_tests::netns::available;
use samara_tests::scene::{PROMPT, Scene, path_text};

use super::network::{Bystander, Machine, Network, complete_by_lan, get, seed, share};

/// Peers that are made up.
const FALSE_PEERS: u16 = 1000;
/// Dials of one bystander that are nothing to complain of.
const HANDFUL: usize = 12;

/// Sends the packets in a file, each with its length in front, to the group of multicast DNS: from any
/// address, its own or not, at 500 a second.
const POISON: &str = r#"
import socket, struct, sys, time
path, source, here = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
sock.setsockopt(socket.SOL_IP, socket.IP_MULTICAST_IF, socket.inet_aton(here))
sock.bind((source, 5353))
data = open(path, "rb").read()
while data:
    (length,) = struct.unpack(">H", data[:2])
    sock.sendto(data[2:2 + length], ("224.0.0.251", 5353))
    data = data[2 + length:]
    time.sleep(0.002)
"#;

/// What a made-up peer would say: it is at one of a bystander's ports.
fn lie(bystander: &str, number: u16) -> Vec<u8> {
    let address = format!("/ip4/{bystander}/tcp/{}", 10_000 + number).parse().expect("an address");
    let record = SignedRecord::sign(&Keypair::generate_ed25519(), 1, &[address]).expect("a record");
    let text = BASE64URL_NOPAD.encode(record.as_bytes());
    let mut strings = Vec::new();
    for (at, part) in text.as_bytes().chunks(252).enumerate() {
        strings.push(part.len() as u8 + 3);
        strings.extend(format!("r{at}=").bytes());
        strings.extend(part);
    }
    let label = format!("false{number:05}");
    let mut packet = b"\0\0\x84\0\0\0\0\x01\0\0\0\0".to_vec();
    packet.push(label.len() as u8);
    packet.extend(label.bytes());
    packet.extend(b"\x07_samara\x04_udp\x05local\0\0\x10\x80\x01\0\0\x02\x58");
    packet.extend((strings.len() as u16).to_be_bytes());
    packet.extend(strings);
    packet
}

fn write_lies(path: &Path, bystander: &str) {
    let mut file = std::fs::File::create(path).expect("the scratch folder is writable");
    for number in 0..FALSE_PEERS {
        let packet = lie(bystander, number);
        file.write_all(&(packet.len() as u16).to_be_bytes()).expect("written");
        file.write_all(&packet).expect("written");
    }
}

fn poison(machine: &Machine, lies: &Path, source: &str) {
    let mut command = machine.namespace.command("python3");
    let status = command.args(["-c", POISON, &path_text(lies), source, &machine.address]).status();
    assert!(status.expect("python3 is there").success());
}

#[test]
fn a_thousand_made_up_peers_cause_a_handful_of_dials_and_the_transfer_succeeds() {
    if !available("a poisoner on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "honest.bin", 4, &[]);
    let [giver, taker, poisoner, victim] = std::array::from_fn(|_| network.machine());
    let bystander = Bystander::watch(&victim);
    let lies = scene.path("lies");
    write_lies(&lies, &victim.address);
    let out = path_text(&scene.path("out"));
    let mut newcomer = taker.start(&scene, "newcomer", &get(&shared.torrent, &out));
    newcomer.wait_for("progress", PROMPT);

    // In its own name it can say what it likes.
    poison(&poisoner, &lies, &poisoner.address);
    newcomer.wait_for("progress", PROMPT);
    assert_eq!(bystander.dials(), [] as [&str; 0]);

    // In the bystander's name it is heard: nobody on a cable can tell.
    poison(&poisoner, &lies, &victim.address);
    let _seed = seed(&giver, &scene, "seed", &shared);
    complete_by_lan(&mut newcomer, &shared);
    let dials = bystander.dials();
    assert!((1..=HANDFUL).contains(&dials.len()), "{dials:?}");
    eprintln!("{} dials of the bystander", dials.len());
}
