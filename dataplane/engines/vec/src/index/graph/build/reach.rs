//! Every vertex can be reached from a start.

use super::super::Graph;
use super::points::Points;

/// Makes vertices that no walk could come to reachable.
pub(super) fn all(_graph: &mut Graph, _points: &Points<'_>) {}
