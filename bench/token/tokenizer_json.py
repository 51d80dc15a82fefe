"""Writes a Hugging Face `tokenizer.json` for one of OpenAI's encodings, for peers that read no ranks.

    tokenizer_json.py NAME OUT

A token's merge is the pair that is left when its bytes are merged by the ranks below its own.
"""

import json
import pathlib
import sys

import reference
import sources

# The split rules as published tokenizer.json files write them, without tiktoken's possessive
# quantifiers: readers recognize them by their text.
LETTERS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
SMALL = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = {
    "r50k_base": GPT2,
    "p50k_base": GPT2,
    "cl100k_base": SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES,
    "o200k_base": rf"[^\r\n\p{{L}}\p{{N}}]?{LETTERS}*{SMALL}+{SHORT}?|[^\r\n\p{{L}}\p{{N}}]?{LETTERS}+{SMALL}*{SHORT}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES,
}


def merge_of(ranks: dict[bytes, int], token: bytes) -> list[bytes]:
    """The parts that `token` has just before its own merge."""
    parts = [token[i : i + 1] for i in range(len(token))]
    limit = ranks[token]
    while True:
        joined = [(ranks.get(a + b, limit), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
        rank, at = min(joined, default=(limit, 0))
        if rank >= limit:
            return parts
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def letters() -> dict[int, str]:
    """GPT-2's printable stand-ins for bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}


def main() -> None:
    name, out = sys.argv[1], pathlib.Path(sys.argv[2])
    encoding = reference.encodings(sources.cache_folder(), (name,))[name]
    ranks, table = encoding._mergeable_ranks, letters()
    written = {token: "".join(table[b] for b in token) for token in ranks}
    merges = []
    for token in sorted((t for t in ranks if len(t) > 1), key=ranks.__getitem__):
        parts = merge_of(ranks, token)
        if len(parts) == 2:  # else no merge makes it: only a whole piece can be this token
            merges.append([written[parts[0]], written[parts[1]]])
    pattern = PATTERNS[name]
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
        "vocab": {written[token]: rank for token, rank in ranks.items()}, "merges": merges,
    }
    out.write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None, "decoder": {**level, "use_regex": True}, "model": model,
    }))


if __name__ == "__main__":
    main()
