//! One torrent of a running command: its events in, its bar and its lines out.

use std::time::{Duration, Instant};

use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::Metainfo;

use super::bars::Bar;
use super::events::{self, Event, Which};
use super::failure::Exit;
use super::linger::Linger;
use super::output::Output;
use super::stall::{self, Stall};
use super::units;
use crate::choice::Choice;
use crate::engine::event::Source;
use crate::handle::{Progress, Stage, TorrentEvent};
use crate::metrics::source_name;

/// What is known of one torrent, and where it is shown.
pub struct Follower {
    output: Output,
    bar: Option<Bar>,
    which: Which,
    state: State,
    stage: Option<Stage>,
    /// Content bytes in all, or of what is wanted, once known.
    bytes_total: Option<u64>,
    /// Content bytes verified, as last heard.
    bytes_done: u64,
    /// Whether content came in or was here; parts of pieces are kept too.
    has_some: bool,
    /// Files that the user named.
    named: Option<Choice>,
    /// Whether the torrent has no such files.
    is_misnamed: bool,
    stall: Stall,
}

/// How far a torrent is.
pub enum State {
    /// Something is still missing.
    Running,
    /// Everything was here from the start.
    Seeding,
    /// Everything has arrived.
    Complete(Linger),
    /// It cannot go on; the exit code says how far it came.
    Failed(Exit),
}

impl Follower {
    /// Follows the torrent of these names, called `label` until its name is known.
    pub fn new(label: String, hashes: InfoHashes, output: &Output) -> Self {
        let mut bar = output.bar(&label);
        bar.wait("looking for peers");
        Self {
            output: output.clone(),
            bar: Some(bar),
            which: Which::new(&label, hashes),
            state: State::Running,
            stage: None,
            bytes_total: None,
            bytes_done: 0,
            has_some: false,
            named: None,
            is_misnamed: false,
            stall: Stall::default(),
        }
    }

    /// Follows a torrent whose metainfo is known.
    pub fn fetching(metainfo: &Metainfo, output: &Output) -> Self {
        let mut follower = Self::new(metainfo.name().to_owned(), metainfo.info_hashes(), output);
        follower.bytes_total = Some(metainfo.layout().total_size());
        follower
    }

    /// Follows a torrent that is only shared.
    pub fn seeding(metainfo: &Metainfo, output: &Output) -> Self {
        let mut follower = Self::fetching(metainfo, output);
        follower.state = State::Seeding;
        follower
    }

    /// Takes it for wrong usage if the torrent has no files as the user named them.
    pub fn naming(self, files: Choice) -> Self {
        Self { named: Some(files), ..self }
    }

    /// How far it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The torrent's name, as far as known.
    pub fn name(&self) -> &str {
        &self.which.name
    }

    /// Whether some of it is here, to go on from.
    pub fn has_begun(&self) -> bool {
        self.bytes_done > 0 || self.has_some
    }

    /// Takes note that content came in, before figures tell.
    pub fn on_received(&mut self) {
        self.has_some = true;
    }

    /// Takes note of an event and shows it.
    pub fn on_event(&mut self, now: Instant, event: TorrentEvent) {
        match event {
            TorrentEvent::Metainfo(metainfo) => {
                self.which = Which::new(metainfo.name(), metainfo.info_hashes());
                self.bytes_total = Some(metainfo.layout().total_size());
                self.is_misnamed = self.named.as_ref().is_some_and(|files| files.of(&metainfo).is_err());
                if let Some(bar) = &mut self.bar {
                    bar.set_label(metainfo.name());
                }
            }
            TorrentEvent::Checking { done, total } => self.on_checking(done, total),
            TorrentEvent::Ready { bytes_present, bytes_total } => self.on_ready(bytes_present, bytes_total),
            TorrentEvent::Progress(progress) => self.on_progress(now, &progress),
            TorrentEvent::Complete { bytes, elapsed, bytes_from, peers } => {
                self.on_complete(now, bytes, elapsed, &bytes_from, peers);
            }
            TorrentEvent::Linked { peer, source } => self.output.event(&Event::Linked {
                which: self.which.clone(),
                peer: peer.to_string(),
                source: source_name(source),
            }),
            TorrentEvent::Warning(message) => {
                self.output.warn(format_args!("{}: {message}", self.which.name))
            }
            TorrentEvent::Note(message) => {
                self.output.good_news(format_args!("{}: {message}", self.which.name))
            }
            TorrentEvent::Failed(message) => self.on_failed(&message),
        }
    }

    /// Takes note that no event will come any more.
    pub fn on_end(&mut self) {
        if matches!(self.state, State::Running) {
            self.on_failed("the node stopped working on it; run the same command again");
        }
    }

    fn on_checking(&mut self, done: u32, total: u32) {
        self.has_some |= total > 0;
        let (Some(bar), Some(bytes)) = (&mut self.bar, self.bytes_total) else { return };
        let share = u128::from(bytes) * u128::from(done) / u128::from(total.max(1));
        bar.set(u64::try_from(share).unwrap_or(bytes), bytes, &["checking what is here".to_owned()]);
    }

