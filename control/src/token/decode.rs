//! `pfs detokenize`.

use std::io::Read;

use pfs_dataplane::ops::ids::OutFile;

use super::{DetokenizeArgs, ids, input, open};
use crate::failure::Failure;

/// Ids decoded at a time.
const PART: usize = 1 << 16;

/// `pfs detokenize`: the bytes that the ids stand for, whatever they are.
///
/// # Errors
/// The input holds something that is no id, or an id that the vocabulary lacks.
pub(crate) fn detokenize(args: &DetokenizeArgs) -> Result<(), Failure> {
    let vocab = open(&args.vocab)?;
    let (mut reader, _) = input(&args.input)?;
    let mut text = Vec::new();
    reader
        .read_to_end(&mut text)
        .map_err(|error| Failure::failed(format!("reading {}: {error}", args.input.display())))?;
    let ids = ids::read(args.format, &text)?;
    let mut file = OutFile::create(&args.output).map_err(Failure::failed)?;
    let mut bytes = Vec::new();
    for (part, ids) in ids.chunks(PART).enumerate() {
        bytes.clear();
        vocab.decode_into(ids, &mut bytes).map_err(|mut error| {
            error.at += part * PART;
            Failure::failed(error)
        })?;
        match file.put(&bytes) {
            Err(error) if error.is_broken_pipe() => return Ok(()),
            other => other.map_err(Failure::failed)?,
        }
    }
    match file.publish(&[]) {
        Err(error) if error.is_broken_pipe() => Ok(()),
        other => other.map_err(Failure::failed),
    }
}
