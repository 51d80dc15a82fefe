//! What all parts of a collection have in common.

use super::settings::Settings;
use crate::indexes::hash::hash;
use crate::kernels::{Kernels, Measure};
use crate::metric::Metric;
use crate::quantize::RaBitQ;
use crate::record::raw;

/// What all parts of a collection have in common.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) settings: Settings,
    /// Selects the hash of ids.
    pub(crate) key: u64,
    /// Selects the rotation.
    pub(crate) seed: u64,
    pub(crate) quantizer: RaBitQ,
    pub(crate) kernels: Kernels,
    /// The rotated centre of codes that lie in no lists.
    pub(crate) zero: Vec<f32>,
}

impl Shape {
    /// For `settings`, which have been checked.
    pub(crate) fn new(settings: Settings, key: u64, seed: u64) -> Self {
        let measure = match settings.metric {
            Metric::Cosine | Metric::Dot => Measure::Dot,
            Metric::L2 => Measure::L2,
        };
        let quantizer = RaBitQ::new(settings.dim, measure, seed);
        let zero = vec![0.0; quantizer.padded()];
        Self { settings, key, seed, quantizer, kernels: Kernels::best(), zero }
    }

    pub(crate) fn measure(&self) -> Measure {
        self.quantizer.measure()
    }

    pub(crate) fn hash(&self, id: &[u8]) -> u64 {
        hash(self.key, id)
    }

    /// Bytes of a vector in the log.
    pub(crate) const fn logged_bytes(&self) -> usize {
        raw::logged_bytes(self.settings.raw.logged(), self.settings.dim)
    }
}
