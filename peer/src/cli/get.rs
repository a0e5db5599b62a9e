//! `samara get`: download, then stay while others still take from us.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;

use super::args::{Common, GetArgs};
use super::failure::{Exit, Failure, Outcome};
use super::follower::{Follower, State};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup;
use super::source::Source;
use crate::choice::{Choice, FilePattern};
use crate::engine::selection::Sequence;
use crate::handle::{AddOptions, KnownFor, Node, Role, Torrent, TorrentEvent, TorrentSource};
use crate::net::discovery::{cache, seconds_since_1970};

/// How often the rule for leaving is looked at, and whether anybody still reads us.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Runs it.
pub async fn run(args: &GetArgs, common: &Common, output: &Output, mut interrupt: Interrupt) -> Outcome {
    let sources = read_all(&args.sources, output)?;
    check_choice(&sources, args)?;
    fs::create_dir_all(&args.output).map_err(|error| Failure::file("create", &args.output, &error))?;
    let node = setup::start_node(common, &[], KnownFor::Nothing, output).await?;
    let mut downloads = Vec::with_capacity(sources.len());
    for source in sources {
        if let Some(lack) = nobody_to_ask(&source, args, common) {
            output.warn(format_args!("{}: {lack}", source.label()));
        }
        downloads.push(add(&node, source, args, output).await?);
    }
    let end = follow(downloads, args, output, &mut interrupt).await;
    interrupt.now_means_now();
    node.shutdown().await;
    report(&end, &args.output, output)
}

/// How it ended, torrent by torrent.
struct End {
    reason: Reason,
    followers: Vec<Follower>,
}

enum Reason {
    NothingLeftToDo,
    Interrupted,
    ReaderGone,
}

/// Reads everything before anything starts, so that a mistyped name costs nothing. Says what is wrong with
/// every source but the last bad one, which is the failure returned.
fn read_all(texts: &[String], output: &Output) -> Result<Vec<Source>, Failure> {
    let mut sources: Vec<Source> = Vec::with_capacity(texts.len());
    let mut last_failure: Option<Failure> = None;
    for text in texts {
        let read = Source::read(text).and_then(|source| {
            let is_named =
                |other: &Source| other.hashes().wire().any(|hash| source.hashes().answers_to(hash));
            if sources.iter().any(is_named) {
                return Err(Failure::usage(format!("{text} names a torrent that was named before")));
            }
            Ok(source)
        });
        match read {
            Ok(source) => sources.push(source),
            Err(failure) => {
                if let Some(earlier) = last_failure.replace(failure) {
                    output.error(earlier);
                }
            }
        }
    }
    last_failure.map_or(Ok(sources), Err)
}

/// Refuses file names that a `.torrent` does not know; what is in a link is seen later.
fn check_choice(sources: &[Source], args: &GetArgs) -> Result<(), Failure> {
    for source in sources {
        if let Source::Torrent(metainfo) = source {
            let chosen = choice(source, args).of(metainfo);
            chosen.map_err(|error| Failure::usage(format!("{}: {error}", source.label())))?;
        }
    }
    Ok(())
}

/// The files that are wanted: those that the user names, or else those that the link does.
fn choice(source: &Source, args: &GetArgs) -> Choice {
    let by_link = match source {
        Source::Magnet(magnet) => magnet.select_only.as_ref(),
        Source::Torrent(_) => None,
    };
    // A link counts from 0.
    let number = |n: u32| n.saturating_add(1);
    let numbers = |range: &RangeInclusive<u32>| number(*range.start())..=number(*range.end());
    let only = match by_link {
        Some(ranges) if args.only.is_empty() => {
            vec![FilePattern::Numbers(ranges.iter().map(numbers).collect())]
        }
        _ => args.only.clone(),
    };
    let sequence = if args.sequential { Sequence::Ascending } else { Sequence::Rarest };
    Choice { only, first: args.first.clone(), last: args.last.clone(), sequence }
}

/// Why no peer can be found for a source, if so; only peers that come to us remain.
fn nobody_to_ask(source: &Source, args: &GetArgs, common: &Common) -> Option<String> {
    if !args.peers.is_empty() || source.names_peers() || has_met_peers(source, common) {
        return None;
    }
    if (has_dht(common) || has_neighbours(common)) && !source.is_private() {
        return None;
    }
    let has_trackers = !args.trackers.is_empty() || source.trackers().next().is_some();
    let set = common.discovery_set();
    if set.tracker && has_trackers {
        return None;
    }
    let mut causes = Vec::new();
    if has_trackers {
        causes.push("--discovery leaves trackers out");
    }
    if common.discovery.is_some() && set.lan && !source.is_private() {
        causes.push("a node that must stay on loopback has no local network");
    }
    let because =
        if causes.is_empty() { String::new() } else { format!(", because {}", causes.join(" and ")) };
    let mut remedies = vec!["a peer with --peer"];
    if set.tracker {
        remedies.insert(0, "a tracker with --tracker");
    }
    if set.dht && !source.is_private() {
        remedies.push("a node of the DHT with --bootstrap");
    }
    Some(format!("there is no way to find peers{because}; name {}", remedies.join(" or ")))
}

