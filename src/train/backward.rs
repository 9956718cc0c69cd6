//! The backward pass of one layer, recorded: the forward of `model::forward` read from its end.
//!
//! The base is frozen, so a linear gives only dX = dY · W, through the quantized weights (no second copy of W),
//! and its LoRA pair's gradients. What the forward pass did not keep of the layer is recomputed before (`plan`).

use super::ewc::Ewc;
use super::plan::LayerMemory;
use crate::device::{Device, DeviceError, Recording, View};
use crate::kernels;
use crate::model::config::Config;
use crate::model::forward::{Keys, Net, Rows};
use crate::model::lora::{Flat, Lora, Method, Module};
use crate::model::workspace::RANK_MAX;
use crate::tensor::Tensor;

/// Gradients of one layer's activations; all `[n, …]`, named as what they are gradients of.
pub struct Gradients {
    /// Of the residual stream, `[n, dim]`: of the layer's output at first, of its input at the end.
    pub h: Tensor,
    /// Of a norm's output, `[n, dim]`.
    pub norm: Tensor,
    /// Of the queries, `[n, heads * head_dim]`.
    pub q: Tensor,
    /// Of the keys, `[n, kv_heads * head_dim]`.
    pub k: Tensor,
    /// Of queries and keys before their heads' norms, where the family norms them.
    pub unnormed: Option<[Tensor; 2]>,
    /// Of the values, `[n, kv_heads * head_dim]`.
    pub v: Tensor,
    /// Of attention's output, `[n, heads * head_dim]`.
    pub attn: Tensor,
    /// Of SwiGLU's gate, `[n, ff]`.
    pub gate: Tensor,
    /// Of SwiGLU's other factor, `[n, ff]`.
    pub up: Tensor,
    /// Of SwiGLU's output, `[n, ff]`.
    pub act: Tensor,
    /// Of LoRA's U, `[n, r]`.
    pub u: Tensor,
    /// What factors of outputs multiplied, and then its gradient, `[n, widest]`; none where the method has no such factors.
    pub product: Option<Tensor>,
}

impl Gradients {
    /// Memory for `rows` rows.
    pub fn new(
        device: &Device,
        config: &Config,
        method: Method,
        rows: usize,
    ) -> Result<Gradients, DeviceError> {
        let q = config.heads * config.head_dim;
        let kv = config.kv_heads * config.head_dim;
        let zeros = |label, cols| Tensor::zeros(device, label, rows, cols);
        Ok(Gradients {
            h: zeros("dh", config.dim)?,
            norm: zeros("dnorm", config.dim)?,
            q: zeros("dq", q)?,
            k: zeros("dk", kv)?,
            unnormed: match config.arch.norms_heads() {
                true => Some([zeros("dq before its norm", q)?, zeros("dk before its norm", kv)?]),
                false => None,
            },
            v: zeros("dv", kv)?,
            attn: zeros("dattn", q)?,
            gate: zeros("dgate", config.ff)?,
            up: zeros("dup", config.ff)?,
            act: zeros("dact", config.ff)?,
            u: zeros("du", RANK_MAX)?,
            product: match widest_product(config, method) {
                0 => None,
                cols => Some(zeros("product", cols)?),
            },
        })
    }

    /// The same memory for fewer rows.
    pub fn top(&self, n: usize) -> Gradients {
        Gradients {
            h: self.h.top(n),
            norm: self.norm.top(n),
            q: self.q.top(n),
            k: self.k.top(n),
            unnormed: self.unnormed.as_ref().map(|both| both.each_ref().map(|t| t.top(n))),
            v: self.v.top(n),
            attn: self.attn.top(n),
            gate: self.gate.top(n),
            up: self.up.top(n),
            act: self.act.top(n),
            u: self.u.top(n),
            product: self.product.as_ref().map(|product| product.top(n)),
        }
    }
}

/// Columns of the widest product whose outputs are multiplied.
fn widest_product(config: &Config, method: Method) -> usize {
    let outputs = |module: Module| match (method, module) {
        (Method::Dora, _) | (Method::Ia3, Module::K | Module::V) => module.shape(config).0,
        _ => 0,
    };
    Module::ALL.map(outputs).into_iter().max().unwrap_or(0)
}

