//! How long a thread may still wait: a time limit and Ctrl-C end every wait with a panic, which cleans up.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A wait looks this often whether it must end.
const LOOK: Duration = Duration::from_millis(100);
/// How often a polled state is looked at.
const POLL: Duration = Duration::from_millis(5);

thread_local! {
    /// When this thread's waits end, whatever they wait for.
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on this thread's waits end after `limit` at the latest, all together.
pub fn limit_this_thread(limit: Duration) {
    END.set(Some(Instant::now() + limit));
}

/// Ends the waits of every thread.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether every thread was told to end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Why this thread must not wait any longer, if so.
pub fn is_over() -> Option<&'static str> {
    if is_interrupted() {
        return Some("it was interrupted");
    }
    let is_late = END.get().is_some_and(|end| Instant::now() >= end);
    is_late.then_some("its time is up")
}

/// How long to wait until looking again, when waiting until `end`.
pub fn until_next_look(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).min(LOOK)
}

/// Waits until `poll` gives something.
///
/// # Panics
/// When it does not within `limit`, or this thread must not wait any longer; the message says for `what`.
pub fn wait_for<T>(what: &str, limit: Duration, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        if let Some(why) = is_over() {
            panic!("{what}: {why}");
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        std::thread::sleep(POLL);
    }
}

/// Lets `time` pass: for drills whose subject is time itself, never to wait for a state.
///
/// # Panics
/// When this thread must not wait any longer.
pub fn let_pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(why) = is_over() {
            panic!("{why}");
        }
        std::thread::sleep(until_next_look(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_limit_ends_its_waits_and_nobody_else_s() {
        let limited = std::thread::spawn(|| {
            limit_this_thread(Duration::from_millis(20));
            wait_for("never", Duration::from_secs(60), || None::<()>);
        });
        assert!(limited.join().is_err());
        assert_eq!(is_over(), None);
    }

    #[test]
    fn a_wait_ends_with_what_was_waited_for() {
        let mut looks = 0;
        let found = wait_for("the third look", Duration::from_secs(60), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, 3);
    }
}
