//! The language of conditions: expr-lang (github.com/expr-lang/expr), as far as conditions of Argo Rollouts have it.
//!
//! `result >= 0.95`, `all(result, # < 1)`, `result.code == 200 && !isNil(result)`. The language is Go's own in what a
//! value is and in how a mistake is worded: a condition that compares a number with a text is an error there, so it is
//! one here, and not a condition that is never true. Argo checks an expression against the type of the value that was
//! measured, and so does [`Expression::check`].
//!
//! There is no crate for it with static types: `expr-lang` of crates.io takes `result == '1'` of a number for false.
//!
//! What a user writes must not hurt the operator: an expression has at most [`MOST_TOKENS`] tokens, nests at most
//! [`MOST_NESTED`] deep and is given up after [`MOST_STEPS`] steps.

mod builtin;
mod check;
mod evaluate;
mod kind;
mod lex;
mod parse;
mod tree;
mod value;

use chrono::{DateTime, Utc};

pub use self::value::{Value, float_text};
use self::{kind::Kind, tree::Node};

/// The most tokens of an expression. It bounds the depth of its tree, and so the stack that it takes to run.
pub const MOST_TOKENS: usize = 600;

/// The most expressions around an expression.
pub const MOST_NESTED: u32 = 64;

/// The most steps of a run: elements looked at and values made. It takes well below a second.
pub const MOST_STEPS: u64 = 1_000_000;

/// What is wrong with an expression, in the words of expr-lang.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub(crate) String);

impl Problem {
    fn new(message: &str) -> Self {
        Self(message.to_owned())
    }

    /// A regular expression that is none.
    fn of_pattern(pattern: &str, why: &regex::Error) -> Self {
        let text = why.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let reason = match reason {
            "unclosed character class" => "missing closing ]",
            "unclosed group" => "missing closing )",
            "unopened group" => "unexpected )",
            "repetition operator missing expression" => "missing argument to repetition operator",
            reason => reason,
        };
        Self(format!("error parsing regexp: {reason}: `{pattern}`"))
    }
}

/// What an expression is about.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What was measured: `result`.
    pub result: &'a Value,
    /// What `now()` says.
    pub now: DateTime<Utc>,
}

/// An expression that can be read.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let tokens = lex::tokens(text)?;
        if tokens.len() > MOST_TOKENS {
            return Err(Problem(format!("the condition has more than {MOST_TOKENS} words and signs")));
        }
        parse::parse(tokens).map(|root| Self { root })
    }

    /// Whether it makes sense for a result of the type of this one.
    pub fn check(&self, result: &Value) -> Result<(), Problem> {
        check::check(&self.root, &Kind::of(result)).map(drop)
    }

    /// Its value.
    pub fn evaluate(&self, surroundings: Surroundings<'_>) -> Result<Value, Problem> {
        evaluate::evaluate(&self.root, surroundings)
    }
}
