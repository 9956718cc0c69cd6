//! The default model's tokenizer against 150 golden strings; special tokens, streams and other cuts
//! on small models.

use crate::common::{default_model, golden_dir};
use apprentice::format::byte_level::{byte_of_char, char_of_byte, write_byte_level_tokenizer};
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_value::Value;
use apprentice::format::gguf_writer::GgufWriter;
use apprentice::format::source::{BytesSource, FileSource};
use apprentice::format::tokenizer::{StreamDecoder, Tokenizer};
use serde_json::Value as Json;

/// The default model's header and tokenizer.
pub fn default_gguf() -> Gguf {
    let mut source = FileSource::open(&default_model()).unwrap();
    pollster::block_on(Gguf::read(&mut source)).unwrap()
}

/// A model without tensors that has 256 bytes and these special tokens.
pub fn byte_gguf(specials: &[&str], change: impl FnOnce(&mut GgufWriter)) -> Gguf {
    let mut writer = GgufWriter::new();
    write_byte_level_tokenizer(&mut writer, specials);
    change(&mut writer);
    let mut source = BytesSource::new("bytes.gguf", writer.to_bytes());
    pollster::block_on(Gguf::read(&mut source)).unwrap()
}

#[test]
fn every_golden_string_has_its_ids_and_comes_back() {
    let text = std::fs::read_to_string(golden_dir().join("tokenization.json")).unwrap();
    let golden: Json = serde_json::from_str(&text).unwrap();
    let golden = golden.as_array().unwrap();
    assert!(golden.len() >= 150, "only {} golden strings", golden.len());
    let tokenizer = Tokenizer::from_gguf(&default_gguf()).unwrap();
    for case in golden {
        let text = case["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, true), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids, true), text, "{ids:?}");
        let mut stream = StreamDecoder::new();
        let mut streamed: String = ids.iter().map(|&id| stream.push(&tokenizer, id)).collect();
        streamed += &stream.finish();
        assert_eq!(streamed, tokenizer.decode(&ids, false), "streamed {ids:?}");
    }
}

#[test]
fn the_default_models_special_tokens_are_known() {
    let tokenizer = Tokenizer::from_gguf(&default_gguf()).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (Some(1), 2, 49152));
    assert_eq!(tokenizer.stop_ids(), [0, 2]);
    assert!(!tokenizer.adds_bos());
    assert_eq!(tokenizer.encode("<|im_start|>user", true)[0], 1);
    // A text that quotes a special token is not that token.
    let quoted = tokenizer.encode("<|im_start|>", false);
    assert!(quoted.len() > 1 && !quoted.contains(&1), "{quoted:?}");
    assert_eq!(tokenizer.decode(&quoted, false), "<|im_start|>");
    assert_eq!(tokenizer.decode(&[1, 2], false), "");
    assert_eq!(tokenizer.decode(&[u32::MAX], true), "");
}

#[test]
fn the_byte_alphabet_is_one_to_one() {
    for byte in 0..=255 {
        assert_eq!(byte_of_char(char_of_byte(byte)), Some(byte));
    }
    assert_eq!((char_of_byte(b' '), char_of_byte(b'\n'), char_of_byte(0xad)), ('Ġ', 'Ċ', 'Ń'));
    assert_eq!([' ', '\u{ad}', 'ń', '語'].map(byte_of_char), [None; 4]);
}

#[test]
fn streams_give_whole_characters_only() {
    let tokenizer = Tokenizer::from_gguf(&byte_gguf(&["<|im_end|>"], |_| {})).unwrap();
    let mut stream = StreamDecoder::new();
    let mut steps = |bytes: &[u8]| -> Vec<String> {
        let mut texts: Vec<_> =
            bytes.iter().map(|&byte| stream.push(&tokenizer, u32::from(byte))).collect();
        texts.push(stream.finish());
        texts
    };
    assert_eq!(steps("aé".as_bytes()), ["a", "", "é", ""]);
    assert_eq!(steps("🦀".as_bytes()), ["", "", "", "🦀", ""]);
    // A broken character is shown as soon as it cannot be completed any more, and at the end.
    assert_eq!(steps(&[0xc3, b'x', 0xe2, 0x82]), ["", "\u{fffd}x", "", "", "\u{fffd}"]);
    assert_eq!(steps(&[0xff, b'y']), ["\u{fffd}", "y", ""]);
}

