//! How many linked peers have each piece, and the pieces not begun in order of rarity.
//!
//! Every change costs the same however many pieces there are: a piece lies in the bucket of its priority and
//! count, at a random place among its equals, and moves by swapping.

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;

use super::rng::EngineRng;
use super::selection::{Priority, Selection};

/// Pieces looked at in order of rarity before the search turns to what one peer has.
const SCAN: usize = 64;

/// Who-has-what in numbers, and the choice of the rarest.
#[derive(Clone, Debug)]
pub struct Availability {
    /// Links that have the piece, those with every piece not counted.
    counts: Vec<u32>,
    /// Links that have every piece since they said so at once.
    everywhere: u32,
    priorities: Vec<Priority>,
    /// Choosable pieces by priority, the lowest first.
    classes: [Class; 3],
    /// Where in its bucket a choosable piece lies.
    places: Vec<u32>,
}

/// The choosable pieces of one priority.
#[derive(Clone, Debug)]
struct Class {
    priority: Priority,
    /// By their count.
    buckets: Vec<Vec<PieceIndex>>,
    choosable: Bitfield,
}

impl Availability {
    /// `pieces` pieces that nobody has and none of which is choosable.
    pub fn new(pieces: u32, selection: &Selection) -> Self {
        let class = |priority| Class { priority, buckets: Vec::new(), choosable: Bitfield::new(pieces) };
        Self {
            counts: vec![0; pieces as usize],
            everywhere: 0,
            priorities: (0..pieces).map(|piece| selection.priority(PieceIndex(piece))).collect(),
            classes: [Priority::Low, Priority::Normal, Priority::High].map(class),
            places: vec![0; pieces as usize],
        }
    }

