//! What protects earlier learning inside the trainer: EWC's gradient against differences of its penalty, its measurement
//! against single gradients, and surgery against the formula; on a tiny model, on both devices.
//!
//! A step at learning rate 0 shows the gradient that the optimizer saw. Invariant: every number compared was made by the
//! trainer's own way, none by a second copy of its code.

use crate::golden::relative;
use crate::tiny;
use apprentice::device::Device;
use apprentice::format::message::Message;
use apprentice::learn::engine::Engine;
use apprentice::learn::student::{Objective, Passage, Penalty, Student, TrainItem, TrainPlan};
use apprentice::model::Model;
use apprentice::model::adapter::Adapter;
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::score::Scored;
use apprentice::quant::TensorType;
use apprentice::train::importance::Spots;
use apprentice::train::{Form, Goal, Guards, Importance, Sequence, Surgery, Trainer};
use pollster::block_on;

const RANK: usize = 3;
const ROWS: usize = 32;
const LAMBDA: f32 = 0.7;

fn model(device: &Device) -> (Model, LoraLayout) {
    let mut model = tiny::model(device, TensorType::Q8_0, 1);
    let layout = LoraLayout::new(&model.config, Method::Lora, RANK);
    model.set_adapter(Some(&tiny::adapter(&model.config, Method::Lora, RANK, 1))).unwrap();
    (model, layout)
}

fn guarded(model: &Model, layout: &LoraLayout, guards: Guards) -> Trainer {
    let trainer = Trainer::guarded(model, layout, ROWS, guards).unwrap();
    trainer.zero_grad().unwrap();
    trainer
}

/// The gradient that the optimizer sees.
fn seen(trainer: &mut Trainer, model: &mut Model) -> Vec<f32> {
    block_on(trainer.step(model, 0.0, 0.0)).unwrap();
    block_on(trainer.gradient()).unwrap()
}

/// Some importance of a form: positive numbers, in the order of the adapter.
fn importance(form: Form, model: &Model, layout: &LoraLayout) -> Importance {
    let spots = Spots::new(&model.config, layout);
    let numbers = |n: usize| (0..n).map(|i| 0.1 + (i % 13) as f32 / 7.0).collect::<Vec<f32>>();
    let (inputs, values) = match form {
        Form::Diagonal => (Vec::new(), numbers(layout.len)),
        Form::Function => (numbers(spots.inputs), numbers(spots.outputs)),
    };
    Importance { form, rank: RANK, mass: 1.0, inputs, values }
}

/// λ/2 s² Σ_ij g_i a_j (B A - B* A*)_ij² of one linear, in f64.
fn penalty(
    weights: &[f64],
    anchor: &Adapter,
    importance: &Importance,
    (model, layout): (&Model, &LoraLayout),
    (layer, module): (usize, Module),
) -> f64 {
    let (slot, spot) =
        (layout.slot(layer, module), Spots::new(&model.config, layout).at(layer, module));
    let s = f64::from(anchor.alpha) / RANK as f64;
    let mut sum = 0.0;
    for i in 0..slot.outputs {
        for j in 0..slot.inputs {
            let product = |k: usize, at: &dyn Fn(usize) -> f64| {
                at(slot.b + i * RANK + k) * at(slot.a + k * slot.inputs + j)
            };
            let now: f64 = (0..RANK).map(|k| product(k, &|at| weights[at])).sum();
            let then: f64 =
                (0..RANK).map(|k| product(k, &|at| f64::from(anchor.weights[at]))).sum();
            let weight = f64::from(importance.values[spot.output + i])
                * f64::from(importance.inputs[spot.input + j]);
            sum += weight * (s * (now - then)).powi(2);
        }
    }
    0.5 * f64::from(LAMBDA) * sum
}

