//! What the device can do at most: bytes a second of a copy, operations a second of multiplications and additions in
//! registers, measured by two kernels that compute nothing else.
//!
//! They are kernels as all others (a shader and a CPU twin), kept here since no model runs them. Invariant: both write a
//! result that is checked before a speed is told, so that a compiler that dropped the work would be noticed.

use super::timing::{Timing, time};
use crate::device::{Access, CpuCall, Device, DeviceError, KernelDef, Recording, Shape};
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

/// Lanes of a workgroup.
const WG: usize = 256;
/// Bytes of a vector of four.
const VECTOR: usize = 16;
/// The factor and the term of the chains; their fixed point is 2.
const CHAIN: [f32; 2] = [0.5, 1.0];
/// Chains of a lane on the GPU, each of four values.
const CHAINS: usize = 8;
/// Steps of a chain.
const STEPS: u32 = 512;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct CopyParams {
    n: u32,
    pad: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct FmaParams {
    steps: u32,
    a: f32,
    b: f32,
    pad: u32,
}

static COPY: KernelDef = KernelDef {
    name: "bench_copy",
    wgsl: include_str!("copy.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<CopyParams>(),
    overrides: &["WG"],
    links: &[],
    cpu: copy_on_cpu,
};

static FMA: KernelDef = KernelDef {
    name: "bench_fma",
    wgsl: include_str!("fma.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<FmaParams>(),
    overrides: &["WG"],
    links: &[],
    cpu: fma_on_cpu,
};

/// A device's measured limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the buffer that was copied.
    pub copy_bytes: u64,
    /// Bytes read and written by the copy, a second.
    pub bytes_per_s: f64,
    /// Operations a second of the chains; a multiplication with an addition is two.
    pub flops_per_s: f64,
}

/// Measures both on buffers of `copy_bytes` (as far as one binding goes) and `fma_groups` workgroups.
pub async fn limits(
    device: &Device,
    copy_bytes: u64,
    fma_groups: usize,
    sample_ms: f64,
) -> Result<Limits, DeviceError> {
    let copy_bytes = copy_bytes.min(device.binding_bytes_max()) / VECTOR as u64 * VECTOR as u64;
    let copied = copy(device, copy_bytes, sample_ms).await?;
    let computed = fma(device, fma_groups, sample_ms).await?;
    Ok(Limits {
        copy_bytes,
        bytes_per_s: copied.bytes_per_s(),
        flops_per_s: computed.flops_per_s(),
    })
}

async fn copy(device: &Device, bytes: u64, sample_ms: f64) -> Result<Timing, DeviceError> {
    let n = bytes as usize / VECTOR;
    let x = device.upload("copied", &(0..4 * n as u32).collect::<Vec<u32>>())?;
    let y = device.alloc("copy", bytes)?;
    let params = CopyParams { n: n as u32, pad: [0; 3] };
    let groups = [n.div_ceil(4 * WG) as u32, 1, 1];
    let shape = Shape { overrides: &[("WG", WG as u32)], groups, ..Shape::default() };
    let record = |rec: &mut Recording, _| -> Result<(), DeviceError> {
        rec.dispatch(&COPY, &params, &[x.view(), y.view()], &shape)
    };
    let timing = time(device, 1, sample_ms, &record).await?;
    let last: Vec<u32> = device.read(&y.slice(bytes - VECTOR as u64, VECTOR as u64)).await?;
    check(&COPY, last[3] == 4 * n as u32 - 1, "the copy is not what was copied")?;
    Ok(timing)
}

async fn fma(device: &Device, groups: usize, sample_ms: f64) -> Result<Timing, DeviceError> {
    let n = 4 * groups * WG;
    let x = device.upload("chains", &vec![1.0_f32; n])?;
    let y = device.alloc("chains' ends", 4 * n as u64)?;
    let [a, b] = CHAIN;
    let params = FmaParams { steps: STEPS, a, b, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", WG as u32)],
        groups: [groups as u32, 1, 1],
        flops: 2 * (n * CHAINS) as u64 * u64::from(STEPS),
        ..Shape::default()
    };
    let record = |rec: &mut Recording, _| -> Result<(), DeviceError> {
        rec.dispatch(&FMA, &params, &[x.view(), y.view()], &shape)
    };
    let timing = time(device, 1, sample_ms, &record).await?;
    let ends: Vec<f32> = device.read(&y.view()).await?;
    let fixed_point = b / (1.0 - a) * CHAINS as f32;
    let ended = ends.iter().all(|end| (end - fixed_point).abs() < 1e-4);
    check(&FMA, ended, "the chains did not end at their fixed point")?;
    Ok(timing)
}

fn check(kernel: &KernelDef, holds: bool, otherwise: &str) -> Result<(), DeviceError> {
    if holds {
        return Ok(());
    }
    Err(DeviceError::Dispatch { kernel: kernel.name, reason: otherwise.into() })
}

fn copy_on_cpu(call: &CpuCall<'_>) {
    const CHUNK: usize = 1 << 18;
    let n = 4 * call.params::<CopyParams>().n as usize;
    let (x, y) = (&call.input::<f32>(0)[..n], &mut call.output::<f32>(1)[..n]);
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| y.copy_from_slice(x));
}

fn fma_on_cpu(call: &CpuCall<'_>) {
    /// Values of a task: some hundred microseconds.
    const CHUNK: usize = 1 << 10;
    let p: FmaParams = call.params();
    let (x, y) = (call.input::<f32>(0), call.output::<f32>(1));
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
        for (y, x) in y.as_chunks_mut().0.iter_mut().zip(x.as_chunks().0) {
            chains(y, x, p);
        }
    });
}

/// Values that have their chains at once: vectors enough to hide the instruction's latency, few enough for the registers.
const WIDE: usize = 16;

/// The ends of a value's chains, summed, for [`WIDE`] values.
fn chains(y: &mut [f32; WIDE], x: &[f32; WIDE], p: FmaParams) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the features, as the line above asked.
            return unsafe { chains_avx512(y, x, p) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: as above.
            return unsafe { chains_avx2(y, x, p) };
        }
    }
    // What is fused where the target always has the instruction is two instructions elsewhere.
    let fused = cfg!(target_arch = "aarch64");
    groups_of::<4>(y, x, |v| if fused { v.mul_add(p.a, p.b) } else { v * p.a + p.b }, p.steps);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn chains_avx512(y: &mut [f32; WIDE], x: &[f32; WIDE], p: FmaParams) {
    groups_of::<8>(y, x, |v| v.mul_add(p.a, p.b), p.steps);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn chains_avx2(y: &mut [f32; WIDE], x: &[f32; WIDE], p: FmaParams) {
    groups_of::<4>(y, x, |v| v.mul_add(p.a, p.b), p.steps);
}

/// The chains, `C` at a time in registers (a divisor of [`CHAINS`]).
#[inline(always)]
fn groups_of<const C: usize>(
    y: &mut [f32; WIDE],
    x: &[f32; WIDE],
    step: impl Fn(f32) -> f32,
    steps: u32,
) {
    *y = [0.0; WIDE];
    for first in (0..CHAINS).step_by(C) {
        let mut values = [*x; C];
        for (i, chain) in values.iter_mut().enumerate() {
            chain.iter_mut().for_each(|v| *v += (first + i) as f32);
        }
        for _ in 0..steps {
            for chain in &mut values {
                for v in chain {
                    *v = step(*v);
                }
            }
        }
        for chain in values {
            y.iter_mut().zip(chain).for_each(|(y, v)| *y += v);
        }
    }
}
