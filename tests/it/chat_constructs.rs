//! What the published templates of Llama 3 and Qwen are made of, each construct in a small template of our own: the text must
//! be what Python's Jinja gives.
//!
//! It knows no model. Invariant: the same conversation renders to the same text on every day.

use apprentice::format::chat::ChatTemplate;
use apprentice::format::chat_functions::Day;
use apprentice::format::message::Message;

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, "<bos>".into(), "<eos>".into()).unwrap()
}

/// Renders a short talk with the generation prompt.
#[track_caller]
fn check(source: &str, expected: &str) {
    let talk = [
        ("system", " Be kind. "),
        ("user", "Hi <b>"),
        ("assistant", "<t>hm</t>\n\nHo"),
        ("user", "\"x\""),
    ];
    let talk = talk.map(|(role, content)| Message { role: role.into(), content: content.into() });
    assert_eq!(template(source).render(&talk, true).unwrap(), expected, "{source}");
}

#[test]
fn a_system_message_is_taken_off_the_front() {
    check(
        "{{- bos_token }}\n\
         {%- if messages[0]['role'] == 'system' %}\n\
         {%- set system = messages[0]['content'] | trim %}\n\
         {%- set messages = messages[1:] %}\n\
         {%- else %}{%- set system = '' %}{%- endif %}\n\
         {{- '[' + system + ']' }}\n\
         {%- for message in messages %}\n    {{- message.role }}{{ loop.index0 }}{{ ' ' if not loop.last }}\n\
         {%- endfor %}\n\
         {%- if add_generation_prompt %}{{- '>' + eos_token }}{%- endif %}",
        "<bos>[Be kind.]user0 assistant1 user2><eos>",
    );
}

#[test]
fn what_is_not_given_is_not_defined() {
    check(
        "{%- if custom_tools is defined %}{% set tools = custom_tools %}{% endif %}\n\
         {%- if not tools is defined %}{%- set tools = none %}{%- endif %}\n\
         {%- if tools is not none %}tools{% else %}none{% endif %}\n\
         {%- if tools %}tools{% endif %}\n\
         {%- if enable_thinking is defined and enable_thinking is false %}quiet{% endif %}\n\
         {%- if messages[0].tool_calls %}calls{% endif %}",
        "none",
    );
}

#[test]
fn namespaces_outlive_a_loop_and_loops_end_early() {
    // From the end: the last message of the user that is a real question.
    check(
        "{%- set ns = namespace(found=false, at=messages|length - 1) %}\n\
         {%- for message in messages[::-1] %}\n\
         {%- set index = (messages|length - 1) - loop.index0 %}\n\
         {%- if not ns.found and message.role == 'user' and message.content is string\n\
             and not(message.content.startswith('\"') and message.content.endswith('\"')) %}\n\
         {%- set ns.found = true %}{%- set ns.at = index %}\n\
         {%- endif %}\n\
         {%- endfor %}\n\
         {{- ns.at }} {{ ns.found }}",
        "1 True",
    );
    check(
        "{%- for message in messages %}\n\
         {%- if message.role == 'system' %}{% continue %}{% endif %}\n\
         {{- message.role }}\n\
         {%- if message.role == 'assistant' %}{% break %}{% endif %}\n\
         {%- endfor %}",
        "userassistant",
    );
}

#[test]
fn thoughts_are_cut_off_with_methods_of_strings() {
    check(
        "{%- for m in messages if m.role == 'assistant' %}\n\
         {%- if '</t>' in m.content %}\n\
         {%- set thought = m.content.split('</t>')[0].rstrip('\\n').split('<t>')[-1].lstrip('\\n') %}\n\
         {%- set content = m.content.split('</t>')[-1].lstrip('\\n') %}\n\
         {%- endif %}\n\
         {{- thought + '|' + content + '|' + m.role.upper() ~ 1 }}\n\
         {%- endfor %}",
        "hm|Ho|ASSISTANT1",
    );
}

#[test]
fn json_is_written_as_python_writes_it() {
    check(
        "{{ messages[1] | tojson }}\n{{ {'name': 'f', 'args': [1, 2.5, true, none, 'ü']} | tojson }}",
        "{\"role\": \"user\", \"content\": \"Hi <b>\"}\n\
         {\"name\": \"f\", \"args\": [1, 2.5, true, null, \"ü\"]}",
    );
    check(
        "{{ {'a': {'b': 1}, 'c': []} | tojson(indent=4) }}",
        "{\n    \"a\": {\n        \"b\": 1\n    },\n    \"c\": []\n}",
    );
}

#[test]
fn macros_and_filters_of_the_published_templates() {
    check(
        "{%- macro head(role) -%}<|{{ role }}|>{%- endmacro -%}\n\
         {{- head('user') }}{{ messages | map(attribute='role') | join(',') }}\n\
         {{- messages | selectattr('role', 'equalto', 'user') | list | length }}\n\
         {{- (messages | last).content | replace('\"', \"'\") }}",
        "<|user|>system,user,assistant,user2'x'",
    );
}

#[test]
fn a_template_is_told_a_fixed_day_unless_it_is_set() {
    let source = "{%- if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}";
    check(source, "26 Jul 2024");
    let mut template = template(source);
    template.set_today(Day { year: 2031, month: 1, day: 2 });
    assert_eq!(template.render(&[], false).unwrap(), "02 Jan 2031");
}

#[test]
fn a_template_may_refuse_a_conversation() {
    let source = "{%- for m in messages %}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
                  {{- raise_exception('roles must alternate: ' + m.role) }}{%- endif %}{%- endfor %}ok";
    let template = template(source);
    let user = [Message::user("a")];
    assert_eq!(template.render(&user, false).unwrap(), "ok");
    let error = template.render(&[Message::assistant("a")], false).unwrap_err().to_string();
    assert!(error.contains("roles must alternate: assistant"), "{error}");
}

/// Python's Jinja wrote the texts: `tests/tokenizers/templates.py`.
#[test]
fn arguments_do_what_they_do_in_transformers() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/tokenizers/template-arguments.json");
    let cases: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() >= 18);
    let talk = [("user", "Hi"), ("assistant", "Ho"), ("user", "So?")];
    let talk = talk.map(|(role, content)| Message { role: role.into(), content: content.into() });
    let mut texts = std::collections::BTreeSet::new();
    for case in &cases {
        let mut template = template(case["template"].as_str().unwrap());
        for (name, value) in case["arguments"].as_object().unwrap() {
            template.set_argument(name, value).unwrap();
        }
        let text = template.render(&talk, true).unwrap();
        assert_eq!(text, case["text"].as_str().unwrap(), "{case}");
        texts.insert(text);
    }
    // Arguments change something in most of them.
    assert!(texts.len() >= 12, "{} different texts", texts.len());
    let mut template = template("{{ messages }}");
    let error = template.set_argument("messages", &serde_json::json!([])).unwrap_err();
    assert!(error.to_string().contains("`messages` is the conversation's own"), "{error}");
}