#[test]
fn the_function_penalty_pulls_as_its_differences_say() {
    for device in tiny::devices() {
        let (mut model, layout) = model(&device);
        let anchor = tiny::adapter(&model.config, Method::Lora, RANK, 1);
        let moved = tiny::adapter(&model.config, Method::Lora, RANK, 2);
        let importance = importance(Form::Function, &model, &layout);
        let guards = Guards { ewc: Some(Form::Function), ..Guards::default() };
        let mut trainer = guarded(&model, &layout, guards);
        trainer.hold(&model, &importance, LAMBDA).unwrap();
        // At the anchor nothing pulls, but for rounding.
        let still = seen(&mut trainer, &mut model);
        model.set_adapter(Some(&moved)).unwrap();
        trainer.zero_grad().unwrap();
        let pulled = seen(&mut trainer, &mut model);
        let largest = |x: &[f32]| x.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(largest(&still) < 1e-5 * largest(&pulled), "{}", device.kind());
        for (layer, module) in [(0, Module::Q), (1, Module::K), (1, Module::Down), (0, Module::Up)]
        {
            let slot = layout.slot(layer, module);
            let of = |weights: &[f64]| {
                penalty(weights, &anchor, &importance, (&model, &layout), (layer, module))
            };
            let at = [0, 1, RANK * slot.inputs - 1].map(|i| slot.a + i);
            let coordinates =
                at.into_iter().chain([0, 1, RANK * slot.outputs - 1].map(|i| slot.b + i));
            for i in coordinates {
                // Quadratic in one number, so central differences are exact.
                let mut weights: Vec<f64> = moved.weights.iter().map(|w| f64::from(*w)).collect();
                weights[i] += 0.5;
                let up = of(&weights);
                weights[i] -= 1.0;
                let slope = up - of(&weights);
                let got = f64::from(pulled[i]);
                let off = (got - slope).abs();
                let allowed =
                    1e-4 * f64::from(largest(&pulled[slot.a..slot.b + slot.outputs * RANK]));
                assert!(off <= allowed, "{} {module:?} {i}: {got} for {slope}", device.kind());
            }
        }
    }
}

#[test]
fn the_function_penalty_sees_the_function_and_the_diagonal_one_the_numbers() {
    let device = Device::cpu();
    let (mut model, layout) = model(&device);
    let anchor = tiny::adapter(&model.config, Method::Lora, RANK, 1);
    // B by 2, A by a half: the same function.
    let mut same = anchor.clone();
    for layer in 0..model.config.layers {
        for module in Module::ALL {
            let slot = layout.slot(layer, module);
            same.weights[slot.a..][..RANK * slot.inputs].iter_mut().for_each(|w| *w *= 0.5);
            same.weights[slot.b..][..RANK * slot.outputs].iter_mut().for_each(|w| *w *= 2.0);
        }
    }
    for form in [Form::Diagonal, Form::Function] {
        let guards = Guards { ewc: Some(form), ..Guards::default() };
        let mut trainer = guarded(&model, &layout, guards);
        let importance = importance(form, &model, &layout);
        model.set_adapter(Some(&anchor)).unwrap();
        trainer.hold(&model, &importance, LAMBDA).unwrap();
        model.set_adapter(Some(&same)).unwrap();
        let pulled = seen(&mut trainer, &mut model);
        if form == Form::Function {
            assert!(pulled.iter().all(|g| g.abs() < 1e-4), "nothing changed");
            continue;
        }
        let expected = (0..layout.len)
            .map(|i| LAMBDA * importance.values[i] * (same.weights[i] - anchor.weights[i]));
        assert!(relative(&pulled, &expected.collect::<Vec<f32>>()) < 1e-6);
    }
}

fn sequence(first: u32, len: u32, weight: f32) -> Sequence {
    let tokens = (0..len).map(|i| 40 + (11 * i + first) % 200).collect();
    let counted = (0..len).map(|i| i % 3 != 1).collect();
    Sequence { tokens, counted, goal: Goal::Tokens, weight }
}

fn plain(model: &Model, layout: &LoraLayout, sequences: &[Sequence]) -> Vec<f32> {
    let trainer = guarded(model, layout, Guards::default());
    block_on(trainer.accumulate(model, sequences)).unwrap();
    block_on(trainer.gradient()).unwrap()
}

/// g projected off h, plus h, in f64.
fn operated(g: &[f32], h: &[f32]) -> Vec<f32> {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let share = 1.0 - product(g, h).min(0.0) / product(h, h);
    g.iter().zip(h).map(|(g, h)| (f64::from(*g) + share * f64::from(*h)) as f32).collect()
}

