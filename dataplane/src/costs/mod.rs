//! Cost classes: what programs cost on this host, measured, kept in a file, and looked up.
//!
//! [`measure`] is the one way in which a cost is taken. `pfs bench op` takes it for every op at
//! several lengths of payload and keeps it ([`Costs`]); `pfs plan check` and `pfs run` look it up
//! there, and measure by themselves where the file is missing, of another processor or build, or
//! does not know an op.

mod file;
mod trial;

pub use file::{Costs, CostsError, OpCost, PAYLOADS, Sample};
pub use trial::{CostClass, measure};
