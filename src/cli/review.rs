//! `apprentice review`: what the screen set aside, with the reasons, and a person's word on it.
//!
//! It decides nothing and needs no model. Invariant: an example is released by its whole id or by a beginning that only
//! one example has, so that no other is released by mistake.

use super::{Common, context, output};
use crate::error::Error;
use crate::learn::learner::LearnError;
use clap::Args;
use serde_json::json;

/// Arguments of `review`.
#[derive(Args)]
pub struct ReviewArgs {
    /// Say that an example is fine, by its id or the beginning of it: the next cycle takes it up
    #[arg(long, value_name = "ID")]
    release: Vec<String>,
}

pub async fn review(common: &Common, args: ReviewArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    for name in &args.release {
        let held: Vec<String> = learner.quarantined().iter().map(|(e, _)| e.id.clone()).collect();
        let mut fitting = held.iter().filter(|id| !name.is_empty() && id.starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) => learner.release(id).await?,
            _ => return Err(LearnError::NoExample(name.clone()).into()),
        }
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
