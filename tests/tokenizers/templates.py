"""Chat templates with arguments, as transformers renders them: run `python tests/tokenizers/templates.py`.

Needs the package jinja2, of which transformers' apply_chat_template is a sandboxed environment with blocks trimmed and loop
controls; a caller's arguments go beside the special tokens' texts and may replace them. The templates are made of what Qwen 3's,
Llama 3's and SmolLM 3's do with arguments, in our own words. Writes template-arguments.json: templates, arguments, texts.
"""

import json
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}, {"role": "user", "content": "So?"}]

THINKING = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
DATED = """\
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{{- bos_token + "Today: " + date_string }}
{% if not tools is defined %}{% set tools = none %}{% endif %}
{% if tools is not none %}{% for tool in tools %}{{ tool.name }}({{ tool.most }}) {% endfor %}{% endif %}"""
MODES = """\
{%- set mode = reasoning_mode | default("/think") %}
{{- "[" ~ mode ~ "]" }}
{%- if depth is defined %}{{ depth + 1 }}{% endif %}
{%- if depth is none %}none{% endif %}
{%- if words %}{{ words | join(",") }}{{ words | length }}{% endif %}
{%- if limits is mapping %}{% for key, value in limits.items() %}{{ key }}={{ value }};{% endfor %}{% endif %}"""

CASES = [
    (THINKING, [{}, {"enable_thinking": True}, {"enable_thinking": False}, {"enable_thinking": "false"}, {"other": 1}]),
    (DATED, [{}, {"date_string": "1 Jan 2025"}, {"tools": []}, {"tools": [{"name": "find", "most": 3}, {"name": "do", "most": 0.5}]},
             {"bos_token": "<other>"}]),
    (MODES, [{}, {"reasoning_mode": "/no_think"}, {"depth": 41}, {"depth": -1}, {"words": ["a", "\u00e9", ""]}, {"words": []},
             {"limits": {"a": "x", "z": 1}}, {"reasoning_mode": ""}]),
]


def main():
    loops = ["jinja2.ext.loopcontrols"]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=loops)
    made = []
    for source, arguments in CASES:
        template = environment.from_string(source)
        for given in arguments:
            tokens = {"bos_token": "<bos>", "eos_token": "<eos>"}
            text = template.render(messages=TALK, add_generation_prompt=True, **{**tokens, **given})
            made.append({"template": source, "arguments": given, "text": text})
    lines = ",\n".join(json.dumps(case) for case in made)
    path = Path(__file__).with_name("template-arguments.json")
    path.write_text("[\n" + lines + "\n]\n")
    print(path.name, len(made), "cases")


if __name__ == "__main__":
    main()
