//! Leeches that come at once.

use crate::sim::plan::{Params, Plan};

/// A seed and a crowd.
pub fn flash(params: &Params) -> Plan {
    Plan::calm(params, params.crowd())
}

/// The seed has half a leech's uplink.
pub fn slow_seed() -> Params {
    Params { seed_up: 25.0, ..Params::default() }
}

/// Two leeches.
pub fn two_peers() -> Params {
    Params { leeches: 2, ..Params::default() }
}

/// A thousand leeches.
pub fn thousand() -> Params {
    Params { leeches: 1000, ..Params::default() }
}
