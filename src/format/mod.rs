//! Files and texts from outside: GGUF, safetensors, PEFT adapters, tokenizer, chat template. Knows
//! no devices.

pub mod byte_level;
pub mod chat;
pub mod error;
pub mod gguf;
pub mod gguf_cursor;
pub mod gguf_value;
pub mod gguf_writer;
pub mod lessons;
pub mod message;
pub mod peft;
pub mod requantize;
pub mod safetensors;
pub mod source;
pub mod tokenizer;
