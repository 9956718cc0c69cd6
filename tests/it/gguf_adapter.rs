//! GGUF adapters: round trips, llama.cpp's rules for scales, ranks and rows, and refusals that name the tensor.
//!
//! Files that this program does not write itself are made with the plain GGUF writer. Invariant: every refusal is one line
//! with the tensor or the key in it.

use crate::common::Random;
use crate::tiny;
use apprentice::cli::adapters;
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_adapter::GgufAdapter;
use apprentice::format::gguf_value::{Numbers, Value};
use apprentice::format::gguf_writer::GgufWriter;
use apprentice::format::peft::{Part, PeftAdapter, PeftTensor, permute_rows};
use apprentice::format::source::BytesSource;
use apprentice::model::ModelError;
use apprentice::model::adapter::Adapter;
use apprentice::model::config::Config;
use apprentice::model::gguf_adapter::{from_gguf, to_gguf};
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::peft::{from_peft, to_peft};
use apprentice::quant::{TensorType, quantize};
use pollster::block_on;
use std::fs;
use std::path::Path;

fn config() -> Config {
    let file = tiny::file(TensorType::F32, 1);
    let gguf = block_on(Gguf::read(&mut BytesSource::new("tiny.gguf", file))).unwrap();
    Config::from_gguf(&gguf).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<Adapter, ModelError> {
    let mut source = BytesSource::new("adapter.gguf", bytes);
    let gguf = block_on(Gguf::read(&mut source))?;
    let adapter = GgufAdapter::from_gguf(&gguf)?;
    block_on(from_gguf(&config(), &adapter, &mut source))
}

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..n).map(|_| random.float()).collect()
}

/// s B A of a module, row after row, in f64.
fn update(adapter: &Adapter, layer: usize, module: Module) -> Vec<f64> {
    let slot = LoraLayout::of(&config(), adapter).slot(layer, module);
    let scale = adapter.method.scale(adapter.alpha, adapter.rank);
    let a = &adapter.weights[slot.a..][..adapter.rank * slot.inputs];
    let b = &adapter.weights[slot.b..][..adapter.rank * slot.outputs];
    product(scale, a, b, adapter.rank)
}

fn product(scale: f32, a: &[f32], b: &[f32], rank: usize) -> Vec<f64> {
    let inputs = a.len() / rank;
    let cell = |b: &[f32], col: usize| {
        let terms = (0..rank).map(|r| f64::from(b[r]) * f64::from(a[r * inputs + col]));
        f64::from(scale) * terms.sum::<f64>()
    };
    b.chunks(rank).flat_map(|b| (0..inputs).map(move |col| cell(b, col))).collect()
}

fn far(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    let adapter = Adapter { alpha: 12.0, ..tiny::adapter(&config(), Method::Lora, 6, 3) };
    let bytes = to_gguf(&config(), &adapter).unwrap();
    assert_eq!(bytes, to_gguf(&config(), &adapter).unwrap(), "the same adapter, the same bytes");
    assert_eq!(read(bytes).unwrap(), adapter);
}

#[test]
fn rslora_is_rescaled() {
    let adapter = Adapter {
        method: Method::RsLora,
        alpha: 3.0,
        ..tiny::adapter(&config(), Method::Lora, 6, 3)
    };
    let bytes = to_gguf(&config(), &adapter).unwrap();
    let gguf = block_on(Gguf::read(&mut BytesSource::new("a", bytes.clone()))).unwrap();
    let alpha = gguf.metadata.f32("adapter.lora.alpha").unwrap();
    assert!((alpha - 3.0 * 6f32.sqrt()).abs() < 1e-6, "alpha * sqrt(r), not {alpha}");
    let back = read(bytes).unwrap();
    assert_eq!((back.method, &back.weights), (Method::Lora, &adapter.weights));
    let off = far(&update(&back, 1, Module::Up), &update(&adapter, 1, Module::Up));
    assert!(off < 1e-6, "{off}");
}

