//! A dictionary for raw bytes that no reference covers, when it earns its keep.

/// A dictionary's size at most.
const MOST: usize = 64 << 10;

/// Trains a dictionary for raw bytes of windows that are packed one by one, and gives it when all
/// of `raws` packed with it, and it itself packed along, take less than without. `level` is
/// zstd's. The samples must outweigh the dictionary, else there is none.
#[must_use]
pub fn dictionary(raws: &[&[u8]], level: i32) -> Option<Vec<u8>> {
    let total: usize = raws.iter().map(|raw| raw.len()).sum();
    let room = MOST.min(total / 16);
    if raws.len() < 8 || room < 256 {
        return None;
    }
    let trained = zstd::dict::from_samples(raws, room).ok()?;
    let mut with = zstd::bulk::Compressor::with_dictionary(level, &trained).ok()?;
    let mut without = zstd::bulk::Compressor::new(level).ok()?;
    let packed = |zstd: &mut zstd::bulk::Compressor<'_>| {
        let all = raws.iter().map(|raw| Some(zstd.compress(raw).ok()?.len()));
        all.sum::<Option<usize>>()
    };
    let own = without.compress(&trained).ok()?.len();
    (packed(&mut with)? + own < packed(&mut without)?).then_some(trained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_pays_for_small_alike_pieces_only() {
        let record = |n: u32| {
            format!(
                "{{\"name\":\"user{n}\",\"mail\":\"u{n}@example.org\",\"groups\":[\"staff\",\"{}\"]}}",
                n % 7
            )
        };
        let records: Vec<String> = (0..3000).map(|n| record(n * 7919)).collect();
        let alike: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        assert!(dictionary(&alike, 3).is_some());
        let mut noise = vec![0; 1 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let noise: Vec<&[u8]> = noise.chunks(1 << 14).collect();
        assert!(dictionary(&noise, 3).is_none());
        assert!(dictionary(&[], 3).is_none());
    }
}
