//! Answers held to a form, from a model whose own words mean nothing: every answer is JSON of its schema.
//!
//! The tiny model draws warmly, so it would say anything that is allowed. What is checked is read by a checker of this file,
//! not by what made the mask. Invariant: the checker finds the fault where the mask is left out.

use crate::tiny;
use apprentice::device::Device;
use apprentice::format::source::BytesSource;
use apprentice::model::constraint::{Constraint, Form};
use apprentice::model::generate::{Cancel, Generation, StopReason};
use apprentice::model::sampler::Sampling;
use apprentice::model::{Model, ModelError};
use apprentice::quant::TensorType;
use pollster::block_on;
use serde_json::{Value, json};

/// Answers of each schema.
const DRAWS: u64 = 6;
const TOKENS_MAX: usize = 600;

fn model(device: &Device) -> Model {
    let file = tiny::file_for(TensorType::Q8_0, 3, 1024);
    let mut source = BytesSource::new("tiny.gguf", file);
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).expect("the tiny model loads")
}

fn form(schema: &Value) -> Form {
    let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    Form::read(&format).unwrap().unwrap()
}

fn warm(seed: u64) -> Sampling {
    Sampling { temperature: 2.0, top_k: 0, top_p: 1.0, seed, ..Sampling::default() }
}

fn generate(model: &mut Model, sampling: &Sampling, within: Option<Constraint>) -> Generation {
    const PROMPT: [u32; 4] = [70, 101, 257, 33];
    let (cancel, n) = (Cancel::default(), TOKENS_MAX);
    block_on(model.generate_within(&PROMPT, n, sampling, within, &cancel, &mut |_| true)).unwrap()
}

/// Whether a value fits a schema of the few words that are used here.
fn fits(value: &Value, schema: &Value) -> bool {
    let size = |name: &str, least: bool, size: f64| match schema[name].as_f64() {
        Some(bound) if least => size >= bound,
        Some(bound) => size <= bound,
        None => true,
    };
    let of_type = match schema["type"].as_str() {
        Some("object") => value.as_object().is_some_and(|object| {
            let known = schema["properties"].as_object();
            let named = |name: &String| known.is_some_and(|known| known.contains_key(name));
            let required = schema["required"].as_array().into_iter().flatten();
            required.clone().all(|name| object.contains_key(name.as_str().unwrap()))
                && (schema["additionalProperties"] != json!(false) || object.keys().all(named))
                && object.iter().all(|(name, value)| {
                    match known.and_then(|known| known.get(name)) {
                        Some(schema) => fits(value, schema),
                        None => true,
                    }
                })
        }),
        Some("array") => value.as_array().is_some_and(|items| {
            let n = items.len() as f64;
            size("minItems", true, n)
                && size("maxItems", false, n)
                && items.iter().all(|item| fits(item, &schema["items"]))
        }),
        Some("string") => value.as_str().is_some_and(|text| {
            let n = text.chars().count() as f64;
            size("minLength", true, n) && size("maxLength", false, n)
        }),
        Some("integer") => value.as_i64().is_some_and(|number| {
            size("minimum", true, number as f64) && size("maximum", false, number as f64)
        }),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some(other) => panic!("the checker knows no {other}"),
        None => true,
    };
    let listed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    of_type && listed
}

fn schemas() -> Vec<Value> {
    let name = json!({ "type": "string", "maxLength": 6 });
    let age = json!({ "type": "integer", "minimum": -5, "maximum": 120 });
    let bird = json!({ "enum": ["owl", "hen", 7, null] });
    let person = json!({
        "type": "object", "properties": { "name": name, "age": age, "bird": bird },
        "required": ["name", "age"], "additionalProperties": false,
    });
    let list = json!({ "type": "array", "items": age, "minItems": 1, "maxItems": 4 });
    let house = json!({
        "type": "object", "required": ["people", "open"], "additionalProperties": false,
        "properties": {
            "people": { "type": "array", "items": person, "minItems": 1, "maxItems": 2 },
            "open": { "type": "boolean" },
        },
    });
    vec![person, bird, list, age, house]
}

/// What is wrong with an answer, if anything is.
fn fault(generation: &Generation, schema: &Value) -> Option<String> {
    let text = &generation.text;
    match serde_json::from_str::<Value>(text) {
        _ if generation.stop_reason != StopReason::Stop => Some(format!("did not end: {text:?}")),
        Err(error) => Some(format!("{error}: {text:?}")),
        Ok(value) if !fits(&value, schema) => Some(format!("does not fit {schema}: {text}")),
        Ok(_) => None,
    }
}

