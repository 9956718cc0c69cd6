//! GGUF's metadata: typed values by key, and getters whose errors name the key.
//!
//! Arrays stay as compact as they are in the file (a vocabulary has 50 to 150 thousand strings):
//! strings in one text with their ends, numbers as bytes. It knows nothing of what the keys mean.

use super::error::FormatError;
use super::gguf_cursor::{Cursor, Stop};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned integer of this many bits.
    U8(u8),
    /// A signed integer.
    I8(i8),
    /// An unsigned integer.
    U16(u16),
    /// A signed integer.
    I16(i16),
    /// An unsigned integer.
    U32(u32),
    /// A signed integer.
    I32(i32),
    /// A float.
    F32(f32),
    /// A truth value.
    Bool(bool),
    /// A text.
    String(String),
    /// Many texts.
    Strings(Strings),
    /// Many numbers.
    Numbers(Numbers),
    /// An unsigned integer.
    U64(u64),
    /// A signed integer.
    I64(i64),
    /// A float.
    F64(f64),
}

/// Many texts in one, with their ends. Clones share them: a vocabulary is in its metadata and in its tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strings(Arc<Texts>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The one with index `index`.
    pub fn get(&self, index: usize) -> Option<&str> {
        let Texts { text, ends } = &*self.0;
        let end = *ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { ends[index - 1] as usize };
        Some(&text[start..end])
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index).expect("the index is under the length"))
    }
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).expect("a header is under 4 GiB"));
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut strings = Texts::default();
        texts.into_iter().for_each(|text| strings.push(text.as_ref()));
        Strings(Arc::new(strings))
    }
}

/// Many numbers of one type, as the file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    type_id: u32,
    bytes: Vec<u8>,
}

impl Numbers {
    /// 32-bit signed integers, as GGUF writes token types.
    pub fn from_i32(values: &[i32]) -> Numbers {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Numbers { type_id: 5, bytes }
    }

    /// 32-bit floats, as GGUF writes scores.
    pub fn from_f32(values: &[f32]) -> Numbers {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Numbers { type_id: 6, bytes }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All of them in order, as 64-bit integers (floats are cut, integers beyond 2^63 wrap).
    pub fn iter_i64(&self) -> impl Iterator<Item = i64> + '_ {
        self.scalars().map(|value| integer(&value).unwrap_or_default())
    }

    /// All of them in order, as 64-bit floats (integers beyond 2^53 are rounded).
    pub fn iter_f64(&self) -> impl Iterator<Item = f64> + '_ {
        self.scalars().map(|value| match value {
            Value::F32(number) => f64::from(number),
            Value::F64(number) => number,
            value => integer(&value).unwrap_or_default() as f64,
        })
    }

    fn scalars(&self) -> impl Iterator<Item = Value> + '_ {
        self.bytes.chunks_exact(self.width()).map(|bytes| {
            let mut cursor = Cursor::new("", bytes, bytes.len() as u64);
            read_scalar(&mut cursor, self.type_id).expect("numbers have a scalar type")
        })
    }

    fn width(&self) -> usize {
        scalar_bytes(self.type_id).expect("numbers have a scalar type") as usize
    }
}

/// The metadata of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Sets the value of `key` and returns the one that was there.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        self.values.insert(key.into(), value)
    }

    /// All keys with their values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The text at `key`.
    pub fn str(&self, key: &str) -> Result<&str, FormatError> {
        self.required(key, self.opt_str(key)?)
    }

    /// The text at `key`, if the key is there.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>, FormatError> {
        self.typed(key, "a text", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The whole number at `key`, whatever its width.
    pub fn usize(&self, key: &str) -> Result<usize, FormatError> {
        self.required(key, self.opt_usize(key)?)
    }

    /// The whole number at `key`, if the key is there.
    pub fn opt_usize(&self, key: &str) -> Result<Option<usize>, FormatError> {
        self.typed(key, "a whole number", |value| match value {
            Value::U64(number) => usize::try_from(*number).ok(),
            Value::F32(_) | Value::F64(_) => None,
            value => integer(value).and_then(|number| usize::try_from(number).ok()),
        })
    }

    /// The number at `key`, whatever its type.
    pub fn f32(&self, key: &str) -> Result<f32, FormatError> {
        self.required(key, self.opt_f32(key)?)
    }

    /// The number at `key`, if the key is there.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>, FormatError> {
        self.typed(key, "a number", |value| match value {
            Value::F32(number) => Some(*number),
            Value::F64(number) => Some(*number as f32),
            value => integer(value).map(|number| number as f32),
        })
    }

    /// The truth value at `key`, if the key is there.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>, FormatError> {
        self.typed(key, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
    }

    /// The texts at `key`.
    pub fn strings(&self, key: &str) -> Result<&Strings, FormatError> {
        let strings = self.typed(key, "a list of texts", |value| match value {
            Value::Strings(strings) => Some(strings),
            _ => None,
        })?;
        self.required(key, strings)
    }

    /// The numbers at `key`, if the key is there.
    pub fn opt_numbers(&self, key: &str) -> Result<Option<&Numbers>, FormatError> {
        self.typed(key, "a list of numbers", |value| match value {
            Value::Numbers(numbers) => Some(numbers),
            _ => None,
        })
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, FormatError> {
        value.ok_or_else(|| FormatError::MissingKey { key: key.into() })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &'static str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FormatError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        let wrong = || FormatError::WrongType { key: key.into(), wanted, found: describe(value) };
        pick(value).map(Some).ok_or_else(wrong)
    }
}

