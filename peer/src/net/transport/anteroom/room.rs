//! The places of an anteroom and who has to give his up. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use futures::future::{AbortHandle, AbortRegistration};
use libp2p::Multiaddr;

/// Connections in their handshakes, oldest first.
#[derive(Debug)]
pub(super) struct Room {
    /// How many there may be.
    places: usize,
    guests: VecDeque<Guest>,
    next_number: u64,
}

#[derive(Debug)]
struct Guest {
    number: u64,
    /// Whose it is; nothing if the address does not tell, which counts as one source.
    source: Option<IpAddr>,
    /// Where it comes from, with the port.
    remote: Multiaddr,
    has_spoken: bool,
    ticket: AbortHandle,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { places, guests: VecDeque::with_capacity(places), next_number: 0 }
    }

    /// Takes a connection in, by which another may have to give way; gives the number of its place and what ends
    /// its handshake when its turn has come.
    pub(super) fn enter(&mut self, source: Option<IpAddr>, remote: Multiaddr) -> (u64, AbortRegistration) {
        let (ticket, registration) = AbortHandle::new_pair();
        let number = self.next_number;
        self.next_number += 1;
        self.guests.push_back(Guest { number, source, remote, has_spoken: false, ticket });
        if self.guests.len() > self.places
            && let Some(leaver) = self.least_worthy().and_then(|at| self.guests.remove(at))
        {
            leaver.ticket.abort();
        }
        (number, registration)
    }

    /// The connection of `remote` has sent something.
    pub(super) fn on_heard(&mut self, remote: &Multiaddr) {
        // Whoever has just come is at the end.
        if let Some(guest) = self.guests.iter_mut().rev().find(|guest| guest.remote == *remote) {
            guest.has_spoken = true;
        }
    }

    /// A connection is done with its handshake, one way or another.
    pub(super) fn leave(&mut self, number: u64) {
        self.guests.retain(|guest| guest.number != number);
    }

    /// Who gives way: of the source with the most connections a silent one, the oldest. The newcomer counts for
    /// its source, but never goes itself.
    fn least_worthy(&self) -> Option<usize> {
        let mut crowds = BTreeMap::<_, usize>::new();
        for guest in &self.guests {
            *crowds.entry(guest.source).or_default() += 1;
        }
        let others = self.guests.iter().take(self.guests.len() - 1).enumerate();
        // Of equals the first is taken, which is the oldest.
        let rank = |guest: &Guest| (usize::MAX - crowds[&guest.source], guest.has_spoken);
        others.min_by_key(|(_, guest)| rank(guest)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters from an address and a port; the port tells connections apart.
    fn enter(room: &mut Room, ip: [u8; 4], port: u16) -> u64 {
        let ip = IpAddr::from(ip);
        room.enter(Some(ip), remote(ip, port)).0
    }

    fn remote(ip: IpAddr, port: u16) -> Multiaddr {
        Multiaddr::from(ip).with(libp2p::multiaddr::Protocol::Tcp(port))
    }

    fn numbers(room: &Room) -> Vec<u64> {
        room.guests.iter().map(|guest| guest.number).collect()
    }

    const FLOOD: [u8; 4] = [192, 0, 2, 1];
    const FRIEND: [u8; 4] = [198, 51, 100, 1];

    #[test]
    fn a_flood_displaces_itself_alone() {
        let mut room = Room::new(4);
        let friend = enter(&mut room, FRIEND, 1);
        (0..100).for_each(|port| _ = enter(&mut room, FLOOD, port));
        assert_eq!(room.guests.len(), 4);
        assert!(numbers(&room).contains(&friend));
        let other = enter(&mut room, FRIEND, 2);
        assert!([friend, other].iter().all(|number| numbers(&room).contains(number)));
    }

    #[test]
    fn of_one_source_the_oldest_silent_one_gives_way_and_hears_of_it() {
        let mut room = Room::new(3);
        let spoken = enter(&mut room, FLOOD, 1);
        room.on_heard(&remote(FLOOD.into(), 1));
        let (silent, registration) = room.enter(Some(FLOOD.into()), remote(FLOOD.into(), 2));
        let (third, fourth) = (enter(&mut room, FLOOD, 3), enter(&mut room, FLOOD, 4));
        assert_eq!(numbers(&room), [spoken, third, fourth], "{silent} goes");
        assert!(registration.handle().is_aborted());
    }

    #[test]
    fn whoever_has_left_takes_no_place() {
        let mut room = Room::new(2);
        let (first, second) = (enter(&mut room, FLOOD, 1), enter(&mut room, FLOOD, 2));
        room.leave(second);
        let third = enter(&mut room, FRIEND, 3);
        assert_eq!(numbers(&room), [first, third]);
    }

    #[test]
    fn among_strangers_the_newcomer_comes_in() {
        let mut room = Room::new(2);
        let ids: Vec<u64> = (1..=3).map(|last| enter(&mut room, [192, 0, 2, last], 1)).collect();
        assert_eq!(numbers(&room), ids[1..]);
    }
}
