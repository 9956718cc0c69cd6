//! Adapters of every method: their flat order, their bytes, and those that older versions of this program wrote.

use crate::tiny;
use apprentice::device::Device;
use apprentice::model::adapter::{Adapter, AdapterError};
use apprentice::model::lora::{LoraLayout, Module};
use apprentice::model::method::Method;
use apprentice::quant::TensorType;

/// A file as `Adapter::to_bytes` lays it out, with these metadata.
fn file(meta: &str, values: &[f32]) -> Vec<u8> {
    let bytes = 4 * values.len();
    let header = serde_json::json!({
        "__metadata__": { "apprentice": meta },
        "adapter": { "dtype": "F32", "shape": [values.len()], "data_offsets": [0, bytes] },
    });
    let mut header = header.to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytemuck::cast_slice::<f32, u8>(values));
    file
}

#[test]
fn what_older_versions_wrote_is_read_as_lora_and_written_again_byte_for_byte() {
    let values = [0.5, -1.25, 3.0];
    let old = file(r#"{"rank":2,"alpha":4}"#, &values);
    let adapter = Adapter::from_bytes(&old).unwrap();
    let weights = values.to_vec();
    assert_eq!(adapter, Adapter { method: Method::Lora, rank: 2, alpha: 4.0, weights });
    assert_eq!(adapter.to_bytes(), old, "a blob keeps its hash");
}

#[test]
fn every_method_survives_its_bytes_and_an_unknown_one_is_refused() {
    for method in Method::ALL {
        let adapter = Adapter { method, rank: 3, alpha: 1.5, weights: vec![0.25, -2.0] };
        let back = Adapter::from_bytes(&adapter.to_bytes()).unwrap();
        assert_eq!(back, adapter);
        let other = Method::ALL.into_iter().find(|other| *other != method).unwrap();
        assert_ne!(Adapter { method: other, ..adapter.clone() }.to_bytes(), adapter.to_bytes());
    }
    for meta in [r#"{"rank":2,"alpha":4,"method":"vera"}"#, r#"{"rank":2,"alpha":4,"method":7}"#] {
        let error = Adapter::from_bytes(&file(meta, &[0.0])).unwrap_err();
        assert!(matches!(error, AdapterError::Field("method")), "{error}");
    }
}

#[test]
fn every_part_has_a_place_of_its_own() {
    let config = tiny::model(&Device::cpu(), TensorType::Q8_0, 1).config;
    for method in Method::ALL {
        let layout = LoraLayout::new(&config, method, 3);
        let mut taken = vec![0; layout.len];
        for layer in 0..config.layers {
            for module in Module::ALL {
                let slot = layout.slot(layer, module);
                let rank = if method == Method::Ia3 { 0 } else { 3 };
                let (inputs, outputs) = (slot.inputs, slot.outputs);
                let vector_len = match (method, module) {
                    (Method::Dora, _) | (Method::Ia3, Module::K | Module::V) => outputs,
                    (Method::Ia3, Module::Down) => inputs,
                    _ => 0,
                };
                assert_eq!((layout.rank, slot.vector_len), (rank, vector_len), "{method}");
                let parts =
                    [(slot.a, rank * inputs), (slot.b, outputs * rank), (slot.vector, vector_len)];
                for (at, len) in parts {
                    assert!(at.is_multiple_of(64), "{method}: bound at {at}");
                    taken[at..at + len].iter_mut().for_each(|n| *n += 1);
                }
            }
        }
        assert!(taken.iter().all(|n| *n <= 1), "{method}: two parts share a value");
        assert_eq!(taken.iter().sum::<usize>(), layout.parameters(), "{method}");
    }
}

#[test]
fn scales_are_those_of_the_papers() {
    let scales = Method::ALL.map(|method| method.scale(8.0, 4));
    assert_eq!(scales, [2.0, 4.0, 2.0, 0.0]);
    for method in Method::ALL {
        assert_eq!(method.name().parse(), Ok(method));
        assert_eq!(serde_json::to_value(method).unwrap(), method.name());
    }
    assert!("vera".parse::<Method>().unwrap_err().contains("lora, rslora, dora or ia3"));
}
