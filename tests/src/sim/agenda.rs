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
    /// A single block was checked by its leaf hash.
    Judged {
        /// Whose.
        host: HostNo,
        /// Which life of it.
        life: u32,
        /// The link it came over.
        link: LinkNo,
        /// Its piece.
        piece: u32,
        /// Its first byte in the piece.
        begin: u32,
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
    // The heap gives the greatest first: the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The events to come.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Entry>,
    planned: u64,
}

impl Agenda {
    /// Plans `event` for the moment `at`.
    pub fn plan(&mut self, at: Nanos, event: Event) {
        self.heap.push(Entry { at, number: self.planned, event });
        self.planned += 1;
    }

    /// The next event, if one is due no later than `end`.
    pub fn next(&mut self, end: Nanos) -> Option<(Nanos, Event)> {
        let entry = self.heap.pop()?;
        if entry.at > end {
            self.heap.push(entry);
            return None;
        }
        Some((entry.at, entry.event))
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
}
