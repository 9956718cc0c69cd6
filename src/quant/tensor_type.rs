//! The tensor types and their block geometry, as GGUF numbers and names them.
//!
//! It knows sizes only; the arithmetic of a block lives in the file named after it. Invariant: a
//! row's columns are a whole number of blocks, so a row of bytes can be cut out without looking at
//! its neighbours.

/// How a tensor's elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TensorType {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// 4 bits an element and a half-float scale for 32 elements: `(q - 8) * d`.
    Q4_0,
    /// 4 bits an element, a half-float scale and minimum for 32 elements: `q * d + m`.
    Q4_1,
    /// 8 bits an element and a half-float scale for 32 elements: `q * d`.
    Q8_0,
}

impl TensorType {
    /// Every type that this crate reads.
    pub const ALL: [TensorType; 5] =
        [TensorType::F32, TensorType::F16, TensorType::Q4_0, TensorType::Q4_1, TensorType::Q8_0];

    /// The type that GGUF numbers `id`; `None` where this crate does not read it.
    pub fn from_gguf_id(id: u32) -> Option<TensorType> {
        TensorType::ALL.into_iter().find(|ty| ty.gguf_id() == id)
    }

    /// GGUF's number of the type.
    pub fn gguf_id(self) -> u32 {
        match self {
            TensorType::F32 => 0,
            TensorType::F16 => 1,
            TensorType::Q4_0 => 2,
            TensorType::Q4_1 => 3,
            TensorType::Q8_0 => 8,
        }
    }

    /// The type's name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            TensorType::F32 => "F32",
            TensorType::F16 => "F16",
            TensorType::Q4_0 => "Q4_0",
            TensorType::Q4_1 => "Q4_1",
            TensorType::Q8_0 => "Q8_0",
        }
    }

    /// Elements of a block in the file (1 for the unquantized types).
    pub fn block_len(self) -> usize {
        match self {
            TensorType::F32 | TensorType::F16 => 1,
            TensorType::Q4_0 | TensorType::Q4_1 | TensorType::Q8_0 => 32,
        }
    }

    /// Bytes of a block in the file.
    pub fn block_bytes(self) -> usize {
        match self {
            TensorType::F32 => 4,
            TensorType::F16 => 2,
            TensorType::Q4_0 => 18,
            TensorType::Q4_1 => 20,
            TensorType::Q8_0 => 34,
        }
    }

    /// Bytes of a row of `cols` elements in the file. Panics where `cols` is no whole number of
    /// blocks.
    pub fn row_bytes(self, cols: usize) -> usize {
        assert_eq!(cols % self.block_len(), 0, "{} rows are whole blocks", self.name());
        cols / self.block_len() * self.block_bytes()
    }
}
