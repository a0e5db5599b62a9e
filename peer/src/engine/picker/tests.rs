//! Choices by hand.

mod life;

use super::*;

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);

/// What an [`Asker`] borrows.
#[derive(Clone, Debug)]
struct Who {
    link: LinkId,
    has: Bitfield,
    parts: Parts,
    only: Option<BTreeSet<PieceIndex>>,
    refused: BTreeMap<PieceIndex, Moment>,
    cancelled: Cancelled,
    suggested: VecDeque<PieceIndex>,
    current: Option<PieceIndex>,
    suspect: bool,
    max_blocks: u32,
}

impl Who {
    fn new(link: LinkId, has: Bitfield) -> Self {
        Self {
            link,
            has,
            parts: Parts::default(),
            only: None,
            refused: BTreeMap::new(),
            cancelled: Cancelled::default(),
            suggested: VecDeque::new(),
            current: None,
            suspect: false,
            max_blocks: 1,
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            link: self.link,
            peer: peer_of(self.link),
            has: &self.has,
            parts: &self.parts,
            only: self.only.as_ref(),
            refused: &self.refused,
            cancelled: &self.cancelled,
            suggested: &self.suggested,
            current: self.current,
            suspect: self.suspect,
            max_blocks: self.max_blocks,
        }
    }
}

fn peer_of(link: LinkId) -> PeerKey {
    PeerKey(link.0 + 100)
}

struct Table {
    picker: Picker,
    rng: EngineRng,
    now: Moment,
}

impl Table {
    fn new(pieces: u32, blocks: u32, config: &EngineConfig) -> Self {
        let piece_length = blocks * BLOCK_LENGTH;
        let layout = Layout::single_file(u64::from(pieces * piece_length - 100), piece_length);
        let mut rng = EngineRng::new([3; 32]);
        let missing = (0..pieces).map(PieceIndex);
        let picker = Picker::new(Arc::new(layout), missing, &Selection::default(), config, &mut rng);
        Self { picker, rng, now: Moment::ZERO }
    }

    /// A peer with everything.
    fn seed(&mut self, link: LinkId) -> Who {
        self.picker.on_have_all();
        Who::new(link, Bitfield::full(self.picker.layout.piece_count()))
    }

    fn pick(&mut self, who: &mut Who) -> Option<BlockRef> {
        let block = self.picker.pick(&who.asker(), self.now, &mut self.rng)?;
        who.current = Some(block.piece);
        Some(block)
    }

    fn take(&mut self, who: &Who, block: BlockRef) -> bool {
        self.picker.on_block(block, who.link, peer_of(who.link), self.now).completed
    }

    /// Asks for a whole piece and takes it.
    fn fetch_piece(&mut self, who: &mut Who) -> PieceIndex {
        loop {
            let block = self.pick(who).expect("there is something to ask for");
            if self.take(who, block) {
                return block.piece;
            }
        }
    }
}

fn table(pieces: u32, blocks: u32) -> Table {
    Table::new(pieces, blocks, &EngineConfig::default())
}

#[test]
fn begun_pieces_are_finished_before_new_ones_are_begun() {
    let mut table = table(10, 4);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    let first = table.pick(&mut a).unwrap();
    let others: Vec<BlockRef> = (0..3).map(|_| table.pick(&mut b).unwrap()).collect();
    assert!(others.iter().all(|block| block.piece == first.piece));
    assert_eq!(others.iter().map(|block| block.begin / BLOCK_LENGTH).collect::<Vec<_>>(), [1, 2, 3]);
    assert_ne!(table.pick(&mut a).unwrap().piece, first.piece);
    assert_eq!(table.picker.begun_count(), 2);
}

#[test]
fn long_requests_stay_within_a_piece_and_end_with_the_content() {
    let mut table = table(2, 4);
    let mut a = table.seed(A);
    a.max_blocks = 100;
    let both = [table.pick(&mut a).unwrap(), table.pick(&mut a).unwrap()];
    let lengths: BTreeMap<u32, u32> = both.iter().map(|block| (block.piece.0, block.length)).collect();
    assert_eq!(lengths, BTreeMap::from([(0, 4 * BLOCK_LENGTH), (1, 4 * BLOCK_LENGTH - 100)]));
    assert_eq!(table.pick(&mut a), None);
}

#[test]
fn a_suggested_piece_is_begun_before_the_rarest() {
    let mut table = table(50, 1);
    let mut a = table.seed(A);
    a.suggested.push_back(PieceIndex(33));
    assert_eq!(table.pick(&mut a).unwrap().piece, PieceIndex(33));
}

#[test]
fn a_choking_peer_is_asked_for_what_it_allows_only() {
    let mut table = table(50, 2);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    table.pick(&mut b);
    a.only = Some(BTreeSet::from([PieceIndex(7)]));
    assert_eq!(table.pick(&mut a).unwrap().piece, PieceIndex(7));
    assert_eq!(table.pick(&mut a).unwrap().piece, PieceIndex(7));
    assert_eq!(table.pick(&mut a), None);
}

