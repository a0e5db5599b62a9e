//! A wire stream between two hosts.

use samara_proto::layout::BlockRef;

use super::agenda::{HostNo, LinkNo, Nanos, PipeNo};
use super::pipe::Pipe;

/// One end of a link.
#[derive(Debug)]
pub struct End {
    /// Whose.
    pub host: HostNo,
    /// Its host has not let go of it, and has not heard that the other has.
    pub is_open: bool,
    /// It has said something.
    pub has_spoken: bool,
    /// What it asked for and was not answered.
    pub asked: Vec<BlockRef>,
}

impl End {
    fn new(host: HostNo) -> Self {
        Self { host, is_open: true, has_spoken: false, asked: Vec::new() }
    }

    /// Takes a request as answered; whether it was made.
    pub fn on_answered(&mut self, block: BlockRef) -> bool {
        // Answers mostly come in the order of the requests, so the search is short.
        let found = self.asked.iter().position(|asked| *asked == block);
        if let Some(at) = found {
            self.asked.remove(at);
        }
        found.is_some()
    }
}

/// A link; side 0 opened it.
#[derive(Debug)]
pub struct Link {
    /// Both ends.
    pub ends: [End; 2],
    /// What each side sends.
    pub pipes: [Pipe; 2],
    /// One way.
    pub latency: Nanos,
    /// When it came up.
    pub since: Nanos,
}

impl Link {
    /// A link that `opener` opened at `since`.
    pub fn new(opener: HostNo, other: HostNo, latency: Nanos, since: Nanos) -> Self {
        let ends = [End::new(opener), End::new(other)];
        Self { ends, pipes: [Pipe::default(), Pipe::default()], latency, since }
    }

    /// The side that is `host`'s.
    pub fn side_of(&self, host: HostNo) -> usize {
        usize::from(self.ends[0].host != host)
    }

    /// Who is at the other end of `host`'s side.
    pub fn other(&self, host: HostNo) -> HostNo {
        self.ends[1 - self.side_of(host)].host
    }

    /// Both ends are open.
    pub fn is_up(&self) -> bool {
        self.ends[0].is_open && self.ends[1].is_open
    }
}

/// The number of the pipe through which `side` of a link sends.
pub fn pipe_no(link: LinkNo, side: usize) -> PipeNo {
    link * 2 + side as u32
}

/// The link a pipe belongs to, and the side that sends.
pub fn of_pipe(pipe: PipeNo) -> (LinkNo, usize) {
    (pipe / 2, pipe as usize % 2)
}
