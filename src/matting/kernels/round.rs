// SPDX-License-Identifier: MIT

//! Rounding of several floats at once: a saturating cast is several instructions, these are one or two.

pub use crate::matting::frame::sample::nearest;

/// Within the codes up to `white`. Unlike `clamp`, which keeps what is not a number, it is two vector
/// instructions.
#[inline(always)]
pub fn clip(code: f32, white: f32) -> f32 {
    let code = if code > 0.0 { code } else { 0.0 };
    if code < white { code } else { white }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_bits_are_the_nearest_whole_number() {
        for value in [-2000.4f32, -1.6, -0.4, 0.0, 0.49, 0.51, 254.6, 4080.2, 16320.0] {
            assert_eq!(nearest(value) as i16, value.round() as i16);
        }
    }
}
