//! A query as steps: what its patterns are compiled to.
//!
//! A pattern is a row of steps, one for each of its nodes in the order in which a walk meets them, and
//! one behind the last. Quantifiers and alternations are edges: a step's *alternative* is another step
//! that a state goes on with as well when it comes to the step. This is the form that tree-sitter
//! itself gives a query, and it decides which matches there are; so it is kept.

use crate::languages::{Flags, KIND_ERROR, Symbol};

/// Kind of a step that fits any node.
pub(super) const WILDCARD: u16 = 0;
/// Depth of the step behind a pattern's last one.
pub(super) const DONE: u16 = u16::MAX;

/// One node of a pattern, or an edge.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    pub(super) kind: u16,
    /// A wildcard for named nodes alone.
    pub(super) named: bool,
    /// The supertype that the node must stand for.
    pub(super) supertype: Flags,
    /// Fits nodes that the parser put in.
    pub(super) missing: bool,
    /// The field that the node's parent must know it by, 0 for any.
    pub(super) field: u16,
    /// Names that the node is caught by.
    pub(super) captures: Vec<u16>,
    /// Fields that none of its children may have.
    pub(super) negated: Vec<u16>,
    /// Nodes of the pattern around it, or [`DONE`].
    pub(super) depth: u16,
    /// No named sibling between it and the one before.
    pub(super) immediate: bool,
    /// No named sibling behind it.
    pub(super) last_child: bool,
    /// Fits no node: a state goes on both with the next step and with the alternative.
    pub(super) pass_through: bool,
    /// Fits no node: a state goes on with the alternative only.
    pub(super) dead_end: bool,
    /// Stands in an alternation.
    pub(super) inside_alternation: bool,
    /// The alternative is the way past what a `?` or `*` allows to be absent.
    pub(super) skip: bool,
    /// Another step to go on with.
    pub(super) alternative: Option<u16>,
    /// It or a step below it catches a node.
    pub(super) catches: bool,
    /// What follows may fail though this step fits.
    pub(super) fallible: bool,
}

impl Step {
    pub(super) fn new(kind: u16, depth: u16, immediate: bool) -> Self {
        Self { kind, depth, immediate, ..Self::default() }
    }

    /// Whether a node of this symbol can be it, as far as the symbol tells.
    pub(super) fn fits(&self, symbol: Symbol) -> bool {
        let flags = symbol.flags();
        let kind = if self.kind == WILDCARD {
            match self.missing {
                true => flags.has(Flags::MISSING),
                false => symbol.kind() != KIND_ERROR && (flags.has(Flags::NAMED) || !self.named),
            }
        } else {
            symbol.kind() == self.kind && (!self.missing || flags.has(Flags::MISSING))
        };
        kind && flags.has(self.supertype) && (self.field == 0 || self.field == symbol.field())
    }
}

/// Where matches of a pattern begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) step: u16,
    /// One node of the tree holds the whole match.
    pub(super) rooted: bool,
}

/// Which part of a tree the matches of a pattern lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Under the node that it begins with.
    Node,
    /// Under the parent of that node.
    Parent,
    /// Not known beforehand.
    Tree,
}

/// Marks which steps only pass states on, and which catch something or may fail.
pub(super) fn finish(steps: &mut [Step]) {
    for at in 0..steps.len() {
        let depth = steps[at].depth;
        if depth == DONE {
            continue;
        }
        let below =
            steps[at + 1..].iter().take_while(|step| step.depth != DONE && step.depth > depth);
        let catches =
            !steps[at].captures.is_empty() || below.clone().any(|it| !it.captures.is_empty());
        let next = (at + 1..steps.len()).find(|next| !steps[*next].pass_through);
        let fallible = next.is_some_and(|next| {
            let it = &steps[next];
            let below = it.depth > depth || it.depth == depth && it.immediate;
            let known = steps[at].kind != WILDCARD && is_assumed(steps, next);
            it.depth != DONE && below && !known
        });
        (steps[at].catches, steps[at].fallible) = (catches, fallible);
    }
}

/// Whether tree-sitter takes it for granted that step `at` is met. It tells from the parse tables which
/// children of a node of a known kind may be absent, and of all others below such a node assumes that
/// none is: of those in a wildcard or in an error.
fn is_assumed(steps: &[Step], at: usize) -> bool {
    let mut around = around(steps, at);
    let Some(parent) = around.next() else { return false };
    match parent.kind {
        KIND_ERROR => true,
        WILDCARD => around.any(|it| it.kind != WILDCARD),
        _ => false,
    }
}

/// The nodes around a step, the nearest first.
fn around(steps: &[Step], at: usize) -> impl Iterator<Item = &Step> {
    let mut depth = steps[at].depth;
    let before = steps[..at].iter().rev().take_while(|it| it.depth != DONE);
    before.filter(move |it| {
        let is = it.depth < depth && !it.dead_end && !it.pass_through;
        depth = if is { it.depth } else { depth };
        is
    })
}

/// The steps that a state at `from` stands at in truth, edges followed. None if edges lead in a circle.
pub(super) fn closure(steps: &[Step], from: u16) -> Option<Vec<u16>> {
    let (mut waiting, mut reached, mut path) = (vec![(from, 0usize)], Vec::new(), Vec::new());
    while let Some((at, depth)) = waiting.pop() {
        path.truncate(depth);
        if path.contains(&at) {
            return None;
        }
        path.push(at);
        let step = &steps[usize::from(at)];
        if !step.dead_end && !step.pass_through && !reached.contains(&at) {
            reached.push(at);
        }
        if step.pass_through {
            waiting.push((at + 1, depth + 1));
        }
        waiting.extend(step.alternative.map(|alternative| (alternative, depth + 1)));
    }
    Some(reached)
}

/// The scope of matches that begin at one of `entries`.
pub(super) fn scope(steps: &[Step], entries: &[Entry]) -> Scope {
    let depth = |step: u16| steps[usize::from(step)].depth;
    let to_root = |entry: &Entry| behind(steps, entry.step).iter().any(|step| depth(*step) == 0);
    if !entries.iter().any(|entry| depth(entry.step) > 0 || to_root(entry)) {
        return Scope::Node;
    }
    let leaves = entries.iter().any(|entry| depth(entry.step) > 0 && to_root(entry));
    if leaves { Scope::Tree } else { Scope::Parent }
}

/// Steps that a state can come to behind step `from`.
fn behind(steps: &[Step], from: u16) -> Vec<u16> {
    let (mut waiting, mut seen) = (vec![from], Vec::new());
    while let Some(at) = waiting.pop() {
        if steps[usize::from(at)].depth == DONE {
            continue;
        }
        for next in closure(steps, at + 1).unwrap_or_default() {
            if !seen.contains(&next) {
                seen.push(next);
                waiting.push(next);
            }
        }
    }
    seen
}
