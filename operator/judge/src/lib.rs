//! Is the canary worse than the stable version? An answer that may be read every second, pure.
//!
//! A test that is looked at again and again finds, sooner or later, a difference that is not there: a z-test at 5 %,
//! read every second for two hours, condemns every second good canary. The evidence here may be read at any moment and
//! acted on at once: the chance that it *ever* condemns a canary within its margin is at most `alpha`.
//!
//! It is kept like a bettor's wealth. Each second a stake is laid on "the canary is worse than allowed", at odds that
//! are fair if it is not; who bets against the truth does not get rich (Ville's inequality: a non-negative wealth that
//! is not expected to grow reaches 1/alpha times its start with probability at most alpha). So wealth is evidence.
//!
//! | module | what it does |
//! |---|---|
//! | [`counts`] | what is judged: requests and bad requests of one second |
//! | [`cohorts`] | counts by the second in which requests *began*, pure seconds apart from mixed ones |
//! | [`latency`] | the histogram of latencies, and at which of its edges versions are compared |
//! | [`margin`], [`level`] | how much worse is allowed; how often a verdict may be wrong |
//! | [`bet`] | one stake: growth-optimal, fair at the margin |
//! | [`evidence`] | a grid of stakes, and their mean wealth |
//! | [`split`] | did the split really happen? |
//! | [`settings`], [`judge`], [`verdict`] | all of them together: FAIL, PASS, or CONTINUE with what it waits for |
//! | [`saved`] | what survives a restart |
//! | [`power`] | before it starts: what can be seen at this traffic, and when |
//!
//! Architecture invariant: this crate knows no Kubernetes, no clock and no random source. Seconds are Unix time.

pub mod bet;
pub mod cohorts;
pub mod counts;
pub mod evidence;
pub mod judge;
pub mod latency;
pub mod level;
pub mod margin;
pub mod power;
pub mod saved;
pub mod settings;
pub mod split;
pub mod verdict;

pub use self::judge::Judge;
