//! A few engines wired together: virtual time, uplinks of limited rate, latency, disks that take a while.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::host::{Frame, Host, HostSpec};
use crate::engine::Engine;
use crate::engine::event::{
    Aim, Content, Direction, Input, LinkId, Output, PeerKey, PeerMessage, PeerTraits, Source, TorrentId,
    Verdict,
};
use crate::engine::selection::Selection;

pub(super) const TORRENT: TorrentId = TorrentId(7);

#[derive(Debug)]
enum Event {
    Fact(Input),
    /// Frames have left the uplink.
    Sent(LinkId, Vec<Frame>),
    /// Frames have come.
    Came(LinkId, Vec<Frame>),
}

pub(super) struct World {
    pub(super) now: Moment,
    pub(super) layout: Arc<Layout>,
    pub(super) hosts: Vec<Host>,
    latency: Duration,
    hash_time: Duration,
    links: BTreeMap<LinkId, (usize, usize)>,
    next_link: u64,
    queue: BinaryHeap<Reverse<(Moment, u64)>>,
    events: BTreeMap<u64, (usize, u32, Event)>,
    next_event: u64,
    /// A fingerprint of everything that happened.
    pub(super) trace: u64,
}

impl World {
    pub(super) fn new(size: u64, piece_length: u32, latency: Duration, specs: Vec<HostSpec>) -> Self {
        let layout = Arc::new(Layout::single_file(size, piece_length));
        let mut world = Self {
            now: Moment::ZERO,
            layout,
            hosts: Vec::new(),
            latency,
            hash_time: Duration::from_millis(2),
            links: BTreeMap::new(),
            next_link: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            trace: 0,
        };
        for spec in specs {
            world.add_host(spec);
        }
        world
    }

    pub(super) fn add_host(&mut self, spec: HostSpec) -> usize {
        let pieces = self.layout.piece_count();
        let disk = if spec.seed { Bitfield::full(pieces) } else { Bitfield::new(pieces) };
        self.hosts.push(Host::new(spec, disk));
        self.start(self.hosts.len() - 1);
        self.hosts.len() - 1
    }

    /// Starts a host with what is on its disk.
    pub(super) fn start(&mut self, host: usize) {
        let mut rng_seed = [host as u8; 32];
        rng_seed[0] = self.hosts[host].life as u8;
        let spec = &self.hosts[host].spec;
        let proof = spec.proof;
        let aim = if spec.seed { Aim::Serve } else { Aim::Fetch };
        self.hosts[host].engine = Some(Engine::new(spec.config.clone(), rng_seed));
        let verified = self.hosts[host].disk.clone();
        let content = Content {
            layout: Arc::clone(&self.layout),
            verified,
            stored: Vec::new(),
            proof,
            selection: Selection::default(),
        };
        self.tell(host, Input::AddTorrent { torrent: TORRENT, content, aim });
    }

