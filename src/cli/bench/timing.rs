//! The time of a recording on a device, beside the bytes and operations that the recorder counts.
//!
//! It repeats a recording until a sample is long enough for the clock, and takes the best of several samples: what a
//! kernel can do, not what else the machine did. Invariant: the first run, which compiles the shader, is not counted.

use crate::device::{Command, Device, DeviceError, Recording};
use std::collections::HashSet;
use std::time::Instant;

/// Samples of which the best counts.
const SAMPLES: usize = 7;
/// Most dispatches of a sample: some submits' worth.
const DISPATCHES_MAX: usize = 4096;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Seconds of one call.
    pub seconds: f64,
    /// Bytes of the call's bindings: all is read or written, since operands are as large as their use.
    pub bytes: u64,
    /// Floating-point operations, as the kernel's wrapper counts them.
    pub flops: u64,
}

impl Timing {
    /// Bytes a second.
    pub fn bytes_per_s(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }

    /// Operations a second.
    pub fn flops_per_s(&self) -> f64 {
        self.flops as f64 / self.seconds
    }
}

/// The time of a call that `record` records on copy 0, 1, … of its operands, `copies` of them in turn, in samples of about
/// `sample_ms` milliseconds.
pub async fn time(
    device: &Device,
    copies: usize,
    sample_ms: f64,
    record: &dyn Fn(&mut Recording, usize) -> Result<(), DeviceError>,
) -> Result<Timing, DeviceError> {
    let mut one = Recording::new();
    record(&mut one, 0)?;
    let (bytes, flops) = counts(&one);
    let dispatches = one.dispatches().max(1) as usize;
    run(device, one).await?;
    let repeated = |rounds: usize| {
        let mut rec = Recording::new();
        (0..rounds * copies).try_for_each(|i| record(&mut rec, i % copies)).map(|()| rec)
    };
    let once = run(device, repeated(1)?).await?;
    let most = (DISPATCHES_MAX / (copies * dispatches)).max(1);
    let rounds = ((sample_ms / 1e3 / once).ceil() as usize).clamp(1, most);
    let mut best = f64::INFINITY;
    for _ in 0..SAMPLES {
        best = best.min(run(device, repeated(rounds)?).await?);
        // A call that takes seconds (a software adapter) need not be seen many times.
        if best * 1e3 > 10.0 * sample_ms {
            break;
        }
    }
    Ok(Timing { seconds: best / (rounds * copies) as f64, bytes, flops })
}

async fn run(device: &Device, recording: Recording) -> Result<f64, DeviceError> {
    let start = Instant::now();
    device.submit(recording)?;
    device.finish().await?;
    Ok(start.elapsed().as_secs_f64())
}

/// Bytes and operations of a recording's dispatches. A view that is bound twice, in the place of what a dispatch does without,
/// counts once.
fn counts(recording: &Recording) -> (u64, u64) {
    let (mut bytes, mut flops) = (0, 0);
    for command in recording.commands() {
        let Command::Dispatch(dispatch) = command else { continue };
        let views: HashSet<_> =
            dispatch.views.iter().map(|v| (v.buffer.id(), v.offset, v.bytes)).collect();
        bytes += views.iter().map(|(.., bytes)| bytes).sum::<u64>();
        flops += dispatch.flops;
    }
    (bytes, flops)
}
