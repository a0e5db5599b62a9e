//! Every command and flag, with its help text: the one place that says what the command line accepts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use libp2p::Multiaddr;
use samara_tracker::{TrackerArgs, listen_address};

use super::bind::Bind;
use super::{parse, units};
use crate::choice::FilePattern;
use crate::net::discovery::DiscoverySet;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 incomplete (verify found missing or bad pieces, get \
stopped before the end), 130 interrupted.

Environment: SAMARA_BIND is the default of --bind; SAMARA_LOG filters the log by module, for example \
samara_peer=debug; NO_COLOR switches colours off.";

/// Share files and folders from peer to peer
///
/// Somebody runs `samara seed` on a file or folder and passes on the .torrent file or the magnet link it
/// prints; everybody else runs `samara get`. Standard .torrent files, magnet links and trackers.
#[derive(Debug, Parser)]
#[command(name = "samara", version, styles = STYLES, after_long_help = AFTER_HELP, propagate_version = true)]
#[command(max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Flags that mean the same for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that mean the same for every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common flags")]
pub struct Common {
    /// Print one JSON object a line on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more to standard error: -v what happens, -vv why, -vvv every message
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Keep every socket, listening or dialling, on this IP address or network interface, or fail [env:
    /// SAMARA_BIND]
    ///
    /// Nothing leaves by another way, not even when the interface goes away; then everything waits until it
    /// is back. Names are not looked up, so trackers must be given by IP address. QUIC is for loopback only,
    /// any other address does with TCP. Systems other than Linux keep to the address, and leave the interface
    /// to their routes.
    // Read by hand: clap would show a flag that comes from the environment in every usage line.
    #[arg(long, global = true, value_name = "ADDR|INTERFACE")]
    pub bind: Option<Bind>,
    /// Way into the DHT, besides those that links, trackers, peers and earlier sessions give: the address of a
    /// node, ending in /p2p/<peer id>; may be repeated
    #[arg(long, global = true, value_name = "MULTIADDR", value_delimiter = ',', value_parser = parse::peer_address)]
    pub bootstrap: Vec<Multiaddr>,
    /// Folder for identity, resume data and peer cache [default: per the XDG base directories]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// Serve the node's figures for Prometheus at http://ADDR/metrics, such as 127.0.0.1:9469 (seed, get, node)
    #[arg(long, global = true, value_name = "ADDR", value_parser = listen_address)]
    pub metrics: Option<SocketAddr>,
    /// Ways to find peers, separated by commas [default: all: tracker, dht, pex, lan, cache]
    ///
    /// Peers named by a link or by --peer, and peers that come to us, are always used.
    #[arg(long, global = true, value_name = "LIST", value_delimiter = ',', hide_possible_values = true)]
    pub discovery: Option<Vec<Discovery>>,
}

impl Common {
    /// How peers may be found.
    pub fn discovery_set(&self) -> DiscoverySet {
        let has = |source| self.discovery.as_ref().is_none_or(|list| list.contains(&source));
        DiscoverySet {
            tracker: has(Discovery::Tracker),
            dht: has(Discovery::Dht),
            pex: has(Discovery::Pex),
            lan: has(Discovery::Lan),
            cache: has(Discovery::Cache),
        }
    }
}

/// A way to find peers that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Discovery {
    /// Ask the torrent's trackers
    Tracker,
    /// Ask the DHT, and serve it
    Dht,
    /// Let peers name each other
    Pex,
    /// Listen on the local network, and answer there
    Lan,
    /// Remember peers of earlier sessions
    Cache,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a .torrent from a file or folder
    Create(CreateArgs),
    /// Show what a .torrent or a magnet link says
    Show(ShowArgs),
    /// Check the files in a folder against a .torrent
    Verify(VerifyArgs),
    /// Share a file, a folder or what a .torrent describes, until interrupted
    Seed(SeedArgs),
    /// Download, then stay while others are still taking from us
    ///
    /// After the download it stays while a peer still wants something from us and leaves when for five
    /// seconds nobody has. What has arrived is kept when it is stopped before the end; the same command
    /// goes on from there.
    Get(GetArgs),
    /// Run a tracker: it helps the first peers of a swarm to find each other
    ///
    /// Beside it runs a node of the DHT, on the address the tracker listens at, and the tracker tells its
    /// clients of it, so that they find each other when the tracker is gone. --discovery without dht
    /// switches that off.
    Tracker(TrackerArgs),
    /// Take part in the DHT without a torrent: a bootstrap node for others
    ///
    /// Prints addresses that others give to --bootstrap. Its identity and port stay the same from start to
    /// start (see --state-dir), and so do the addresses.
    Node(NodeArgs),
    /// Watch a swarm grow up and lose its tracker: seed and leeches in this process, on a made-up file
    ///
    /// The swarm begins with a tracker, comes to know its peers by other ways too, and does not notice when the
    /// tracker is stopped half way; a last leech joins with the link alone. Everything stays on 127.0.0.1 and
    /// in a temporary folder that is removed at the end.
    Demo(DemoArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all commands into a folder
    Man(ManArgs),
}

/// `samara create`
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// File or folder to describe
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: PathBuf,
    /// Where to write, in a folder that is there [default: NAME.torrent in the current folder]
    #[arg(short, long, value_name = "OUT.torrent", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Version of the format; hybrid is read by every BitTorrent client
    #[arg(long, value_enum, default_value_t = TorrentFormat::Hybrid)]
    pub format: TorrentFormat,
    /// Bytes in a piece, a power of two such as 256KiB or 4MiB [default: grows with the size]
    #[arg(long, value_name = "N", value_parser = units::parse_piece_length)]
    pub piece_length: Option<u32>,
    /// Tracker to announce to (http, https or udp); may be repeated, the first is tried first
    ///
    /// Peers use the first that answers and knows Samara peers.
    #[arg(long = "tracker", value_name = "URL", value_parser = parse::tracker_url)]
    pub trackers: Vec<String>,
    /// Only trackers may name peers (BEP 27)
    #[arg(long)]
    pub private: bool,
    /// Remark for whoever opens the .torrent
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Overwrite an existing .torrent
    #[arg(long)]
    pub force: bool,
}

