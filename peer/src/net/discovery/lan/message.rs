//! What nodes say on the local network, as values and as packets of multicast DNS (RFC 6762, RFC 6763).

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{PTR, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// What we are called among all services.
const SERVICE: [&str; 3] = ["_samara", "_udp", "local"];
/// Bytes in a packet of ours: no network that carries Ethernet's 1,500 cuts it, headers and tunnels included.
pub(super) const PACKET_BYTES: usize = 1400;
/// How long a record may be believed that is not heard again: a peer that went without a word is looked for
/// in vain for no longer.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);
/// Nodes that one packet may speak of; ours speak of one.
const TELLINGS: usize = 8;
/// Strings of a TXT record that hold a signed record: more than a packet of ours has room for.
const PARTS: usize = 10;
/// Bytes in one string of a TXT record, and of them those for the key, as in `r0=`.
const STRING_BYTES: usize = 255;
const KEY_BYTES: usize = 3;
/// The class of a record that its sender alone may answer for (RFC 6762 §10.2).
const UNIQUE_INTERNET: u16 = 0x8001;
/// What a question takes, and each known answer besides its name: heads, pointers and numbers.
const QUESTION_BYTES: usize = 12 + 20 + 4;
const KNOWN_BYTES: usize = 12 + 1 + 2;

/// A node's name on the local network, new with each start: one label of DNS, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instance(Box<[u8]>);

impl Instance {
    /// A name made of chance: so much of it that no two nodes have the same.
    pub(super) fn new(chance: [u8; 10]) -> Self {
        Self(BASE32_NOPAD.encode(&chance).to_ascii_lowercase().into_bytes().into())
    }

    /// The name in front of the service's; `None` if `name` is not of that form.
    fn of(name: &Name) -> Option<Self> {
        let mut labels = name.iter();
        let first = labels.next()?;
        is_service(labels).then(|| Self(first.to_ascii_lowercase().into()))
    }

    fn full_name(&self) -> Option<Name> {
        service_name()?.prepend_label(&*self.0).ok()
    }
}

/// What a packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Who is there, besides those `known`?
    Asked {
        /// They need not answer.
        known: Vec<Instance>,
    },
    /// Somebody is there, or goes.
    Told(Vec<Telling>),
}

/// What is told of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Telling {
    /// Its name.
    pub(super) instance: Instance,
    /// How long that may be believed; zero if it goes.
    pub(super) lifetime: Duration,
    /// Its signed peer record, not verified yet.
    pub(super) record: Vec<u8>,
}

/// Reads a packet; `None` if it is no DNS message, or has nothing to do with us.
pub(super) fn parse(packet: &[u8]) -> Option<Said> {
    let message = Message::from_vec(packet).ok()?;
    let head = &message.metadata;
    if head.op_code != OpCode::Query || head.response_code != ResponseCode::NoError {
        return None;
    }
    match head.message_type {
        MessageType::Query => asked(&message),
        MessageType::Response => told(&message),
    }
}

fn asked(message: &Message) -> Option<Said> {
    let is_ours = |query: &Query| {
        matches!(query.query_type(), RecordType::PTR | RecordType::ANY)
            && is_internet(query.query_class())
            && is_service(query.name().iter())
    };
    if !message.queries.iter().any(is_ours) {
        return None;
    }
    // An answer that is about to be forgotten must be given again (RFC 6762 §7.1).
    let is_fresh = |record: &&Record| u64::from(record.ttl) >= LIFETIME.as_secs() / 2;
    let known = message.answers.iter().filter(is_fresh).filter_map(|record| match &record.data {
        RData::PTR(PTR(name)) if is_service(record.name.iter()) => Instance::of(name),
        _ => None,
    });
    Some(Said::Asked { known: known.collect() })
}

