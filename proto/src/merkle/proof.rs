//! Parts of a file's Merkle tree with proof that they belong to its root: what hash request and hashes
//! messages carry (BEP 52).

use super::{file_width, padding, pair, parents, piece_height, subtree_root};
use crate::infohash::Sha256Hash;
use crate::limits::{BLOCK_LENGTH, HASHES_PER_REQUEST};
use crate::wire::message::HashRequest;

/// Why hashes do not belong to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No tree of that size has such a range.
    #[error("a range of hashes that the file does not have")]
    Range,
    /// Not as many hashes as the range and its proof take.
    #[error("{found} hashes where {expected} belong")]
    Count {
        /// How many it takes.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// They lead to another root.
    #[error("hashes that do not lead to the file's root")]
    Mismatch,
}

impl HashRequest {
    /// The requests that together yield the whole piece layer of a file longer than one piece, each with
    /// proof up to the root.
    ///
    /// # Panics
    /// If `piece_length` is not a power of two of at least 16 KiB.
    pub fn of_piece_layer(
        pieces_root: Sha256Hash,
        file_size: u64,
        piece_length: u32,
    ) -> impl Iterator<Item = Self> {
        let pieces = file_size.div_ceil(u64::from(piece_length)) as u32;
        let base_layer = piece_height(piece_length);
        let length = pieces.next_power_of_two().min(HASHES_PER_REQUEST);
        let proof_layers = (height_of(file_size).saturating_sub(base_layer)).saturating_sub(1);
        let count = if length < 2 { 0 } else { pieces.div_ceil(length) };
        (0..count).map(move |n| Self { pieces_root, base_layer, index: n * length, length, proof_layers })
    }

    /// The requests that together yield the leaf hashes of `count` blocks from block `first` of a file, blocks of
    /// one piece, each with proof up to the root. None for a file of one block, whose root is its leaf, and
    /// for pieces of one block, whose layer is that of the leaves.
    ///
    /// # Panics
    /// If `piece_length` is not a power of two of at least 16 KiB.
    pub fn of_leaves(
        pieces_root: Sha256Hash,
        file_size: u64,
        piece_length: u32,
        first: u32,
        count: u32,
    ) -> impl Iterator<Item = Self> {
        let height = height_of(file_size).min(piece_height(piece_length));
        let end = if height == 0 { first } else { first.saturating_add(count) };
        // A piece has no more blocks than fit 31 bits.
        let length = count.min(HASHES_PER_REQUEST).next_power_of_two().clamp(2, 2.max(1 << height));
        let proof_layers = height_of(file_size).saturating_sub(1);
        (first - first % length..end)
            .step_by(length as usize)
            .take_while(move |_| first < end)
            .map(move |index| Self { pieces_root, base_layer: 0, index, length, proof_layers })
    }

    /// Checks an answer to this request, whose proof must reach the root: the hashes of the base layer,
    /// padding beyond the file's end included.
    ///
    /// # Errors
    /// If the range is impossible for a file of that size, or the hashes are not this file's.
    pub fn verify<'h>(
        &self,
        file_size: u64,
        hashes: &'h [Sha256Hash],
    ) -> Result<&'h [Sha256Hash], ProofError> {
        let height = height_of(file_size);
        self.check(height)?;
        if self.base_layer + self.proof_layers + 1 != height {
            return Err(ProofError::Range);
        }
        let expected = self.length as usize + self.uncles();
        if hashes.len() != expected {
            return Err(ProofError::Count { expected, found: hashes.len() });
        }
        let (base, uncles) = hashes.split_at(self.length as usize);
        let subtree = subtree_root(base, self.base_layer, base.len());
        let (found, _) = uncles.iter().fold((subtree, self.index / self.length), |(node, at), &uncle| {
            (if at % 2 == 0 { pair(node, uncle) } else { pair(uncle, node) }, at / 2)
        });
        if found == self.pieces_root { Ok(base) } else { Err(ProofError::Mismatch) }
    }

    /// Uncle hashes that follow the base hashes: at most one for each proof layer.
    fn uncles(&self) -> usize {
        (self.proof_layers + 1).saturating_sub(self.length.ilog2()) as usize
    }

    fn check(&self, height: u32) -> Result<(), ProofError> {
        let length_fits = self.length >= 2 && self.length.is_power_of_two();
        let base_fits = self.base_layer < height;
        if !length_fits || !base_fits || !self.index.is_multiple_of(self.length) {
            return Err(ProofError::Range);
        }
        let width = 1u64 << (height - self.base_layer);
        let inside = u64::from(self.index) + u64::from(self.length) <= width;
        let climbs = self.proof_layers < height - self.base_layer;
        if inside && climbs { Ok(()) } else { Err(ProofError::Range) }
    }
}

