//! A model's frozen weights on a device, streamed from their file in chunks of a few MiB.
//!
//! The host never holds more than one chunk. Norms are f32; every matrix keeps the type that the file gives it.

use super::ModelError;
use super::config::Config;
use super::module::Module;
use crate::device::{Buffer, Device, View};
use crate::format::gguf::{Gguf, TensorInfo};
use crate::format::source::Source;
use crate::kernels::Extras;
use crate::quant::dequantize;
use crate::tensor::{TileType, Weight};

/// Bytes read at once.
const CHUNK_BYTES: usize = 4 << 20;
/// Bytes on their way to a device at once: it holds a copy of them meanwhile.
const IN_FLIGHT_BYTES: u64 = 64 << 20;
/// Most bytes that loading holds beside the device's buffers: a chunk as it was read and as it was packed, the copies
/// on their way, and one chunk more, since they are counted after it was sent.
pub const LOADER_BYTES: u64 = IN_FLIGHT_BYTES + 3 * CHUNK_BYTES as u64;

/// All weights.
pub struct Weights {
    /// Token embeddings `[vocab, dim]`.
    pub embedding: Weight,
    /// The layers.
    pub layers: Vec<Layer>,
    /// The last norm's gain, f32 `[dim]`.
    pub out_norm: Buffer,
    /// The vocabulary's matrix `[vocab, dim]`; none where it is the embedding.
    pub head: Option<Weight>,
    /// Divisors of RoPE's frequencies `[head_dim / 2]`, on the host; Llama 3 has them.
    pub rope_divisors: Option<Vec<f32>>,
}

/// One layer's weights.
pub struct Layer {
    /// Gain of the norm before attention, f32 `[dim]`.
    pub attn_norm: Buffer,
    /// Gain of the norm before the feed-forward network, f32 `[dim]`.
    pub ffn_norm: Buffer,
    /// The seven linears `[out, in]`, in `Module::ALL`'s order.
    linears: [Weight; 7],
    /// What the family's attention has beside them.
    pub extras: Option<LayerExtras>,
}

/// Biases and gains that some families have, f32, in one buffer; each starts where it can be bound.
pub struct LayerExtras {
    view: View,
    /// Where the biases of q, k and v start, and their lengths.
    biases: Option<[(usize, usize); 3]>,
    /// Where the gains of the norms of q's and k's heads start, and their lengths.
    gains: Option<[(usize, usize); 2]>,
}

impl LayerExtras {
    /// As a kernel takes them; `eps` is the norms'.
    pub fn bound(&self, eps: f32) -> Extras<'_> {
        Extras {
            values: &self.view,
            biases: self.biases.map(|all| all.map(|(at, _)| at)),
            gains: self.gains.map(|both| (both.map(|(at, _)| at), eps)),
        }
    }

    fn slice(&self, (at, len): (usize, usize)) -> View {
        self.view.buffer.slice(4 * at as u64, 4 * len as u64)
    }
}

impl Weights {
    /// How many-row products hold the first matrix that is not f32 to them, or f32.
    pub fn tile(&self) -> TileType {
        let tiles = self.layers.iter().flat_map(|layer| &layer.linears).map(|w| w.tile);
        tiles.into_iter().find(|tile| *tile != TileType::F32).unwrap_or_default()
    }

    /// Lets many-row products hold all matrices so; those that the tile does not hold stay f32.
    pub fn set_tile(&mut self, tile: TileType) {
        let linears = self.layers.iter_mut().flat_map(|layer| &mut layer.linears);
        for w in linears.chain([&mut self.embedding]).chain(&mut self.head) {
            w.tile = if tile.holds(w.ty) { tile } else { TileType::F32 };
        }
    }
}

impl Layer {
    /// One of the seven.
    pub fn linear(&self, module: Module) -> &Weight {
        &self.linears[module as usize]
    }

    /// A linear's bias, if it has one.
    pub fn bias(&self, module: Module) -> Option<View> {
        let extras = self.extras.as_ref()?;
        // q, k and v come first in the order of the linears.
        extras.biases.as_ref()?.get(module as usize).map(|place| extras.slice(*place))
    }

