//! What those who owe may have of an uplink that others want too.

/// Of so many bytes for others, one more may go to those who owe: enough to find out what they would give, and
/// for who has a slow uplink to get on.
const SHARE: i64 = 16;
/// Most that may be saved up for them.
const SAVED_MAX: i64 = 256 * 1024;

/// Bytes that may be handed to those who owe although others wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ration {
    /// In parts of a byte, [`SHARE`] of which make one; less than nothing after a block longer than what was saved.
    saved: i64,
}

impl Ration {
    /// Somebody who does not owe was handed so many bytes.
    pub fn earn(&mut self, bytes: u32) {
        self.saved = (self.saved + i64::from(bytes)).min(SAVED_MAX * SHARE);
    }

    /// Whether something is saved.
    pub fn allows(&self) -> bool {
        self.saved > 0
    }

    /// Somebody who owes was handed so many bytes.
    pub fn spend(&mut self, bytes: u32) {
        self.saved -= i64::from(bytes) * SHARE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_owe_get_a_sixteenth_of_what_others_get() {
        let mut ration = Ration::default();
        assert!(!ration.allows());
        ration.earn(32 * 1024);
        ration.spend(1024);
        assert!(ration.allows());
        ration.spend(16 * 1024);
        ration.earn(15 * 16 * 1024);
        assert!(!ration.allows(), "more was taken than was saved");
        ration.earn(1);
        assert!(ration.allows());
    }

    #[test]
    fn no_more_is_saved_than_the_bound() {
        let mut ration = Ration::default();
        (0..100).for_each(|_| ration.earn(u32::MAX));
        ration.spend(SAVED_MAX as u32);
        assert!(!ration.allows());
    }
}