    /// How much `piece` is wanted.
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        self.priorities.get(piece.0 as usize).copied().unwrap_or(Priority::Skip)
    }

    /// Changes how much `piece` is wanted. One that is not wanted is not choosable.
    pub fn set_priority(&mut self, piece: PieceIndex, priority: Priority, rng: &mut EngineRng) {
        let was_choosable = self.is_choosable(piece);
        self.withdraw(piece);
        if let Some(own) = self.priorities.get_mut(piece.0 as usize) {
            *own = priority;
        }
        if was_choosable {
            self.offer(piece, rng);
        }
    }

    /// Linked peers that have `piece`.
    pub fn count(&self, piece: PieceIndex) -> u32 {
        self.counts[piece.0 as usize] + self.everywhere
    }

    /// Whether `piece` can be chosen.
    pub fn is_choosable(&self, piece: PieceIndex) -> bool {
        self.class_of(piece).is_some_and(|class| class.choosable.get(piece))
    }

    /// Whether any piece can be chosen that is wanted more than `priority` says.
    pub fn any_choosable_above(&self, priority: Priority) -> bool {
        self.classes_above(priority).next().is_some()
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

    /// Makes `piece` choosable, if it is wanted.
    pub fn offer(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        if self.class_mut(piece).is_some_and(|class| class.choosable.set(piece)) {
            self.put(piece, rng);
        }
    }

    /// Makes `piece` not choosable.
    pub fn withdraw(&mut self, piece: PieceIndex) {
        if self.class_mut(piece).is_some_and(|class| class.choosable.clear(piece)) {
            self.pull(piece);
        }
    }

    /// Of the choosable pieces of `has` that `suits`, those wanted most and more than `above` says, the rarest,
    /// ties broken by chance.
    ///
    /// Exact while it is among the 64 rarest of its priority or `has` holds few choosable pieces; otherwise
    /// the rarest of a sample of 64 from `has`.
    pub fn rarest(
        &self,
        has: &Bitfield,
        above: Priority,
        rng: &mut EngineRng,
        suits: impl Fn(PieceIndex) -> bool,
    ) -> Option<PieceIndex> {
        // Nobody has what lies in bucket 0 unless somebody has everything.
        let first = usize::from(self.everywhere == 0);
        self.classes_above(above).find_map(|class| {
            let by_rarity = class.buckets.iter().skip(first).flatten().copied();
            let rare = by_rarity.take(SCAN).find(|&piece| has.get(piece) && suits(piece));
            rare.or_else(|| class.sample(has, rng, &suits).min_by_key(|piece| self.counts[piece.0 as usize]))
        })
    }

    /// Of the choosable pieces of `has` that `suits`, those wanted most and more than `above` says, any, by
    /// chance.
    pub fn any(
        &self,
        has: &Bitfield,
        above: Priority,
        rng: &mut EngineRng,
        suits: impl Fn(PieceIndex) -> bool,
    ) -> Option<PieceIndex> {
        self.classes_above(above).find_map(|class| class.sample(has, rng, &suits).next())
    }

    /// Of the choosable pieces of `has` that `suits`, those wanted most and more than `above` says, the one with
    /// the lowest number.
    pub fn first(
        &self,
        has: &Bitfield,
        above: Priority,
        suits: impl Fn(PieceIndex) -> bool,
    ) -> Option<PieceIndex> {
        self.classes_above(above)
            .find_map(|class| class.choosable.common_from(has, PieceIndex(0)).find(|&piece| suits(piece)))
    }

    /// The priorities above one that have choosable pieces, the highest first.
    fn classes_above(&self, priority: Priority) -> impl Iterator<Item = &Class> {
        let is_due = move |class: &&Class| class.priority > priority && !class.choosable.is_empty();
        self.classes.iter().rev().filter(is_due)
    }

    fn class_of(&self, piece: PieceIndex) -> Option<&Class> {
        let priority = self.priority(piece);
        self.classes.iter().find(|class| class.priority == priority)
    }

    fn class_mut(&mut self, piece: PieceIndex) -> Option<&mut Class> {
        let priority = self.priority(piece);
        self.classes.iter_mut().find(|class| class.priority == priority)
    }

    fn recount(&mut self, piece: PieceIndex, count: u32, rng: &mut EngineRng) {
        if self.is_choosable(piece) {
            self.pull(piece);
            self.counts[piece.0 as usize] = count;
            self.put(piece, rng);
        } else {
            self.counts[piece.0 as usize] = count;
        }
    }

    fn put(&mut self, piece: PieceIndex, rng: &mut EngineRng) {
        let count = self.counts[piece.0 as usize] as usize;
        let Some(class) = self.class_mut(piece) else { return };
        if class.buckets.len() <= count {
            class.buckets.resize_with(count + 1, Vec::new);
        }
        let bucket = &mut class.buckets[count];
        bucket.push(piece);
        let last = bucket.len() - 1;
        let place = rng.index(bucket.len());
        bucket.swap(place, last);
        let moved = bucket[last];
        self.places[moved.0 as usize] = last as u32;
        self.places[piece.0 as usize] = place as u32;
    }

    fn pull(&mut self, piece: PieceIndex) {
        let (count, place) = (self.counts[piece.0 as usize], self.places[piece.0 as usize]);
        let Some(class) = self.class_mut(piece) else { return };
        let bucket = &mut class.buckets[count as usize];
        bucket.swap_remove(place as usize);
        if let Some(&moved) = bucket.get(place as usize) {
            self.places[moved.0 as usize] = place;
        }
    }
}

impl Class {
    /// Up to 64 choosable pieces of `has` that `suits`, from a random place on.
    fn sample<'a>(
        &'a self,
        has: &'a Bitfield,
        rng: &mut EngineRng,
        suits: &'a impl Fn(PieceIndex) -> bool,
    ) -> impl Iterator<Item = PieceIndex> + 'a {
        let start = PieceIndex(rng.below(self.choosable.len()));
        self.choosable.common_from(has, start).filter(move |&piece| suits(piece)).take(SCAN)
    }
}

#[cfg(test)]
mod tests;
