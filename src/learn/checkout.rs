//! Tags and branches, and what a person may write where a version is asked for.
//!
//! It knows no model. Invariants: a move is one atomic write with its journal line; what a name means is kept by pruning
//! and by the collection of garbage as HEAD is.

use super::audit::Line;
use super::learner::{LearnError, LearnResult, Learner, json};
use super::names::{BASE, HEAD};
use super::report::Action;
use super::student::Student;
use crate::store::{Store, Table, Write};
use serde::{Deserialize, Serialize};

/// Beginnings of the keys under `Refs`.
const TAG: &str = "tag/";
const BRANCH: &str = "branch/";

/// The records under `Refs` that name a version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RefRecord {
    pub version: Option<String>,
    /// HEAD's branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// The two kinds of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tag,
    Branch,
}

impl<S: Store> Learner<S> {
    /// Gives a version (by default HEAD) a name that stays. A tag that exists is moved only by `force`.
    pub async fn tag(&mut self, name: &str, version: Option<&str>, force: bool) -> LearnResult<()> {
        self.name(Kind::Tag, name, version, force).await
    }

    /// Gives a version (by default HEAD) a name that goes on with what is learned while HEAD is on it.
    pub async fn branch(&mut self, name: &str, version: Option<&str>) -> LearnResult<()> {
        self.name(Kind::Branch, name, version, false).await
    }

    /// Takes a tag or a branch away; its versions stay until they are pruned.
    pub async fn remove_name(&mut self, name: &str) -> LearnResult<()> {
        let (kind, key) = match (self.names.tags.get(name), self.names.branches.get(name)) {
            (Some(_), _) => (Action::Tag, format!("{TAG}{name}")),
            (_, Some(_)) => (Action::Branch, format!("{BRANCH}{name}")),
            _ => return Err(LearnError::Name(format!("no tag or branch `{name}`"))),
        };
        if self.names.current.as_deref() == Some(name) {
            let text = format!("HEAD is on the branch `{name}`; check another one out first");
            return Err(LearnError::Name(text));
        }
        let line = Line::new(kind, self.head.clone(), format!("the name {name} taken away"));
        self.commit(vec![Write::delete(Table::Refs, key)], line).await?;
        self.names.tags.remove(name);
        self.names.branches.remove(name);
        Ok(())
    }

    /// Makes a branch or a version HEAD; the student serves it on return. Learning goes on on the branch, or, from a
    /// version, on none. Returns HEAD's id.
    pub async fn checkout(
        &mut self,
        student: &mut dyn Student,
        name: &str,
    ) -> LearnResult<Option<String>> {
        let to = self.resolve(name)?;
        let branch = self.names.branches.contains_key(name).then(|| name.to_string());
        let note = match &branch {
            Some(branch) => format!("on the branch {branch}"),
            None => format!("checked out {}", to.as_deref().unwrap_or(BASE)),
        };
        let left = std::mem::replace(&mut self.names.current, branch);
        let moved = self.put_head(student, to, Action::Checkout, note).await;
        if moved.is_err() {
            self.names.current = left;
        }
        moved
    }

