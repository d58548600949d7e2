//! Static types: what the checker knows of an expression before it runs.

use std::fmt;
use std::sync::Arc;

/// The static type of an expression, a variable or a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only at run time; agrees with everything.
    Dyn,
    /// Of what is not there, such as the elements of `[]`; becomes whatever it is put beside.
    Free,
    /// The type of `null`.
    Null,
    /// `true` and `false`.
    Bool,
    /// 64-bit signed integers.
    Int,
    /// 64-bit unsigned integers.
    Uint,
    /// 64-bit floating point numbers.
    Double,
    /// Unicode text.
    String,
    /// Bytes.
    Bytes,
    /// A span of time.
    Duration,
    /// An instant.
    Timestamp,
    /// A list of one type of element.
    List(Arc<Type>),
    /// A map from keys to values.
    Map(Arc<Type>, Arc<Type>),
    /// A record, by the name under which the environment declares it.
    Record(&'static str),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// A type used as a value.
    Type,
    /// A parsed semantic version.
    Semver,
    /// Stands for any one type inside a function's signature.
    Parameter(char),
}

impl Type {
    /// A list of `element`.
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    /// A map from `key` to `value`.
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    /// An optional `value`.
    pub fn optional(value: Type) -> Type {
        Type::Optional(Arc::new(value))
    }

    /// Whether values of this type have an order (`<`, `>`, ...).
    pub(super) fn is_ordered(&self) -> bool {
        matches!(
            self,
            Type::Dyn
                | Type::Free
                | Type::Bool
                | Type::Int
                | Type::Uint
                | Type::Double
                | Type::String
                | Type::Bytes
                | Type::Duration
                | Type::Timestamp
        )
    }

    /// Whether a value of this type is a record or holds some.
    pub(super) fn holds_records(&self) -> bool {
        match self {
            Type::Record(_) => true,
            Type::List(element) | Type::Optional(element) => element.holds_records(),
            Type::Map(_, value) => value.holds_records(),
            _ => false,
        }
    }

    /// Whether this is one of the three numeric types.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Uint | Type::Double)
    }

    /// Whether a value of this type can be of type `other` at run time. Numbers agree only with
    /// their own kind here; comparisons across kinds are decided by the operator.
    pub(super) fn agrees_with(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Dyn | Type::Free, _) | (_, Type::Dyn | Type::Free) => true,
            (Type::Parameter(_), _) | (_, Type::Parameter(_)) => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => {
                a.agrees_with(b)
            }
            (Type::Map(ak, av), Type::Map(bk, bv)) => ak.agrees_with(bk) && av.agrees_with(bv),
            (a, b) => a == b,
        }
    }

    /// Whether a value of this type can be equal to one of type `other`: numbers of all kinds can.
    pub(super) fn may_equal(&self, other: &Type) -> bool {
        self.agrees_with(other) || (self.is_number() && other.is_number())
    }

    /// The type of a value that was taken from where it may not be.
    pub(super) fn taken(self) -> Type {
        match self {
            Type::Free => Type::Dyn,
            other => other,
        }
    }

    /// The type of a value that is either of the two: their common type, else `dyn`.
    pub(super) fn join(&self, other: &Type) -> Type {
        match (self, other) {
            (a, b) if a == b => a.clone(),
            (Type::Free, known) | (known, Type::Free) => known.clone(),
            (Type::List(a), Type::List(b)) => Type::list(a.join(b)),
            (Type::Map(ak, av), Type::Map(bk, bv)) => Type::map(ak.join(bk), av.join(bv)),
            (Type::Optional(a), Type::Optional(b)) => Type::optional(a.join(b)),
            _ => Type::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn | Type::Free => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Duration => f.write_str("duration"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::List(element) => write!(f, "list({element})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Record(name) => f.write_str(name),
            Type::Optional(value) => write!(f, "optional({value})"),
            Type::Type => f.write_str("type"),
            Type::Semver => f.write_str("semver"),
            Type::Parameter(name) => write!(f, "{name}"),
        }
    }
}
