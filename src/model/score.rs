//! Scoring: log-likelihoods of passages and of choices, many in one pass.
//!
//! Sequences are packed side by side and share an opening (`prefix`); the choices of one question share its rows and skip
//! each other's by the hole in their spans.

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

    /// Log-likelihood of each of a question's choices after its prompt; a question is `(prompt, choices)`.
    /// The answer has one entry a choice, question by question.
    pub async fn score_choices(
        &mut self,
        questions: &[(Vec<u32>, Vec<Vec<u32>>)],
    ) -> Result<Vec<LogLikelihood>, ModelError> {
        let room = self.pass_rows();
        let count = questions.iter().map(|(_, choices)| choices.len()).sum();
        let mut sums = vec![LogLikelihood::default(); count];
        let mut pack = Pack::default();
        let mut owner = 0;
        for (prompt, choices) in questions {
            let len = prompt.len() + choices.iter().map(Vec::len).sum::<usize>();
            if prompt.is_empty() || len > room {
                return Err(ModelError::Context { wanted: len, capacity: room });
            }
            if pack.rows.len() + len > room {
                self.flush(&mut pack, &mut sums).await?;
            }
            let start = pack.rows.len();
            pack.rows.extend(causal_rows(prompt, start));
            let fork = pack.rows.len();
            for choice in choices {
                let own = pack.rows.len();
                for (i, &token) in choice.iter().enumerate() {
                    let row = if i == 0 { fork - 1 } else { own + i - 1 };
                    pack.targets.push(Target { row: row as u32, label: token });
                    pack.owners.push(owner);
                    pack.rows.push(Row {
                        key: pack.rows.len() as u32,
                        token,
                        position: (prompt.len() + i) as u32,
                        span: [start as u32, (own + i + 1) as u32, fork as u32, own as u32],
                    });
                }
                owner += 1;
            }
        }
        self.flush(&mut pack, &mut sums).await?;
        Ok(sums)
    }

    async fn flush(
        &mut self,
        pack: &mut Pack,
        sums: &mut [LogLikelihood],
    ) -> Result<(), ModelError> {
        let Pack { rows, targets, owners } = std::mem::take(pack);
        if targets.is_empty() {
            return Ok(());
        }
        let nll = self.nll(&rows, &targets).await?;
        for (owner, nll) in owners.into_iter().zip(nll) {
            sums[owner].sum -= f64::from(nll);
            sums[owner].tokens += 1;
        }
        Ok(())
    }
}
