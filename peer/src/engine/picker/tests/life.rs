//! A random life of a torrent against a plain record of what was asked.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Pick(usize),
    Rescue(usize),
    Answer(usize),
    Refuse(usize),
    Withdraw(usize),
    Overdue(usize),
    Have(usize, u32),
    Suspect(usize),
    Disown(usize),
    Stall,
    Check(bool),
    Select(Vec<Priority>, Sequence),
}

const LINKS: usize = 4;
const PIECES: u32 = 12;

fn any_step() -> impl Strategy<Value = Step> {
    let link = || 0..LINKS;
    prop_oneof![
        12 => link().prop_map(Step::Pick),
        3 => link().prop_map(Step::Rescue),
        10 => (0..100usize).prop_map(Step::Answer),
        2 => (0..100usize).prop_map(Step::Refuse),
        2 => (0..100usize).prop_map(Step::Withdraw),
        2 => (0..100usize).prop_map(Step::Overdue),
        6 => (link(), 0..PIECES).prop_map(|(link, piece)| Step::Have(link, piece)),
        1 => link().prop_map(Step::Suspect),
        1 => link().prop_map(Step::Disown),
        1 => Just(Step::Stall),
        4 => any::<bool>().prop_map(Step::Check),
        1 => any_selection(),
    ]
}

fn any_selection() -> impl Strategy<Value = Step> {
    let priority = prop_oneof![Just(Priority::Skip), Just(Priority::Low), Just(Priority::High)];
    let sequence = prop_oneof![Just(Sequence::Rarest), Just(Sequence::Ascending)];
    (prop::collection::vec(priority, PIECES as usize), sequence)
        .prop_map(|(priorities, sequence)| Step::Select(priorities, sequence))
}

/// What a life of the picker must keep to, recorded apart from it.
struct Life {
    table: Table,
    links: Vec<Who>,
    asked: Vec<(usize, BlockRef)>,
    full: Vec<PieceIndex>,
    verified: BTreeSet<PieceIndex>,
}

impl Life {
    fn new() -> Self {
        let table = table(PIECES, 3);
        let links = (0..LINKS).map(|n| Who::new(LinkId(n as u64), Bitfield::new(PIECES))).collect();
        Self { table, links, asked: Vec::new(), full: Vec::new(), verified: BTreeSet::new() }
    }

    fn note(&mut self, link: usize, block: BlockRef) {
        let who = &self.links[link];
        assert!(who.has.get(block.piece), "asked for what the peer has not");
        assert!(!self.verified.contains(&block.piece), "asked for what is verified");
        assert!(self.table.picker.wants(block.piece), "asked for what is skipped");
        assert!(self.table.picker.layout.contains(block));
        assert!(block.length <= who.max_blocks * BLOCK_LENGTH);
        let holders: BTreeSet<usize> = self
            .asked
            .iter()
            .filter(|(_, other)| other.piece == block.piece && overlap(*other, block))
            .map(|(link, _)| *link)
            .collect();
        assert!(!holders.contains(&link), "asked one peer twice");
        assert!(holders.len() < crate::engine::partial::HOLDERS_MAX, "asked too many");
        self.asked.push((link, block));
    }

    fn settle(&mut self, n: usize) -> Option<(usize, BlockRef)> {
        (!self.asked.is_empty()).then(|| self.asked.swap_remove(n % self.asked.len()))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pick(link) => {
                if let Some(block) = self.table.pick(&mut self.links[link]) {
                    self.note(link, block);
                }
            }
            Step::Rescue(link) => {
                if let Some(block) = self.table.picker.rescue(&self.links[link].asker(), |_| true) {
                    self.note(link, block);
                }
            }
            Step::Answer(n) => {
                if let Some((link, block)) = self.settle(n)
                    && self.table.take(&self.links[link], block)
                {
                    self.full.push(block.piece);
                }
            }
            Step::Refuse(n) => {
                if let Some((link, block)) = self.settle(n) {
                    let Table { picker, rng, .. } = &mut self.table;
                    picker.on_refused(block, LinkId(link as u64), rng);
                }
            }
            Step::Withdraw(n) => {
                if let Some((link, block)) = self.settle(n) {
                    self.table.picker.on_withdrawn(block, LinkId(link as u64));
                }
            }
            Step::Overdue(n) => {
                if let Some(&(_, block)) = self.asked.get(n % self.asked.len().max(1)) {
                    self.table.picker.on_overdue(block);
                }
            }
            Step::Have(link, piece) => {
                if self.links[link].has.set(PieceIndex(piece)) {
                    self.table.picker.on_have(PieceIndex(piece), &mut self.table.rng);
                }
            }
            Step::Suspect(link) => self.links[link].suspect ^= true,
            Step::Disown(link) => {
                self.table.picker.disown(peer_of(LinkId(link as u64)), self.table.now);
            }
            Step::Stall => {
                self.table.now += Duration::from_secs(6);
                self.table.picker.open_stalled(self.table.now, Duration::from_secs(5));
            }
            Step::Check(good) => {
                let Some(piece) = self.full.pop() else { return };
                assert!(self.table.picker.is_complete(piece));
                self.asked.retain(|(_, block)| block.piece != piece);
                let Table { picker, rng, now } = &mut self.table;
                if good {
                    picker.on_verified(piece);
                    self.verified.insert(piece);
                } else {
                    picker.on_failed(piece, *now, rng);
                }
            }
            Step::Select(priorities, sequence) => {
                let mut verified = Bitfield::new(PIECES);
                self.verified.iter().for_each(|&piece| _ = verified.set(piece));
                let selection = Selection { priorities, sequence };
                let Table { picker, rng, .. } = &mut self.table;
                for (piece, asked) in picker.select(&selection, &verified, rng) {
                    let of_it = |(_, block): &&(usize, BlockRef)| block.piece == piece;
                    let expected: BTreeSet<LinkId> =
                        self.asked.iter().filter(of_it).map(|(link, _)| LinkId(*link as u64)).collect();
                    assert_eq!(asked, expected, "everybody who is asked is told");
                    self.asked.retain(|(_, block)| block.piece != piece);
                }
            }
        }
    }
}

fn overlap(a: BlockRef, b: BlockRef) -> bool {
    a.begin < b.begin + b.length && b.begin < a.begin + a.length
}

proptest! {
    #[test]
    fn whatever_happens_a_willing_seed_completes_the_torrent(
        steps in prop::collection::vec(any_step(), 0..250),
        max_blocks in 1..4u32,
    ) {
        let mut life = Life::new();
        life.links.iter_mut().for_each(|who| who.max_blocks = max_blocks);
        for step in steps {
            life.step(step);
        }
        // Everybody else leaves; a seed comes.
        while let Some((link, block)) = life.settle(0) {
            life.table.picker.on_refused(block, LinkId(link as u64), &mut life.table.rng);
        }
        for link in 0..LINKS {
            life.step(Step::Disown(link));
        }
        life.step(Step::Select(Vec::new(), Sequence::Rarest));
        life.table.now += AVOID_GIVERS;
        let seed = life.table.seed(LinkId(50));
        life.links.push(seed);
        for _ in 0..1000 {
            life.step(Step::Check(true));
            life.step(Step::Pick(LINKS));
            life.step(Step::Answer(0));
        }
        prop_assert_eq!(life.verified.len(), PIECES as usize);
        prop_assert_eq!(life.table.picker.begun_count(), 0);
    }
}