fn told(message: &Message) -> Option<Said> {
    let telling = |record: &Record| match &record.data {
        RData::TXT(text) if is_internet(record.dns_class) => Some(Telling {
            instance: Instance::of(&record.name)?,
            lifetime: Duration::from_secs(record.ttl.into()).min(LIFETIME),
            record: read_text(text)?,
        }),
        _ => None,
    };
    let records = message.answers.iter().chain(&message.additionals);
    let tellings: Vec<Telling> = records.filter_map(telling).take(TELLINGS).collect();
    (!tellings.is_empty()).then_some(Said::Told(tellings))
}

/// The question who is there. Of those who are `known`, and for how long still, it names as many as fit, so
/// that they need not answer.
pub(super) fn question<'a>(known: impl IntoIterator<Item = (&'a Instance, Duration)>) -> Option<Vec<u8>> {
    let service = service_name()?;
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(service.clone(), RecordType::PTR));
    let mut room = PACKET_BYTES - QUESTION_BYTES;
    for (instance, lifetime) in known {
        let Some(left) = room.checked_sub(KNOWN_BYTES + instance.0.len()) else { break };
        room = left;
        message.add_answer(pointer(&service, instance, lifetime)?);
    }
    encode(&message)
}

/// The answer that we are there, or with a `lifetime` of zero that we go; `None` if `record` is too long.
pub(super) fn answer(instance: &Instance, record: &[u8], lifetime: Duration) -> Option<Vec<u8>> {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    message.add_answer(pointer(&service_name()?, instance, lifetime)?);
    let mut text = Record::from_rdata(instance.full_name()?, seconds(lifetime), RData::TXT(text_of(record)));
    text.dns_class = DNSClass::from(UNIQUE_INTERNET);
    message.add_additional(text);
    encode(&message)
}

fn pointer(service: &Name, instance: &Instance, lifetime: Duration) -> Option<Record> {
    let target = RData::PTR(PTR(instance.full_name()?));
    Some(Record::from_rdata(service.clone(), seconds(lifetime), target))
}

fn encode(message: &Message) -> Option<Vec<u8>> {
    message.to_vec().ok().filter(|packet| packet.len() <= PACKET_BYTES)
}

fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)
}

/// A signed record as text: `r0=`, `r1=` and so on, each with the next part.
fn text_of(record: &[u8]) -> TXT {
    let encoded = BASE64URL_NOPAD.encode(record);
    let parts = encoded.as_bytes().chunks(STRING_BYTES - KEY_BYTES).enumerate();
    let strings: Vec<Vec<u8>> =
        parts.map(|(at, part)| [format!("r{at}=").as_bytes(), part].concat()).collect();
    TXT::from_bytes(strings.iter().map(Vec::as_slice).collect())
}

/// The signed record in a text, whose other strings are for later versions.
fn read_text(text: &TXT) -> Option<Vec<u8>> {
    let mut parts: BTreeMap<usize, &[u8]> = BTreeMap::new();
    for string in &text.txt_data {
        if let [b'r' | b'R', digit @ b'0'..=b'9', b'=', part @ ..] = &**string {
            // Of two with one key the first counts (RFC 6763 §6.4).
            parts.entry(usize::from(digit - b'0')).or_insert(part);
        }
    }
    let in_order = (0..PARTS).map_while(|at| parts.get(&at).copied());
    let encoded: Vec<u8> = in_order.flatten().copied().collect();
    BASE64URL_NOPAD.decode(&encoded).ok().filter(|record| !record.is_empty())
}

fn service_name() -> Option<Name> {
    Name::from_labels(SERVICE).ok()
}

fn is_service<'a>(labels: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut wanted = SERVICE.iter();
    let mut labels = labels.fuse();
    wanted.by_ref().all(|want| labels.next().is_some_and(|label| label.eq_ignore_ascii_case(want.as_bytes())))
        && labels.next().is_none()
}

/// Whether a class is the Internet's, whatever multicast DNS says by its top bit.
fn is_internet(class: DNSClass) -> bool {
    u16::from(class) & 0x7fff == u16::from(DNSClass::IN)
}

#[cfg(test)]
mod tests;
