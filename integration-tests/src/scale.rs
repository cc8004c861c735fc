//! Many Rollouts, and an operator on this machine that looks after them.

mod fleet;
mod operator;

pub use self::{
    fleet::{Fleet, INSTANCE},
    operator::{Operator, Usage},
};
