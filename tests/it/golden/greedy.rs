//! Greedy continuations: teacher-forced, our argmax is PyTorch's wherever its margin is 0.25 or more.

use super::forward::logits;
use super::{ids, json, load};
use apprentice::device::Device;

/// Below this margin another engine may rightly differ.
const MARGIN: f64 = 0.25;

#[test]
fn greedy_continuations() {
    let mut model = load(&Device::cpu());
    let all = json("greedy.json");
    let mut checked = 0;
    for entry in all.as_array().expect("a list of continuations") {
        let prompt = ids(&entry["prompt_ids"]);
        let continuation = ids(&entry["ids"]);
        let margins = entry["margins"].as_array().expect("margins");
        let mut tokens = prompt.clone();
        tokens.extend(&continuation);
        let logits = logits(&mut model, &tokens);
        let vocab = logits.len() / tokens.len();
        for (i, (want, margin)) in continuation.iter().zip(margins).enumerate() {
            if margin.as_f64().expect("a margin") < MARGIN {
                continue;
            }
            let row = &logits[(prompt.len() + i - 1) * vocab..][..vocab];
            let best = (0..vocab).max_by(|a, b| row[*a].total_cmp(&row[*b])).expect("a vocabulary");
            assert_eq!(best as u32, *want, "{}: token {i}, margin {margin}", entry["prompt"]);
            checked += 1;
        }
        // The chat template must give the very tokens that PyTorch's prompt had.
        if entry["chat"] == true {
            let text = entry["prompt"].as_str().expect("a prompt");
            let message = apprentice::format::message::Message::user(text);
            let ours = model.template.encode_prompt(&model.tokenizer, &[message]);
            assert_eq!(ours.expect("the template renders"), prompt);
        }
    }
    assert!(checked > 0, "no golden token has a clear margin");
}