/// PEFT's B of q and k has Hugging Face's order of rows, the GGUF adapter its base's; all else is the same in both.
#[test]
fn rows_of_q_and_k_are_permuted_between_the_formats() {
    let config = config();
    let peft = to_peft(&config, &tiny::adapter(&config, Method::Lora, 2, 9));
    let bytes = to_gguf(&config, &from_peft(&config, &peft).unwrap()).unwrap();
    let gguf = block_on(Gguf::read(&mut BytesSource::new("a", bytes.clone()))).unwrap();
    for PeftTensor { layer, module, part, data, .. } in &peft.tensors {
        let module = Module::from_name(module).unwrap();
        let half = if *part == Part::A { "lora_a" } else { "lora_b" };
        let info = gguf.tensor(&format!("{}.{half}", module.weight_name(*layer))).unwrap();
        let raw = &bytes[info.offset as usize..][..info.bytes as usize];
        let written: Vec<f32> =
            raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let heads = match (part, module) {
            (Part::B, Module::Q) => Some(config.heads),
            (Part::B, Module::K) => Some(config.kv_heads),
            _ => None,
        };
        match heads {
            Some(heads) => {
                assert_eq!(written, permute_rows(data, heads, 2));
                assert_ne!(&written, data, "a permutation that moves nothing shows nothing");
            }
            None => assert_eq!(&written, data),
        }
    }
}

/// A file as another program may write it: ranks by pair, types by tensor, few modules, norms.
#[test]
fn uneven_ranks_and_other_types_are_read() {
    let (config, mut writer) = (config(), GgufWriter::new());
    header(&mut writer);
    let pairs = [
        (0, Module::Q, 3, TensorType::F32),
        (1, Module::Down, 1, TensorType::F16),
        (1, Module::Gate, 32, TensorType::Q8_0),
        (0, Module::V, 2, TensorType::BF16),
    ];
    let mut wanted = Vec::new();
    for (layer, module, rank, ty) in pairs {
        let (outputs, inputs) = module.shape(&config);
        let halves = [("lora_a", rank, inputs), ("lora_b", outputs, rank)];
        let halves = halves.map(|(half, rows, cols)| {
            let values = values(rows * cols, (rows + cols) as u64);
            let mut bytes = Vec::new();
            quantize(ty, &values, &mut bytes);
            // ggml leaves lengths of 1 at the end out.
            let shape: Vec<u64> = [cols as u64, rows as u64][..1 + usize::from(rows > 1)].to_vec();
            writer.tensor(&format!("{}.{half}", module.weight_name(layer)), ty, &shape, bytes);
            values
        });
        wanted.push((layer, module, rank, halves));
    }
    writer.tensor("blk.0.attn_norm.weight", TensorType::F32, &[64], vec![0; 256]);
    let adapter = read(writer.to_bytes()).unwrap();
    assert_eq!(adapter.rank, 32, "the largest");
    for (layer, module, rank, [a, b]) in wanted {
        let off = far(&update(&adapter, layer, module), &product(8.0 / rank as f32, &a, &b, rank));
        // Rounded to half floats or to 8 bits where the file was.
        assert!(off < 0.1 * 8.0 / (rank as f64).sqrt(), "{module:?}: {off}");
        assert!(module != Module::Q || off < 1e-5, "F32 is not rounded: {off}");
    }
    let untouched = update(&adapter, 0, Module::Up);
    assert!(untouched.iter().all(|value| *value == 0.0), "a module that is not there");
}

