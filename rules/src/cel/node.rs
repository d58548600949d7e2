//! The tree that is run: names are indices, functions and patterns are found, constants computed.

use super::ast::{Arithmetic, Binding, Comparison, LoopKind};
use super::functions::Function;
use super::value::Value;
use std::sync::Arc;

/// A node; `id` finds its place in the source.
#[derive(Debug)]
pub(super) struct Node {
    pub id: u32,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Constant(Value),
    /// What is known to fail whenever it is reached.
    Fail(String),
    /// By its place among the variables that the program reads.
    Variable(u16),
    /// By its place among the bound names.
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
    Matches(Box<Node>, Box<regex::Regex>),
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
}

#[derive(Debug)]
pub(super) struct Loop {
    pub how: LoopKind,
    pub range: Node,
    pub first: u16,
    pub second: Option<u16>,
    pub filter: Option<Node>,
    pub body: Node,
}

#[derive(Debug)]
pub(super) struct Bind {
    pub slot: u16,
    pub init: Node,
    pub body: Node,
    pub how: Binding,
}
