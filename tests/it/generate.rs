//! Generation on a tiny model, on both devices: the cache says what a pass without a cache says, and every setting of
//! sampling does what its name says.

use crate::tiny;
use apprentice::device::Device;
use apprentice::model::batch::Job;
use apprentice::model::generate::{Cancel, Generation, Progress, StopReason};
use apprentice::model::method::Method;
use apprentice::model::pass::{Target, causal_rows};
use apprentice::model::sampler::Sampling;
use apprentice::model::{Model, ModelError};
use apprentice::quant::TensorType;
use apprentice::tensor::TileType;
use pollster::block_on;

const PROMPT: [u32; 6] = [70, 101, 257, 33, 104, 258];

fn model(device: &Device) -> Model {
    tiny::model(device, TensorType::Q8_0, 3)
}

fn generate(model: &mut Model, prompt: &[u32], n: usize, sampling: &Sampling) -> Generation {
    let cancel = Cancel::default();
    block_on(model.generate(prompt, n, sampling, &cancel, &mut |_| true)).unwrap()
}

/// A temperature at which the tiny model's choices vary.
fn warm(seed: u64) -> Sampling {
    Sampling { temperature: 2.0, top_k: 0, top_p: 1.0, seed, ..Sampling::default() }
}

#[test]
fn the_cache_says_what_a_whole_pass_says() {
    for device in tiny::devices() {
        let mut model = model(&device);
        let said = generate(&mut model, &PROMPT, 20, &Sampling::default());
        assert_eq!((said.tokens.len(), said.stop_reason), (20, StopReason::Length));
        let all: Vec<u32> = PROMPT.iter().chain(&said.tokens).copied().collect();
        let rows = causal_rows(&all, 0);
        let targets: Vec<Target> =
            (PROMPT.len()..all.len()).map(|i| Target { row: i as u32 - 1, label: 0 }).collect();
        let logits = block_on(model.logits_of(&rows, &targets)).unwrap();
        for (logits, token) in logits.chunks(model.config.vocab).zip(&said.tokens) {
            let best = logits.iter().copied().fold(f32::MIN, f32::max);
            let chosen = logits[*token as usize];
            assert!(best - chosen < 1e-4, "{}: {chosen} of {best}", device.kind());
        }
    }
}

/// What decoding keeps of an adapter must not outlive its numbers.
#[test]
fn an_adapter_that_changes_in_place_is_seen() {
    for device in tiny::devices() {
        let mut model = model(&device);
        let [old, new] = [1, 2].map(|seed| tiny::adapter(&model.config, Method::Lora, 6, seed));
        let said = |model: &mut Model| generate(model, &PROMPT, 20, &Sampling::default()).tokens;
        model.set_adapter(Some(&new)).unwrap();
        let of_new = said(&mut model);
        model.set_adapter(Some(&old)).unwrap();
        assert_ne!(said(&mut model), of_new);
        let flat = model.lora().unwrap().flat.buffer.clone();
        device.write(&flat, 0, &new.weights).unwrap();
        model.adapter_changed().unwrap();
        assert_eq!(said(&mut model), of_new, "{}", device.kind());
    }
}

#[test]
fn a_kept_prefix_changes_nothing() {
    for device in tiny::devices() {
        let longer = [&PROMPT[..], &[65, 66, 67]].concat();
        let fresh = generate(&mut model(&device), &longer, 8, &Sampling::default());
        assert_eq!(fresh.reused_tokens, 0);
        let mut model = model(&device);
        generate(&mut model, &PROMPT, 8, &Sampling::default());
        let again = generate(&mut model, &longer, 8, &Sampling::default());
        assert_eq!((&again.tokens, again.reused_tokens), (&fresh.tokens, PROMPT.len()));
        // The same prompt again keeps all but its last token, whose logits are needed.
        let same = generate(&mut model, &longer, 8, &Sampling::default());
        assert_eq!((&same.tokens, same.reused_tokens), (&fresh.tokens, longer.len() - 1));
    }
}

#[test]
fn a_seed_is_a_text() {
    let device = Device::cpu();
    let mut model = model(&device);
    let said: Vec<_> = [1, 1, 2]
        .iter()
        .map(|seed| generate(&mut model, &PROMPT, 16, &warm(*seed)).tokens)
        .collect();
    assert_eq!(said[0], said[1]);
    assert_ne!(said[0], said[2]);
    // One candidate is greedy, whatever the temperature.
    let one = Sampling { top_k: 1, ..warm(5) };
    let greedy = generate(&mut model, &PROMPT, 16, &Sampling::default());
    assert_eq!(generate(&mut model, &PROMPT, 16, &one).tokens, greedy.tokens);
}

