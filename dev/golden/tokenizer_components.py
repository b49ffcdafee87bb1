"""Writes golden cases for the tokenizer components that no reference tokenizer uses.

    python dev/golden/tokenizer_components.py Tests/AttuneTextTests/Fixtures/components.json

Every entry holds a whole tokenizer.json over a tiny vocabulary, texts, and what `tokenizers` makes of them.
"""

import json
import sys

from tokenizers import Tokenizer

TEXTS = [
    "", " ", "Hello, world!", "  The quick  brown fox\tjumps\nover 1234 lazy dogs. ", "don't we'll I'M it'S",
    "Ünïcödé e\u0301clair \u1e9b\u0323 \ufb01sh ½ ²", "東京 tower カナー한국어 ㋿", "a.b,c;d-e_f (g) «h» ¿i?", "x" * 12,
    "tab\tnewline\r\nnbsp\u00a0zero\u200bwidth\u200dend\ufeff", "ΑΣ ΣΑΣ İstanbul ẞ", "1٣٤ Ⅷ ¾ 五", "\u0301abc \u0300", "<x> foo<x>bar <y>baz  <y>  end",
    "🙂👩‍👩‍👧‍👦 🇩🇪 flags", "Zaz\u0327\u0301 q\u0307\u0323", "\x00\x01 control\x7f\x85", "각 \u1100\u1161\u11a8", "abcabcabcx  yz",
]
ADDED = [
    {"id": 0, "content": "<x>", "single_word": True, "lstrip": False, "rstrip": True, "normalized": False, "special": True},
    {"id": 0, "content": "<y>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": True, "special": False},
    {"id": 0, "content": "Foo", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False},
]
LETTERS = sorted(set("".join(TEXTS[:8])) | set("abcdefghijklmnopqrstuvwxyz▁ĠÃ"))


def word_level(*words):
    return {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(["[UNK]", *words])}, "unk_token": "[UNK]"}


def bpe(**options):
    prefix = options.get("continuing_subword_prefix") or ""
    suffix = options.get("end_of_word_suffix") or ""
    vocab = ["<unk>", *LETTERS]
    if prefix or suffix:
        vocab += [p + c + s for c in LETTERS for p in {"", prefix} for s in {"", suffix} if p or s]
    merges = []
    for left, right in ("a", "b"), ("ab", "c"), ("l", "l"), ("o", "w"), ("t", "h"), ("th", "e"), ("x", "x"), ("xx", "xx"):
        for l, r in sorted({(left, prefix + right), (prefix + left, prefix + right), (left, prefix + right + suffix)}):
            joined = l + r[len(prefix):] if prefix else l + r
            if l in vocab and r in vocab:
                merges.append([l, r])
                if joined not in vocab:
                    vocab.append(joined)
    if options.get("byte_fallback"):
        vocab = [v for v in vocab if len(v) > 1 or v < "Z"] + [f"<0x{b:02X}>" for b in range(256) if b != 0xE6]
        merges = [m for m in merges if all(x in vocab for x in (m[0], m[1], m[0] + m[1]))]
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "vocab": {v: i for i, v in enumerate(dict.fromkeys(vocab))},
            "merges": merges, "fuse_unk": False, "byte_fallback": False, **options}


def unigram(byte_fallback=False):
    pieces = [["<unk>", 0.0], *[[c, -6.0 - 0.01 * i] for i, c in enumerate("abcdefghijklmnop▁")], ["▁the", -2.5], ["qu", -3.0],
              ["ick", -3.25], ["ow", -3.5], ["▁b", -3.75], ["東京", -4.0], ["lo", -3.0], ["llo", -3.5], ["ab", -4.0], ["abc", -4.5]]
    if byte_fallback:
        pieces += [[f"<0x{b:02X}>", -9.0] for b in range(256)]
    return {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": byte_fallback}


def word_piece():
    words = ["[UNK]", "hello", "the", "quick", "##ick", "qu", "brown", "##x", "x", "fo", "##o", "##e", ",", "!", "a", "##b", "##c", "1", "##2", "##34"]
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
            "vocab": {w: i for i, w in enumerate(words)}}


def sequence(kind, key, *steps):
    return {"type": "Sequence", key: list(steps)}