    /// Ends a host without a word.
    pub(super) fn kill(&mut self, host: usize) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, ends)| ends.0 == host || ends.1 == host).map(|(&l, _)| l).collect();
        for link in links {
            self.cut(link, host);
        }
        let dead = &mut self.hosts[host];
        dead.engine = None;
        dead.life += 1;
        dead.outbox.clear();
        dead.is_sending = false;
        dead.wake_at = None;
        dead.expected.clear();
        dead.open.clear();
    }

    /// Tells every host of every other.
    pub(super) fn introduce_all(&mut self) {
        for host in 0..self.hosts.len() {
            for other in (0..self.hosts.len()).filter(|&other| other != host) {
                let peer = PeerKey(other as u64);
                self.tell(host, Input::Candidate { torrent: TORRENT, peer, source: Source::Tracker });
            }
        }
    }

    /// Runs until `done` or the end of `limit`; whether it was done.
    pub(super) fn run(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            let Some(&Reverse((at, number))) = self.queue.peek().filter(|head| head.0.0 <= end) else {
                self.now = end;
                return false;
            };
            self.queue.pop();
            self.now = at;
            let (host, life, event) = self.events.remove(&number).expect("every queued event is kept");
            if self.hosts[host].life == life {
                self.happen(host, event);
            }
        }
        true
    }

    pub(super) fn all_complete(&self) -> bool {
        self.hosts.iter().all(|host| host.disk.is_full())
    }

    fn schedule(&mut self, host: usize, wait: Duration, event: Event) {
        self.queue.push(Reverse((self.now + wait, self.next_event)));
        self.events.insert(self.next_event, (host, self.hosts[host].life, event));
        self.next_event += 1;
    }

    fn happen(&mut self, host: usize, event: Event) {
        match event {
            Event::Fact(Input::Wake) => {
                self.hosts[host].wake_at = None;
                self.tell(host, Input::Wake);
            }
            Event::Fact(Input::PieceChecked { torrent, piece, verdict }) => {
                if verdict == Verdict::Good {
                    self.hosts[host].disk.set(piece);
                }
                self.tell(host, Input::PieceChecked { torrent, piece, verdict });
            }
            Event::Fact(Input::Connected { torrent, peer, holder, link, direction, traits }) => {
                self.hosts[host].open.insert(link);
                self.tell(host, Input::Connected { torrent, peer, holder, link, direction, traits });
                if !self.links.contains_key(&link) {
                    self.schedule(host, Duration::ZERO, Event::Fact(Input::Disconnected { link }));
                }
            }
            Event::Fact(Input::Disconnected { link }) => {
                self.hosts[host].outbox.remove(&link);
                if self.hosts[host].open.remove(&link) {
                    self.tell(host, Input::Disconnected { link });
                }
            }
            Event::Fact(input) => self.tell(host, input),
            Event::Sent(link, frames) => {
                self.hosts[host].is_sending = false;
                let blocks: Vec<BlockRef> = frames.iter().filter_map(Frame::block).collect();
                if let Some(other) = self.other_end(link, host) {
                    self.schedule(other, self.latency, Event::Came(link, frames));
                }
                for block in blocks {
                    self.hosts[host].sent += u64::from(block.length);
                    self.tell(host, Input::BlockSent { link, block });
                }
                self.transmit(host);
            }
            Event::Came(link, frames) => {
                for frame in frames {
                    // What was on its way when the other end closed still comes.
                    if !self.hosts[host].open.contains(&link) {
                        return;
                    }
                    match frame {
                        Frame::Message(message) => self.tell(host, Input::Received { link, message }),
                        Frame::Block { block, is_bad } => self.take_block(host, link, block, is_bad),
                    }
                }
            }
        }
    }

    fn take_block(&mut self, host: usize, link: LinkId, block: BlockRef, is_bad: bool) {
        let taker = &mut self.hosts[host];
        if !taker.expected.remove(&(link, block)) {
            // Without BEP 6 a choke and an unchoke in quick succession leave both ends with different ideas.
            assert!(!taker.spec.traits.fast, "a block came that was not asked for");
            return;
        }
        taker.received += u64::from(block.length);
        // The disk refuses to overwrite what is verified.
        if !taker.disk.get(block.piece) {
            for BlockRef { begin, .. } in block.blocks() {
                if is_bad {
                    taker.bad_blocks.insert((block.piece, begin));
                } else {
                    taker.bad_blocks.remove(&(block.piece, begin));
                }
            }
        }
        self.tell(host, Input::BlockReceived { link, block });
    }

    /// Feeds a fact and carries out what follows.
    pub(super) fn tell(&mut self, host: usize, input: Input) {
        let now = self.now;
        let Some(mut engine) = self.hosts[host].engine.take() else { return };
        engine.handle(now, input);
        while let Some(output) = engine.next_output() {
            self.note(host, &output);
            self.carry_out(host, &engine, output);
        }
        let deadline = engine.deadline();
        self.hosts[host].engine = Some(engine);
        if let Some((at, _)) = deadline {
            assert!(at > now, "what is due is done at once");
            if self.hosts[host].wake_at.is_none_or(|planned| at < planned) {
                self.hosts[host].wake_at = Some(at);
                self.schedule(host, at.since(now), Event::Fact(Input::Wake));
            }
        }
        self.transmit(host);
    }

    fn note(&mut self, host: usize, output: &Output) {
        let text = format!("{} {host} {output:?}", self.now.as_micros());
        for byte in text.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn carry_out(&mut self, host: usize, engine: &Engine, output: Output) {
        match output {
            Output::Dial { torrent, peer } => self.dial(host, torrent, peer),
            Output::Send { link, message } => {
                let says_what_it_has = matches!(
                    message,
                    PeerMessage::Bitfield(_) | PeerMessage::HaveAll | PeerMessage::HaveNone
                );
                let is_first = self.hosts[host].spoken.insert(link);
                let fast = self.hosts[host].spec.traits.fast;
                assert!(says_what_it_has == is_first || !fast, "{message:?} out of order");
                match &message {
                    PeerMessage::Request(block) => {
                        assert!(!self.hosts[host].disk.get(block.piece), "asked for what is there");
                        self.hosts[host].expected.insert((link, *block));
                        let first = block.begin / BLOCK_LENGTH;
                        for n in first..first + block.length.div_ceil(BLOCK_LENGTH) {
                            *self.hosts[host].asked.entry((block.piece, n)).or_default() += 1;
                        }
                    }
                    PeerMessage::Have(piece) => {
                        assert!(engine.verified(TORRENT).is_some_and(|own| own.get(*piece)));
                        assert!(self.hosts[host].disk.get(*piece), "announced what is not there");
                    }
                    _ => {}
                }
                self.post(host, link, Frame::Message(message));
            }
            Output::SendBlock { link, block } => {
                assert!(self.hosts[host].disk.get(block.piece), "served what is not verified");
                let is_bad = self.hosts[host].spec.corrupts;
                self.post(host, link, Frame::Block { block, is_bad });
            }
            Output::CheckPiece { torrent, piece } => {
                let is_bad = self.hosts[host].bad_blocks.iter().any(|(bad, _)| *bad == piece);
                let verdict = if is_bad { Verdict::Bad } else { Verdict::Good };
                let fact = Input::PieceChecked { torrent, piece, verdict };
                self.schedule(host, self.hash_time, Event::Fact(fact));
            }
            Output::Judge { link, block } => self.judge(host, link, block),
            Output::FetchLeaves { .. } | Output::CheckBlocks { .. } => {
                unreachable!("nobody here takes single blocks")
            }
            Output::Disconnect { link, reason } => {
                if let Some(other) = self.other_end(link, host) {
                    self.hosts[host].disconnects.push((PeerKey(other as u64), reason));
                }
                self.cut(link, host);
                self.schedule(host, Duration::ZERO, Event::Fact(Input::Disconnected { link }));
            }
            Output::HolderBanned { .. } => {}
            Output::Completed { .. } => {
                assert!(self.hosts[host].disk.is_full());
                self.hosts[host].completed_at = Some(self.now);
            }
        }
    }

    /// Who corrupts stays silent when asked for leaf hashes.
    fn judge(&mut self, host: usize, link: LinkId, block: BlockRef) {
        let Some(other) = self.other_end(link, host).filter(|&other| !self.hosts[other].spec.corrupts) else {
            return;
        };
        let fact = if self.hosts[other].disk.get(block.piece) {
            let end = block.begin + block.length;
            let bad = self.hosts[host].bad_blocks.range((block.piece, block.begin)..(block.piece, end));
            let bad = bad.map(|&(piece, begin)| BlockRef { piece, begin, length: BLOCK_LENGTH }).collect();
            Input::Judged { link, block, bad }
        } else {
            Input::Unjudged { link, block }
        };
        self.schedule(host, 2 * self.latency + self.hash_time, Event::Fact(fact));
    }

    fn dial(&mut self, host: usize, torrent: TorrentId, peer: PeerKey) {
        let other = peer.0 as usize;
        let linked = self.links.values().any(|&ends| ends == (host, other) || ends == (other, host));
        if linked || self.hosts[other].engine.is_none() {
            let fact = Event::Fact(Input::DialFailed { torrent, peer });
            return self.schedule(host, self.latency * 2, fact);
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(link, (host, other));
        for (end, peer, direction) in [(other, host, Direction::Inbound), (host, other, Direction::Outbound)]
        {
            let upload_only = self.hosts[peer].disk.is_full();
            let traits = PeerTraits { upload_only, ..self.hosts[peer].spec.traits };
            let peer = PeerKey(peer as u64);
            let fact = Input::Connected { torrent, peer, holder: None, link, direction, traits };
            self.schedule(end, self.latency * 2, Event::Fact(fact));
        }
    }

    /// The other end of a cut link learns of it a latency later.
    fn cut(&mut self, link: LinkId, by: usize) {
        if let Some(other) = self.other_end(link, by) {
            self.schedule(other, self.latency, Event::Fact(Input::Disconnected { link }));
        }
        self.links.remove(&link);
        self.hosts[by].outbox.remove(&link);
    }

    fn other_end(&self, link: LinkId, host: usize) -> Option<usize> {
        self.links.get(&link).map(|&(a, b)| if a == host { b } else { a })
    }

    /// Puts a frame into a link's outbox; messages overtake blocks, as a good driver lets them.
    fn post(&mut self, host: usize, link: LinkId, frame: Frame) {
        if self.links.contains_key(&link) {
            let frames = self.hosts[host].outbox.entry(link).or_default();
            let place = match frame {
                Frame::Message(_) => frames.iter().position(|queued| queued.block().is_some()),
                Frame::Block { .. } => None,
            };
            frames.insert(place.unwrap_or(frames.len()), frame);
        }
    }

    /// Puts what waits on the uplink, one link after the other: all messages and one block at a time.
    fn transmit(&mut self, host: usize) {
        let sender = &mut self.hosts[host];
        if sender.is_sending {
            return;
        }
        let after = sender.outbox.range(LinkId(sender.last_served.0 + 1)..);
        let waiting = after.chain(sender.outbox.iter()).find(|(_, frames)| !frames.is_empty());
        let Some((&link, _)) = waiting else { return };
        let Some(outbox) = sender.outbox.get_mut(&link) else { return };
        let messages = outbox.iter().take_while(|frame| frame.block().is_none()).count();
        let frames: Vec<Frame> = outbox.drain(..outbox.len().min(messages + 1)).collect();
        sender.last_served = link;
        sender.is_sending = true;
        let bytes: u64 = frames.iter().map(Frame::bytes).sum();
        let time = Duration::from_micros(bytes * 1_000_000 / sender.spec.up);
        self.schedule(host, time, Event::Sent(link, frames));
    }
}
