// SPDX-License-Identifier: MIT

//! What a row of a plane consists of: samples of 8 or of 16 bits.

use std::fmt::Debug;

use bytemuck::Pod;

use super::pixel_format::Depth;

/// A sample of a plane, or a weight, of which the largest value is the whole.
///
/// What needs more bits than a sample has is written once for both widths, with the integers that just
/// hold it, so that vectors are as full as they can be.
pub trait Sample: Pod + Ord + Default + Debug + Send + Sync {
    /// Bits of it.
    const BITS: u32;
    /// No weight.
    const NONE: Self;
    /// The whole weight.
    const ALL: Self;

    /// A share of the whole, which is in [0, 1].
    fn of_share(share: f32) -> Self;

    /// As a number.
    fn number(self) -> f32;

    /// The nearest sample of a code in units of an 8-bit one.
    fn encode(code: f32, depth: Depth) -> Self;

    /// The code of a sample, in units of an 8-bit one.
    #[inline(always)]
    fn decode(self, depth: Depth) -> f32 {
        self.number() * (1.0 / depth.unit())
    }

    /// From a code, of an alpha component, to the weight that it means.
    fn to_weight(self, depth: Depth) -> Self;

    /// The code of an alpha component that means this weight.
    fn of_weight(weight: Self, depth: Depth) -> Self;

    /// The weight that is the same share of the whole.
    fn of<T: Sample>(weight: T) -> Self;

    /// The weight in 16 bits.
    fn word(self) -> u16;

    /// All of the code's bits, which lie in the upper of the sample's.
    fn raise(self, depth: Depth) -> Self;

    /// The code, whose bits were all [raised](Self::raise), where `depth` has it.
    fn lower(self, depth: Depth) -> Self;

    /// self · other, where the whole is 1; rounded.
    fn times(self, other: Self) -> Self;

    /// What the whole leaves.
    fn rest(self) -> Self;

    /// self · weight + other · (1 − weight), rounded to what samples of some depth hold.
    fn mix(self, other: Self, weight: Self, grain: Grain) -> Self;

    /// self / whole, where both are weights, rounded; 0 of nothing.
    fn over(self, whole: Self) -> Self;

    /// Sum of two weights that are not more than the whole.
    fn plus(self, other: Self) -> Self;

    /// The mean of two.
    fn mean(self, other: Self) -> Self;

    /// The mean of two by two.
    fn mean_of_pairs(upper: [Self; 2], lower: [Self; 2]) -> Self;

    /// Whether a few samples are all `value`, which is [`NONE`](Self::NONE) or [`ALL`](Self::ALL).
    fn are_all(samples: &[Self], value: Self) -> bool;
}

/// Bits below a code, which a mixture leaves 0.
#[derive(Clone, Copy, Debug)]
pub struct Grain {
    half: u16,
    mask: u16,
}

impl From<Depth> for Grain {
    fn from(depth: Depth) -> Self {
        let step = 1u16 << depth.shift;
        Self { half: step / 2, mask: !(step - 1) }
    }
}

/// What both widths have in common: the same formulas in integers of twice as many bits.
macro_rules! in_wider {
    ($wide:ty) => {
        const BITS: u32 = Self::BITS;
        const NONE: Self = 0;
        const ALL: Self = Self::MAX;

        #[inline(always)]
        fn of_share(share: f32) -> Self {
            nearest(share * Self::MAX as f32) as Self
        }

        #[inline(always)]
        fn number(self) -> f32 {
            f32::from(self)
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            let product = <$wide>::from(self) * <$wide>::from(other) + (1 << (Self::BITS - 1));
            ((product + (product >> Self::BITS)) >> Self::BITS) as Self
        }

        #[inline(always)]
        fn rest(self) -> Self {
            Self::MAX - self
        }

        #[inline(always)]
        fn over(self, whole: Self) -> Self {
            let (part, whole) = (u32::from(self), u32::from(whole));
            (part * u32::from(Self::MAX) + whole / 2).checked_div(whole).unwrap_or(0) as Self
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            self + other
        }

        #[inline(always)]
        fn mean(self, other: Self) -> Self {
            ((<$wide>::from(self) + <$wide>::from(other) + 1) >> 1) as Self
        }
    };
}

/// The nearest whole number, for values within ±2^21, in the low bits: those of two's complement.
#[inline(always)]
pub fn nearest(value: f32) -> u32 {
    // Beyond 2^23 a float's last bit is one whole; 2^22 more keep negative values there.
    (value + 12_582_912.0).to_bits()
}

impl Sample for u8 {
    in_wider!(u16);

    #[inline(always)]
    fn encode(code: f32, _: Depth) -> Self {
        let code = if code > 0.0 { code } else { 0.0 };
        nearest(if code < 255.0 { code } else { 255.0 }) as u8
    }

    #[inline(always)]
    fn to_weight(self, _: Depth) -> Self {
        self
    }

    #[inline(always)]
    fn of_weight(weight: Self, _: Depth) -> Self {
        weight
    }

    #[inline(always)]
    fn of<T: Sample>(weight: T) -> Self {
        let word = u32::from(weight.word());
        // The nearest 257th, which for 8 bits in 16 is the byte itself.
        if T::BITS == 8 { word as u8 } else { ((word + 128) / 257) as u8 }
    }

    #[inline(always)]
    fn word(self) -> u16 {
        u16::from(self) * 257
    }

    #[inline(always)]
    fn raise(self, _: Depth) -> Self {
        self
    }

