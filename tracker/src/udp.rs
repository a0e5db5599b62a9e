//! The tracker over UDP: packets in, answers out.

mod answer;
mod connection_id;
mod socket;

use std::sync::Arc;

use tracing::warn;

use crate::service::Service;
use answer::Answerer;

pub(crate) use socket::Socket;

/// Serves for ever.
pub(crate) async fn serve(socket: Socket, service: Arc<Service>, connection_key: [u8; 16]) {
    let answerer = Answerer::new(&service, connection_key);
    let mut inbox = socket.inbox();
    loop {
        // The system's complaints are about earlier answers or passing states: none ends the service.
        if let Err(error) = socket.receive(&mut inbox).await {
            warn!(%error, "cannot receive UDP packets");
            tokio::time::sleep(socket::ERROR_PAUSE).await;
            continue;
        }
        for packet in inbox.packets() {
            if let Some(answer) = answerer.answer(packet.bytes, packet.from)
                && !socket.send(&answer, &packet)
            {
                service.metrics.udp_unsent.add_one();
            }
        }
    }
}
