//! The simulated user: its data is what its README says, and five days on the small model give what a hundred build on.
//!
//! The real program runs, is killed in the middle, and goes on. Invariant: nothing here depends on how long a day takes.

use crate::learn_small::small_model;
use apprentice::cli::simulate::data::{Data, Marked, Marker};
use apprentice::cli::simulate::stream::{Day, Drift, SPAN, Stream, UserStream};
use apprentice::learn::suite::Suites;
use apprentice::learn::words::{normalized, says};
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Days of the short form.
const DAYS: usize = 5;

fn data() -> Data {
    Data::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/learning/data")).unwrap()
}

#[test]
fn the_users_data_is_whole_and_contradicts_nothing() {
    let data = data();
    let parts = [data.facts.len(), data.code.len(), data.unseen_code.len(), data.notes.len()];
    assert_eq!((parts, data.requests.len()), ([120, 21, 6, 60], 20));
    let asked = data.facts.iter().flat_map(|f| std::iter::once(&f.prompt).chain(&f.rephrasings));
    let asked: Vec<String> = asked.map(|text| normalized(text)).collect();
    assert_eq!(asked.iter().collect::<HashSet<_>>().len(), 4 * data.facts.len());
    let core = Suites::built_in().core;
    let core: HashSet<String> = core.iter().map(|item| normalized(&item.question)).collect();
    assert!(asked.iter().all(|question| !core.contains(question)));
    let near = data.facts.iter().filter_map(|fact| Some((fact, fact.near.as_ref()?)));
    let near: Vec<_> = near.collect();
    assert_eq!(near.len(), 59);
    for (fact, near) in near {
        assert!(normalized(&fact.answer).contains(&normalized(&near.not)), "{}", fact.id);
        assert!(!normalized(&near.prompt).contains(&normalized(&near.not)), "{}", fact.id);
        assert!(says(&fact.answer, &[&fact.prompt], &fact.answer, None), "{}", fact.id);
    }
    let unseen: HashSet<&String> = data.requests.iter().map(|request| &request.prompt).collect();
    assert!(data.notes.iter().all(|note| !unseen.contains(&note.prompt)));
}

#[test]
fn every_note_has_the_style_and_a_plain_letter_has_not() {
    let data = data();
    for note in &data.notes {
        let counted = data.markers.count(&note.answer);
        assert_eq!(counted, Marked { found: 4, missing: 0, foreign: 0 }, "{}", note.answer);
    }
    let plain = "Dear Ludo,\n\nThe gate was open! Mind you, I shut it.\n\nBest regards,\n[Name]";
    let counted = data.markers.count(plain);
    assert_eq!(counted, Marked { found: 1, missing: 3, foreign: 4 });
    let none = Marker { name: "none".into(), starts: None, has: None, ends: None };
    assert!(!none.is_in("anything"));
}

#[test]
fn a_hundred_days_teach_everything_once() {
    let data = data();
    let stream = UserStream::new(data.clone(), 7);
    let mut taught = Vec::new();
    for number in 1..=SPAN {
        match stream.day(number).unwrap() {
            Day::Facts(facts) => taught.extend(facts.into_iter().map(|fact| fact.id)),
            Day::Code(files) => taught.extend(files.into_iter().map(|file| file.name)),
            Day::Notes(notes) => taught.extend(notes.into_iter().map(|note| note.id)),
        }
    }
    let once: HashSet<&String> = taught.iter().collect();
    assert_eq!((once.len(), taught.len()), (201, 201));
    assert!(stream.day(SPAN + 1).is_none() && stream.day(0).is_none());
    assert_eq!(stream.facts_after(SPAN).len(), data.facts.len());
    assert_ne!(stream.day(1), UserStream::new(data, 8).day(1), "the seed orders the days");
}

#[test]
fn the_drifting_facts_change_and_keep_their_last_answer() {
    let stream = Drift::new(3);
    let facts = stream.facts_after(300);
    let prompts: HashSet<&String> = facts.iter().map(|fact| &fact.prompt).collect();
    assert_eq!(prompts.len(), facts.len(), "a question has one answer");
    assert!(facts.len() < 280, "some facts were corrected again");
    let last = (1..=300).rev().find_map(|number| match stream.day(number) {
        Some(Day::Facts(day)) if day[0].prompt == facts[0].prompt => Some(day[0].clone()),
        _ => None,
    });
    assert_eq!(last.as_ref(), Some(&facts[0]));
}

