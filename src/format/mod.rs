//! Files and texts from outside: GGUF, safetensors, PEFT adapters, tokenizer, chat template. Knows no devices.

pub mod message;
