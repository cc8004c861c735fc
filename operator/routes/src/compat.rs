//! How closely Emissary is followed.

/// `--ambassador-compat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// What its users expect of it: weights that always sum to the whole, each Mapping with its own settings, and
    /// values of the wrong type read as they are meant.
    #[default]
    Ideal,
    /// What it does, to the letter, except for what makes it refuse a whole configuration.
    Strict,
}
