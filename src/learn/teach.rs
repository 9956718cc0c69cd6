//! Teaching: new examples into the buffer, where the same is kept once and the newer of two that exclude each other.
//!
//! It knows no model. Invariants: one write makes the buffer what it is afterwards; an example that HEAD learned leaves
//! the buffer only to another that takes its place, to the user, or into retirement, where it is still examined.

use super::example::{Content, Example, NewExample, Past};
use super::learner::{LearnError, LearnResult, Learner};
use super::likeness::{NEAR, Signature, gist};
use super::replay;
use super::report::TeachReport;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The buffer while it is taught, with what finds an example in it.
struct Shelf {
    examples: BTreeMap<String, Example>,
    /// Ids by whole content.
    texts: HashMap<String, String>,
    /// Ids by what is asked.
    prompts: HashMap<String, String>,
    /// Long texts; empty unless one is taught.
    long: BTreeMap<String, Signature>,
    /// What was replaced.
    past: Vec<Past>,
}

impl<S: Store> Learner<S> {
    /// Puts examples into the buffer. One that is there already is a duplicate; one whose prompt has another answer
    /// there, or that is nearly the same text, replaces it.
    pub async fn teach(&mut self, new: Vec<NewExample>) -> LearnResult<TeachReport> {
        for example in &new {
            example.check()?;
        }
        let now_ms = (self.clock)();
        let depth = self.versions.depth(self.head.as_deref());
        let mut report = TeachReport { added: 0, duplicates: 0, replaced: 0, total: 0 };
        let mut shelf = Shelf::new(self.examples.clone(), &new);
        for example in new {
            let mut example = example.stored(now_ms, replay::PRIORITY_MAX);
            example.measured = depth;
            example.since = self.chain.number;
            shelf.put(example, &mut report);
        }
        let mut examples = shelf.examples;
        let anchors = examples.values().filter(|e| e.kind == super::example::Kind::Anchor).count();
        let anchors_max = replay::anchors_max(replay::CAPACITY);
        if anchors > anchors_max {
            return Err(LearnError::Anchors(anchors_max));
        }
        report.replaced += self.make_room(&mut examples);
        self.write_examples(examples, shelf.past).await?;
        report.total = self.examples.len();
        Ok(report)
    }

    /// Takes examples out of the buffer until it holds its capacity. What HEAD learned retires, the rest goes: how many.
    fn make_room(&self, examples: &mut BTreeMap<String, Example>) -> usize {
        let waiting: HashSet<String> = self.waiting(examples).into_iter().collect();
        let drawn: Vec<&Example> = examples.values().filter(|e| !e.retired).collect();
        let mut gone = 0;
        for id in replay::evict(&drawn, replay::CAPACITY, &waiting) {
            match examples.get_mut(&id) {
                Some(example) if !waiting.contains(&id) => example.retired = true,
                _ => {
                    examples.remove(&id);
                    gone += 1;
                }
            }
        }
        let mut retired: Vec<(u64, String)> =
            examples.values().filter(|e| e.retired).map(|e| (e.created_ms, e.id.clone())).collect();
        retired.sort();
        for (_, id) in retired.iter().take(retired.len().saturating_sub(replay::RETIRED_MAX)) {
            examples.remove(id);
            gone += 1;
        }
        gone
    }
}

impl Shelf {
    fn new(examples: BTreeMap<String, Example>, new: &[NewExample]) -> Shelf {
        let all = examples.values();
        let texts = all.clone().map(|e| (e.content.text_key(), e.id.clone())).collect();
        let prompts = all.clone().filter_map(|e| Some((e.content.prompt_key()?, e.id.clone())));
        let prompts = prompts.collect();
        // Most lessons are short and need no signatures; making all of them takes a moment.
        let any = new.iter().any(|new| signature(&new.content).is_some());
        let long = all.filter(|_| any).filter_map(|e| Some((e.id.clone(), signature(&e.content)?)));
        let long = long.collect();
        Shelf { examples, texts, prompts, long, past: Vec::new() }
    }

    fn put(&mut self, example: Example, report: &mut TeachReport) {
        let text = example.content.text_key();
        if let Some(same) = self.texts.get(&text) {
            // Taught again, it is wanted again.
            if let Some(same) = self.examples.get_mut(same) {
                same.retired = false;
            }
            report.duplicates += 1;
            return;
        }
        let signature = signature(&example.content);
        let prompt = example.content.prompt_key();
        let asked = prompt.as_ref().and_then(|prompt| self.prompts.get(prompt)).cloned();
        let near = || self.near(&example.content, signature.as_ref()?);
        if let Some(earlier) = asked.or_else(near) {
            self.take(&earlier, &example);
            report.replaced += 1;
        }
        report.added += 1;
        self.texts.insert(text, example.id.clone());
        self.prompts.extend(prompt.map(|prompt| (prompt, example.id.clone())));
        self.long.extend(signature.map(|signature| (example.id.clone(), signature)));
        self.examples.insert(example.id.clone(), example);
    }

    fn take(&mut self, id: &str, by: &Example) {
        let Some(example) = self.examples.remove(id) else { return };
        self.texts.remove(&example.content.text_key());
        if let Some(prompt) = example.content.prompt_key() {
            self.prompts.remove(&prompt);
        }
        self.long.remove(id);
        self.past.push(Past { example, until: by.since, by: by.id.clone() });
    }

    /// The example that is nearly the same as a long text, the nearest first.
    fn near(&self, content: &Content, signature: &Signature) -> Option<String> {
        let similar = self.long.iter().map(|(id, other)| (signature.similarity(other), id));
        let near = similar.filter(|(similarity, id)| {
            *similarity >= NEAR && are_one(content, &self.examples[*id].content)
        });
        near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id.clone())
    }
}

/// The signature of what makes an example this one: a passage's text, or what is asked.
fn signature(content: &Content) -> Option<Signature> {
    match content {
        Content::Text(text) => Signature::of(text),
        Content::Chat(messages) => {
            let asked = &messages[..messages.len().saturating_sub(1)];
            let lines: Vec<&str> = asked.iter().map(|message| message.content.as_str()).collect();
            Signature::of(&lines.join("\n"))
        }
    }
}

/// Whether two contents of like words are one: passages are, as the newer edition of a text; questions only if no word of
/// sense differs, since a name or a "not" makes another question.
fn are_one(a: &Content, b: &Content) -> bool {
    match (a, b) {
        (Content::Text(_), Content::Text(_)) => true,
        (Content::Chat(_), Content::Chat(_)) => {
            let senses = [a, b].map(|content| {
                let prompt = content.prompt_key().unwrap_or_default();
                gist(&prompt).split(' ').map(String::from).collect::<BTreeSet<String>>()
            });
            senses[0] == senses[1]
        }
        _ => false,
    }
}
