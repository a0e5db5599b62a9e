//! A tracker: remembers who announced and names a few of them at random.

use samara_peer::engine::rng::EngineRng;

use super::agenda::HostNo;

/// Who announced.
#[derive(Debug, Default)]
pub struct Tracker {
    members: Vec<HostNo>,
    is_gone: bool,
}

impl Tracker {
    /// A host announces itself; whether there is an answer.
    pub fn announce(&mut self, host: HostNo) -> bool {
        if !self.is_gone && !self.members.contains(&host) {
            self.members.push(host);
        }
        !self.is_gone
    }

    /// The tracker answers nobody any more.
    pub fn vanish(&mut self) {
        self.is_gone = true;
    }

    /// Up to `count` members other than `asker`, without those who said goodbye.
    pub fn sample(
        &mut self,
        count: usize,
        asker: HostNo,
        is_gone: impl Fn(HostNo) -> bool,
        rng: &mut EngineRng,
    ) -> Vec<HostNo> {
        self.members.retain(|&member| !is_gone(member));
        let len = self.members.len();
        let mut named = Vec::new();
        let mut at = 0;
        while named.len() < count && at < len {
            self.members.swap(at, at + rng.index(len - at));
            if self.members[at] != asker {
                named.push(self.members[at]);
            }
            at += 1;
        }
        named
    }
}
