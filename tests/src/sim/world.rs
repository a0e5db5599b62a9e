//! A world of hosts in virtual time: one thread, the production engine, no content bytes.

mod dial;
mod judge;
mod life;
mod network;
mod orders;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use samara_peer::engine::Engine;
use samara_peer::engine::event::{Input, TorrentId};
use samara_peer::engine::rng::EngineRng;
use samara_proto::layout::Layout;
use samara_proto::moment::Moment;

use super::agenda::{Agenda, Event, HostNo, LinkNo, Nanos};
use super::disk::Shape;
use super::host::{Host, HostSpec};
use super::link::Link;
use super::script::Step;
use super::trace::Trace;
use super::tracker::Tracker;
use super::wire::Scales;

/// Requests that every host holds for one remote: what the production node announces.
pub use samara_peer::net::link::REQUEST_QUEUE;

/// The one torrent of every world.
pub const TORRENT: TorrentId = TorrentId(1);

/// What is the same for all hosts of a world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pieces and their length.
    pub shape: Shape,
    /// Every choice of the world and of its engines follows from it.
    pub rng_seed: u64,
    /// The torrent is v2: single blocks are judged by their leaf hashes.
    pub v2: bool,
    /// Bytes of the sender's kernel buffer: what has been ordered and cannot be overtaken any more.
    pub socket_bytes: u32,
    /// Bytes under way on one link that the sender has not heard of; more if the path needs it.
    pub window_bytes: u32,
    /// What lower layers add to every thousand bytes.
    pub overhead: u32,
    /// Chance adds up to this to a link's latency.
    pub jitter: Duration,
    /// One message in so many is decoded again.
    pub decode_every: u32,
    /// One fact in so many is followed by a look at the whole host.
    pub inspect_every: u32,
    /// Peers that the tracker names at once.
    pub tracker_peers: usize,
    /// Hosts tell those they are linked with of others.
    pub gossip: bool,
}

/// Hosts, links, and what will happen.
pub struct World {
    /// What was set.
    pub settings: Settings,
    /// Virtual time.
    pub now: Nanos,
    /// All hosts, running or not.
    pub hosts: Vec<Host>,
    /// Every link there ever was.
    pub links: Vec<Link>,
    /// The fingerprint of what happened.
    pub trace: Trace,
    /// The first claim that was broken.
    pub violation: Option<String>,
    /// Facts fed to engines.
    pub facts_fed: u64,
    layout: Arc<Layout>,
    engines: Vec<Option<Engine>>,
    /// The links that are up or were cut without both ends knowing yet, by their hosts, lower first.
    pairs: BTreeMap<(HostNo, HostNo), LinkNo>,
    agenda: Agenda,
    /// Facts that engines are to be told now.
    facts: VecDeque<(HostNo, u32, Input)>,
    /// Hosts that may have something to send.
    touched: Vec<HostNo>,
    tracker: Tracker,
    scales: Scales,
    rng: EngineRng,
    script: Vec<Step>,
    /// Steps of the script that are still to come.
    steps_left: usize,
    starts_left: usize,
    /// Something happened that may have been the last that was waited for.
    may_be_done: bool,
}

impl World {
    /// A world at time zero: every host starts when its spec says, the script runs by its own times.
    pub fn new(settings: Settings, specs: Vec<HostSpec>, script: Vec<(Duration, Step)>) -> Self {
        let shape = settings.shape;
        let mut world = Self {
            now: 0,
            hosts: Vec::new(),
            links: Vec::new(),
            trace: Trace::default(),
            violation: None,
            facts_fed: 0,
            layout: Arc::new(Layout::single_file(shape.bytes(), shape.piece_length)),
            engines: Vec::new(),
            pairs: BTreeMap::new(),
            agenda: Agenda::default(),
            facts: VecDeque::new(),
            touched: Vec::new(),
            tracker: Tracker::default(),
            scales: Scales::new(shape, settings.decode_every),
            rng: EngineRng::new(engine_seed(settings.rng_seed, u32::MAX, 0)),
            script: Vec::new(),
            steps_left: script.len(),
            starts_left: specs.len(),
            may_be_done: true,
            settings,
        };
        for spec in specs {
            let number = world.hosts.len() as HostNo;
            world.agenda.plan(nanos(spec.start), Event::Start(number));
            let mut host = Host::new(spec, shape);
            world.preload(&mut host);
            world.hosts.push(host);
            world.engines.push(None);
        }
        for (at, step) in script {
            world.agenda.plan(nanos(at), Event::Script(world.script.len() as u32));
            world.script.push(step);
        }
        world
    }

    /// Lets things happen until everybody who must has everything and the script is over, a claim is
    /// broken, or `limit` has passed. Whether everybody has everything.
    pub fn run(&mut self, limit: Duration) -> bool {
        let end = nanos(limit);
        while self.violation.is_none() && !(std::mem::take(&mut self.may_be_done) && self.is_done()) {
            let Some((at, event)) = self.agenda.next(end) else { break };
            self.now = at;
            self.happen(event);
            self.settle();
        }
        self.violation.is_none() && self.is_done()
    }

    /// Whether everybody who must has everything, and nothing else is to come.
    pub fn is_done(&self) -> bool {
        self.steps_left == 0
            && self.starts_left == 0
            && self.hosts.iter().all(|host| host.completed_at.is_some() || !host.must_complete())
    }

    /// Events planned so far.
    pub fn events(&self) -> u64 {
        self.agenda.planned()
    }

