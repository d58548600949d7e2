//! What an expression selects of something that is a map, so that whoever makes the map can leave
//! out the rest.

use super::node::{Kind, Node, Select};
use super::program::Program;
use super::value::Value;
use std::collections::BTreeSet;

impl Program {
    /// The keys that the expression selects of the maps at `paths`, which are names of a variable
    /// and of fields, as `["event", "data"]`; `None` if it may read more of one of them, as by a
    /// loop over it or by a key that is computed.
    pub fn selected(&self, paths: &[&[&str]]) -> Option<BTreeSet<&str>> {
        let mut selected = BTreeSet::new();
        let mut clauses = self.nodes.iter();
        let only = clauses.all(|clause| self.select(clause, paths, &mut selected));
        only.then_some(selected)
    }

    /// Notes what `node` selects; says whether it does nothing else with the maps.
    fn select<'a>(
        &'a self,
        node: &'a Node,
        paths: &[&[&str]],
        selected: &mut BTreeSet<&'a str>,
    ) -> bool {
        let Some(way) = self.way(node) else {
            let mut children = node.children().into_iter();
            return children.all(|child| self.select(child, paths, selected));
        };
        paths.iter().all(|path| {
            let is_beyond = way.starts_with(path);
            let key = way.get(path.len()).filter(|_| is_beyond);
            selected.extend(key);
            key.is_some() || !path.starts_with(&way)
        })
    }

    /// A variable, and the fields and keys that are selected from there on.
    fn way<'a>(&'a self, node: &'a Node) -> Option<Vec<&'a str>> {
        let (operand, name) = match &node.kind {
            Kind::Variable(index) => {
                let mut variables = self.variables.iter();
                let (_, name) = variables.find(|(known, _)| known == index)?;
                return Some(vec![name]);
            }
            Kind::Select(select) | Kind::Has(select) | Kind::OptionalSelect(select) => {
                let Select { operand, name, .. } = &**select;
                (operand, &**name)
            }
            Kind::Index(pair) | Kind::OptionalIndex(pair) => match &**pair {
                [
                    operand,
                    Node {
                        kind: Kind::Constant(Value::String(key)),
                        ..
                    },
                ] => (operand, &**key),
                _ => return None,
            },
            _ => return None,
        };
        let mut way = self.way(operand)?;
        way.push(name);
        Some(way)
    }
}