#[test]
fn surgery_takes_out_what_works_against_what_protects() {
    for device in tiny::devices() {
        let (mut model, layout) = model(&device);
        let teach = sequence(1, 12, 1.0);
        // Part of what protects is the opposite of what is taught, in one run of two.
        for against in [-0.6, 0.6] {
            let protect = [sequence(1, 12, against), sequence(90, 9, 0.5)];
            let (g, h) = (
                plain(&model, &layout, std::slice::from_ref(&teach)),
                plain(&model, &layout, &protect),
            );
            let sum: Vec<f32> = g.iter().zip(&h).map(|(g, h)| g + h).collect();
            let second = layout.slot(1, Module::Q).a;
            let layers =
                [operated(&g[..second], &h[..second]), operated(&g[second..], &h[second..])];
            let expected = [
                (Surgery::Global, operated(&g, &h)),
                (Surgery::Layers, layers.concat()),
                (Surgery::Off, sum.clone()),
            ];
            for (surgery, expected) in expected {
                let mut trainer = guarded(&model, &layout, Guards { surgery, ewc: None });
                let both = trainer.accumulate_both(&model, vec![teach.clone()], protect.to_vec());
                let loss = block_on(both).unwrap();
                assert_eq!(loss.rows, 33);
                let got = seen(&mut trainer, &mut model);
                let off = relative(&got, &expected);
                assert!(off < 1e-4, "{} {surgery:?} {against}: {off}", device.kind());
                let operates = surgery != Surgery::Off && against < 0.0;
                // The test sees a conflict that is left in, and none that is invented.
                assert_eq!(relative(&got, &sum) > 1e-2, operates, "{surgery:?} {against}");
            }
        }
    }
}

#[test]
fn importance_is_measured_text_by_text() {
    for device in tiny::devices() {
        let (model, layout) = model(&device);
        let texts: Vec<Scored> = [(5, 9), (70, 14), (33, 6)]
            .map(|(first, len)| {
                let Sequence { tokens, counted, .. } = sequence(first, len, 1.0);
                Scored { tokens, counted }
            })
            .to_vec();
        let measure = |form, texts: &[Scored]| {
            let trainer = guarded(&model, &layout, Guards { ewc: Some(form), ..Guards::default() });
            block_on(trainer.measure(&model, texts)).unwrap()
        };
        let diagonal = measure(Form::Diagonal, &texts);
        // The mean over texts of the squared gradient of a text's log-probability, which sums over its tokens.
        let mut expected = vec![0.0; layout.len];
        for Scored { tokens, counted } in &texts {
            let (tokens, counted) = (tokens.clone(), counted.clone());
            let text = Sequence { tokens, counted, goal: Goal::Tokens, weight: 1.0 };
            let weight = text.targets() as f32;
            let g = plain(&model, &layout, &[Sequence { weight, ..text }]);
            expected.iter_mut().zip(g).for_each(|(sum, g)| *sum += g * g / texts.len() as f32);
        }
        assert!(relative(&diagonal.values, &expected) < 1e-4, "{}", device.kind());
        assert!(diagonal.values.iter().all(|f| *f >= 0.0) && diagonal.inputs.is_empty());

        let function = measure(Form::Function, &texts);
        let spots = Spots::new(&model.config, &layout);
        // The first linears see the embedding's norm: squares of mean 1.
        let first = spots.at(0, Module::Q);
        let mean = function.inputs[first.input..][..first.inputs].iter().sum::<f32>();
        assert!((mean / first.inputs as f32 - 1.0).abs() < 1e-3, "{mean}");
        // A mean over texts: twice the same ones are as many.
        let twice = measure(Form::Function, &[texts.clone(), texts.clone()].concat());
        assert!(relative(&twice.values, &function.values) < 1e-5);
        assert!(relative(&twice.inputs, &function.inputs) < 1e-5);
        assert!(relative(&measure(Form::Function, &texts[..1]).values, &function.values) > 1e-2);
    }
}

/// A run's plan with no warm-up to speak of.
fn plan(seed: u64, penalty: Option<Penalty>) -> TrainPlan {
    TrainPlan {
        method: Method::Lora,
        rank: RANK,
        alpha: 6.0,
        lr: 1e-2,
        b_ratio: 1.0,
        steps: 8,
        warmup: 1,
        clip: 1.0,
        seed,
        surgery: Surgery::Layers,
        penalty,
    }
}

