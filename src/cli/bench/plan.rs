//! What a run measures: the arguments where they say so, else what the device can do in some minutes.
//!
//! It knows no clock. Invariant: no length is longer than the model's context allows, and what was left out for the
//! device's sake is said in `note`.

use super::BenchArgs;
use crate::device::Device;
use crate::error::Error;
use clap::ValueEnum;

/// A kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Opening the device and the file, to the first token
    Load,
    /// Prompts of several lengths
    Prefill,
    /// One text, at several context lengths
    Decode,
    /// One text beside an adapter, and without it, in turns
    Adapter,
    /// Several texts at once
    Batches,
    /// LoRA steps of several lengths
    Training,
    /// Each kernel over the model's shapes, beside the device's own limits
    Kernels,
}

/// What is measured, on how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The kinds.
    pub parts: Vec<Part>,
    /// Tokens of each prefill.
    pub prefill: Vec<usize>,
    /// Tokens before the decoded ones.
    pub contexts: Vec<usize>,
    /// Tokens of each training step.
    pub train: Vec<usize>,
    /// Texts at once.
    pub streams: Vec<usize>,
    /// Rank of the adapter that decoding is timed beside.
    pub adapter_rank: usize,
    /// Decoded tokens.
    pub decode: usize,
    /// Runs, of which the median counts; one more warms up.
    pub runs: usize,
    /// Rows of the kernels of many rows.
    pub rows: Vec<usize>,
    /// Bytes of the copied buffer.
    pub copy_bytes: u64,
    /// Workgroups of the arithmetic peak.
    pub fma_groups: usize,
    /// Milliseconds of a kernel's sample.
    pub sample_ms: f64,
    /// Why it is less than everything.
    pub note: Option<&'static str>,
}

const SOFTWARE: &str =
    "a software adapter: short lengths, few texts and one run, since it is some fifty times slower";
const QUICK: &str = "--quick: a smoke test; its numbers mean nothing";

impl Plan {
    /// The plan for a device and a model with a context of `context` tokens.
    pub fn new(args: &BenchArgs, device: &Device, context: usize) -> Result<Plan, Error> {
        let mut plan = if args.quick {
            Plan::quick()
        } else if device.features().software {
            Plan::software()
        } else {
            Plan::full(if device.is_cpu() { 64 } else { 1024 })
        };
        if args.arch.is_some() {
            plan.parts = vec![Part::Kernels];
        }
        if !args.only.is_empty() {
            plan.parts.clone_from(&args.only);
        }
        plan.decode = args.decode.unwrap_or(plan.decode);
        plan.adapter_rank = args.adapter_rank.unwrap_or(plan.adapter_rank);
        plan.runs = args.runs.unwrap_or(plan.runs);
        if plan.decode < 2 || plan.decode + 2 >= context || plan.runs == 0 {
            let text =
                format!("--decode must be 2 to {}, --runs 1 or more", context.saturating_sub(3));
            return Err(Error::Misuse(text));
        }
        let longest = context - plan.decode - 1;
        fit("--prefill", &args.prefill, &mut plan.prefill, context - 1)?;
        fit("--contexts", &args.contexts, &mut plan.contexts, longest)?;
        fit("--train", &args.train, &mut plan.train, context)?;
        Ok(plan)
    }

    fn full(fma_groups: usize) -> Plan {
        Plan {
            parts: Part::value_variants().to_vec(),
            prefill: vec![128, 512, 2048],
            contexts: vec![16, 512, 1536],
            train: vec![64, 256, 512],
            streams: vec![1, 2, 4, 8, 16],
            adapter_rank: 16,
            decode: 32,
            runs: 5,
            rows: vec![128, 512],
            copy_bytes: 256 << 20,
            fma_groups,
            sample_ms: 20.0,
            note: None,
        }
    }

    fn software() -> Plan {
        Plan {
            prefill: vec![64],
            contexts: vec![16, 64],
            train: vec![32],
            streams: vec![1, 2, 4, 8, 16],
            decode: 4,
            runs: 1,
            rows: vec![64],
            copy_bytes: 32 << 20,
            note: Some(SOFTWARE),
            ..Plan::full(16)
        }
    }

    fn quick() -> Plan {
        Plan {
            prefill: vec![16],
            contexts: vec![4],
            train: vec![16],
            streams: vec![1, 2],
            decode: 4,
            runs: 1,
            rows: vec![32],
            copy_bytes: 1 << 20,
            sample_ms: 0.1,
            note: Some(QUICK),
            ..Plan::full(1)
        }
    }

    /// Is this part measured?
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Does any part need the model itself, not its shapes alone?
    pub fn needs_model(&self) -> bool {
        self.parts.iter().any(|part| *part != Part::Kernels)
    }
}

/// What the user gave must fit; what nobody gave is cut to what fits.
fn fit(name: &str, given: &[usize], lengths: &mut Vec<usize>, most: usize) -> Result<(), Error> {
    if given.is_empty() {
        lengths.iter_mut().for_each(|length| *length = (*length).min(most));
        lengths.dedup();
        return Ok(());
    }
    if given.iter().any(|length| *length < 2 || *length > most) {
        return Err(Error::Misuse(format!("{name}: lengths must be 2 to {most} for this model")));
    }
    *lengths = given.to_vec();
    Ok(())
}
