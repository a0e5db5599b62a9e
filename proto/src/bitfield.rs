//! A set of pieces, as a bit for each (BEP 3).

use std::fmt;

use crate::layout::PieceIndex;

const WORD_BITS: u32 = u64::BITS;

/// Why bytes are not a bitfield.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitfieldError {
    /// Not the bytes that so many pieces take.
    #[error("a bitfield of {pieces} pieces has {expected} bytes, not {found}")]
    Length {
        /// Pieces in the torrent.
        pieces: u32,
        /// Bytes they take.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A bit beyond the last piece is set.
    #[error("a bitfield has a bit set beyond its last piece")]
    SpareBits,
}

/// A set of pieces of one torrent. Counting its members costs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    /// Piece 0 is the highest bit of the first word, as on the wire; bits beyond `len` are zero.
    words: Vec<u64>,
    /// A bit for each word that is not zero, in the same order: searches skip 4,096 pieces at once.
    occupied: Vec<u64>,
    len: u32,
    ones: u32,
}

impl Bitfield {
    /// No piece of `len`.
    pub fn new(len: u32) -> Self {
        Self::from_words(vec![0; len.div_ceil(WORD_BITS) as usize], len)
    }

    /// Every piece of `len`.
    pub fn full(len: u32) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(WORD_BITS) as usize];
        if let Some(last) = words.last_mut() {
            *last &= used_bits_of_last_word(len);
        }
        Self::from_words(words, len)
    }

    fn from_words(words: Vec<u64>, len: u32) -> Self {
        let mut set =
            Self { occupied: vec![0; words.len().div_ceil(WORD_BITS as usize)], words, len, ones: 0 };
        set.count_anew();
        set
    }

    fn count_anew(&mut self) {
        self.ones = self.words.iter().map(|word| word.count_ones()).sum();
        for (summary, words) in self.occupied.iter_mut().zip(self.words.chunks(WORD_BITS as usize)) {
            let bits = (0..).zip(words).filter(|(_, word)| **word != 0).map(|(n, _)| bit_of(PieceIndex(n)));
            *summary = bits.sum();
        }
    }

    /// The set that `bytes` describes on the wire.
    ///
    /// # Errors
    /// If `bytes` is not exactly as long as `len` pieces need, or a spare bit is set.
    pub fn from_wire(bytes: &[u8], len: u32) -> Result<Self, BitfieldError> {
        let expected = len.div_ceil(8) as usize;
        if bytes.len() != expected {
            return Err(BitfieldError::Length { pieces: len, expected, found: bytes.len() });
        }
        let words: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_be_bytes(word)
            })
            .collect();
        if words.last().is_some_and(|last| last & !used_bits_of_last_word(len) != 0) {
            return Err(BitfieldError::SpareBits);
        }
        Ok(Self::from_words(words, len))
    }

    /// The bytes of a bitfield message: piece 0 is the highest bit of the first byte, spare bits are zero.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.truncate(self.len.div_ceil(8) as usize);
        bytes
    }

    /// Whether `piece` is in the set; false beyond the last piece.
    pub fn get(&self, piece: PieceIndex) -> bool {
        piece.0 < self.len && self.words[word_of(piece)] & bit_of(piece) != 0
    }

    /// Puts `piece` into the set; whether it was new there. Beyond the last piece nothing happens.
    pub fn set(&mut self, piece: PieceIndex) -> bool {
        let new = piece.0 < self.len && !self.get(piece);
        if new {
            let word = word_of(piece);
            self.words[word] |= bit_of(piece);
            let summary = PieceIndex(word as u32);
            self.occupied[word_of(summary)] |= bit_of(summary);
            self.ones += 1;
        }
        new
    }

    /// Takes `piece` out of the set; whether it was there.
    pub fn clear(&mut self, piece: PieceIndex) -> bool {
        let there = self.get(piece);
        if there {
            let word = word_of(piece);
            self.words[word] &= !bit_of(piece);
            if self.words[word] == 0 {
                let summary = PieceIndex(word as u32);
                self.occupied[word_of(summary)] &= !bit_of(summary);
            }
            self.ones -= 1;
        }
        there
    }

    /// Puts every piece of `other` into the set, which must be of the same torrent.
    pub fn set_all_of(&mut self, other: &Self) {
        debug_assert_eq!(self.len, other.len, "sets of different torrents");
        for (own, other) in self.words.iter_mut().zip(&other.words) {
            *own |= other;
        }
        self.count_anew();
    }

    /// Pieces in the torrent, in the set or not.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Pieces in the set.
    pub fn count_ones(&self) -> u32 {
        self.ones
    }

    /// Whether every piece is in the set.
    pub fn is_full(&self) -> bool {
        self.ones == self.len
    }

    /// Whether no piece is in the set.
    pub fn is_empty(&self) -> bool {
        self.ones == 0
    }

    /// The pieces in the set, in ascending order.
    pub fn iter_ones(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| bits(index, word))
    }

    /// The pieces not in the set, in ascending order.
    pub fn iter_zeros(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        let len = self.len;
        self.words
            .iter()
            .enumerate()
            .flat_map(|(index, &word)| bits(index, !word))
            .take_while(move |piece| piece.0 < len)
    }

    /// The pieces that are both in this set and in `other`, in ascending order from about `start` on, then
    /// those before it. What one of them has nothing of is skipped, up to 4,096 pieces at once.
    pub fn common_from<'a>(
        &'a self,
        other: &'a Self,
        start: PieceIndex,
    ) -> impl Iterator<Item = PieceIndex> + 'a {
        let first = word_of(start);
        let occupied_by_both = move |from: usize| {
            let summaries = from..self.occupied.len().min(other.occupied.len());
            let words = summaries.flat_map(|index| bits(index, self.occupied[index] & other.occupied[index]));
            words.map(|word| word.0 as usize)
        };
        occupied_by_both(first / WORD_BITS as usize)
            .skip_while(move |&word| word < first)
            .chain(occupied_by_both(0).take_while(move |&word| word < first))
            .flat_map(move |index| bits(index, self.words[index] & other.words[index]))
    }

    /// Whether a piece is in this set and not in `other`; the question behind "interested".
    pub fn any_not_in(&self, other: &Self) -> bool {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter().zip(others).any(|(&own, other)| own & !other != 0)
    }
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.ones, self.len)
    }
}

fn word_of(piece: PieceIndex) -> usize {
    (piece.0 / WORD_BITS) as usize
}

fn bit_of(piece: PieceIndex) -> u64 {
    1 << (WORD_BITS - 1 - piece.0 % WORD_BITS)
}

fn used_bits_of_last_word(len: u32) -> u64 {
    match len % WORD_BITS {
        0 => u64::MAX,
        used => u64::MAX << (WORD_BITS - used),
    }
}

/// The pieces of one word, most significant bit first.
fn bits(index: usize, mut word: u64) -> impl Iterator<Item = PieceIndex> {
    let first = index as u32 * WORD_BITS;
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let offset = word.leading_zeros();
            word &= !(1 << (WORD_BITS - 1 - offset));
            PieceIndex(first + offset)
        })
    })
}

#[cfg(test)]
mod tests;
