//! The audit: every move of the model is a line of the journal, chained to all lines before it.
//!
//! It writes lines and verifies them; what the chain is, `chain` says. Invariant: a line, the chain's new end, and what
//! the line is about become durable in one write.

use super::chain::{Chain, breaks, journal_key};
use super::keys::CHECKPOINT;
use super::learner::{LearnError, LearnResult, Learner, Quarantined, json};
use super::report::{Action, CycleInputs, CycleReport, JournalEntry};
use crate::store::{Store, Table, Write};
use serde::Serialize;
use std::collections::BTreeMap;

/// The record under `Refs/audit`: the chain's end.
const END: &str = "audit";

/// What older programs wrote after a sentence, in the journal too: words of an example.
const QUOTED: &str = "; the first: ";

/// A line on its way into the journal.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub action: Action,
    /// HEAD afterwards.
    pub to: Option<String>,
    /// One sentence, without a word of an example.
    pub note: String,
    pub report: Option<CycleReport>,
    /// sha256 of the adapter of `to`, where `to` is not known yet.
    pub adapter: Option<String>,
    pub examples: Vec<String>,
    pub cycle: Option<CycleInputs>,
    pub renamed: BTreeMap<String, Option<String>>,
}

impl Line {
    pub fn new(action: Action, to: Option<String>, note: String) -> Self {
        Self {
            action,
            to,
            note,
            report: None,
            adapter: None,
            examples: Vec::new(),
            cycle: None,
            renamed: BTreeMap::new(),
        }
    }
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Lines of the journal.
    pub lines: usize,
    /// The chain's end: who keeps it elsewhere notices a journal that was written anew.
    pub hash: String,
    /// Where the journal is not what was written, and where a version is not what it was.
    pub breaks: Vec<String>,
}

impl<S: Store> Learner<S> {
    /// Verifies the journal against its chain, and every version that is kept against its hashes.
    pub async fn audit(&self) -> LearnResult<AuditReport> {
        let records = self.store.list(Table::Journal).await?;
        let end = self.store.get(Table::Refs, END).await?;
        let end: Option<Chain> = end.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut found = breaks(&records, end.as_ref());
        for (id, record) in self.store.list(Table::Versions).await? {
            match super::version::Version::from_record(&id, &record) {
                Some(version) if !self.is_whole(&version).await? => {
                    found.push(format!("the adapter of version {id} is damaged"));
                }
                Some(_) => {}
                None => found.push(format!("the record of version {id} is damaged")),
            }
        }
        let hash = end.unwrap_or_default().hash;
        Ok(AuditReport { lines: records.len(), hash, breaks: found })
    }

    /// A person says that an example in quarantine is fine.
    pub async fn release(&mut self, id: &str) -> LearnResult<()> {
        let held = self.quarantine.get(id).ok_or_else(|| LearnError::NoExample(id.into()))?;
        let released_since = self.chain.number;
        let released = Quarantined { released: true, released_since, ..held.clone() };
        let note = format!("example {id} released from quarantine");
        let line = Line::new(Action::Release, self.head.clone(), note);
        let line = Line { examples: vec![id.into()], ..line };
        self.commit(vec![Write::put(Table::Quarantine, id, json(&released))], line).await?;
        self.quarantine.insert(id.into(), released);
        Ok(())
    }

    /// A person takes an example out of what is trained, since it does not stick or holds up the others. What HEAD learned of it
    /// stays; only deleting or forgetting it takes that back.
    pub async fn set_aside_by_hand(&mut self, id: &str) -> LearnResult<()> {
        if !self.examples.contains_key(id) {
            return Err(LearnError::NoExample(id.into()));
        }
        let since = self.chain.number + 1;
        let held = Quarantined { since, ..Quarantined::new(Quarantined::BY_HAND.into()) };
        let note = format!("example {id} set aside");
        let line = Line::new(Action::SetAside, self.head.clone(), note);
        let line = Line { examples: vec![id.into()], ..line };
        self.commit(vec![Write::put(Table::Quarantine, id, json(&held))], line).await?;
        self.quarantine.insert(id.into(), held);
        Ok(())
    }

