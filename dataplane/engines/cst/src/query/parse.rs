//! Query files (`.scm`) to steps.

use super::error::{CAPTURES_MAX, DEPTH_MAX, QueryError, STEPS_MAX, Wrong};
use super::predicate::{Argument, Predicate};
use super::step::{DONE, Entry, Step, WILDCARD, closure, finish};
use super::text::Text;
use crate::languages::{Flags, Grammar};

/// A pattern before its steps are all known.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Byte of the query at which it begins.
    pub(super) offset: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) predicates: Vec<Predicate>,
}

/// What stood where a pattern was looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Pattern,
    /// The end of what is around it.
    End,
}

/// A place in the nesting of a query.
#[derive(Clone, Copy)]
struct Place {
    /// Nodes around it.
    depth: u16,
    /// Brackets around it.
    nesting: usize,
    /// Behind an anchor.
    immediate: bool,
    /// In an alternation.
    alternated: bool,
}

/// Reads a query.
pub(super) struct Reader<'q> {
    text: Text<'q>,
    grammar: &'q Grammar,
    pub(super) steps: Vec<Step>,
    pub(super) captures: Vec<Box<str>>,
    predicates: Vec<Predicate>,
}

impl<'q> Reader<'q> {
    pub(super) fn new(grammar: &'q Grammar, text: &'q str) -> Self {
        let text = Text::new(text);
        Self { text, grammar, steps: Vec::new(), captures: Vec::new(), predicates: Vec::new() }
    }

    /// All patterns of the text.
    pub(super) fn patterns(&mut self) -> Result<Vec<Parsed>, QueryError> {
        let mut patterns = Vec::new();
        self.text.skip_blank();
        while self.text.next().is_some() {
            let (offset, first) = (self.text.at, self.steps.len());
            let top = Place { depth: 0, nesting: 0, immediate: false, alternated: false };
            if self.pattern(top)? == Found::End {
                return self.text.expected("a pattern");
            }
            let last = self.steps.len();
            self.steps.push(Step::new(WILDCARD, DONE, false));
            self.check_circles(first, offset)?;
            let entries = self.entries(first, last, offset)?;
            self.part_repetitions(first, last);
            patterns.push(Parsed {
                offset,
                entries,
                predicates: std::mem::take(&mut self.predicates),
            });
        }
        finish(&mut self.steps);
        Ok(patterns)
    }

    /// Where matches of the pattern of these steps begin: at its first step and its alternatives.
    /// One that begins with any node around a certain one begins with that.
    fn entries(&self, first: usize, last: usize, offset: usize) -> Result<Vec<Entry>, QueryError> {
        let nothing = || self.text.error(offset, Wrong::Nothing);
        let (mut entries, mut at, mut behind_root) = (Vec::new(), first, None);
        loop {
            if at >= last {
                return Err(nothing());
            }
            let mut step = &self.steps[at];
            if step.kind == WILDCARD && step.depth == 0 && step.field == 0 {
                let second = &self.steps[at + 1];
                if second.kind != WILDCARD && second.depth == 1 && !second.immediate {
                    behind_root = step.alternative;
                    at += 1;
                    step = second;
                }
            }
            let later = self.steps[at + 1..].iter().take_while(|later| !later.dead_end);
            let rooted = step.depth == 0 && !later.clone().any(|later| later.depth == step.depth);
            entries.push(Entry { step: at as u16, rooted });
            match step.alternative.or(behind_root.take()) {
                Some(alternative) => at = usize::from(alternative),
                None => return Ok(entries),
            }
        }
    }

    /// A branch of an alternation that is repeated goes on with itself alone, not with the branches
    /// behind it: the repetition leads to a copy of its first step that has no alternative.
    fn part_repetitions(&mut self, first: usize, last: usize) {
        for at in first..last {
            let step = &self.steps[at];
            let back = step.alternative.map(usize::from).filter(|back| *back < at);
            let Some(back) = back.filter(|_| step.pass_through && step.inside_alternation) else {
                continue;
            };
            let branch = self.steps[back].alternative.map(usize::from);
            if branch.is_none_or(|branch| branch <= back || branch >= last) {
                continue;
            }
            let copy = Step { alternative: None, ..self.steps[back].clone() };
            let mut on = Step::new(WILDCARD, copy.depth, false);
            (on.dead_end, on.alternative) = (true, Some(back as u16 + 1));
            self.steps[at].alternative = Some(self.steps.len() as u16);
            self.steps.extend([copy, on]);
        }
    }