    /// Gains of the norms of q's and k's heads, f32 `[head_dim]`, where the family has them.
    pub fn head_norms(&self) -> Option<[View; 2]> {
        let extras = self.extras.as_ref()?;
        extras.gains.map(|both| both.map(|place| extras.slice(place)))
    }
}

/// Loading, as it goes on: bytes done of bytes in all.
pub type OnProgress<'a> = dyn FnMut(&'static str, u64, u64) + 'a;

/// Reads tensors of one file onto one device.
struct Loader<'a> {
    device: &'a Device,
    gguf: &'a Gguf,
    /// Without a source nothing is read: there is room only.
    source: Option<&'a mut dyn Source>,
    on_progress: &'a mut OnProgress<'a>,
    done: u64,
    total: u64,
    chunk: Vec<u8>,
    in_flight: u64,
}

impl Weights {
    /// Streams all weights to `device`.
    pub async fn load<'a>(
        device: &'a Device,
        config: &Config,
        gguf: &'a Gguf,
        source: &'a mut dyn Source,
        on_progress: &'a mut OnProgress<'a>,
    ) -> Result<Weights, ModelError> {
        let mut loader = Loader::new(device, gguf, Some(source), on_progress);
        let weights = loader.weights(config).await?;
        device.finish().await?;
        Ok(weights)
    }

    /// Room for all weights on `device`, with nothing in it.
    pub async fn room(
        device: &Device,
        config: &Config,
        gguf: &Gguf,
    ) -> Result<Weights, ModelError> {
        Loader::new(device, gguf, None, &mut |_, _, _| {}).weights(config).await
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let linears = self.layers.iter().flat_map(|layer| &layer.linears);
        let head = self.head.iter();
        linears.chain(head).map(Weight::bytes).sum::<u64>() + self.embedding.bytes()
    }
}

