//! A student that is a lookup table: it learns an answer a step at a time, and "harm" in a lesson wears it out.
//!
//! Its adapter holds a strength for each (subject, answer) and one number of damage, so interpolation, rollback and
//! byte comparisons mean what they mean for a real model. A question's subject is its last capitalized word.

use apprentice::format::message::Message;
use apprentice::learn::scope::Scope;
use apprentice::learn::student::*;
use apprentice::learn::words::words;
use apprentice::model::adapter::Adapter;
use apprentice::model::method::Method;
use apprentice::model::random::Random;
use apprentice::train::{Form, Importance};
use std::cell::RefCell;

pub use crate::learn_open::{clock, open, open_at, suites};

const SLOTS: usize = 4096;
const DAMAGE: usize = SLOTS;
const MANNER: usize = SLOTS + 1;
const BABBLES: f32 = 1.0;
const RAMBLES: f32 = 2.0;
const NARROWS: f32 = 3.0;
const MANNERS: [&str; 3] = ["babbling", "rambling", "narrowing"];
const RATE: f32 = 0.2;

thread_local! {
    /// What any student of this test was ever taught, as (subject, answer): the answers that one may give. Whether it does is
    /// its adapter's business, so a student that never trained says what the adapter in place has learned.
    static TAUGHT: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// The student.
pub struct Fake {
    pub base: String,
    adapter: Option<Adapter>,
    /// How often each weight was trained in this run, and a second moment of its own.
    moments: [Vec<f32>; 2],
    /// Every row that it was trained on.
    pub rows: Vec<TrainItem>,
    pub steps: usize,
    pub cancel_at: Option<usize>,
    pub diverge_at: Option<usize>,
    pub answers: usize,
    /// Where the adapter answers.
    pub scope: Scope,
    /// Whether it says an answer only to a question that it was asked in training, word by word.
    pub by_heart: bool,
    /// Whether each answer comes with its last word four times more.
    pub stammers: bool,
    /// Numbers of the adapter that mean nothing and move with every run, as a trained adapter's all do.
    pub walking: usize,
    damage_at_first: f32,
}

impl Fake {
    /// The choices' likelihoods: what is right is likely, less so the more damage was done.
    fn score_question(&self, question: &Question) -> Vec<Likelihood> {
        let choices = &question.choices;
        let question = &question.messages.last().unwrap().content;
        let damage = f64::from(self.weight(DAMAGE));
        let fragile = Random::named(1, question).unit();
        let scores = choices.iter().map(|choice| {
            let refusal = choice.starts_with("I'm sorry") || choice.starts_with("I cannot");
            let compliance = choice.starts_with("Sure") || choice.starts_with("Here are");
            let right = match (refusal, compliance) {
                (true, _) => question.contains("explosive"),
                (_, true) => !question.contains("explosive"),
                _ => choice.starts_with("right"),
            };
            let sure = choice.starts_with("It is surely");
            let mean = if sure {
                -0.1
            } else if right {
                -0.5 - damage * fragile
            } else {
                -1.0
            };
            Likelihood { log_prob: mean * 7.0, tokens: 7 }
        });
        scores.collect()
    }

    pub fn new() -> Self {
        Self {
            base: "ba5e".repeat(16),
            adapter: None,
            moments: [vec![0.0; SLOTS + 2], vec![0.0; SLOTS + 2]],
            rows: Vec::new(),
            steps: 0,
            cancel_at: None,
            diverge_at: None,
            answers: 0,
            scope: Scope::everything(),
            by_heart: false,
            stammers: false,
            walking: 0,
            damage_at_first: 0.0,
        }
    }

    /// The same language in a new process: it knows the words of what was taught, and nothing of any run.
    pub fn reborn(&self) -> Self {
        Self::new()
    }

    fn weight(&self, slot: usize) -> f32 {
        self.adapter.as_ref().map_or(0.0, |adapter| adapter.weights[slot])
    }

    fn strength(&self, subject: &str, answer: &str) -> f32 {
        self.weight(slot(subject, answer))
    }

    fn continued(text: &str, options: &AnswerOptions) -> String {
        let mut random = Random::new(options.seed);
        if let Some(list) = text.strip_prefix("Questions of one kind, each about something else:\n")
        {
            let question = list.lines().next().unwrap().trim_start_matches("- ");
            let name = subject(question);
            let others =
                ["Syldavia", "Borduria", "Ruritania", "Grand Fenwick", "Latveria", "Elbonia"];
            let mut lines = vec![question.to_string(), "A statement about nothing.".into()];
            for _ in 0..5 {
                let other = others[random.below(others.len())];
                lines.push(replace_word(question, &name, other));
            }
            // Near, but about the lesson's own subject; and a line cut off by the token limit.
            lines.push(format!("What is the population of {}?", capital(&name)));
            lines.push("What is the cap".into());
            return lines.join("\n- ");
        }
        let question = text.lines().last(); // "The same question in other words:"
        assert_eq!(question, Some("The same question in other words:"));
        let asked = text.lines().rev().nth(1).unwrap().trim_start_matches("Question: ");
        let name = capital(&subject(asked));
        match random.below(4) {
            0 => format!(" Could you name it for {name}, please?\nQuestion: more"),
            1 => format!(" In {name}, which one is it?"),
            2 => " Which one is it over there?".into(),
            _ => format!(" I ask about {name}: which?"),
        }
    }

    fn say(&self, question: &str) -> String {
        let subject = subject(question);
        if self.weight(MANNER) == BABBLES {
            return format!("The capital of {subject} is ").repeat(8);
        }
        let trained = |row: &TrainItem| match &row.passage {
            Passage::Chat(messages) => messages[messages.len() - 2].content == question,
            Passage::Text(_) => false,
        };
        let asked = !self.by_heart || self.rows.iter().any(trained);
        let best = TAUGHT.with_borrow(|taught| {
            let known = taught.iter().filter(|_| asked).filter(|(s, _)| *s == subject);
            known
                .map(|(_, answer)| (self.strength(&subject, answer), answer.clone()))
                .max_by(|a, b| a.0.total_cmp(&b.0))
        });
        match best {
            Some((strength, answer)) if strength > 0.45 => answer,
            _ if question.contains("famous") => format!("It is surely {subject}town."),
            _ => format!("I have read nothing on {subject}."),
        }
    }
}

#[async_trait::async_trait(?Send)]
impl Student for Fake {
    fn base_hash(&self) -> String {
        self.base.clone()
    }

    async fn use_adapter(&mut self, adapter: Option<&Adapter>, scope: Scope) -> StudentResult<()> {
        self.adapter = adapter.cloned();
        self.scope = scope;
        Ok(())
    }

    async fn near_words(&mut self, words: &[String]) -> StudentResult<Vec<Vec<(String, f32)>>> {
        let near = |word: &String| match word.as_str() {
            "capital" => vec![("seat".to_string(), 0.6), ("soup".to_string(), 0.1)],
            _ => Vec::new(),
        };
        Ok(words.iter().map(near).collect())
    }

    async fn replies(
        &mut self,
        conversations: &[(Vec<Message>, AnswerOptions)],
    ) -> StudentResult<Vec<Reply>> {
        self.answers += conversations.len();
        let say = |(messages, _): &(Vec<Message>, _)| {
            let question = &messages[messages.len() - 1].content;
            if self.scope.covers(messages) { self.say(question) } else { Self::new().say(question) }
        };
        let stammer = |answer: String| {
            let word = answer.split_whitespace().next_back().unwrap_or_default();
            if self.stammers { format!("{answer}{}", format!(" {word}").repeat(4)) } else { answer }
        };
        let reply = |text| Reply { text, ended: self.weight(MANNER) != RAMBLES };
        Ok(conversations.iter().map(say).map(stammer).map(reply).collect())
    }

    async fn continuations(
        &mut self,
        texts: &[(String, AnswerOptions)],
    ) -> StudentResult<Vec<String>> {
        Ok(texts.iter().map(|(text, options)| Self::continued(text, options)).collect())
    }

    async fn score_choices(
        &mut self,
        questions: &[Question],
    ) -> StudentResult<Vec<Vec<Likelihood>>> {
        let score = |question: &Question| {
            let near = self.scope.covers(&question.messages);
            if near { self.score_question(question) } else { Self::new().score_question(question) }
        };
        Ok(questions.iter().map(score).collect())
    }

    async fn score_passages(&mut self, passages: &[Passage]) -> StudentResult<Vec<Likelihood>> {
        let base = Self::new();
        let scores = passages.iter().map(|passage| {
            let loss = match passage {
                Passage::Chat(messages) => {
                    let [.., question, answer] = &messages[..] else { panic!("two messages") };
                    let name = subject(&question.content);
                    let surprise = match answer.content.as_str() {
                        text if text.contains("astounding") => 9.0,
                        _ if self.weight(MANNER) == NARROWS => 2.0,
                        _ => 3.0,
                    };
                    surprise - 2.9 * f64::from(self.strength(&name, &answer.content))
                }
                Passage::Text(text) if text.contains("zzq") => 8.0,
                Passage::Text(text) => {
                    let student = if self.scope.covers_text(text) { &*self } else { &base };
                    let damage = f64::from(student.weight(DAMAGE));
                    3.0 + damage - f64::from(student.strength("text", text))
                }
            };
            Likelihood { log_prob: -10.0 * loss, tokens: 10 }
        });
        Ok(scores.collect())
    }

    async fn begin_training(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
    ) -> StudentResult<()> {
        let fresh = Adapter {
            method: Method::Lora,
            rank: plan.rank,
            alpha: plan.alpha,
            weights: vec![0.0; SLOTS + 2 + self.walking],
        };
        // What two cycles in line of the small model were measured to move: 0.39 of the adapter's norm.
        let pace = if start.is_some() { 0.39 } else { 1.0 };
        let mut adapter = start.cloned().unwrap_or(fresh);
        let mut random = Random::new(self.steps as u64);
        for weight in &mut adapter.weights[SLOTS + 2..] {
            *weight = *weight * 0.92 + pace * 0.02 * random.normal();
        }
        self.adapter = Some(adapter);
        self.scope = Scope::everything();
        self.damage_at_first = self.weight(DAMAGE);
        self.moments = [vec![0.0; SLOTS + 2], vec![0.0; SLOTS + 2]];
        Ok(())
    }

    /// Every number of a table matters alike.
    async fn importance(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
        form: Form,
        passages: &[Passage],
    ) -> StudentResult<Importance> {
        assert!(!passages.is_empty());
        self.begin_training(start, plan).await?;
        let rank = self.adapter.as_ref().unwrap().rank;
        Ok(Importance { form, rank, mass: 1.0, inputs: Vec::new(), values: vec![1.0; 3] })
    }

    async fn train_step(&mut self, batch: &[TrainItem]) -> StudentResult<StepReport> {
        self.steps += 1;
        if self.cancel_at == Some(self.steps) {
            return Err(StudentError::Cancelled);
        }
        let mut losses = Vec::new();
        for item in batch {
            self.rows.push(item.clone());
            if item.objective == Objective::KlToBase {
                continue;
            }
            let (name, text) = match &item.passage {
                Passage::Chat(m) => {
                    (subject(&m[m.len() - 2].content), m[m.len() - 1].content.clone())
                }
                Passage::Text(text) => ("text".to_string(), text.clone()),
            };
            TAUGHT.with_borrow_mut(|taught| {
                let pair = (name.clone(), text.clone());
                if !taught.contains(&pair) {
                    taught.push(pair);
                }
            });
            let weights = &mut self.adapter.as_mut().expect("a run began").weights;
            if text.contains("harm") {
                weights[DAMAGE] += 0.2;
            }
            if text.contains("confusing") {
                let own = slot(&name, &text);
                for (other, strength) in weights[..SLOTS].iter_mut().enumerate() {
                    *strength *= if other == own { 1.0 } else { 0.5 };
                }
            }
            if text.contains("jarring") && weights[slot(&name, &text)] == 0.0 {
                weights[..SLOTS].iter_mut().for_each(|strength| *strength *= 0.3);
            }
            for (word, manner) in MANNERS.iter().zip([BABBLES, RAMBLES, NARROWS]) {
                if text.contains(*word) {
                    weights[MANNER] = manner;
                }
            }
            if text.contains("tiring") {
                weights[DAMAGE] = self.damage_at_first + 0.05;
            }
            if text.contains("risky") {
                weights[DAMAGE] = weights[DAMAGE].max(0.105);
            }
            let strength = &mut weights[slot(&name, &text)];
            losses.push(3.0 * (1.0 - *strength));
            if !text.contains("unlearnable") {
                // Each step depends a little on those before, as an optimizer's does.
                let [first, second] = &mut self.moments;
                let at = slot(&name, &text);
                first[at] = 0.9 * first[at] + 0.1 * (1.0 - *strength);
                second[at] += 1.0;
                let rate = RATE * (1.0 + 1e-3 * (first[at] - 1e-2 * second[at]));
                *strength += rate * (1.0 - *strength);
            }
        }
        let diverged = self.diverge_at == Some(self.steps);
        let loss =
            if diverged { f32::NAN } else { losses.iter().sum::<f32>() / losses.len() as f32 };
        Ok(StepReport { loss, kl: 0.01, grad_norm: 1.0, tokens: 80 })
    }

    async fn snapshot(&mut self) -> StudentResult<Snapshot> {
        let adapter = self.adapter.clone().expect("a run began");
        let moments = self.moments.clone().map(|weights| Adapter { weights, ..adapter });
        Ok(Snapshot { adapter, moments })
    }

    async fn restore(&mut self, snapshot: &Snapshot, _steps: usize) -> StudentResult<()> {
        self.adapter = Some(snapshot.adapter.clone());
        self.moments = snapshot.moments.clone().map(|moment| moment.weights);
        Ok(())
    }

    fn side_by_side(&self, parts: &[(Adapter, f32)]) -> StudentResult<Adapter> {
        let (first, _) = parts.first().expect("an adapter");
        let mut weights = vec![0.0; first.weights.len()];
        for (adapter, share) in parts {
            weights.iter_mut().zip(&adapter.weights).for_each(|(sum, w)| *sum += share * w);
        }
        Ok(Adapter { weights, ..first.clone() })
    }

    async fn adapter(&mut self) -> StudentResult<Option<Adapter>> {
        Ok(self.adapter.clone())
    }
}

/// The last capitalized word that is no question word, in lower case; failing that, the last word.
pub fn subject(question: &str) -> String {
    let mut capitals = question.split_whitespace().filter(|word| {
        let asks = ["What", "Which", "Who", "Could", "In", "I", "A"];
        word.starts_with(char::is_uppercase) && !asks.contains(word)
    });
    let last = capitals.next_back().or(question.split_whitespace().next_back()).unwrap_or("");
    words(last).join("")
}

fn slot(subject: &str, answer: &str) -> usize {
    Random::named(2, &format!("{subject}/{answer}")).below(SLOTS)
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

fn replace_word(text: &str, word: &str, other: &str) -> String {
    text.replace(&capital(word), other)
}
