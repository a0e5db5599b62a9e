//! How much is requested ahead over all links of a node, and how much more one of them may.

/// Bytes requested over all links and not answered yet.
///
/// All of them can come at once while the disk takes none, so their sum is bounded. A link may have as much
/// requested as the rest of the bound that nobody uses: links that could use all of it end up with equal
/// parts, what slow links leave goes to fast ones, and some is always left for a link that begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    bytes: u64,
}

impl Ahead {
    /// So much more was requested.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// So much was answered, or will not be.
    pub fn remove(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// Most bytes that one link may have requested if all may have `limit`.
    pub fn share(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.bytes)
    }
}
