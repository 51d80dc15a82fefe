//! The head of a `.npy` file: a magic, a version, a length, and a dictionary as Python writes it.

use std::io::Read;

use super::ImportError;
use super::vectors::fill;
use crate::collection::settings::DIMENSIONS;

/// What every file begins with.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest dictionary that is read, in bytes. Those of two dimensions have about a hundred.
const HEAD_MAX: usize = 64 << 10;
/// What is read: little-endian f32.
const F32: &str = "<f4";

/// Rows and components of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rows: u64,
    pub(crate) dim: usize,
}

/// The head of an array of `rows` vectors of `dim` components: what a `.npy` file has before its
/// rows of little-endian f32. A multiple of 64 bytes.
#[must_use]
pub fn npy_head(rows: u64, dim: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '{F32}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let room = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    text.extend(std::iter::repeat_n(' ', room - 1 - text.len()));
    text.push('\n');
    let mut head = MAGIC.to_vec();
    head.extend([1, 0]);
    // Two numbers of 20 digits and less: far below 64 KiB.
    head.extend((room as u16).to_le_bytes());
    head.extend(text.as_bytes());
    head
}

/// Reads a head, and not a byte more.
pub(crate) fn read_head(input: &mut impl Read) -> Result<Shape, ImportError> {
    let cut = ImportError::Head("it ends within it");
    let mut begin = [0; 8];
    if fill(input, &mut begin)? < begin.len() {
        return Err(cut);
    }
    if &begin[..6] != MAGIC {
        return Err(ImportError::Head("it does not begin with \\x93NUMPY"));
    }
    let mut length = [0; 4];
    let digits = match begin[6] {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(ImportError::Head("its version is none of 1, 2 and 3")),
    };
    if fill(input, &mut length[..digits])? < digits {
        return Err(cut);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > HEAD_MAX {
        return Err(ImportError::Head("it is longer than 64 KiB"));
    }
    let mut text = vec![0; length];
    if fill(input, &mut text)? < length {
        return Err(cut);
    }
    let text = std::str::from_utf8(&text).map_err(|_| ImportError::Head("it is no text"))?;
    shape(text).ok_or(ImportError::Head("it is no dictionary of descr, fortran_order and shape"))?
}

/// What a dictionary says; `None` when it is none.
fn shape(text: &str) -> Option<Result<Shape, ImportError>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let end = value_end(after)?;
        let (value, after) = after.split_at(end);
        let field = match key {
            "descr" => &mut descr,
            "fortran_order" => &mut order,
            "shape" => &mut shape,
            _ => return None,
        };
        if field.replace(value.trim()).is_some() {
            return None;
        }
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Some(checked(descr?, order?, shape?))
}

/// A word in quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Where a value ends: behind a tuple or list, or at a comma.
fn value_end(text: &str) -> Option<usize> {
    let close = match text.as_bytes().first()? {
        b'(' => ')',
        b'[' => ']',
        _ => return Some(text.find(',').unwrap_or(text.len())),
    };
    text.find(close).map(|at| at + 1)
}

fn checked(descr: &str, order: &str, shape: &str) -> Result<Shape, ImportError> {
    let wrong = |what, got: &str| ImportError::Type { what, got: got.chars().take(80).collect() };
    if quoted(descr) != Some((F32, "")) {
        return Err(wrong("its type", descr));
    }
    if order != "False" {
        return Err(wrong("its fortran_order", order));
    }
    let numbers = shape.strip_prefix('(').and_then(|shape| shape.strip_suffix(')'));
    let numbers = numbers.and_then(|numbers| numbers.split_once(','));
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let both = numbers.and_then(|(rows, dim)| {
        Some((number(rows)?, number(dim.trim_end().strip_suffix(',').unwrap_or(dim))?))
    });
    let (rows, got) = both.ok_or_else(|| wrong("its shape", shape))?;
    match usize::try_from(got) {
        Ok(dim) if DIMENSIONS.contains(&dim) => Ok(Shape { rows, dim }),
        _ => Err(ImportError::Dimension { row: 0, got: i64::try_from(got).unwrap_or(i64::MAX) }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> String {
        match shape(text) {
            None => "no dictionary".to_owned(),
            Some(Ok(shape)) => format!("{shape:?}"),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn dictionaries_are_read_strictly() {
        let head = |descr, order, shape| {
            told(&format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}  \n"))
        };
        assert_eq!(head("'<f4'", "False", "(3, 2)"), "Shape { rows: 3, dim: 2 }");
        assert_eq!(head("\"<f4\"", "False", "(0,4096,)"), "Shape { rows: 0, dim: 4096 }");
        for (descr, order, shape, why) in [
            ("'<f8'", "False", "(3, 2)", "its type is '<f8'"),
            ("'>f4'", "False", "(3, 2)", "its type"),
            ("[('a', '<f4')]", "False", "(3, 2)", "its type"),
            ("'<f4'", "True", "(3, 2)", "fortran_order is True"),
            ("'<f4'", "False", "(3,)", "its shape is (3,)"),
            ("'<f4'", "False", "(3, 2, 1)", "its shape"),
            ("'<f4'", "False", "(-3, 2)", "its shape"),
            ("'<f4'", "False", "(99999999999999999999, 2)", "its shape"),
            ("'<f4'", "False", "(3, 1)", "vector 0 has 1 components"),
            ("'<f4'", "False", "(3, 18446744073709551615)", "2 to 4096"),
            ("'<f4'", "False", "(3, 2", "no dictionary"),
        ] {
            let told = head(descr, order, shape);
            assert!(told.contains(why), "{descr} {order} {shape}: {told}");
        }
        for text in ["", "{", "}", "{}", "{'shape': (3, 2)}", "{'descr'", "{'a': 1}", "{é: 1}"] {
            assert_eq!(told(text), "no dictionary", "{text}");
        }
        let twice = "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}";
        assert_eq!(told(twice), "no dictionary");
    }

    proptest! {
        #[test]
        fn heads_come_back(rows: u64, dim in 2_usize..=4096) {
            let head = npy_head(rows, dim);
            prop_assert_eq!(head.len() % 64, 0);
            let mut rest = &head[..];
            prop_assert_eq!(read_head(&mut rest).unwrap(), Shape { rows, dim });
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[{}()\\[\\],:'\" a-z0-9<é]{0,80}") {
            let _ = shape(&text);
        }
    }
}
