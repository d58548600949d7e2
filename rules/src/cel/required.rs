//! What a condition requires of something that is a map, so that whoever has many maps need not read
//! those that lack it.

use super::ast::Comparison;
use super::node::{Kind, Node, Select};
use super::program::Program;
use super::value::Value;
use std::collections::BTreeMap;

impl Program {
    /// The keys that the map at `path`, which are names of a variable and of fields, as
    /// `["event", "data"]`, must have for the condition to hold, each with the text that alone may
    /// stand there, if only one may. There may be more that it requires.
    ///
    /// Without the key one of the clauses is false, or errs for something that is absent; with
    /// anything else than the text one of them is false.
    pub fn required(&self, path: &[&str]) -> BTreeMap<&str, Option<&str>> {
        let mut required = BTreeMap::new();
        for clause in &self.nodes {
            let (key, text) = match &clause.kind {
                Kind::Has(select) => (self.selected_of(select, path), None),
                Kind::Compare(Comparison::Equal, sides) => match &**sides {
                    [side, constant] | [constant, side] if is_constant(constant) => {
                        let text = text_of(constant).filter(|_| self.is_entry(side, path));
                        (self.read(side, path), text)
                    }
                    _ => (None, None),
                },
                _ => (self.read(clause, path), None),
            };
            if let Some(key) = key {
                let known = required.entry(key).or_insert(text);
                *known = known.or(text);
            }
        }
        required
    }

    /// The key of the map that `node` cannot do without: it is read before anything that may err.
    fn read<'a>(&'a self, node: &'a Node, path: &[&str]) -> Option<&'a str> {
        match &node.kind {
            Kind::Select(select) => self.selected_of(select, path),
            Kind::Index(pair) => {
                let [operand, index] = &**pair;
                match self.is_at(operand, path) {
                    true => text_of(index),
                    false => self.read(operand, path),
                }
            }
            Kind::Not(operand) | Kind::Negate(operand) | Kind::Matches(operand, _) => {
                self.read(operand, path)
            }
            Kind::Compare(_, pair) | Kind::Arithmetic(_, pair) | Kind::In(pair) => match &**pair {
                [side, constant] | [constant, side] if is_constant(constant) => {
                    self.read(side, path)
                }
                _ => None,
            },
            Kind::Conditional(parts) => self.read(parts.first()?, path),
            Kind::Call(_, arguments) => self.read(arguments.first()?, path),
            Kind::Loop(each) => self.read(&each.range, path),
            _ => None,
        }
    }

    fn selected_of<'a>(&'a self, select: &'a Select, path: &[&str]) -> Option<&'a str> {
        match self.is_at(&select.operand, path) {
            true => Some(&select.name),
            false => self.read(&select.operand, path),
        }
    }

    /// Whether `node` is an entry of the map, and nothing in it.
    fn is_entry(&self, node: &Node, path: &[&str]) -> bool {
        match &node.kind {
            Kind::Select(select) => self.is_at(&select.operand, path),
            Kind::Index(pair) => self.is_at(&pair[0], path),
            _ => false,
        }
    }

    /// Whether `node` is the map.
    fn is_at(&self, node: &Node, path: &[&str]) -> bool {
        match (&node.kind, path) {
            (Kind::Variable(index), [name]) => {
                let mut variables = self.variables.iter();
                variables.any(|(known, text)| known == index && **text == **name)
            }
            (Kind::Select(select), [within @ .., name]) => {
                *select.name == **name && self.is_at(&select.operand, within)
            }
            _ => false,
        }
    }
}

fn is_constant(node: &Node) -> bool {
    matches!(node.kind, Kind::Constant(_))
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Constant(Value::String(text)) => Some(text),
        _ => None,
    }
}