    /// A person vouches for examples: what looks harmful in them is believed.
    pub async fn vouch(&mut self, ids: &[String]) -> LearnResult<()> {
        if let Some(id) = ids.iter().find(|id| !self.examples.contains_key(*id)) {
            return Err(LearnError::NoExample(id.clone()));
        }
        let at = self.chain.number;
        let trusted = Quarantined {
            released: true,
            since: at,
            released_since: at,
            ..Quarantined::new(String::new())
        };
        let note = format!("{} examples vouched for", ids.len());
        let line = Line::new(Action::Release, self.head.clone(), note);
        let line = Line { examples: ids.to_vec(), ..line };
        let writes = ids.iter().map(|id| Write::put(Table::Quarantine, id, json(&trusted)));
        self.commit(writes.collect(), line).await?;
        self.quarantine.extend(ids.iter().map(|id| (id.clone(), trusted.clone())));
        Ok(())
    }

    /// Applies writes together with a line about them.
    pub(super) async fn commit(&mut self, mut writes: Vec<Write>, line: Line) -> LearnResult<()> {
        let entry = self.entry(line);
        let record = json(&entry);
        let chain = self.chain.after(entry.number, &record);
        writes.push(Write::put(Table::Journal, journal_key(entry.number), record));
        writes.push(Write::put(Table::Refs, END, json(&chain)));
        // No run goes on from before a cycle's end or another HEAD. One that was stopped has not ended: it can go on.
        let is_end = matches!(entry.action, Action::Cycle | Action::Merge | Action::Failed);
        let ends_runs = is_end || entry.from != entry.to;
        if ends_runs {
            writes.push(Write::delete(Table::Refs, CHECKPOINT));
        }
        self.store.apply(&writes).await?;
        if ends_runs {
            self.checkpoint = None;
        }
        self.journal.push(entry);
        self.chain = chain;
        Ok(())
    }

    fn entry(&self, line: Line) -> JournalEntry {
        let Line { action, to, note, report, adapter, examples, cycle, renamed } = line;
        let known = || Some(self.versions.get(to.as_ref()?)?.adapter.clone());
        JournalEntry {
            before: Some(self.chain.hash.clone()),
            number: self.chain.number + 1,
            at_ms: (self.clock)(),
            action,
            from: self.head.clone(),
            adapter: adapter.or_else(known),
            to,
            note,
            report,
            examples,
            cycle,
            renamed,
        }
    }

    /// Reads the journal and the chain's end. A journal that has none is an older program's: it is taken into the chain.
    pub(super) async fn load_journal(&mut self) -> LearnResult<()> {
        let records = self.store.list(Table::Journal).await?;
        let end = self.store.get(Table::Refs, END).await?;
        self.journal =
            records.iter().filter_map(|(_, record)| serde_json::from_slice(record).ok()).collect();
        if end.is_none() && self.journal.iter().all(|entry| entry.before.is_none()) {
            return self.keep_as_history(records).await;
        }
        let end: Option<Chain> = end.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let found = breaks(&records, end.as_ref());
        self.warnings.extend(found.into_iter().map(|text| format!("audit: {text}")));
        // Where the end is lost, the lines that are there say where to go on.
        self.chain = end.unwrap_or_else(|| {
            let numbers = self.journal.iter().map(|entry| entry.number);
            Chain::over(numbers.zip(records.iter().map(|(_, record)| &record[..])))
        });
        Ok(())
    }

    /// Takes an older program's lines into the chain. They may quote an example, which later lines never do.
    async fn keep_as_history(&mut self, records: Vec<(String, Vec<u8>)>) -> LearnResult<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::new();
        let mut chain = Chain::default();
        for (key, record) in records {
            let mut kept = record.clone();
            if let Ok(mut entry) = serde_json::from_slice::<JournalEntry>(&record) {
                let reason = entry.report.as_mut().map(|report| &mut report.reason);
                for text in std::iter::once(&mut entry.note).chain(reason) {
                    text.truncate(text.find(QUOTED).unwrap_or(text.len()));
                }
                let bare = json(&entry);
                // What needs no change keeps its bytes.
                if serde_json::from_slice::<JournalEntry>(&record).ok().as_ref() != Some(&entry) {
                    writes.push(Write::put(Table::Journal, &key, bare.clone()));
                    kept = bare;
                }
                chain = chain.after(entry.number, &kept);
            } else {
                chain = chain.after(chain.number + 1, &kept);
            }
        }
        writes.push(Write::put(Table::Refs, END, json(&chain)));
        self.store.apply(&writes).await?;
        self.chain = chain;
        let records = self.store.list(Table::Journal).await?;
        self.journal =
            records.iter().filter_map(|(_, record)| serde_json::from_slice(record).ok()).collect();
        Ok(())
    }
}
