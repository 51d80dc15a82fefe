//! Exact search of a part for many queries: each vector is read once for all of them.

use super::Part;
use super::select::Select;
use crate::collection::error::Damage;
use crate::collection::shape::Shape;
use crate::index::Filter;
use crate::record::raw;
use crate::rows::Rows;
use crate::topk::TopK;

/// Rows that are made numbers of at a time.
const BLOCK: usize = 256;
/// Queries that share what is read of the rows.
const QUERIES: usize = 48;

/// Offers each row that `select` allows to the `best` of each query, by dot product.
pub(crate) fn search_together(
    shape: &Shape,
    part: &dyn Part,
    select: &Select<'_>,
    queries: &Rows<f32>,
    best: &mut [TopK],
) -> Result<(), Damage> {
    let (element, stride) = (shape.settings.raw.logged(), queries.stride());
    let (mut block, mut logged) = (Rows::new(queries.dim()), Vec::new());
    let (mut rows, mut dots) = (Vec::with_capacity(BLOCK), vec![0.0; QUERIES * BLOCK]);
    for from in (0..part.rows()).step_by(BLOCK) {
        let all = from..part.rows().min(from + BLOCK as u32);
        rows.clear();
        rows.extend(all.filter(|row| select.allows(*row)));
        block.truncate(0);
        for (at, row) in rows.iter().enumerate() {
            logged.clear();
            part.logged(*row, &mut logged)?;
            block.push_zeros();
            raw::read(element, &logged, block.row_mut(at));
        }
        let together = best.chunks_mut(QUERIES);
        for (best, queries) in together.zip(queries.as_slice().chunks(QUERIES * stride)) {
            let dots = &mut dots[..best.len() * rows.len()];
            shape.kernels.tile_f32(block.as_slice(), queries, stride, dots);
            for (best, dots) in best.iter_mut().zip(dots.chunks_exact(rows.len().max(1))) {
                for (row, dot) in rows.iter().zip(dots) {
                    best.offer(*row, *dot);
                }
            }
        }
    }
    Ok(())
}
