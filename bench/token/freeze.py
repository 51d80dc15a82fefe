"""Writes the frozen ids that ordinary tests hold the encoder against: ids by OpenAI's tiktoken for
texts written here, edge by edge and put together at random from awkward fragments.

    freeze.py [OUT]        default dataplane/engines/token/tests/exact/tiktoken.json
"""

import json
import pathlib
import sys

import corpora
import reference
import sources

# Texts whose pieces are easy to cut wrongly.
TEXTS = [
    "", " ", "a", "\n", "\0", "  ", "\t", "\r\n", "\r", "hello world", "Hello, World!", " leading", "trailing ",
    "trailing  ", "two  spaces", "three   spaces", "tab\tand\t\ttabs", "a\nb\n\nc\n\n\nd", "a \n b", "a  \n  b",
    "a\r\n\r\nb", "\n\n\n   x", "   \n", " \n \n ", "x   ", "x\n", "x\n ", "x \n",
    "I'm you're he's we'll I'd I've don't", "I'M YOU'RE HE'S WE'LL I'D I'VE DON'T", "it'S 'Tis 'twas o'clock",
    "'s 't 're 've 'm 'll 'd", "''s'''t", "x'\u017f y'\u212a", "'\u017f", "can\u2019t won\u2019t", "rock 'n' roll's",
    "1", "12", "123", "1234", "12345", "1234567890", "3.14159", "1,234,567", "0x1F600", "v1.2.3-rc4", "\u0661\u0662\u0663\u0664",
    "\u2167\u00bd\u00b2\u00b3", "\u4e00\u4e8c\u4e09123", "a1b22c333d4444", " 1 12 123 1234",
    "camelCaseWord HTTPServer XMLHttpRequest iPhone eBay McDonald", "ALLCAPS lower Title mIxEd ABc aBC",
    "\u01c5\u01c8 \u01c5abc aB\u01c5", "\u02b0\u02b1abc ABC\u02b0", "\u00aa\u00ba\u0620\u05d0",
    "cafe\u0301 nai\u0308ve e\u0301\u0301\u0301", "\u0301alone \u0301", "A\u030angstro\u0308m", "\u0915\u094d\u0937\u093f \u0928\u092e\u0938\u094d\u0924\u0947",
    "!", "!!", "!!!", "?!?!", "...", "\u2026", "--", "---", "----------", "==========", "/* x */", "// y\n", "#!/bin/sh\n",
    "foo(bar[0]) -> baz{};\n", "if (a && b || !c) { return x >>= 3; }\n\n", "\tfor i in range(10):\n\t\tprint(i)\n",
    "    def f(self, x):\n        return self.x ** 2\n\n\n", "<div class=\"a\">x</div>", "https://example.org/a/b?c=d&e=f#g",
    "user@example.org", "C:\\Users\\x\\y.txt", "a/b/c", "a /\n/ b", "end.\n/next", "x;\r\n/y", "$100.00 \u20ac5 \u00a37",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u3053\u3093\u306b\u3061\u306f\u3001\u4e16\u754c\u3002\u30ab\u30bf\u30ab\u30ca", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "Stra\u00dfe \u00dcbergr\u00f6\u00dfe", "\u0130stanbul \u0131\u015f\u0131k",
    "\U0001f600\U0001f680", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\U0001f1ef\U0001f1f5", "\u2764\ufe0f", "a\U0001f600b", "\U00020000\U0001d400\U0001d7d8",
    "\u00a0", "a\u00a0b", "\u2003\u2003x", "\u3000\u5168\u89d2", "\u0085", "a\u0085\u0085b", "\u2028\u2029", "\u200b\u200bx", "\ufeffbom",
    "\x0b\x0c\x1c\x1d\x1e\x1f", "\x7f\x80\x9f", "\ufffd\ufffe\uffff", "\ue000\U000f0000", "\U0010ffff",
    "<|endoftext|>", "a<|endoftext|>b", "<|fim_prefix|><|endofprompt|>", "<|im_start|>user\nhi<|im_end|>", "<|", "|>",
    "a" * 7, "a" * 64, "a" * 257, " " * 40, "\n" * 33, "\t" * 20, "=" * 100, "\u4e2d" * 50, "\U0001f600" * 20, "ab" * 60,
    "x" + " " * 83 + "y", " \n" * 20, "\r\n" * 17, "Donaudampfschifffahrtsgesellschaftskapit\u00e4n",
    "pneumonoultramicroscopicsilicovolcanoconiosis", "antidisestablishmentarianism" * 4,
    "ThisIsAVeryLongCamelCaseIdentifierThatNobodyWouldType", "this_is_snake_case_with_123_numbers__and___runs",
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in "
    "Liberty, and dedicated to the proposition that all men are created equal.",
    "We the People of the United States, in Order to form a more perfect Union, establish Justice, insure domestic "
    "Tranquility, provide for the common defence, promote the general Welfare, and secure the Blessings of Liberty "
    "to ourselves and our Posterity, do ordain and establish this Constitution for the United States of America.",
]

# What random texts are put together from.
FRAGMENTS = [
    "the", " the", "The", "ing", " of", "Zq", "qz", "xylo", "WORD", "Word", "wOrD", "'s", "'S", "'ll", "'Re", "'", "\u2019s", "'\u017f", "'x",
    " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", " \n", "\u00a0", "\u2009", "\u3000", "\u0085", "\u2028", "\x0b", "\0", "\x1b[0m",
    "0", "7", "42", "365", "2024", "1000000", "\u00bd", "\u0663", "\u216b", "\U0001d7d9", ".", ",", "!", "?!", "...", "();", "{}", "->", "=>", "/", "//",
    "/*", "\\", "\"", "#", "@", "$", "\u20ac", "%", "&&", "~", "`", "^", "_", "__", "-", "--", "|", "<|endoftext|>", "\u00b7", "\u3001", "\u3002", "\uff01", "\u00bf",
    "\u4f60\u597d", "\u4e16", "\u3042", "\u30ab\u30ca", "\ud55c\uad6d", "\u043c\u0438\u0440", "\u041c", "\u03bb\u03cc\u03b3\u03bf\u03c2", "\u0639\u0631\u0628", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e44\u0e17\u0e22", "\u00e9", "e\u0301", "\u0301", "\u00df", "\u0130", "\u01c5",
    "\u02b0", "\u1d2c", "\u2c7d", "\U00010400", "\U0001d49c", "\U0001f600", "\U0001f3fd", "\u200d", "\ufe0f", "\u200b", "\ufeff", "\ufffd", "\ue000", "\u0378", "\u1f88",
]
RANDOM_TEXTS = 260


def random_texts() -> list[str]:
    numbers = corpora.splitmix64(3)
    return ["".join(FRAGMENTS[next(numbers) % len(FRAGMENTS)] for _ in range(1 + next(numbers) % 24))
            for _ in range(RANDOM_TEXTS)]


def main() -> None:
    root = pathlib.Path(__file__).parents[2]
    out = pathlib.Path(sys.argv[1]) if sys.argv[1:] else root / "dataplane/engines/token/tests/exact/tiktoken.json"
    encodings = reference.encodings(sources.cache_folder())
    texts = list(dict.fromkeys(TEXTS + random_texts()))
    cases = [json.dumps({"text": t, **{n: e.encode_ordinary(t) for n, e in encodings.items()}}, separators=(",", ":"))
             for t in texts]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("[\n" + ",\n".join(cases) + "\n]\n")
    print(f"{len(texts)} texts, {out.stat().st_size} bytes in {out}")


if __name__ == "__main__":
    main()
