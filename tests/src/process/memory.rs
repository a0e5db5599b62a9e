//! The peak memory of another process, as Linux counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Reads a process's high-water mark until it ends, since the kernel forgets it then.
pub struct PeakMemory {
    bytes: Arc<AtomicU64>,
}

impl PeakMemory {
    /// Watches the process with this id.
    pub fn watch(process: u32) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let shared = bytes.clone();
        std::thread::spawn(move || {
            while let Some(peak) = high_water_mark(process) {
                shared.fetch_max(peak, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { bytes }
    }

    /// The most it had resident so far, in bytes; 0 where the system does not tell.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn high_water_mark(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
