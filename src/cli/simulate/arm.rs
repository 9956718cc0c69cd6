//! The recipes that are compared, as options of the same learning loop: ours, and those of the peers.
//!
//! An arm is a recipe, a gate and the suites that the gate sees; steps and rows of a step are the same for all, so all take
//! the same training compute. It knows no models. Invariant: an arm that has no gate keeps whatever it trained.

use super::stream::Day;
use crate::learn::gate::GatePolicy;
use crate::learn::recipe::Recipe;
use crate::learn::report::LearnOptions;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Items of each suite that our gate asks in a cycle; of what was taught it asks everything, up to 256.
const SAMPLE: usize = 16;

/// Most lessons that a cycle takes up; the rest waits.
const LESSONS_MAX: usize = 12;

/// A recipe with its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub enum Arm {
    /// The program's own recipe in its quick form, with its gate.
    Ours,
    /// LoRA on the new lessons alone; nothing is replayed, protected or refused.
    Plain,
    /// LoRA on new and earlier lessons in halves; nothing is protected or refused.
    ReplayOnly,
    /// LoRA on the new lessons alone, kept only if they are said and every earlier one still is (as adaptible does).
    AcceptOrRestore,
}

impl Arm {
    /// Whether the gate sees the suites of what is not the user's.
    pub fn has_suites(self) -> bool {
        self == Arm::Ours
    }

    /// The options of a cycle; `lr` and `steps` replace the recipe's and the day's own, `change` any of them.
    pub fn options(
        self,
        day: &Day,
        (lr, steps): (Option<f32>, Option<usize>),
        change: Option<&Value>,
    ) -> Result<LearnOptions, serde_json::Error> {
        let mut options = LearnOptions {
            steps_max: Some(steps.unwrap_or_else(|| steps_of(day))),
            sample: Some(SAMPLE),
            scales: vec![1.0, 0.7],
            lessons_max: LESSONS_MAX,
            ..LearnOptions::quick()
        };
        if self != Arm::Ours {
            options.recipe = bare(&options.recipe);
            options.policy = GatePolicy::open();
            options.scales = vec![1.0];
            options.mending = 0;
            options.screen = false;
        }
        match self {
            Arm::Ours | Arm::Plain => {}
            Arm::ReplayOnly => options.recipe.replay_share = Recipe::default().replay_share,
            Arm::AcceptOrRestore => {
                // The gate passes one item lost in any sample, so the veto is on two.
                options.policy =
                    GatePolicy { taught_share: 1.0, kept_drop: 0.0, ..GatePolicy::open() };
                options.sample = None;
            }
        }
        if let Some(lr) = lr {
            options.recipe.lr = lr;
        }
        match change {
            Some(change) => serde_json::from_value(changed(serde_json::to_value(options)?, change)),
            None => Ok(options),
        }
    }
}

/// A value with some of its fields changed, at any depth.
fn changed(value: Value, change: &Value) -> Value {
    match (value, change) {
        (Value::Object(mut fields), Value::Object(changes)) => {
            for (name, change) in changes {
                let field = fields.remove(name).unwrap_or_default();
                fields.insert(name.clone(), changed(field, change));
            }
            Value::Object(fields)
        }
        (_, change) => change.clone(),
    }
}

/// Most steps of a day: code and notes are longer texts, of which a step takes as many rows.
fn steps_of(day: &Day) -> usize {
    match day {
        Day::Facts(_) => 24,
        Day::Code(_) => 10,
        Day::Notes(_) => 20,
    }
}

/// Without replay, rewordings, protection and scope. The rows that would protect are still run, with weight 0: a step costs the
/// same in every arm.
fn bare(recipe: &Recipe) -> Recipe {
    Recipe {
        kl_weight: 0.0,
        scoped: false,
        neighbours: 0,
        near_misses: 0,
        reserved: 0,
        rewordings: 0,
        samples_max: 0,
        replay_share: 0.0,
        verbatim_share: 1.0,
        ..recipe.clone()
    }
}