#[test]
fn a_heavy_penalty_forbids_repetition() {
    for device in tiny::devices() {
        let mut model = model(&device);
        let plain = generate(&mut model, &PROMPT, 20, &Sampling::default()).tokens;
        let distinct = |tokens: &[u32]| {
            let all: std::collections::BTreeSet<u32> =
                PROMPT.iter().chain(tokens).copied().collect();
            all.len() == PROMPT.len() + tokens.len()
        };
        assert!(!distinct(&plain), "a random model repeats itself: {plain:?}");
        let penalty = Sampling { repetition_penalty: 1e6, ..Sampling::default() };
        let tokens = generate(&mut model, &PROMPT, 20, &penalty).tokens;
        assert!(distinct(&tokens) && tokens.len() == 20, "{tokens:?}");
    }
}

#[test]
fn it_stops_when_it_is_told() {
    let device = Device::cpu();
    let mut model = model(&device);
    let whole = generate(&mut model, &PROMPT, 20, &Sampling::default()).tokens;
    let cancel = Cancel::default();
    let mut heard = 0;
    let mut on_progress = |progress: Progress<'_>| {
        heard += usize::from(matches!(progress, Progress::Text(_)));
        if heard == 3 {
            cancel.raise();
        }
        true
    };
    let sampling = Sampling::default();
    let run = model.generate(&PROMPT, 20, &sampling, &cancel, &mut on_progress);
    let cut = block_on(run).unwrap();
    assert_eq!(cut.stop_reason, StopReason::Cancelled);
    assert_eq!(cut.tokens, whole[..3]);
    // And the conversation goes on from there as if nothing had been cut.
    let prompt = [&PROMPT[..], &whole[..3]].concat();
    assert_eq!(generate(&mut model, &prompt, 17, &Sampling::default()).tokens, whole[3..]);
    // A listener that has heard enough.
    let mut calls = 0;
    let mut enough = |_: Progress<'_>| {
        calls += 1;
        calls < 3
    };
    let heard = block_on(model.generate(&PROMPT, 20, &sampling, &Cancel::default(), &mut enough));
    let heard = heard.unwrap();
    assert_eq!((heard.tokens.as_slice(), heard.stop_reason), (&whole[..2], StopReason::Stop));
}

#[test]
fn the_context_is_a_limit() {
    let device = Device::cpu();
    let mut model = model(&device);
    let said = generate(&mut model, &PROMPT, 1000, &Sampling::default());
    assert_eq!(said.stop_reason, StopReason::Length);
    assert_eq!(PROMPT.len() + said.tokens.len(), tiny::CONTEXT);
    let cancel = Cancel::default();
    let sampling = Sampling::default();
    for (prompt, n) in [(vec![], 0), (vec![65; tiny::CONTEXT], tiny::CONTEXT + 1)] {
        let mut listen = |_: Progress<'_>| true;
        let run = model.generate(&prompt, 5, &sampling, &cancel, &mut listen);
        match block_on(run).unwrap_err() {
            ModelError::EmptyPrompt => assert!(prompt.is_empty()),
            ModelError::Context { wanted, capacity } => {
                assert_eq!((wanted, capacity), (n, tiny::CONTEXT));
            }
            other => panic!("{other}"),
        }
    }
}

/// Jobs of different lengths, more of them than there are streams at once.
fn jobs() -> Vec<Job> {
    let prompt =
        |i: usize| -> Vec<u32> { (0..3 + i % 4).map(|j| 65 + (i + 3 * j) as u32).collect() };
    (0..9)
        .map(|i| Job {
            prompt: prompt(i),
            tokens_max: [3, 12, 0, 7][i % 4],
            sampling: if i % 3 == 1 { warm(i as u64) } else { Sampling::default() },
        })
        .collect()
}

#[test]
fn texts_side_by_side_are_the_texts_one_by_one() {
    for device in tiny::devices() {
        let mut model = model(&device);
        let jobs = jobs();
        let longest = jobs.iter().map(|job| job.prompt.len() + job.tokens_max).max().unwrap();
        assert!(jobs.len() > tiny::CONTEXT / longest, "streams take turns");
        let cancel = Cancel::default();
        let batch = block_on(model.generate_batch(&jobs, &cancel, &|_| false)).unwrap();
        for (job, written) in jobs.iter().zip(&batch) {
            let alone = generate(&mut model, &job.prompt, job.tokens_max, &job.sampling);
            assert_eq!(written, &Generation { reused_tokens: 0, ..alone }, "{}", device.kind());
        }
        // The listener's word ends a text, and a penalty holds for its own stream alone.
        let penalty = Sampling { repetition_penalty: 1e6, ..Sampling::default() };
        let job = |sampling: &Sampling| Job {
            prompt: PROMPT.to_vec(),
            tokens_max: 12,
            sampling: sampling.clone(),
        };
        let two = [job(&penalty), job(&Sampling::default())];
        let never = block_on(model.generate_batch(&two, &cancel, &|_| false)).unwrap();
        for (job, written) in two.iter().zip(&never) {
            let alone = generate(&mut model, &job.prompt, job.tokens_max, &job.sampling);
            assert_eq!(written.tokens, alone.tokens, "{}", device.kind());
        }
        let one = block_on(model.generate_batch(&two, &cancel, &|_| true)).unwrap();
        assert!(one.iter().all(|g| g.tokens.len() == 1 && g.stop_reason == StopReason::Stop));
    }
}

