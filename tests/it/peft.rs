//! PEFT adapters: round trips of every method, other tools' spellings, refusals with reasons; the permutation of
//! q's and k's rows.

use crate::common::Random;
use crate::tiny;
use apprentice::device::Device;
use apprentice::format::peft::{Part, PeftAdapter, PeftTensor, permute_rows, unpermute_rows};
use apprentice::format::safetensors::{NamedTensor, read_f32, write_f32};
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::peft::{from_peft, to_peft};
use apprentice::quant::TensorType;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

fn tensor(layer: usize, module: &str, part: Part, shape: [usize; 2]) -> PeftTensor {
    let mut random = Random(layer as u64 + shape[0] as u64);
    let data = (0..shape[0] * shape[1]).map(|_| random.float()).collect();
    PeftTensor { layer, module: module.into(), part, shape, data }
}

fn adapter() -> PeftAdapter {
    let tensors = vec![
        tensor(0, "q_proj", Part::A, [2, 8]),
        tensor(0, "q_proj", Part::B, [6, 2]),
        tensor(0, "down_proj", Part::A, [2, 12]),
        tensor(0, "down_proj", Part::B, [8, 2]),
        tensor(11, "k_proj", Part::A, [2, 8]),
        tensor(11, "k_proj", Part::B, [4, 2]),
    ];
    let base_model_name = "HuggingFaceTB/SmolLM2-135M-Instruct".to_string();
    PeftAdapter { rank: 2, alpha: 4.0, use_rslora: false, base_model_name, tensors }
}

#[test]
fn what_is_written_is_read_back() {
    let original = adapter();
    let (config, weights) = original.write();
    assert_eq!(PeftAdapter::read(&config, &weights).unwrap(), original);
    assert_eq!(original.write(), (config, weights), "the same adapter gives the same bytes");
    let rslora = PeftAdapter { use_rslora: true, alpha: 1.5, ..original };
    let (config, weights) = rslora.write();
    let back = PeftAdapter::read(&config, &weights).unwrap();
    assert_eq!(back, rslora);
    assert_eq!(back.scale(), 1.5 / 2f32.sqrt());
}

