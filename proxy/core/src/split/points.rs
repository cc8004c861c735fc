//! Where the points of the line are.

use super::UNIT;

/// α/2 of 2^64, for α = (√5−1)/20: how far the wave moves on per unit, where 2^64 is its period of 2.
const ALPHA: u64 = 0x07e9_2c7c_7990_8634;
/// β/2 of 2^64, for β = ½−α: how far the hash may push a point, in the same measure.
const BETA: u64 = 0x3816_d383_866f_79cb;

/// Whether `[from, from + width)` holds a point. `width` is at most half a unit.
pub(super) fn any_within(seed: u64, from: u64, width: u64) -> bool {
    let (cell, offset) = (from / UNIT, from % UNIT);
    let end = offset + width;
    (offset..end).contains(&point(seed, cell)) || (end > UNIT && point(seed, cell + 1) < end - UNIT)
}

/// Spreads the bits of `value` over the whole word (the finaliser of `SplitMix64`).
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Where in its cell the point of `cell` is: at least 0 and below [`UNIT`].
fn point(seed: u64, cell: u64) -> u64 {
    let pushed = scale(mix(seed ^ cell), BETA);
    scale(fold(cell.wrapping_mul(ALPHA).wrapping_add(pushed)), UNIT)
}

/// The triangle wave: up over the first half of the period, down over the second.
fn fold(phase: u64) -> u64 {
    if phase >> 63 == 0 { phase << 1 } else { !phase << 1 }
}

/// `fraction` / 2^64 of `of`.
fn scale(fraction: u64, of: u64) -> u64 {
    let product = u128::from(fraction) * u128::from(of);
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_what_the_formula_says() {
        let alpha = (5_f64.sqrt() - 1.0) / 20.0;
        let period = 2_f64.powi(64);
        for (constant, exact) in [(ALPHA, alpha / 2.0), (BETA, (0.5 - alpha) / 2.0)] {
            #[expect(clippy::cast_precision_loss, reason = "compared with a tolerance above it")]
            let constant = constant as f64 / period;
            assert!((constant - exact).abs() < 1e-15, "{constant} is not {exact}");
        }
    }

    #[test]
    fn the_wave_goes_up_and_down_without_a_step() {
        assert_eq!((fold(0), fold(u64::MAX)), (0, 0));
        assert_eq!(fold(1 << 62), 1 << 63);
        assert_eq!(fold((1 << 63) - 1), u64::MAX - 1);
        assert_eq!(fold(1 << 63), u64::MAX - 1);
    }

    #[test]
    fn neighbours_are_at_least_half_a_unit_apart() {
        for seed in 0..20 {
            for cell in 0..5_000 {
                let apart = UNIT + point(seed, cell + 1) - point(seed, cell);
                assert!(apart >= UNIT / 2, "seed {seed}, cell {cell}: {apart}");
            }
        }
    }
}