    fn check_circles(&self, first: usize, offset: usize) -> Result<(), QueryError> {
        for at in first..self.steps.len() {
            if closure(&self.steps, at as u16).is_none() {
                return Err(self.text.error(offset, Wrong::Endless));
            }
        }
        Ok(())
    }

    /// One pattern with its quantifiers and captures, or the end of what is around it.
    fn pattern(&mut self, place: Place) -> Result<Found, QueryError> {
        let (start, first) = (self.text.at, self.steps.len());
        if place.nesting > DEPTH_MAX {
            return Err(self.text.error(start, Wrong::Deep));
        }
        if first > STEPS_MAX {
            return Err(self.text.error(start, Wrong::Long));
        }
        match self.text.next() {
            Some(b')' | b']') => return Ok(Found::End),
            Some(b'[') => self.alternation(place)?,
            Some(b'(') => {
                self.text.at += 1;
                self.text.skip_blank();
                match self.text.next() {
                    Some(b'(' | b'"' | b'[') => self.group(place)?,
                    Some(b'.' | b'#') => {
                        self.text.at += 1;
                        let predicate = Predicate::read(&mut self.text, &self.captures)?;
                        self.predicates.push(predicate);
                        return Ok(Found::Pattern);
                    }
                    _ => self.node(place)?,
                }
            }
            Some(b'"') => {
                let kind = self.quoted_kind()?;
                self.steps.push(Step::new(kind, place.depth, place.immediate));
            }
            // Only alone: a name may begin with it.
            Some(b'_') => {
                self.text.at += 1;
                self.steps.push(Step::new(WILDCARD, place.depth, place.immediate));
            }
            _ if self.text.at_name() => self.field(place)?,
            _ => return self.text.expected("a pattern"),
        }
        self.text.skip_blank();
        self.suffixes(first, place)?;
        Ok(Found::Pattern)
    }

    fn alternation(&mut self, place: Place) -> Result<(), QueryError> {
        self.text.at += 1;
        self.text.skip_blank();
        let place = Place { nesting: place.nesting + 1, alternated: true, ..place };
        let mut branches = Vec::new();
        loop {
            let start = self.steps.len();
            if self.pattern(place)? == Found::End {
                if branches.is_empty() || !self.text.take(b']') {
                    return self.text.expected("a pattern or the end of the alternation");
                }
                break;
            }
            if self.steps.len() == start {
                return self.text.expected("a node before a predicate");
            }
            branches.push(start);
            // Where this branch ends, known when all are.
            self.steps.push(Step::new(WILDCARD, place.depth, false));
        }
        self.steps.pop();
        let behind = self.steps.len() as u16;
        for pair in branches.windows(2) {
            self.steps[pair[0]].alternative = Some(pair[1] as u16);
            let end = &mut self.steps[pair[1] - 1];
            (end.alternative, end.dead_end) = (Some(behind), true);
        }
        Ok(())
    }

    fn group(&mut self, place: Place) -> Result<(), QueryError> {
        let mut inner = Place { nesting: place.nesting + 1, ..place };
        loop {
            let anchor = self.text.at;
            if self.text.take(b'.') {
                inner.immediate = true;
                self.text.skip_blank();
                if self.text.next() == Some(b')') {
                    self.text.at = anchor;
                    return self.text.expected("a sibling behind the anchor");
                }
            }
            if self.pattern(inner)? == Found::End {
                if self.text.take(b')') {
                    return Ok(());
                }
                return self.text.expected("the end of the group");
            }
            inner.immediate = false;
        }
    }

