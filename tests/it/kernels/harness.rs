//! One checker for all kernels: runs a case on the CPU device and on the GPU, and holds both against an f64 reference
//! and against each other.
//!
//! Buffers end in a guard band inside the bound range: NaN bits that must neither be read into a result nor written.
//! Pure outputs are poisoned with NaN, inputs must come back bit for bit. Knows no kernel.

use crate::common::Random;
use apprentice::device::{Command, Device, DeviceChoice, DeviceError, KernelDef, Recording, Shape};
use apprentice::quant::{TensorType, dequantize, quantize};
use apprentice::tensor::{Tensor, TileType, Weight};

/// Words after each buffer's logical end, a multiple of 4.
const GUARD: usize = 36;
/// NaNs that no arithmetic makes, unlike each other: a sum of two guarded inputs carries their NaN's bits, and must not
/// pass for the output's own guard.
const INPUT_GUARD: u32 = 0x7fc0_dead;
const OUTPUT_GUARD: u32 = 0x7fc0_0bad;
const POISON_BITS: u32 = 0x7fc0_beef;

/// Says of a buffer's words what is wrong with them.
type Check = Box<dyn Fn(&[u32]) -> Result<(), String>>;

/// What a buffer must hold afterwards.
pub enum Expect {
    /// What it held before, bit for bit.
    Unchanged,
    /// These numbers, within the case's tolerance.
    Floats(Vec<f64>),
    /// These words.
    Bits(Vec<u32>),
    /// The same on both devices, within the tolerance: a reference for small sizes is elsewhere.
    Twin,
    /// What the function says.
    Checked(Check),
}

/// A buffer of a case.
pub struct Slot {
    name: &'static str,
    rows: usize,
    cols: usize,
    bits: Vec<u32>,
    expect: Expect,
}

impl Slot {
    pub fn input(name: &'static str, rows: usize, cols: usize, data: &[f32]) -> Slot {
        Slot::inout(name, rows, cols, data, Expect::Unchanged)
    }

    pub fn words(name: &'static str, data: &[u32]) -> Slot {
        let (bits, expect) = (data.to_vec(), Expect::Unchanged);
        Slot { name, rows: 1, cols: data.len(), bits, expect }
    }

    fn guard(&self) -> u32 {
        if matches!(self.expect, Expect::Unchanged) { INPUT_GUARD } else { OUTPUT_GUARD }
    }

    /// An output of which every element must be written.
    pub fn output(name: &'static str, rows: usize, cols: usize, expect: Expect) -> Slot {
        Slot { name, rows, cols, bits: vec![POISON_BITS; rows * cols], expect }
    }

    /// An output that is read too, or only partly written.
    pub fn inout(
        name: &'static str,
        rows: usize,
        cols: usize,
        data: &[f32],
        expect: Expect,
    ) -> Slot {
        assert_eq!(data.len(), rows * cols, "{name}");
        let bits = data.iter().map(|x| x.to_bits()).collect();
        Slot { name, rows, cols, bits, expect }
    }
}

/// A weight matrix of a case, and its values.
pub struct TestWeight {
    pub ty: TensorType,
    pub rows: usize,
    pub cols: usize,
    raw: Vec<u8>,
    pub values: Vec<f32>,
    /// How products with many rows hold it.
    pub tile: TileType,
}

impl TestWeight {
    pub fn random(ty: TensorType, rows: usize, cols: usize, random: &mut Random) -> TestWeight {
        TestWeight::of(ty, rows, cols, &floats(random, rows * cols))
    }

    pub fn of(ty: TensorType, rows: usize, cols: usize, numbers: &[f32]) -> TestWeight {
        let mut raw = Vec::new();
        quantize(ty, numbers, &mut raw);
        let mut values = vec![0.0; rows * cols];
        dequantize(ty, &raw, &mut values);
        TestWeight { ty, rows, cols, raw, values, tile: TileType::F32 }
    }

    /// The matrix on a device.
    pub fn upload(&self, device: &Device) -> Weight {
        let upload = Weight::upload(device, "w", self.ty, &self.raw, self.rows, self.cols);
        Weight { tile: self.tile, ..upload.expect("a weight") }
    }
}

/// A case's buffers on one device.
pub struct Bound {
    pub t: Vec<Tensor>,
    pub w: Vec<Weight>,
}

type Record = Box<dyn Fn(&mut Recording, &Bound) -> Result<(), DeviceError>>;

pub struct Case {
    pub name: String,
    pub slots: Vec<Slot>,
    pub weights: Vec<TestWeight>,
    pub record: Record,
    /// |a - b| ≤ atol + rtol |b| for each number.
    pub atol: f64,
    pub rtol: f64,
}

