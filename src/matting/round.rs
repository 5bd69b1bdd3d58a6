//! Rounding of several floats at once: a saturating cast is several instructions, these are one or two.

/// The nearest whole number, for values within ±2^21, in the low bits: those of two's complement.
#[inline(always)]
pub fn nearest(value: f32) -> u32 {
    // Beyond 2^23 a float's last bit is one whole; 2^22 more keep negative values there.
    (value + 12_582_912.0).to_bits()
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
