//! One block of a piece that is begun.

use super::HOLDERS_MAX;
use crate::engine::event::{LinkId, PeerKey};

/// Where a block came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Disk,
    Peer(PeerKey),
}

/// Whether a block was held against its leaf hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Check {
    #[default]
    None,
    /// It is to be, by this order.
    Ordered(u32),
    /// It is what it should be, for good: nothing is written over it.
    Good,
}

/// The state of one block.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// To be asked for: nobody is, or those who are take too long.
    pub(super) open: bool,
    pub(super) origin: Option<Origin>,
    pub(super) holders: [Option<LinkId>; HOLDERS_MAX],
    /// Whether it was held against its leaf hash.
    pub(super) check: Check,
    /// Somebody else's block may have taken the place of the one whose origin is known.
    pub(super) doubted: bool,
}

impl Slot {
    pub(super) fn is_good(&self) -> bool {
        self.check == Check::Good
    }

    /// Its block is to be fetched again.
    pub(super) fn reset(&mut self) {
        self.origin = None;
        self.check = Check::None;
    }

    /// The peer whose block it was first.
    pub(super) fn giver(&self) -> Option<PeerKey> {
        match self.origin {
            Some(Origin::Peer(peer)) => Some(peer),
            Some(Origin::Disk) | None => None,
        }
    }

    pub(super) fn is_held_by(&self, link: LinkId) -> bool {
        self.holders.contains(&Some(link))
    }

    pub(super) fn holder_count(&self) -> usize {
        self.holders.iter().flatten().count()
    }

    pub(super) fn has_room(&self) -> bool {
        self.holders.contains(&None)
    }

    pub(super) fn add_holder(&mut self, link: LinkId) {
        if let Some(place) = self.holders.iter_mut().find(|holder| holder.is_none()) {
            *place = Some(link);
        }
    }

    pub(super) fn remove_holder(&mut self, link: LinkId) {
        for holder in self.holders.iter_mut().filter(|holder| **holder == Some(link)) {
            *holder = None;
        }
    }
}
