//! What a gate lets in, and that it never forgets anybody.

use std::collections::VecDeque;

use futures::executor::block_on;
use futures::future::{join, poll_fn};
use futures::io::{AsyncWriteExt, Cursor};

use super::*;

/// A muxer that takes everything and gives nothing out by itself.
#[derive(Clone, Default)]
struct Greedy {
    frames: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl AsyncWrite for Greedy {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.frames.lock().expect("no holder panics").push_back(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short body").to_be_bytes();
    [&[0, kind, 0, 0, 0, 0, 0, 1], &length[..], body].concat()
}

#[test]
fn a_writer_waits_for_what_came_out_and_everything_passes_in_order() {
    let (gate, muxer) = (Gate::new(), Greedy::default());
    let mut above = Above::new(muxer.clone(), gate.clone());
    let mut below = Below::new(Cursor::new(Vec::new()), gate.clone());
    let bytes: Vec<u8> = (0..2_000_000u32).map(|n| (n * 7) as u8).collect();
    let mut out = Vec::new();
    let draining = async {
        while out.len() < bytes.len() {
            let held = gate.held.load(Ordering::Acquire);
            let most = gate.limit.load(Ordering::Acquire) + LONGEST_FRAME;
            assert!(held <= most, "{held} bytes wait, {most} may");
            let next = muxer.frames.lock().expect("no holder panics").pop_front();
            match next {
                Some(body) => {
                    below.write_all(&frame(DATA, &body)).await.expect("memory takes it");
                    out.extend_from_slice(&body);
                }
                None => yield_once().await,
            }
        }
    };
    block_on(join(async { above.write_all(&bytes).await.expect("the muxer takes it") }, draining));
    assert_eq!(out, bytes);
    assert_eq!(gate.held.load(Ordering::Acquire), 0);
}

async fn yield_once() {
    let mut is_second = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_shut_gate_lets_small_writes_in_and_an_opened_one_everything() {
    let gate = Gate::new();
    let mut bulk = Above::new(Greedy::default(), gate.clone());
    let mut ping = Above::new(Greedy::default(), gate.clone());
    let cx = &mut Context::from_waker(Waker::noop());
    let long = vec![0; COVER.least];
    let mut write = |stream: &mut Above<Greedy>, bytes: &[u8]| Pin::new(stream).poll_write(cx, bytes);
    while write(&mut bulk, &long).is_ready() {}
    assert!(gate.held.load(Ordering::Acquire) <= COVER.least + SHORTEST_FRAME);
    assert!(write(&mut ping, &[0; 32]).is_ready());
    gate.open();
    assert!(write(&mut bulk, &long).is_ready());
}

#[test]
fn content_is_told_from_headers_however_the_output_is_cut() {
    let frames =
        [frame(DATA, &[5; 1000]), frame(1, &[]), frame(DATA, &[]), frame(DATA, &[0; 77]), frame(2, &[])];
    let output = frames.concat();
    for step in 1..=output.len() {
        let mut frames = Frames::default();
        assert_eq!(output.chunks(step).map(|part| frames.content_of(part)).sum::<usize>(), 1077, "{step}");
    }
}