    fn on_ready(&mut self, bytes_present: u64, total: u64) {
        self.bytes_done = bytes_present;
        if let Some(whole) = self.bytes_total.replace(total)
            && total < whole
        {
            let (chosen, whole) = (units::size(total), units::size(whole));
            self.output.note(format_args!("{}: only {chosen} of {whole} are wanted", self.which.name));
        }
        if bytes_present > 0 && bytes_present < total {
            let (here, total) = (units::size(bytes_present), units::size(total));
            self.output
                .note(format_args!("{}: going on, {here} of {total} are here already", self.which.name));
        }
    }

    fn on_progress(&mut self, now: Instant, progress: &Progress) {
        self.bytes_done = progress.bytes_done;
        self.has_some |= progress.down_rate > 0;
        // While the files are being looked at, the node gives no sizes yet.
        let bytes_total = self.bytes_total.unwrap_or(progress.bytes_total);
        let progress = &Progress { bytes_total, ..progress.clone() };
        if self.bytes_total.is_some() {
            self.output.event(&Event::progress(self.which.clone(), progress));
        }
        self.on_stage(progress);
        if matches!(self.state, State::Running)
            && let Some(news) = self.stall.on_progress(now, progress)
        {
            self.output.note(format_args!("{}: {news}", self.which.name));
        }
        match &mut self.state {
            State::Running => {
                if self.bytes_total.is_none() {
                    if let Some(bar) = &mut self.bar {
                        bar.seek(&seeking(progress));
                    }
                } else if let Some(bar) = &mut self.bar {
                    bar.set(progress.bytes_done, progress.bytes_total, &details(progress));
                }
            }
            State::Complete(linger) => linger.on_progress(now, progress),
            State::Seeding | State::Failed(_) => {}
        }
        if !matches!(self.state, State::Running)
            && let Some(bar) = &mut self.bar
        {
            bar.wait(&sharing(progress));
        }
    }

    /// Tells when the swarm came to depend more or less on its tracker.
    fn on_stage(&mut self, progress: &Progress) {
        if self.stage == Some(progress.stage) {
            return;
        }
        self.stage = Some(progress.stage);
        let (stage, why) = (events::stage_name(progress.stage), &progress.why);
        if progress.stage == Stage::Autonomous && matches!(self.state, State::Running) {
            self.output.note(format_args!("{}: {why}", self.which.name));
        }
        self.output.event(&Event::Stage {
            which: self.which.clone(),
            stage,
            autonomy: progress.autonomy,
            why: why.clone(),
        });
    }

    fn on_complete(
        &mut self,
        now: Instant,
        bytes: u64,
        elapsed: Duration,
        bytes_from: &[(Source, u64)],
        peers: usize,
    ) {
        if !matches!(self.state, State::Running) {
            return;
        }
        self.bytes_done = bytes;
        let received: u64 = bytes_from.iter().map(|(_, bytes)| bytes).sum();
        let how = if received == 0 {
            "everything was here already".to_owned()
        } else {
            let rate = (received as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
            format!(
                "{} in {}, {}, from {}",
                units::size(received),
                units::duration(elapsed),
                units::rate(rate),
                units::count(peers, "peer")
            )
        };
        self.output.say(format_args!("{}: complete, {how}", self.which.name));
        self.output.event(&Event::Complete {
            which: self.which.clone(),
            bytes,
            seconds: elapsed.as_secs_f64(),
            bytes_from: events::bytes_from(bytes_from),
            peers,
        });
        self.state = State::Complete(Linger::since(now));
        if let Some(bar) = &mut self.bar {
            bar.wait("complete; sharing while others need it");
        }
    }

    fn on_failed(&mut self, message: &str) {
        // The name may itself be hostile; Output escapes the whole line.
        self.output.error(format_args!("{}: {message}", self.which.name));
        self.state = State::Failed(match self.bytes_done {
            _ if self.is_misnamed => Exit::Usage,
            0 => Exit::Failed,
            _ => Exit::Incomplete,
        });
        self.bar = None;
    }
}

/// What a running download's bar says besides its bytes.
fn details(progress: &Progress) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(waiting) = progress.waiting {
        // How long it will take nobody knows.
        details.push(stall::words(waiting, progress));
    } else {
        let left = progress.bytes_total.saturating_sub(progress.bytes_done);
        details.push(units::rate(progress.down_rate));
        details.extend(units::time_left(left, progress.down_rate).filter(|_| left > 0));
    }
    details.push(units::count(progress.peers, "peer"));
    if progress.up_rate > 0 {
        details.push(format!("up {}", units::rate(progress.up_rate)));
    }
    details.push(events::stage_name(progress.stage).to_owned());
    details
}

/// What the line of a magnet link says whose torrent is not known yet.
fn seeking(progress: &Progress) -> String {
    match (progress.found_peers, progress.asked_peers) {
        (found @ (0 | 1), 0) => format!("looking for peers ({found} found)"),
        (found, 0) => format!("looking for peers ({found} found, none of them answers yet)"),
        (_, asked) => format!("waiting for the torrent's description from {}", units::count(asked, "peer")),
    }
}

/// What the line of a torrent says that is only being shared.
fn sharing(progress: &Progress) -> String {
    format!(
        "sharing  up {}  {}, {} wanting something  {}",
        units::rate(progress.up_rate),
        units::count(progress.peers, "peer"),
        progress.interested_peers,
        events::stage_name(progress.stage)
    )
}
