//! Peers that find each other on a local network and by nothing else: machines made of network namespaces,
//! on one switch without a way out. Needs root; says so loudly and tests nothing without it.

mod lan {
    mod names;
    mod network;
    mod poison;
    mod private;
    mod transfers;
}
