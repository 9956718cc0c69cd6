//! A layer for one row, in six dispatches, or seven beside an adapter: what decoding does for each token.
//!
//! It computes what [`Net::layer`] does for many rows. Each dispatch does all that can be done where its numbers are: the
//! rows of the adapter's A are rows of the product beside them, or are summed where attention's and SwiGLU's outputs are
//! made; B comes with what reads the product next.

use super::config::Config;
use super::forward::{Keys, Net, Rows};
use super::halves::LayerHalves;
use super::module::Module::{self, Down, Gate, K, O, Q, Up, V};
use super::weights::Layer;
use super::workspace::RANK_MAX;
use crate::device::{Device, DeviceError, Recording, View};
use crate::kernels::{self, Norm, RopeHeads, packed_rank, swiglu_shares};
use crate::tensor::Tensor;

/// A row's memory on its way through a layer, with room for the adapter's U behind what it was made of.
pub struct OneRow {
    /// Products, one after another.
    products: View,
    /// Queries, `[1, heads * head_dim]`.
    q: Tensor,
    /// Attention's output, the same shape.
    attn: Tensor,
    /// Attention's statistics.
    stats: Tensor,
    /// SwiGLU's output, `[1, ff]`.
    act: Tensor,
}

impl OneRow {
    /// Allocates it.
    pub fn new(device: &Device, config: &Config) -> Result<OneRow, DeviceError> {
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let rank = packed_rank(RANK_MAX);
        let alloc = |label, words: usize| Ok(device.alloc(label, 4 * words as u64)?.view());
        let products = (q + 2 * kv + 3 * rank).max(2 * (config.ff + rank));
        let act = config.ff + swiglu_shares(config.ff) * rank;
        Ok(OneRow {
            products: alloc("a row's products", products)?,
            q: Tensor::zeros(device, "a row's q", 1, q)?,
            attn: Tensor::over(alloc("a row's attn", q + config.heads * rank)?, 1, q),
            stats: Tensor::zeros(device, "a row's stats", 1, 2 * config.heads)?,
            act: Tensor::over(alloc("a row's act", act)?, 1, config.ff),
        })
    }
}

impl Net<'_> {
    /// A layer for one row: `h` is changed in place.
    pub fn decode_layer(
        &self,
        rec: &mut Recording,
        layer: usize,
        rows: Rows<'_>,
        keys: Keys<'_>,
        h: &Tensor,
        one: &OneRow,
    ) -> Result<(), DeviceError> {
        let weights: &Layer = &self.weights.layers[layer];
        let halves = self.lora.and_then(|lora| lora.halves()).map(|halves| halves.layer(layer));
        let lora = halves.as_ref();
        self.decode_attention(rec, weights, rows, keys, h, one, lora)?;
        let shares = self.config.heads;
        let b = lora.and_then(|lora| lora.b(&[O])).map(|b| (b, shares));
        let o = weights.linear(O);
        kernels::matvec(rec, o, &one.attn, h, true, self.way(o), b)?;
        self.decode_feed(rec, weights, h, one, lora)?;
        self.scale_inputs(rec, layer, Down, &one.act)?;
        let shares = swiglu_shares(self.config.ff);
        let b = lora.and_then(|lora| lora.b(&[Down])).map(|b| (b, shares));
        let down = weights.linear(Down);
        kernels::matvec(rec, down, &one.act, h, true, self.way(down), b)
    }

    /// `h` to `one.attn`.
    #[expect(clippy::too_many_arguments, reason = "as many as a layer has parts")]
    fn decode_attention(
        &self,
        rec: &mut Recording,
        weights: &Layer,
        rows: Rows<'_>,
        keys: Keys<'_>,
        h: &Tensor,
        one: &OneRow,
        lora: Option<&LayerHalves>,
    ) -> Result<(), DeviceError> {
        let Config { heads, kv_heads, head_dim, rms_eps, .. } = *self.config;
        let matrices = [Q, K, V].map(|module| weights.linear(module));
        let a = lora.and_then(|lora| lora.a(&[Q, K, V]));
        let norm = Norm { gain: &weights.attn_norm.view(), eps: rms_eps };
        let way = self.way(matrices[0]);
        kernels::norm_linears(rec, &matrices, h, norm, way, a, &one.products)?;
        let interleaved = self.config.arch.interleaves_rope();
        let shape = RopeHeads { heads, kv_heads, head_dim, interleaved };
        let b = lora.and_then(|lora| lora.b(&[Q, K, V]));
        let extras = weights.extras.as_ref().map(|extras| extras.bound(rms_eps));
        let cache = (keys.k, keys.v);
        let (table, places) = (self.rope, rows.places);
        kernels::store_qkv(rec, table, places, &one.products, extras, b, &one.q, cache, shape)?;
        let a = lora.and_then(|lora| lora.a(&[O]));
        let (shape, spans) = (self.attention_shape(), rows.spans);
        kernels::attention(rec, &one.q, keys.k, keys.v, spans, a, &one.attn, &one.stats, shape)
    }

    /// `h` to `one.act`.
    fn decode_feed(
        &self,
        rec: &mut Recording,
        weights: &Layer,
        h: &Tensor,
        one: &OneRow,
        lora: Option<&LayerHalves>,
    ) -> Result<(), DeviceError> {
        let matrices = [Gate, Up].map(|module| weights.linear(module));
        let norm = Norm { gain: &weights.ffn_norm.view(), eps: self.config.rms_eps };
        let way = self.way(matrices[0]);
        let Some(feed) = lora.and_then(|lora| lora.feed()) else {
            return kernels::norm_swiglu(rec, matrices, h, norm, way, &one.act);
        };
        let a = lora.and_then(|lora| lora.a(&[Gate, Up]));
        kernels::norm_linears(rec, &matrices, h, norm, way, a, &one.products)?;
        kernels::lora_swiglu(rec, &one.products, self.config.ff, feed, &one.act.view)
    }

    /// Can [`Net::decode_layer`] run a layer? The matrices that it reads side by side are alike, and those that an adapter
    /// is beside are whole.
    pub fn decodes(&self, layer: usize) -> bool {
        let weights: &Layer = &self.weights.layers[layer];
        let alike = |modules: &[Module]| {
            kernels::are_alike(&modules.iter().map(|m| weights.linear(*m)).collect::<Vec<_>>())
        };
        let whole = |module: Module| weights.linear(module).parts.len() == 1;
        alike(&[Q, K, V]) && alike(&[Gate, Up]) && (self.lora.is_none() || whole(O) && whole(Down))
    }
}
