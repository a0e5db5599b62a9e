//! How bytes travel: uplinks that serve their links in turn, windows, latency, downlinks that are shared.

use samara_peer::engine::event::Input;

use super::World;
use crate::sim::agenda::{Event, HostNo, LinkNo, Nanos, PipeNo};
use crate::sim::link::{of_pipe, pipe_no};
use crate::sim::pipe::{CHUNK_BYTES, Chunk};
use crate::sim::wire::{BLOCK_HEADER_BYTES, Talk};

/// What waits before a downlink, in time, until those who send to it hold back: a router's queue. The way
/// there, which holds bytes too, comes on top.
const QUEUE: Nanos = 50_000_000;
/// What each of those who hold back may still have on its way: so much of the downlink's time.
const TRICKLE: Nanos = 5_000_000;
/// The least of that: a full packet.
const PACKET_BYTES: u32 = 1448;

/// Bytes an uplink sends before it looks again at who waits: small messages for many links go at once.
const SLICE_BYTES: u32 = 4096;

impl World {
    /// Moves what a driver holds into the socket, and gives the pipe its turn if it can use one.
    pub(super) fn offer(&mut self, pipe_no: PipeNo) {
        let (link_no, side) = of_pipe(pipe_no);
        let link = &mut self.links[link_no as usize];
        let (host, other) = (link.ends[side].host, link.ends[1 - side].host);
        let life = self.hosts[host as usize].life;
        let facts = &mut self.facts;
        let pipe = &mut link.pipes[side];
        let id = samara_peer::engine::event::LinkId(u64::from(link_no));
        pipe.pump(self.settings.socket_bytes, |block| {
            facts.push_back((host, life, Input::BlockSent { link: id, block }));
        });
        let is_cut_off = self.hosts[host as usize].side != self.hosts[other as usize].side;
        if pipe.is_queued || is_cut_off || !pipe.has_something() {
            return;
        }
        let receiver = &self.hosts[other as usize];
        let holds_back = receiver.is_congested(QUEUE + 2 * link.latency);
        if pipe.may_send(self.now) && (pipe.is_quiet() || !holds_back) {
            pipe.is_queued = true;
            self.hosts[host as usize].ring.push_back(pipe_no);
        } else if let Some(at) = pipe.plan_acknowledgement() {
            self.agenda.plan(at, Event::Acknowledged(pipe_no));
        }
    }

    /// Sends what waits at an uplink, one link after the other, if it is free.
    pub(super) fn transmit(&mut self, host: HostNo) {
        let at = host as usize;
        if self.hosts[at].ring.is_empty() {
            return;
        }
        let free_at = self.hosts[at].uplink_free_at.max(self.hosts[at].stalled_until);
        if free_at > self.now {
            return self.plan_uplink(host, free_at);
        }
        let (mut sent_at, mut sent) = (self.now, 0);
        while sent < SLICE_BYTES
            && let Some(pipe) = self.hosts[at].ring.pop_front()
        {
            sent += self.send_burst(host, pipe, &mut sent_at);
            self.offer(pipe);
        }
        self.hosts[at].uplink_free_at = sent_at;
        if !self.hosts[at].ring.is_empty() {
            self.plan_uplink(host, sent_at);
        }
    }

    fn plan_uplink(&mut self, host: HostNo, at: Nanos) {
        let sender = &mut self.hosts[host as usize];
        if !std::mem::replace(&mut sender.uplink_planned, true) {
            self.agenda.plan(at, Event::UplinkFree(host));
        }
    }

    /// One link's turn: messages and a chunk of a block. Gives the bytes and moves `sent_at` on.
    fn send_burst(&mut self, host: HostNo, pipe_no: PipeNo, sent_at: &mut Nanos) -> u32 {
        let (link_no, side) = of_pipe(pipe_no);
        let link = &mut self.links[link_no as usize];
        let other = link.ends[1 - side].host as usize;
        let receiver = &mut self.hosts[other];
        let most = match receiver.is_congested(QUEUE + 2 * link.latency) {
            true => receiver.down_bytes(TRICKLE).clamp(PACKET_BYTES, CHUNK_BYTES),
            false => CHUNK_BYTES,
        };
        let is_heard = link.ends[1 - side].is_open && receiver.is_up;
        let pipe = &mut link.pipes[side];
        pipe.is_queued = false;
        let mut burst = 0;
        let sender = &mut self.hosts[host as usize];
        while burst < most
            && pipe.may_send(self.now)
            && let Some(chunk) = pipe.take(most)
        {
            match chunk {
                Chunk::Message(_, bytes) => sender.counts.control += u64::from(*bytes),
                Chunk::Last(parcel, _) => {
                    sender.counts.given += u64::from(parcel.block.length);
                    sender.counts.control += u64::from(BLOCK_HEADER_BYTES);
                }
                Chunk::Part(_) => {}
            }
            burst += chunk.bytes();
        }
        if burst == 0 {
            return 0;
        }
        *sent_at += sender.up_time(burst + burst * self.settings.overhead / 1000);
        let jitter = match self.settings.jitter.as_micros() {
            0 => 0,
            micros => u64::from(self.rng.below(micros as u32)) * 1000,
        };
        let arrival = pipe.last_arrival.max(*sent_at + link.latency + jitter);
        pipe.schedule(arrival);
        if is_heard {
            self.hosts[other].inbound += u64::from(burst);
            self.agenda.plan(arrival, Event::Arrived(pipe_no));
        } else {
            pipe.discard();
        }
        self.leave_if_due(host);
        burst
    }

