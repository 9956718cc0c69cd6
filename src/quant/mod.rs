//! Block layouts of the tensor types, and (de)quantizing them on the host.
//!
//! A type's bytes come in two layouts: the file's (`q4_0`, `q4_k` and so on: ggml's blocks, one
//! after another) and the device's (`pack`: the same bits, quants first and scales after them).
//! This layer knows no files and no devices.

pub mod convert;
pub mod device_order;
pub mod dots;
pub mod few;
pub mod float16;
pub mod k_fit;
pub mod k_scales;
pub mod pack;
pub mod q4_0;
pub mod q4_1;
pub mod q4_k;
pub mod q5_0;
pub mod q5_1;
pub mod q5_k;
pub mod q6_k;
pub mod q8_0;
pub mod rows;
pub mod stretch;
pub mod tensor_type;
pub mod words;

pub use convert::{dequantize, quantize};
pub use tensor_type::TensorType;