    #[inline(always)]
    fn lower(self, _: Depth) -> Self {
        self
    }

    #[inline(always)]
    fn mix(self, other: Self, weight: Self, _: Grain) -> Self {
        let weight = u16::from(weight);
        let sum = u16::from(self) * weight + u16::from(other) * (255 - weight) + 128;
        ((sum + (sum >> 8)) >> 8) as u8
    }

    #[inline(always)]
    fn mean_of_pairs(upper: [u8; 2], lower: [u8; 2]) -> u8 {
        // As words, there are no lanes to cross.
        let [a, b] = [u16::from_le_bytes(upper), u16::from_le_bytes(lower)];
        (((a & 255) + (a >> 8) + (b & 255) + (b >> 8) + 2) >> 2) as u8
    }

    #[inline(always)]
    fn are_all(samples: &[u8], value: u8) -> bool {
        let (words, rest) = samples.as_chunks();
        let word = u64::from_ne_bytes([value; 8]);
        let differ =
            words.iter().fold(0, |differ, bytes| differ | (u64::from_ne_bytes(*bytes) ^ word));
        differ == 0 && rest.iter().all(|&other| other == value)
    }
}

impl Sample for u16 {
    in_wider!(u32);

    #[inline(always)]
    fn encode(code: f32, depth: Depth) -> Self {
        let largest = (depth.largest() >> depth.shift) as f32;
        let code = code * (depth.unit() / (1u32 << depth.shift) as f32);
        let code = if code > 0.0 { code } else { 0.0 };
        (nearest(if code < largest { code } else { largest }) as u16) << depth.shift
    }

    #[inline(always)]
    fn to_weight(self, depth: Depth) -> Self {
        let largest = depth.largest();
        ((u32::from(self) * 65535 + largest / 2) / largest) as u16
    }

    #[inline(always)]
    fn of_weight(weight: Self, depth: Depth) -> Self {
        let largest = depth.largest() >> depth.shift;
        (((u32::from(weight) * largest + 32767) / 65535) as u16) << depth.shift
    }

    #[inline(always)]
    fn of<T: Sample>(weight: T) -> Self {
        weight.word()
    }

    #[inline(always)]
    fn word(self) -> u16 {
        self
    }

    #[inline(always)]
    fn raise(self, depth: Depth) -> Self {
        self << (16 - depth.bits - depth.shift)
    }

    #[inline(always)]
    fn lower(self, depth: Depth) -> Self {
        self >> (16 - depth.bits) << depth.shift
    }

    #[inline(always)]
    fn mix(self, other: Self, weight: Self, Grain { half, mask }: Grain) -> Self {
        let weight = u32::from(weight);
        let [front, behind] = [self & mask, other & mask].map(u32::from);
        let sum = front * weight + behind * (65535 - weight) + 32768;
        let mixed = ((sum + (sum >> 16)) >> 16) as u16;
        mixed.saturating_add(half) & mask
    }

    #[inline(always)]
    fn mean_of_pairs(upper: [u16; 2], lower: [u16; 2]) -> u16 {
        // As words, there are no lanes to cross.
        let [a, b] = [upper, lower].map(bytemuck::cast::<[u16; 2], u32>);
        let low = 0xffff;
        (((a & low) + (a >> 16) + (b & low) + (b >> 16) + 2) >> 2) as u16
    }

    #[inline(always)]
    fn are_all(samples: &[u16], value: u16) -> bool {
        u8::are_all(bytemuck::cast_slice(samples), value as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTHS: [Depth; 5] = [
        Depth { bits: 10, shift: 0 },
        Depth { bits: 10, shift: 6 },
        Depth { bits: 12, shift: 0 },
        Depth { bits: 12, shift: 4 },
        Depth { bits: 16, shift: 0 },
    ];

    fn codes(depth: Depth) -> impl Iterator<Item = u16> {
        (0..1u32 << depth.bits).map(move |code| (code << depth.shift) as u16)
    }

    #[test]
    fn every_code_survives_its_way_to_8_bit_units_weights_and_the_upper_bits() {
        for depth in DEPTHS {
            for code in codes(depth) {
                assert_eq!(u16::encode(code.decode(depth), depth), code, "{depth:?}");
                assert_eq!(u16::of_weight(code.to_weight(depth), depth), code, "{depth:?}");
                assert_eq!(code.raise(depth).lower(depth), code, "{depth:?}");
            }
            let largest = depth.largest() as u16;
            assert_eq!(largest.to_weight(depth), u16::MAX);
            assert_eq!(u16::of_weight(u16::MAX, depth), largest);
        }
    }

    #[test]
    fn mixing_words_is_exact() {
        for depth in DEPTHS {
            let (grain, step) = (Grain::from(depth), (1u32 << depth.shift) as f64);
            for front in codes(depth).step_by(77) {
                for weight in (0..=u16::MAX).step_by(771) {
                    let behind = (depth.largest() as u16 / 3) & grain.mask;
                    let share = f64::from(weight) / 65535.0;
                    let want = f64::from(front) * share + f64::from(behind) * (1.0 - share);
                    let mixed = f64::from(front.mix(behind, weight, grain));
                    assert!((mixed - want).abs() <= 0.5 * step + 0.5 * (step - 1.0).min(1.0));
                    assert_eq!(mixed % step, 0.0);
                }
                assert_eq!(front.mix(9, u16::MAX, grain), front);
            }
        }
    }
}
