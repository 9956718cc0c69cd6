//! The examinations of a simulated run: what the user taught, what nobody may lose, and how fast answers come.
//!
//! It asks the model that is in place and teaches nothing. Invariant: the items of a run are the same in each examination,
//! so that what two of them say can be compared pair by pair.

use super::data::{Data, Fact, Marked, Request};
use crate::cli::bench::beside;
use crate::error::Error;
use crate::format::message::Message;
use crate::learn::engine::Engine;
use crate::learn::evaluate::{Scores, evaluate};
use crate::learn::gate::{Score, SuiteKind};
use crate::learn::learner::LearnError;
use crate::learn::student::{Student, greedy};
use crate::learn::suite::{Suites, answer_tokens, sample};
use crate::learn::words::{normalized, says};
use crate::model::adapter::Adapter;
use serde::{Deserialize, Serialize};

/// Questions that are asked in one call.
const QUESTIONS_A_CALL: usize = 16;

/// Tokens of a note.
const NOTE_TOKENS: usize = 72;

/// Pairs of runs by which the latency is measured, and tokens of a run.
const LATENCY_PAIRS: usize = 5;
/// See `LATENCY_PAIRS`.
const LATENCY_TOKENS: usize = 24;

/// A fact's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactResult {
    /// The fact.
    pub id: String,
    /// Whether HEAD has learned it by the gate's word.
    pub promoted: bool,
    /// Whether the question as taught gets the taught answer.
    pub exact: bool,
    /// The same for each rephrasing.
    pub rephrased: Vec<bool>,
    /// Whether the question about something else keeps clear of the taught answer.
    pub near: Option<bool>,
}

/// An examination of everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exam {
    /// Facts.
    pub facts: Vec<FactResult>,
    /// Core knowledge, item by item.
    pub core: Vec<bool>,
    /// Refusals and their look-alikes.
    pub refusals: Vec<bool>,
    /// Loss on neutral texts, nats a token.
    pub language: Vec<f64>,
    /// Whether the next line of unseen code was written to the letter.
    pub code_lines: Vec<bool>,
    /// For each unseen file: next tokens that were the likeliest, and all.
    pub code_tokens: Vec<[usize; 2]>,
    /// Markers of the notes for unseen requests.
    pub style: Vec<Marked>,
}

/// Answers the questions greedily, each with its own bound of tokens.
pub async fn ask(
    engine: &mut Engine,
    questions: &[(&str, usize)],
) -> Result<Vec<String>, LearnError> {
    let mut answers = Vec::with_capacity(questions.len());
    for group in questions.chunks(QUESTIONS_A_CALL) {
        let asked = group.iter().map(|(text, n)| (vec![Message::user(*text)], greedy(*n)));
        answers.extend(engine.answers(&asked.collect::<Vec<_>>()).await?);
    }
    Ok(answers)
}

/// Which of the facts the model says when it is asked as taught.
pub async fn said(engine: &mut Engine, facts: &[Fact]) -> Result<Vec<bool>, LearnError> {
    let asked = facts.iter().map(|fact| (fact.prompt.as_str(), answer_tokens(&fact.answer)));
    let answers = ask(engine, &asked.collect::<Vec<_>>()).await?;
    let right =
        |(fact, answer): (&Fact, String)| says(&answer, &[&fact.prompt], &fact.answer, None);
    Ok(facts.iter().zip(answers).map(right).collect())
}

/// Facts asked as taught, in other words, and beside the point. `promoted` says of each whether HEAD learned it.
pub async fn facts(
    engine: &mut Engine,
    facts: &[Fact],
    promoted: &dyn Fn(&Fact) -> bool,
) -> Result<Vec<FactResult>, LearnError> {
    let mut asked: Vec<(&str, usize)> = Vec::new();
    for fact in facts {
        let n = answer_tokens(&fact.answer);
        asked.push((&fact.prompt, n));
        asked.extend(fact.rephrasings.iter().map(|text| (text.as_str(), n)));
        asked.extend(fact.near.iter().map(|near| (near.prompt.as_str(), n)));
    }
    let mut answers = ask(engine, &asked).await?.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let results = facts.iter().map(|fact| {
        let exact = says(&next(), &[&fact.prompt], &fact.answer, None);
        let mut other = |text: &String| says(&next(), &[&fact.prompt, text], &fact.answer, None);
        let rephrased = fact.rephrasings.iter().map(&mut other).collect();
        let near = fact.near.as_ref().map(|near| {
            let held = format!(" {} ", normalized(&next()));
            !held.contains(&format!(" {} ", normalized(&near.not)))
        });
        FactResult { id: fact.id.clone(), promoted: promoted(fact), exact, rephrased, near }
    });
    Ok(results.collect())
}

/// Everything that the model in place is examined on; at most `most` items of a suite.
pub async fn whole(
    engine: &mut Engine,
    suites: &Suites,
    data: Option<&Data>,
    facts: Vec<FactResult>,
    most: Option<usize>,
) -> Result<Exam, Error> {
    let mut exam = Exam {
        facts,
        core: Vec::new(),
        refusals: Vec::new(),
        language: Vec::new(),
        code_lines: Vec::new(),
        code_tokens: Vec::new(),
        style: Vec::new(),
    };
    for (kind, items) in suites.items() {
        let items = sample(items, most, 0);
        let scores = evaluate(engine, &items, &mut Scores::new(), &mut |_| {}).await;
        let scores: Vec<Score> = scores.map_err(LearnError::from)?;
        let right = || scores.iter().map(|score| score.correct == Some(true)).collect();
        match kind {
            SuiteKind::Core => exam.core = right(),
            SuiteKind::Refusals => exam.refusals = right(),
            _ => exam.language.extend(scores.iter().map(|score| score.loss)),
        }
    }
    if let Some(data) = data {
        exam.code_lines = super::code::next_lines(engine, &data.unseen_code, most).await?;
        exam.code_tokens = super::code::next_tokens(engine, &data.unseen_code).await?;
        exam.style = style(engine, data, most).await?;
    }
    Ok(exam)
}

async fn style(
    engine: &mut Engine,
    data: &Data,
    most: Option<usize>,
) -> Result<Vec<Marked>, LearnError> {
    let requests: Vec<&Request> = data.requests.iter().take(most.unwrap_or(usize::MAX)).collect();
    let asked = requests.iter().map(|request| (request.prompt.as_str(), NOTE_TOKENS));
    let notes = ask(engine, &asked.collect::<Vec<_>>()).await?;
    Ok(notes.iter().map(|note| data.markers.count(note)).collect())
}

/// Milliseconds a token of the base model and beside the adapter, turn by turn (medians), and the median of the pairs'
/// ratios. The adapter is in place on return.
pub async fn latency(engine: &mut Engine, adapter: &Adapter) -> Result<[f64; 3], Error> {
    let (mut base, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..=LATENCY_PAIRS {
        engine.model.set_adapter(None)?;
        let alone = beside::decode(engine, LATENCY_TOKENS).await?;
        engine.model.set_adapter(Some(adapter))?;
        // The adapter's copy for decoding is made once an adapter, and is not what is measured.
        beside::decode(engine, 2).await?;
        let with = beside::decode(engine, LATENCY_TOKENS).await?;
        if pair > 0 {
            base.push(1e3 * alone);
            beside.push(1e3 * with);
            ratios.push(with / alone);
        }
    }
    Ok([base, beside, ratios].map(crate::cli::bench::stats::median))
}
