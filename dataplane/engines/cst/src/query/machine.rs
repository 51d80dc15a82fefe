//! States that follow a pattern's steps through a part of a tree.
//!
//! The rules are those by which tree-sitter's own cursor finds matches, for one pattern at a time: a state
//! waits at a step for a node at a certain level; where a node fits and a later one may as well, one
//! state takes it and another waits on; of two states at one step the one whose captures hold the
//! other's stays ("longest match"). Patterns do not see each other's states, and states of one parent
//! do not see those of another, so that a part of the tree is enough, and of that the nodes at the levels
//! that some state waits for.

use super::Query;
use super::plan::Plan;
use super::step::{DONE, Entry, Step, WILDCARD};
use crate::hot::{HotTree, Node};
use crate::languages::KIND_ERROR;

/// States that one pattern may have at a time in one part of a tree; the rest are left out, and that told.
const STATES_MAX: usize = 4096;

/// No list of captures.
const NONE: u32 = u32::MAX;

/// A node that was caught, and by which name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caught {
    at: u32,
    index: u32,
    pub(super) name: u16,
}

impl Caught {
    pub(super) fn new(node: Node<'_>, name: u16) -> Self {
        Self { at: node.at() as u32, index: node.index() as u32, name }
    }

    #[inline]
    pub(super) fn node<'t>(&self, tree: &'t HotTree) -> Node<'t> {
        Node::new(tree, self.at, self.index)
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Level of the pattern's root.
    start: u32,
    step: u16,
    /// Which list has its captures.
    list: u32,
    /// Its step has to be the very next node.
    seeking: bool,
    /// Another state may find more.
    alternatives: bool,
    /// Began with a child of the pattern's root, which is any node.
    needs_parent: bool,
    /// Came past a `?` or `*`: an anchor at its step means nothing.
    skipped: bool,
}

/// Which nodes of a part of a tree new states begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// The first one.
    Once,
    /// It and its later siblings.
    Siblings,
    /// All.
    Everywhere,
}

/// A node on the way, with what is asked of it once.
struct Here<'t> {
    node: Node<'t>,
    level: u32,
    code: u8,
    parent: Option<Node<'t>>,
    next: Option<Option<Node<'t>>>,
    later_named: Option<bool>,
}

impl<'t> Here<'t> {
    fn parent(&self) -> Option<Node<'t>> {
        self.parent.or_else(|| self.node.parent())
    }

    fn next(&mut self) -> Option<Node<'t>> {
        let node = self.node;
        *self.next.get_or_insert_with(|| node.next_sibling())
    }

    fn later_named(&mut self) -> bool {
        let next = self.next();
        let later = || std::iter::successors(next, Node::next_sibling).any(|it| it.is_named());
        *self.later_named.get_or_insert_with(later)
    }
}

/// Memory of the states, kept from one part to the next.
#[derive(Debug, Default)]
pub(super) struct Machine {
    states: Vec<State>,
    lists: Vec<Vec<Caught>>,
    free: Vec<u32>,
    /// Lists of matches that were found.
    found: Vec<u32>,
    /// Bits and numbers of the nodes around the one that is looked at, as far as they were entered.
    ancestors: Vec<(u32, u32)>,
    /// More states were wanted than there may be.
    pub(super) exceeded: bool,
}

/// What does not change during a search.
#[derive(Clone, Copy)]
pub(super) struct Ground<'s> {
    pub(super) query: &'s Query,
    pub(super) plan: &'s Plan,
}

impl Machine {
    /// Finds the matches of a pattern that begin with `root`.
    pub(super) fn under(&mut self, ground: Ground<'_>, entries: &[Entry], root: Node<'_>) {
        self.run(ground, entries, root, 0, Begin::Once);
    }

    /// Finds those under the parent of `child` that begin with it or behind.
    pub(super) fn beside(&mut self, ground: Ground<'_>, entries: &[Entry], child: Node<'_>) {
        self.run(ground, entries, child, 1, Begin::Siblings);
    }

    /// Finds those of a whole tree.
    pub(super) fn everywhere(&mut self, ground: Ground<'_>, entries: &[Entry], root: Node<'_>) {
        self.run(ground, entries, root, 0, Begin::Everywhere);
    }