/// The pieces into which a vocabulary of whole pieces would be cut: tokens are bytes, merges join
/// all letters.
#[track_caller]
fn check_cuts(pre: &str, text: &str, expected: &[&str]) {
    // Merges of any two digits and of any space with a digit or letter show where a cut keeps them
    // apart.
    let letters = ["1", "2", "3", "4", "a", "b", "'", "s", "Ġ", "Ċ", "!", "S"];
    let mut tokens = apprentice::format::byte_level::byte_level_vocab(&[]);
    let mut merges = Vec::new();
    for left in letters {
        for right in letters {
            merges.push(format!("{left} {right}"));
            tokens.push(format!("{left}{right}"));
        }
    }
    tokens.push("<|im_end|>".into());
    let gguf = byte_gguf(&["<|im_end|>"], |writer| {
        writer
            .key("tokenizer.ggml.pre", Value::String(pre.into()))
            .key("tokenizer.ggml.tokens", Value::Strings(tokens.iter().collect()))
            .key("tokenizer.ggml.merges", Value::Strings(merges.iter().collect()));
    });
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    let ids = tokenizer.encode(text, false);
    let texts: Vec<_> = ids.iter().map(|&id| tokenizer.token_text(id)).collect();
    assert_eq!(texts, expected, "{pre}: {text:?}");
}

#[test]
fn each_family_cuts_where_it_must() {
    check_cuts("smollm", "1234 a", &["1", "2", "3", "4", " a"]);
    check_cuts("llama-bpe", "1234 a", &["12", "3", "4", " a"]);
    check_cuts("qwen2", "1234 a", &["1", "2", "3", "4", " a"]);
    check_cuts("smollm", "a'S", &["a", "'", "S"]);
    check_cuts("qwen2", "a'S", &["a", "'S"]);
    check_cuts("llama-bpe", "a!\n", &["a", "!\n"]);
    check_cuts("smollm", "a!\n", &["a", "!", "\n"]);
}

#[test]
fn other_tokenizers_are_refused_by_name() {
    let refuse = |key: &str, value: &str| {
        let value = Value::String(value.into());
        let gguf = byte_gguf(&["<|im_end|>"], |writer| _ = writer.key(key, value));
        Tokenizer::from_gguf(&gguf).err().expect("refused").to_string()
    };
    let error = refuse("tokenizer.ggml.model", "bert");
    assert!(error.contains("`bert`") && error.contains("gpt2"), "{error}");
    let error = refuse("tokenizer.ggml.pre", "tekken");
    assert!(error.contains("`tekken`") && error.contains("smollm"), "{error}");
    let error = refuse("tokenizer.ggml.tokens", "nothing");
    assert!(error.contains("`tokenizer.ggml.tokens`"), "{error}");
    let gguf = byte_gguf(&["<|im_end|>"], |writer| {
        writer.key("tokenizer.ggml.merges", Value::Strings(["ab"].iter().collect()));
    });
    let error = Tokenizer::from_gguf(&gguf).err().expect("refused").to_string();
    assert!(error.contains("\"ab\""), "{error}");
    let gguf = byte_gguf(&["<|im_end|>"], |writer| {
        writer.key("tokenizer.ggml.eos_token_id", Value::U32(257));
    });
    let error = Tokenizer::from_gguf(&gguf).err().expect("refused").to_string();
    assert!(error.contains("eos_token_id") && error.contains("257"), "{error}");
}

#[test]
fn long_runs_lose_no_byte() {
    // The cuts are patterns that look ahead and may give up on long runs; that must not cost text.
    for pre in ["smollm", "llama-bpe", "qwen2"] {
        let value = Value::String(pre.into());
        let gguf = byte_gguf(&["<|im_end|>"], |writer| _ = writer.key("tokenizer.ggml.pre", value));
        let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
        for run in [" ", "\n", "a", "1", "!", " \n"] {
            let text = run.repeat(100_000) + "é";
            let ids = tokenizer.encode(&text, true);
            assert!(tokenizer.decode(&ids, true) == text, "{pre}: a long run of {run:?}");
        }
    }
}
