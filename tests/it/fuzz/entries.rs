//! What reads bytes from outside, each as one function of a file's bytes: shared by the tests here and by `fuzz/`.
//!
//! An entry returns whether the bytes were accepted; what it must not do is panic or allocate by what the bytes claim.
//! It knows nothing of mutations and of measuring.

use apprentice::format::chat::ChatTemplate;
use apprentice::format::error::FormatError;
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_adapter::GgufAdapter;
use apprentice::format::message::Message;
use apprentice::format::peft::PeftAdapter;
use apprentice::format::requantize;
use apprentice::format::source::BytesSource;
use apprentice::format::tokenizer::Tokenizer;
use apprentice::learn::example;
use apprentice::model::config::{Arch, Config};
use apprentice::model::gguf_adapter::from_gguf;
use apprentice::model::lora::LoraLayout;
use apprentice::quant::TensorType;

/// An entry.
pub type Entry = fn(&[u8]) -> bool;

fn read(bytes: &[u8]) -> Result<Gguf, FormatError> {
    pollster::block_on(Gguf::read(&mut BytesSource::new("fuzzed.gguf", bytes)))
}

/// A GGUF's header: metadata, tensors, the model's shape, and the plan of quantizing it.
pub fn gguf(bytes: &[u8]) -> bool {
    let gguf = match read(bytes) {
        Ok(gguf) => gguf,
        Err(error) => {
            check_line(&error.to_string());
            return false;
        }
    };
    for (tensor, ty) in gguf.tensors.iter().zip(requantize::plan(&gguf, TensorType::Q4K, false)) {
        assert!(tensor.offset + tensor.bytes <= bytes.len() as u64, "a tensor inside the file");
        assert_eq!((tensor.ty.row_bytes(tensor.cols()) * tensor.rows()) as u64, tensor.bytes);
        assert_eq!(tensor.cols() % ty.block_len(), 0, "rows of whole blocks");
    }
    if let Err(error) = Config::from_gguf(&gguf) {
        check_line(&error.to_string());
    }
    true
}

/// A GGUF's tokenizer and chat template, used once.
pub fn tokenizer(bytes: &[u8]) -> bool {
    let Ok(gguf) = read(bytes) else { return false };
    let (tokenizer, template) = (Tokenizer::from_gguf(&gguf), ChatTemplate::from_gguf(&gguf));
    if let Ok(template) = &template {
        // What a template of the file's says is its own; it only must not panic.
        template.render(&[Message::user("Hi")], true).ok();
    }
    let tokenizer = match tokenizer {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            check_line(&error.to_string());
            return false;
        }
    };
    let ids = tokenizer.encode("The owl's 12 eggs: \u{e9}\u{1f989}<|im_end|>\n", true);
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    assert!((tokenizer.eos() as usize) < tokenizer.vocab_size());
    tokenizer.decode(&ids, true);
    true
}

/// A PEFT adapter: four bytes with the length of `adapter_config.json`, that file, then the safetensors file.
pub fn adapter(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let Some((config, weights)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)
    else {
        return false;
    };
    match PeftAdapter::read(config, weights) {
        Ok(adapter) => {
            for tensor in &adapter.tensors {
                assert_eq!(tensor.data.len(), tensor.shape[0] * tensor.shape[1]);
            }
            true
        }
        Err(error) => {
            check_line(&error.to_string());
            false
        }
    }
}

/// Lessons, a JSON object a line.
pub fn lessons(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match example::lessons(text, "fuzzed.jsonl") {
        Ok(lessons) => !lessons.is_empty(),
        Err(error) => {
            check_line(&error.to_string());
            false
        }
    }
}

/// A text that becomes documents.
pub fn markdown(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let documents = example::documents(text, "fuzzed.md");
    assert!(documents.iter().all(|document| document.check().is_ok()), "passages of their length");
    !documents.is_empty()
}

/// A GGUF adapter, read for a small model.
pub fn gguf_adapter(bytes: &[u8]) -> bool {
    let config = Config {
        name: "small".into(),
        arch: Arch::Llama,
        layers: 1,
        dim: 32,
        ff: 32,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        vocab: 2,
        context: 64,
        rms_eps: 1e-5,
        rope_base: 10_000.0,
    };
    let mut source = BytesSource::new("fuzzed.gguf", bytes);
    let adapter = pollster::block_on(async {
        let adapter = GgufAdapter::from_gguf(&Gguf::read(&mut source).await?)?;
        from_gguf(&config, &adapter, &mut source).await
    });
    match adapter {
        Ok(adapter) => {
            assert_eq!(adapter.weights.len(), LoraLayout::of(&config, &adapter).len);
            true
        }
        Err(error) => {
            check_line(&error.to_string());
            false
        }
    }
}

/// An error is one line that fits a screen.
fn check_line(text: &str) {
    assert!(!text.trim().is_empty() && text.len() < 2000, "an error of {} bytes", text.len());
}
