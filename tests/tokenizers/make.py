"""Tiny tokenizers of every kind, with the ids that their own libraries give: run `python tests/tokenizers/make.py [FOLDER]`.

Needs the packages tokenizers (Hugging Face's, which transformers' fast tokenizers are) and sentencepiece (Google's). Each
file holds what a GGUF's metadata would (model, cuts, tokens, scores, types, merges) and cases: a text, its ids, and the text
that comes back where it is another one. Qwen's own tokenizer composes characters first (NFC), which GGUF does not say.
"""

import io
import json
import sys
import unicodedata
from pathlib import Path

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + REST
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + REST
# llama.cpp's default, each pattern on what the ones before it left.
DEFAULT = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
]

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind; they've met before.",
    "It's 1999 or 2024: 12345 people paid 67.89 each, I'll say they're happy, WE'RE happy, I'd bet.",
    "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(f\"{i}: {add(i, 100)}\")\n",
    "fn main() {\n\tlet xs: Vec<u32> = (0..32).collect();\n\tassert_eq!(xs.len(), 32);\n}\r\n",
    "Größe, naïve café, Ærøskøbing; el niño comió; où êtes-vous? Straße, Straßen, Maßstab.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "今日は良い天気ですね。日本語の文章です。中文也有:今天天气很好。한국어 문장도 있습니다.",
    "مرحبا بالعالم، كيف حالك؟ שלום עולם. नमस्ते दुनिया। สวัสดีชาวโลก",
    "Some   spaces,\ttabs, and\n\n\nblank lines; trailing   \n   leading.",
    "emoji: 🦀🚀👩‍👩‍👧‍👦 🇩🇪 ❤️ ½ ² ٣ Ⅷ",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org #tag $5.00 50% (a) [b] {c} <d> |e| ~f~",
]

TEXTS = CORPUS + [
    "a",
    " ",
    "  ",
    "   a",
    "a   ",
    "\n",
    "\n\n",
    " \n \n",
    "\r\n",
    "\t\ta",
    "hello",
    " hello",
    "Hello World",
    "HELLO",
    "don't DON'T Don't we'Ll 'twas ''s 'S",
    "'",
    "1",
    "12",
    "123",
    "1234",
    "1234567890",
    " 1234",
    "3.14159",
    "1,000,000",
    "v2.0-rc1",
    "x=1;y=22;z=333",
    "a1b22c333",
    "...",
    "!!!???",
    " !",
    "a!\nb",
    "!\n\n\nx",
    "snake_case camelCase kebab-case",
    "    indented\n        more",
    "é e\u0301 \u00c5 \u212b",
    "日本語テキスト",
    "混合text混合123",
    "👩‍💻",
    "🏳️‍🌈a🏳️‍🌈",
    "\U0001f9ff\U00020000",
    "\u200b\u200d\ufeff",
    "\u00a0a\u3000b\u2003c",
    "\u0000\u0001\u007f",
    "\ufffd",
    "½²³٣Ⅷ",
    "नमस्ते",
    "ㄱㄴㄷ한",
    "xyzzy Xyzzy plugh",
    "▁ under ▁lower",
    "<0x41> <unk> <s>",
    "The the THE tHe",
    "ﬁ ﬀ Ǆ ß ẞ",
    "a" * 40,
    " " * 33 + "x",
    "0" * 17,
    "\n" * 9,
]

# What NFC composes, and what it must leave alone.
DECOMPOSED = [
    "cafe\u0301 nai\u0308ve Gro\u0308\u00dfe A\u030a \u212b \u2126",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165",
    "\u0915\u093c \u0958 \u0344 \ufb01 \u00bd \uff21",
    "a\u0323\u0307 a\u0307\u0323 q\u0307\u0323",
    "e\u0301<|im_end|>\u0301e",
    "\u0301",
]


def write(folder, name, made, texts, encode, back=lambda text: text):
    made["cases"] = [{"text": text, "ids": encode(text)} for text in texts]
    for case in made["cases"]:
        if back(case["text"]) != case["text"]:
            case["back"] = back(case["text"])
    cases = ",\n".join(json.dumps(case) for case in made.pop("cases"))
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made.items()]
    text = "{" + ",\n".join([*lines, f'"cases": [\n{cases}\n]']) + "}\n"
    (folder / f"{name}.json").write_text(text)
    print(name, len(made["tokens"]), "tokens", len(texts), "cases", len(text), "bytes")


def byte_level(folder, name, cuts, whole_words, specials, eos, composes=False):
    """Byte-level BPE; `whole_words` are tokens that no merge makes, which only Llama 3 takes."""
    tokenizer = Tokenizer(models.BPE())
    if composes:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = cuts
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=560, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    state = json.loads(tokenizer.to_str())
    model = state["model"]
    for word in ["Xyzzy", "\u0120plugh"]:
        model["vocab"][word] = len(model["vocab"])
    model["ignore_merges"] = whole_words
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.ByteLevel()
    n_plain = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(specials)
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    made = {
        "model": "gpt2",
        "pre": name,
        "tokens": [token for token, _ in by_id],
        "types": [1] * n_plain + [3] * len(specials),
        "merges": merges,
        "eos": tokenizer.token_to_id(eos),
    }
    special_texts = [f"{specials[0]}user\n\nHi 12{eos}{eos} a", f"x{specials[-1]}", f" {eos} "]
    texts = TEXTS + special_texts + (DECOMPOSED if composes else [])
    back = (lambda text: unicodedata.normalize("NFC", text)) if composes else (lambda text: text)
    write(folder, name, made, texts, lambda text: tokenizer.encode(text).ids, back)


def sentence_piece(folder, name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in CORPUS * 3 for line in text.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=640,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
        **options,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(pieces.get_piece_size())

    def kind(i):
        kinds = [(pieces.is_unknown, 2), (pieces.is_control, 3), (pieces.is_unused, 5), (pieces.is_byte, 6)]
        return next((number for test, number in kinds if test(i)), 1)

    made = {
        "model": "llama",
        "pre": "default",
        "tokens": [pieces.id_to_piece(i) for i in ids],
        "scores": [pieces.get_score(i) for i in ids],
        "types": [kind(i) for i in ids],
        "bos": pieces.bos_id(),
        "eos": pieces.eos_id(),
        "unknown": pieces.unk_id(),
        "add_space_prefix": options.get("add_dummy_prefix", True),
    }
    write(folder, name, made, TEXTS, lambda text: pieces.encode(text))


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)

    def words(*patterns):
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated", invert=False) for pattern in patterns]
        return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    smollm = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    llama3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    byte_level(folder, "llama-bpe", words(LLAMA3), True, llama3, "<|eot_id|>")
    byte_level(folder, "qwen2", words(QWEN2), False, chatml, "<|im_end|>", composes=True)
    byte_level(folder, "default", words(*DEFAULT), False, chatml, "<|im_end|>")
    byte_level(folder, "smollm", smollm, False, chatml, "<|im_end|>")
    byte_level(folder, "gpt-2", gpt2, False, chatml[:1], "<|endoftext|>")
    sentence_piece(folder, "sentencepiece")
    sentence_piece(folder, "sentencepiece-no-space", add_dummy_prefix=False)


if __name__ == "__main__":
    main()
