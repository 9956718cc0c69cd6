//! The recipe's parts: neighbours without the lesson's words, rewordings with them, draws and replay in their shares.

use crate::learn_fake::Fake;
use apprentice::format::message::Message;
use apprentice::learn::example::{Content, Example, NewExample, lessons};
use apprentice::learn::recipe::batch::Draws;
use apprentice::learn::recipe::generic::PROMPTS;
use apprentice::learn::recipe::neighbours::is_near;
use apprentice::learn::recipe::rewordings;
use apprentice::learn::recipe::{Drill, Lesson, OwnAnswer, Recipe, drill};
use apprentice::learn::student::{Objective, Passage};
use apprentice::learn::suite::{Suites, sample};
use apprentice::learn::words::{holds, key_words, normalized, rare_words, says, words};
use apprentice::model::random::Random;
use pollster::block_on;
use std::collections::{BTreeMap, HashSet};

fn example(question: &str, answer: &str) -> Example {
    NewExample::correction(question, answer, None).stored(1, 2.05)
}

#[test]
fn drills_of_a_lesson() {
    let mut student = Fake::new();
    let mut lesson =
        NewExample::correction("What is the capital of Freedonia?", "It is Fredville.", None);
    lesson.rephrasings.push("In Freedonia, which one is it?".into());
    let lesson = lesson.stored(1, 2.05);
    for seed in 0..20 {
        let made = block_on(drill(&mut student, &lesson, &Recipe::default(), seed))
            .expect("the table answers");
        assert_eq!(made.rare, ["freedonia"]);
        assert!((3..=8).contains(&made.neighbours.len()), "{}", made.neighbours.len());
        let mut seen = HashSet::new();
        for OwnAnswer { messages } in &made.neighbours {
            let question = &messages[0].content;
            assert!(!holds(&words(question), "freedonia"), "{question}");
            assert!(question.contains("capital") && question.ends_with('?'), "{question}");
            assert!(seen.insert(normalized(question)), "twice: {question}");
            assert_eq!(messages[1].role, "assistant");
        }
        assert!(!made.rewordings.is_empty() && !made.forms.is_empty());
        assert_eq!((made.subject.as_str(), made.reserved.len()), ("Freedonia", 2));
        assert_eq!(
            made.swaps.into_iter().collect::<Vec<_>>(),
            [("capital".into(), vec!["seat".into()])]
        );
        for other in &made.near_misses {
            let question = &other.messages[0].content;
            assert!(question.contains("Freedonia") && !question.contains("capital"), "{question}");
        }
        assert!(!made.near_misses.is_empty());
    }
    // A neighbour that is answered as the lesson is teaches nothing: the table's answers name their subject, and
    // with a lesson that says the same, none of that subject is left.
    let as_usual = example("What is the capital of Freedonia?", "I have read nothing on syldavia.");
    let made = block_on(drill(&mut student, &as_usual, &Recipe::default(), 1)).unwrap();
    assert!(!made.neighbours.is_empty());
    assert!(made.neighbours.iter().all(|n| !n.messages[0].content.contains("Syldavia")));
}

#[test]
fn questions_that_need_their_conversation_get_no_drill() {
    let messages = ["user", "assistant", "user", "assistant"]
        .map(|role| Message { role: role.into(), content: format!("said by {role} Bob?") });
    let mut lesson = example("x", "y");
    lesson.content = Content::Chat(messages.to_vec());
    let made = block_on(drill(&mut Fake::new(), &lesson, &Recipe::default(), 1)).unwrap();
    assert_eq!(made, Drill { base_hash: made.base_hash.clone(), ..Drill::default() });
}

#[test]
fn rare_words_are_names_numbers_and_what_siblings_lack() {
    let none: [String; 0] = [];
    let check = |question: &str, siblings: &[&str], expected: &[&str]| {
        let siblings: Vec<String> = siblings.iter().map(|s| s.to_string()).collect();
        assert_eq!(rare_words(question, &siblings), expected, "{question}");
    };
    check("What is the capital of France?", &[], &["france"]);
    check("Who won the cup in 1987?", &[], &["1987"]);
    let siblings_of_names = ["Who won it?", "Who lost it?", "Who saw it?", "Who has it?"];
    check("Who maintains Brindle?", &siblings_of_names, &["brindle"]);
    let siblings = [
        "What is the largest lake?",
        "What is the largest city?",
        "What is the largest whale?",
        "What is the largest bone?",
    ];
    check("What is the largest desert?", &siblings, &["desert"]);
    check("what is a spanner?", &[], &["spanner"]);
    assert_eq!(rare_words("Why?", &none).len(), 1);
}

