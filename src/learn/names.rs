//! Names of versions: tags stay where they were put, branches go on with what is learned on them.
//!
//! It knows no store. Invariant: a name means one version or the base model, and is neither tag and branch at once nor a
//! word that already means something where a version is asked for.

use std::collections::BTreeMap;

/// The name that means the base model where a version is asked for.
pub const BASE: &str = "base";

/// The name that means the version that answers.
pub const HEAD: &str = "HEAD";

/// Longest name.
const NAME_MAX: usize = 64;

/// All names; a name without a version means the base model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that stay.
    pub tags: BTreeMap<String, Option<String>>,
    /// Names that move with HEAD while it is on them.
    pub branches: BTreeMap<String, Option<String>>,
    /// The branch that HEAD is on.
    pub current: Option<String>,
}

impl Names {
    /// What a name means; the outer `None` is no name.
    pub fn find(&self, name: &str) -> Option<&Option<String>> {
        self.tags.get(name).or_else(|| self.branches.get(name))
    }

    /// The versions that names keep.
    pub fn roots(&self) -> impl Iterator<Item = &String> {
        self.tags.values().chain(self.branches.values()).flatten()
    }

    /// The names of a version, for a person.
    pub fn of(&self, version: Option<&str>) -> Vec<String> {
        let means = |to: &Option<String>| to.as_deref() == version;
        let tags = self.tags.iter().filter(|(_, to)| means(to));
        let branches = self.branches.iter().filter(|(_, to)| means(to));
        let tags = tags.map(|(name, _)| format!("tag {name}"));
        tags.chain(branches.map(|(name, _)| name.clone())).collect()
    }

    /// Why a new name cannot be one; none if it can.
    pub fn refused(&self, name: &str) -> Option<String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(good) {
            let text = "is no name; use 1 to 64 letters, digits, `-`, `_` and `.`";
            return Some(format!("`{name}` {text}"));
        }
        if name == BASE || name == HEAD || name.starts_with(['-', '.']) {
            return Some(format!("`{name}` means something else; choose another name"));
        }
        let is_id = name.len() == 16 && name.chars().all(|c| c.is_ascii_hexdigit());
        is_id.then(|| format!("`{name}` looks like a version's id; choose another name"))
    }
}