#[test]
fn every_answer_is_json_of_its_schema() {
    let mut model = model(&Device::cpu());
    for schema in schemas() {
        let mut texts = std::collections::BTreeSet::new();
        for seed in 0..DRAWS {
            let within = model.constraint(&form(&schema)).unwrap();
            let generation = generate(&mut model, &warm(seed), Some(within));
            assert_eq!(fault(&generation, &schema), None);
            texts.insert(generation.text);
        }
        assert!(texts.len() > 1, "the schema leaves a choice: {texts:?}");
    }
}

/// The control: without its mask the model says no JSON, and the checker sees it.
#[test]
fn without_the_mask_no_answer_fits() {
    let mut model = model(&Device::cpu());
    for schema in schemas() {
        for seed in 0..2 {
            let generation = generate(&mut model, &warm(seed), None);
            assert!(fault(&generation, &schema).is_some(), "{:?}", generation.text);
        }
    }
}

#[test]
fn the_checker_tells_what_fits() {
    let all = schemas();
    let person = &all[0];
    for good in [json!({ "name": "Ada", "age": 3 }), json!({ "name": "", "age": -5, "bird": null })]
    {
        assert!(fits(&good, person), "{good}");
    }
    for bad in [
        json!([]),
        json!({ "name": "Ada" }),
        json!({ "name": "Ada", "age": 3.5 }),
        json!({ "name": "Ada", "age": 121 }),
        json!({ "name": "a longer one", "age": 3 }),
        json!({ "name": "Ada", "age": 3, "bird": "cat" }),
        json!({ "name": "Ada", "age": 3, "x": 1 }),
    ] {
        assert!(!fits(&bad, person), "{bad}");
    }
    assert!(!fits(&json!([]), &all[2]) && !fits(&json!([1, 200]), &all[2]));
}

/// Both devices, greedily, and beside an ordinary answer: the mask leaves nothing behind.
#[test]
fn a_form_holds_for_its_own_answer_alone() {
    let schema = json!({ "enum": ["owl", "hen"] });
    for device in tiny::devices() {
        let mut model = model(&device);
        let before = generate(&mut model, &Sampling { seed: 1, ..warm(1) }, None);
        let within = model.constraint(&form(&schema)).unwrap();
        let held = generate(&mut model, &Sampling::default(), Some(within));
        assert_eq!(fault(&held, &schema), None, "{}", device.kind());
        assert_eq!(generate(&mut model, &warm(1), None).tokens, before.tokens);
        // A penalty weighs what is allowed, and allows nothing more.
        let penalty = Sampling { repetition_penalty: 5.0, ..warm(2) };
        let within = model.constraint(&form(&schema)).unwrap();
        assert_eq!(fault(&generate(&mut model, &penalty, Some(within)), &schema), None);
    }
}

#[test]
fn any_object_is_an_object() {
    let mut model = model(&Device::cpu());
    let any = Form::read(&json!({ "type": "json_object" })).unwrap().unwrap();
    let mut whole = 0;
    for seed in 0..DRAWS {
        let within = model.constraint(&any).unwrap();
        let generation = generate(&mut model, &warm(seed), Some(within));
        let text = generation.text;
        assert!(text.trim_start().starts_with('{'), "{text:?}");
        // A text that is free may go on until it is cut.
        if generation.stop_reason == StopReason::Stop {
            // JSON's numbers have no bound, this reader's have.
            let read = serde_json::from_str::<Value>(&text).or_else(|error| {
                let is_large = error.to_string().starts_with("number out of range");
                if is_large { Ok(json!({})) } else { Err(error) }
            });
            assert!(read.unwrap().is_object(), "{text}");
            whole += 1;
        }
    }
    assert!(whole > 0, "some of {DRAWS} objects end by themselves");
}

#[test]
fn schemas_that_cannot_be_held_to_are_refused_in_a_line() {
    let mut model = model(&Device::cpu());
    for schema in [
        json!({ "type": "text" }),
        json!({ "type": "object", "properties": { "a": { "$ref": "#/nowhere" } } }),
        json!({ "type": "string", "pattern": "(" }),
        json!({ "type": "integer", "minimum": 5, "maximum": 3 }),
    ] {
        let refused = model.constraint(&form(&schema)).err().expect("a refusal");
        assert!(matches!(refused, ModelError::Schema { .. }), "{schema}");
        assert_eq!(refused.to_string().lines().count(), 1);
    }
}
