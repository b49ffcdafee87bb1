"""Trains three tiny SentencePiece models and writes what the converters of `transformers` make of them.

    python dev/golden/sentencepiece_models.py Tests/AttuneTextTests/Fixtures/sentencepiece REFERENCE_DATA
"""

import json
import sys
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import processors
import transformers.convert_slow_tokenizer  # noqa: F401

# The package exports a function of the same name as the module.
convert = sys.modules["transformers.convert_slow_tokenizer"]

TEXTS = [
    "", " ", "Hello world", "  two  spaces   three ", "How do I transfer money?\nNew line\tTab", "Ünïcödé 東京 🙂", "top up 12345 $ £ €",
    "<s>bos</s> text <sep> x<sep>y", "ﬁnancial ½ ＡＢＣ Å", "trailing   ", "▁mark▁", "a" * 40, "don't won't", "\u200bzero\u00a0nbsp",
]


class Original:
    """What the converters ask of a slow tokenizer."""

    legacy, add_prefix_space, extra_ids, _extra_ids = True, True, 0, 0
    eos_token, bos_token, pad_token = "</s>", "<s>", "<pad>"

    def __init__(self, path):
        self.vocab_file = str(path)
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def convert_ids_to_tokens(self, i):
        return self.pieces.id_to_piece(i)

    def convert_tokens_to_ids(self, token):
        return self.pieces.piece_to_id(token)


class Extractor:
    """The merges of a BPE model by the scores of its pieces; the library's own class has lost this path."""

    def __init__(self, path):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def extract(self, scores):
        vocabulary = {self.pieces.id_to_piece(i): i for i in range(self.pieces.get_piece_size())}
        return vocabulary, convert.generate_merges(vocabulary, scores)


def main():
    convert.LlamaConverter.SpmExtractor = convert.GemmaConverter.SpmExtractor = Extractor
    out, data = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [line.split(",")[0].strip('"') for line in (data / "banking77/train.csv").read_text(encoding="utf-8").splitlines()[1:4001]]
    rules = "\n".join(["FB01\t66 69", "BD\t31 2F 32", "FF21\t41", "FF22\t42", "FF23\t43", "A0\t20", "200B\t20", "41 30A\tC5", ""])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.tsv").write_text(rules, encoding="utf-8")
        common = dict(sentence_iterator=None, vocab_size=420, character_coverage=0.999, user_defined_symbols=["<sep>"], minloglevel=2)
        kinds = {
            "llama": (convert.LlamaConverter, dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, vocab_size=600)),
            "gemma": (convert.GemmaConverter, dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, vocab_size=600, add_dummy_prefix=False,
                                                   pad_id=0, eos_id=1, bos_id=2, unk_id=3)),
            "unigram": (convert.SpmConverter, dict(model_type="unigram", normalization_rule_tsv=str(Path(folder) / "rules.tsv"), pad_id=3)),
        }
        for name, (converter, options) in kinds.items():
            target = out / name
            target.mkdir(parents=True, exist_ok=True)
            arguments = {**common, **options, "sentence_iterator": iter(rows)}
            with open(target / "tokenizer.model", "wb") as model:
                sentencepiece.SentencePieceTrainer.train(model_writer=model, **arguments)
            tokenizer = converter(Original(target / "tokenizer.model")).converted()
            if name == "llama":
                tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
            if name == "unigram":
                tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
            cases = []
            for text in TEXTS:
                special = tokenizer.encode(text, add_special_tokens=True)
                plain = tokenizer.encode(text, add_special_tokens=False)
                cases.append({"text": text, "ids": plain.ids, "ids_special": special.ids, "decoded": tokenizer.decode(plain.ids, skip_special_tokens=False)})
            (target / "expected.json").write_text(json.dumps(cases, ensure_ascii=True), encoding="utf-8")
            print(name, (target / "tokenizer.model").stat().st_size, tokenizer.get_vocab_size())


main()
