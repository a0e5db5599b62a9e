//! The network interface of a bound node: said once when it goes away, used again when it is back.
//!
//! That nothing leaves by another way meanwhile is not done here: the sockets see to it.

use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId};

use super::NodeLoop;
use crate::engine::event::{PeerKey, TorrentId};
use crate::handle::TorrentEvent;
use crate::net::bind::{Binding, Presence};

/// Trackers that were silent while the interface was away have answered again by then, if they do.
const SETTLING: Duration = Duration::from_secs(120);
/// Dials that wait for the interface: the engine has 16 of a torrent under way, and few have many torrents.
const HELD_DIALS: usize = 1024;

/// What is known of it.
pub(super) struct Interface {
    binding: Binding,
    presence: Presence,
    /// Its number when its sockets were made; they are dead once it has another.
    index: Option<u32>,
    /// Where the node listens on it.
    listeners: Vec<(ListenerId, Multiaddr)>,
    /// Where it should, and could not yet.
    missing: Vec<Multiaddr>,
    /// Dials ordered while it was away: that they fail would say nothing about the peers.
    held: Vec<(TorrentId, PeerKey)>,
    /// When it came back.
    back_at: Option<Instant>,
}

/// Whether the world outside can be judged from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// It can be reached.
    Open,
    /// The interface is away.
    Away,
    /// It came back a moment ago: that somebody is silent does not say that he is gone.
    JustBack,
}

/// What became of the interface since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Gone,
    /// Its sockets work again.
    Back,
    /// It is another than before under the same name, and its sockets are dead.
    Renewed,
}

impl Interface {
    pub(super) fn new(binding: Binding) -> Self {
        let index = match binding.presence() {
            Ok(Presence::Up(index)) => index,
            _ => None,
        };
        let (listeners, missing, held) = (Vec::new(), Vec::new(), Vec::new());
        // Whoever starts on an interface that is down is told at the first look.
        Self { binding, presence: Presence::Up(index), index, listeners, missing, held, back_at: None }
    }

    /// A listener says where it listens.
    pub(super) fn on_listening(&mut self, id: ListenerId, address: Multiaddr) {
        self.listeners.push((id, address));
    }

    /// A listener has closed; whether that was our wish.
    pub(super) fn on_closed(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|(listener, _)| *listener != id);
        self.listeners.len() == before
    }

    fn outside(&self, now: Instant) -> Outside {
        match self.back_at {
            _ if self.is_gone() => Outside::Away,
            Some(at) if now.duration_since(at) < SETTLING => Outside::JustBack,
            _ => Outside::Open,
        }
    }

    fn is_gone(&self) -> bool {
        self.presence == Presence::Gone
    }

    fn change_to(&mut self, presence: Presence) -> Change {
        let was_gone = self.is_gone();
        self.presence = presence;
        let Presence::Up(index) = presence else {
            return if was_gone { Change::None } else { Change::Gone };
        };
        let is_other = index.is_some() && self.index.is_some() && index != self.index;
        self.index = index.or(self.index);
        match (is_other, was_gone) {
            (true, _) => Change::Renewed,
            (false, true) => Change::Back,
            (false, false) => Change::None,
        }
    }
}

impl NodeLoop {
    /// Whether a dial has to wait until the interface is back; it is made then.
    pub(super) fn is_held(&mut self, torrent: TorrentId, peer: PeerKey) -> bool {
        let Some(interface) = self.interface.as_mut().filter(|interface| interface.is_gone()) else {
            return false;
        };
        if interface.held.len() < HELD_DIALS {
            interface.held.push((torrent, peer));
            return true;
        }
        false
    }

    /// Looks whether the interface is there, and sees to what follows.
    pub(super) fn look_after_interface(&mut self) {
        let Some(interface) = &mut self.interface else { return };
        let change = match interface.binding.presence() {
            Ok(presence) => interface.change_to(presence),
            Err(error) => {
                tracing::debug!(%error, "cannot list the network interfaces");
                Change::None
            }
        };
        let (name, address) = (interface.binding.interface().to_owned(), interface.binding.address());
        match change {
            Change::None => self.listen_anew(),
            Change::Gone => self.warn_all(format!(
                "network interface {name} is gone or down: nothing is sent or received until it is back with {address}"
            )),
            Change::Back => {
                self.on_back(&name);
                self.dial_held();
            }
            Change::Renewed => {
                self.on_back(&name);
                self.drop_dead_sockets();
                self.listen_anew();
                self.dial_held();
            }
        }
    }

    /// Whether the world outside can be judged from here.
    pub(super) fn outside(&self) -> Outside {
        self.interface.as_ref().map_or(Outside::Open, |interface| interface.outside(Instant::now()))
    }

    fn on_back(&mut self, name: &str) {
        if let Some(interface) = &mut self.interface {
            interface.back_at = Some(Instant::now());
        }
        for state in self.torrents.values() {
            state.tell(TorrentEvent::Note(format!("network interface {name} is back")));
        }
    }

    /// Closes what was made on the interface that is gone for good.
    fn drop_dead_sockets(&mut self) {
        let Some(interface) = &mut self.interface else { return };
        for (id, address) in std::mem::take(&mut interface.listeners) {
            self.swarm.remove_listener(id);
            interface.missing.push(address);
        }
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // An error means that it has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Listens where it could not before.
    fn listen_anew(&mut self) {
        let Some(interface) = &mut self.interface else { return };
        for address in std::mem::take(&mut interface.missing) {
            if let Err(error) = self.swarm.listen_on(address.clone()) {
                tracing::debug!(%address, %error, "cannot listen there yet");
                interface.missing.push(address);
            }
        }
    }

    fn dial_held(&mut self) {
        let held = self.interface.as_mut().map(|interface| std::mem::take(&mut interface.held));
        for (torrent, peer) in held.unwrap_or_default() {
            if let Some(failed) = self.dial(torrent, peer) {
                self.on_not_asked(torrent, peer);
                self.drive(failed);
            }
        }
    }

    /// Tells every torrent, or whoever started the node if there is none.
    fn warn_all(&self, message: String) {
        if self.torrents.is_empty() {
            self.warn_of_node(message.clone());
        }
        for &torrent in self.torrents.keys() {
            self.warn(torrent, message.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_told_once() {
        let mut interface = Interface::new(Binding::find([127, 0, 0, 1].into()).expect("loopback"));
        let up = interface.presence;
        let other = Presence::Up(Some(u32::MAX));
        let seen = [up, Presence::Gone, Presence::Gone, up, up, Presence::Gone, other, other, up];
        let changes = seen.map(|presence| interface.change_to(presence));
        use Change::{Back, Gone, None, Renewed};
        assert_eq!(changes, [None, Gone, None, Back, None, Gone, Renewed, None, Renewed]);
    }

    #[test]
    fn nobody_is_judged_while_the_interface_is_away_nor_just_after() {
        let mut interface = Interface::new(Binding::find([127, 0, 0, 1].into()).expect("loopback"));
        let (now, up) = (Instant::now(), interface.presence);
        assert_eq!(interface.outside(now), Outside::Open);
        interface.change_to(Presence::Gone);
        assert_eq!(interface.outside(now), Outside::Away);
        interface.change_to(up);
        interface.back_at = Some(now);
        assert_eq!(interface.outside(now), Outside::JustBack);
        assert_eq!(interface.outside(now + SETTLING), Outside::Open);
    }
}
