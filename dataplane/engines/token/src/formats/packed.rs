//! The compressed form in which vocabularies are shipped inside the program.
//!
//! A zstd frame over little-endian integers and bytes:
//! `u32` number of runs of ids · runs as (`u32` first id, `u32` count) · one length byte per token ·
//! the tokens' bytes, one after the other. Lengths and bytes apart compress better than mixed, and
//! within 15 % of what merges as id pairs come to.

use super::FormatError;

const FORMAT: &str = "packed vocabulary";
/// Largest content that is unpacked.
const MAX_BYTES: usize = 64 << 20;

/// Packs tokens with ascending ids, at zstd level `level` (22 packs best).
///
/// # Errors
/// [`FormatError::Invalid`] for a token of no or over 255 bytes.
pub fn write(tokens: &[(u32, Vec<u8>)], level: i32) -> Result<Vec<u8>, FormatError> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    let mut lengths = Vec::with_capacity(tokens.len());
    for (id, bytes) in tokens {
        match runs.last_mut() {
            Some((first, count)) if u64::from(*first) + u64::from(*count) == u64::from(*id) => {
                *count += 1;
            }
            _ => runs.push((*id, 1)),
        }
        let len = u8::try_from(bytes.len()).ok().filter(|&len| len > 0);
        lengths.push(len.ok_or_else(|| {
            let cause = format!("token {id} has {} bytes, 1 to 255 can be packed", bytes.len());
            FormatError::invalid(FORMAT, cause)
        })?);
    }
    let mut content = (runs.len() as u32).to_le_bytes().to_vec();
    for (first, count) in runs {
        content.extend_from_slice(&first.to_le_bytes());
        content.extend_from_slice(&count.to_le_bytes());
    }
    content.extend_from_slice(&lengths);
    tokens.iter().for_each(|(_, bytes)| content.extend_from_slice(bytes));
    zstd::bulk::compress(&content, level)
        .map_err(|e| FormatError::invalid(FORMAT, format!("zstd: {e}")))
}

/// Unpacks what [`write()`] has packed.
///
/// # Errors
/// [`FormatError::Invalid`] or [`FormatError::Truncated`]; never for bytes that `write` returned.
pub fn read(packed: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, FormatError> {
    let broken = |cause: &str| FormatError::invalid(FORMAT, cause);
    let size = zstd::bulk::Decompressor::upper_bound(packed).unwrap_or(MAX_BYTES);
    let content = zstd::bulk::decompress(packed, size.min(MAX_BYTES))
        .map_err(|e| FormatError::invalid(FORMAT, format!("zstd: {e}")))?;
    let (runs, rest) = content.split_first_chunk::<4>().ok_or_else(|| broken("no head"))?;
    let runs = u32::from_le_bytes(*runs) as usize;
    let (runs, rest) = runs
        .checked_mul(8)
        .and_then(|bytes| rest.split_at_checked(bytes))
        .ok_or_else(|| broken("fewer runs than it says"))?;
    let runs = runs.chunks_exact(8).map(|run| {
        let (first, count) = run.split_at(4);
        let word = |b: &[u8]| b.iter().rev().fold(0u32, |n, &b| n << 8 | u32::from(b));
        (word(first), word(count))
    });
    let count = runs.clone().map(|(_, count)| count as usize).sum();
    let (lengths, mut blob) =
        rest.split_at_checked(count).ok_or_else(|| broken("fewer lengths than tokens"))?;
    let ids = runs.flat_map(|(first, count)| (0..count).map(move |n| first.wrapping_add(n)));
    let mut tokens = Vec::with_capacity(count);
    for (id, &len) in ids.zip(lengths) {
        let (bytes, after) =
            blob.split_at_checked(len.into()).ok_or_else(|| broken("fewer bytes than lengths"))?;
        tokens.push((id, bytes.to_vec()));
        blob = after;
    }
    if blob.is_empty() { Ok(tokens) } else { Err(broken("bytes after the last token")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_gaps_and_all() {
        let tokens =
            vec![(0, b"a".to_vec()), (1, vec![0; 255]), (7, b"\xff".to_vec()), (8, b"bc".to_vec())];
        assert_eq!(read(&write(&tokens, 3).unwrap()).unwrap(), tokens);
        assert!(write(&[(0, vec![])], 3).is_err());
        assert!(write(&[(0, vec![1; 256])], 3).is_err());
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let packed = write(&[(0, b"abc".to_vec()), (1, b"d".to_vec())], 3).unwrap();
        for len in 0..packed.len() {
            assert!(read(&packed[..len]).is_err(), "{len} bytes");
        }
        let content = zstd::bulk::decompress(&packed, 100).unwrap();
        for bit in 0..content.len() * 8 {
            let mut bad = content.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Any answer but a panic: other ids and bytes are good vocabularies too.
            let _ = read(&zstd::bulk::compress(&bad, 3).unwrap());
        }
        let mut hostile = content.clone();
        hostile[..4].copy_from_slice(&[255; 4]);
        assert!(read(&zstd::bulk::compress(&hostile, 3).unwrap()).is_err());
    }
}