    /// The version that a person means: `base`, `HEAD`, a tag, a branch, an id or the beginning of exactly one; `~N`
    /// behind it goes back by N first parents.
    pub fn resolve(&self, name: &str) -> LearnResult<Option<String>> {
        let none = || LearnError::NoVersion(name.into());
        if let Some((name, back)) = name.split_once('~') {
            let back: usize = if back.is_empty() { 1 } else { back.parse().map_err(|_| none())? };
            let mut at = self.resolve(name)?;
            for _ in 0..back {
                let version = at.as_ref().and_then(|id| self.versions.get(id)).ok_or_else(none)?;
                at = version.parent.clone();
            }
            let is_kept = at.as_ref().is_none_or(|id| self.versions.contains_key(id));
            return if is_kept { Ok(at) } else { Err(none()) };
        }
        match name {
            BASE => return Ok(None),
            HEAD => return Ok(self.head.clone()),
            _ => {}
        }
        if let Some(version) = self.names.find(name) {
            return Ok(version.clone());
        }
        let mut fitting = self.versions.keys().filter(|id| id.starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) if !name.is_empty() => Ok(Some(id.clone())),
            (Some(_), Some(_)) if !name.is_empty() => Err(LearnError::Ambiguous(name.into())),
            _ => Err(none()),
        }
    }

    /// The names of versions.
    pub fn names(&self) -> &super::names::Names {
        &self.names
    }

    /// The writes that move HEAD, and the branch that it is on.
    pub(super) fn head_writes(&self, to: &Option<String>) -> Vec<Write> {
        let branch = self.names.current.clone();
        let record = RefRecord { version: to.clone(), branch: branch.clone() };
        let mut writes = vec![Write::put(Table::Refs, HEAD, json(&record))];
        if let Some(branch) = branch {
            let record = RefRecord { version: to.clone(), branch: None };
            writes.push(Write::put(Table::Refs, format!("{BRANCH}{branch}"), json(&record)));
        }
        writes
    }

    /// What `head_writes` did, in memory.
    pub(super) fn head_moved(&mut self, to: Option<String>) {
        if let Some(branch) = &self.names.current {
            self.names.branches.insert(branch.clone(), to.clone());
        }
        self.head = to;
    }

    /// The writes that put names whose version is in `from` onto what it became.
    pub(super) fn renaming(&self, became: &dyn Fn(&str) -> Option<Option<String>>) -> Vec<Write> {
        let tags = self.names.tags.iter().map(|(name, to)| (TAG, name, to));
        let branches = self.names.branches.iter().map(|(name, to)| (BRANCH, name, to));
        let moved = tags.chain(branches).filter_map(|(kind, name, to)| {
            let record = RefRecord { version: became(to.as_deref()?)?, branch: None };
            Some(Write::put(Table::Refs, format!("{kind}{name}"), json(&record)))
        });
        moved.collect()
    }

    /// Reads the names; HEAD's branch comes with HEAD.
    pub(super) async fn load_names(&mut self) -> LearnResult<()> {
        self.names = super::names::Names::default();
        for (key, record) in self.store.list(Table::Refs).await? {
            let (map, name) = match (key.strip_prefix(TAG), key.strip_prefix(BRANCH)) {
                (Some(name), _) => (&mut self.names.tags, name),
                (_, Some(name)) => (&mut self.names.branches, name),
                _ => continue,
            };
            match serde_json::from_slice::<RefRecord>(&record) {
                Ok(record) => drop(map.insert(name.into(), record.version)),
                Err(error) => self.warnings.push(format!("the name {name} is damaged: {error}")),
            }
        }
        Ok(())
    }

    async fn name(
        &mut self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
        force: bool,
    ) -> LearnResult<()> {
        if let Some(text) = self.names.refused(name) {
            return Err(LearnError::Name(text));
        }
        let may_move = force && kind == Kind::Tag && self.names.tags.contains_key(name);
        if self.names.find(name).is_some() && !may_move {
            return Err(LearnError::Name(format!("the name `{name}` is taken")));
        }
        let to = self.resolve(version.unwrap_or(HEAD))?;
        let (action, prefix) = match kind {
            Kind::Tag => (Action::Tag, TAG),
            Kind::Branch => (Action::Branch, BRANCH),
        };
        let record = RefRecord { version: to.clone(), branch: None };
        let write = Write::put(Table::Refs, format!("{prefix}{name}"), json(&record));
        let note = format!("{name} names {}", to.as_deref().unwrap_or(BASE));
        self.commit(vec![write], Line::new(action, self.head.clone(), note)).await?;
        let map = match kind {
            Kind::Tag => &mut self.names.tags,
            Kind::Branch => &mut self.names.branches,
        };
        map.insert(name.into(), to);
        Ok(())
    }
}
