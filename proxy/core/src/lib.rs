//! What happens to one request.

pub mod padded;
pub mod split;
