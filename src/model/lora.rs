//! Where an adapter's parts lie in its flat buffer, and the adapter on a device.
//!
//! Order: layer by layer, in each the seven linears in [`Module::ALL`]'s order, A `[r, in]`, then B `[out, r]`, then the
//! vector that the method trains beside them, row-major; each tensor starts on a multiple of 64 values (256 bytes, WebGPU's
//! binding alignment) and the padding is zero. What the parts do is said at [`Method`].

use super::adapter::Adapter;
use super::config::Config;
use super::dora::{Norms, Parts};
use super::halves::{Halves, Source};
use super::weights::Weights;
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

    /// A layer's values, and where in them each linear's B and vector are: what LoRA+ trains faster than A (the vector too,
    /// as PEFT does). None without pairs.
    pub fn faster(&self) -> Option<(usize, [[usize; 2]; 7])> {
        let period = self.len / self.slots.len();
        let slots = self.slots[0];
        // What follows is the next linear's A, or the next layer's.
        let next = |module: usize| slots.get(module + 1).map_or(period, |slot| slot.a);
        let spans = Module::ALL.map(|module| [slots[module as usize].b, next(module as usize)]);
        self.method.has_pairs().then_some((period, spans))
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
    norms: Option<Norms>,
}

impl Lora {
    /// Puts an adapter of this layout on a device, in `old`'s memory where there is an old one of the same layout.
    pub fn put(
        device: &Device,
        config: &Config,
        weights: &Weights,
        adapter: &Adapter,
        old: Option<Lora>,
    ) -> Result<Lora, DeviceError> {
        let layout = LoraLayout::of(config, adapter);
        let (flat, halves, norms) = match old {
            Some(old) => (old.flat, old.halves, old.norms),
            None => {
                let flat = Flat::zeros(device, "adapter", &layout)?;
                let norms = match layout.method {
                    Method::Dora => Some(Norms::new(device, config, layout.rank)?),
                    _ => None,
                };
                (flat, None, norms)
            }
        };
        device.write(&flat.buffer, 0, &adapter.weights)?;
        let mut lora = Lora { flat, alpha: adapter.alpha, halves, norms };
        lora.changed(device, weights)?;
        Ok(lora)
    }

    /// The adapter as decoding reads it, where it was prepared.
    pub fn halves(&self) -> Option<&Halves> {
        self.halves.as_ref()
    }

    /// Prepares decoding: makes the copy that it reads, where there is none of the numbers of now.
    pub fn prepare(&mut self, device: &Device, config: &Config) -> Result<(), DeviceError> {
        let LoraLayout { method, rank, .. } = self.flat.layout;
        let mut halves = match self.halves.take() {
            Some(halves) => halves,
            None => Halves::new(device, config, method, rank)?,
        };
        let source = |layer, module| Source {
            pair: method.has_pairs().then(|| self.pair(layer, module)),
            factors: self.output_factors(layer, module),
        };
        let refreshed = halves.refresh(device, source, self.scale());
        self.halves = Some(halves);
        refreshed
    }

    /// The numbers changed: the copy is prepared anew before it is read, and norms are computed now.
    pub fn changed(&mut self, device: &Device, weights: &Weights) -> Result<(), DeviceError> {
        if let Some(halves) = &mut self.halves {
            halves.outdate();
        }
        let scale = self.scale();
        let Lora { flat, norms: Some(norms), .. } = self else { return Ok(()) };
        let parts = |layer, module| Parts {
            a: flat.a(layer, module),
            b: flat.b(layer, module),
            m: flat.vector(layer, module).expect("DoRA has magnitudes everywhere"),
        };
        norms.refresh(device, weights, parts, scale)
    }

    /// A and B.
    pub fn pair(&self, layer: usize, module: Module) -> [Tensor; 2] {
        [self.flat.a(layer, module), self.flat.b(layer, module)]
    }

    /// What a linear's outputs are multiplied with, `[out]`: DoRA's m / n, or (IA)³'s l of keys and values.
    pub fn output_factors(&self, layer: usize, module: Module) -> Option<View> {
        match (&self.norms, module) {
            (Some(norms), _) => Some(norms.factors(layer, module)),
            (None, Module::Down) => None,
            (None, _) => self.flat.vector(layer, module),
        }
    }

    /// What a linear's inputs are multiplied with, `[in]`: (IA)³'s l of down.
    pub fn input_factors(&self, layer: usize, module: Module) -> Option<View> {
        let of_inputs = self.method() == Method::Ia3 && module == Module::Down;
        of_inputs.then(|| self.flat.vector(layer, module)).flatten()
    }

    /// DoRA's 1 / n, `[out]`.
    pub fn inverse_norms(&self, layer: usize, module: Module) -> Option<View> {
        self.norms.as_ref().map(|norms| norms.inverses(layer, module))
    }

    /// How it changes a linear.
    pub fn method(&self) -> Method {
        self.flat.layout.method
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
