//! `apprentice review`: what the screen set aside, with the reasons, and a person's word on it.
//!
//! It decides nothing, and needs a model only to screen what waits before a cycle does. Invariant: an example is named by its whole id or by a beginning that only
//! one example has, so that no other is meant by mistake.

use super::{Common, context, output};
use crate::error::Error;
use crate::learn::example::Example;
use crate::learn::learner::LearnError;
use clap::Args;
use serde_json::json;

/// Arguments of `review`.
#[derive(Args)]
pub struct ReviewArgs {
    /// Say that an example is fine, by its id or the beginning of it: the next cycle takes it up
    #[arg(long, value_name = "ID")]
    release: Vec<String>,
    /// Take an example that does not stick out of the next cycles, by its id or the beginning of it
    #[arg(long, value_name = "ID")]
    set_aside: Vec<String>,
    /// Screen what waits now instead of at the next cycle: loads the model, trains nothing
    #[arg(long)]
    screen: bool,
}

pub async fn review(common: &Common, args: ReviewArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    for name in &args.release {
        let held = learner.quarantined().into_iter().map(|(example, _)| example);
        let id = only(held, name)?;
        learner.release(&id).await?;
    }
    for name in &args.set_aside {
        let id = only(learner.pending(), name)?;
        learner.set_aside_by_hand(&id).await?;
    }
    if args.screen {
        let mut engine = context::engine(common).await?;
        learner.screen_pending(&mut engine, &mut |_| {}).await?;
    }
    let held = learner.quarantined();
    if common.json {
        let lines = held.iter().map(|(example, held)| {
            json!({ "id": example.id, "reason": held.reason, "content": example.content })
        });
        return output::json(&lines.collect::<Vec<_>>());
    }
    for (example, held) in &held {
        output::line(&format!("{}  {}", example.id, held.reason))?;
    }
    match held.len() {
        0 => output::line("nothing waits for a review"),
        n => output::line(&format!(
            "{n} set aside; `apprentice review --release ID` lets one through"
        )),
    }
}

/// The id of the only example that a name begins.
fn only<'a>(
    examples: impl IntoIterator<Item = &'a Example>,
    name: &str,
) -> Result<String, LearnError> {
    let mut fitting = examples.into_iter().filter(|e| !name.is_empty() && e.id.starts_with(name));
    match (fitting.next(), fitting.next()) {
        (Some(example), None) => Ok(example.id.clone()),
        _ => Err(LearnError::NoExample(name.into())),
    }
}