    /// Gives the captures of the matches that were found to `each`, and forgets them.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&[Caught])) {
        for list in std::mem::take(&mut self.found) {
            each(self.lists.get(list as usize).map_or(&[], |list| list));
            self.release(list);
        }
    }

    fn run(
        &mut self,
        ground: Ground<'_>,
        entries: &[Entry],
        top: Node<'_>,
        floor: u32,
        begin: Begin,
    ) {
        let (tree, mut level) = (top.tree(), floor);
        let node = |(at, index)| Node::new(tree, at, index);
        self.ancestors.clear();
        let mut here = Here::new(top, level, None);
        loop {
            self.enter(ground, entries, &mut here, begin);
            let down = begin == Begin::Everywhere || self.waits_below(ground.query, level);
            if let Some(child) = here.node.first_child().filter(|_| down) {
                self.ancestors.push((here.node.at() as u32, here.node.index() as u32));
                level += 1;
                here = Here::new(child, level, Some(here.node));
                continue;
            }
            loop {
                self.leave(ground.query, level);
                let siblings = level > floor || begin == Begin::Siblings;
                let begins = begin == Begin::Everywhere || level == floor;
                let wanted = siblings && (begins || self.waits_at(ground.query, level));
                if let Some(next) = here.next().filter(|_| wanted) {
                    here = Here::new(next, level, here.parent);
                    break;
                }
                if level == floor {
                    return self.end(ground.query);
                }
                let Some(up) = self.ancestors.pop() else { return self.end(ground.query) };
                level -= 1;
                here = Here::new(node(up), level, self.ancestors.last().copied().map(node));
            }
            if begin == Begin::Once && self.states.is_empty() {
                return;
            }
        }
    }

    /// Lets states begin at a node and go on with it.
    fn enter(&mut self, ground: Ground<'_>, entries: &[Entry], here: &mut Here<'_>, begin: Begin) {
        let steps = &ground.query.steps;
        let begins = match begin {
            Begin::Once => here.level == 0 && self.states.is_empty(),
            Begin::Siblings => here.level == 1,
            Begin::Everywhere => true,
        };
        if begins {
            for entry in entries {
                let fits = here.fits(ground, entry.step);
                let in_error = || here.parent().is_some_and(|it| it.kind_id() == KIND_ERROR);
                if fits && (entry.rooted || !in_error()) {
                    self.begin(steps, *entry, here.level);
                }
            }
        }
        if self.states.is_empty() {
            return;
        }
        self.go_on(ground, here);
        let tree = here.node.tree();
        self.sort(tree);
        self.keep_longest(steps, tree);
    }

    fn begin(&mut self, steps: &[Step], entry: Entry, level: u32) {
        let depth = u32::from(steps[usize::from(entry.step)].depth);
        let Some(start) = level.checked_sub(depth) else { return };
        let mut at = self.states.len();
        while let Some(before) = at.checked_sub(1).map(|at| &self.states[at]) {
            if before.start < start {
                break;
            }
            if before.start == start {
                if before.step == entry.step {
                    return;
                }
                break;
            }
            at -= 1;
        }
        if self.states.len() >= STATES_MAX {
            self.exceeded = true;
            return;
        }
        self.states.insert(
            at,
            State {
                start,
                step: entry.step,
                list: NONE,
                seeking: true,
                alternatives: false,
                needs_parent: depth == 1,
                skipped: false,
            },
        );
    }

    /// Offers the node to all states that wait at its level.
    fn go_on(&mut self, ground: Ground<'_>, here: &mut Here<'_>) {
        let steps = &ground.query.steps;
        let mut at = 0;
        while at < self.states.len() {
            self.states[at].alternatives = false;
            let state = self.states[at];
            let step = &steps[usize::from(state.step)];
            if step.depth == DONE || state.start + u32::from(step.depth) != here.level {
                at += 1;
                continue;
            }
            let fits = here.fits(ground, state.step) && here.allows(step);
            let alone = state.seeking || step.immediate && !state.skipped && here.is_named(ground);
            let later = !alone && here.next().is_some();
            if !fits {
                if later {
                    at += 1;
                } else {
                    self.remove(at);
                }
                continue;
            }
            let split = later && (step.catches || step.fallible) && self.copy(at);
            if !self.take(steps, at, here) {
                self.remove(at);
                at += usize::from(split);
                continue;
            }
            let next = &steps[usize::from(state.step) + 1];
            let state = &mut self.states[at];
            state.step += 1;
            state.seeking = step.kind == WILDCARD && !step.named && next.immediate;
            state.skipped = false;
            // Copies lie behind: those made by edges, then the one that waits on.
            at += 1 + self.follow(steps, at, here) + usize::from(split);
        }
    }

    /// Catches the node, and the pattern's root where it was passed over; false if there is no root.
    fn take(&mut self, steps: &[Step], at: usize, here: &Here<'_>) -> bool {
        let number = usize::from(self.states[at].step);
        if self.states[at].needs_parent {
            let Some(parent) = here.parent() else { return false };
            self.states[at].needs_parent = false;
            let root = steps[..number]
                .iter()
                .rev()
                .find(|step| !step.dead_end && !step.pass_through && step.depth == 0);
            if let Some(root) = root {
                self.catch(at, parent, &root.captures);
            }
        }
        self.catch(at, here.node, &steps[number].captures);
        true
    }

    fn catch(&mut self, at: usize, node: Node<'_>, names: &[u16]) {
        if names.is_empty() {
            return;
        }
        if self.states[at].list == NONE {
            self.states[at].list = self.acquire();
        }
        let list = &mut self.lists[self.states[at].list as usize];
        list.extend(names.iter().map(|name| Caught::new(node, *name)));
    }

    /// Follows the edges from the step of state `at`; gives how many states were added behind it.
    fn follow(&mut self, steps: &[Step], at: usize, here: &mut Here<'_>) -> usize {
        let (mut end, mut k) = (at + 1, at);
        while k < end {
            let number = self.states[k].step;
            let step = &steps[usize::from(number)];
            let Some(alternative) = step.alternative else {
                k += 1;
                continue;
            };
            if step.dead_end {
                self.states[k].step = alternative;
                continue;
            }
            let stays = step.pass_through;
            self.states[k].step += u16::from(stays);
            let forbidden = step.skip && step.last_child && here.later_named();
            if !forbidden && self.copy(k) {
                end += 1;
                let copy = &mut self.states[k + 1];
                copy.step = alternative;
                copy.seeking |= stays;
                if step.skip && !step.immediate {
                    // Without what it passed, an anchor at where it goes means nothing.
                    copy.skipped = steps[usize::from(alternative)].depth == step.depth;
                } else if step.skip {
                    // What was passed had to be the first child: so has what comes next.
                    let before = usize::from(number).checked_sub(1).map(|before| &steps[before]);
                    copy.seeking |= before.is_some_and(|before| before.depth < step.depth);
                }
            }
            k += usize::from(!stays);
        }
        end - at - 1
    }

    /// Puts the states in order: by level, those without captures first, then by where the first is.
    fn sort(&mut self, tree: &HotTree) {
        if self.states.len() < 2 {
            return;
        }
        let lists = &self.lists;
        let first = |state: &State| lists.get(state.list as usize).and_then(|list| list.first());
        // A later node starts no earlier: mostly that is enough to know that they are in order.
        let number = |state: &State| (state.start, first(state).map(|caught| caught.index));
        if self.states.is_sorted_by_key(number) {
            return;
        }
        let place = |state: &State| first(state).map(|caught| caught.node(tree).start_byte());
        self.states.sort_by_key(|state| (state.start, place(state)));
    }

    /// Drops states that others hold, and finishes those at the end of their pattern.
    fn keep_longest(&mut self, steps: &[Step], tree: &HotTree) {
        let mut at = 0;
        while at < self.states.len() {
            let dropped = self.states.len() > at + 1 && self.compare_with_later(at, tree);
            if dropped {
                self.remove(at);
                continue;
            }
            let state = self.states[at];
            if steps[usize::from(state.step)].depth == DONE && !state.alternatives {
                self.states.remove(at);
                self.found.push(state.list);
            } else {
                at += 1;
            }
        }
    }

    /// Drops later states that state `at` holds; true if one holds it.
    fn compare_with_later(&mut self, at: usize, tree: &HotTree) -> bool {
        let mut other = at + 1;
        while other < self.states.len() {
            let (left, right) = (self.states[at], self.states[other]);
            if left.start != right.start || self.apart(left, right, tree) {
                return false;
            }
            let (left_holds, right_holds) = self.hold(left, right, tree);
            let same = left.step == right.step;
            if left_holds {
                if same && (right.seeking || !left.seeking) {
                    self.remove(other);
                    continue;
                }
                self.states[other].alternatives = true;
            }
            if right_holds {
                if same && (left.seeking || !right.seeking) {
                    return true;
                }
                self.states[at].alternatives = true;
            }
            other += 1;
        }
        false
    }

    fn caught(&self, state: State) -> &[Caught] {
        self.lists.get(state.list as usize).map_or(&[], |list| list)
    }

    /// All that `right` caught lies behind all that `left` did.
    fn apart(&self, left: State, right: State, tree: &HotTree) -> bool {
        match (self.caught(left).last(), self.caught(right).first()) {
            (Some(last), Some(first)) => {
                first.node(tree).start_byte() >= last.node(tree).end_byte()
            }
            _ => false,
        }
    }

    /// Whether either caught all that the other did.
    fn hold(&self, left: State, right: State, tree: &HotTree) -> (bool, bool) {
        let (left, right) = (self.caught(left), self.caught(right));
        let (mut i, mut j, mut left_holds, mut right_holds) = (0, 0, true, true);
        while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
            let order = match a == b {
                true => None,
                false => Some(order(a.node(tree), b.node(tree))),
            };
            right_holds &= order.is_none_or(std::cmp::Ordering::is_gt);
            left_holds &= order.is_none_or(std::cmp::Ordering::is_lt);
            i += usize::from(order.is_none_or(std::cmp::Ordering::is_le));
            j += usize::from(order.is_none_or(std::cmp::Ordering::is_ge));
        }
        (left_holds && j == right.len(), right_holds && i == left.len())
    }

    /// Behind a node: what waits for a node in it has failed.
    fn leave(&mut self, query: &Query, level: u32) {
        let steps = &query.steps;
        let mut at = 0;
        while at < self.states.len() {
            let state = self.states[at];
            let depth = steps[usize::from(state.step)].depth;
            if depth == DONE && state.start > level {
                self.states.remove(at);
                self.found.push(state.list);
            } else if depth != DONE && state.start + u32::from(depth) > level {
                self.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Behind all nodes.
    fn end(&mut self, query: &Query) {
        for state in std::mem::take(&mut self.states) {
            if query.steps[usize::from(state.step)].depth == DONE {
                self.found.push(state.list);
            } else {
                self.release(state.list);
            }
        }
    }

    fn waits_below(&self, query: &Query, level: u32) -> bool {
        self.waits(query, |at| at > level)
    }

    fn waits_at(&self, query: &Query, level: u32) -> bool {
        self.waits(query, |at| at == level)
    }

    fn waits(&self, query: &Query, at: impl Fn(u32) -> bool) -> bool {
        self.states.iter().any(|state| {
            let depth = query.steps[usize::from(state.step)].depth;
            depth != DONE && at(state.start + u32::from(depth))
        })
    }

    /// Puts a copy of state `at` behind it; false if there may be no more.
    fn copy(&mut self, at: usize) -> bool {
        if self.states.len() >= STATES_MAX {
            self.exceeded = true;
            return false;
        }
        let mut copy = self.states[at];
        if copy.list != NONE {
            let list = self.acquire();
            let mut to = std::mem::take(&mut self.lists[list as usize]);
            to.extend_from_slice(&self.lists[copy.list as usize]);
            self.lists[list as usize] = to;
            copy.list = list;
        }
        self.states.insert(at + 1, copy);
        true
    }

    fn remove(&mut self, at: usize) {
        let state = self.states.remove(at);
        self.release(state.list);
    }

    fn acquire(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.lists.push(Vec::new());
            self.lists.len() as u32 - 1
        })
    }

    fn release(&mut self, list: u32) {
        if list != NONE {
            self.lists[list as usize].clear();
            self.free.push(list);
        }
    }
}

/// Where two different nodes lie: by their first bytes, the longer one first.
fn order(a: Node<'_>, b: Node<'_>) -> std::cmp::Ordering {
    let (a, b) = (a.byte_range(), b.byte_range());
    a.start.cmp(&b.start).then(b.end.cmp(&a.end))
}

impl<'t> Here<'t> {
    fn new(node: Node<'t>, level: u32, parent: Option<Node<'t>>) -> Self {
        let code = node.tree().codes()[node.index()];
        Self { node, level, code, parent, next: None, later_named: None }
    }

    #[inline]
    fn fits(&self, ground: Ground<'_>, step: u16) -> bool {
        ground.plan.fits(&ground.query.steps, step, self.code, || self.node.symbol())
    }

    #[inline]
    fn is_named(&self, ground: Ground<'_>) -> bool {
        ground.plan.is_named(self.code, || self.node.symbol())
    }

    /// What a step asks beyond the node's symbol.
    #[inline]
    fn allows(&mut self, step: &Step) -> bool {
        if step.last_child && self.later_named() {
            return false;
        }
        let banned = |child: Node<'_>| step.negated.contains(&child.symbol().field());
        step.negated.is_empty() || !self.node.children().any(banned)
    }
}
