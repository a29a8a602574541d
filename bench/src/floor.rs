//! What this machine cannot do faster: an fdatasync of as many bytes as a write has, into a file that exists already
//! in the directory of the servers' data, and an echo over TCP with frames as long as a request and its reply.
//! A synchronous write is the sum of both; a server can only add to it.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::epoll::now_ns;
use crate::report::Meter;

const FILE_BYTES: u64 = 64 << 20;

pub struct Floor {
    pub echo_p50_us: f64,
    pub fdatasync_p50_us: f64,
}

/// Alternates echo and fdatasync; the meter gets the sum of each pair.
pub fn run(
    directory: &Path,
    request_bytes: usize,
    reply_bytes: usize,
    warmup_ns: u64,
    measured_ns: u64,
    meter: &mut Meter,
) -> Result<Floor> {
    let path = directory.join(format!("zkload-floor-{}", std::process::id()));
    let result = measure(
        &path,
        request_bytes,
        reply_bytes,
        warmup_ns,
        measured_ns,
        meter,
    );
    fs::remove_file(&path).context("cannot remove the file of the floor")?;
    result
}

fn measure(
    path: &Path,
    request_bytes: usize,
    reply_bytes: usize,
    warmup_ns: u64,
    measured_ns: u64,
    meter: &mut Meter,
) -> Result<Floor> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let file = file.with_context(|| format!("cannot create {}", path.display()))?;
    // Written, not only reserved: the first write to a reserved block changes metadata.
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    stream.set_nodelay(true)?;
    let (peer, _) = listener.accept()?;
    let echo = thread::spawn(move || serve(peer, request_bytes, reply_bytes));

    let record = vec![7; request_bytes];
    let mut reply = vec![0; reply_bytes];
    let mut echoes: Histogram<u64> = Histogram::new_with_bounds(1, 100_000_000_000, 3)?;
    let mut syncs: Histogram<u64> = Histogram::new_with_bounds(1, 100_000_000_000, 3)?;
    let mut at = 0;
    let measure_at = now_ns() + warmup_ns;
    let end_at = measure_at + measured_ns;
    loop {
        let begun = now_ns();
        if begun >= measure_at && !meter.is_measuring() {
            meter.start()?;
        }
        if begun >= end_at {
            break;
        }
        stream.write_all(&record)?;
        stream.read_exact(&mut reply)?;
        let echoed = now_ns();
        file.write_all_at(&record, at)?;
        file.sync_data()?;
        let synced = now_ns();
        at = if at + 2 * request_bytes as u64 > FILE_BYTES {
            0
        } else {
            at + request_bytes as u64
        };
        if meter.is_measuring() {
            echoes.saturating_record(echoed - begun);
            syncs.saturating_record(synced - echoed);
            meter.record(begun, synced, 1);
        }
    }
    meter.stop()?;
    drop(stream);
    echo.join()
        .map_err(|_| anyhow::anyhow!("the echo thread panicked"))?;
    Ok(Floor {
        echo_p50_us: echoes.value_at_quantile(0.5) as f64 / 1e3,
        fdatasync_p50_us: syncs.value_at_quantile(0.5) as f64 / 1e3,
    })
}

/// Answers until the other side closes.
fn serve(mut peer: TcpStream, request_bytes: usize, reply_bytes: usize) {
    let mut request = vec![0; request_bytes];
    let reply = vec![1; reply_bytes];
    let _ = peer.set_nodelay(true);
    while peer.read_exact(&mut request).is_ok() && peer.write_all(&reply).is_ok() {}
}
