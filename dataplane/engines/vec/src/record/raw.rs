//! Vectors as they are logged and kept: rounded to the collection's element.

use crate::element::{Element, bf16_of, f32_of_bf16};
use crate::kernels::{Kernels, Measure};
use crate::rows::{Rows, stride};

/// Bytes of a vector in the log.
pub(crate) const fn logged_bytes(element: Element, dim: usize) -> usize {
    let scale = if matches!(element, Element::I8) { 4 } else { 0 };
    scale + dim * element.bytes()
}

/// Adds a vector to a payload: components little-endian; bytes after the scale that they have.
pub(crate) fn write(element: Element, vector: &[f32], out: &mut Vec<u8>) {
    match element {
        Element::F32 => out.extend_from_slice(bytemuck::cast_slice(vector)),
        Element::Bf16 => {
            let at = out.len();
            out.resize(at + 2 * vector.len(), 0);
            for (to, v) in out[at..].as_chunks_mut::<2>().0.iter_mut().zip(vector) {
                *to = bf16_of(*v).to_le_bytes();
            }
        }
        Element::I8 => {
            let most = vector.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            let unit = most / 127.0;
            // So small that a byte would count nothing: all are 0.
            let by = if unit > 0.0 && (1.0 / unit).is_finite() { 1.0 / unit } else { 0.0 };
            out.extend_from_slice(&unit.to_le_bytes());
            out.extend(vector.iter().map(|v| (v * by).round() as i8 as u8));
        }
    }
}

/// Reads what [`write`] wrote.
pub(crate) fn read(element: Element, bytes: &[u8], out: &mut [f32]) {
    match element {
        Element::F32 => {
            for (to, v) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*v);
            }
        }
        Element::Bf16 => {
            for (to, v) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *to = f32_of_bf16(u16::from_le_bytes(*v));
            }
        }
        Element::I8 => {
            let (unit, rest) = bytes.split_at(4);
            let unit = f32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]);
            out.iter_mut().zip(rest).for_each(|(to, v)| *to = f32::from(*v as i8) * unit);
        }
    }
}

/// Vectors in memory, as rows that kernels read.
#[derive(Debug)]
pub(crate) enum RawRows {
    F32(Rows<f32>),
    Bf16(Rows<u16>),
    I8(Rows<i8>, Vec<f32>),
}

impl RawRows {
    pub(crate) const fn new(element: Element, dim: usize) -> Self {
        match element {
            Element::F32 => Self::F32(Rows::new(dim)),
            Element::Bf16 => Self::Bf16(Rows::new(dim)),
            Element::I8 => Self::I8(Rows::new(dim), Vec::new()),
        }
    }

    /// For up to `rows` rows that are to come: none of it is touched before they do.
    pub(crate) fn reserve(&mut self, rows: usize) {
        match self {
            Self::F32(held) => held.reserve(rows),
            Self::Bf16(held) => held.reserve(rows),
            Self::I8(held, _) => held.reserve(rows),
        }
    }

    /// Adds a vector as [`write`] wrote it.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::F32(rows) => {
                let at = grow(rows);
                read(Element::F32, bytes, rows.row_mut(at));
            }
            Self::Bf16(rows) => {
                let at = grow(rows);
                for (to, v) in rows.row_mut(at).iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *to = u16::from_le_bytes(*v);
                }
            }
            Self::I8(rows, units) => {
                let (unit, rest) = bytes.split_at(4);
                units.push(f32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]));
                rows.push(bytemuck::cast_slice(rest));
            }
        }
    }

    pub(crate) fn view(&self) -> RawView<'_> {
        match self {
            Self::F32(rows) => RawView::F32(rows.as_slice(), rows.dim()),
            Self::Bf16(rows) => RawView::Bf16(rows.as_slice(), rows.dim()),
            Self::I8(rows, units) => RawView::I8(rows.as_slice(), units, rows.dim()),
        }
    }

    /// Bytes of memory that they hold.
    pub(crate) const fn bytes(&self) -> usize {
        match self {
            Self::F32(rows) => rows.bytes(),
            Self::Bf16(rows) => rows.bytes(),
            Self::I8(rows, units) => rows.bytes() + 4 * units.capacity(),
        }
    }
}

/// Adds a row of zeros and returns its place.
fn grow<T: crate::rows::Component>(rows: &mut Rows<T>) -> usize {
    rows.push_zeros();
    rows.len() - 1
}

