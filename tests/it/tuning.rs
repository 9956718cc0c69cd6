//! The tuning of one-row products: a record is taken where it fits, and measured anew where it does not.

use crate::tiny;
use apprentice::device::Device;
use apprentice::kernels::Gemv;
use apprentice::model::Model;
use apprentice::model::tuning::Tuning;
use apprentice::quant::TensorType;
use pollster::block_on;

const TY: TensorType = TensorType::Q4_1;

fn gpu_model(ty: TensorType) -> Model {
    let [_, gpu] = tiny::devices();
    tiny::model(&gpu, ty, 1)
}

fn dispatches(model: &Model) -> u64 {
    model.device.stats().dispatches
}

#[test]
fn a_record_spares_the_measurement() {
    let mut first = gpu_model(TY);
    let record = block_on(first.tune(None, false)).expect("a tuning").expect("a record");
    assert!(dispatches(&first) > 10, "nothing was measured");
    assert!(first.tuning.names().contains_key(TY.name()), "{:?}", first.tuning);
    let text = String::from_utf8(record.clone()).expect("a record is JSON");
    assert!(text.contains("\"refused\":[]"), "{text}");
    let mut second = gpu_model(TY);
    assert_eq!(first.tuning_name(false), second.tuning_name(false));
    assert!(block_on(second.tune(Some(&record), false)).expect("a tuning").is_none());
    assert_eq!((dispatches(&second), &second.tuning), (0, &first.tuning));
}

#[test]
fn a_record_that_does_not_fit_is_measured_anew() {
    let mut model = gpu_model(TY);
    let good = block_on(model.tune(None, false)).expect("a tuning").expect("a record");
    let text = String::from_utf8(good).expect("a record is JSON");
    let entry = format!("\"{}\":\"{}\"", TY.name(), model.tuning.of(TY).name());
    let edits = [
        text.replace("1 | ", "0 | "),
        text.replace(&entry, "\"Q4_1\":\"by magic\""),
        // A way that exists, and was not asked for.
        text.replace(&entry, "\"Q4_1\":\"int8\""),
        text.replace("\"Q4_1\"", "\"Q4_7\""),
        text[..text.len() / 2].to_string(),
        String::new(),
    ];
    for edit in &edits {
        assert_ne!(*edit, text);
        let before = dispatches(&model);
        let made = block_on(model.tune(Some(edit.as_bytes()), false)).expect("a tuning");
        assert!(made.is_some() && dispatches(&model) > before, "taken: {edit}");
    }
    let mut other = gpu_model(TensorType::Q8_0);
    let made = block_on(other.tune(Some(text.as_bytes()), false)).expect("a tuning");
    assert!(made.is_some(), "another model's record was taken");
}

#[test]
fn the_cpu_device_has_one_way() {
    let mut model = tiny::model(&Device::cpu(), TY, 1);
    assert!(block_on(model.tune(None, false)).expect("no tuning").is_none());
    assert_eq!(model.tuning, Tuning::default());
}

/// What training and scoring compute is the same whatever decoding was tuned to: bit for bit.
#[test]
fn a_pass_of_scores_does_not_know_the_tuning() {
    let mut model = gpu_model(TY);
    let targets = [apprentice::model::pass::Target { row: 0, label: 0 }];
    let score = |model: &mut Model| {
        let rows = apprentice::model::pass::causal_rows(&[3], 0);
        block_on(model.logits_of(&rows, &targets)).expect("a pass of one row")
    };
    let plain = score(&mut model);
    let mut decoded = Vec::new();
    for gemv in Gemv::ALL {
        model.tuning = Tuning::everywhere(&model.device, gemv);
        assert_eq!(score(&mut model), plain, "{}", gemv.name());
        model.clear_cache();
        decoded.push(block_on(model.next_logits(3)).expect("a step"));
    }
    assert_ne!(decoded[0], decoded[2], "decoding did take 8 bits");
}

#[test]
fn lossy_ways_are_tried_where_they_are_asked_for() {
    let mut model = gpu_model(TY);
    let exact = block_on(model.tune(None, false)).expect("a tuning").expect("a record");
    assert!(!model.tuning.of(TY).int8, "a lossy way was taken unasked");
    let record = block_on(model.tune(Some(&exact), true)).expect("a tuning");
    let record = record.expect("a record of exact ways does not answer for all ways");
    assert!(String::from_utf8(record).expect("JSON").contains("\"refused\":[]"));
    assert_ne!(model.tuning_name(false), model.tuning_name(true));
}
