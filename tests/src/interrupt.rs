//! Ctrl-C and a polite kill, for programs that must leave neither processes nor namespaces behind.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::{netns, patience, process};

/// Programs clean up within this time after Ctrl-C; whatever has not by then is killed.
const CLEANING: Duration = Duration::from_secs(20);

/// From now on Ctrl-C and a polite kill end every wait, and who waited cleans up as it unwinds; a second one,
/// or a program that does not, is ended the hard way.
///
/// # Panics
/// When the system has no room for a thread.
pub fn clean_up_on_interrupt() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has room for a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate()).expect("a handler can be set");
            let mut asked = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            };
            asked().await;
            eprintln!("interrupted; cleaning up");
            patience::interrupt();
            let _ = tokio::time::timeout(CLEANING, asked()).await;
            process::kill_all();
            netns::remove_all();
            std::process::exit(130);
        });
    });
}