    /// What was sent at once comes to the downlink, where it waits for what came before.
    pub(super) fn on_arrived(&mut self, pipe_no: PipeNo) {
        let (link_no, side) = of_pipe(pipe_no);
        let link = &mut self.links[link_no as usize];
        let pipe = &mut link.pipes[side];
        if !link.ends[1 - side].is_open {
            return;
        }
        let bytes = pipe.arrived_bytes(self.now);
        if bytes == 0 {
            return;
        }
        let bytes = bytes + bytes * self.settings.overhead / 1000;
        let up_time = self.hosts[link.ends[side].host as usize].up_time(bytes);
        let receiver = &mut self.hosts[link.ends[1 - side].host as usize];
        // The first byte came earlier, and has begun to pass the downlink if that was free.
        let begun =
            receiver.downlink_free_at.max(self.now.saturating_sub(up_time)).max(receiver.stalled_until);
        let passed = self.now.max(begun + receiver.down_time(bytes));
        receiver.downlink_free_at = passed;
        pipe.land(self.now, passed);
        if passed <= self.now {
            self.on_delivered(pipe_no);
        } else {
            self.agenda.plan(passed, Event::Delivered(pipe_no));
        }
    }

    /// What has passed the downlink reaches the driver.
    pub(super) fn on_delivered(&mut self, pipe_no: PipeNo) {
        let (link_no, side) = of_pipe(pipe_no);
        let (mut bytes, mut to_acknowledge) = (0, 0);
        loop {
            let link = &mut self.links[link_no as usize];
            let pipe = &mut link.pipes[side];
            if !link.ends[1 - side].is_open {
                return;
            }
            let Some(chunk) = pipe.pop_landed(self.now) else { break };
            bytes += chunk.bytes();
            if !matches!(chunk, Chunk::Message(..)) {
                to_acknowledge += chunk.bytes();
            }
            let receiver = link.ends[1 - side].host;
            match chunk {
                Chunk::Message(talk, _) => self.take_talk(receiver, link_no, 1 - side, talk),
                Chunk::Part(_) => {}
                Chunk::Last(parcel, _) => self.take_block(receiver, link_no, 1 - side, parcel),
            }
        }
        let link = &mut self.links[link_no as usize];
        let inbound = &mut self.hosts[link.ends[1 - side].host as usize].inbound;
        *inbound = inbound.saturating_sub(u64::from(bytes));
        if to_acknowledge == 0 {
            return;
        }
        let heard_at = self.now + link.latency;
        let pipe = &mut link.pipes[side];
        pipe.acknowledge(to_acknowledge, heard_at);
        if std::mem::take(&mut pipe.is_blocked)
            && let Some(at) = pipe.plan_acknowledgement()
        {
            self.agenda.plan(at, Event::Acknowledged(pipe_no));
        }
    }

    pub(super) fn on_acknowledged(&mut self, pipe_no: PipeNo) {
        let (link_no, side) = of_pipe(pipe_no);
        let link = &mut self.links[link_no as usize];
        link.pipes[side].is_acknowledgement_planned = false;
        let end = &link.ends[side];
        if end.is_open {
            let host = end.host;
            self.offer(pipe_no);
            self.touched.push(host);
        }
    }

    /// Orders a message to be sent.
    pub(super) fn post(&mut self, link_no: LinkNo, side: usize, talk: Talk) {
        match self.scales.weigh_talk(&talk) {
            Ok(bytes) => {
                self.links[link_no as usize].pipes[side].post(talk, bytes, self.settings.socket_bytes)
            }
            Err(what) => self.violate(self.links[link_no as usize].ends[side].host, what),
        }
        self.offer(pipe_no(link_no, side));
    }
}
