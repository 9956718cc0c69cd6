//! Where an adapter's parts lie in its flat buffer, and the adapter on a device.
//!
//! Order: layer by layer, in each the seven linears in [`Module::ALL`]'s order, A `[r, in]`, then B `[out, r]`, then the
//! vector that the method trains beside them, row-major; each tensor starts on a multiple of 64 values (256 bytes, WebGPU's
//! binding alignment) and the padding is zero. What the parts do is said at [`Method`].

use super::adapter::Adapter;
use super::config::Config;
use super::halves::Halves;
use crate::device::{Buffer, Device, DeviceError, View};
use crate::tensor::Tensor;

pub use super::method::Method;
pub use super::module::Module;

/// Where the parts beside one linear lie, in values from the start of the flat buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// First value of A.
    pub a: usize,
    /// First value of B.
    pub b: usize,
    /// First value of the vector.
    pub vector: usize,
    /// Values of the vector, 0 where there is none.
    pub vector_len: usize,
    /// Columns of A.
    pub inputs: usize,
    /// Rows of B.
    pub outputs: usize,
}

/// The flat order for one model, method and rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraLayout {
    /// What the parts do.
    pub method: Method,
    /// The rank r, 0 without pairs.
    pub rank: usize,
    /// Values, padding included.
    pub len: usize,
    slots: Vec<[Slot; 7]>,
}

impl LoraLayout {
    /// The order for `config` of `method` at `rank`, which a method without pairs has no use for.
    pub fn new(config: &Config, method: Method, rank: usize) -> LoraLayout {
        let rank = if method.has_pairs() { rank } else { 0 };
        let mut len = 0;
        let mut take = |values: usize| {
            let at = len;
            len += values.next_multiple_of(64);
            at
        };
        let slots = (0..config.layers)
            .map(|_| {
                Module::ALL.map(|module| {
                    let (outputs, inputs) = module.shape(config);
                    let vector_len = method.vector_len(config, module);
                    let (a, b) = (take(rank * inputs), take(outputs * rank));
                    Slot { a, b, vector: take(vector_len), vector_len, inputs, outputs }
                })
            })
            .collect();
        LoraLayout { method, rank, len, slots }
    }

    /// The order of an adapter.
    pub fn of(config: &Config, adapter: &Adapter) -> LoraLayout {
        LoraLayout::new(config, adapter.method, adapter.rank)
    }

    /// Where the parts beside a linear lie.
    pub fn slot(&self, layer: usize, module: Module) -> Slot {
        self.slots[layer][module as usize]
    }

    /// Trainable parameters, padding excluded.
    pub fn parameters(&self) -> usize {
        let slots = self.slots.iter().flatten();
        slots.map(|slot| self.rank * (slot.inputs + slot.outputs) + slot.vector_len).sum()
    }

    /// A fresh adapter: A uniform in ±1/sqrt(in) (Kaiming-uniform with a = sqrt 5, PEFT's default), B zero, l one. DoRA's
    /// magnitudes start at the norms of W, which no layout knows: they are left zero, and `Model::fresh_adapter` sets them.
    pub fn fresh(&self, alpha: f32, seed: u64) -> Adapter {
        let mut weights = vec![0.0; self.len];
        let mut rng = super::random::Random::new(seed);
        for slot in self.slots.iter().flatten() {
            let bound = 1.0 / (slot.inputs as f32).sqrt();
            for value in &mut weights[slot.a..slot.a + self.rank * slot.inputs] {
                *value = (2.0 * rng.uniform() - 1.0) * bound;
            }
            if self.method == Method::Ia3 {
                weights[slot.vector..][..slot.vector_len].fill(1.0);
            }
        }
        Adapter { method: self.method, rank: self.rank, alpha, weights }
    }
}

/// A flat vector in the adapter's order on a device: the adapter itself, its gradient, its moments.
pub struct Flat {
    /// The order.
    pub layout: LoraLayout,
    /// `layout.len` f32.
    pub buffer: Buffer,
}

impl Flat {
    /// Zeros.
    pub fn zeros(device: &Device, label: &str, layout: &LoraLayout) -> Result<Flat, DeviceError> {
        let buffer = device.alloc(label, 4 * layout.len as u64)?;
        Ok(Flat { layout: layout.clone(), buffer })
    }

    /// A's view `[r, in]`.
    pub fn a(&self, layer: usize, module: Module) -> Tensor {
        let slot = self.layout.slot(layer, module);
        self.tensor(slot.a, self.layout.rank, slot.inputs)
    }

    /// B's view `[out, r]`.
    pub fn b(&self, layer: usize, module: Module) -> Tensor {
        let slot = self.layout.slot(layer, module);
        self.tensor(slot.b, slot.outputs, self.layout.rank)
    }

    /// The vector's view, where there is one.
    pub fn vector(&self, layer: usize, module: Module) -> Option<View> {
        let slot = self.layout.slot(layer, module);
        let (at, bytes) = (4 * slot.vector as u64, 4 * slot.vector_len as u64);
        (slot.vector_len > 0).then(|| self.buffer.slice(at, bytes))
    }

    fn tensor(&self, at: usize, rows: usize, cols: usize) -> Tensor {
        let view = self.buffer.slice(4 * at as u64, 4 * (rows * cols) as u64);
        Tensor::over(view, rows, cols)
    }
}

/// An adapter in place on a device.
pub struct Lora {
    /// Its parameters.
    pub flat: Flat,
    /// Decides the factor on B A x.
    pub alpha: f32,
    halves: Option<Halves>,
}

impl Lora {
    /// Puts an adapter of this layout on a device, in `old`'s memory where there is an old one of the same layout.
    pub fn put(
        device: &Device,
        layout: LoraLayout,
        adapter: &Adapter,
        old: Option<Lora>,
    ) -> Result<Lora, DeviceError> {
        let (flat, halves) = match old {
            Some(old) => (old.flat, old.halves),
            None => (Flat::zeros(device, "adapter", &layout)?, None),
        };
        device.write(&flat.buffer, 0, &adapter.weights)?;
        let mut lora = Lora { flat, alpha: adapter.alpha, halves };
        lora.changed();
        Ok(lora)
    }

    /// The adapter as decoding reads it, where it was prepared.
    pub fn halves(&self) -> Option<&Halves> {
        self.halves.as_ref()
    }

    /// Prepares decoding: makes the copy that it reads, where there is none of the numbers of now.
    pub fn prepare(&mut self, device: &Device, config: &Config) -> Result<(), DeviceError> {
        let scale = self.scale();
        let halves = match &mut self.halves {
            Some(halves) => halves,
            none => none.insert(Halves::new(device, config, self.flat.layout.rank)?),
        };
        let flat = &self.flat;
        let pair = |layer, module| [flat.a(layer, module), flat.b(layer, module)];
        halves.refresh(device, pair, scale)
    }

    /// The numbers changed: the copy is prepared anew before it is read.
    pub fn changed(&mut self) {
        if let Some(halves) = &mut self.halves {
            halves.outdate();
        }
    }

    /// The factor on B A x.
    pub fn scale(&self) -> f32 {
        let LoraLayout { method, rank, .. } = self.flat.layout;
        method.scale(self.alpha, rank)
    }

    /// Reads the adapter back.
    pub async fn download(&self, device: &Device) -> Result<Adapter, DeviceError> {
        let LoraLayout { method, rank, len, .. } = self.flat.layout;
        let weights = device.read(&self.flat.buffer.slice(0, 4 * len as u64)).await?;
        Ok(Adapter { method, rank, alpha: self.alpha, weights })
    }
}