    fn node(&mut self, place: Place) -> Result<(), QueryError> {
        let first = self.steps.len();
        let step = self.head(place)?;
        self.steps.push(step);
        self.text.skip_blank();
        let mut child = Place { depth: place.depth + 1, nesting: place.nesting + 1, ..place };
        child.immediate = false;
        let mut last_child = None;
        loop {
            if self.text.take(b'!') {
                self.text.skip_blank();
                let field = self.field_name()?;
                self.steps[first].negated.push(field);
                self.text.skip_blank();
                continue;
            }
            if self.text.take(b'.') {
                child.immediate = true;
                self.text.skip_blank();
            }
            let start = self.steps.len();
            if self.pattern(child)? == Found::End {
                if child.immediate && self.text.next() == Some(b')') {
                    let Some(last) = last_child else {
                        return self.text.expected("a child before the anchor");
                    };
                    self.mark_last(last);
                }
                if self.text.take(b')') {
                    return Ok(());
                }
                return self.text.expected("a child or the end of the node");
            }
            // A predicate alone has no step.
            let step = if self.steps.len() == start { start - 1 } else { start };
            (last_child, child.immediate) = (Some(step), false);
        }
    }

    /// Marks a step and its alternatives as the last child of their parent.
    fn mark_last(&mut self, step: usize) {
        let mut next = Some(step);
        while let Some(at) = next.filter(|at| *at < self.steps.len()) {
            self.steps[at].last_child = true;
            next = self.steps[at].alternative.map(usize::from);
        }
    }

    /// Kind of a node, behind its parenthesis.
    fn head(&mut self, place: Place) -> Result<Step, QueryError> {
        let start = self.text.at;
        let name = self.text.name("the name of a node")?;
        let mut step = Step::new(WILDCARD, place.depth, place.immediate);
        match name {
            "_" => step.named = true,
            "MISSING" => {
                step.missing = true;
                self.text.skip_blank();
                step.kind = match self.text.next() {
                    Some(b'"') => self.quoted_kind()?,
                    Some(b')') => WILDCARD,
                    _ => {
                        let start = self.text.at;
                        let name = self.text.name("the name of a node or its end")?;
                        self.kind(name, start)?
                    }
                };
                step.named = step.kind == WILDCARD;
            }
            _ => step.kind = self.kind(name, start)?,
        }
        match self.grammar.supertype_flag(step.kind) {
            Some(flag) if self.grammar.supertypes().len() <= Flags::SUPERTYPES_MAX => {
                (step.kind, step.supertype) = (self.subtype()?, flag);
            }
            Some(_) => {
                let (grammar, of) = (self.grammar.identity(), self.grammar.supertypes().len());
                let (grammar, name) = (grammar.name.clone(), name.into());
                return Err(self.text.error(start, Wrong::Supertype { grammar, name, of }));
            }
            None if self.text.next() == Some(b'/') => {
                return Err(self.text.error(start, Wrong::NoSupertype(name.into())));
            }
            None => {}
        }
        Ok(step)
    }

    /// What stands behind a supertype: the kind that must stand for it, or nothing.
    fn subtype(&mut self) -> Result<u16, QueryError> {
        if !self.text.take(b'/') {
            return Ok(WILDCARD);
        }
        if self.text.next() == Some(b'"') {
            return self.quoted_kind();
        }
        let start = self.text.at;
        let name = self.text.name("the name of a node behind the supertype")?;
        self.kind(name, start)
    }

    fn kind(&self, name: &str, start: usize) -> Result<u16, QueryError> {
        let language = self.grammar.language();
        match language.id_for_node_kind(name, true) {
            0 => Err(self.unknown(name, start, |grammar, name| Wrong::Kind { grammar, name })),
            kind => Ok(kind),
        }
    }

    fn quoted_kind(&mut self) -> Result<u16, QueryError> {
        let start = self.text.at + 1;
        let name = self.text.string()?;
        match self.grammar.language().id_for_node_kind(&name, false) {
            0 => {
                let name = format!("\"{name}\"");
                Err(self.unknown(&name, start, |grammar, name| Wrong::Kind { grammar, name }))
            }
            kind => Ok(kind),
        }
    }

    fn field_name(&mut self) -> Result<u16, QueryError> {
        let start = self.text.at;
        let name = self.text.name("the name of a field")?;
        let field = self.grammar.field_id(name);
        field.ok_or_else(|| {
            self.unknown(name, start, |grammar, name| Wrong::Field { grammar, name })
        })
    }

    fn unknown(
        &self,
        name: &str,
        start: usize,
        what: impl FnOnce(Box<str>, Box<str>) -> Wrong,
    ) -> QueryError {
        self.text.error(start, what(self.grammar.identity().name.clone(), name.into()))
    }

