//! What a worker is given before it starts, beside its lanes.

use super::keep::PayloadSinks;
use super::report::SinkReport;
use crate::ops::ids::IdSinks;
use crate::pcpu::Engine;

/// One worker's engines and sinks: made by a thread that may open files, used by the worker alone,
/// and closed by the first again.
#[derive(Debug, Default)]
pub struct WorkerKit {
    /// For each rule the engines of its program, in its order; may end early where no more rules
    /// have any.
    pub engines: Vec<Vec<Box<dyn Engine>>>,
    /// Files for payload.
    pub payload: PayloadSinks,
    /// Where token ids go.
    pub ids: IdSinks,
}

impl WorkerKit {
    /// Publishes the files of all sinks; appends to `errors` what could not be written.
    pub(super) fn close(self, errors: &mut Vec<String>) -> Vec<SinkReport> {
        let mut reports = self.payload.close(errors);
        reports.extend(self.ids.close(errors));
        reports
    }
}
