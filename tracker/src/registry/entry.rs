//! Where an announcer is listed, and whom it is told of.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use rand::Rng;
use samara_proto::announce::Event;
use samara_proto::announce::http::TcpPeer;
use samara_proto::moment::Moment;

use super::ledger::Ledger;
use super::pools::{Class, Libp2pKey, Member, Reach};
use super::scope::{Scope, may_learn};
use super::swarm::Swarm;
use super::{Announce, Contact, Progress};

/// Bytes of signed records in one answer: some 150 usual ones. All at their longest would make an answer
/// of a megabyte to a request of a hundred bytes.
const RECORD_BYTES_TOLD: usize = 64 * 1024;

/// Where in a swarm an announcer is listed: at most once for BitTorrent and once for libp2p.
pub(super) struct Entry {
    pub(super) tcp: Option<(SocketAddr, Class)>,
    pub(super) libp2p: Option<(Libp2pKey, Class)>,
}

/// The peers an announcer is told of.
#[derive(Default)]
pub(super) struct Told {
    pub(super) peers: Vec<TcpPeer>,
    pub(super) libp2p: Vec<(Progress, Arc<Contact>)>,
}

impl Entry {
    pub(super) fn of(announce: &Announce) -> Self {
        let progress = announce.progress;
        let source = announce.source.to_canonical();
        let tcp = announce.tcp.filter(|tcp| tcp.port != 0).and_then(|tcp| {
            let reach = if source.is_ipv4() { Reach::V4 } else { Reach::V6 };
            Some((
                SocketAddr::new(source, tcp.port),
                Class { reach, scope: Some(Scope::of(source)?), progress },
            ))
        });
        let libp2p = announce.libp2p.as_ref().map(|contact| {
            let reach = if tcp.is_some() { Reach::Libp2pToo } else { Reach::Libp2p };
            let key = Libp2pKey { source, peer_id: contact.peer_id().to_bytes() };
            (key, Class { reach, scope: contact.scope(), progress })
        });
        Self { tcp, libp2p }
    }

    /// Lists the announcer. Whether it has just finished, and that was not known.
    pub(super) fn update(
        &self,
        swarm: &mut Swarm,
        announce: &Announce,
        expires: Moment,
        ledger: &mut Ledger,
    ) -> bool {
        let is_completing = announce.event == Event::Completed && announce.progress == Progress::Seed;
        let mut has_just_completed = false;
        let mut finish = |old: Option<(Progress, bool)>| {
            let is_first = matches!(old, Some((progress, false)) if progress != Progress::Seed);
            has_just_completed |= is_completing && is_first;
            old.is_some_and(|(_, has_completed)| has_completed) || (is_completing && is_first)
        };
        if let (Some((key, class)), Some(tcp)) = (&self.tcp, announce.tcp) {
            let old = swarm.tcp.get(key).map(|(class, member)| (class.progress, member.has_completed));
            let member = Member { expires, has_completed: finish(old), value: tcp.peer_id };
            swarm.tcp.insert(*key, *class, member, ledger);
        }
        if let (Some((key, class)), Some(contact)) = (&self.libp2p, &announce.libp2p) {
            let known = swarm.libp2p.get(key);
            let old = known.map(|(class, member)| (class.progress, member.has_completed));
            // A record may be replayed, or the peer's clock was set back: the latest stays, the rest counts.
            let later = known.map(|(_, member)| &member.value).filter(|known| known.seq() > contact.seq());
            let contact = Arc::clone(later.unwrap_or(contact));
            let class = Class { scope: contact.scope(), ..*class };
            let member = Member { expires, has_completed: finish(old), value: contact };
            swarm.libp2p.insert(key.clone(), class, member, ledger);
        }
        has_just_completed
    }

    /// The peers the announcer is told of.
    pub(super) fn sample(
        &self,
        swarm: &Swarm,
        now: Moment,
        rng: &mut impl Rng,
        announce: &Announce,
        wanted: usize,
    ) -> Told {
        let Some(viewer) = Scope::of(announce.source) else { return Told::default() };
        let wants = announce.wants;
        let is_visible = |class: &Class| {
            // Who has all it wants has no use for others who have.
            (announce.progress == Progress::Downloader || class.progress == Progress::Downloader)
                && class.scope.is_some_and(|scope| viewer.may_learn(scope))
                && match class.reach {
                    Reach::V4 => wants.v4,
                    Reach::V6 => wants.v6,
                    Reach::Libp2p | Reach::Libp2pToo => wants.libp2p,
                }
        };
        // A client with addresses of both families announces from both, under one name.
        let is_of_use = |address: &SocketAddr, peer_id: &[u8; 20]| {
            announce.tcp.is_none_or(|own| own.peer_id != *peer_id) && may_learn(announce.source, address.ip())
        };
        let peers = swarm.tcp.sample(now, rng, wanted, is_visible, is_of_use);
        let peers =
            peers.into_iter().map(|(_, key, member)| TcpPeer { address: *key, peer_id: Some(member.value) });

        let is_of_use = |key: &Libp2pKey, contact: &Arc<Contact>| {
            self.libp2p.as_ref().is_none_or(|(own_key, _)| own_key.peer_id != key.peer_id)
                && contact.addresses_for(announce.source).next().is_some()
        };
        let contacts = swarm.libp2p.sample(now, rng, wanted, is_visible, is_of_use);
        // A peer that announced from several addresses is told of once.
        let mut told = BTreeSet::new();
        let contacts = contacts.into_iter().filter(|(_, key, _)| told.insert(key.peer_id.as_slice()));
        let mut room = RECORD_BYTES_TOLD;
        let contacts = contacts.filter(|(_, _, member)| {
            let left = room.checked_sub(member.value.record().as_bytes().len());
            room = left.unwrap_or(room);
            left.is_some()
        });
        let contacts = contacts.map(|(class, _, member)| (class.progress, Arc::clone(&member.value)));
        Told { peers: peers.collect(), libp2p: contacts.collect() }
    }
}
