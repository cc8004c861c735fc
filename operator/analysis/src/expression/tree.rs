//! What an expression says.

use super::value::Value;

/// An expression. Its depth is bounded: see [`super::MOST_TOKENS`].
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// `1`, `'a'`, `true`, `nil`.
    Literal(Value),
    /// A name.
    Name(String),
    /// `#`, `#acc`, `#index`: what a closure is called with.
    Item(String),
    /// `[1, 2]`.
    List(Vec<Self>),
    /// `{a: 1}`.
    Map(Vec<(Self, Self)>),
    /// `!a`, `not a`, `-a`, `+a`.
    Unary { operator: String, operand: Box<Self> },
    /// `a + b`.
    Binary { operator: String, left: Box<Self>, right: Box<Self> },
    /// `a < b < c`: each pair is compared, as if joined by `&&`.
    Comparisons { first: Box<Self>, rest: Vec<(String, Self)> },
    /// `a.b`, `a[b]`; `a?.b` is nil if `a` is, and so is the whole chain.
    Member { of: Box<Self>, property: Box<Self>, optional: bool },
    /// The end of a chain with a `?.` in it.
    Chain(Box<Self>),
    /// `a[1:2]`.
    Slice { of: Box<Self>, from: Option<Box<Self>>, to: Option<Box<Self>> },
    /// `a ? b : c`, `if a { b } else { c }`.
    Choice { condition: Box<Self>, then: Box<Self>, otherwise: Box<Self> },
    /// `let a = b; c`.
    Let { name: String, value: Box<Self>, body: Box<Self> },
    /// `a; b`: the last one counts.
    Sequence(Vec<Self>),
    /// `f(a)`.
    Call { function: String, arguments: Vec<Self> },
    /// `a.f(b)`.
    Method { of: Box<Self>, name: String, arguments: Vec<Self> },
    /// `all(a, # > 1)`: a function that runs a closure on each element of a list. Some take a third argument.
    Each { function: String, list: Box<Self>, closure: Option<Box<Self>>, third: Option<Box<Self>> },
}