/// Reads a value of the type that GGUF numbers `type_id`.
pub fn read_value(cursor: &mut Cursor, type_id: u32) -> Result<Value, Stop> {
    match type_id {
        TYPE_STRING => Ok(Value::String(cursor.string()?.to_string())),
        TYPE_ARRAY => read_array(cursor),
        _ => read_scalar(cursor, type_id),
    }
}

/// Appends a value, its type's number first.
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    let mut head = |type_id: u32| out.extend(type_id.to_le_bytes());
    match value {
        Value::U8(_) => head(0),
        Value::I8(_) => head(1),
        Value::U16(_) => head(2),
        Value::I16(_) => head(3),
        Value::U32(_) => head(4),
        Value::I32(_) => head(5),
        Value::F32(_) => head(6),
        Value::Bool(_) => head(7),
        Value::String(_) => head(TYPE_STRING),
        Value::Strings(_) | Value::Numbers(_) => head(TYPE_ARRAY),
        Value::U64(_) => head(10),
        Value::I64(_) => head(11),
        Value::F64(_) => head(12),
    }
    match value {
        Value::U8(v) => out.extend(v.to_le_bytes()),
        Value::I8(v) => out.extend(v.to_le_bytes()),
        Value::U16(v) => out.extend(v.to_le_bytes()),
        Value::I16(v) => out.extend(v.to_le_bytes()),
        Value::U32(v) => out.extend(v.to_le_bytes()),
        Value::I32(v) => out.extend(v.to_le_bytes()),
        Value::F32(v) => out.extend(v.to_le_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::String(text) => write_string(text, out),
        Value::Strings(strings) => {
            out.extend(TYPE_STRING.to_le_bytes());
            out.extend((strings.len() as u64).to_le_bytes());
            strings.iter().for_each(|text| write_string(text, out));
        }
        Value::Numbers(numbers) => {
            out.extend(numbers.type_id.to_le_bytes());
            out.extend((numbers.len() as u64).to_le_bytes());
            out.extend(&numbers.bytes);
        }
        Value::U64(v) => out.extend(v.to_le_bytes()),
        Value::I64(v) => out.extend(v.to_le_bytes()),
        Value::F64(v) => out.extend(v.to_le_bytes()),
    }
}

/// Appends a string: its length in bytes (u64), then the bytes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

const TYPE_STRING: u32 = 8;
const TYPE_ARRAY: u32 = 9;

fn read_array(cursor: &mut Cursor) -> Result<Value, Stop> {
    let start = cursor.offset();
    let type_id = cursor.u32()?;
    let count = cursor.u64()?;
    if type_id == TYPE_STRING {
        // A string has at least its length's 8 bytes, which bounds the count by the file's own
        // size.
        cursor.expect_room(count, 8)?;
        let ends = Vec::with_capacity(count as usize);
        let mut strings = Texts { text: String::new(), ends };
        for _ in 0..count {
            strings.push(cursor.string()?);
        }
        strings.text.shrink_to_fit();
        return Ok(Value::Strings(Strings(Arc::new(strings))));
    }
    let Some(width) = scalar_bytes(type_id) else {
        return Err(cursor.bad(start, format!("a list of values of unknown type {type_id}")));
    };
    cursor.expect_room(count, width)?;
    let bytes = cursor.bytes(count * width)?.to_vec();
    Ok(Value::Numbers(Numbers { type_id, bytes }))
}

fn read_scalar(cursor: &mut Cursor, type_id: u32) -> Result<Value, Stop> {
    Ok(match type_id {
        0 => Value::U8(u8::from_le_bytes(cursor.array()?)),
        1 => Value::I8(i8::from_le_bytes(cursor.array()?)),
        2 => Value::U16(u16::from_le_bytes(cursor.array()?)),
        3 => Value::I16(i16::from_le_bytes(cursor.array()?)),
        4 => Value::U32(cursor.u32()?),
        5 => Value::I32(i32::from_le_bytes(cursor.array()?)),
        6 => Value::F32(f32::from_le_bytes(cursor.array()?)),
        7 => Value::Bool(cursor.array::<1>()? != [0]),
        10 => Value::U64(cursor.u64()?),
        11 => Value::I64(i64::from_le_bytes(cursor.array()?)),
        12 => Value::F64(f64::from_le_bytes(cursor.array()?)),
        _ => return Err(cursor.bad(cursor.offset(), format!("a value of unknown type {type_id}"))),
    })
}

/// Bytes of a value of the type that GGUF numbers `type_id`; `None` for strings, arrays and unknown
/// types.
fn scalar_bytes(type_id: u32) -> Option<u64> {
    match type_id {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::U8(v) => Some(i64::from(*v)),
        Value::I8(v) => Some(i64::from(*v)),
        Value::U16(v) => Some(i64::from(*v)),
        Value::I16(v) => Some(i64::from(*v)),
        Value::U32(v) => Some(i64::from(*v)),
        Value::I32(v) => Some(i64::from(*v)),
        Value::F32(v) => Some(*v as i64),
        Value::U64(v) => Some(*v as i64),
        Value::I64(v) => Some(*v),
        Value::F64(v) => Some(*v as i64),
        Value::Bool(_) | Value::String(_) | Value::Strings(_) | Value::Numbers(_) => None,
    }
}

/// A value for a message: short, whatever it is.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let shown: String = text.chars().take(40).collect();
            format!("the text {shown:?}")
        }
        Value::Strings(strings) => format!("a list of {} texts", strings.len()),
        Value::Numbers(numbers) => format!("a list of {} numbers", numbers.len()),
        Value::Bool(truth) => truth.to_string(),
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        value => integer(value).map_or_else(String::new, |number| number.to_string()),
    }
}