#[test]
fn without_alpha_the_scale_is_one() {
    let mut writer = GgufWriter::new();
    header(&mut writer);
    let pair = |writer: &mut GgufWriter| {
        add(writer, "blk.0.attn_v.weight.lora_a", &[64, 4]);
        add(writer, "blk.0.attn_v.weight.lora_b", &[4, 32]);
    };
    pair(&mut writer);
    let with = read(writer.to_bytes()).unwrap();
    assert_eq!(with.method.scale(with.alpha, with.rank), 2.0);
    for alpha in [None, Some(0.0)] {
        let mut writer = GgufWriter::new();
        base_keys(&mut writer);
        if let Some(alpha) = alpha {
            writer.key("adapter.lora.alpha", Value::F32(alpha));
        }
        pair(&mut writer);
        let without = read(writer.to_bytes()).unwrap();
        assert_eq!(without.method.scale(without.alpha, without.rank), 1.0);
    }
}

fn base_keys(writer: &mut GgufWriter) {
    writer
        .key("general.type", Value::String("adapter".into()))
        .key("general.architecture", Value::String("llama".into()))
        .key("adapter.type", Value::String("lora".into()));
}

fn header(writer: &mut GgufWriter) {
    base_keys(writer);
    writer.key("adapter.lora.alpha", Value::F32(8.0));
}

fn add(writer: &mut GgufWriter, name: &str, shape: &[u64]) {
    let n = shape.iter().product::<u64>() as usize;
    let mut bytes = Vec::new();
    quantize(TensorType::F32, &values(n, n as u64), &mut bytes);
    writer.tensor(name, TensorType::F32, shape, bytes);
}

#[test]
fn what_llama_cpp_refuses_is_refused_with_the_tensors_name() {
    let check = |says: &[&str], change: &dyn Fn(&mut GgufWriter)| {
        let mut writer = GgufWriter::new();
        header(&mut writer);
        change(&mut writer);
        let error = read(writer.to_bytes()).expect_err(says[0]).to_string();
        assert!(says.iter().all(|says| error.contains(says)), "{error:?} does not say {says:?}");
    };
    let (a, b) = ("blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b");
    let pair = |w: &mut GgufWriter, a_shape: &[u64], b_shape: &[u64]| {
        add(w, a, a_shape);
        add(w, b, b_shape);
    };
    let good = |w: &mut GgufWriter| pair(w, &[64, 4], &[4, 64]);
    let text = |text: &str| Value::String(text.into());
    check(&["type `model`"], &|w| {
        good(w);
        w.key("general.type", text("model"));
    });
    check(&["adapter.type", "control_vector"], &|w| {
        good(w);
        w.key("adapter.type", text("control_vector"));
    });
    check(&["architecture `qwen2`", "`llama`"], &|w| {
        good(w);
        w.key("general.architecture", text("qwen2"));
    });
    check(&["aLoRA"], &|w| {
        good(w);
        w.key("adapter.alora.invocation_tokens", Value::Numbers(Numbers::from_i32(&[1])));
    });
    check(&["adapter.lora.alpha", "NaN"], &|w| {
        good(w);
        w.key("adapter.lora.alpha", Value::F32(f32::NAN));
    });
    check(&["no pair"], &|_| ());
    check(&["attn_q", ".lora_b"], &|w| add(w, a, &[64, 4]));
    check(&["attn_q", ".lora_a"], &|w| add(w, b, &[4, 64]));
    check(&["blk.0.attn_q.weight.lora_c", "neither"], &|w| {
        good(w);
        add(w, "blk.0.attn_q.weight.lora_c", &[4]);
    });
    check(&["ranks of `blk.0.attn_q.weight` differ"], &|w| pair(w, &[64, 4], &[5, 64]));
    check(&[a, "[4, 32]", "does not fit"], &|w| pair(w, &[32, 4], &[4, 64]));
    check(&[b, "[48, 4]", "does not fit"], &|w| pair(w, &[64, 4], &[4, 48]));
    check(&[a, "no matrix"], &|w| pair(w, &[64, 4, 2], &[4, 64]));
    check(&["rank 300"], &|w| pair(w, &[64, 300], &[300, 64]));
    for base in ["token_embd", "output", "blk.2.attn_q", "blk.00.attn_q", "blk.0.ffn_gate_exps"] {
        check(&[&format!("{base}.weight"), "no linear"], &|w| {
            add(w, &format!("{base}.weight.lora_a"), &[64, 4]);
            add(w, &format!("{base}.weight.lora_b"), &[4, 64]);
        });
    }
}

