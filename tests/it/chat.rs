//! Chat templates: the default model's own, the default, hostile ones, and which tokens training
//! counts.

use crate::golden_tokenization::{byte_gguf, default_gguf};
use apprentice::format::chat::{ChatTemplate, LearnedTurns};
use apprentice::format::gguf_value::Value;
use apprentice::format::message::Message;
use apprentice::format::tokenizer::Tokenizer;

/// Messages from (role, content) pairs.
fn talk(turns: &[(&str, &str)]) -> Vec<Message> {
    let message = |(role, content): &(&str, &str)| Message {
        role: role.to_string(),
        content: content.to_string(),
    };
    turns.iter().map(message).collect()
}

/// The training tokens, each learned run of them in brackets.
fn marked(tokenizer: &Tokenizer, tokens: &[u32], counted: &[bool]) -> String {
    assert_eq!(tokens.len(), counted.len());
    let mut text = String::new();
    let mut was_counted = false;
    for (&token, &counts) in tokens.iter().zip(counted) {
        match (was_counted, counts) {
            (false, true) => text.push('['),
            (true, false) => text.push(']'),
            _ => {}
        }
        was_counted = counts;
        text += &tokenizer.token_text(token);
    }
    text + if was_counted { "]" } else { "" }
}

#[test]
fn the_default_models_template_renders_as_transformers_does() {
    let template = ChatTemplate::from_gguf(&default_gguf()).unwrap();
    let messages = talk(&[("user", "Hi"), ("assistant", "Hello."), ("user", " <b>&'x'\n")]);
    let expected = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by \
                    Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n\
                    Hello.<|im_end|>\n<|im_start|>user\n <b>&'x'\n<|im_end|>\n";
    assert_eq!(template.render(&messages, false).unwrap(), expected);
    let prompted = template.render(&messages, true).unwrap();
    assert_eq!(prompted, format!("{expected}<|im_start|>assistant\n"));
    let own_system = talk(&[("system", "Be brief."), ("user", "Hi")]);
    let text = template.render(&own_system, false).unwrap();
    assert_eq!(text, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
}

#[test]
fn training_counts_the_assistants_turns_and_their_ends() {
    let gguf = default_gguf();
    let (tokenizer, template) =
        (Tokenizer::from_gguf(&gguf).unwrap(), ChatTemplate::from_gguf(&gguf).unwrap());
    let messages = talk(&[
        ("system", "S"),
        ("user", "One?"),
        ("assistant", "1, first."),
        ("user", "Two?"),
        ("assistant", "\nTwo  "),
    ]);
    let check = |turns: LearnedTurns, expected: &str| {
        let (tokens, counted) = template.encode_for_training(&tokenizer, &messages, turns).unwrap();
        assert_eq!(marked(&tokenizer, &tokens, &counted), expected);
        tokens
    };
    let start = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n";
    let second = "\n<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n";
    let every =
        format!("{start}<|im_start|>assistant\n[1, first.<|im_end|>]{second}[\nTwo  <|im_end|>]");
    let tokens = check(LearnedTurns::Every, &every);
    // What precedes the last turn is exactly what generation would be prompted with.
    let prompt = template.encode_prompt(&tokenizer, &messages[..4]).unwrap();
    assert_eq!(tokens[..prompt.len()], prompt);
    let last =
        format!("{start}<|im_start|>assistant\n1, first.<|im_end|>{second}[\nTwo  <|im_end|>]");
    assert_eq!(check(LearnedTurns::Last, &last)[..prompt.len()], prompt);
    let error = template.encode_for_training(&tokenizer, &messages[..2], LearnedTurns::Every);
    assert!(error.unwrap_err().to_string().contains("no turn of the assistant"));
}

const LLAMA3: &str = "{{- bos_token }}\n{%- for message in messages %}\n    \
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' \
    + message['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n\
    {%- if add_generation_prompt %}\n    \
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n";

#[test]
fn other_templates_count_the_same_parts() {
    let specials = [
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|im_end|>",
        "<|eot_id|>",
    ];
    let messages =
        talk(&[("user", "Hi"), ("assistant", " A. "), ("user", "B?"), ("assistant", "C")]);
    let check = |source: &str, expected: &str| {
        let gguf = byte_gguf(&specials, |writer| {
            writer
                .key("tokenizer.ggml.bos_token_id", Value::U32(256))
                .key("tokenizer.chat_template", Value::String(source.into()));
        });
        let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
        let template = ChatTemplate::from_gguf(&gguf).unwrap();
        let encoded = template.encode_for_training(&tokenizer, &messages, LearnedTurns::Every);
        let (tokens, counted) = encoded.unwrap();
        assert_eq!(marked(&tokenizer, &tokens, &counted), expected);
    };
    let head = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let [user, assistant] = ["user", "assistant"].map(head);
    let expected = format!(
        "<|begin_of_text|>{user}Hi<|eot_id|>{assistant}[A.<|eot_id|>]{user}B?<|eot_id|>{assistant}\
         [C<|eot_id|>]"
    );
    check(LLAMA3, &expected);
    // Without a stop token the turn's text alone counts; Python's methods of strings work.
    let plain = "{% for m in messages %}\n{{ m.role.upper() }}: {{ m.content.strip() }}\n{% endfor %}\
                 {% if add_generation_prompt %}ASSISTANT: {% endif %}";
    check(plain, "USER: Hi\nASSISTANT: [A.]\nUSER: B?\nASSISTANT: [C]");
    // Block tags on lines of their own leave neither their indentation nor their line end.
    let indented = "{% for m in messages %}\n    {% if m.role == 'user' %}\n<u>{{ m.content }}\n    \
                    {% else %}\n<a>{{ m.content }}<|im_end|>\n    {% endif %}\n{% endfor %}\n\
                    {% if add_generation_prompt %}\n<a>{% endif %}";
    check(indented, "<u>Hi\n<a>[ A. <|im_end|>]\n<u>B?\n<a>[C<|im_end|>]");
    // A template that adds a block before the answer: the model must write it, so it counts.
    let thinking = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}<t></t>\
                    {% endif %}{{ m.content }}<|im_end|>{% endfor %}\
                    {% if add_generation_prompt %}<assistant>{% endif %}";
    check(
        thinking,
        "<user>Hi<|im_end|><assistant>[<t></t> A. <|im_end|>]<user>B?<|im_end|><assistant>\
         [<t></t>C<|im_end|>]",
    );
}

#[test]
fn without_a_template_chatml_is_used() {
    let template = ChatTemplate::from_gguf(&byte_gguf(&["<|im_end|>"], |_| {})).unwrap();
    let text = template.render(&talk(&[("user", "Hi")]), true).unwrap();
    assert_eq!(text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

#[test]
fn a_failing_template_says_why() {
    let new = |source: &str| ChatTemplate::new(source, String::new(), String::new());
    let error = new("{% if %}").err().expect("refused").to_string();
    assert!(error.contains("chat template"), "{error}");
    let template = new("{{ raise_exception('roles must alternate') }}").unwrap();
    let error = template.render(&[], false).unwrap_err().to_string();
    assert!(error.contains("roles must alternate"), "{error}");
}