#[test]
fn keys_and_config_are_those_of_peft() {
    let (config, weights) = adapter().write();
    let names: Vec<_> = read_f32(&weights).unwrap().into_iter().map(|t| t.name).collect();
    assert_eq!(
        names,
        [
            "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight",
            "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
            "base_model.model.model.layers.11.self_attn.k_proj.lora_A.weight",
            "base_model.model.model.layers.11.self_attn.k_proj.lora_B.weight",
        ]
    );
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["peft_type"], "LORA");
    assert_eq!(config["task_type"], "CAUSAL_LM");
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(2), &json!(4)));
    assert_eq!(config["target_modules"], json!(["q_proj", "k_proj", "down_proj"]));
    assert!(weights.windows(15).any(|window| window == br#"{"format":"pt"}"#));
}

#[test]
fn other_spellings_and_half_precision_are_read() {
    // 1.5 in BF16 and F16.
    let (bf16, f16) = ([0xc0, 0x3f].repeat(8), [0x00, 0x3e].repeat(6));
    let name = |part: &str| format!("base_model.model.model.layers.3.mlp.up_proj.{part}.weight");
    let views = [
        (name("lora_A.default"), TensorView::new(Dtype::BF16, vec![2, 4], &bf16).unwrap()),
        (name("lora_B.default"), TensorView::new(Dtype::F16, vec![3, 2], &f16).unwrap()),
    ];
    let weights = safetensors::serialize(views, None).unwrap();
    let (config, _) = adapter().write();
    let read = PeftAdapter::read(&config, &weights).unwrap();
    assert_eq!(read.tensors.len(), 2);
    assert_eq!((read.tensors[0].layer, read.tensors[0].part), (3, Part::A));
    assert_eq!((&read.tensors[0].data, &read.tensors[1].data), (&vec![1.5; 8], &vec![1.5; 6]));
}

#[test]
fn what_would_be_computed_differently_is_refused() {
    let check = |key: &str, value: Value, says: &str| {
        let (config, weights) = adapter().write();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config[key] = value;
        let error = PeftAdapter::read(config.to_string().as_bytes(), &weights);
        let error = error.expect_err(says).to_string();
        assert!(error.contains(key) && error.contains(says), "{error}");
    };
    check("rank_pattern", json!({"(q|k)_proj": 4}), "regular expression");
    check("alpha_pattern", json!({"q_proj": "4"}), "q_proj");
    check("alora_invocation_tokens", json!([1, 2]), "aLoRA");
    check("layer_replication", json!([[0, 4]]), "repeats");
    check("init_lora_weights", json!("pissa_niter_16"), "changes the base");
    check("modules_to_save", json!(["lm_head"]), "lm_head");
    check("bias", json!("all"), "all");
    check("peft_type", json!("VERA"), "VERA");
    check("r", json!(0), "rank");
    check("lora_alpha", json!("16"), "16");
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let check = |change: &dyn Fn(&mut Vec<NamedTensor>), says: &str| {
        let (config, weights) = adapter().write();
        let mut tensors = read_f32(&weights).unwrap();
        change(&mut tensors);
        let error = PeftAdapter::read(&config, &write_f32(&tensors)).expect_err(says).to_string();
        assert!(error.contains(says), "{error:?} does not say {says:?}");
    };
    let rename = |from: &'static str, to: &'static str| {
        move |tensors: &mut Vec<NamedTensor>| tensors[0].name = tensors[0].name.replace(from, to)
    };
    check(&rename("down_proj", "lm_head"), "lm_head");
    check(&rename("mlp.", "self_attn."), "self_attn.down_proj");
    check(&rename("lora_A", "lora_embedding_A"), "lora_embedding_A");
    check(&rename("lora_A.weight", "lora_magnitude_vector"), "shape [2, 12]");
    check(&rename("layers.0", "layers.9999"), "names no layer");
    check(&rename("layers.0", "layers.1"), "down_proj of layer 0 has lora_B, not lora_A, lora_B");
    check(&|tensors| _ = tensors.remove(1), "down_proj of layer 0 has lora_A, not lora_A, lora_B");
    check(&|tensors| tensors.clear(), "no tensors");
    check(&|tensors| tensors[0].shape = vec![24], "not two lengths");
    check(&|tensors| tensors[0].shape = vec![4, 6], "the rank is 2");
    let (config, weights) = adapter().write();
    for len in 0..weights.len() {
        assert!(PeftAdapter::read(&config, &weights[..len]).is_err(), "cut at {len}");
    }
}

/// The methods are what the configuration says and the tensors have, or the adapter is refused.
#[test]
fn a_method_without_its_tensors_is_refused() {
    let check = |key: &str, value: Value, says: &str| {
        let (config, weights) = adapter().write();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config[key] = value;
        let error = PeftAdapter::read(config.to_string().as_bytes(), &weights).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    check("use_dora", json!(true), "lora_A, lora_B, not lora_A, lora_B, lora_magnitude_vector");
    check("peft_type", json!("IA3"), "lora_A, lora_B, not ia3_l");
    check(
        "rank_pattern",
        json!({"q_proj": 4}),
        "self_attn.q_proj.lora_A.weight` is [2, 8], but the rank is 4",
    );
    check("alpha_pattern", json!({"q_proj": 4, "0.self_attn.q_proj": 8}), "both name");
}

/// Patterns of PEFT's, by the end of a module's name: ranks are the tensors' own, scales are evened out in B.
#[test]
fn patterns_of_ranks_and_alphas_are_read() {
    let mut original = adapter();
    // k_proj of layer 11 gets another rank.
    original.tensors[4] = tensor(11, "k_proj", Part::A, [3, 8]);
    original.tensors[5] = tensor(11, "k_proj", Part::B, [4, 3]);
    let (config, weights) = original.write();
    for (use_rslora, factors) in [
        (false, [0.5 / 2.0, 1.0, 9.0 / 3.0 / 2.0]),
        (true, {
            let usual = 4.0 / 2f32.sqrt();
            [1.0 / 2f32.sqrt() / usual, 1.0, 9.0 / 3f32.sqrt() / usual]
        }),
    ] {
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config["use_rslora"] = json!(use_rslora);
        config["rank_pattern"] = json!({"layers\\.11\\.self_attn\\.k_proj": 3});
        config["alpha_pattern"] = json!({"k_proj": 9, "model.layers.0.self_attn.q_proj": 1.0});
        let read = PeftAdapter::read(config.to_string().as_bytes(), &weights).unwrap();
        assert_eq!((read.rank, read.alpha), (2, 4.0));
        for (pair, factor) in [(0, factors[0]), (2, factors[1]), (4, factors[2])] {
            assert_eq!(read.tensors[pair], original.tensors[pair], "A is as it was");
            let (b, was) = (&read.tensors[pair + 1], &original.tensors[pair + 1]);
            for (value, was) in b.data.iter().zip(&was.data) {
                assert!((value - factor * was).abs() <= 1e-6 * was.abs(), "{value}, was {was}");
            }
        }
    }
}

#[test]
fn permuting_q_and_k_rows_is_the_converters_reshape() {
    // One head of 6 rows: rotate-half pairs (0,3), (1,4), (2,5) become neighbours.
    let rows: Vec<f32> = (0..6).map(|row| row as f32).collect();
    assert_eq!(permute_rows(&rows, 1, 1), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    for (n_heads, head_dim, cols) in [(9, 64, 4), (3, 64, 1), (1, 2, 3)] {
        let mut random = Random(1);
        let n_rows = n_heads * head_dim;
        let rows: Vec<f32> = (0..n_rows * cols).map(|_| random.float()).collect();
        let permuted = permute_rows(&rows, n_heads, cols);
        assert_eq!(unpermute_rows(&permuted, n_heads, cols), rows);
        // w.reshape(n_head, 2, out / n_head / 2, in).swapaxes(1, 2), written out.
        for head in 0..n_heads {
            for (half, i) in (0..2).flat_map(|half| (0..head_dim / 2).map(move |i| (half, i))) {
                let source = (head * 2 + half) * (head_dim / 2) + i;
                let target = (head * (head_dim / 2) + i) * 2 + half;
                assert_eq!(permuted[target * cols..][..cols], rows[source * cols..][..cols]);
            }
        }
    }
}

/// Every method of the flat adapter survives PEFT's files, which have PEFT's own names and shapes.
#[test]
fn every_method_goes_out_and_in() {
    let config = tiny::model(&Device::cpu(), TensorType::F32, 1).config;
    for method in Method::ALL {
        let mut adapter = tiny::adapter(&config, method, 4, 7);
        adapter.alpha = if method == Method::Ia3 { 0.0 } else { 6.0 };
        let peft = to_peft(&config, &adapter);
        let (json, weights) = peft.write();
        let read = PeftAdapter::read(&json, &weights).unwrap();
        assert_eq!(read, peft, "{method}");
        // What lies between the parts is no part.
        let back = from_peft(&config, &read).unwrap();
        assert_eq!(to_peft(&config, &back), peft, "{method}");
        assert_eq!((back.method, back.rank, back.alpha), (method, adapter.rank, adapter.alpha));
        let names: Vec<_> =
            read_f32(&weights).unwrap().into_iter().map(|t| (t.name, t.shape)).collect();
        let has = |name: &str, shape: &[usize]| {
            let name = format!("base_model.model.model.layers.1.{name}");
            names.iter().any(|(known, has)| (known, &has[..]) == (&name, shape))
        };
        let json: Value = serde_json::from_slice(&json).unwrap();
        match method {
            Method::Lora | Method::RsLora => {
                assert_eq!(json["use_rslora"], json!(method == Method::RsLora));
                assert!(names.len() == 28 && json["use_dora"] == json!(false));
            }
            Method::Dora => {
                assert!(has("self_attn.k_proj.lora_magnitude_vector", &[32]));
                assert!(names.len() == 42 && json["use_dora"] == json!(true));
            }
            Method::Ia3 => {
                assert!(
                    has("self_attn.k_proj.ia3_l", &[32, 1]) && has("mlp.down_proj.ia3_l", &[1, 96])
                );
                assert_eq!(names.len(), 6);
                assert_eq!(json["peft_type"], "IA3");
                assert_eq!(json["feedforward_modules"], json!(["down_proj"]));
                assert_eq!(json["target_modules"], json!(["k_proj", "v_proj", "down_proj"]));
            }
        }
    }
}

/// Vectors with a row for each output of q and k are permuted as B is; modules left out keep what the base does.
#[test]
fn vectors_find_their_places() {
    let config = tiny::model(&Device::cpu(), TensorType::F32, 1).config;
    let numbers = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<_>>();
    let factors = |module: &str, shape: [usize; 2]| PeftTensor {
        layer: 1,
        module: module.into(),
        part: Part::Factors,
        shape,
        data: numbers(shape[0] * shape[1]),
    };
    let peft = |tensors: Vec<PeftTensor>| PeftAdapter {
        rank: 0,
        alpha: 0.0,
        use_rslora: false,
        base_model_name: String::new(),
        tensors,
    };
    let read =
        from_peft(&config, &peft(vec![factors("k_proj", [32, 1]), factors("down_proj", [1, 96])]));
    let adapter = read.unwrap();
    let layout = LoraLayout::of(&config, &adapter);
    let vector = |layer, module| {
        let slot = layout.slot(layer, module);
        adapter.weights[slot.vector..][..slot.vector_len].to_vec()
    };
    assert_eq!(vector(1, Module::K), permute_rows(&numbers(32), config.kv_heads, 1));
    assert_ne!(vector(1, Module::K), numbers(32));
    assert_eq!(vector(1, Module::Down), numbers(96));
    assert_eq!(vector(1, Module::V), [1.0; 32], "left out");
    assert_eq!(vector(0, Module::Down), [1.0; 96], "left out");
    let refused = |tensors, says: &str| {
        let error = from_peft(&config, &peft(tensors)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(vec![factors("q_proj", [64, 1])], "q_proj");
    refused(vec![factors("k_proj", [1, 64])], "layers.1.k_proj");
    refused(vec![factors("down_proj", [64, 1])], "layers.1.down_proj");
    let mut dora = to_peft(&config, &tiny::adapter(&config, Method::Dora, 4, 7));
    dora.tensors.truncate(39);
    let error = from_peft(&config, &dora).unwrap_err().to_string();
    assert!(error.contains("all seven"), "{error}");
}
