//! Tokenizers of every kind against their own libraries: byte-level BPE with each family's cuts, and SentencePiece.
//!
//! `tests/tokenizers/make.py` trained tiny vocabularies with Hugging Face's and Google's packages and wrote down their ids of
//! awkward texts. Here each vocabulary goes through a GGUF's metadata, as in a model's file.

use crate::golden_tokenization::byte_gguf;
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_value::{Numbers, Strings, Value};
use apprentice::format::gguf_writer::GgufWriter;
use apprentice::format::source::BytesSource;
use apprentice::format::tokenizer::{StreamDecoder, Tokenizer};
use serde_json::Value as Json;

const BYTE_LEVEL: [&str; 5] = ["llama-bpe", "qwen2", "default", "smollm", "gpt-2"];
const PIECES: [&str; 2] = ["sentencepiece", "sentencepiece-no-space"];

fn vectors(name: &str) -> Json {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/tokenizers").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The metadata that a GGUF of this tokenizer has, but for what `change` does to it.
fn gguf(made: &Json, change: impl FnOnce(&mut GgufWriter)) -> Gguf {
    let mut writer = GgufWriter::new();
    let list = |key: &str| made[key].as_array().unwrap();
    let texts = |key: &str| list(key).iter().map(|t| t.as_str().unwrap()).collect::<Strings>();
    let types: Vec<i32> = list("types").iter().map(|ty| ty.as_i64().unwrap() as i32).collect();
    writer
        .key("tokenizer.ggml.model", Value::String(made["model"].as_str().unwrap().into()))
        .key("tokenizer.ggml.pre", Value::String(made["pre"].as_str().unwrap().into()))
        .key("tokenizer.ggml.tokens", Value::Strings(texts("tokens")))
        .key("tokenizer.ggml.token_type", Value::Numbers(Numbers::from_i32(&types)));
    if made["merges"].is_array() {
        writer.key("tokenizer.ggml.merges", Value::Strings(texts("merges")));
    }
    if made["scores"].is_array() {
        let scores = list("scores").iter().map(|score| score.as_f64().unwrap() as f32);
        let scores = Numbers::from_f32(&scores.collect::<Vec<_>>());
        writer.key("tokenizer.ggml.scores", Value::Numbers(scores));
    }
    for name in ["bos", "eos", "unknown"] {
        if let Some(id) = made[name].as_u64() {
            writer.key(&format!("tokenizer.ggml.{name}_token_id"), Value::U32(id as u32));
        }
    }
    if let Some(adds) = made["add_space_prefix"].as_bool() {
        writer.key("tokenizer.ggml.add_space_prefix", Value::Bool(adds));
    }
    change(&mut writer);
    let mut source = BytesSource::new("tokenizer.gguf", writer.to_bytes());
    pollster::block_on(Gguf::read(&mut source)).unwrap()
}

fn tokenizer(name: &str) -> (Json, Tokenizer) {
    let made = vectors(name);
    let tokenizer = Tokenizer::from_gguf(&gguf(&made, |_| {})).unwrap();
    (made, tokenizer)
}

#[test]
fn every_text_has_its_librarys_ids() {
    for name in BYTE_LEVEL.into_iter().chain(PIECES) {
        let (made, tokenizer) = tokenizer(name);
        let cases = made["cases"].as_array().unwrap();
        assert!(cases.len() >= 60, "{name}: only {} texts", cases.len());
        let mut wrong = Vec::new();
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let theirs: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            let ours = tokenizer.encode(text, BYTE_LEVEL.contains(&name));
            if ours != theirs {
                wrong.push(format!("{text:?}: {ours:?}, not {theirs:?}"));
            }
        }
        assert!(wrong.is_empty(), "{name}: {} differ\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn every_text_comes_back() {
    for name in BYTE_LEVEL.into_iter().chain(PIECES) {
        let (made, tokenizer) = tokenizer(name);
        for case in made["cases"].as_array().unwrap() {
            // Qwen composes characters: another text comes back.
            let back = case.get("back").unwrap_or(&case["text"]);
            let text = back.as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            // SentencePiece itself cannot tell the character that stands for a space from one.
            let text =
                text.replace('\u{2581}', if PIECES.contains(&name) { " " } else { "\u{2581}" });
            assert_eq!(tokenizer.decode(&ids, true), text, "{name}: {ids:?}");
            let mut stream = StreamDecoder::new();
            let mut streamed: String = ids.iter().map(|&id| stream.push(&tokenizer, id)).collect();
            streamed += &stream.finish();
            let space = if name == "sentencepiece" { " " } else { "" };
            assert_eq!(streamed, space.to_string() + &tokenizer.decode(&ids, false), "{name}");
        }
    }
}

#[test]
fn llama3_takes_a_word_that_is_a_token_whole_and_qwen_does_not() {
    let tokens = |name: &str| tokenizer(name).1.encode("Xyzzy plugh", false).len();
    assert_eq!(tokens("llama-bpe"), 2);
    assert!(tokens("qwen2") > 4);
}

#[test]
fn qwen_composes_characters_and_others_do_not() {
    let composed = |name: &str| {
        let (_, tokenizer) = tokenizer(name);
        tokenizer.encode("e\u{301}", false) == tokenizer.encode("\u{e9}", false)
    };
    assert_eq!(BYTE_LEVEL.map(composed), [false, true, false, false, false]);
    let changed = vectors("qwen2")["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["back"].is_string())
        .count();
    assert!(changed >= 5, "{changed} texts that change");
}

#[test]
fn special_tokens_stop_and_begin_as_the_metadata_says() {
    let (made, llama3) = tokenizer("llama-bpe");
    let id = |text: &str| llama3.special_id(text).unwrap();
    let stops = ["<|end_of_text|>", "<|eot_id|>"].map(id);
    assert_eq!(llama3.stop_ids(), stops);
    assert_eq!(llama3.eos(), stops[1]);
    assert!(llama3.is_control(id("<|start_header_id|>")) && !llama3.is_control(5));
    assert_eq!(llama3.bos(), None);
    // With a first token, Llama 3's texts begin with it unless the metadata says otherwise.
    let begin = id("<|begin_of_text|>");
    let with = |adds: Option<bool>| {
        let gguf = gguf(&made, |writer| {
            writer.key("tokenizer.ggml.bos_token_id", Value::U32(begin));
            if let Some(adds) = adds {
                writer.key("tokenizer.ggml.add_bos_token", Value::Bool(adds));
            }
        });
        Tokenizer::from_gguf(&gguf).unwrap()
    };
    let plain = llama3.encode("hello", false);
    assert_eq!(with(None).encode_whole("hello", false), [&[begin], plain.as_slice()].concat());
    assert_eq!(with(Some(false)).encode_whole("hello", false), plain);
    let written = with(None).encode_whole("<|begin_of_text|>hello", true);
    assert_eq!(written, [&[begin], plain.as_slice()].concat(), "not twice");
    let (_, qwen) = tokenizer("qwen2");
    assert_eq!(
        qwen.stop_ids(),
        ["<|endoftext|>", "<|im_end|>"].map(|t| qwen.special_id(t).unwrap())
    );
    assert_eq!(qwen.encode_whole("hello", false), qwen.encode("hello", false));
}

#[test]
fn sentencepiece_puts_a_space_before_a_text_and_not_within_one() {
    let (_, pieces) = tokenizer("sentencepiece");
    let texts = |ids: &[u32]| ids.iter().map(|&id| pieces.token_text(id)).collect::<String>();
    assert_eq!(texts(&pieces.encode("hello", true)), " hello");
    assert_eq!(texts(&pieces.encode_rest("hello", true)), "hello");
    assert_eq!(texts(&pieces.encode("<s>a</s>b", true)), "<s> a</s> b");
    assert_eq!(texts(&pieces.encode_rest("a</s>b", true)), "a</s> b");
    assert_eq!(pieces.encode_whole("a", false)[0], pieces.bos().unwrap());
    assert!(pieces.encode("", true).is_empty());
    // Quoted, a control token's text is only text.
    let quoted = pieces.encode("</s>", false);
    assert!(!quoted.contains(&pieces.eos()), "{quoted:?}");
    assert_eq!(pieces.decode(&quoted, false), "</s>");
    let (_, bare) = tokenizer("sentencepiece-no-space");
    assert_eq!(bare.encode("hello", false), bare.encode_rest("hello", false));
}

#[test]
fn sentencepiece_merges_equals_from_the_left() {
    // Every pair of a's may merge, at one score: the leftmost does.
    let tokens = ["<unk>", "</s>", "a", "aa", "aaa"];
    let made = serde_json::json!({
        "model": "llama", "pre": "default", "tokens": tokens, "types": [2, 3, 1, 1, 1],
        "scores": [0.0, 0.0, -9.0, -1.0, -1.0], "eos": 1, "unknown": 0, "add_space_prefix": false,
    });
    let tokenizer = Tokenizer::from_gguf(&gguf(&made, |_| {})).unwrap();
    assert_eq!(tokenizer.encode("aaaa", false), [4, 2]);
    assert_eq!(tokenizer.encode("aaaaa", false), [4, 3]);
    // Without tokens of bytes, what no piece spells is unknown.
    assert_eq!(tokenizer.encode("ba", false), [0, 2]);
}

#[test]
fn a_sentencepiece_vocabulary_without_scores_is_refused() {
    let mut made = vectors("sentencepiece");
    made["scores"].as_array_mut().unwrap().pop();
    let error = Tokenizer::from_gguf(&gguf(&made, |_| {})).err().unwrap().to_string();
    assert!(error.contains("640 tokens have 639 scores"), "{error}");
    let gguf = byte_gguf(&["<|im_end|>"], |writer| {
        _ = writer.key("tokenizer.ggml.model", Value::String("llama".into()));
    });
    let error = Tokenizer::from_gguf(&gguf).err().unwrap().to_string();
    assert!(error.contains("0 scores"), "{error}");
}

#[test]
fn long_runs_of_pieces_are_fast_and_whole() {
    let (_, tokenizer) = tokenizer("sentencepiece");
    for run in [" ", "a", "🦀", "the "] {
        let text = run.repeat(20_000);
        assert!(tokenizer.decode(&tokenizer.encode(&text, true), true) == text, "{run:?}");
    }
}