/// Whether peers of an earlier session are known, and may be tried.
fn has_met_peers(source: &Source, common: &Common) -> bool {
    let Ok(state_dir) = setup::state_dir(common) else { return false };
    let knows_any = |file: PathBuf| !cache::load(&file, seconds_since_1970()).is_empty();
    common.discovery_set().cache && cache::files(&state_dir, &source.hashes()).any(knows_any)
}

/// Whether there is a way into the DHT.
fn has_dht(common: &Common) -> bool {
    common.discovery_set().dht && !common.bootstrap.is_empty()
}

/// Whether there is a local network to listen on.
fn has_neighbours(common: &Common) -> bool {
    let is_here = matches!(setup::bind(common), Ok(Some(bind)) if bind.is_loopback());
    common.discovery_set().lan && !is_here
}

async fn add(
    node: &Node,
    source: Source,
    args: &GetArgs,
    output: &Output,
) -> Result<(Torrent, Follower), Failure> {
    let follower = match &source {
        Source::Torrent(metainfo) => Follower::fetching(metainfo, output),
        Source::Magnet(_) => Follower::new(source.label(), source.hashes(), output),
    };
    let choice = choice(&source, args);
    let names_files = [&args.only, &args.first, &args.last].iter().any(|files| !files.is_empty());
    let follower = if names_files { follower.naming(choice.clone()) } else { follower };
    let label = source.label();
    let options = AddOptions {
        root: args.output.clone(),
        trackers: args.trackers.clone(),
        peers: args.peers.clone(),
        choice,
        role: Role::Get,
    };
    let source = match source {
        Source::Torrent(metainfo) => TorrentSource::Metainfo(metainfo),
        Source::Magnet(magnet) => TorrentSource::Magnet(magnet),
    };
    let torrent = node
        .add(source, options)
        .await
        .map_err(|error| Failure::failed(format!("cannot get {label}: {error}")))?;
    Ok((torrent, follower))
}

async fn follow(
    downloads: Vec<(Torrent, Follower)>,
    args: &GetArgs,
    output: &Output,
    interrupt: &mut Interrupt,
) -> End {
    let (torrents, mut followers): (Vec<_>, Vec<_>) = downloads.into_iter().unzip();
    let received: Vec<_> = torrents.iter().map(Torrent::watch_received).collect();
    let mut events = stream::select_all(torrents.into_iter().enumerate().map(|(index, torrent)| {
        stream::unfold(torrent, |mut torrent| async { Some((torrent.next_event().await?, torrent)) })
            .map(move |event| (index, Some(event)))
            .chain(stream::iter([(index, None::<TorrentEvent>)]))
            .boxed()
    }));
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let reason = loop {
        tokio::select! {
            Some((index, event)) = events.next() => match event {
                Some(event) => followers[index].on_event(Instant::now(), event),
                None => followers[index].on_end(),
            },
            _ = look.tick() => {}
            () = interrupt.wait() => break Reason::Interrupted,
        }
        if output.is_closed() {
            break Reason::ReaderGone;
        }
        if may_leave(&followers, args) {
            break Reason::NothingLeftToDo;
        }
    };
    // The last figures may be a second old.
    for (follower, received) in followers.iter_mut().zip(&received) {
        if received.bytes() > 0 {
            follower.on_received();
        }
    }
    End { reason, followers }
}

/// Whether every torrent is complete and not needed, or failed.
fn may_leave(followers: &[Follower], args: &GetArgs) -> bool {
    let now = Instant::now();
    let any_complete = followers.iter().any(|follower| matches!(follower.state(), State::Complete(_)));
    let all_over = followers.iter().all(|follower| match follower.state() {
        State::Running | State::Seeding => false,
        State::Failed(_) => true,
        State::Complete(linger) => args.exit || (!args.seed && linger.is_over(now)),
    });
    all_over && !(args.seed && any_complete)
}

/// Says what is left to say and chooses the exit code.
fn report(end: &End, dir: &Path, output: &Output) -> Outcome {
    let is_running = |follower: &&Follower| matches!(follower.state(), State::Running);
    if end.followers.iter().any(|follower| is_running(&follower)) {
        let begun = end.followers.iter().filter(is_running).filter(|follower| follower.has_begun());
        output.interrupted(interruption(&begun.map(Follower::name).collect::<Vec<_>>(), dir));
    }
    match end.reason {
        Reason::Interrupted => return Ok(Exit::Interrupted),
        Reason::ReaderGone if end.followers.iter().any(|follower| is_running(&follower)) => {
            return Ok(Exit::Incomplete);
        }
        Reason::ReaderGone | Reason::NothingLeftToDo => {}
    }
    // Each failure was said when it happened.
    let exits = end.followers.iter().map(|follower| match follower.state() {
        State::Failed(exit) => *exit,
        State::Running | State::Seeding | State::Complete(_) => Exit::Done,
    });
    Ok(exits.max_by_key(|exit| exit.code()).unwrap_or(Exit::Done))
}