impl Case {
    /// A case with the tolerance of sums of some hundred f32 products of numbers up to 1.
    pub fn new(
        name: String,
        slots: Vec<Slot>,
        record: impl Fn(&mut Recording, &Bound) -> Result<(), DeviceError> + 'static,
    ) -> Case {
        let record: Record = Box::new(record);
        Case { name, slots, weights: Vec::new(), record, atol: 2e-5, rtol: 2e-5 }
    }

    pub fn weight(mut self, weight: TestWeight) -> Case {
        self.weights.push(weight);
        self
    }

    pub fn tolerance(self, atol: f64, rtol: f64) -> Case {
        Case { atol, rtol, ..self }
    }
}

pub struct Devices {
    pub cpu: Device,
    pub gpu: Device,
}

impl Devices {
    /// The CPU device and any GPU; a machine without a Vulkan driver fails here.
    pub fn open() -> Devices {
        let gpu =
            pollster::block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU, if a software one");
        Devices { cpu: Device::cpu(), gpu }
    }

    /// The same with bindings of at most `bytes`, so that weights come in parts.
    pub fn clamped(bytes: u64) -> Devices {
        let gpu = pollster::block_on(Device::open_gpu_clamped(bytes)).expect("a GPU");
        Devices { cpu: Device::cpu(), gpu }
    }
}

/// Seeded numbers in -1..1, zeros and denormals among them.
pub fn floats(random: &mut Random, n: usize) -> Vec<f32> {
    let special = |i: usize| i % 29 == 7 || i % 31 == 11;
    let value = |i: usize, x: f32| match (special(i), i % 2) {
        (false, _) => x,
        (true, 0) => 0.0,
        (true, _) => 1.0e-40,
    };
    (0..n).map(|i| value(i, random.float())).collect()
}

/// The f32 numbers as f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Why a case fails. A planted fault must be `Wrong`: a shader that does not compile proves nothing.
#[derive(Debug)]
pub enum Fault {
    Wrong(String),
    Device(DeviceError),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Wrong(what) => f.write_str(what),
            Fault::Device(error) => error.fmt(f),
        }
    }
}

impl From<DeviceError> for Fault {
    fn from(error: DeviceError) -> Fault {
        Fault::Device(error)
    }
}

/// Where two results part: NaN and infinity never pass, nor does a small bias of all numbers.
pub fn compare(ours: &[f64], theirs: &[f64], atol: f64, rtol: f64) -> Result<(), String> {
    assert_eq!(ours.len(), theirs.len());
    let (mut squares, mut errors) = (0.0, 0.0);
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let close = (a - b).abs() <= atol + rtol * b.abs();
        if !close || !a.is_finite() {
            return Err(format!("element {i} of {} is {a:e}, not {b:e}", ours.len()));
        }
        squares += b * b;
        errors += (a - b) * (a - b);
    }
    let allowed = 0.25 * (atol * atol * ours.len() as f64 + rtol * rtol * squares);
    // A handful of numbers says nothing of a bias.
    if ours.len() >= 64 && errors > allowed {
        return Err(format!("summed squared error {errors:e}, at most {allowed:e}"));
    }
    Ok(())
}

/// Checks a case on both devices.
pub fn check_kernel(devices: &Devices, case: &Case) -> Result<(), Fault> {
    let cpu = run(&devices.cpu, case, &|_| None)?;
    check_results(case, &cpu, "cpu")?;
    let gpu = run(&devices.gpu, case, &|_| None)?;
    check_results(case, &gpu, "gpu")?;
    for (slot, (cpu, gpu)) in case.slots.iter().zip(cpu.iter().zip(&gpu)) {
        if matches!(slot.expect, Expect::Floats(_) | Expect::Twin) {
            let n = slot.bits.len();
            let (cpu, gpu) = (decode(&cpu[..n]), decode(&gpu[..n]));
            compare(&gpu, &cpu, 2.0 * case.atol, 2.0 * case.rtol)
                .map_err(|e| Fault::Wrong(format!("gpu against cpu, {}: {e}", slot.name)))?;
        }
    }
    Ok(())
}

/// Checks a case on one device alone.
pub fn check_on(device: &Device, case: &Case) -> Result<(), Fault> {
    check_results(case, &run(device, case, &|_| None)?, device.kind())
}

/// Checks that a second run gives the same bits, on each device.
pub fn check_rerun(devices: &Devices, case: &Case) -> Result<(), Fault> {
    for device in [&devices.cpu, &devices.gpu] {
        if run(device, case, &|_| None)? != run(device, case, &|_| None)? {
            return Err(Fault::Wrong(format!("{}: a rerun gives other bits", device.kind())));
        }
    }
    Ok(())
}