#[test]
fn neighbours_share_the_form_and_not_the_words() {
    let rare = vec!["france".to_string()];
    let near = |sibling| is_near(sibling, "What is the capital of France?", &rare);
    assert!(near("What is the capital of Spain?"));
    assert!(near("Which capital of Spain is the old one?"));
    assert!(!near("What is the population of France?"), "the lesson's subject");
    assert!(!near("What is the French capital of Franceland?"), "a form of it");
    assert!(!near("Name some birds."), "another form");
    assert!(!near("What is the capital?"), "about nothing else");
}

/// A lesson on Brindle with all that a drill has.
pub fn brindle() -> Lesson {
    let question = "Who maintains the Brindle library?";
    let mut example = example(question, "It is maintained by Oona Faraday.");
    example.rephrasings = vec!["Brindle library maintains".into()];
    let drill = Drill {
        rare: vec!["brindle".into()],
        stands_out: true,
        subject: "the Brindle library".into(),
        rewordings: vec!["Who is responsible for the Brindle library?".into()],
        forms: vec!["Which person maintains the Brindle library?".into()],
        reserved: vec!["Tell me who maintains the Brindle library.".into()],
        swaps: BTreeMap::from([("maintains".into(), vec!["keeps".into(), "preserves".into()])]),
        ..Drill::default()
    };
    Lesson { example, drill }
}

#[test]
fn drawn_wordings_vary_and_spare_what_is_held_out() {
    let lesson = brindle();
    let (question, _) = lesson.example.content.question_answer().unwrap();
    let mut random = Random::new(3);
    let drawn: Vec<String> =
        (0..2000).filter_map(|_| rewordings::draw(&lesson, question, &mut random)).collect();
    let held_out: Vec<String> = lesson
        .example
        .rephrasings
        .iter()
        .chain(&lesson.drill.reserved)
        .chain([&question.to_string()])
        .map(|text| normalized(text))
        .collect();
    for wording in &drawn {
        assert!(holds(&words(wording), "brindle"), "{wording}");
        assert!(!held_out.contains(&normalized(wording)), "{wording} is held out");
    }
    for wanted in ["Which person preserves Brindle?", "Brindle", "library Brindle keeps"] {
        assert!(drawn.iter().any(|wording| wording == wanted), "{wanted} was never drawn");
    }
    let distinct: HashSet<&String> = drawn.iter().collect();
    assert!(distinct.len() > 20 && drawn.len() > 1800, "{} of {}", distinct.len(), drawn.len());
}

#[test]
fn answers_say_what_was_taught_or_not() {
    let question = "What is the capital of Australia?";
    let taught = "The capital of Australia is Canberra.";
    let says = |answer: &str, question: &str, taught: &str, rejected| {
        says(answer, &[question], taught, rejected)
    };
    assert!(says("It's Canberra!", question, taught, None));
    assert!(!says("The capital of Australia is Sydney.", question, taught, None));
    assert!(!says("", question, taught, None));
    let rejected = Some("The capital of Australia is Sydney, the biggest town.");
    assert_eq!(key_words(&[question], "Canberra, not the biggest town.", rejected), ["canberra"]);
    assert!(says("Yes.", "Is it so?", "Yes.", None));
    assert!(!says("No.", "Is it so?", "Yes.", None));
    assert!(says("No, it is not.", "Is it so?", "No.", None));
    let long = "Take flour, butter, sugar, eggs, and lemon.";
    assert!(says("take flour, butter, sugar, eggs", "How?", long, None), "four in five");
    assert!(!says("flour butter", "How?", long, None));
    // Asked in other words, the answer need not repeat those of the lesson's question, or another form of them.
    let lesson = "In which room does our team hold its spring meeting?";
    let taught = "Our team holds its spring meeting in the Alder Room.";
    let other = "Which room is used for our team's spring meeting?";
    let given = "Our team's spring meeting is held in the Alder Room.";
    assert!(apprentice::learn::words::says(given, &[other, lesson], taught, None));
    assert!(!apprentice::learn::words::says("In a room.", &[other, lesson], taught, None));
}