#[test]
fn what_the_format_cannot_say_is_not_written() {
    let config = config();
    for method in [Method::Dora, Method::Ia3] {
        let adapter = LoraLayout::new(&config, method, 4).fresh(8.0, 1);
        let error = to_gguf(&config, &adapter).unwrap_err().to_string();
        assert!(error.contains("no form") && error.contains("export to PEFT, or merge"), "{error}");
    }
    let zero = Adapter { alpha: 0.0, ..tiny::adapter(&config, Method::Lora, 4, 1) };
    assert!(to_gguf(&config, &zero).unwrap_err().to_string().contains("alpha of 0"));
}

/// A path is told by what it holds: the same adapter in both formats, under any name, answers alike.
#[test]
fn both_formats_are_told_apart_by_what_they_are() {
    let (config, folder) = (config(), tempfile::tempdir().unwrap());
    let adapter = tiny::adapter(&config, Method::Lora, 4, 5);
    let [peft, gguf] = ["a.gguf", "b.safetensors"].map(|name| folder.path().join(name));
    adapters::write(&config, &adapter, adapters::AdapterFormat::Peft, &peft).unwrap();
    adapters::write(&config, &adapter, adapters::AdapterFormat::Gguf, &gguf).unwrap();
    let all = [&peft, &gguf].map(|path| block_on(adapters::read(&config, path)).unwrap());
    assert_eq!(all, [adapter.clone(), adapter.clone()]);
    let again = adapters::write(&config, &adapter, adapters::AdapterFormat::Gguf, &gguf);
    assert!(again.unwrap_err().to_string().contains("exists"), "no file is overwritten");
    let (text, pickle) = (folder.path().join("text"), folder.path().join("pickle"));
    fs::write(&text, "no adapter").unwrap();
    fs::create_dir(&pickle).unwrap();
    fs::write(pickle.join("adapter_model.bin"), "PK").unwrap();
    let says = |path: &Path| block_on(adapters::read(&config, path)).unwrap_err().to_string();
    assert!(says(&text).contains("no adapter"));
    assert!(says(&pickle).contains("safe_serialization"));
    assert!(says(&folder.path().join("missing")).contains("missing"));
    assert!(says(folder.path()).contains("adapter_config.json"));
    // A model is no adapter.
    let model = folder.path().join("model.gguf");
    fs::write(&model, tiny::file(TensorType::F32, 1)).unwrap();
    assert!(says(&model).contains("not `adapter`"));
}

#[test]
fn a_weight_is_what_stands_behind_the_last_equals_sign() {
    let of = |text: &str| format!("{:?}", adapters::parse(text));
    assert_eq!(of("mine"), r#"Ok(Weighted { path: "mine", weight: 1.0 })"#);
    assert_eq!(of("mine=0.5"), r#"Ok(Weighted { path: "mine", weight: 0.5 })"#);
    assert_eq!(of("a=b"), r#"Ok(Weighted { path: "a=b", weight: 1.0 })"#);
    assert_eq!(of("a=1=-2"), r#"Ok(Weighted { path: "a=1", weight: -2.0 })"#);
    for wrong in ["", "=0.5", "mine=inf", "mine=NaN"] {
        assert!(adapters::parse(wrong).is_err(), "{wrong}");
    }
}

/// PEFT's own numbers survive the way through a GGUF file and back.
#[test]
fn peft_through_gguf_and_back_is_the_same() {
    let config = config();
    let peft =
        PeftAdapter { alpha: 7.0, ..to_peft(&config, &tiny::adapter(&config, Method::Lora, 4, 2)) };
    let bytes = to_gguf(&config, &from_peft(&config, &peft).unwrap()).unwrap();
    assert_eq!(to_peft(&config, &read(bytes).unwrap()), peft);
}
