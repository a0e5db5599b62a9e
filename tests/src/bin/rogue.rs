//! A liar for drills, on the machine of a namespace: says where it can be found, and lies until its standard
//! input is closed. One that comes by itself says how far it got, and ends.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use libp2p::Multiaddr;
use samara_proto::metainfo::Metainfo;
use samara_tests::rogue::{self, Lie};
use tokio::io::AsyncReadExt;

/// Lie, for a drill; not for use elsewhere
#[derive(Parser)]
#[command(name = "rogue")]
struct Cli {
    #[command(subcommand)]
    way: Way,
    /// File with the addresses that are named, one a line
    #[arg(long, global = true, default_value = "doors")]
    doors: PathBuf,
}

#[derive(Subcommand)]
enum Way {
    /// As trackers
    Tracker {
        /// Address of this machine
        ip: IpAddr,
    },
    /// As a node of the DHT
    Dht {
        /// Address of this machine
        ip: IpAddr,
    },
    /// As a peer of a torrent
    Pex {
        /// Address of this machine
        ip: IpAddr,
        /// The torrent
        torrent: PathBuf,
        /// Its content, a single file
        content: PathBuf,
    },
    /// As so many corrupters one after the other, who come to a peer; says how many blocks each gave
    Corrupt {
        /// Address of this machine
        ip: IpAddr,
        /// The torrent
        torrent: PathBuf,
        /// Its content, a single file
        content: PathBuf,
        /// Where the peer is, and who
        victim: Multiaddr,
        /// How many
        #[arg(long)]
        names: usize,
    },
    /// On the local network
    Lan {
        /// Address of this machine
        ip: IpAddr,
        /// In the name of those whose doors it names
        #[arg(long)]
        in_their_name: bool,
    },
}

#[tokio::main]
async fn main() {
    let cli = Cli::parse();
    let doors = || -> Vec<Multiaddr> {
        let text = std::fs::read_to_string(&cli.doors).expect("the drill has written the doors");
        text.lines().map(|line| line.parse().expect("an address a line")).collect()
    };
    let found_at = match cli.way {
        Way::Tracker { ip } => rogue::tracker::start(ip, &doors()).await,
        Way::Dht { ip } => vec![rogue::dht::lie_at(ip, doors()).await.to_string()],
        Way::Pex { ip, torrent, content } => {
            let lie = Lie::FalsePeers { doors: Arc::from(doors()) };
            vec![rogue::start_at(ip, lie, read(&torrent), &content, |_| {}).await.to_string()]
        }
        Way::Corrupt { ip, torrent, content, victim, names } => {
            let metainfo = read(&torrent);
            for _ in 0..names {
                println!("{}", rogue::corrupt(ip, &victim, metainfo.clone(), &content).await);
            }
            return;
        }
        Way::Lan { ip, in_their_name } => {
            tell_neighbours(ip, &doors(), in_their_name);
            Vec::new()
        }
    };
    println!("lying {}", found_at.join(" "));
    // The end of whoever started this closes it, too.
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}

fn read(torrent: &Path) -> Arc<Metainfo> {
    let bytes = std::fs::read(torrent).expect("the drill has made the torrent");
    Arc::new(Metainfo::from_bytes(&bytes).expect("a torrent"))
}

#[cfg(target_os = "linux")]
fn tell_neighbours(ip: IpAddr, doors: &[Multiaddr], in_their_name: bool) {
    use samara_tests::rogue::lan::{Name, tell};
    let IpAddr::V4(ip) = ip else { panic!("an IPv4 address") };
    let name = if in_their_name { Name::Victims } else { Name::Own };
    tell(ip, doors, name).expect("the drill has root");
}

#[cfg(not(target_os = "linux"))]
fn tell_neighbours(_: IpAddr, _: &[Multiaddr], _: bool) {
    panic!("nobody's name can be borrowed on this system");
}
