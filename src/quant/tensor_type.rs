//! The tensor types and their block geometry, as GGUF numbers and names them.
//!
//! It knows sizes only; the arithmetic of a block lives in the file named after it. Invariant: a
//! row's columns are a whole number of blocks, so a row of bytes can be cut out without looking at
//! its neighbours.

/// How a tensor's elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TensorType {
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// The upper 16 bits of a 32-bit IEEE float.
    BF16,
    /// 4 bits an element and a half-float scale for 32 elements: `(q - 8) * d`.
    Q4_0,
    /// 4 bits an element, a half-float scale and minimum for 32 elements: `q * d + m`.
    Q4_1,
    /// 5 bits an element and a half-float scale for 32 elements: `(q - 16) * d`.
    Q5_0,
    /// 5 bits an element, a half-float scale and minimum for 32 elements: `q * d + m`.
    Q5_1,
    /// 8 bits an element and a half-float scale for 32 elements: `q * d`.
    Q8_0,
    /// 4 bits an element in blocks of 256; 6-bit scales and minima for 32: `q * d s - dmin m`.
    Q4K,
    /// 5 bits an element in blocks of 256; 6-bit scales and minima for 32: `q * d s - dmin m`.
    Q5K,
    /// 6 bits an element in blocks of 256, 8-bit scales for 16: `(q - 32) * d s`.
    Q6K,
}

/// What GGUF numbers and names a type, and its block in the file.
struct Facts {
    gguf_id: u32,
    name: &'static str,
    block_len: usize,
    block_bytes: usize,
}

impl TensorType {
    /// Every type that this crate reads.
    pub const ALL: [TensorType; 11] = [
        TensorType::F32,
        TensorType::F16,
        TensorType::BF16,
        TensorType::Q4_0,
        TensorType::Q4_1,
        TensorType::Q5_0,
        TensorType::Q5_1,
        TensorType::Q8_0,
        TensorType::Q4K,
        TensorType::Q5K,
        TensorType::Q6K,
    ];

    const fn facts(self) -> Facts {
        let (gguf_id, name, block_len, block_bytes) = match self {
            TensorType::F32 => (0, "F32", 1, 4),
            TensorType::F16 => (1, "F16", 1, 2),
            TensorType::BF16 => (30, "BF16", 1, 2),
            TensorType::Q4_0 => (2, "Q4_0", 32, 18),
            TensorType::Q4_1 => (3, "Q4_1", 32, 20),
            TensorType::Q5_0 => (6, "Q5_0", 32, 22),
            TensorType::Q5_1 => (7, "Q5_1", 32, 24),
            TensorType::Q8_0 => (8, "Q8_0", 32, 34),
            TensorType::Q4K => (12, "Q4_K", 256, 144),
            TensorType::Q5K => (13, "Q5_K", 256, 176),
            TensorType::Q6K => (14, "Q6_K", 256, 210),
        };
        Facts { gguf_id, name, block_len, block_bytes }
    }

    /// The type that GGUF numbers `id`; `None` where this crate does not read it.
    pub fn from_gguf_id(id: u32) -> Option<TensorType> {
        TensorType::ALL.into_iter().find(|ty| ty.gguf_id() == id)
    }

    /// The type that people call `name`, in upper or lower case; `None` for another name.
    pub fn from_name(name: &str) -> Option<TensorType> {
        TensorType::ALL.into_iter().find(|ty| ty.name().eq_ignore_ascii_case(name))
    }

    /// GGUF's number of the type.
    pub fn gguf_id(self) -> u32 {
        self.facts().gguf_id
    }

    /// The type's name, as people write it.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Elements of a block in the file (1 for the unquantized types).
    pub fn block_len(self) -> usize {
        self.facts().block_len
    }

    /// Bytes of a block in the file.
    pub fn block_bytes(self) -> usize {
        self.facts().block_bytes
    }

    /// Whether the type rounds to a few bits with shared scales.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Bytes of a row of `cols` elements in the file. Panics where `cols` is no whole number of
    /// blocks.
    pub fn row_bytes(self, cols: usize) -> usize {
        assert_eq!(cols % self.block_len(), 0, "{} rows are whole blocks", self.name());
        cols / self.block_len() * self.block_bytes()
    }
}
