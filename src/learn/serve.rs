//! Which adapter answers, and where: a version put in place together with the scope of what it learned.
//!
//! It knows no training. Invariant: the scope follows from the examples that are still there, so a forgotten one no
//! longer draws a prompt to the adapter.

use super::learner::{LearnError, LearnResult, Learner};
use super::prepare::Material;
use super::recipe::Lesson;
use super::report::LearnOptions;
use super::scope::Scope;
use super::student::Student;
use super::version::Version;
use crate::model::adapter::Adapter;
use crate::store::Store;

/// What answers: an adapter and its scope, or the base model.
pub(super) struct Served {
    adapter: Option<Adapter>,
    scope: Scope,
}

impl Served {
    /// Puts it in place.
    pub async fn put(self, student: &mut dyn Student) -> LearnResult<()> {
        let put = student.use_adapter(self.adapter.as_ref(), self.scope).await;
        put.map_err(LearnError::from)
    }
}

impl<S: Store> Learner<S> {
    /// Puts a version in place, in its scope; none is the base model.
    pub async fn serve(
        &self,
        student: &mut dyn Student,
        version: Option<&Version>,
    ) -> LearnResult<()> {
        self.served(version).await?.put(student).await
    }

    /// A version read and found intact, ready to be put in place.
    pub(super) async fn served(&self, version: Option<&Version>) -> LearnResult<Served> {
        Ok(match version {
            Some(version) => Served {
                adapter: Some(self.adapter_of(version).await?),
                scope: self.scope(version).await?,
            },
            None => Served { adapter: None, scope: Scope::everything() },
        })
    }

    /// Where a version answers.
    async fn scope(&self, version: &Version) -> LearnResult<Scope> {
        if !version.scoped {
            return Ok(Scope::everything());
        }
        Ok(Scope::new(self.lessons_of(version).await?.iter().map(Lesson::about)))
    }

    /// Where a candidate answers: near what HEAD learned, and near what is taught now.
    pub(super) async fn scope_after(
        &self,
        material: &Material,
        options: &LearnOptions,
    ) -> LearnResult<Scope> {
        if !options.recipe.scoped || self.head().is_some_and(|head| !head.scoped) {
            return Ok(Scope::everything());
        }
        let known = match self.head() {
            Some(head) => self.lessons_of(head).await?,
            None => Vec::new(),
        };
        Ok(Scope::new(known.iter().chain(&material.new).map(Lesson::about)))
    }

    /// The lessons that a version and its ancestors were trained on and that are still there.
    pub(super) async fn lessons_of(&self, version: &Version) -> LearnResult<Vec<Lesson>> {
        let ids = self.versions.saw(&version.id);
        let mut lessons = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(example) = self.examples.get(id).cloned() else { continue };
            let drill = self.kept_drill(id, &version.base_hash).await?.unwrap_or_default();
            lessons.push(Lesson { example, drill });
        }
        Ok(lessons)
    }
}
