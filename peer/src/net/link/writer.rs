//! The writing task of a link: messages as they are ordered, blocks read ahead from the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use samara_proto::layout::BlockRef;
use samara_proto::wire::message::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::framed::WireWriter;
use super::{LinkEvent, Order, Shared};

/// A keep-alive is sent after this much silence of ours; remotes hang up after two minutes (BEP 3).
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// Orders taken from the queue at once.
const BATCH: usize = 64;
/// Gathered bytes that are handed to the transport without waiting for more.
const WRITE_SIZE: usize = 128 << 10;

/// Writes until the stream fails or the node lets go of the link.
pub(super) async fn run(mut writer: WireWriter, shared: Arc<Shared>, mut orders: mpsc::Receiver<Order>) {
    if let Err(error) = write_all(&mut writer, &shared, &mut orders).await {
        // If the node is gone nobody is left to be told.
        let _ = shared.report(LinkEvent::Ended(format!("writing failed: {error}"))).await;
    }
}

async fn write_all(
    writer: &mut WireWriter,
    shared: &Shared,
    orders: &mut mpsc::Receiver<Order>,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        match timeout(KEEP_ALIVE, orders.recv_many(&mut batch, BATCH)).await {
            Ok(0) => return writer.close().await,
            Ok(_) => write_batch(writer, shared, &mut batch).await?,
            Err(_) => writer.push(&Message::KeepAlive),
        }
        if orders.is_empty() {
            writer.flush().await?;
        }
    }
}

/// Writes a batch in its order; the disk reads of all its blocks run at once.
async fn write_batch(writer: &mut WireWriter, shared: &Shared, batch: &mut Vec<Order>) -> io::Result<()> {
    let blocks = batch.iter().filter_map(|order| match order {
        Order::Block(block) => Some(*block),
        Order::Message(_) => None,
    });
    let mut reads: FuturesOrdered<_> =
        blocks.map(|block| async move { shared.store.read_block(block).await }).collect();
    let mut sent = Vec::new();
    for order in batch.drain(..) {
        match order {
            Order::Message(message) => writer.push(&message),
            Order::Block(block) => match reads.next().await {
                Some(Ok(data)) => {
                    writer.push_block(block, &data);
                    sent.push(block);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, piece = block.piece.0, "a block could not be read");
                    writer.push(&Message::Reject(block));
                    report(shared, LinkEvent::BlockUnreadable(block)).await?;
                }
                None => unreachable!("one read was begun for each block"),
            },
        }
        if writer.pending() >= WRITE_SIZE {
            writer.write().await?;
            report_sent(shared, &mut sent).await?;
        }
    }
    if !sent.is_empty() {
        writer.write().await?;
        report_sent(shared, &mut sent).await?;
    }
    Ok(())
}

async fn report_sent(shared: &Shared, sent: &mut Vec<BlockRef>) -> io::Result<()> {
    for block in sent.drain(..) {
        shared.traffic.content_out.fetch_add(u64::from(block.length), Ordering::Relaxed);
        report(shared, LinkEvent::BlockSent(block)).await?;
    }
    Ok(())
}

async fn report(shared: &Shared, event: LinkEvent) -> io::Result<()> {
    shared.report(event).await.map_err(|_| io::Error::other("the node is gone"))
}
