//! Operating-system threads that do the blocking reads, writes and hash checks, each behind a bounded queue.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::handles::Handles;
use super::hasher::Scratch;

/// Jobs that may wait for one worker; a job is small, the bytes it carries are bounded apart.
const QUEUE_JOBS: usize = 256;

/// Bytes that may wait to be written, over all torrents: enough to ride out a slow write, little enough that
/// hardly anything is lost when the process is killed.
const WRITE_BYTES: usize = 8 << 20;

/// Workers at most: each keeps a read buffer, and no disk is quicker for more of them.
const WORKERS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

pub(super) type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

/// The pool has been shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk workers have stopped")]
pub(super) struct Stopped;

/// The workers that all torrents of a node share, one per core. Cheap to clone; the threads end, after
/// finishing what is queued, when the last clone is gone.
#[derive(Clone)]
pub struct DiskPool {
    shared: Arc<Shared>,
}

struct Shared {
    workers: Vec<mpsc::Sender<Job>>,
    write_room: Arc<Semaphore>,
    handles: Arc<Handles>,
}

impl DiskPool {
    /// Starts one worker per core, 16 at most.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn new() -> io::Result<Self> {
        Self::with_workers(cores().min(WORKERS))
    }

    /// Starts `count` workers.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn with_workers(count: NonZeroUsize) -> io::Result<Self> {
        let workers = (0..count.get()).map(start_worker).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            shared: Arc::new(Shared {
                workers,
                write_room: Arc::new(Semaphore::new(WRITE_BYTES)),
                handles: Arc::new(Handles::new()),
            }),
        })
    }

    /// How many workers there are.
    pub fn workers(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.shared.workers.len()).expect("with_workers starts at least one")
    }

    /// The open files of all stores.
    pub(super) fn handles(&self) -> &Arc<Handles> {
        &self.shared.handles
    }

    /// Waits until `length` more bytes may be queued for writing; they count until the permit is dropped.
    pub(super) async fn write_room(&self, length: u32) -> Result<OwnedSemaphorePermit, Stopped> {
        let length = length.min(WRITE_BYTES as u32);
        self.shared.write_room.clone().acquire_many_owned(length).await.map_err(|_| Stopped)
    }

    /// Queues a job behind all earlier ones with the same key; waits for room.
    pub(super) async fn run_keyed(&self, key: u64, job: Job) -> Result<(), Stopped> {
        let worker = (key % self.shared.workers.len() as u64) as usize;
        self.shared.workers[worker].send(job).await.map_err(|_| Stopped)
    }

    /// Queues a job at the worker with the shortest queue; waits for room.
    pub(super) async fn run_anywhere(&self, job: Job) -> Result<(), Stopped> {
        let idlest = self.shared.workers.iter().max_by_key(|queue| queue.capacity());
        idlest.ok_or(Stopped)?.send(job).await.map_err(|_| Stopped)
    }
}

/// The cores that this process may use.
pub(super) fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn start_worker(number: usize) -> io::Result<mpsc::Sender<Job>> {
    let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE_JOBS);
    thread::Builder::new().name(format!("disk-{number}")).spawn(move || {
        let mut scratch = Scratch::default();
        while let Some(job) = jobs.blocking_recv() {
            job(&mut scratch);
        }
    })?;
    Ok(sender)
}