    /// `field: pattern`.
    fn field(&mut self, place: Place) -> Result<(), QueryError> {
        let (start, first) = (self.text.at, self.steps.len());
        self.text.name("the name of a field")?;
        let behind = self.text;
        self.text.skip_blank();
        if !self.text.take(b':') {
            self.text.at = start;
            return self.text.expected("a pattern: a node begins with ( and a field ends with :");
        }
        self.text.skip_blank();
        let inner = Place { nesting: place.nesting + 1, ..place };
        if self.pattern(inner)? == Found::End || self.steps.len() == first {
            return self.text.expected("the field's node");
        }
        let name = behind.since(start);
        let field = self.grammar.field_id(name).ok_or_else(|| {
            self.unknown(name, start, |grammar, name| Wrong::Field { grammar, name })
        })?;
        for at in self.forward(first) {
            self.steps[at].field = field;
        }
        Ok(())
    }

    /// A step and its alternatives behind it.
    fn forward(&self, first: usize) -> Vec<usize> {
        let next = |at: &usize| {
            let alternative = self.steps[*at].alternative.map(usize::from);
            alternative.filter(|next| next > at && *next < self.steps.len())
        };
        std::iter::successors(Some(first), next).collect()
    }

    /// Quantifiers and captures behind a pattern.
    fn suffixes(&mut self, first: usize, place: Place) -> Result<(), QueryError> {
        let (mut optional, mut repeated) = (false, false);
        loop {
            match self.text.next() {
                Some(b'+') => repeated = true,
                Some(b'*') => (optional, repeated) = (true, true),
                Some(b'?') => optional = true,
                Some(b'@') => {
                    self.text.at += 1;
                    let start = self.text.at;
                    let name = self.text.name("the name of a capture")?;
                    self.capture(name, first, start)?;
                    self.text.skip_blank();
                    continue;
                }
                _ => break,
            }
            self.text.at += 1;
            self.text.skip_blank();
        }
        let repeat = self.steps.len();
        if repeated {
            let mut step = Step::new(WILDCARD, place.depth, false);
            (step.pass_through, step.inside_alternation) = (true, place.alternated);
            step.alternative = Some(first as u16);
            self.steps.push(step);
        }
        if optional {
            // To what is behind, from the last of the alternatives that there are.
            let mut at = first;
            while let Some(next) =
                self.steps[at].alternative.map(usize::from).filter(|it| *it < repeat)
            {
                at = next;
            }
            let behind = self.steps.len() as u16;
            (self.steps[at].alternative, self.steps[at].skip) = (Some(behind), true);
        }
        Ok(())
    }

    fn capture(&mut self, name: &str, first: usize, start: usize) -> Result<(), QueryError> {
        let known = self.captures.iter().position(|known| **known == *name);
        let id = known.unwrap_or_else(|| {
            self.captures.push(name.into());
            self.captures.len() - 1
        });
        for at in self.forward(first) {
            if self.steps[at].captures.len() == CAPTURES_MAX {
                return Err(self.text.error(start, Wrong::Captures));
            }
            self.steps[at].captures.push(id as u16);
        }
        Ok(())
    }
}

impl Predicate {
    /// Reads a predicate behind its `#`.
    fn read(text: &mut Text<'_>, captures: &[Box<str>]) -> Result<Self, QueryError> {
        let start = text.at;
        let name = text.name("the name of a predicate")?;
        let name: Box<str> = match text.next() {
            Some(end @ (b'?' | b'!')) => {
                text.at += 1;
                format!("{name}{}", char::from(end)).into()
            }
            _ => return text.expected("? or ! at the end of a predicate's name"),
        };
        text.skip_blank();
        let mut arguments = Vec::new();
        while !text.take(b')') {
            let at = text.at;
            if text.take(b'@') {
                let name = text.name("the name of a capture")?;
                let known = captures.iter().position(|known| **known == *name);
                let id = known.ok_or_else(|| text.error(at + 1, Wrong::Capture(name.into())))?;
                arguments.push(Argument::Capture(id as u16));
            } else if text.next() == Some(b'"') {
                arguments.push(Argument::Text(text.string()?.into()));
            } else {
                arguments.push(Argument::Text(text.name("an argument or )")?.into()));
            }
            text.skip_blank();
        }
        text.skip_blank();
        Self::new(name, arguments).map_err(|what| text.error(start, what))
    }
}
