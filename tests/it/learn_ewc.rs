//! EWC's record across cycles: it is kept with its version, goes with it, and is measured anew where there is none.
//!
//! The student is a table, so only the record's way is tested here; its numbers are in `guards`.

use crate::learn_fake::{Fake, open};
use apprentice::learn::example::NewExample;
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::Learner;
use apprentice::learn::report::LearnOptions;
use apprentice::store::Store;
use apprentice::store::memory::MemoryStore;
use apprentice::train::{Form, Importance};
use pollster::block_on;

async fn cycle(
    learner: &mut Learner<MemoryStore>,
    student: &mut Fake,
    name: &str,
    form: Option<Form>,
) {
    let question = format!("What is the capital of {name}?");
    let lesson = NewExample::correction(&question, &format!("It is {name}ville."), None);
    learner.teach(vec![lesson]).await.unwrap();
    let mut options = LearnOptions { screen: false, ..LearnOptions::default() };
    options.recipe.ewc.form = form;
    options.recipe.ewc.gamma = 0.5;
    let report = learner.learn(student, &options, &mut |_| {}).await.unwrap();
    assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
}

#[test]
fn what_lessons_need_is_kept_with_their_version() {
    block_on(async {
        let disk = MemoryStore::new();
        let store = || disk.clone();
        let (mut learner, mut student) = (open(store()).await, Fake::new());
        cycle(&mut learner, &mut student, "Freedonia", None).await;
        assert_eq!(learner.head().unwrap().importance, None, "off by default");
        // The first cycle with it measures what HEAD knows: 1, then 1 more beside half of that.
        let form = Some(Form::Diagonal);
        cycle(&mut learner, &mut student, "Borduria", form).await;
        cycle(&mut learner, &mut student, "Syldavia", form).await;
        let head = learner.head().unwrap().clone();
        let blob = head.importance.clone().expect("it was measured");
        drop(learner);
        // It is there after a restart, whose sweep leaves it alone.
        let mut learner = open(store()).await;
        assert!(learner.warnings().is_empty(), "{:?}", learner.warnings());
        assert_eq!(learner.head(), Some(&head));
        let bytes = store().get_blob(&blob).await.unwrap().expect("the blob");
        let kept = Importance::from_bytes(&bytes).unwrap();
        assert_eq!((kept.mass, kept.values), (1.0 + 0.5 * 1.5, vec![1.0 + 0.5 * 1.5; 3]));
        // It goes when its version goes.
        let id = NewExample::correction(
            "What is the capital of Syldavia?",
            "It is Syldaviaville.",
            None,
        )
        .id();
        learner.delete_example(&id).await.unwrap();
        assert_eq!(store().get_blob(&blob).await.unwrap(), None);
    });
}
