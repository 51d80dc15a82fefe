//! A query over a hot tree.

use std::ops::ControlFlow;

use super::machine::{Caught, Ground, Machine};
use super::plan::{Action, Plan};
use super::predicate::Predicate;
use super::step::Scope;
use super::{Pattern, Query};
use crate::hot::{HotTree, Node};
use crate::languages::Identity;

/// Why a query was not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongTree {
    /// It is of another grammar.
    #[error("the query is for {query}, the tree is of {tree}; compile it for the tree's grammar")]
    Grammar {
        /// What the query was compiled for.
        query: Box<Identity>,
        /// What the tree is of.
        tree: Box<Identity>,
    },
    /// The query asks for supertypes, and the tree was taken without.
    #[error("the query asks for supertypes, which the tree was stored without; add it with them")]
    Supertypes,
}

/// A match.
#[derive(Clone, Copy, Debug)]
pub struct Match<'m> {
    tree: &'m HotTree,
    pattern: u16,
    caught: &'m [Caught],
}

/// A node that a match caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture<'t> {
    /// The node.
    pub node: Node<'t>,
    /// Number of the capture's name in [`Query::capture_names`].
    pub name: usize,
}

impl<'m> Match<'m> {
    /// Number of the pattern, from 0 in the order of the query's text.
    pub const fn pattern(&self) -> usize {
        self.pattern as usize
    }

    /// The nodes caught, in the order of the pattern.
    pub fn captures(&self) -> impl ExactSizeIterator<Item = Capture<'m>> + Clone + use<'m> {
        let tree = self.tree;
        self.caught
            .iter()
            .map(move |it| Capture { node: it.node(tree), name: usize::from(it.name) })
    }

    fn holds(&self, pattern: &Pattern, source: &[u8]) -> bool {
        let texts = |name| {
            let mine = self.caught.iter().filter(move |it| it.name == name);
            mine.map(|it| it.node(self.tree).text(source))
        };
        pattern.predicates.iter().all(|predicate| match predicate {
            Predicate::Text(test) => test.holds(texts),
            Predicate::Other(_) => true,
        })
    }
}

/// What came of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The visitor wanted no more.
    pub stopped: bool,
    /// Somewhere one pattern had thousands of ways to go on at a time; some were left out.
    pub exceeded: bool,
}

/// Runs a query over trees; keeps its memory from one to the next.
#[derive(Debug)]
pub struct Search<'q> {
    query: &'q Query,
    plan: Option<Plan>,
    machine: Machine,
    /// By pattern: nodes whose children were searched, with the number behind their last one.
    parents: Vec<Vec<(u32, u32)>>,
}

impl<'q> Search<'q> {
    /// For this query.
    pub fn new(query: &'q Query) -> Self {
        let parents = vec![Vec::new(); query.patterns.len()];
        Self { query, plan: None, machine: Machine::default(), parents }
    }

    /// Gives every match in `tree`, which was parsed from `source`, to `each`: in the order of the
    /// nodes at which they begin, and there of the patterns; those of a pattern whose place is not
    /// known beforehand first. The source is read for predicates on texts alone.
    ///
    /// # Errors
    /// The tree is of another grammar than the query, or lacks supertypes that it asks for.
    pub fn matches(
        &mut self,
        tree: &HotTree,
        source: &[u8],
        mut each: impl FnMut(&Match<'_>) -> ControlFlow<()>,
    ) -> Result<Outcome, WrongTree> {
        let (mine, grammar) = (self.query.grammar.identity(), tree.grammar());
        if mine != grammar.identity() {
            let (query, tree) = (mine.clone().into(), grammar.identity().clone().into());
            return Err(WrongTree::Grammar { query, tree });
        }
        if self.query.asks_for_supertypes() && !tree.knows_supertypes() {
            return Err(WrongTree::Supertypes);
        }
        // Symbols that were numbered since the last search are not in its plan.
        if !self.plan.as_ref().is_some_and(|plan| plan.is_for(grammar)) {
            self.plan = Some(Plan::new(self.query, grammar));
        }
        let Some(plan) = &self.plan else { return Ok(Outcome::default()) };
        let ground = Ground { query: self.query, plan };
        self.parents.iter_mut().for_each(Vec::clear);
        self.machine.exceeded = false;
        let mut visit = |pattern: u16, caught: &[Caught]| {
            let found = Match { tree, pattern, caught };
            match found.holds(&self.query.patterns[usize::from(pattern)], source) {
                true => each(&found),
                false => ControlFlow::Continue(()),
            }
        };
        let mut places = Places { ground, machine: &mut self.machine, parents: &mut self.parents };
        let mut flow = places.anywhere(tree, &mut visit);
        if flow.is_continue() {
            flow = places.scan(tree, &mut visit);
        }
        Ok(Outcome { stopped: flow.is_break(), exceeded: self.machine.exceeded })
    }
}

/// A search under way.
struct Places<'s> {
    ground: Ground<'s>,
    machine: &'s mut Machine,
    parents: &'s mut [Vec<(u32, u32)>],
}

impl Places<'_> {
    /// Patterns that need the whole tree.
    fn anywhere(
        &mut self,
        tree: &HotTree,
        visit: &mut impl FnMut(u16, &[Caught]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for (number, pattern) in self.ground.query.patterns.iter().enumerate() {
            if pattern.scope == Scope::Tree {
                self.machine.everywhere(self.ground, &pattern.entries, tree.root());
                self.drain(number as u16, visit)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Nodes at which some pattern may begin, found in the codes.
    fn scan(
        &mut self,
        tree: &HotTree,
        visit: &mut impl FnMut(u16, &[Caught]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (query, plan) = (self.ground.query, self.ground.plan);
        let mut from = 0;
        while let Some(index) = plan.next(tree.codes(), from) {
            from = index + 1;
            let mut node = None;
            for action in plan.actions(tree.symbol_id(index)) {
                let node = *node.get_or_insert_with(|| tree.node_at(index));
                match *action {
                    Action::Match { pattern, step } => {
                        let names = &query.steps[usize::from(step)].captures;
                        let mut caught = [Caught::new(node, 0); super::error::CAPTURES_MAX];
                        for (caught, name) in caught.iter_mut().zip(names) {
                            caught.name = *name;
                        }
                        visit(pattern, &caught[..names.len()])?;
                    }
                    Action::Look { pattern } => {
                        self.look(pattern, node);
                        self.drain(pattern, visit)?;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn look(&mut self, number: u16, node: Node<'_>) {
        let pattern = &self.ground.query.patterns[usize::from(number)];
        if pattern.scope == Scope::Node {
            return self.machine.under(self.ground, &pattern.entries, node);
        }
        let parent = node.parent();
        let parents = &mut self.parents[usize::from(number)];
        while parents.last().is_some_and(|(_, end)| *end as usize <= node.index()) {
            parents.pop();
        }
        if let Some(parent) = parent {
            if parents.last().is_some_and(|(last, _)| *last as usize == parent.index()) {
                return;
            }
            let end = parent.index() + parent.descendant_count();
            parents.push((parent.index() as u32, end as u32));
        }
        self.machine.beside(self.ground, &pattern.entries, node);
    }

    fn drain(
        &mut self,
        pattern: u16,
        visit: &mut impl FnMut(u16, &[Caught]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        self.machine.drain(|caught| {
            if flow.is_continue() {
                flow = visit(pattern, caught);
            }
        });
        flow
    }
}