CHARACTERS = {"type": "Split", "pattern": {"Regex": r"."}, "behavior": "Isolated", "invert": False}
META = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
DECODE_META = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
NORMALIZERS = [
    {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "StripAccents"},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": False, "strip_right": True},
    {"type": "Nmt"}, {"type": "Prepend", "prepend": "▁▁"}, {"type": "ByteLevel"},
    {"type": "Replace", "pattern": {"String": "o"}, "content": "00"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": "_"},
    {"type": "Replace", "pattern": {"Regex": r"[aeiou](?=[a-z])"}, "content": ""},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": True, "lowercase": False},
]
PATTERNS = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[\p{Han}]+|[\p{Lu}&&[^\p{Han}]]+|\d+?", r"\s+$", r"^.", r"\bt\w*", r"(?<=o)[a-z]|\W{2,}", r"a*", r"(a|ab)(c|bcd)?",
    r"[^\r\n\p{L}\p{N}]?+\p{L}++|\s++$|\p{N}{1,2}+",
]
SPLITTERS = (
    [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in PATTERNS]
    + [{"type": "Split", "pattern": {"Regex": r"\p{P}|\s"}, "behavior": b, "invert": i}
       for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous") for i in (False, True)]
    + [{"type": "Split", "pattern": {"String": "ab"}, "behavior": "MergedWithPrevious", "invert": False}]
    + [{"type": "Punctuation", "behavior": b} for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")]
    + [{"type": "Digits", "individual_digits": d} for d in (False, True)]
    + [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}, {"type": "UnicodeScripts"},
       {"type": "FixedLength", "length": 3}, {"type": "CharDelimiterSplit", "delimiter": "a"}]
    + [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": p, "split": s} for p in ("always", "first", "never") for s in (False, True)]
    + [{"type": "ByteLevel", "add_prefix_space": a, "trim_offsets": True, "use_regex": r} for a in (False, True) for r in (False, True)]
    + [{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, META]},
       {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": True, "use_regex": False, "trim_offsets": True}, CHARACTERS]}]
)
BERT_PROCESSOR = {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 2]}
PROCESSORS = [
    BERT_PROCESSOR,
    {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 2], "trim_offsets": True, "add_prefix_space": True},
    {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 2], "trim_offsets": True, "add_prefix_space": False},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, BERT_PROCESSOR]},
]
DECODERS = [
    None, DECODE_META, {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False},
    {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    {"type": "ByteFallback"}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "Strip", "content": "a", "start": 2, "stop": 1},
    {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 2}]},
    {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "-"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}]},
    {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}]},
]
DECODE_TOKENS = ["a", "b</w>", "##c", "▁d", "▁", " e ", "<0xE2>", "<0x82>", "<0xAC>", "<0xFF>", "<pad>", "|", "Ġf", "Ãł", "Ã", "aaab", "'s", "n't", " do not", ".", "é", "<x>", "  "]
DECODE_LISTS = [[], [0], [3, 0, 1], [6, 7, 8], [6, 7], [6, 7, 8, 9], [0, 0, 10, 0, 11, 0], [12, 13, 14], [14], [3, 3, 4, 4], [5, 5], [15, 0, 0], [0, 16, 17, 18, 19, 2, 2],
                [20, 14, 20], [21, 3, 6, 7, 8, 3], [22, 22, 4, 22], [4, 22, 0, 22, 22], [99, 0], list(range(23)), list(range(22, -1, -1))]


def tokenizer(model, normalizer=None, splitter=None, processor=None, decoder=None, added=()):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added), "normalizer": normalizer,
            "pre_tokenizer": splitter, "post_processor": processor, "decoder": decoder, "model": model}


def byte_offsets(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[a], at[b]] for a, b in offsets]


def main():
    entries = []

    def add(name, spec, texts=TEXTS):
        t = Tokenizer.from_str(json.dumps(spec))
        cases = []
        for text in texts:
            e = t.encode(text, add_special_tokens=True)
            cases.append({"text": text, "ids": e.ids, "tokens": e.tokens, "offsets": byte_offsets(text, e.offsets)})
        entries.append({"name": name, "tokenizer": spec, "cases": cases})

    for n in NORMALIZERS:
        add("normalizer " + json.dumps(n), tokenizer(bpe(), n, added=ADDED))
    for s in SPLITTERS:
        # An empty vocabulary shows the words as their offsets.
        add("pre_tokenizer " + json.dumps(s), tokenizer(word_level("The", "a", "▁the"), None, s, added=ADDED))
    add("unigram", tokenizer(unigram(), None, META))
    add("unigram with byte fallback", tokenizer(unigram(True), None, META))
    add("unigram unsplit", tokenizer(unigram(), {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}, {**META, "split": False}))
    add("word piece", tokenizer(word_piece(), {"type": "Lowercase"}, {"type": "BertPreTokenizer"}))
    add("word level", tokenizer(word_level("Hello", "world", ","), None, {"type": "Whitespace"}))
    add("bpe", tokenizer(bpe(), None, {"type": "WhitespaceSplit"}))
    add("bpe fuse_unk", tokenizer(bpe(vocab={"<unk>": 0, "a": 1, "b": 2, "ab": 3}, merges=["a b"], fuse_unk=True), None, None))
    add("bpe no unk", tokenizer(bpe(vocab={"a": 0, "b": 1, "ab": 2}, merges=["a b"], unk_token=None), None, None))
    add("bpe byte_fallback", tokenizer(bpe(byte_fallback=True), None, None))
    add("bpe byte_fallback fuse_unk", tokenizer(bpe(byte_fallback=True, fuse_unk=True), None, None))
    add("bpe end of word", tokenizer(bpe(end_of_word_suffix="</w>"), None, {"type": "WhitespaceSplit"}))
    add("bpe continuing", tokenizer(bpe(continuing_subword_prefix="@@"), None, {"type": "WhitespaceSplit"}))
    add("bpe ignore_merges", tokenizer(bpe(ignore_merges=True), None, {"type": "WhitespaceSplit"}))
    for p in PROCESSORS:
        splitter = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        add("post_processor " + json.dumps(p), tokenizer(bpe(), None, splitter, p, added=ADDED))

    decodings = []
    for d in DECODERS:
        added = [{"id": 21, "content": "<x>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]
        model = {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(DECODE_TOKENS)}, "unk_token": "a"}
        spec = tokenizer(model, decoder=d, added=added)
        t = Tokenizer.from_str(json.dumps(spec))
        rows = []
        for ids in DECODE_LISTS:
            try:
                rows.append({"ids": ids, "decoded": t.decode(ids, skip_special_tokens=False), "skip": t.decode(ids, skip_special_tokens=True)})
            except BaseException:
                pass  # the library panics on some inputs of Strip
        decodings.append({"name": json.dumps(d), "tokenizer": spec, "rows": rows})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"encodings": entries, "decodings": decodings}, file, ensure_ascii=True, separators=(",", ":"))
    print(len(entries), len(decodings))


main()
