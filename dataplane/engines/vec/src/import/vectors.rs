//! Vectors one after the other.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::{ImportError, npy};
use crate::collection::settings::DIMENSIONS;

/// How vectors lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NumPy's format, an array of two dimensions of little-endian f32 in C order.
    Npy,
    /// A dimension as i32 and as many f32, again and again.
    Fvecs,
    /// A dimension as i32 and as many bytes, again and again.
    Bvecs,
}

impl Format {
    /// That of files which are called so; `None` for other endings.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "npy" => Some(Self::Npy),
            "fvecs" => Some(Self::Fvecs),
            "bvecs" => Some(Self::Bvecs),
            _ => None,
        }
    }
}

/// Reads until `into` is full or the input ends; how many bytes came.
pub(super) fn fill(input: &mut impl Read, into: &mut [u8]) -> Result<usize, ImportError> {
    let mut had = 0;
    while had < into.len() {
        match input.read(&mut into[had..]) {
            Ok(0) => break,
            Ok(read) => had += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(had)
}

/// Vectors of a file, one after the other. Components are taken as they are: whether they are
/// finite is for the collection to say.
#[derive(Debug)]
pub struct Vectors<R> {
    input: R,
    format: Format,
    /// Components of each; `None` until the first was read.
    dim: Option<usize>,
    /// Vectors that a head promises.
    promised: Option<u64>,
    read: u64,
    bytes: Vec<u8>,
}

impl<R: Read> Vectors<R> {
    /// Reads the head, where the format has one. `input` had better be buffered.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn open(mut input: R, format: Format) -> Result<Self, ImportError> {
        let shape = match format {
            Format::Npy => Some(npy::read_head(&mut input)?),
            Format::Fvecs | Format::Bvecs => None,
        };
        Ok(Self {
            input,
            format,
            dim: shape.map(|shape| shape.dim),
            promised: shape.map(|shape| shape.rows),
            read: 0,
            bytes: Vec::new(),
        })
    }

    /// Vectors read so far.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Replaces `vector` by the next one; false behind the last, and then `vector` is as it was.
    ///
    /// # Errors
    /// [`ImportError`]. What was read before it is as the file has it.
    pub fn next_into(&mut self, vector: &mut Vec<f32>) -> Result<bool, ImportError> {
        let Some(dim) = self.begin()? else { return Ok(false) };
        let bytes = if self.format == Format::Bvecs { dim } else { 4 * dim };
        self.bytes.resize(bytes, 0);
        if fill(&mut self.input, &mut self.bytes)? < bytes {
            return Err(ImportError::Truncated { row: self.read });
        }
        vector.clear();
        if self.format == Format::Bvecs {
            vector.extend(self.bytes.iter().map(|byte| f32::from(*byte)));
        } else {
            let (fours, _) = self.bytes.as_chunks();
            vector.extend(fours.iter().map(|four| f32::from_le_bytes(*four)));
        }
        self.read += 1;
        Ok(true)
    }

    /// Components of the next vector; `None` behind the last.
    fn begin(&mut self) -> Result<Option<usize>, ImportError> {
        if let Some(rows) = self.promised {
            if self.read < rows {
                return Ok(self.dim);
            }
            return match fill(&mut self.input, &mut [0])? {
                0 => Ok(None),
                _ => Err(ImportError::Trailing { rows }),
            };
        }
        let (mut bytes, row) = ([0; 4], self.read);
        match fill(&mut self.input, &mut bytes)? {
            0 => return Ok(None),
            4 => {}
            _ => return Err(ImportError::Truncated { row }),
        }
        let got = i32::from_le_bytes(bytes);
        match (usize::try_from(got), self.dim) {
            (Ok(dim), Some(want)) if dim == want => {}
            (_, Some(want)) => return Err(ImportError::Mixed { row, got: got.into(), want }),
            (Ok(dim), None) if DIMENSIONS.contains(&dim) => self.dim = Some(dim),
            (_, None) => return Err(ImportError::Dimension { row, got: got.into() }),
        }
        Ok(self.dim)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::npy_head;
    use super::*;

    const FORMATS: [Format; 3] = [Format::Npy, Format::Fvecs, Format::Bvecs];

    /// A file of `rows` vectors of `dim` whole numbers, and the vectors.
    fn file(format: Format, rows: usize, dim: usize) -> (Vec<u8>, Vec<Vec<f32>>) {
        let mut bytes = match format {
            Format::Npy => npy_head(rows as u64, dim),
            _ => Vec::new(),
        };
        let mut all = Vec::new();
        for row in 0..rows {
            let numbers: Vec<u8> = (0..dim).map(|at| (7 * row + 31 * at) as u8).collect();
            if format != Format::Npy {
                bytes.extend((dim as i32).to_le_bytes());
            }
            let vector: Vec<f32> = numbers.iter().map(|number| f32::from(*number)).collect();
            match format {
                Format::Bvecs => bytes.extend(&numbers),
                _ => bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes())),
            }
            all.push(vector);
        }
        (bytes, all)
    }

    /// Vectors until the end or an error.
    fn read(bytes: &[u8], format: Format) -> (Vec<Vec<f32>>, Option<ImportError>) {
        let (mut all, mut vector) = (Vec::new(), Vec::new());
        let mut vectors = match Vectors::open(bytes, format) {
            Ok(vectors) => vectors,
            Err(error) => return (all, Some(error)),
        };
        loop {
            match vectors.next_into(&mut vector) {
                Ok(true) => all.push(vector.clone()),
                Ok(false) => return (all, None),
                Err(error) => return (all, Some(error)),
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused_or_a_prefix() {
        for format in FORMATS {
            let (bytes, all) = file(format, 5, 3);
            for cut in 0..bytes.len() {
                let (had, error) = read(&bytes[..cut], format);
                assert_eq!(had, all[..had.len()], "{format:?} cut at {cut}");
                assert!(had.len() < all.len(), "{format:?} cut at {cut}");
                // Files without a head may end between vectors.
                let between = format != Format::Npy && cut % (bytes.len() / 5) == 0;
                assert_eq!(error.is_none(), between, "{format:?} cut at {cut}: {error:?}");
            }
            let (had, error) = read(&bytes, format);
            assert!(had == all && error.is_none(), "{format:?}: {error:?}");
        }
    }

    #[test]
    fn heads_that_lie_are_refused() {
        let fvecs = |dim: i32| read(&[&dim.to_le_bytes()[..], &[0; 64]].concat(), Format::Fvecs).1;
        for dim in [-1, 0, 1, 4097, i32::MAX, i32::MIN] {
            let error = fvecs(dim);
            assert!(matches!(error, Some(ImportError::Dimension { row: 0, .. })), "{dim}");
        }
        assert!(matches!(fvecs(4096), Some(ImportError::Truncated { row: 0 })));
        let mixed = [file(Format::Bvecs, 1, 3).0, file(Format::Bvecs, 1, 4).0].concat();
        let (had, error) = read(&mixed, Format::Bvecs);
        assert!(matches!(error, Some(ImportError::Mixed { row: 1, got: 4, want: 3 })));
        assert_eq!(had.len(), 1);
        let most = [npy_head(u64::MAX, 4096), vec![0; 64]].concat();
        assert!(matches!(read(&most, Format::Npy).1, Some(ImportError::Truncated { row: 0 })));
        let more = [file(Format::Npy, 2, 2).0, vec![0]].concat();
        assert!(matches!(read(&more, Format::Npy).1, Some(ImportError::Trailing { rows: 2 })));
        let long = [&b"\x93NUMPY\x02\x00"[..], &[0xff; 8]].concat();
        assert!(matches!(read(&long, Format::Npy).1, Some(ImportError::Head(_))));
        assert!(matches!(read(b"PK\x03\x04....", Format::Npy).1, Some(ImportError::Head(_))));
    }

    proptest! {
        #[test]
        fn a_byte_that_is_not_what_it_was_is_no_panic(
            kind in 0_usize..3, at: prop::sample::Index, byte: u8,
        ) {
            let (mut bytes, _) = file(FORMATS[kind], 4, 2);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let (had, _) = read(&bytes, FORMATS[kind]);
            prop_assert!(had.len() <= bytes.len() / 6);
        }
    }
}
