//! GGUF: the container of a model's metadata and tensors.
//!
//! The header is fetched in growing pieces and checked as a whole; tensor data is only located,
//! never read, since a model may be larger than the memory. It knows nothing of what the tensors
//! are for. Invariant: every `TensorInfo` lies inside the file, and bad input costs an error, never
//! a panic nor memory beyond the file's own size.

use super::error::FormatError;
use super::gguf_cursor::{Cursor, Stop};
use super::gguf_value::{Metadata, read_value};
use super::source::Source;
use crate::quant::TensorType;

/// Most tensors and most metadata keys; real files have under 2000 and under 100.
const ENTRIES_MAX: [u64; 2] = [16_384, 4096];
/// Most bytes of a header; a vocabulary of 256 thousand tokens takes about 16 MiB.
const HEADER_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a header that are fetched at first.
const FIRST_FETCH_BYTES: u64 = 1 << 20;
/// Most dimensions of a tensor in ggml.
const DIMS_MAX: u32 = 4;

/// What a GGUF file says about itself and where its tensors lie.
#[derive(Debug, Clone)]
pub struct Gguf {
    /// The file's name, for messages.
    pub name: String,
    /// The metadata.
    pub metadata: Metadata,
    /// The tensors in the file's order.
    pub tensors: Vec<TensorInfo>,
    /// The tensors' indices in the order of their names.
    by_name: Vec<u32>,
}

/// Where a tensor lies and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// How its elements are stored.
    pub ty: TensorType,
    /// Elements along each dimension in ggml's order: columns first.
    pub shape: Vec<u64>,
    /// Its first byte, counted from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

impl TensorInfo {
    /// Columns: the length of the contiguous dimension.
    pub fn cols(&self) -> usize {
        self.shape[0] as usize
    }

    /// Rows: the product of the other dimensions.
    pub fn rows(&self) -> usize {
        self.shape[1..].iter().product::<u64>() as usize
    }
}

impl Gguf {
    /// Reads a file's header.
    pub async fn read(source: &mut dyn Source) -> Result<Gguf, FormatError> {
        let (name, file_len) = (source.name(), source.len());
        let mut head = Vec::new();
        let mut wanted = FIRST_FETCH_BYTES;
        loop {
            let fetched = head.len() as u64;
            let end = wanted.max(fetched.saturating_mul(2)).min(file_len);
            let end = end.min(HEADER_BYTES_MAX);
            if fetched > 0 && end <= fetched {
                let reason = format!("it is longer than {} MiB", HEADER_BYTES_MAX >> 20);
                let what = "the header".to_string();
                return Err(FormatError::Invalid { name, what, offset: fetched, reason });
            }
            head.reserve_exact((end - fetched) as usize);
            head.resize(end as usize, 0);
            source.read_at(fetched, &mut head[fetched as usize..]).await?;
            match parse(&mut Cursor::new(&name, &head, file_len), file_len) {
                Ok(gguf) => return Ok(gguf),
                Err(Stop::Bad(error)) => return Err(error),
                Err(Stop::More(needed)) => wanted = needed,
            }
        }
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, FormatError> {
        self.opt_tensor(name).ok_or_else(|| FormatError::MissingTensor { tensor: name.into() })
    }

    /// The tensor called `name`, if there is one.
    pub fn opt_tensor(&self, name: &str) -> Option<&TensorInfo> {
        let name_at = |index: &u32| self.tensors[*index as usize].name.as_str();
        let at = self.by_name.binary_search_by_key(&name, name_at).ok()?;
        Some(&self.tensors[self.by_name[at] as usize])
    }
}

fn parse(cursor: &mut Cursor, file_len: u64) -> Result<Gguf, Stop> {
    let [n_tensors, n_keys] = parse_start(cursor)?;
    let mut metadata = Metadata::default();
    for index in 0..n_keys {
        cursor.what = format!("metadata key {index}");
        let start = cursor.offset();
        let key = cursor.string()?;
        cursor.what = format!("metadata key `{}`", short(key));
        let type_id = cursor.u32()?;
        if metadata.insert(key, read_value(cursor, type_id)?).is_some() {
            return Err(cursor.bad(start, "it is there twice"));
        }
    }
    let mut tensors: Vec<(TensorInfo, u64)> = Vec::new();
    for index in 0..n_tensors as usize {
        cursor.what = format!("tensor {index}");
        let start = cursor.offset();
        tensors.push((parse_tensor(cursor)?, start));
    }
    let by_name = by_name(cursor, &tensors)?;
    cursor.what = "metadata key `general.alignment`".into();
    let alignment =
        metadata.opt_usize("general.alignment").map_err(Stop::Bad)?.unwrap_or(32) as u64;
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return Err(cursor.bad(0, format!("{alignment} is no usable alignment")));
    }
    let data_at = cursor.offset().next_multiple_of(alignment);
    for (tensor, start) in &mut tensors {
        cursor.what = format!("tensor `{}`", short(&tensor.name));
        place(cursor, tensor, *start, alignment, data_at, file_len)?;
    }
    refuse_overlap(cursor, &tensors)?;
    let tensors = tensors.into_iter().map(|(tensor, _)| tensor).collect();
    Ok(Gguf { name: cursor.name().to_string(), metadata, tensors, by_name })
}

