//! The writing task of a link: messages as they are ordered, blocks read ahead from the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use samara_proto::layout::BlockRef;
use samara_proto::wire::message::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::framed::WireWriter;
use super::{LinkEvent, Order, Shared};
use crate::disk::StoreError;
use crate::net::pace::{Cover, Pace};

/// A keep-alive is sent after this much silence of ours; remotes hang up after two minutes (BEP 3).
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// Gathered bytes that are handed to the transport without waiting for more: few on a slow link, where a message that
/// comes now would stand behind them, more where every write costs.
const GATHERED: Cover = Cover { time: Duration::from_millis(5), least: 32 << 10, most: 128 << 10 };

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
    let mut reads = FuturesOrdered::new();
    let mut sent = Vec::new();
    let (mut pace, mut gathered) = (Pace::new(GATHERED, Instant::now()), GATHERED.least);
    loop {
        if reads.is_empty() {
            match timeout(KEEP_ALIVE, orders.recv()).await {
                Ok(Some(order)) => take(order, writer, shared, &mut reads),
                Ok(None) => return writer.close().await,
                Err(_) => writer.push(&Message::KeepAlive),
            }
        }
        // Messages overtake the blocks that are still being read: a request must not wait behind them.
        while let Ok(order) = orders.try_recv() {
            take(order, writer, shared, &mut reads);
        }
        if let Some((block, data)) = reads.next().await {
            match data {
                Ok(data) => {
                    writer.push_block(block, &data);
                    sent.push(block);
                }
                Err(error) => {
                    tracing::debug!(%error, piece = block.piece.0, "a block could not be read");
                    report(shared, LinkEvent::BlockUnreadable(block)).await?;
                }
            }
        }
        let pending = writer.pending();
        if pending >= gathered {
            writer.write().await?;
        } else if reads.is_empty() && orders.is_empty() {
            writer.flush().await?;
        } else {
            continue;
        }
        gathered = pace.on_left(Instant::now(), pending).unwrap_or(gathered);
        report_sent(shared, &mut sent).await?;
    }
}

/// Writes a message into the buffer, or begins to read a block.
fn take<'s>(
    order: Order,
    writer: &mut WireWriter,
    shared: &'s Shared,
    reads: &mut FuturesOrdered<BoxFuture<'s, Read>>,
) {
    match order {
        Order::Message(message) => writer.push(&message),
        Order::Answer(message, _permit) => writer.push(&message),
        Order::Block(block) => {
            reads.push_back(async move { (block, shared.store.read_block(block).await) }.boxed())
        }
    }
}

/// A block and its bytes.
type Read = (BlockRef, Result<Bytes, StoreError>);

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
