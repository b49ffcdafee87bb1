"""Writes the Unicode tables of AttuneText from what the `tokenizers` library itself does.

The library mixes several Unicode versions (its regex engine, the Rust standard library, two older crates), so the
tables are probed from its behaviour, scalar by scalar, rather than taken from one version of the standard.

    python dev/golden/unicode_tables.py Sources/AttuneText/Tokenizer/Unicode
"""

import string
import sys
import textwrap
import unicodedata
from pathlib import Path

from tokenizers import Regex
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, SCALARS))
CHUNK = 1 << 17
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()
SCRIPTS = (
    "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo "
    "Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common "
    "Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs "
    "Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul "
    "Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi "
    "Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki "
    "Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean "
    "Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi "
    "Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong "
    "Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian "
    "Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi "
    "Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo "
    "Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana "
    "Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square"
).split()


def matching(pattern):
    """The scalars that a one-scalar pattern of the regex engine matches."""
    split = P.Split(Regex(f"(?:{pattern})+"), "removed", invert=True)
    found = set()
    for base in range(0, len(TEXT), CHUNK):
        for _, (start, end) in split.pre_tokenize_str(TEXT[base : base + CHUNK]):
            found.update(SCALARS[base + start : base + end])
    return found


def splitting(pre_tokenizer):
    """The scalars at which a pre-tokenizer cuts."""
    return {c for c in SCALARS if len(pre_tokenizer.pre_tokenize_str(f"a{chr(c)}a")) != 1}


def removed(normalizer):
    """The scalars that a normalizer drops."""
    return {c for c in SCALARS if normalizer.normalize_str("a" + chr(c) + "b") == "ab"}


def runs(scalars):
    """Sorted, closed ranges."""
    out = []
    for c in sorted(scalars):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def encode_set(scalars):
    """Alternating gap and length in hexadecimal."""
    words, position = [], 0
    for start, end in runs(scalars):
        words += [f"{start - position:x}", f"{end - start + 1:x}"]
        position = end + 1
    return " ".join(words)


def literal(name, comment, text):
    lines = textwrap.wrap(text, 110, break_long_words=False)
    body = " \\\n".join("        " + line for line in lines)
    return f'    /// {comment}\n    static let {name}: StaticString = """\n{body}\n        """\n'


def write(path, type_name, comment, tables):
    head = (
        "// Written by dev/golden/unicode_tables.py; do not edit. Data: Unicode Character Database, under the Unicode\n"
        "// licence, as the `tokenizers` library applies it.\n\n"
    )
    body = "\n".join(literal(*t) for t in tables)
    path.write_text(f"{head}/// {comment}\nenum {type_name} {{\n{body}}}\n", encoding="utf-8")


def main():
    out = Path(sys.argv[1])
    category = {}
    for name in CATEGORIES:
        for c in matching(rf"\p{{{name}}}"):
            category[c] = name
    words, c = [], 0
    while c < 0x110000:
        name, start = category.get(c, "Cs"), c
        while c < 0x110000 and category.get(c, "Cs") == name:
            c += 1
        words.append(f"{name}{c - start:x}")
    whitespace = P.Whitespace()
    word = set()
    for c in SCALARS:
        pieces = whitespace.pre_tokenize_str("a" + chr(c))
        if len(pieces) == 1 and len(pieces[0][0]) == 2:
            word.add(c)
    clean = N.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    accents = N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    punctuation = splitting(P.Punctuation())
    assert set(map(ord, string.punctuation)) <= punctuation
    write(out / "CategoryData.swift", "CategoryData", "Classes of scalars as runs.", [
        ("categories", "Two letters of the general category, then the length of the run in hexadecimal.", " ".join(words)),
        ("word", "`\\w` of split patterns.", encode_set(matching(r"\w"))),
        ("wordInText", "`\\w` of the `Whitespace` pre-tokenizer and of `single_word`.", encode_set(word)),
        ("numeric", "What `Digits` takes for a digit.", encode_set(splitting(P.Digits(individual_digits=True)))),
        ("punctuation", "What `Punctuation` and `BertPreTokenizer` split at.", encode_set(punctuation)),
        ("accents", "What `StripAccents` removes.", encode_set(removed(N.StripAccents()))),
        ("bertAccents", "What `BertNormalizer` removes as accents.", encode_set(removed(accents))),
        ("bertControl", "What `BertNormalizer` removes as control characters.", encode_set(removed(clean))),
    ])
    scripts, scripted = [], set()
    for name in SCRIPTS:
        members = matching(rf"\p{{{name}}}")
        scripted |= members
        scripts.append(f"{name} {encode_set(members)}")
    pieces = P.UnicodeScripts().pre_tokenize_str
    free = {c for c in scripted if len(pieces("a" + chr(c))) == 1 and len(pieces("\u6f22" + chr(c))) == 1}
    write(out / "ScriptData.swift", "ScriptData", "The scripts of Unicode as runs.", [
        ("scripts", "For each script its name, then alternating gap and length in hexadecimal; ';' between.", " ; ".join(scripts)),
        ("free", "Scalars of a script that `UnicodeScripts`, being older, takes for members of none.", encode_set(free)),
    ])

    nfd, nfkd, nfc = N.NFD(), N.NFKD(), N.NFC()
    canonical, compatible, pairs = [], [], []
    for c in SCALARS:
        if 0xAC00 <= c < 0xD7A4:
            continue
        d, k = nfd.normalize_str(chr(c)), nfkd.normalize_str(chr(c))
        if d != chr(c):
            canonical.append(f"{c:x}:" + ",".join(f"{ord(x):x}" for x in d))
            primary = unicodedata.decomposition(chr(c)).split()
            if len(primary) == 2:
                first, second = (int(x, 16) for x in primary)
                if nfc.normalize_str(chr(first) + chr(second)) == chr(c):
                    pairs.append(f"{first:x},{second:x}:{c:x}")
        if k != d:
            compatible.append(f"{c:x}:" + ",".join(f"{ord(x):x}" for x in k))
    classes = {}
    for c in SCALARS:
        order = unicodedata.combining(chr(c))
        if order and (order == 240 or nfd.normalize_str("\u0345" + chr(c))[0] != "\u0345"):
            classes.setdefault(order, set()).add(c)
    write(out / "DecompositionData.swift", "DecompositionData", "Decompositions, compositions and combining classes.", [
        ("canonical", "Scalar, colon, its full canonical decomposition.", " ".join(canonical)),
        ("pairs", "Two scalars, colon, the scalar they compose to.", " ".join(pairs)),
        ("classes", "Combining class, then gap and length in hexadecimal; ';' between.",
         " ; ".join(f"{k} {encode_set(v)}" for k, v in sorted(classes.items()))),
    ])
    write(out / "CompatibilityData.swift", "CompatibilityData", "Compatibility decompositions.", [
        ("compatible", "Scalar, colon, its full compatibility decomposition where it is not the canonical one.", " ".join(compatible)),
    ])


main()