#[test]
fn what_a_peer_refused_is_not_asked_of_it_again() {
    let mut table = table(1, 2);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    let block = table.pick(&mut a).unwrap();
    assert!(table.picker.on_refused(block, A, &mut table.rng));
    a.refused.insert(block.piece, table.now);
    assert_eq!(table.pick(&mut a), None);
    assert_eq!(table.pick(&mut b), Some(block));
}

#[test]
fn a_piece_nobody_is_asked_for_any_more_is_new_again() {
    let mut table = table(5, 2);
    let mut a = table.seed(A);
    let block = table.pick(&mut a).unwrap();
    table.picker.on_refused(block, A, &mut table.rng);
    assert_eq!(table.picker.begun_count(), 0);
    let pieces: BTreeSet<PieceIndex> = (0..5).map(|_| table.fetch_piece(&mut a)).collect();
    assert_eq!(pieces.len(), 5);
}

#[test]
fn a_bad_piece_is_fetched_from_one_other_peer() {
    let mut table = table(1, 4);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    let mut c = table.seed(LinkId(3));
    for _ in 0..2 {
        for who in [&mut a, &mut b] {
            let block = table.pick(who).unwrap();
            table.take(who, block);
        }
    }
    let givers = table.picker.on_failed(PieceIndex(0), table.now, &mut table.rng);
    assert_eq!(givers.peers, BTreeSet::from([peer_of(A), peer_of(B)]));
    assert_eq!(table.pick(&mut a), None, "not from who gave it, for a while");
    let first = table.pick(&mut c).unwrap();
    table.now += AVOID_GIVERS;
    assert_eq!(table.pick(&mut a), None, "not from two");
    table.take(&c, first);
    table.fetch_piece(&mut c);
    let givers = table.picker.on_verified(PieceIndex(0));
    assert_eq!(givers.peers, BTreeSet::from([peer_of(LinkId(3))]));
    assert!(!table.picker.is_retrying());
}

#[test]
fn if_nobody_else_has_it_a_giver_is_asked_again_after_a_while() {
    let mut table = table(1, 2);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    for who in [&mut a, &mut b] {
        let block = table.pick(who).unwrap();
        table.take(who, block);
    }
    table.picker.on_failed(PieceIndex(0), table.now, &mut table.rng);
    assert_eq!(table.pick(&mut a), None);
    table.now += AVOID_GIVERS;
    assert!(table.pick(&mut a).is_some());
    assert_eq!(table.pick(&mut b), None);
}

#[test]
fn a_suspect_works_alone() {
    let mut table = table(10, 4);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    a.suspect = true;
    let shared = table.pick(&mut b).unwrap().piece;
    let own = table.pick(&mut a).unwrap().piece;
    assert_ne!(own, shared);
    let next: Vec<PieceIndex> = (0..8).map(|_| table.pick(&mut b).unwrap().piece).collect();
    assert!(!next.contains(&own));
}

#[test]
fn begun_pieces_are_bounded_and_a_stuck_one_is_rescued() {
    let config = EngineConfig { partial_bytes: 0, partial_pieces_min: 3, ..EngineConfig::default() };
    let mut table = Table::new(10, 2, &config);
    let (mut a, mut b) = (table.seed(A), table.seed(B));
    let picks = std::iter::from_fn(|| table.pick(&mut a)).count();
    assert_eq!((picks, table.picker.begun_count()), (6, 3));
    assert_eq!(table.pick(&mut b), None);
    assert_eq!(table.picker.rescue(&b.asker(), |_| false), None);
    assert!(table.picker.rescue(&b.asker(), |_| true).is_some());
    b.suspect = true;
    assert_eq!(table.picker.rescue(&b.asker(), |_| true), None);
}

#[test]
fn an_idle_link_begins_one_piece_beyond_the_limit() {
    let config = EngineConfig { partial_bytes: 0, partial_pieces_min: 3, ..EngineConfig::default() };
    let mut table = Table::new(10, 1, &config);
    let (mut a, b) = (table.seed(A), table.seed(B));
    (0..3).for_each(|_| assert!(table.pick(&mut a).is_some()));
    for who in [&a, &b] {
        let Table { picker, rng, now } = &mut table;
        assert!(picker.pick_beyond_limit(&who.asker(), *now, rng).is_some());
        assert_eq!(picker.pick_beyond_limit(&who.asker(), *now, rng), None);
    }
    assert_eq!(table.picker.begun_count(), 5);
}

#[test]
fn nothing_is_rescued_while_there_is_something_new() {
    let mut table = table(10, 2);
    let (mut a, b) = (table.seed(A), table.seed(B));
    (0..18).for_each(|_| assert!(table.pick(&mut a).is_some()));
    assert_eq!(table.picker.rescue(&b.asker(), |_| true), None);
    (0..2).for_each(|_| assert!(table.pick(&mut a).is_some()));
    assert!(table.picker.rescue(&b.asker(), |_| true).is_some());
}
