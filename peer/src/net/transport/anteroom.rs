//! Where connections from outside wait until their handshake is done: a bounded number, so that whoever opens
//! many and says nothing keeps nobody else out.
//!
//! Nobody is turned away at the door, where friend and flood look the same. In a full anteroom the source with the
//! most connections loses one for the newcomer: a silent one if it has any, the oldest of these. A flood from one
//! address so displaces itself alone, and one that shares the newcomer's address those that have said nothing.

mod room;

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::{Abortable, FutureExt};
use libp2p::Multiaddr;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, Transport, TransportError, TransportEvent};

use super::Connection;
use crate::net::address::{canonical, ip_of};
use crate::net::discovery::policy::one_holder;
use room::Room;

type Handshake = <Boxed<Connection> as Transport>::ListenerUpgrade;

/// Who is in the anteroom. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Anteroom(Arc<Mutex<Room>>);

impl Anteroom {
    /// With room for so many connections.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Room::new(places))))
    }

    /// A connection of `remote` has sent something.
    pub(super) fn on_heard(&self, remote: &Multiaddr) {
        self.room().on_heard(remote);
    }

    /// The transport whose inbound connections wait here.
    pub(super) fn before(self, inner: Boxed<Connection>) -> Guarded {
        Guarded { inner, anteroom: self }
    }

    /// Takes a connection in until its handshake is done or it has to give way.
    fn admit(&self, remote: &Multiaddr, handshake: Handshake) -> Handshake {
        let (number, registration) = self.room().enter(source(remote), remote.clone());
        let place = Place { anteroom: self.clone(), number };
        let handshake = Abortable::new(handshake, registration);
        let waiting = async move {
            // Whoever goes, by whatever way, leaves his place.
            let _place = place;
            let gave_way = |_| io::Error::other("it gave way to others in their handshakes");
            handshake.await.map_err(gave_way)?
        };
        waiting.boxed()
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place {
    anteroom: Anteroom,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.anteroom.room().leave(self.number);
    }
}

/// Whose connections are counted together.
fn source(remote: &Multiaddr) -> Option<IpAddr> {
    ip_of(remote).map(|ip| one_holder(canonical(ip)))
}

/// A transport behind an anteroom. Dials do not pass through it: how many there are is up to us.
pub(super) struct Guarded {
    inner: Boxed<Connection>,
    anteroom: Anteroom,
}

impl Transport for Guarded {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = Handshake;
    type Dial = <Boxed<Connection> as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Handshake, io::Error>> {
        let anteroom = self.anteroom.clone();
        Pin::new(&mut self.inner).poll(cx).map(|event| match event {
            TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => {
                let upgrade = anteroom.admit(&send_back_addr, upgrade);
                TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr }
            }
            other => other,
        })
    }
}
