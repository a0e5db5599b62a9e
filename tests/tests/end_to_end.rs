//! Transfers between real processes: by tracker, by link, through kills, liars and dead trackers.
//!
//! `SAMARA_E2E_MIB` sets the size of the large file; the default suits an unoptimized build.

mod end_to_end {
    mod adversity;
    mod bad_input;
    mod corrupter;
    mod dht;
    mod kills;
    mod support;
    mod transfers;
}
