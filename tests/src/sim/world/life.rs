//! Hosts that start, stop and come back, and what else befalls them.

use std::sync::Arc;

use samara_peer::engine::Engine;
use samara_peer::engine::event::{Aim, Content, Input, PeerKey, Proof, Source};
use samara_peer::engine::selection::Selection;
use samara_proto::layout::PieceIndex;

use super::{TORRENT, World, engine_seed, nanos};
use crate::sim::agenda::{Event, HostNo, LinkNo};
use crate::sim::host::{Host, Leaves};
use crate::sim::link::pipe_no;
use crate::sim::script::Step;

/// A host's first gossip comes this long after its start.
const FIRST_GOSSIP: u64 = 5_000_000_000;

impl World {
    /// Puts what a host comes with on its disk.
    pub(super) fn preload(&mut self, host: &mut Host) {
        let pieces = self.settings.shape.pieces;
        for piece in 0..pieces.saturating_sub(host.spec.lacks) {
            if self.rng.below(1000) < host.spec.preloaded {
                host.disk.preload(PieceIndex(piece));
            }
        }
    }

    /// Starts a host with what is on its disk.
    pub(super) fn start(&mut self, host: HostNo) {
        let at = host as usize;
        if self.hosts[at].is_up || self.hosts[at].is_gone {
            return;
        }
        let starter = &mut self.hosts[at];
        starter.is_up = true;
        starter.started_at.get_or_insert(self.now);
        let seed = engine_seed(self.settings.rng_seed, host, starter.life);
        self.engines[at] = Some(Engine::new(starter.spec.config.clone(), seed));
        let aim = if starter.spec.is_seed { Aim::Serve } else { Aim::Fetch };
        let (verified, stored) = (starter.disk.verified().clone(), starter.disk.stored());
        let has_mischief = starter.spec.lie.has_mischief();
        let proof = if self.settings.v2 { Proof::Blocks } else { Proof::Pieces };
        let content = Content {
            layout: Arc::clone(&self.layout),
            verified,
            stored,
            proof,
            selection: Selection::default(),
        };
        self.fact(host, Input::AddTorrent { torrent: TORRENT, content, aim });
        if let Some(peer) = self.hosts[at].spec.knows {
            let (torrent, peer) = (TORRENT, PeerKey(u64::from(peer)));
            self.fact(host, Input::Candidate { torrent, peer, source: Source::Link });
        }
        self.plan_for(host, 0, |host, life| Event::Announce { host, life });
        if self.settings.gossip {
            let wait = self.jittered(FIRST_GOSSIP);
            self.plan_for(host, wait, |host, life| Event::Gossip { host, life });
        }
        if has_mischief {
            self.plan_for(host, crate::sim::lie::MISCHIEF_INTERVAL, |host, life| Event::Mischief {
                host,
                life,
            });
        }
    }

    /// Ends a host without a word.
    fn crash(&mut self, host: HostNo) {
        for link in self.hosts[host as usize].links.clone() {
            let side = self.links[link as usize].side_of(host);
            self.cut(link, side);
        }
        self.engines[host as usize] = None;
        let dead = &mut self.hosts[host as usize];
        dead.is_up = false;
        dead.life += 1;
        dead.wake_at = None;
        dead.ring.clear();
        dead.hashed_at = 0;
        dead.asked_of.clear();
        dead.convicted.clear();
        dead.leaf_questions.clear();
        dead.disk.on_crash();
    }

    pub(super) fn perform(&mut self, step: Step) {
        match step {
            Step::Crash(host) => self.crash(host),
            Step::Resume(host) => self.start(host),
            Step::Leave(host) => {
                self.crash(host);
                self.hosts[host as usize].is_gone = true;
            }
            Step::Divide(parts) => {
                for (host, part) in self.hosts.iter_mut().zip(parts) {
                    host.side = part;
                }
            }
            Step::Heal => {
                self.hosts.iter_mut().for_each(|host| host.side = 0);
                for link in 0..self.links.len() as LinkNo {
                    self.reoffer(link);
                }
            }
            Step::DropCrossing => {
                for link in 0..self.links.len() {
                    let [a, b] = [0, 1].map(|side| self.links[link].ends[side].host as usize);
                    if self.hosts[a].side != self.hosts[b].side && self.links[link].is_up() {
                        self.sever(link as LinkNo);
                    }
                }
            }
            Step::Stall(host, wait) => {
                self.hosts[host as usize].stalled_until = self.now + nanos(wait);
            }
            Step::CutOne(host) => {
                if let Some(&link) = self.hosts[host as usize].links.first() {
                    self.sever(link);
                }
            }
            Step::TrackerGone => self.tracker.vanish(),
            Step::Pause => {}
        }
    }

    fn reoffer(&mut self, link_no: LinkNo) {
        for side in [0, 1] {
            let end = &self.links[link_no as usize].ends[side];
            if end.is_open {
                let host = end.host;
                self.offer(pipe_no(link_no, side));
                self.touched.push(host);
            }
        }
    }

    /// A host has everything.
    pub(super) fn on_completed(&mut self, host: HostNo) {
        let now = self.now;
        let done = &mut self.hosts[host as usize];
        if done.completed_at.is_some() {
            return;
        }
        done.completed_at = Some(now);
        self.may_be_done = true;
        if let Leaves::AfterCompletion(wait) = done.spec.leaves {
            self.plan_departure(host, nanos(wait));
        }
    }

    /// Lets a host go that has given what it wanted to give.
    pub(super) fn leave_if_due(&mut self, host: HostNo) {
        let giver = &mut self.hosts[host as usize];
        let Leaves::AfterGiving(copies) = giver.spec.leaves else { return };
        if giver.counts.given as f64 >= copies * self.settings.shape.bytes() as f64 {
            giver.spec.leaves = Leaves::Never;
            self.plan_departure(host, 0);
        }
    }

    fn plan_departure(&mut self, host: HostNo, wait: u64) {
        self.agenda.plan(self.now + wait, Event::Script(self.script.len() as u32));
        self.script.push(Step::Leave(host));
        self.steps_left += 1;
    }
}