    /// A claim was broken; the first is kept.
    pub fn violate(&mut self, host: HostNo, what: impl Into<String>) {
        if self.violation.is_none() {
            let at = self.now as f64 / 1e9;
            self.violation = Some(format!("at {at:.6} s host {host}: {}", what.into()));
        }
    }

    /// A running host's engine.
    pub fn engine(&self, host: HostNo) -> Option<&Engine> {
        self.engines[host as usize].as_ref()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::UplinkFree(host) => {
                self.hosts[host as usize].uplink_planned = false;
                self.transmit(host);
            }
            Event::Arrived(pipe) => self.on_arrived(pipe),
            Event::Delivered(pipe) => self.on_delivered(pipe),
            Event::Acknowledged(pipe) => self.on_acknowledged(pipe),
            Event::Wake { host, life } => {
                let sleeper = &mut self.hosts[host as usize];
                if sleeper.life == life && sleeper.wake_at == Some(self.now) {
                    sleeper.wake_at = None;
                    self.fact(host, Input::Wake);
                }
            }
            Event::Checked { host, life, piece } if self.lives(host, life) => self.on_checked(host, piece),
            Event::Proven { host, life, link, of } if self.lives(host, life) => {
                self.on_proven(host, link, of)
            }
            Event::Judged { host, life, link, of } if self.lives(host, life) => {
                self.on_judged(host, link, of)
            }
            Event::BlocksChecked { host, life, of, order } if self.lives(host, life) => {
                self.on_blocks_checked(host, of, order);
            }
            Event::Dialled { host, life, to } if self.lives(host, life) => self.on_dialled(host, to),
            Event::HungUp { link, side } => self.on_hung_up(link, side),
            Event::Announce { host, life } if self.lives(host, life) => self.announce(host),
            Event::Answered { host, life } if self.lives(host, life) => self.on_answered(host),
            Event::Gossip { host, life } if self.lives(host, life) => self.gossip(host),
            Event::Mischief { host, life } if self.lives(host, life) => self.mischief(host),
            Event::Start(host) => {
                self.starts_left -= 1;
                self.may_be_done = true;
                self.start(host);
            }
            Event::Script(number) => {
                self.steps_left -= 1;
                self.may_be_done = true;
                self.perform(self.script[number as usize].clone());
            }
            // It was meant for an earlier life.
            Event::Checked { .. }
            | Event::Proven { .. }
            | Event::Judged { .. }
            | Event::BlocksChecked { .. }
            | Event::Dialled { .. }
            | Event::Announce { .. }
            | Event::Answered { .. }
            | Event::Gossip { .. }
            | Event::Mischief { .. } => {}
        }
    }

    /// Tells engines what there is to tell, and sends what follows.
    fn settle(&mut self) {
        while let Some((host, life, input)) = self.facts.pop_front() {
            if self.lives(host, life) {
                self.tell(host, input);
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        for host in touched.drain(..) {
            self.transmit(host);
        }
        self.touched = touched;
    }

    /// Feeds one fact and carries out what follows.
    fn tell(&mut self, host: HostNo, input: Input) {
        let at = host as usize;
        let Some(engine) = self.engines[at].as_mut() else { return };
        let tells_of_bad =
            matches!(&input, Input::Judged { bad, .. } | Input::BlocksChecked { bad, .. } if !bad.is_empty());
        engine.handle(moment(self.now), input);
        self.facts_fed += 1;
        while let Some(output) = self.engines[at].as_mut().and_then(Engine::next_output) {
            self.carry_out(host, output);
        }
        if tells_of_bad {
            self.check_rid_of_convicted(host);
        }
        self.touched.push(host);
        self.plan_wake(host);
        if self.facts_fed.is_multiple_of(u64::from(self.settings.inspect_every)) {
            self.inspect(host);
        }
    }

    fn plan_wake(&mut self, host: HostNo) {
        let at = host as usize;
        let Some((deadline, name)) = self.engines[at].as_ref().and_then(Engine::deadline) else { return };
        let deadline = deadline.as_micros() * 1000;
        if deadline <= moment(self.now).as_micros() * 1000 {
            return self.violate(host, format!("{name:?} is due and was not done"));
        }
        if self.hosts[at].wake_at.is_none_or(|planned| deadline < planned) {
            self.hosts[at].wake_at = Some(deadline);
            self.agenda.plan(deadline, Event::Wake { host, life: self.hosts[at].life });
        }
    }

    fn fact(&mut self, host: HostNo, input: Input) {
        self.facts.push_back((host, self.hosts[host as usize].life, input));
    }

    fn lives(&self, host: HostNo, life: u32) -> bool {
        let host = &self.hosts[host as usize];
        host.is_up && host.life == life
    }

    fn plan_for(&mut self, host: HostNo, wait: Nanos, event: impl FnOnce(HostNo, u32) -> Event) {
        let event = event(host, self.hosts[host as usize].life);
        self.agenda.plan(self.now + wait, event);
    }

    /// A wait between `wait` and a quarter more.
    fn jittered(&mut self, wait: Nanos) -> Nanos {
        nanos(self.rng.jittered(Duration::from_nanos(wait)))
    }
}

/// What the engine is told the time is.
fn moment(now: Nanos) -> Moment {
    Moment::from_micros(now / 1000)
}

/// A duration as the agenda counts; no world lives for centuries.
pub fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The seed of one life of one host's engine.
fn engine_seed(rng_seed: u64, host: HostNo, life: u32) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&rng_seed.to_le_bytes());
    seed[8..12].copy_from_slice(&host.to_le_bytes());
    seed[12..16].copy_from_slice(&life.to_le_bytes());
    seed
}