/// The indices of tensors in the order of their names, none of which is there twice.
fn by_name(cursor: &mut Cursor, tensors: &[(TensorInfo, u64)]) -> Result<Vec<u32>, Stop> {
    let name = |index: u32| tensors[index as usize].0.name.as_str();
    let mut order: Vec<u32> = (0..tensors.len() as u32).collect();
    order.sort_unstable_by(|a, b| name(*a).cmp(name(*b)).then(a.cmp(b)));
    let twice = order.windows(2).filter(|pair| name(pair[0]) == name(pair[1]));
    if let Some(second) = twice.map(|pair| pair[1] as usize).min() {
        cursor.what = format!("tensor `{}`", short(&tensors[second].0.name));
        return Err(cursor.bad(tensors[second].1, "it is there twice"));
    }
    Ok(order)
}

/// Magic and version; gives the numbers of tensors and of keys.
fn parse_start(cursor: &mut Cursor) -> Result<[u64; 2], Stop> {
    let magic: [u8; 4] = cursor.array()?;
    if &magic != b"GGUF" {
        return Err(cursor.bad(0, "this is no GGUF file (it does not begin with `GGUF`)"));
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        let hint = if version.swap_bytes() < 16 { " (a big-endian file)" } else { "" };
        return Err(cursor.bad(4, format!("GGUF version {version}{hint} is not 2 or 3")));
    }
    let mut counts = [0; 2];
    let kinds = ["tensors", "metadata keys"].into_iter().zip(ENTRIES_MAX);
    for (count, (what, most)) in counts.iter_mut().zip(kinds) {
        cursor.what = format!("the number of {what}");
        let start = cursor.offset();
        *count = cursor.u64()?;
        if *count > most {
            return Err(cursor.bad(start, format!("{count} is more than {most}")));
        }
    }
    Ok(counts)
}

/// A tensor's description; its offset is still relative to the data's start.
fn parse_tensor(cursor: &mut Cursor) -> Result<TensorInfo, Stop> {
    let start = cursor.offset();
    let name = cursor.string()?.to_string();
    cursor.what = format!("tensor `{}`", short(&name));
    let n_dims = cursor.u32()?;
    if !(1..=DIMS_MAX).contains(&n_dims) {
        return Err(cursor.bad(start, format!("it has {n_dims} dimensions, not 1 to {DIMS_MAX}")));
    }
    let mut shape = Vec::with_capacity(n_dims as usize);
    for _ in 0..n_dims {
        shape.push(cursor.u64()?);
    }
    let type_at = cursor.offset();
    let type_id = cursor.u32()?;
    let Some(ty) = TensorType::from_gguf_id(type_id) else {
        let known: Vec<_> = TensorType::ALL.iter().map(|ty| ty.name()).collect();
        let found = foreign_type(type_id);
        let reason = format!("its type {found} is not supported; supported: {}", known.join(" "));
        return Err(cursor.bad(type_at, reason));
    };
    let offset = cursor.u64()?;
    let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
    let blocks = elements.map(|elements| elements / ty.block_len() as u64);
    let bytes = blocks.and_then(|blocks| blocks.checked_mul(ty.block_bytes() as u64));
    let (Some(elements), Some(bytes)) = (elements, bytes) else {
        return Err(cursor.bad(start, format!("its size {shape:?} is beyond 64 bits")));
    };
    if elements == 0 || shape[0] % ty.block_len() as u64 != 0 {
        let reason = format!("{shape:?} elements are no whole {} blocks", ty.name());
        return Err(cursor.bad(start, reason));
    }
    Ok(TensorInfo { name, ty, shape, offset, bytes })
}

/// Makes a tensor's offset absolute, if its data lies inside the file.
fn place(
    cursor: &Cursor,
    tensor: &mut TensorInfo,
    start: u64,
    alignment: u64,
    data_at: u64,
    file_len: u64,
) -> Result<(), Stop> {
    if !tensor.offset.is_multiple_of(alignment) {
        let reason = format!("its offset {} is not aligned to {alignment}", tensor.offset);
        return Err(cursor.bad(start, reason));
    }
    let offset = data_at.checked_add(tensor.offset);
    match offset.and_then(|offset| offset.checked_add(tensor.bytes)) {
        Some(end) if end <= file_len => {
            tensor.offset = end - tensor.bytes;
            Ok(())
        }
        end => Err(Stop::Bad(FormatError::CutShort {
            name: cursor.name().to_string(),
            len: file_len,
            what: cursor.what.clone(),
            needed: end.unwrap_or(u64::MAX),
        })),
    }
}

/// Stops where two tensors share bytes: the sum of their sizes would no longer be bounded by the file's.
fn refuse_overlap(cursor: &mut Cursor, tensors: &[(TensorInfo, u64)]) -> Result<(), Stop> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(tensor, _)| tensor.offset);
    for pair in order.windows(2) {
        let [(first, _), (second, start)] = pair else { continue };
        if first.offset + first.bytes > second.offset {
            cursor.what = format!("tensor `{}`", short(&second.name));
            let reason = format!("its data overlaps that of `{}`", short(&first.name));
            return Err(cursor.bad(*start, reason));
        }
    }
    Ok(())
}

/// A type of ggml's that this crate does not read, by its name where it is a common one.
fn foreign_type(id: u32) -> String {
    let name = match id {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("number {id}"),
    };
    name.to_string()
}

/// A name for a message: a lying file must not fill the screen.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}