/// What stopping a download means for the torrents of which something is here.
fn interruption(begun: &[&str], dir: &Path) -> String {
    if begun.is_empty() {
        return "interrupted".to_owned();
    }
    let (names, dir) = (begun.join(", "), dir.display());
    format!(
        "interrupted; what has arrived of {names} is kept in {dir}, and the same command goes on from there"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use libp2p::PeerId;

    use super::super::args::{Cli, Command};
    use super::*;

    #[test]
    fn peers_of_an_earlier_session_are_somebody_to_ask() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().to_str().unwrap();
        let link = format!("magnet:?xt=urn:btih:{}&tr=http://127.0.0.1:1", "ab".repeat(20));
        let flags = ["--discovery", "cache", "--state-dir", state_dir];
        let cli = Cli::parse_from([&["samara", "get", &link], &flags[..]].concat());
        let Command::Get(args) = &cli.command else { panic!("it is get") };
        let source = Source::read(&link).unwrap();
        let lack = nobody_to_ask(&source, args, &cli.common);
        assert!(
            lack.as_ref().is_some_and(|lack| lack.contains("--discovery leaves trackers out")),
            "{lack:?}"
        );

        let (addresses, seen_secs) = (vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()], seconds_since_1970());
        let met = cache::CachedPeer { id: PeerId::random(), addresses, seen_secs };
        let file = cache::files(dir.path(), &source.hashes()).next().unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        cache::save(&file, vec![met], seen_secs).unwrap();
        assert_eq!(nobody_to_ask(&source, args, &cli.common), None);
    }

    #[test]
    fn what_is_advised_is_what_can_help() {
        let (bare, tracked) = ("a.torrent", "&tr=http://127.0.0.1:1");
        let lack = |link: &str, flags: &[&str]| {
            let link = format!("magnet:?xt=urn:btih:{}{}", "ab".repeat(20), link.trim_start_matches(bare));
            let always = ["--state-dir", "nowhere", "--bind", "127.0.0.1"];
            let cli = Cli::parse_from([&["samara", "get", &link], &always[..], flags].concat());
            let Command::Get(args) = &cli.command else { panic!("it is get") };
            nobody_to_ask(&Source::read(&link).unwrap(), args, &cli.common)
        };
        let check = |link, flags: &[&str], says: &[&str], not: &[&str]| {
            let lack = lack(link, flags).unwrap();
            assert!(says.iter().all(|part| lack.contains(part)), "{lack}");
            assert!(!not.iter().any(|part| lack.contains(part)), "{lack}");
        };
        check(bare, &[], &["--tracker", "--peer", "--bootstrap"], &["because"]);
        check(bare, &["--discovery", "pex"], &["--peer"], &["--tracker", "--bootstrap"]);
        check(bare, &["--discovery", "dht"], &["--peer", "--bootstrap"], &["--tracker"]);
        check(
            tracked,
            &["--discovery", "lan"],
            &["leaves trackers out", "on loopback", "--peer"],
            &["--tracker"],
        );
        assert_eq!(lack(tracked, &["--discovery", "tracker"]), None);
    }

    #[test]
    fn what_the_user_names_goes_before_what_a_link_does() {
        let link = format!("magnet:?xt=urn:btih:{}&so=0,2-3", "ab".repeat(20));
        let choice = |flags: &[&str]| {
            let cli = Cli::parse_from([&["samara", "get", &link], flags].concat());
            let Command::Get(args) = &cli.command else { panic!("it is get") };
            choice(&Source::read(&link).unwrap(), args)
        };
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let by_link = choice(&["--first", "b", "--first", "4", "--last", "c", "--sequential"]);
        let only = vec![FilePattern::Numbers(vec![1..=1, 3..=4])];
        let (first, last) = (patterns(&["b", "4"]), patterns(&["c"]));
        assert_eq!(by_link, Choice { only, first, last, sequence: Sequence::Ascending });
        assert_eq!(choice(&["--only", "*"]), Choice { only: patterns(&["*"]), ..Choice::default() });
    }

    #[test]
    fn an_interruption_promises_only_what_is_there() {
        assert_eq!(interruption(&[], Path::new("out")), "interrupted");
        let text = interruption(&["a", "b"], Path::new("out"));
        assert!(text.contains("of a, b is kept in out"), "{text}");
    }
}