/// Vectors where they lie: padded rows with their dimension.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawView<'a> {
    F32(&'a [f32], usize),
    Bf16(&'a [u16], usize),
    I8(&'a [i8], &'a [f32], usize),
}

impl RawView<'_> {
    /// Writes row `at` into `out`, which has the dimension's components or more.
    pub(crate) fn read(&self, at: usize, out: &mut [f32]) {
        match *self {
            Self::F32(rows, dim) => out[..dim].copy_from_slice(&rows[at * stride(dim, 4)..][..dim]),
            Self::Bf16(rows, dim) => {
                let row = &rows[at * stride(dim, 2)..][..dim];
                out.iter_mut().zip(row).for_each(|(to, v)| *to = f32_of_bf16(*v));
            }
            Self::I8(rows, units, dim) => {
                let (row, unit) = (&rows[at * stride(dim, 1)..][..dim], units[at]);
                out.iter_mut().zip(row).for_each(|(to, v)| *to = f32::from(*v) * unit);
            }
        }
    }

    /// Adds row `at` to `out` as [`write`] wrote it.
    pub(crate) fn logged(&self, at: usize, out: &mut Vec<u8>) {
        match *self {
            Self::F32(rows, dim) => {
                let row = &rows[at * stride(dim, 4)..][..dim];
                out.extend_from_slice(bytemuck::cast_slice(row));
            }
            Self::Bf16(rows, dim) => {
                let row = &rows[at * stride(dim, 2)..][..dim];
                out.extend_from_slice(bytemuck::cast_slice(row));
            }
            Self::I8(rows, units, dim) => {
                out.extend_from_slice(&units[at].to_le_bytes());
                out.extend_from_slice(bytemuck::cast_slice(&rows[at * stride(dim, 1)..][..dim]));
            }
        }
    }

    /// The score of row `at` for a query that is padded as [`pad`] does.
    pub(crate) fn compare(&self, kernels: &Kernels, measure: Measure, at: usize, q: &[f32]) -> f32 {
        match *self {
            Self::F32(rows, dim) => {
                let n = stride(dim, 4);
                kernels.compare_f32(measure, &rows[at * n..][..n], &q[..n])
            }
            Self::Bf16(rows, dim) => {
                let n = stride(dim, 2);
                kernels.compare_bf16(measure, &rows[at * n..][..n], &q[..n])
            }
            Self::I8(_, _, dim) => {
                let mut row = [0.0; 4096];
                self.read(at, &mut row);
                let n = stride(dim, 4);
                kernels.compare_f32(measure, &row[..n], &q[..n])
            }
        }
    }

    /// The scores of `out.len()` rows from `from` on.
    pub(crate) fn scan(
        &self,
        kernels: &Kernels,
        measure: Measure,
        from: usize,
        q: &[f32],
        out: &mut [f32],
    ) {
        match *self {
            Self::F32(rows, dim) => {
                let n = stride(dim, 4);
                kernels.scan_f32(measure, &rows[from * n..][..out.len() * n], &q[..n], out);
            }
            Self::Bf16(rows, dim) => {
                let n = stride(dim, 2);
                kernels.scan_bf16(measure, &rows[from * n..][..out.len() * n], &q[..n], out);
            }
            Self::I8(..) => {
                let each = |(at, out): (usize, &mut f32)| {
                    *out = self.compare(kernels, measure, from + at, q);
                };
                out.iter_mut().enumerate().for_each(each);
            }
        }
    }
}

/// A query with zeros up to the longest row that any element has.
pub(crate) fn pad(query: &[f32]) -> Rows<f32> {
    let mut rows = Rows::new(query.len().next_multiple_of(64));
    rows.push_zeros();
    rows.row_mut(0)[..query.len()].copy_from_slice(query);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn what_is_logged_is_what_is_compared() {
        for dim in [2, 17, 100, 384] {
            for element in [Element::F32, Element::Bf16, Element::I8] {
                let mut rows = RawRows::new(element, dim);
                let query = noise(9, dim);
                for at in 0..20 {
                    let vector = noise(at, dim);
                    let (mut bytes, mut back) = (Vec::new(), vec![0.0; dim]);
                    write(element, &vector, &mut bytes);
                    assert_eq!(bytes.len(), logged_bytes(element, dim));
                    read(element, &bytes, &mut back);
                    rows.push(&bytes);
                    let mut kept = vec![0.0; dim];
                    rows.view().read(at as usize, &mut kept);
                    assert_eq!(kept, back);
                    let mut again = Vec::new();
                    rows.view().logged(at as usize, &mut again);
                    assert_eq!(again, bytes);
                    for (a, b) in vector.iter().zip(&back) {
                        assert!((a - b).abs() <= 1.0 / 200.0, "{element:?}: {a} {b}");
                    }
                    let padded = pad(&query);
                    for measure in [Measure::Dot, Measure::L2] {
                        let got = rows.view().compare(
                            &Kernels::best(),
                            measure,
                            at as usize,
                            padded.row(0),
                        );
                        let want = crate::kernels::oracle::compare(measure, &back, &query);
                        assert!((f64::from(got) - want).abs() < 1e-3, "{got} {want}");
                        let mut all = vec![0.0; at as usize + 1];
                        let (kernels, q) = (Kernels::best(), padded.row(0));
                        rows.view().scan(&kernels, measure, 0, q, &mut all);
                        assert!((all[at as usize] - got).abs() < 1e-4);
                    }
                }
            }
        }
    }
}
