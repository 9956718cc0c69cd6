//! Training data files: conversations line by line, documents in passages, and errors that name the line.

use apprentice::format::lessons::{Lessons, read_conversations, read_lessons, split_passages};

#[test]
fn every_spelling_of_a_conversation_is_read() {
    let text = concat!(
        r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
        "\n\n",
        r#"{"prompt":"a","answer":"b"}"#,
        "\r\n",
        r#"{"prompt":"a","completion":"b","source":"ignored"}"#,
    );
    let read = read_conversations("x.jsonl", text).unwrap();
    let lines: Vec<_> = read.iter().map(|conversation| conversation.line).collect();
    assert_eq!(lines, [1, 3, 4]);
    for conversation in &read {
        assert_eq!(conversation.messages, read[0].messages);
        assert_eq!((&conversation.kind, &conversation.rejected), (&None, &None));
    }
    let bytes = format!("\u{feff}{text}");
    let Lessons::Conversations(again) = read_lessons("X.JSONL", bytes.as_bytes(), 9).unwrap()
    else {
        panic!("a .jsonl file holds conversations");
    };
    assert_eq!(again, read);
}

#[test]
fn a_bad_line_is_named_with_a_remedy() {
    let good = r#"{"prompt":"a","answer":"b"}"#;
    let check = |bad: &str, says: &str| {
        let error = read_conversations("my.jsonl", &format!("{good}\n{bad}\n{good}"));
        let error = error.expect_err(bad).to_string();
        assert!(error.starts_with("my.jsonl, line 2: ") && error.contains(says), "{error}");
    };
    check("{", "write {\"messages\"");
    check("{}", "write {\"messages\"");
    check(r#"{"prompt":"a"}"#, "needs messages, or a prompt");
    check(r#"{"messages":[]}"#, "add the answer");
    check(r#"{"messages":[{"role":"user","content":"a"}]}"#, "add the answer");
    check(r#"{"messages":[{"role":"assistant","content":"a"}]}"#, "what was asked");
    check(r#"{"messages":[{"role":"bot","content":"a"}]}"#, "\"bot\"");
    check(r#"{"prompt":"a","answer":" "}"#, "message 2 is empty");
    let error = read_lessons("d.txt", b"ok\nok\n\xff", 9).unwrap_err().to_string();
    assert!(error.starts_with("d.txt, line 3: ") && error.contains("UTF-8"), "{error}");
}

#[test]
fn documents_are_cut_at_the_best_border() {
    let check = |text: &str, chars_max: usize, expected: &[&str]| {
        assert_eq!(split_passages(text, chars_max), expected, "{text:?} by {chars_max}");
    };
    check("", 5, &[]);
    check(" \n \n", 5, &[]);
    check("one\n\ntwo\n\nthree", 99, &["one\n\ntwo\n\nthree"]);
    check("one\n\ntwo\n\nthree", 11, &["one\n\ntwo", "three"]);
    check("a b\nc d\ne f", 9, &["a b\nc d", "e f"]);
    check("alpha beta gamma", 11, &["alpha beta", "gamma"]);
    check("abcdefgh", 3, &["abc", "def", "gh"]);
    // Characters count, not bytes, and none is cut apart.
    check("äöüäöü", 4, &["äöüä", "öü"]);
    // A first line's indentation stays.
    check("if a:\n    b\n\n    c\n", 12, &["if a:\n    b", "    c"]);
}

#[test]
fn passages_keep_every_word() {
    let text: String =
        (0..500).map(|i| format!("w{i}{}", ["\n", " ", "\n\n", ". "][i % 4])).collect();
    for chars_max in [1, 7, 64, 1000] {
        let passages = split_passages(&text, chars_max);
        assert!(passages.iter().all(|passage| passage.chars().count() <= chars_max));
        let strip = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(strip(&passages.concat()), strip(&text), "by {chars_max}");
    }
}
