//! Scoring on a tiny model, on both devices: packed passages and choices that share a prompt score as they do alone.

use crate::tiny;
use apprentice::model::Model;
use apprentice::model::pass::{Target, causal_rows};
use apprentice::model::score::{LogLikelihood, Scored};
use apprentice::quant::TensorType;
use pollster::block_on;

/// The log-likelihood of the counted tokens, by the definition: a pass of its own, and f64.
fn alone(model: &mut Model, scored: &Scored) -> f64 {
    let rows = causal_rows(&scored.tokens, 0);
    let counted: Vec<usize> = (1..scored.tokens.len()).filter(|i| scored.counted[*i]).collect();
    let targets: Vec<Target> =
        counted.iter().map(|i| Target { row: *i as u32 - 1, label: 0 }).collect();
    let logits = block_on(model.logits_of(&rows, &targets)).unwrap();
    let log_probability = |(logits, i): (&[f32], &usize)| {
        let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        f64::from(logits[scored.tokens[*i] as usize]) - total.ln()
    };
    logits.chunks(model.config.vocab).zip(&counted).map(log_probability).sum()
}

fn close(model: &mut Model, found: LogLikelihood, scored: &Scored) {
    let wanted = alone(model, scored);
    assert!((found.sum - wanted).abs() < 1e-4 * wanted.abs(), "{found:?}, not {wanted}");
    let counted = scored.counted.iter().skip(1).filter(|counted| **counted).count();
    assert_eq!(found.tokens, counted);
}

#[test]
fn packed_passages_score_as_they_do_alone() {
    for device in tiny::devices() {
        let mut model = tiny::model(&device, TensorType::Q4_1, 5);
        let passage = |len: u32, from: usize| Scored {
            tokens: (0..len).map(|i| 40 + (7 * i + len) % 200).collect(),
            counted: (0..len as usize).map(|i| i >= from).collect(),
        };
        // More tokens than a pass has rows: several packs.
        let all = [passage(20, 0), passage(9, 5), passage(2, 1), passage(30, 29), passage(40, 3)];
        assert!(all.iter().map(|scored| scored.tokens.len()).sum::<usize>() > model.pass_rows());
        let found = block_on(model.score(&all)).unwrap();
        for (found, scored) in found.into_iter().zip(&all) {
            close(&mut model, found, scored);
        }
    }
}

#[test]
fn choices_that_share_a_prompt_score_as_they_do_alone() {
    for device in tiny::devices() {
        let mut model = tiny::model(&device, TensorType::Q4_1, 6);
        let question = |prompt: std::ops::Range<u32>, choices: &[&[u32]]| {
            (prompt.collect::<Vec<_>>(), choices.iter().map(|c| c.to_vec()).collect::<Vec<_>>())
        };
        let apart = vec![
            question(40..52, &[&[70], &[71, 72, 73], &[70, 74], &[99, 98]]),
            question(60..63, &[&[1, 2], &[2, 1]]),
            question(80..100, &[&[5; 4], &[6; 3]]),
        ];
        // The same behind one opening: its keys are copied, and three do not fit in the cache at once.
        let mut alike = apart.clone();
        alike.iter_mut().for_each(|(prompt, _)| drop(prompt.splice(..0, 30..40)));
        alike[2].0.truncate(16);
        let rows = |(prompt, choices): &(Vec<u32>, Vec<Vec<u32>>)| {
            prompt.len() + choices.iter().map(Vec::len).sum::<usize>()
        };
        assert!(10 + alike.iter().map(rows).sum::<usize>() > tiny::CONTEXT);
        for questions in [apart, alike.clone(), alike] {
            score_as_alone(&mut model, &questions);
        }
    }
}

fn score_as_alone(model: &mut Model, questions: &[(Vec<u32>, Vec<Vec<u32>>)]) {
    let found = block_on(model.score_choices(questions)).unwrap();
    let separate = questions.iter().flat_map(|(prompt, choices)| {
        choices.iter().map(|choice| Scored {
            tokens: [&prompt[..], choice].concat(),
            counted: (0..prompt.len() + choice.len()).map(|i| i >= prompt.len()).collect(),
        })
    });
    let separate: Vec<Scored> = separate.collect();
    assert_eq!(found.len(), separate.len());
    for (found, scored) in found.into_iter().zip(&separate) {
        close(model, found, scored);
    }
}
