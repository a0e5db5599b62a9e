//! The peer wire: handshake, messages and extensions as values, and the codec between them and bytes.

pub mod codec;
pub mod extension;
pub mod handshake;
pub mod message;