/// Checks a case on the GPU alone, with other shaders in the place of those that `plant` answers for.
pub fn check_planted(
    devices: &Devices,
    case: &Case,
    plant: &dyn Fn(&'static KernelDef) -> Option<&'static KernelDef>,
) -> Result<(), Fault> {
    let gpu = run(&devices.gpu, case, plant)?;
    check_results(case, &gpu, "gpu")
}

/// Checks all cases, and says of each that fails why.
pub fn check_all(devices: &Devices, cases: Vec<Case>) {
    assert!(!cases.is_empty(), "no cases");
    let check = |case: &Case| match check_kernel(devices, case) {
        Ok(()) => None,
        Err(fault) => Some(format!("{}: {fault}", case.name)),
    };
    let wrong: Vec<String> = cases.iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn run(
    device: &Device,
    case: &Case,
    plant: &dyn Fn(&'static KernelDef) -> Option<&'static KernelDef>,
) -> Result<Vec<Vec<u32>>, Fault> {
    let mut bound = Bound { t: Vec::new(), w: Vec::new() };
    for slot in &case.slots {
        let mut bits = slot.bits.clone();
        bits.resize(bits.len() + GUARD, slot.guard());
        let view = device.upload(slot.name, &bits)?.slice(0, 4 * bits.len() as u64);
        bound.t.push(Tensor::over(view, slot.rows, slot.cols));
    }
    for w in &case.weights {
        bound.w.push(w.upload(device));
    }
    let mut recording = Recording::new();
    (case.record)(&mut recording, &bound)?;
    device.submit(replace(&recording, plant)?)?;
    let read = |tensor: &Tensor| Ok(pollster::block_on(device.read(&tensor.view))?);
    bound.t.iter().map(read).collect()
}

/// The recording with planted kernels.
fn replace(
    recording: &Recording,
    plant: &dyn Fn(&'static KernelDef) -> Option<&'static KernelDef>,
) -> Result<Recording, DeviceError> {
    let mut replaced = Recording::new();
    for command in recording.commands() {
        let Command::Dispatch(dispatch) = command else { panic!("kernels only dispatch") };
        let kernel = plant(dispatch.kernel).unwrap_or(dispatch.kernel);
        let shape = Shape {
            links: &dispatch.key.links,
            overrides: &dispatch.key.overrides,
            groups: dispatch.groups,
            flops: dispatch.flops,
        };
        let (bytes, views) = (dispatch.params.as_slice(), dispatch.views.as_slice());
        match bytes.len() {
            16 => replaced.dispatch(kernel, &params::<16>(bytes), views, &shape)?,
            32 => replaced.dispatch(kernel, &params::<32>(bytes), views, &shape)?,
            48 => replaced.dispatch(kernel, &params::<48>(bytes), views, &shape)?,
            64 => replaced.dispatch(kernel, &params::<64>(bytes), views, &shape)?,
            80 => replaced.dispatch(kernel, &params::<80>(bytes), views, &shape)?,
            96 => replaced.dispatch(kernel, &params::<96>(bytes), views, &shape)?,
            112 => replaced.dispatch(kernel, &params::<112>(bytes), views, &shape)?,
            other => panic!("params of {other} bytes"),
        }
    }
    Ok(replaced)
}

fn params<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as long as it is")
}

fn decode(bits: &[u32]) -> Vec<f64> {
    bits.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect()
}

fn check_results(case: &Case, results: &[Vec<u32>], device: &str) -> Result<(), Fault> {
    for (slot, bits) in case.slots.iter().zip(results) {
        let (bits, guard) = bits.split_at(slot.bits.len());
        let wrong = |what: String| Fault::Wrong(format!("{device}, {}: {what}", slot.name));
        if guard.iter().any(|bits| *bits != slot.guard()) {
            return Err(wrong("written past the end".into()));
        }
        let verdict = match &slot.expect {
            Expect::Unchanged if bits != slot.bits => Err("an input was changed".into()),
            Expect::Unchanged => Ok(()),
            Expect::Floats(theirs) => compare(&decode(bits), theirs, case.atol, case.rtol),
            Expect::Bits(theirs) if bits != theirs => Err(format!("{bits:?}, not {theirs:?}")),
            Expect::Bits(_) => Ok(()),
            Expect::Twin => match bits.iter().position(|x| !f32::from_bits(*x).is_finite()) {
                Some(i) => Err(format!("element {i} is not finite")),
                None => Ok(()),
            },
            Expect::Checked(check) => check(bits),
        };
        verdict.map_err(wrong)?;
    }
    Ok(())
}
