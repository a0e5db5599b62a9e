//! Finding out whether others can dial us, and telling it.

use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, identify, upnp};
use tokio::time::timeout;

use super::NodeLoop;
use crate::net::address::{ip_of, reach};

/// A router in the house answers within this time.
const CLOSING: Duration = Duration::from_millis(500);

impl NodeLoop {
    /// Somebody dialled us.
    pub(super) fn note_dialled(&mut self, endpoint: &ConnectedPoint) {
        if let ConnectedPoint::Listener { send_back_addr, .. } = endpoint
            && !endpoint.is_relayed()
        {
            self.reachability.on_dialled(reach(send_back_addr));
            self.tell_dialability();
            self.show_reachable();
        }
    }

    /// A remote says who it is and where it sees us; what it makes of that comes as a candidate next.
    pub(super) fn on_identify_event(&mut self, event: &identify::Event) {
        if let identify::Event::Received { connection_id, peer_id, info } = event {
            self.witness = self.remotes.get(connection_id).copied();
            self.on_identified(*peer_id, info);
        }
    }

    /// The last remote that identified itself sees us at `address`.
    pub(super) fn on_observed(&mut self, address: Multiaddr) {
        if let Some(witness) = self.witness {
            self.reachability.on_observed(address, witness);
            self.confirm_observed();
        }
    }

    pub(super) fn on_upnp_event(&mut self, event: &upnp::Event) {
        match event {
            upnp::Event::NewExternalAddr { external_addr, .. } => {
                self.has_mapping = true;
                tracing::info!(address = %external_addr, "the router passes connections on to us");
            }
            upnp::Event::ExpiredExternalAddr { external_addr, .. } => {
                tracing::info!(address = %external_addr, "the router no longer passes connections on to us");
            }
            upnp::Event::GatewayNotFound => tracing::debug!("no router here opens ports by UPnP"),
            upnp::Event::NonRoutableGateway => {
                tracing::debug!("the router is itself behind another one, which opens no ports");
            }
        }
    }

    /// Closes the router's ports behind us, which it would keep open for up to an hour.
    pub(super) async fn close_ports(&mut self) {
        if !self.has_mapping {
            return;
        }
        for listener in std::mem::take(&mut self.listeners) {
            self.swarm.remove_listener(listener);
        }
        // Nobody says when the router has been told.
        let telling = async { while self.swarm.next().await.is_some() {} };
        let _ = timeout(CLOSING, telling).await;
    }

    /// Others can be told of addresses that are confirmed now.
    fn confirm_observed(&mut self) {
        let known: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        let fresh: Vec<Multiaddr> =
            self.reachability.confirmed().filter(|address| !known.contains(address)).cloned().collect();
        for address in fresh {
            tracing::info!(%address, "others see us here, and can dial us");
            self.swarm.add_external_address(address);
        }
    }

    /// Tells the embedding program if something changed.
    pub(super) fn tell_dialability(&mut self) {
        self.confirm_observed();
        let now = self.reachability.dialability(self.now());
        self.dialability.send_if_modified(|told| std::mem::replace(told, now) != now);
    }

    /// An address of ours is gone: nothing that others saw says anything about the next one.
    pub(super) fn note_moved(&mut self) {
        let stale: Vec<Multiaddr> = self.reachability.confirmed().cloned().collect();
        for address in stale {
            self.swarm.remove_external_address(&address);
        }
        self.reachability.on_moved();
        self.publish_addresses();
    }

    /// Where a connection ends, kept while it lasts.
    pub(super) fn note_remote(&mut self, connection: ConnectionId, endpoint: &ConnectedPoint) {
        if let Some(ip) = ip_of(endpoint.get_remote_address()).filter(|_| !endpoint.is_relayed()) {
            self.remotes.insert(connection, ip);
        }
    }
}
