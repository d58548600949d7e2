//! The tree that is run: names are indices, functions and patterns are found, constants computed.

use super::ast::{Arithmetic, Binding, Comparison, LoopKind};
use super::functions::Function;
use super::regexp::Pattern;
use super::value::Value;
use std::sync::Arc;

/// A node; `id` finds its place in the source.
#[derive(Debug)]
pub(super) struct Node {
    pub id: u32,
    pub kind: Kind,
}

impl Node {
    /// The nodes directly below.
    pub(super) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Constant(_) | Kind::Fail(_) | Kind::Variable(_) | Kind::Local(_) => Vec::new(),
            Kind::Select(select) | Kind::Has(select) | Kind::OptionalSelect(select) => {
                vec![&select.operand]
            }
            Kind::Not(operand) | Kind::Negate(operand) | Kind::Matches(operand, _) => vec![operand],
            Kind::Index(pair)
            | Kind::OptionalIndex(pair)
            | Kind::Compare(_, pair)
            | Kind::Arithmetic(_, pair)
            | Kind::In(pair) => pair.iter().collect(),
            Kind::Conditional(parts) => parts.iter().collect(),
            Kind::And(parts) | Kind::Or(parts) | Kind::Call(_, parts) => parts.iter().collect(),
            Kind::List(elements) => elements.iter().map(|(element, _)| element).collect(),
            Kind::Map(entries) => {
                let entries = entries.iter();
                entries.flat_map(|(key, value, _)| [key, value]).collect()
            }
            Kind::Loop(each) => {
                let filter = each.filter.iter();
                filter.chain([&each.range, &each.body]).collect()
            }
            Kind::Bind(bind) => vec![&bind.init, &bind.body],
            Kind::Block(names, body) => {
                let names = names.iter().map(|(_, value)| value);
                names.chain([&**body]).collect()
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum Kind {
    Constant(Value),
    /// What is known to fail whenever it is reached.
    Fail(String),
    /// By its index in the environment.
    Variable(u16),
    /// By the slot of the bound name.
    Local(u16),
    Select(Box<Select>),
    Has(Box<Select>),
    OptionalSelect(Box<Select>),
    Index(Box<[Node; 2]>),
    OptionalIndex(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Conditional(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    /// Elements, and whether each is left out when absent.
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    Call(&'static Function, Vec<Node>),
    /// `matches` with a literal pattern.
    Matches(Box<Node>, Box<Pattern>),
    Loop(Box<Loop>),
    Bind(Box<Bind>),
    /// Names bound in order, then the body.
    Block(Vec<(u16, Node)>, Box<Node>),
}

#[derive(Debug)]
pub(super) struct Select {
    pub operand: Node,
    pub name: Arc<str>,
    /// The index of the field, where the type of the operand is a known record.
    pub index: Option<u16>,
    /// The whole way to the field, where it begins at a name and every index on it is known.
    pub chain: Option<Chain>,
}

/// Fields of fields, from a name on.
#[derive(Debug)]
pub(super) struct Chain {
    pub root: Root,
    pub fields: Box<[u16]>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Root {
    Local(u16),
    Variable(u16),
}

impl Select {
    pub(super) fn new(operand: Node, name: Arc<str>, index: Option<u16>) -> Select {
        let way = match (&operand.kind, index) {
            (Kind::Local(slot), Some(index)) => Some((Root::Local(*slot), vec![index])),
            (Kind::Variable(variable), Some(index)) => {
                Some((Root::Variable(*variable), vec![index]))
            }
            (Kind::Select(inner), Some(index)) => inner.chain.as_ref().map(|chain| {
                let mut fields = chain.fields.to_vec();
                fields.push(index);
                (chain.root, fields)
            }),
            _ => None,
        };
        Select {
            operand,
            name,
            index,
            chain: way.map(|(root, fields)| Chain {
                root,
                fields: fields.into(),
            }),
        }
    }
}

#[derive(Debug)]
pub(super) struct Loop {
    pub how: LoopKind,
    pub range: Node,
    pub first: u16,
    pub second: Option<u16>,
    pub filter: Option<Node>,
    pub body: Node,
    /// What each turn takes from the budget.
    pub steps: usize,
}

#[derive(Debug)]
pub(super) struct Bind {
    pub slot: u16,
    pub init: Node,
    pub body: Node,
    pub how: Binding,
}
