//! How many linked peers have each piece, and the pieces not begun in order of rarity.
//!
//! Every change costs the same however many pieces there are: a piece lies in the bucket of its count,
//! at a random place among its equals, and moves by swapping.

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;

use super::rng::EngineRng;

/// Pieces looked at in order of rarity before the search turns to what one peer has.
const SCAN: usize = 64;

/// Who-has-what in numbers, and the choice of the rarest.
#[derive(Clone, Debug)]
pub struct Availability {
    /// Links that have the piece, those with every piece not counted.
    counts: Vec<u32>,
    /// Links that have every piece since they said so at once.
    everywhere: u32,
    /// Choosable pieces by their count.
    buckets: Vec<Vec<PieceIndex>>,
    /// Where in its bucket a choosable piece lies.
    places: Vec<u32>,
    choosable: Bitfield,
}

impl Availability {
    /// `pieces` pieces that nobody has and none of which is choosable.
    pub fn new(pieces: u32) -> Self {
        Self {
            counts: vec![0; pieces as usize],
            everywhere: 0,
            buckets: Vec::new(),
            places: vec![0; pieces as usize],
            choosable: Bitfield::new(pieces),
        }
    }

    /// Linked peers that have `piece`.
    pub fn count(&self, piece: PieceIndex) -> u32 {
        self.counts[piece.0 as usize] + self.everywhere
    }

    /// Whether `piece` can be chosen.
    pub fn is_choosable(&self, piece: PieceIndex) -> bool {
        self.choosable.get(piece)
    }

    /// Pieces that can be chosen.
    pub fn choosable_count(&self) -> u32 {
        self.choosable.count_ones()
    }

    /// A linked peer has `piece`, which it had not.
    pub fn gain(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        self.recount(piece, self.counts[piece.0 as usize] + 1, rng);
    }

    /// A linked peer that had `piece` is gone.
    pub fn lose(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        self.recount(piece, self.counts[piece.0 as usize].saturating_sub(1), rng);
    }

    /// A linked peer has every piece.
    pub fn gain_all(&mut self) {
        self.everywhere += 1;
    }

    /// A linked peer that had every piece from the start is gone.
    pub fn lose_all(&mut self) {
        self.everywhere = self.everywhere.saturating_sub(1);
    }

    /// Makes `piece` choosable.
    pub fn offer(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        if self.choosable.set(piece) {
            self.put(piece, rng);
        }
    }

    /// Makes `piece` not choosable.
    pub fn withdraw(&mut self, piece: PieceIndex) {
        if self.choosable.clear(piece) {
            self.pull(piece);
        }
    }

    /// The rarest choosable piece of `has` that `suits`, ties broken by chance.
    ///
    /// Exact while it is among the 64 rarest of the torrent or `has` holds few choosable pieces; otherwise
    /// the rarest of a sample of 64 from `has`.
    pub fn rarest(
        &self,
        has: &Bitfield,
        rng: &mut EngineRng,
        suits: impl Fn(PieceIndex) -> bool,
    ) -> Option<PieceIndex> {
        // Nobody has what lies in bucket 0 unless somebody has everything.
        let first = usize::from(self.everywhere == 0);
        let by_rarity = self.buckets.iter().skip(first).flatten().copied();
        let rare = by_rarity.take(SCAN).find(|&piece| has.get(piece) && suits(piece));
        rare.or_else(|| self.sample(has, rng, suits).min_by_key(|piece| self.counts[piece.0 as usize]))
    }

    /// Any choosable piece of `has` that `suits`, by chance.
    pub fn any(
        &self,
        has: &Bitfield,
        rng: &mut EngineRng,
        suits: impl Fn(PieceIndex) -> bool,
    ) -> Option<PieceIndex> {
        self.sample(has, rng, suits).next()
    }

    /// Up to 64 choosable pieces of `has` that `suits`, from a random place on.
    fn sample<'a>(
        &'a self,
        has: &'a Bitfield,
        rng: &mut EngineRng,
        suits: impl Fn(PieceIndex) -> bool + 'a,
    ) -> impl Iterator<Item = PieceIndex> + 'a {
        let start = PieceIndex(rng.below(self.choosable.len()));
        self.choosable.common_from(has, start).filter(move |&piece| suits(piece)).take(SCAN)
    }

    fn recount(&mut self, piece: PieceIndex, count: u32, rng: &mut EngineRng) {
        if self.choosable.get(piece) {
            self.pull(piece);
            self.counts[piece.0 as usize] = count;
            self.put(piece, rng);
        } else {
            self.counts[piece.0 as usize] = count;
        }
    }

    fn put(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        let count = self.counts[piece.0 as usize] as usize;
        if self.buckets.len() <= count {
            self.buckets.resize_with(count + 1, Vec::new);
        }
        let bucket = &mut self.buckets[count];
        bucket.push(piece);
        let last = bucket.len() - 1;
        let place = rng.index(bucket.len());
        bucket.swap(place, last);
        self.places[bucket[last].0 as usize] = last as u32;
        self.places[piece.0 as usize] = place as u32;
    }

    fn pull(&mut self, piece: PieceIndex) {
        let bucket = &mut self.buckets[self.counts[piece.0 as usize] as usize];
        let place = self.places[piece.0 as usize] as usize;
        bucket.swap_remove(place);
        if let Some(moved) = bucket.get(place) {
            self.places[moved.0 as usize] = place as u32;
        }
    }
}

#[cfg(test)]
mod tests;