/// Version of the metainfo format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TorrentFormat {
    /// Both in one: every client can read it
    Hybrid,
    /// BEP 52 alone: SHA-256 Merkle trees
    V2,
    /// BEP 3 alone: SHA-1
    V1,
}

/// `samara show`
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// A .torrent file or a magnet link
    #[arg(value_name = "X", value_hint = ValueHint::FilePath)]
    pub source: String,
    /// Ask its trackers how many seeds and leeches they know
    ///
    /// Each tracker is asked by itself, and takes no note of us. Peers that announce to several are counted by
    /// each of them: the figures are not to be added up. Exit code 1 if no tracker answers.
    #[arg(long)]
    pub scrape: bool,
}

/// `samara verify`
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The .torrent to check against
    #[arg(value_name = "X.torrent", value_hint = ValueHint::FilePath)]
    pub torrent: PathBuf,
    /// The folder that holds the torrent's file or folder
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Only these files; see samara help get
    #[arg(long, value_name = "FILES")]
    pub only: Vec<FilePattern>,
}

/// `samara seed`
#[derive(Args, Debug)]
pub struct SeedArgs {
    /// File or folder to share, or a .torrent; of a file or folder, NAME.torrent is made first, in the
    /// current folder
    #[arg(value_name = "PATH|X.torrent", value_hint = ValueHint::AnyPath)]
    pub source: PathBuf,
    /// Folder that holds the .torrent's file or folder [default: where the .torrent is]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Tracker to announce to (http, https or udp), besides the torrent's own; may be repeated
    ///
    /// Of the torrent's own trackers the first that answers and knows Samara peers is enough. One named here
    /// is always asked, because others may have been told of it alone.
    #[arg(long = "tracker", value_name = "URL", value_parser = parse::tracker_url)]
    pub trackers: Vec<String>,
    /// Address to listen on, such as /ip4/0.0.0.0/tcp/4001; may be repeated [default: all interfaces, TCP
    /// and QUIC, free ports]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<Multiaddr>,
}

/// `samara get`
#[derive(Args, Debug)]
pub struct GetArgs {
    /// .torrent files or magnet links
    #[arg(value_name = "X", required = true, value_hint = ValueHint::FilePath)]
    pub sources: Vec<String>,
    /// Folder to download into
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Tracker to ask (http, https or udp), besides the torrent's own; may be repeated
    ///
    /// Of a .torrent's own trackers the first that answers and knows Samara peers is enough. One named here,
    /// or by a link, is always asked, because others may have been told of it alone.
    #[arg(long = "tracker", value_name = "URL", value_parser = parse::tracker_url)]
    pub trackers: Vec<String>,
    /// Peer to dial straight away, such as /ip4/192.0.2.7/tcp/4001/p2p/12D3Koo…; may be repeated
    #[arg(long = "peer", value_name = "MULTIADDR", value_parser = parse::peer_address)]
    pub peers: Vec<Multiaddr>,
    /// Fetch only these files: numbers as samara show counts them, such as 1,4-6, or a path; may be repeated
    ///
    /// A path may leave out the torrent's own folder, a folder stands for everything in it, and * and ? stand for
    /// any characters and for one, / included. Other files are not made. Where a v1 torrent lets files share a
    /// piece, what comes along of a neighbour is kept in its .part file, or is there if that is all of it. The same
    /// command without --only fetches the rest. Without it a magnet link may choose (so=); --only '*' is everything.
    #[arg(long, value_name = "FILES")]
    pub only: Vec<FilePattern>,
    /// Fetch these files before everything else, named as for --only; may be repeated
    ///
    /// For what is needed while the rest is still coming. Where files share a piece, it comes as early as the
    /// earliest of them. Of a choice made by --only, or by a link, they must be a part.
    #[arg(long, value_name = "FILES")]
    pub first: Vec<FilePattern>,
    /// Fetch these files after everything else, named as for --only; may be repeated
    ///
    /// --last '*.iso' brings all that is small before the large. No file can be both first and last.
    #[arg(long, value_name = "FILES")]
    pub last: Vec<FilePattern>,
    /// Fetch from the beginning to the end, instead of what is rarest first
    ///
    /// For what is used before all of it is here. The first and the last piece of each file come before the rest, as
    /// players want to see them, unless --first says what is wanted before. It is worse for the swarm, and for how
    /// fast it all comes.
    #[arg(long)]
    pub sequential: bool,
    /// Leave as soon as everything is here, or everything that --only names
    #[arg(long, conflicts_with = "seed")]
    pub exit: bool,
    /// Stay and share until interrupted
    #[arg(long)]
    pub seed: bool,
}

/// `samara node`
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// Address to listen on, such as /ip4/0.0.0.0/tcp/4001; may be repeated [default: all interfaces, TCP
    /// and QUIC, free ports]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<Multiaddr>,
}

/// `samara demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Size of the made-up file, at least 1MiB
    #[arg(long, value_name = "N", default_value = "128MiB", value_parser = units::parse_demo_size)]
    pub size: u64,
}

/// `samara completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `samara man`
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write one page for each command into this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