/// The program, about to live some days of the drifting stream on the small model.
fn program(out: &Path, days: usize) -> Command {
    let folder = small_model();
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.args(["simulate", "--stream", "drift", "--device", "cpu", "--lr", "2e-3"]);
    command.args(["--every", "100", "--cycles", &days.to_string()]);
    command.arg("--model").arg(folder.join("small.gguf"));
    command.arg("--suites").arg(folder.join("suites"));
    command.arg("--out").arg(out).stdout(Stdio::null());
    command
}

/// Lines of a results file, without what the machine has a part in.
fn lines(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let read = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("spent");
        line
    };
    whole.lines().map(read).collect()
}

/// Waits until a file has some lines while the program runs; it must not end before.
fn wait_for(child: &mut Child, out: &Path, n: usize) {
    let began = Instant::now();
    while lines(out).len() < n {
        assert!(child.try_wait().unwrap().is_none(), "the program ended early");
        assert!(began.elapsed() < Duration::from_secs(600), "no line in ten minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn five_days_are_learned_and_a_killed_run_goes_on_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight.jsonl");
    assert!(program(&straight, DAYS).status().unwrap().success());
    let lines_straight = lines(&straight);
    assert_eq!(lines_straight.len(), DAYS + 2, "a header, the base model, and a line a day");
    check_learned(&lines_straight);

    // Killed soon after the third line, in a cycle; what it wrote of a line is torn besides.
    let killed = folder.path().join("killed.jsonl");
    let mut child = program(&killed, DAYS).spawn().unwrap();
    wait_for(&mut child, &killed, 3);
    std::thread::sleep(Duration::from_millis(150));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines(&killed).len() < DAYS + 2, "it was killed before its end");
    let mut torn = fs::read(&killed).unwrap();
    torn.extend(b"{\"cycle\":");
    fs::write(&killed, torn).unwrap();
    assert!(program(&killed, DAYS).status().unwrap().success());
    assert_eq!(lines(&killed), lines_straight);

    // Another run does not take the file over.
    let other = program(&killed, DAYS).args(["--seed", "9"]).stderr(Stdio::null()).status();
    assert_eq!(other.unwrap().code(), Some(1));
    assert_eq!(lines(&killed), lines_straight);
}

/// What five days must have done.
fn check_learned(lines: &[Value]) {
    let (first, last) = (&lines[1], &lines[DAYS + 1]);
    let right = |line: &Value, suite: &str| {
        let items = line["exam"][suite].as_array().unwrap();
        (items.iter().filter(|item| **item == true).count(), items.len())
    };
    let facts = last["exam"]["facts"].as_array().unwrap();
    let promoted: Vec<&Value> = facts.iter().filter(|fact| fact["promoted"] == true).collect();
    let said = promoted.iter().filter(|fact| fact["exact"] == true).count();
    println!("{said} of {} promoted facts, of {} taught", promoted.len(), facts.len());
    assert!(facts.len() >= 3, "a question can be corrected twice: {facts:?}");
    assert!(promoted.len() + 1 >= facts.len(), "corrections are promoted: {facts:?}");
    assert!(said + 1 >= promoted.len() && said >= 2, "and still answered: {facts:?}");
    let before = first["exam"]["facts"].as_array().unwrap();
    let known = before.iter().filter(|fact| fact["exact"] == true).count();
    assert!(known < said, "the model cannot know what it was not taught: {before:?}");
    let ((core, n), (core_after, _)) = (right(first, "core"), right(last, "core"));
    println!("core {core} to {core_after} of {n}");
    assert!(core >= 45 && core_after + 4 >= core, "core knowledge: {core} to {core_after} of {n}");
    let (refusals, after) = (right(first, "refusals").0, right(last, "refusals").0);
    assert!(after + 2 >= refusals, "refusals: {refusals} to {after}");
}

#[test]
fn a_home_of_another_run_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let out: PathBuf = folder.path().join("run.jsonl");
    fs::create_dir(folder.path().join("run.home")).unwrap();
    let output = program(&out, 1).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is left from another run"), "{text}");
}