#[test]
fn texts_that_begin_alike_are_the_texts_one_by_one() {
    for device in tiny::devices() {
        let [mut model, mut other] = [0; 2].map(|_| model(&device));
        let mut jobs = jobs();
        for (job, last) in jobs.iter_mut().zip([90, 91].into_iter().cycle()) {
            job.prompt.splice(..0, (70..78).chain([last]));
            job.tokens_max = job.tokens_max.min(2);
        }
        let longest = jobs.iter().map(|job| job.prompt.len() + job.tokens_max).max().unwrap();
        assert!(tiny::CONTEXT - 8 >= 2 * longest, "streams lie side by side");
        let cancel = Cancel::default();
        // The second time the opening is there already.
        for _ in 0..2 {
            let batch = block_on(model.generate_batch(&jobs, &cancel, &|_| false)).unwrap();
            for (job, written) in jobs.iter().zip(&batch) {
                let alone = generate(&mut other, &job.prompt, job.tokens_max, &job.sampling);
                assert_eq!(written, &Generation { reused_tokens: 0, ..alone }, "{}", device.kind());
            }
        }
        let next = generate(&mut model, &jobs[0].prompt, 1, &Sampling::default());
        assert_eq!(next.reused_tokens, 8, "a conversation goes on from it");
    }
}

/// A software adapter multiplies few rows in a way of its own; here it runs what a hardware GPU does.
#[test]
fn side_by_side_in_a_gpus_own_kernels_the_texts_are_the_same() {
    let [_, gpu] = tiny::devices();
    let mut model = model(&gpu);
    model.weights.set_tile(TileType::F32);
    let jobs = jobs();
    let batch = block_on(model.generate_batch(&jobs, &Cancel::default(), &|_| false)).unwrap();
    for (job, written) in jobs.iter().zip(&batch) {
        let alone = generate(&mut model, &job.prompt, job.tokens_max, &job.sampling);
        assert_eq!(written.tokens, alone.tokens);
    }
}

#[test]
fn a_cancelled_batch_says_so_of_every_text() {
    let mut model = model(&Device::cpu());
    let cancel = Cancel::default();
    let stop = |text: &str| {
        if text.chars().count() > 1 {
            cancel.raise();
        }
        false
    };
    let texts = block_on(model.generate_batch(&jobs(), &cancel, &stop)).unwrap();
    assert_eq!(texts.len(), jobs().len());
    let cut = texts.iter().filter(|text| text.stop_reason == StopReason::Cancelled).count();
    assert!(cut >= 5, "{texts:?}");
}

/// Counts that do not depend on the machine, so that they cannot grow unnoticed.
#[test]
fn a_decoded_token_costs_six_dispatches_a_layer_and_at_most_one_submit() {
    for device in tiny::devices() {
        check_cost(&device, &mut model(&device), 6);
        for family in ["llama3", "qwen2", "qwen3"] {
            check_cost(&device, &mut tiny::family(&device, family), 6);
        }
    }
}

#[test]
fn beside_an_adapter_of_any_method_it_costs_seven() {
    for device in tiny::devices() {
        for mut model in [model(&device), tiny::family(&device, "qwen2")] {
            for method in Method::ALL {
                // A fresh adapter says what the base says, which is long enough.
                let fresh = block_on(model.fresh_adapter(method, 6, 6.0, 1)).unwrap();
                model.set_adapter(Some(&fresh)).unwrap();
                // The first token pays for the adapter's copy.
                generate(&mut model, &PROMPT, 2, &Sampling::default());
                check_cost(&device, &mut model, 7);
            }
        }
    }
}

#[track_caller]
fn check_cost(device: &Device, model: &mut Model, layer: u64) {
    model.clear_cache();
    let mut cost = |n: usize| {
        let before = device.stats();
        assert_eq!(generate(model, &PROMPT, n, &Sampling::default()).tokens.len(), n);
        model.clear_cache();
        let after = device.stats();
        (after.dispatches - before.dispatches, after.submits - before.submits)
    };
    // The families' models end their texts after 16 tokens.
    let (few, many) = (cost(5), cost(15));
    let layers = model.config.layers as u64;
    // Outside the layers: embedding, last norm, head, argmax.
    assert_eq!(many.0 - few.0, 10 * (layer * layers + 4), "{}", device.kind());
    assert!(many.1 - few.1 <= 10, "{}: {} submits", device.kind(), many.1 - few.1);
}