/// The top of a file's Merkle tree, from its piece layer up to its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTree {
    base_layer: u32,
    /// Each layer without what lies beyond the file's end; the last holds the root alone.
    layers: Vec<Vec<Sha256Hash>>,
}

impl LayerTree {
    /// The tree above a file's piece layer.
    ///
    /// # Panics
    /// If the layer is empty, or `piece_length` is not a power of two of at least 16 KiB.
    pub fn new(piece_layer: Vec<Sha256Hash>, piece_length: u32) -> Self {
        assert!(!piece_layer.is_empty(), "a piece layer has a hash for each piece");
        let base_layer = piece_height(piece_length);
        let mut pad = padding(base_layer);
        let mut layers = vec![piece_layer];
        while let Some(below) = layers.last().filter(|layer| layer.len() > 1) {
            let above = parents(below, pad);
            layers.push(above);
            pad = pair(pad, pad);
        }
        Self { base_layer, layers }
    }

    /// The file's root.
    pub fn root(&self) -> Sha256Hash {
        self.layers[self.layers.len() - 1][0]
    }

    /// The hash of each piece.
    pub fn piece_layer(&self) -> &[Sha256Hash] {
        &self.layers[0]
    }

    /// The answer to a hash request: base hashes, then uncles from the bottom up. `None` if the range is not
    /// part of this tree, or of a layer below its own.
    pub fn prove(&self, range: &HashRequest) -> Option<Vec<Sha256Hash>> {
        let height = self.base_layer + self.layers.len() as u32 - 1;
        range.check(height).ok()?;
        if range.base_layer < self.base_layer || range.length > HASHES_PER_REQUEST {
            return None;
        }
        let base = (range.index..range.index + range.length).map(|at| self.node(range.base_layer, at));
        let below_uncles = range.length.ilog2();
        let uncles = (0..range.uncles() as u32).map(|n| {
            let layer = range.base_layer + below_uncles + n;
            self.node(layer, (range.index >> (below_uncles + n)) ^ 1)
        });
        Some(base.chain(uncles).collect())
    }

    fn node(&self, layer: u32, at: u32) -> Sha256Hash {
        let nodes = &self.layers[(layer - self.base_layer) as usize];
        nodes.get(at as usize).copied().unwrap_or_else(|| padding(layer))
    }
}

/// The bottom of a file's Merkle tree, in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceTree {
    first: u32,
    tree: LayerTree,
}

impl PieceTree {
    /// The tree of a piece whose blocks, from block `first` of their file on, have these leaf hashes; `width` is
    /// the number of leaves with those beyond the file's end.
    ///
    /// # Panics
    /// If `width` is not a power of two, or less than the number of leaves.
    pub fn new(mut leaves: Vec<Sha256Hash>, first: u32, width: u32) -> Self {
        assert!(
            width.is_power_of_two() && leaves.len() <= width as usize,
            "a piece's width is a power of two"
        );
        leaves.resize(width as usize, padding(0));
        Self { first, tree: LayerTree::new(leaves, BLOCK_LENGTH) }
    }

    /// The piece's root.
    pub fn root(&self) -> Sha256Hash {
        self.tree.root()
    }

    /// The answer to a request for leaf hashes of this piece. `above` is the tree above the file's pieces, if it
    /// has several. `None` if the range is not within the piece, or climbs beyond the tree.
    pub fn prove(&self, above: Option<&LayerTree>, range: &HashRequest) -> Option<Vec<Sha256Hash>> {
        let own_height = self.tree.layers.len() as u32 - 1;
        let height = above.map_or(own_height, |above| above.base_layer + above.layers.len() as u32 - 1);
        range.check(height).ok()?;
        let width = self.tree.layers[0].len() as u32;
        let at = range.index.checked_sub(self.first)?;
        let is_within = at.checked_add(range.length).is_some_and(|end| end <= width);
        if range.base_layer != 0 || range.length > HASHES_PER_REQUEST || !is_within {
            return None;
        }
        let base = (at..at + range.length).map(|at| Some(self.tree.node(0, at)));
        let uncles = (0..range.uncles() as u32).map(|n| {
            let layer = range.length.ilog2() + n;
            match layer < own_height {
                true => Some(self.tree.node(layer, (at >> layer) ^ 1)),
                false => Some(above?.node(layer, (range.index >> layer) ^ 1)),
            }
        });
        base.chain(uncles).collect()
    }
}

fn height_of(file_size: u64) -> u32 {
    file_width(file_size).ilog2()
}
