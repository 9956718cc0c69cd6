//! Block layouts of the tensor types, and (de)quantizing them on the host.
//!
//! A type's bytes come in two layouts: the file's (`q4_0`, `q4_1`, `q8_0`: ggml's blocks, one after
//! another) and the device's (`pack`: the same bits, quants first and scales after them). This
//! layer knows no files and no devices.

pub mod convert;
pub mod float16;
pub mod pack;
pub mod q4_0;
pub mod q4_1;
pub mod q8_0;
pub mod rows;
pub mod tensor_type;

pub use convert::{dequantize, quantize};
pub use tensor_type::TensorType;
