//! Every hard cap on what files and remotes may make us hold, each with its reason.

/// Bytes in a block: the unit BEP 52 hashes and the one every client requests.
pub const BLOCK_LENGTH: u32 = 16 * 1024;

// Torrents.

/// Bytes in a `.torrent` file: room for both kinds of piece hashes of the most pieces, with names.
pub const TORRENT_BYTES: usize = 128 * 1024 * 1024;
/// Bytes in an info dictionary that comes from peers: v1 hashes of the most pieces, with names.
pub const INFO_BYTES: usize = 64 * 1024 * 1024;
/// Nested lists and dictionaries in a torrent: a file tree as deep as paths may be, and its surroundings.
pub const TORRENT_DEPTH: usize = PATH_DEPTH + 16;
/// Values in a torrent: about 15 for each file of a hybrid; the scan keeps 12 bytes for each.
pub const TORRENT_TOKENS: usize = 16 * FILES as usize;
/// Pieces in a torrent: what libtorrent accepts too; a bitfield of them takes 256 KiB.
pub const PIECES: u32 = 1 << 21;
/// Bytes in a piece: the longest that a common client (qBittorrent) offers to make; 16,384 blocks.
pub const PIECE_LENGTH: u32 = 256 * 1024 * 1024;
/// Blocks of 16 KiB in a piece: as many as the longest has.
pub const BLOCKS_PER_PIECE: u32 = PIECE_LENGTH / BLOCK_LENGTH;
/// Files in a torrent, padding included: each costs a few hundred bytes of memory.
pub const FILES: u32 = 1 << 18;
/// Content bytes in a torrent: what a bencoded integer and a file offset of an operating system can say.
pub const CONTENT_BYTES: u64 = i64::MAX as u64;
/// Components in a path: no file system nests deeper by accident, and walking it is recursive in places.
pub const PATH_DEPTH: usize = 100;
/// Bytes in one path component: what Linux, macOS and Windows can store.
pub const NAME_BYTES: usize = 255;
/// Bytes in a whole path: Linux's `PATH_MAX`, less room for the folder it is put in.
pub const PATH_BYTES: usize = 3072;
/// Bytes that all paths of a torrent take in memory: half a kilobyte for each of the most files. A file tree
/// names a folder once, however many files share it, so that its size alone bounds nothing.
pub const PATHS_BYTES: usize = 128 * 1024 * 1024;
/// Trackers or web seeds kept from a torrent or link: more than any honest one has; the rest are dropped.
pub const TRACKERS: usize = 256;
/// Bytes in a URL kept from a torrent or link: what browsers and servers agree on; longer ones are dropped.
pub const URL_BYTES: usize = 2048;
/// Bytes of free text kept from a torrent, such as its comment: a screenful; the rest is cut off.
pub const TEXT_BYTES: usize = 4096;

// Links.

/// Bytes in a magnet link: what a command line and a chat message carry.
pub const MAGNET_BYTES: usize = 32 * 1024;
/// Peers kept from a link: each is dialled straight away; the rest are dropped.
pub const LINK_PEERS: usize = 32;
/// File ranges in a link's selection: more than anybody types.
pub const LINK_RANGES: usize = 1024;

// Bencode in messages.

/// Bytes in a tracker's HTTP answer: thousands of peers in the wordiest form.
pub const TRACKER_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// Nested lists and dictionaries in a tracker's answer: four are used.
pub const TRACKER_ANSWER_DEPTH: usize = 10;
/// Values in a tracker's answer: a dozen for each peer of the longest list in the wordiest form.
pub const TRACKER_ANSWER_TOKENS: usize = 128 * 1024;
/// Peers kept from a tracker's answer: ten times what clients ask for and trackers give; the rest are dropped.
pub const ANSWER_PEERS: usize = 2000;
/// libp2p peers kept from a tracker's answer: each costs a signature check; the rest are dropped.
pub const ANSWER_LIBP2P_PEERS: usize = 256;
/// Bytes of bencode in an extension message (BEP 10): a signed record for each of a PEX message's peers.
pub const EXTENSION_BYTES: usize = 128 * 1024;
/// Nested lists and dictionaries in an extension message: three are used.
pub const EXTENSION_DEPTH: usize = 10;
/// Values in an extension message: 50 extensions or peers many times over.
pub const EXTENSION_TOKENS: usize = 4096;

// Peer exchange.

/// Peers named, or taken back, in one PEX message: BEP 11's own bound.
pub const PEX_PEERS: usize = 50;
/// Bytes of signed records in a PEX message of ours: half an extension message; with usual records all fit.
pub const PEX_RECORDS_BYTES: usize = EXTENSION_BYTES / 2;
/// Bytes of a PeerId: a multihash of 64 bytes, which no kind of key exceeds, and its head.
pub const PEER_ID_BYTES: usize = 66;

// The peer wire.

/// Bytes two peers may agree to request at once: longer requests would save nothing more, and each one in
/// flight holds this much memory at its sender.
pub const REQUEST_LENGTH: u32 = 1024 * 1024;
/// Bytes in a message of an unknown kind, which is read and dropped.
pub const UNKNOWN_MESSAGE_BYTES: u32 = 16 * 1024;
/// Hashes requested at once from one layer of a tree: what BEP 52 recommends as the most.
pub const HASHES_PER_REQUEST: u32 = 512;
/// Uncle hashes that may follow them: a tree with more layers would need a file beyond 2^46 bytes.
pub const PROOF_HASHES: u32 = 32;
/// Unfinished pieces of which single blocks are remembered for one peer: as many as one fetches at once. What it tells of
/// more is told again when they are whole.
pub const PARTS: usize = 64;
/// Extensions in an extension handshake: several times what the busiest client names.
pub const EXTENSIONS: usize = 128;
/// Bytes in an extension's name; nobody speaks one with a longer name.
pub const EXTENSION_NAME_BYTES: usize = 64;
/// Bytes kept of a remote client's name and version, which is only ever shown.
pub const CLIENT_BYTES: usize = 128;

// Signed peer records.

/// Bytes in a signed peer record: the most addresses at their longest, a key and a signature.
pub const RECORD_BYTES: usize = 4 * 1024;
/// Addresses in a signed peer record: each may be dialled.
pub const RECORD_ADDRESSES: usize = 8;
/// Bytes in an address: a relayed one with certificate hashes stays below.
pub const ADDRESS_BYTES: usize = 256;
