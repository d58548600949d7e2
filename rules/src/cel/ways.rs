//! Which ways an expression takes from its variables into what they hold, so that whoever knows what
//! they can hold can tell of one that leads nowhere.

use super::ast::LoopKind;
use super::node::{Kind, Node, Select};
use super::program::Program;
use super::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One step of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step<'a> {
    /// To a variable, a field or a key of this name.
    Name(&'a str),
    /// To an element of a list, or a value of a map, that is not named; by a loop with one name over
    /// a map, to a key.
    Element,
}

type Way<'a> = Vec<Step<'a>>;

impl Program {
    /// The ways that the expression takes, each once: `data`, `data.findings`, and by a loop over
    /// these the `score` of an element. What is made on the way, as by a function, ends one.
    pub fn ways(&self) -> BTreeSet<Vec<Step<'_>>> {
        let mut walk = Walk {
            program: self,
            locals: BTreeMap::new(),
            found: BTreeSet::new(),
        };
        for clause in &self.nodes {
            walk.visit(clause);
        }
        walk.found
    }
}

struct Walk<'a> {
    program: &'a Program,
    /// The ways to what bound names stand for, by their slots.
    locals: BTreeMap<u16, Way<'a>>,
    found: BTreeSet<Way<'a>>,
}

impl<'a> Walk<'a> {
    /// Notes the ways in `node`; gives the one to its value, if there is one.
    fn visit(&mut self, node: &'a Node) -> Option<Way<'a>> {
        match &node.kind {
            Kind::Variable(index) => {
                let mut variables = self.program.variables.iter();
                let (_, name) = variables.find(|(known, _)| known == index)?;
                self.further(Some(Vec::new()), Step::Name(name))
            }
            Kind::Local(slot) => self.locals.get(slot).cloned(),
            Kind::Select(select) | Kind::Has(select) | Kind::OptionalSelect(select) => {
                let Select { operand, name, .. } = &**select;
                let way = self.visit(operand);
                self.further(way, Step::Name(name))
            }
            Kind::Index(pair) | Kind::OptionalIndex(pair) => {
                let [operand, index] = &**pair;
                let way = self.visit(operand);
                self.visit(index);
                let step = match &index.kind {
                    Kind::Constant(Value::String(key)) => Step::Name(key),
                    _ => Step::Element,
                };
                self.further(way, step)
            }
            Kind::Loop(each) => {
                let way = self.visit(&each.range);
                let element = self.further(way.clone(), Step::Element);
                self.bind(each.second.unwrap_or(each.first), element);
                for part in each.filter.iter().chain([&each.body]) {
                    self.visit(part);
                }
                // Their elements are those of the range.
                way.filter(|_| matches!(each.how, LoopKind::Filter | LoopKind::SortBy))
            }
            Kind::Bind(bind) => {
                let way = self.visit(&bind.init);
                self.bind(bind.slot, way);
                self.visit(&bind.body)
            }
            Kind::Block(names, body) => {
                for (slot, value) in names {
                    let way = self.visit(value);
                    self.bind(*slot, way);
                }
                self.visit(body)
            }
            _ => {
                for part in node.children() {
                    self.visit(part);
                }
                None
            }
        }
    }

    fn further(&mut self, way: Option<Way<'a>>, step: Step<'a>) -> Option<Way<'a>> {
        let mut way = way?;
        way.push(step);
        self.found.insert(way.clone());
        Some(way)
    }

    fn bind(&mut self, slot: u16, way: Option<Way<'a>>) {
        if let Some(way) = way {
            self.locals.insert(slot, way);
        }
    }
}
