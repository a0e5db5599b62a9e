//! What will happen when: events in the order of virtual time, those of one moment in the order planned.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Virtual time in nanoseconds; the engine is told whole microseconds.
pub type Nanos = u64;
/// The number of a host in its world.
pub type HostNo = u32;
/// The number of a link in its world.
pub type LinkNo = u32;
/// One direction of a link: twice the link's number, plus the side that sends.
pub type PipeNo = u32;

/// Consecutive blocks of one piece, in little room: a piece has at most 16,384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The piece.
    pub piece: u32,
    /// The first block.
    pub first: u16,
    /// How many.
    pub count: u16,
}

/// Something that is due at a moment. What concerns one life of a host is void in its next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An uplink has sent what it was sending.
    UplinkFree(HostNo),
    /// The last byte of what was sent at once has come to the receiver's downlink.
    Arrived(PipeNo),
    /// It has passed the downlink.
    Delivered(PipeNo),
    /// The sender has heard that bytes were taken.
    Acknowledged(PipeNo),
    /// The engine asked to be woken.
    Wake {
        /// Whose.
        host: HostNo,
        /// Which life of it.
        life: u32,
    },
    /// A hash check is done.
    Checked {
        /// Whose.
        host: HostNo,
        /// Which life of it.
        life: u32,
        /// Of which piece.
        piece: u32,
    },
    /// A piece was hashed whose leaf hashes were asked for.
    Proven {
        /// By whom.
        host: HostNo,
        /// Which life of it.
        life: u32,
        /// The link over which they were.
        link: LinkNo,
        /// For which blocks.
        of: Blocks,
    },
    /// Blocks were held against their leaf hashes.
    Judged {
        /// By whom.
        host: HostNo,
        /// Which life of it.
        life: u32,
        /// The link the hashes came over.
        link: LinkNo,
        /// Which.
        of: Blocks,
    },
    /// Blocks were checked one by one.
    BlocksChecked {
        /// By whom.
        host: HostNo,
        /// Which life of it.
        life: u32,
        /// Which.
        of: Blocks,
        /// By which order.
        order: u32,
    },
    /// Both handshakes of a dial are done, or it has failed.
    Dialled {
        /// Who dialled.
        host: HostNo,
        /// Which life of it.
        life: u32,
        /// Whom.
        to: HostNo,
    },
    /// One side hears that the other has gone.
    HungUp {
        /// Which link.
        link: LinkNo,
        /// The side that hears it.
        side: u8,
    },
    /// A host asks the tracker for peers.
    Announce {
        /// Who.
        host: HostNo,
        /// Which life of it.
        life: u32,
    },
    /// The tracker's answer comes.
    Answered {
        /// To whom.
        host: HostNo,
        /// Which life of it.
        life: u32,
    },
    /// A host tells one of those it is linked with who else is there.
    Gossip {
        /// Who.
        host: HostNo,
        /// Which life of it.
        life: u32,
    },
    /// A liar does something of its own accord.
    Mischief {
        /// Who.
        host: HostNo,
        /// Which life of it.
        life: u32,
    },
    /// A host starts.
    Start(HostNo),
    /// The next step of the script.
    Script(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Nanos,
    number: u64,
    event: Event,
}

impl Ord for Entry {
    // The heap gives the greatest first, and the last of a list is taken first: the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Time covered by one slot of the wheel, as a power of two: about 65 µs, in which a large world does some dozens
/// of things.
const SLOT_BITS: u32 = 16;
/// Slots of the wheel: a quarter of a second, within which most of what is planned is due.
const SLOTS: u64 = 4096;

/// The events to come. What is due soon lies in the slots of a wheel, unsorted until its slot's turn comes: a
/// heap of all events would touch memory all over for every one of them.
#[derive(Debug)]
pub struct Agenda {
    /// The slot whose turn it is, counted from the beginning of time.
    turn: u64,
    /// The events of that slot and before, the next one last.
    current: Vec<Entry>,
    wheel: Vec<Vec<Entry>>,
    /// Events in the wheel.
    waiting: usize,
    /// What is due later than the wheel reaches.
    later: BinaryHeap<Entry>,
    planned: u64,
}

impl Default for Agenda {
    fn default() -> Self {
        Self {
            turn: 0,
            current: Vec::new(),
            wheel: vec![Vec::new(); SLOTS as usize],
            waiting: 0,
            later: BinaryHeap::new(),
            planned: 0,
        }
    }
}

impl Agenda {
    /// Plans `event` for the moment `at`.
    pub fn plan(&mut self, at: Nanos, event: Event) {
        let entry = Entry { at, number: self.planned, event };
        self.planned += 1;
        self.put(entry);
    }

    fn put(&mut self, entry: Entry) {
        let slot = entry.at >> SLOT_BITS;
        if slot <= self.turn {
            let place = self.current.partition_point(|earlier| *earlier < entry);
            self.current.insert(place, entry);
        } else if slot < self.turn + SLOTS {
            self.wheel[(slot % SLOTS) as usize].push(entry);
            self.waiting += 1;
        } else {
            self.later.push(entry);
        }
    }

    /// The next event, if one is due no later than `end`.
    pub fn next(&mut self, end: Nanos) -> Option<(Nanos, Event)> {
        while self.current.is_empty() {
            self.turn_on()?;
        }
        let entry = self.current.pop_if(|entry| entry.at <= end)?;
        Some((entry.at, entry.event))
    }

    /// Goes on to the next slot that has events; `None` if there are no more.
    fn turn_on(&mut self) -> Option<()> {
        self.turn = match self.waiting {
            0 => self.later.peek()?.at >> SLOT_BITS,
            _ => self.turn + 1,
        };
        // The list that was used up takes the slot's place, so that neither is allocated anew.
        std::mem::swap(&mut self.current, &mut self.wheel[(self.turn % SLOTS) as usize]);
        self.waiting -= self.current.len();
        self.current.sort_unstable();
        let reach = self.turn + SLOTS;
        while let Some(entry) = self.later.peek().filter(|entry| entry.at >> SLOT_BITS < reach).copied() {
            self.later.pop();
            self.put(entry);
        }
        Some(())
    }

    /// Events planned so far.
    pub fn planned(&self) -> u64 {
        self.planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_among_equals_as_planned() {
        let mut agenda = Agenda::default();
        for (at, host) in [(5, 1), (3, 2), (5, 3), (3, 4), (9, 5)] {
            agenda.plan(at, Event::Start(host));
        }
        let order: Vec<(Nanos, Event)> = std::iter::from_fn(|| agenda.next(8)).collect();
        let expected = [(3, 2), (3, 4), (5, 1), (5, 3)].map(|(at, host)| (at, Event::Start(host)));
        assert_eq!(order, expected);
        assert_eq!(agenda.next(9), Some((9, Event::Start(5))));
    }

    #[test]
    fn near_and_far_events_come_in_order_however_they_were_planned() {
        let mut agenda = Agenda::default();
        let mut expected = Vec::new();
        let (mut now, mut draw) = (0, 12345_u64);
        for round in 0..2000 {
            for _ in 0..3 {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let wait = (draw >> 40) << (draw >> 20 & 15);
                expected.push(now + wait);
                agenda.plan(now + wait, Event::Start(round));
            }
            now = agenda.next(Nanos::MAX).expect("more is planned than taken").0;
            expected.sort_unstable();
            assert_eq!(expected.remove(0), now);
        }
        let rest: Vec<Nanos> = std::iter::from_fn(|| agenda.next(Nanos::MAX)).map(|(at, _)| at).collect();
        assert_eq!(rest, expected);
    }
}