#[test]
fn the_engine_measures_what_it_draws_and_holds_it() {
    let chat = |question: &str, answer: &str| {
        Passage::Chat(vec![Message::user(question), Message::assistant(answer)])
    };
    let passages =
        [chat("the owl?", "the hen, the owl"), Passage::Text("the owl and the hen and".into())];
    let (model, _) = model(&Device::cpu());
    let start = tiny::adapter(&model.config, Method::Lora, RANK, 1);
    let mut engine = Engine::new(model);
    let mut measure = |seed, form| {
        let plan = plan(seed, None);
        let measured = block_on(engine.importance(Some(&start), &plan, form, &passages)).unwrap();
        assert_eq!(block_on(engine.adapter()).unwrap().as_ref(), Some(&start), "nothing moved");
        assert!(measured.values.iter().all(|f| f.is_finite() && *f >= 0.0));
        assert!(measured.values.iter().any(|f| *f > 0.0));
        measured
    };
    for form in [Form::Diagonal, Form::Function] {
        let measured = measure(1, form);
        assert_eq!(measured, measure(1, form), "a seed is an importance");
        assert_ne!(measured, measure(2, form), "other draws");
    }
    let importance = measure(1, Form::Diagonal);
    // The adapter after each of two steps.
    let mut steps = |lambda| {
        let penalty = Some(Penalty { importance: importance.clone(), lambda });
        block_on(engine.begin_training(Some(&start), &plan(1, penalty))).unwrap();
        let [teach, protect] = [&passages[0], &passages[1]].map(|passage| TrainItem {
            passage: passage.clone(),
            objective: Objective::CrossEntropy,
            weight: 1.0,
            protects: *passage == passages[1],
        });
        let batch = [teach, protect];
        [(); 2].map(|()| {
            let report = block_on(engine.train_step(&batch)).unwrap();
            assert!(report.loss.is_finite() && report.grad_norm > 0.0);
            block_on(engine.adapter()).unwrap().unwrap()
        })
    };
    let (free, held) = (steps(0.0), steps(1e4));
    // The first step starts at the anchor, where nothing pulls; the second does not.
    assert_eq!(free[0], held[0]);
    assert_ne!(free[1], held[1]);
}

#[test]
fn importance_adds_up_over_cycles_and_survives_as_bytes() {
    let device = Device::cpu();
    let (model, layout) = model(&device);
    for form in [Form::Diagonal, Form::Function] {
        let old = Importance { mass: 3.0, ..importance(form, &model, &layout) };
        let mut new = importance(form, &model, &layout);
        new.values.iter_mut().chain(&mut new.inputs).for_each(|value| *value *= 2.0);
        let sum = new.clone().after(&old, 0.5);
        assert_eq!(sum.mass, 2.5);
        let check = |got: &[f32], new: &[f32], old: &[f32], [a, b]: [f32; 2]| {
            let expected: Vec<f32> = new.iter().zip(old).map(|(n, o)| a * n + b * o).collect();
            assert!(got.is_empty() || relative(got, &expected) < 1e-6);
        };
        check(&sum.values, &new.values, &old.values, [1.0, 0.5]);
        check(&sum.inputs, &new.inputs, &old.inputs, [0.4, 0.6]);
        let bytes = sum.to_bytes();
        assert_eq!(Importance::from_bytes(&bytes).unwrap(), sum);
        for cut in [0, 7, 60, bytes.len() - 1] {
            let error = Importance::from_bytes(&bytes[..cut]).unwrap_err().to_string();
            assert!(error.contains("what earlier lessons need"), "{error}");
        }
    }
}

#[test]
fn the_function_form_is_refused_where_there_are_no_pairs() {
    let mut model = tiny::model(&Device::cpu(), TensorType::Q8_0, 1);
    let adapter = tiny::adapter(&model.config, Method::Ia3, RANK, 1);
    let layout = LoraLayout::of(&model.config, &adapter);
    model.set_adapter(Some(&adapter)).unwrap();
    let guarded = |form| {
        let guards = Guards { ewc: Some(form), ..Guards::default() };
        Trainer::guarded(&model, &layout, ROWS, guards).err().map(|error| error.to_string())
    };
    assert_eq!(guarded(Form::Diagonal), None);
    assert!(guarded(Form::Function).expect("refused").contains("take the diagonal form"));
}
