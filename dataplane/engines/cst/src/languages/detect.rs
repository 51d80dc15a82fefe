//! Which language a file is in, by its name and its first bytes.

/// Bytes at the start of a file that are looked at.
const HEAD: usize = 512;

/// What the content alone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint<'a> {
    /// A `#!` line's program, without folders and version digits.
    Interpreter(&'a str),
    /// A language by its name in an Emacs or Vim mode line.
    Mode(&'a str),
    /// A language that such a start belongs to.
    Start(&'static str),
}

/// Looks at the first bytes of a file.
pub(super) fn hint(source: &[u8]) -> Option<Hint<'_>> {
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    let head = &source[..source.len().min(HEAD)];
    let first_line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    interpreter(first_line)
        .map(Hint::Interpreter)
        .or_else(|| mode(head).map(Hint::Mode))
        .or_else(|| start(head).map(Hint::Start))
}

/// `#!/usr/bin/env -S python3.11 -u` is `python`.
fn interpreter(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_prefix(b"#!")?).ok()?;
    let mut words = line.split_ascii_whitespace();
    let mut program = words.next()?.rsplit('/').next()?;
    if program == "env" {
        program = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
        program = program.rsplit('/').next()?;
    }
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    (!program.is_empty()).then_some(program)
}

/// `-*- mode: c++ -*-`, `-*- python -*-`, `vim: ft=rust`, `vim: set filetype=sh:`.
fn mode(head: &[u8]) -> Option<&str> {
    let head = match std::str::from_utf8(head) {
        Ok(head) => head,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    if let Some((_, rest)) = head.split_once("-*-")
        && let Some((inner, _)) = rest.split_once("-*-")
    {
        let named = inner.split(';').find_map(|part| part.trim().strip_prefix("mode:"));
        let plain = (!inner.contains(':')).then_some(inner);
        return named.or(plain).map(str::trim).filter(|mode| !mode.is_empty());
    }
    let (_, rest) = head.split_once("vim:")?;
    let line = rest.lines().next()?;
    let value = ["filetype=", "ft="].iter().find_map(|key| line.split_once(key))?.1;
    value.split([' ', ':', '\t']).next().filter(|value| !value.is_empty())
}

fn start(head: &[u8]) -> Option<&'static str> {
    let text = head.trim_ascii_start();
    let lower: Vec<u8> = text.iter().take(32).map(u8::to_ascii_lowercase).collect();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        return Some("html");
    }
    if lower.starts_with(b"<?php") || lower.starts_with(b"<?xml") {
        return None;
    }
    let after_brace = match text.first()? {
        b'{' => text[1..].trim_ascii_start().first()?,
        b'[' => return json_value(text[1..].trim_ascii_start().first()?).then_some("json"),
        _ => return None,
    };
    matches!(after_brace, b'"' | b'}').then_some("json")
}

const fn json_value(byte: &u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9')
}

/// Whether a C header is in truth C++: one of its words in what is no comment line.
pub(super) fn is_cpp_header(source: &[u8]) -> bool {
    const WORDS: [&[u8]; 7] =
        [b"class ", b"namespace ", b"template", b"public:", b"private:", b"using ", b"constexpr "];
    let lines = source.split(|byte| *byte == b'\n').take(4096).map(<[u8]>::trim_ascii_start);
    let mut guarded = 0usize;
    for line in lines {
        // What only a C++ compiler sees says nothing about the file.
        if line.starts_with(b"#if") {
            guarded += usize::from(guarded > 0 || contains(line, b"__cplusplus"));
        } else if line.starts_with(b"#endif") {
            guarded = guarded.saturating_sub(1);
        } else if guarded == 0 && WORDS.iter().any(|word| line.starts_with(word)) {
            return true;
        }
    }
    false
}

fn contains(line: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(line, what).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints() {
        for (source, expected) in [
            ("#!/bin/sh\n", Some(Hint::Interpreter("sh"))),
            ("#!/usr/bin/env python3.11\n", Some(Hint::Interpreter("python"))),
            ("#!/usr/bin/env -S LANG=C node --x\n", Some(Hint::Interpreter("node"))),
            ("\u{feff}#!/bin/bash -e\nls", Some(Hint::Interpreter("bash"))),
            ("#!\n", None),
            ("#! /usr/bin/env", None),
            ("// -*- mode: c++; indent: 4 -*-", Some(Hint::Mode("c++"))),
            ("/* -*- C -*- */", Some(Hint::Mode("C"))),
            ("# vim: set ft=python :", Some(Hint::Mode("python"))),
            ("  <!DOCTYPE HTML>", Some(Hint::Start("html"))),
            ("{ \"a\": 1 }", Some(Hint::Start("json"))),
            ("[1, 2]", Some(Hint::Start("json"))),
            ("[section]\nkey=1", None),
            ("{ let x }", None),
            ("", None),
        ] {
            assert_eq!(hint(source.as_bytes()), expected, "{source}");
        }
        assert_eq!(hint(b"\xff\xfe\x00vim:"), None);
    }

    #[test]
    fn headers() {
        assert!(is_cpp_header(b"#pragma once\nnamespace a {\n"));
        assert!(!is_cpp_header(
            b"#ifdef __cplusplus\n#if 1\n#endif\nnamespace a {\n#endif\nint f;"
        ));
        assert!(!is_cpp_header(b"/* the class of */ int class_of(void);\n"));
    }
}