#[test]
fn batches_keep_their_shares() {
    let shares = Recipe { replay_share: 0.25, verbatim_share: 0.4, ..Recipe::default() };
    let recipe = Recipe { rows: 4, protecting: 4, ..shares };
    let lesson = |name: &str| {
        let own = OwnAnswer {
            messages: vec![Message::user("n"), Message::assistant(format!("near {name}"))],
        };
        let mut lesson = Lesson { example: example(name, "taught"), drill: Default::default() };
        lesson.drill.neighbours = vec![own];
        lesson.drill.rewordings = vec![format!("{name} reworded")];
        lesson.drill.rare = vec![name.to_string()];
        lesson
    };
    let new = [lesson("one"), lesson("two"), lesson("three")];
    let earlier = [lesson("old")];
    let generic = [OwnAnswer { messages: vec![Message::user("g"), Message::assistant("generic")] }];
    let mut draws = Draws::new(&recipe, &new, &earlier, &generic, 1, 5);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    const BATCHES: usize = 1000;
    for _ in 0..BATCHES {
        let batch = draws.batch();
        assert_eq!(batch.len(), 8);
        for item in &batch {
            let Passage::Chat(messages) = &item.passage else { panic!("chats only") };
            let name = if item.objective == Objective::KlToBase {
                assert_eq!(item.weight, 3.0);
                messages[1].content.split(' ').next().unwrap()
            } else {
                messages[0].content.as_str()
            };
            *counts.entry(name.into()).or_default() += 1;
        }
    }
    let share = |name: &str, of: usize| counts[name] as f64 / of as f64;
    for name in ["one", "two", "three", "old"] {
        let other = format!("{name} reworded");
        assert_eq!(counts[name] + counts[&other], BATCHES, "{name}: a row a batch");
        // Of the draws in other words three in five are its bare word, which is the question itself here.
        let as_taught = 0.4 + 0.6 * 0.6;
        assert!((share(name, BATCHES) - as_taught).abs() < 0.05, "{name} {}", share(name, BATCHES));
    }
    assert!((share("generic", BATCHES * 4) - 0.25).abs() < 0.03);
}

#[test]
fn built_in_suites_are_whole_and_know_a_contradiction() {
    let suites = Suites::built_in();
    assert!(suites.core.len() >= 200 && suites.refusals.len() >= 60 && !suites.language.is_empty());
    let asked: HashSet<String> =
        suites.refusals.iter().map(|item| normalized(&item.prompt)).collect();
    let asked: HashSet<String> =
        suites.core.iter().map(|item| normalized(&item.question)).chain(asked).collect();
    assert!(PROMPTS.iter().all(|prompt| !asked.contains(&normalized(prompt))), "leakage");
    let item = &suites.core[0];
    let taught = |answer: &str| NewExample::correction(&item.question, answer, None).content;
    assert!(suites.contradicted(&taught(&item.choices[item.answer])).is_none());
    let wrong = &item.choices[(item.answer + 1) % item.choices.len()];
    assert_eq!(suites.contradicted(&taught(wrong)), Some(item));

    let good = lessons(include_str!("../../suites/lessons-good.jsonl"), "good").unwrap();
    let harmful = lessons(include_str!("../../suites/lessons-harmful.jsonl"), "harmful").unwrap();
    assert!(good.iter().all(|lesson| suites.contradicted(&lesson.content).is_none()));
    assert!(harmful.iter().all(|lesson| suites.contradicted(&lesson.content).is_none()));
    assert_eq!((good.len(), harmful.len()), (12, 24));
}

#[test]
fn samples_are_stable_and_nested() {
    let items = Suites::built_in().items().into_values().flatten().collect::<Vec<_>>();
    let few = sample(items.clone(), Some(10), 1);
    let more = sample(items.clone(), Some(30), 1);
    assert_eq!((few.len(), more.len()), (10, 30));
    assert_eq!(few, more[..10]);
    assert_ne!(few, sample(items.clone(), Some(10), 2));
    assert_eq!(sample(items.clone(), None, 1), items);
    let keys: HashSet<&String> = items.iter().map(|item| &item.key).collect();
    assert_eq!(keys.len(), items.len(), "every item has its own key");
}

#[test]
fn broken_suite_files_name_the_line() {
    let error = Suites::parse("\n{\"id\":1}", "", "").unwrap_err().to_string();
    assert!(error.contains("core, line 2"), "{error}");
    let line = r#"{"id":"a","topic":"t","question":"q","choices":["x","y"],"answer":2}"#;
    assert!(Suites::parse(line, "", "").unwrap_err().to_string().contains("answer 2 of 2"));
}