impl<'a> Loader<'a> {
    fn new(
        device: &'a Device,
        gguf: &'a Gguf,
        source: Option<&'a mut dyn Source>,
        on_progress: &'a mut OnProgress<'a>,
    ) -> Loader<'a> {
        let total = gguf.tensors.iter().map(|tensor| tensor.bytes).sum();
        Loader {
            device,
            gguf,
            source,
            on_progress,
            done: 0,
            total,
            chunk: Vec::new(),
            in_flight: 0,
        }
    }

    async fn weights(&mut self, config: &Config) -> Result<Weights, ModelError> {
        let embedding = self.matrix("token_embd.weight", config.vocab, config.dim).await?;
        let mut layers = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            layers.push(self.layer(config, layer).await?);
        }
        let out_norm = self.vector("output_norm.weight", config.dim).await?;
        let head = match self.gguf.opt_tensor("output.weight") {
            Some(_) => Some(self.matrix("output.weight", config.vocab, config.dim).await?),
            None => None,
        };
        let rope_divisors = match self.gguf.opt_tensor("rope_freqs.weight") {
            Some(_) => Some(self.divisors(config).await?),
            None => None,
        };
        Ok(Weights { embedding, layers, out_norm, head, rope_divisors })
    }

    async fn layer(&mut self, config: &Config, layer: usize) -> Result<Layer, ModelError> {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let mut linears = Vec::with_capacity(7);
        for module in Module::ALL {
            let (rows, cols) = module.shape(config);
            linears.push(self.matrix(&module.weight_name(layer), rows, cols).await?);
        }
        let linears =
            linears.try_into().map_err(|_| ModelError::Shape { rule: "seven linears" })?;
        Ok(Layer {
            attn_norm: self.vector(&name("attn_norm"), config.dim).await?,
            ffn_norm: self.vector(&name("ffn_norm"), config.dim).await?,
            linears,
            extras: self.extras(config, layer).await?,
        })
    }

    async fn extras(
        &mut self,
        config: &Config,
        layer: usize,
    ) -> Result<Option<LayerExtras>, ModelError> {
        let arch = config.arch;
        if !arch.has_biases() && !arch.norms_heads() {
            return Ok(None);
        }
        let mut all = Vec::new();
        let (mut biases, mut gains) = (None, None);
        if arch.has_biases() {
            let places = biases.insert([(0, 0); 3]);
            let modules = [("q", Module::Q), ("k", Module::K), ("v", Module::V)];
            for (place, (part, module)) in places.iter_mut().zip(modules) {
                let name = format!("blk.{layer}.attn_{part}.bias");
                *place = self.extra(&name, module.shape(config).0, &mut all).await?;
            }
        }
        if arch.norms_heads() {
            let places = gains.insert([(0, 0); 2]);
            for (place, part) in places.iter_mut().zip(["q", "k"]) {
                let name = format!("blk.{layer}.attn_{part}_norm.weight");
                *place = self.extra(&name, config.head_dim, &mut all).await?;
            }
        }
        let view = self.device.upload("biases and norms of attention", &all)?.view();
        Ok(Some(LayerExtras { view, biases, gains }))
    }

    /// Appends a small tensor's numbers to `all`; returns where they start and their number.
    async fn extra(
        &mut self,
        name: &str,
        len: usize,
        all: &mut Vec<f32>,
    ) -> Result<(usize, usize), ModelError> {
        let at = all.len().next_multiple_of(64);
        all.resize(at, 0.0);
        all.extend(self.values(name, len).await?);
        Ok((at, len))
    }

    async fn divisors(&mut self, config: &Config) -> Result<Vec<f32>, ModelError> {
        let divisors = self.values("rope_freqs.weight", config.head_dim / 2).await?;
        if divisors.iter().all(|divisor| divisor.is_finite() && *divisor > 0.0) {
            return Ok(divisors);
        }
        Err(ModelError::Shape { rule: "rope_freqs.weight must be positive numbers" })
    }

    async fn vector(&mut self, name: &str, len: usize) -> Result<Buffer, ModelError> {
        let values = self.values(name, len).await?;
        Ok(self.device.upload(name, &values)?)
    }

    /// A small tensor's numbers on the host.
    async fn values(&mut self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
        let info = self.info(name, &[len])?;
        let mut values = vec![1.0f32; len];
        let Some(source) = &mut self.source else { return Ok(values) };
        let mut raw = vec![0; info.bytes as usize];
        source.read_at(info.offset, &mut raw).await?;
        dequantize(info.ty, &raw, &mut values);
        self.advance(info.bytes).await?;
        Ok(values)
    }

    async fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Weight, ModelError> {
        let info = self.info(name, &[cols, rows])?;
        let weight = Weight::alloc(self.device, name, info.ty, rows, cols)?;
        let row_bytes = info.ty.row_bytes(cols);
        let step = (CHUNK_BYTES / row_bytes).max(2) & !1;
        let mut chunk = std::mem::take(&mut self.chunk);
        for row in (0..rows).step_by(step) {
            let Some(source) = &mut self.source else { break };
            chunk.resize(step.min(rows - row) * row_bytes, 0);
            source.read_at(info.offset + (row * row_bytes) as u64, &mut chunk).await?;
            weight.write_rows(self.device, row, &chunk)?;
            self.advance(chunk.len() as u64).await?;
        }
        self.chunk = chunk;
        Ok(weight)
    }

    fn info(&self, name: &str, shape: &[usize]) -> Result<TensorInfo, ModelError> {
        let info = self.gguf.tensor(name)?;
        let same = info.shape.len() == shape.len()
            && info.shape.iter().zip(shape).all(|(a, b)| *a == *b as u64);
        if !same {
            return Err(ModelError::TensorShape {
                name: name.to_string(),
                found: info.shape.clone(),
                wanted: shape.iter().map(|n| *n as u64).collect(),
            });
        }
        Ok(info.clone())
    }

    /// Reports progress, and lets the device catch up so that staging memory does not pile up.
    async fn advance(&mut self, bytes: u64) -> Result<(), ModelError> {
        self.done += bytes;
        self.in_flight += bytes;
        (self.on_progress)("upload", self.done, self.total);
        if self.in_flight >= IN_FLIGHT_BYTES {
            self.in_flight = 0;
            self.device.finish().await?;
        }
        Ok(())
    }
}
