//! The syntax tree: what was written, with places, before names and types are known.
//!
//! Macros are nodes of their own here, not the loops that other implementations expand them to, so
//! that they can be explained and run as what they are.

use super::value::Value;
use serde::Serialize;

/// A range of bytes of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// All of `source`, which is no longer than the caps allow.
    pub(super) fn whole(source: &str) -> Span {
        Span {
            start: 0,
            end: u32::try_from(source.len()).unwrap_or(u32::MAX),
        }
    }

    /// The text at this place of `source`; empty if it is not within it.
    pub fn text(self, source: &str) -> &str {
        source
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// The smallest span around both.
    pub(super) fn around(self, other: Span) -> Span {
        Span {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A node of the syntax tree.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub span: Span,
    pub kind: ExprKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The same comparison with its sides exchanged.
    pub(super) fn mirrored(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    /// The comparison that holds of numbers where this one does not.
    pub(super) fn negated(self) -> Comparison {
        match self {
            Comparison::Equal => Comparison::NotEqual,
            Comparison::NotEqual => Comparison::Equal,
            Comparison::Less => Comparison::GreaterOrEqual,
            Comparison::LessOrEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual => Comparison::Less,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Literal(Value),
    /// A name; with a leading dot if it is to be looked up outside of any scope.
    Ident(String),
    Select {
        operand: Box<Expr>,
        field: Name,
    },
    /// `has(operand.field)`.
    Has {
        operand: Box<Expr>,
        field: Name,
    },
    /// `operand.?field`.
    OptionalSelect {
        operand: Box<Expr>,
        field: Name,
    },
    /// `operand[index]`.
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
    },
    /// `operand[?index]`.
    OptionalIndex {
        operand: Box<Expr>,
        index: Box<Expr>,
    },
    Call {
        target: Option<Box<Expr>>,
        function: Name,
        args: Vec<Expr>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Conditional(Box<[Expr; 3]>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Box<Expr>),
    List(Vec<Item>),
    Map(Vec<Entry>),
    /// `Name{field: value}`, which needs protocol buffers.
    Message(String),
    Loop(Box<Loop>),
    /// `cel.bind(name, init, body)`, and `optMap` and `optFlatMap` on the value of an optional.
    Bind {
        name: String,
        init: Box<Expr>,
        body: Box<Expr>,
        how: Binding,
    },
    /// `cel.block([init, ...], body)`, in which `cel.index(n)` is the n-th of `inits`.
    Block {
        inits: Vec<Expr>,
        body: Box<Expr>,
    },
}

/// A name with its own place, which is where a misspelling of it is shown.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub text: String,
    pub span: Span,
}

/// An element of a list literal; `[?x]` leaves it out if `x` is absent.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub value: Expr,
    pub optional: bool,
}

/// An entry of a map literal; `{?k: x}` leaves it out if `x` is absent.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

/// A macro that visits the elements of a list or the entries of a map.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub how: LoopKind,
    pub range: Expr,
    /// The element, or the key of a map; with two variables the index or the key.
    pub variable: String,
    /// The second variable of the macros that take two: the element or the value.
    pub second: Option<String>,
    /// Which elements take part, for the macros that select and transform.
    pub filter: Option<Expr>,
    pub body: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    /// `map` and `transformList`.
    Map,
    TransformMap,
    TransformMapEntry,
    SortBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    Value,
    /// The value of an optional; the result becomes optional.
    OptionalMap,
    /// The value of an optional; the result is one already.
    OptionalFlatMap,
}
