//! The operations of a model, one file each: the shader's table line, the wrapper with its shape checks, the CPU twin.
//!
//! A kernel knows its own formula and nothing of the layers that it is used in. Activations are f32, `T` counts rows
//! (tokens). Each kernel is one name thrice, with the same bindings in the same order: params, inputs, outputs.

mod adamw;
mod add;
mod add_bias;
mod anchor_pull;
mod argmax;
mod attention;
mod attention_dkv;
mod attention_dq;
mod by_column;
mod column_dots;
mod cross_entropy;
mod dora_norms;
mod dot;
mod draw;
mod embed;
mod factors;
mod function_pull;
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
mod registers;
mod rms_norm;
mod rms_norm_dx;
mod rope;
mod rope_store;
mod row_squares;
mod row_tasks;
mod scale_columns;
mod scatter_rows;
mod skinny;
mod softmax;
mod square_sums;
mod store_qkv;
mod sum;
mod surgery;
mod swiglu;
mod swiglu_grad;
mod top_k;
mod weighted_gram;

pub use adamw::{ADAMW, AdamW, Faster, adamw};
pub use add::{ADD, add};
pub use add_bias::{ADD_BIAS, add_bias};
pub use anchor_pull::{ANCHOR_PULL, anchor_pull};
pub use argmax::{ARGMAX, argmax};
pub use attention::{ATTENTION, AttentionShape, attention};
pub use attention_dkv::{ATTENTION_DKV, attention_dkv};
pub use attention_dq::{ATTENTION_DQ, attention_dq};
pub use column_dots::{COLUMN_DOTS, column_dots};
pub use cross_entropy::{CROSS_ENTROPY, cross_entropy};
pub use dora_norms::{DORA_NORMS, NormTerms, dora_norms};
pub use dot::{DOT, DOT_PARTIALS, dot};
pub use draw::{DRAW, Nucleus, draw, drawn};
pub use embed::{EMBED, embed};
pub use factors::{Factors, OutputFactors};
pub use function_pull::{FUNCTION_PULL, Half, function_pull};
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
pub use matmul::{MATMUL, MATMUL_MATRICES, MATMUL_REGISTERS, matmul};
pub use matmul_dx::{MATMUL_DX, MATMUL_DX_MATRICES, MATMUL_DX_REGISTERS, matmul_dx};
pub use matvec::{MATVEC, matvec};
pub use norm_linears::{NORM_LINEARS, are_alike, norm_linears};
pub use norm_swiglu::{NORM_SWIGLU, norm_swiglu};
pub use penalize::{PENALIZE, penalize};
pub use rms_norm::{Norm, RMS_NORM, rms_norm};
pub use rms_norm_dx::{RMS_NORM_DX, rms_norm_dx};
pub use rope::{ROPE, RopeShape, rope};
pub use rope_store::{ROPE_STORE, RopeHeads, rope_store};
pub use row_squares::{ROW_SQUARES, row_squares};
pub use scale_columns::{SCALE_COLUMNS, scale_columns};
pub use scatter_rows::{SCATTER_ROWS, scatter_rows};
pub use square_sums::{SQUARE_SUMS, square_sums};
pub use store_qkv::{Extras, STORE_QKV, store_qkv};
pub use sum::{SUM, sum};
pub use surgery::{SURGERY, surgery};
pub use swiglu::{SWIGLU, swiglu};
pub use swiglu_grad::{SWIGLU_GRAD, swiglu_grad};
pub use top_k::{TOP_K, TOP_K_MAX, top_k, top_k_words};
pub use weighted_gram::{WEIGHTED_GRAM, weighted_gram};

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
    anchor_pull ANCHOR_PULL,
    argmax ARGMAX,
    attention ATTENTION,
    attention_dkv ATTENTION_DKV,
    attention_dq ATTENTION_DQ,
    column_dots COLUMN_DOTS,
    cross_entropy CROSS_ENTROPY,
    dora_norms DORA_NORMS,
    dot DOT,
    draw DRAW,
    embed EMBED,
    function_pull FUNCTION_PULL,
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
    matmul MATMUL_REGISTERS,
    matmul_dx MATMUL_DX,
    matmul_dx MATMUL_DX_MATRICES,
    matmul_dx MATMUL_DX_REGISTERS,
    matvec MATVEC,
    norm_linears NORM_LINEARS,
    norm_swiglu NORM_SWIGLU,
    penalize PENALIZE,
    rms_norm RMS_NORM,
    rms_norm_dx RMS_NORM_DX,
    rope ROPE,
    rope_store ROPE_STORE,
    row_squares ROW_SQUARES,
    scale_columns SCALE_COLUMNS,
    scatter_rows SCATTER_ROWS,
    square_sums SQUARE_SUMS,
    store_qkv STORE_QKV,
    sum SUM,
    surgery SURGERY,
    swiglu SWIGLU,
    swiglu_grad SWIGLU_GRAD,
    top_k TOP_K,
    weighted_gram WEIGHTED_GRAM,
}
