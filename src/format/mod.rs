//! Files and texts from outside: GGUF, safetensors, PEFT and GGUF adapters, signed skills, tokenizer, chat template. Knows
//! no devices.

pub mod byte_level;
pub mod chat;
pub mod chat_functions;
pub mod error;
pub mod gguf;
pub mod gguf_adapter;
pub mod gguf_cursor;
pub mod gguf_value;
pub mod gguf_writer;
pub mod lessons;
pub mod merged_bytes;
pub mod message;
mod pair_merges;
pub mod peft;
pub mod peft_config;
pub mod requantize;
pub mod safetensors;
pub mod sentence_piece;
pub mod skill;
pub mod source;
mod token_table;
pub mod tokenizer;
