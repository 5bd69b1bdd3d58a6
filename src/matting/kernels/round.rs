// SPDX-License-Identifier: MIT

//! Rounding of several floats at once: a saturating cast is several instructions, these are one or two.

/// The nearest whole number, for values within ±2^21, in the low bits: those of two's complement.
#[inline(always)]
pub fn nearest(value: f32) -> u32 {
    // Beyond 2^23 a float's last bit is one whole; 2^22 more keep negative values there.
    (value + 12_582_912.0).to_bits()
}

/// Within the codes. Unlike `clamp`, which keeps what is not a number, it is two vector
/// instructions.
#[inline(always)]
pub fn clip(code: f32) -> f32 {
    let code = if code > 0.0 { code } else { 0.0 };
    if code < 255.0 { code } else { 255.0 }
}

/// The nearest code of 8 bits.
pub fn to_code(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
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
