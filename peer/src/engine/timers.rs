//! What the engine wants to be woken for, each with its reason.

use samara_proto::moment::Moment;

/// Why the engine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerName {
    /// A slot became free and somebody may be waiting for it.
    FillSlots,
    /// Candidates may be due to be dialled.
    Dial,
    /// Requests in flight may be overdue.
    Requests,
    /// A turn may be over that nobody uses.
    Turns,
    /// Somebody may want other pieces than those it was shown.
    Show,
    /// Somebody was not told yet of pieces that we have.
    News,
}

const NAMES: [TimerName; 6] = [
    TimerName::FillSlots,
    TimerName::Dial,
    TimerName::Requests,
    TimerName::Turns,
    TimerName::Show,
    TimerName::News,
];

/// One moment or none for each name.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    at: [Option<Moment>; NAMES.len()],
}

impl Timers {
    /// Asks to be woken at `at` for `name`, instead of whenever was asked before.
    pub fn set(&mut self, name: TimerName, at: Moment) {
        self.at[name as usize] = Some(at);
    }

    /// Asks to be woken at `at` for `name` unless that is already asked for earlier.
    pub fn set_no_later(&mut self, name: TimerName, at: Moment) {
        let slot = &mut self.at[name as usize];
        *slot = Some(slot.map_or(at, |earlier| earlier.min(at)));
    }

    /// When `name` is due, if ever.
    pub fn at(&self, name: TimerName) -> Option<Moment> {
        self.at[name as usize]
    }

    /// The earliest moment asked for; among equals the first in the order of the names.
    pub fn next(&self) -> Option<(Moment, TimerName)> {
        NAMES.iter().filter_map(|&name| Some((self.at(name)?, name))).min()
    }

    /// The next name that is due, its timer cleared.
    pub fn take_due(&mut self, now: Moment) -> Option<TimerName> {
        let (at, name) = self.next()?;
        if at > now {
            return None;
        }
        self.at[name as usize] = None;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_out_once_and_in_order() {
        let mut timers = Timers::default();
        let at = Moment::from_micros;
        timers.set(TimerName::Turns, at(10));
        timers.set(TimerName::Dial, at(5));
        timers.set_no_later(TimerName::Dial, at(9));
        assert_eq!(timers.next(), Some((at(5), TimerName::Dial)));
        assert_eq!(timers.take_due(at(4)), None);
        assert_eq!(timers.take_due(at(20)), Some(TimerName::Dial));
        assert_eq!(timers.take_due(at(20)), Some(TimerName::Turns));
        assert_eq!(timers.take_due(at(20)), None);
    }
}
