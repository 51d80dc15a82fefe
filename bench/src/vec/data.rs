//! Vectors from a file, and what is nearest among them.

use std::path::Path;

use pfs_vec::Rows;
use pfs_vec::index::search_exact_batch;
use pfs_vec::kernels::{Kernels, Measure, oracle};

/// Queries: the last rows of a file.
pub const QUERIES: usize = 1000;
/// Nearest vectors that are looked for.
pub const NEAREST: usize = 10;

/// What is searched, and what is looked for.
#[derive(Debug)]
pub struct Data {
    /// Vectors of length 1.
    pub base: Rows<f32>,
    /// Queries of length 1.
    pub queries: Rows<f32>,
    /// For each query the nearest by dot product, best first.
    pub truth: Vec<Vec<u32>>,
}

impl Data {
    /// Reads a `.npy` file of 32-bit numbers in rows, and searches it exactly.
    ///
    /// # Errors
    /// When the file cannot be read, is of another kind or has no more rows than queries, or when
    /// exact search is not what 64 bits say.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| {
            format!("{}: {error}; bench/vec/install-peers corpus", path.display())
        })?;
        let (dim, numbers) = npy(&bytes).ok_or_else(|| {
            format!("{} is no version 1 .npy file of little-endian f4 rows", path.display())
        })?;
        let count = numbers.len() / (4 * dim);
        if count <= QUERIES {
            return Err(format!("{} has {count} rows: too few", path.display()));
        }
        let (mut base, mut queries) = (Rows::new(dim), Rows::new(dim));
        base.reserve(count - QUERIES);
        let mut row = vec![0.0_f32; dim];
        for (at, bytes) in numbers.chunks_exact(4 * dim).enumerate() {
            for (value, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
            if at < count - QUERIES { &mut base } else { &mut queries }.push(&row);
        }
        drop(bytes);
        let truth = search_exact_batch(&Kernels::best(), base.as_slice(), &queries, NEAREST);
        let truth = truth.into_iter().map(|hits| hits.iter().map(|hit| hit.at).collect()).collect();
        let data = Self { base, queries, truth };
        data.check()?;
        Ok(data)
    }

    /// Compares the nearest of some queries with what 64 bits say.
    fn check(&self) -> Result<(), String> {
        for at in (0..QUERIES).step_by(100) {
            let query = self.query(at);
            let dot = |place: u32| {
                oracle::compare(Measure::Dot, &self.base.row(place as usize)[..query.len()], query)
            };
            let least = self.truth[at].iter().map(|&place| dot(place)).fold(f64::MAX, f64::min);
            let above = (0..self.base.len() as u32).filter(|&place| dot(place) > least + 1e-5);
            if above.count() >= NEAREST {
                return Err(format!("exact search of query {at} is wrong"));
            }
        }
        Ok(())
    }

    /// Query `at`.
    #[must_use]
    pub fn query(&self, at: usize) -> &[f32] {
        &self.queries.row(at)[..self.queries.dim()]
    }

    /// Share of the nearest that are among what was found.
    #[must_use]
    pub fn recall(&self, found: &[Vec<u32>]) -> f64 {
        let common = |(found, truth): (&Vec<u32>, &Vec<u32>)| {
            found.iter().filter(|place| truth.contains(place)).count()
        };
        let common: usize = found.iter().zip(&self.truth).map(common).sum();
        common as f64 / (found.len() * NEAREST) as f64
    }
}

/// Columns and numbers of a `.npy` file of version 1.
fn npy(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (head, numbers) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let head = std::str::from_utf8(head).ok()?;
    let plain = head.contains("'descr': '<f4'") && head.contains("'fortran_order': False");
    let shape = head.split_once("'shape': (")?.1.split_once(')')?.0;
    let dim: usize = shape.split_once(',')?.1.trim().parse().ok()?;
    (plain && (1..=4096).contains(&dim) && numbers.len() % (4 * dim) == 0).then_some((dim, numbers))
}
