//! Scoring: log-likelihoods of passages and of choices, many in one pass.
//!
//! Sequences are packed side by side and share an opening (`prefix`); the choices of one question share its rows and skip
//! each other's by the hole in their spans, so what questions share is copied (`opening`).

use super::pass::{Row, Target, causal_rows};
use super::prefix::{Lying, passes};
use super::{Model, ModelError};

/// Tokens of which some are scored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scored {
    /// The sequence.
    pub tokens: Vec<u32>,
    /// For each token: is it scored? The first never is.
    pub counted: Vec<bool>,
}

impl Scored {
    /// Rows at `at` and targets of this sequence.
    pub fn rows(&self, at: usize) -> (Vec<Row>, Vec<Target>) {
        let targets = (1..self.tokens.len())
            .filter(|&i| self.counted[i])
            .map(|i| Target { row: (at + i - 1) as u32, label: self.tokens[i] });
        (causal_rows(&self.tokens, at), targets.collect())
    }

    /// At most `rows` tokens: the front goes first, since the answer is at the end.
    pub fn fit(mut self, rows: usize) -> Scored {
        if self.tokens.len() > rows {
            let cut = self.tokens.len() - rows;
            self.tokens.drain(..cut);
            self.counted.drain(..cut);
        }
        self
    }
}

/// A sum of log-probabilities, nats, and the tokens in it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LogLikelihood {
    /// At most 0.
    pub sum: f64,
    /// Tokens.
    pub tokens: usize,
}

/// Rows and targets that go in one pass, and whose targets they are.
#[derive(Default)]
struct Pack {
    rows: Vec<Row>,
    targets: Vec<Target>,
    owners: Vec<usize>,
    /// Whether keys go to the conversation's cache; else they are scratch.
    cached: bool,
}

impl Pack {
    /// Adds a question whose keys begin at row `at`; those of its first `opening` tokens are there. Choices skip each other's keys.
    fn push(
        &mut self,
        at: usize,
        opening: usize,
        prompt: &[u32],
        choices: &[Vec<u32>],
        owner: &mut usize,
    ) {
        self.rows.extend(causal_rows(prompt, at).into_iter().skip(opening));
        let (fork, last) = (at + prompt.len(), self.rows.len() - 1);
        let mut own = fork;
        for choice in choices {
            for (i, &token) in choice.iter().enumerate() {
                let row = if i == 0 { last } else { self.rows.len() - 1 };
                self.targets.push(Target { row: row as u32, label: token });
                self.owners.push(*owner);
                self.rows.push(Row {
                    key: (own + i) as u32,
                    token,
                    position: (prompt.len() + i) as u32,
                    span: [at as u32, (own + i + 1) as u32, fork as u32, own as u32],
                });
            }
            own += choice.len();
            *owner += 1;
        }
    }
}

/// Rows of a question with its choices.
fn rows_of((prompt, choices): &(Vec<u32>, Vec<Vec<u32>>)) -> usize {
    prompt.len() + choices.iter().map(Vec::len).sum::<usize>()
}

impl Model {
    /// Log-likelihood of every sequence's counted tokens.
    pub async fn score(&mut self, all: &[Scored]) -> Result<Vec<LogLikelihood>, ModelError> {
        let room = self.pass_rows();
        let all: Vec<Scored> = all.iter().map(|scored| scored.clone().fit(room)).collect();
        let lying = all.iter().map(|s| Lying { tokens: &s.tokens, counted: &s.counted });
        let mut sums = vec![LogLikelihood::default(); all.len()];
        for pass in passes(&lying.collect::<Vec<_>>(), room) {
            let mut pack = Pack { rows: pass.rows, ..Pack::default() };
            for place in &pass.places {
                let Scored { tokens, counted } = &all[place.sequence];
                for i in (1..tokens.len()).filter(|&i| counted[i]) {
                    let row = place.row(i - 1) as u32;
                    pack.targets.push(Target { row, label: tokens[i] });
                    pack.owners.push(place.sequence);
                }
            }
            self.flush(&mut pack, &mut sums).await?;
        }
        Ok(sums)
    }

    /// Log-likelihood of each of a question's choices after its prompt; a question is `(prompt, choices)`. What all prompts begin
    /// with is computed once (`opening`), for which the conversation's cache is used up.
    /// The answer has one entry a choice, question by question.
    pub async fn score_choices(
        &mut self,
        questions: &[(Vec<u32>, Vec<Vec<u32>>)],
    ) -> Result<Vec<LogLikelihood>, ModelError> {
        let count = questions.iter().map(|(_, choices)| choices.len()).sum();
        let mut sums = vec![LogLikelihood::default(); count];
        let prompts: Vec<&[u32]> = questions.iter().map(|(prompt, _)| prompt.as_slice()).collect();
        let longest = questions.iter().map(rows_of).max().unwrap_or(0);
        let opening = self.open(&prompts, longest).await?;
        // Keys lie behind those of the opening, each question's beside a copy of it; without one they are scratch.
        let keys_max = if opening > 0 { self.cache.capacity } else { self.pass_rows() };
        let (mut pack, mut at, mut starts) = (Pack::default(), opening, Vec::new());
        let mut owner = 0;
        for question in questions {
            let (prompt, choices) = question;
            let len = rows_of(question);
            if prompt.is_empty() || len - opening > self.pass_rows() {
                return Err(ModelError::Context { wanted: len, capacity: self.pass_rows() });
            }
            if pack.rows.len() + len - opening > self.pass_rows() || at + len > keys_max {
                self.flush_beside(opening, &starts, &mut pack, &mut sums).await?;
                (at, starts) = (opening, Vec::new());
            }
            starts.push(at);
            pack.push(at, opening, prompt, choices, &mut owner);
            at += len;
        }
        self.flush_beside(opening, &starts, &mut pack, &mut sums).await?;
        Ok(sums)
    }

    /// Flushes questions that begin with the cache's opening, which is copied to each one's first row.
    async fn flush_beside(
        &mut self,
        opening: usize,
        starts: &[usize],
        pack: &mut Pack,
        sums: &mut [LogLikelihood],
    ) -> Result<(), ModelError> {
        self.copy_opening(opening, starts)?;
        pack.cached = opening > 0;
        self.flush(pack, sums).await
    }

    async fn flush(
        &mut self,
        pack: &mut Pack,
        sums: &mut [LogLikelihood],
    ) -> Result<(), ModelError> {
        let Pack { rows, targets, owners, cached } = std::mem::take(pack);
        if targets.is_empty() {
            return Ok(());
        }
        let nll = self.nll(&rows, &targets, cached).await?;
        for (owner, nll) in owners.into_iter().zip(nll) {
            sums[owner].sum -= f64::from(nll);
            sums[owner].tokens += 1;
        }
        Ok(())
    }
}