/// One layer's backward pass.
pub struct Backward<'a> {
    /// The model.
    pub net: Net<'a>,
    /// The adapter whose gradients are wanted.
    pub lora: &'a Lora,
    /// Where its gradients add up.
    pub grads: &'a Flat,
    /// Where the squares of what passes the linears add up, if they are wanted.
    pub squares: Option<&'a Ewc>,
    /// The pass's rows.
    pub rows: Rows<'a>,
    /// u32 `[n, 2]`: query rows that see each key row.
    pub key_spans: &'a View,
    /// The layer's activations.
    pub memory: &'a LayerMemory,
    /// Gradients of them.
    pub d: &'a Gradients,
}

impl Backward<'_> {
    /// Runs layer `layer` again from its input `h_in`, but for its last product.
    pub fn recompute(
        &self,
        rec: &mut Recording,
        layer: usize,
        h_in: &Tensor,
    ) -> Result<(), DeviceError> {
        let LayerMemory { a, mid, keys: (k, v) } = self.memory;
        let keys = Keys { k, v };
        self.net.attend(rec, layer, self.rows, keys, h_in, a)?;
        self.net.linear(rec, layer, Module::O, &a.attn, &a.out, &a.u)?;
        kernels::add(rec, h_in, &a.out, mid)?;
        self.net.feed(rec, layer, mid, a)
    }

    /// Takes `d.h` from the output of layer `layer` to its input `h_in`; the layer's activations are there.
    pub fn layer(
        &self,
        rec: &mut Recording,
        layer: usize,
        h_in: &Tensor,
    ) -> Result<(), DeviceError> {
        let LayerMemory { a, mid, .. } = self.memory;
        self.feed(rec, layer, mid)?;
        // forward: h_mid = h_in + W_o attn; d.h is the gradient of both terms.
        self.linear(rec, layer, Module::O, (&a.attn, &self.d.h), &self.d.attn, false)?;
        self.attend(rec, layer, h_in)
    }

    /// forward: h_out = h_mid + W_down swiglu(W_gate n, W_up n) with n = norm(h_mid); d.h: h_out to h_mid.
    fn feed(&self, rec: &mut Recording, layer: usize, h_mid: &Tensor) -> Result<(), DeviceError> {
        let Backward { net, d, memory: LayerMemory { a, .. }, .. } = self;
        let gain = net.weights.layers[layer].ffn_norm.view();
        // Every layer's norm and act share memory, so these two are made again.
        kernels::rms_norm(rec, h_mid, &gain, net.config.rms_eps, &a.norm)?;
        kernels::swiglu(rec, &a.gate, &a.up, &a.act)?;
        self.linear(rec, layer, Module::Down, (&a.act, &d.h), &d.act, false)?;
        self.inputs(rec, layer, Module::Down, &a.act, &d.act)?;
        kernels::swiglu_grad(rec, &a.gate, &a.up, &d.act, &d.gate, &d.up)?;
        self.linear(rec, layer, Module::Gate, (&a.norm, &d.gate), &d.norm, false)?;
        self.linear(rec, layer, Module::Up, (&a.norm, &d.up), &d.norm, true)?;
        kernels::rms_norm_dx(rec, h_mid, &gain, &d.norm, net.config.rms_eps, &d.h)
    }

    /// forward: attn = attention(rope(W_q n), rope(W_k n), W_v n) with n = norm(h_in); d.h: h_mid to h_in.
    fn attend(&self, rec: &mut Recording, layer: usize, h_in: &Tensor) -> Result<(), DeviceError> {
        let Backward { net, d, memory: LayerMemory { a, keys: (k, v), .. }, rows, .. } = self;
        let shape = net.attention_shape();
        let spans = rows.spans;
        kernels::attention_dq(rec, &a.q, k, v, &a.attn, &d.attn, spans, &a.stats, &d.q, shape)?;
        let spans = self.key_spans;
        kernels::attention_dkv(rec, &a.q, k, v, &d.attn, &a.stats, spans, &d.k, &d.v, shape)?;
        net.rope_back(rec, *rows, &d.q, &d.k)?;
        let [d_q, d_k] = self.head_norms(rec, layer)?;
        // The feed-forward half overwrote the norm: it is made again rather than kept.
        let gain = net.weights.layers[layer].attn_norm.view();
        kernels::rms_norm(rec, h_in, &gain, net.config.rms_eps, &a.norm)?;
        self.linear(rec, layer, Module::Q, (&a.norm, d_q), &d.norm, false)?;
        self.linear(rec, layer, Module::K, (&a.norm, d_k), &d.norm, true)?;
        self.linear(rec, layer, Module::V, (&a.norm, &d.v), &d.norm, true)?;
        kernels::rms_norm_dx(rec, h_in, &gain, &d.norm, net.config.rms_eps, &d.h)
    }

    /// forward: q = norm(W_q n) a head, k likewise, where the family norms them: the gradients of what the linears gave.
    fn head_norms(&self, rec: &mut Recording, layer: usize) -> Result<[&Tensor; 2], DeviceError> {
        let Backward { net, d, memory: LayerMemory { a, .. }, .. } = *self;
        let gains = net.weights.layers[layer].head_norms();
        let (Some(x), Some(dx), Some(gains)) = (&a.unnormed, &d.unnormed, gains) else {
            return Ok([&d.q, &d.k]);
        };
        for (((x, dx), gain), dy) in x.iter().zip(dx).zip(gains).zip([&d.q, &d.k]) {
            let [x, dx_heads, dy] = [x, dx, dy].map(|tensor| net.heads(tensor));
            // The kernel adds to what is there.
            rec.clear(&dx.view);
            kernels::rms_norm_dx(rec, &x, &gain, &dy, net.config.rms_eps, &dx_heads)?;
        }
        Ok(dx.each_ref())
    }

    /// forward: x' = l ∘ x. dl += Σ_t dx' ∘ x; dx = l ∘ dx', in place.
    fn inputs(
        &self,
        rec: &mut Recording,
        layer: usize,
        module: Module,
        x: &Tensor,
        dx: &Tensor,
    ) -> Result<(), DeviceError> {
        let Some(factors) = self.lora.input_factors(layer, module) else { return Ok(()) };
        let grad = self.grads.vector(layer, module).expect("factors are trained");
        kernels::column_dots(rec, dx, x, &grad)?;
        kernels::scale_columns(rec, &factors, dx)
    }

    /// forward: y = c ∘ z (+ b), z being `Net::product` and c either (IA)³'s l or DoRA's m / n, whose norm n gets no gradient.
    /// dl += Σ_t dy ∘ z; dm += Σ_t dy ∘ z / n; returns dz = c ∘ dy. z is made again: of most linears nothing keeps it.
    fn outputs(
        &self,
        rec: &mut Recording,
        layer: usize,
        module: Module,
        (x, dy): (&Tensor, &Tensor),
    ) -> Result<Tensor, DeviceError> {
        let factors = self.lora.output_factors(layer, module);
        let (Some(factors), Some(z)) = (factors, &self.d.product) else { return Ok(dy.clone()) };
        let z = z.reshape(dy.rows, dy.cols);
        self.net.product(rec, layer, module, x, &z, &self.memory.a.u)?;
        if let Some(inverses) = self.lora.inverse_norms(layer, module) {
            kernels::scale_columns(rec, &inverses, &z)?;
        }
        let grad = self.grads.vector(layer, module).expect("factors are trained");
        kernels::column_dots(rec, dy, &z, &grad)?;
        let rows =
            |tensor: &Tensor| View { bytes: 4 * (dy.rows * dy.cols) as u64, ..tensor.view.clone() };
        rec.copy(&rows(dy), &rows(&z));
        kernels::scale_columns(rec, &factors, &z)?;
        Ok(z)
    }

    /// forward: z = W x + b + s (x Aᵀ) Bᵀ, W and b frozen, and y of it as [`Backward::outputs`] says. dX = dZ W + dU A with
    /// dU = s dZ B; dA += dUᵀ X; dB += s dZᵀ U.
    fn linear(
        &self,
        rec: &mut Recording,
        layer: usize,
        module: Module,
        (x, dy): (&Tensor, &Tensor),
        dx: &Tensor,
        accumulate: bool,
    ) -> Result<(), DeviceError> {
        let weight = self.net.weights.layers[layer].linear(module);
        let dz = &self.outputs(rec, layer, module, (x, dy))?;
        kernels::matmul_dx(rec, weight, dz, dx, accumulate)?;
        if !self.lora.method().has_pairs() {
            return Ok(());
        }
        let [a, b] = self.lora.pair(layer, module);
        let (u, du) = (self.memory.a.u.reshape(x.rows, a.rows), self.d.u.reshape(x.rows, a.rows));
        let scale = self.lora.scale();
        kernels::lora_a(rec, x, &a, &u)?;
        kernels::lora_du(rec, dz, &b, scale, &du)?;
        kernels::lora_grad(rec, &du, x, 1.0, &self.grads.a(layer, module), false)?;
        kernels::lora_grad(rec, &u, dz, scale, &self.grads.b(layer, module), true)?;
        if let Some(squares) = self.squares {
            squares.add_rows(rec, (layer, module), x, dz)?;
        }
        kernels::lora_dx(rec, &du, &a, dx)
    }
}
