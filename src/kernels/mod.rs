//! The operations of a model, one file each: the shader's table line, the wrapper with its shape checks, the CPU twin.
//!
//! A kernel knows its own formula and nothing of the layers that it is used in. Activations are f32, `T` counts rows
//! (tokens). Each kernel is one name thrice, with the same bindings in the same order: params, inputs, outputs.

mod adamw;
mod add;
mod add_bias;
mod argmax;
mod attention;
mod attention_dkv;
mod attention_dq;
mod cross_entropy;
mod dot;
mod draw;
mod embed;
mod factors;
mod gemv;
mod heads;
mod kl_divergence;
mod lanes;
mod launch;
mod linear;
mod lora_a;
mod lora_b;
mod lora_du;
mod lora_dx;
mod lora_grad;
mod lora_pack;
mod lora_swiglu;
mod matmul;
mod matmul_dx;
mod matrices;
mod matvec;
mod micro;
mod norm_linears;
mod norm_swiglu;
mod panel;
mod parallel;
mod penalize;
mod product;
mod rms_norm;
mod rms_norm_dx;
mod rope;
mod rope_store;
mod row_tasks;
mod scatter_rows;
mod skinny;
mod softmax;
mod store_qkv;
mod sum;
mod swiglu;
mod swiglu_grad;
mod top_k;

pub use adamw::{ADAMW, AdamW, adamw};
pub use add::{ADD, add};
pub use add_bias::{ADD_BIAS, add_bias};
pub use argmax::{ARGMAX, argmax};
pub use attention::{ATTENTION, AttentionShape, attention};
pub use attention_dkv::{ATTENTION_DKV, attention_dkv};
pub use attention_dq::{ATTENTION_DQ, attention_dq};
pub use cross_entropy::{CROSS_ENTROPY, cross_entropy};
pub use dot::{DOT, DOT_PARTIALS, dot};
pub use draw::{DRAW, Nucleus, draw, drawn};
pub use embed::{EMBED, embed};
pub use factors::Factors;
pub use gemv::Gemv;
pub use kl_divergence::{KL_DIVERGENCE, kl_divergence};
pub use linear::linear;
pub use lora_a::{LORA_A, lora_a};
pub use lora_b::{LORA_B, lora_b};
pub use lora_du::{LORA_DU, lora_du};
pub use lora_dx::{LORA_DX, lora_dx};
pub use lora_grad::{LORA_GRAD, lora_grad};
pub use lora_pack::{LORA_PACK, lora_pack, packed_rank};
pub use lora_swiglu::{LORA_SWIGLU, lora_swiglu, swiglu_shares};
pub use matmul::{MATMUL, MATMUL_MATRICES, matmul};
pub use matmul_dx::{MATMUL_DX, MATMUL_DX_MATRICES, matmul_dx};
pub use matvec::{MATVEC, matvec};
pub use norm_linears::{NORM_LINEARS, are_alike, norm_linears};
pub use norm_swiglu::{NORM_SWIGLU, norm_swiglu};
pub use penalize::{PENALIZE, penalize};
pub use rms_norm::{Norm, RMS_NORM, rms_norm};
pub use rms_norm_dx::{RMS_NORM_DX, rms_norm_dx};
pub use rope::{ROPE, RopeShape, rope};
pub use rope_store::{ROPE_STORE, RopeHeads, rope_store};
pub use scatter_rows::{SCATTER_ROWS, scatter_rows};
pub use store_qkv::{Extras, STORE_QKV, store_qkv};
pub use sum::{SUM, sum};
pub use swiglu::{SWIGLU, swiglu};
pub use swiglu_grad::{SWIGLU_GRAD, swiglu_grad};
pub use top_k::{TOP_K, TOP_K_MAX, top_k, top_k_words};

use crate::device::KernelDef;

/// A kernel's params: the fields and their offsets in bytes.
pub type Layout = &'static [(&'static str, usize)];

macro_rules! table {
    ($($file:ident $kernel:ident,)*) => {
        /// Every kernel.
        pub static ALL: &[&KernelDef] = &[$(&$kernel),*];

        /// The layouts of their params, in the same order.
        pub static LAYOUTS: &[Layout] = &[$($file::LAYOUT),*];
    };
}

table! {
    adamw ADAMW,
    add ADD,
    add_bias ADD_BIAS,
    argmax ARGMAX,
    attention ATTENTION,
    attention_dkv ATTENTION_DKV,
    attention_dq ATTENTION_DQ,
    cross_entropy CROSS_ENTROPY,
    dot DOT,
    draw DRAW,
    embed EMBED,
    kl_divergence KL_DIVERGENCE,
    lora_a LORA_A,
    lora_b LORA_B,
    lora_du LORA_DU,
    lora_dx LORA_DX,
    lora_grad LORA_GRAD,
    lora_pack LORA_PACK,
    lora_swiglu LORA_SWIGLU,
    matmul MATMUL,
    matmul MATMUL_MATRICES,
    matmul_dx MATMUL_DX,
    matmul_dx MATMUL_DX_MATRICES,
    matvec MATVEC,
    norm_linears NORM_LINEARS,
    norm_swiglu NORM_SWIGLU,
    penalize PENALIZE,
    rms_norm RMS_NORM,
    rms_norm_dx RMS_NORM_DX,
    rope ROPE,
    rope_store ROPE_STORE,
    scatter_rows SCATTER_ROWS,
    store_qkv STORE_QKV,
    sum SUM,
    swiglu SWIGLU,
    swiglu_grad SWIGLU_GRAD,
    top_k TOP_K,
}
