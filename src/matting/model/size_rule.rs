// SPDX-License-Identifier: MIT

//! The size of a network's input where the network leaves it open.

use serde::Deserialize;

use super::description::MAX_SIDE;
use crate::matting::frame::size::Size;

/// What is wanted to have as many samples as a square gets no side longer than so many of that one's, where
/// nothing else is said: frames that are more than sixteen times as long as wide get fewer.
const LONGEST: usize = 4;

/// Which size an input of open size gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "it must be [width, height], or { short = SIDE }, { long = SIDE } or { area = SIDE }, with `multiple`, `min` and `max` where needed"
)]
pub enum SizeRule {
    /// `[width, height]`, whatever the frame's.
    Fixed([usize; 2]),
    /// The frame's shape.
    Shaped(Shaped),
}

/// A size of the frame's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shaped {
    /// The shorter side wanted, in samples.
    pub short: Option<usize>,
    /// The longer side wanted, in samples; instead of `short`.
    pub long: Option<usize>,
    /// The side of a square of as many samples as are wanted; instead of both. Without any of the three the
    /// frame's size is kept.
    pub area: Option<usize>,
    /// What both sides are multiples of.
    #[serde(default = "one")]
    pub multiple: usize,
    /// No side is shorter.
    pub min: Option<usize>,
    /// No side is longer.
    pub max: Option<usize>,
}

const fn one() -> usize {
    1
}

impl SizeRule {
    /// The input's size for frames of `frame` size.
    pub fn size(&self, frame: Size) -> Size {
        match self {
            Self::Fixed([width, height]) => Size { width: *width, height: *height },
            Self::Shaped(shaped) => shaped.size(frame),
        }
    }

    /// Whether it depends on the frame's.
    pub const fn follows_frame(&self) -> bool {
        matches!(self, Self::Shaped(_))
    }

    /// Fails on sizes that no network can have, with what follows the key's name.
    pub(super) fn check(&self) -> Result<(), String> {
        let sides = |sides: &[usize]| match sides
            .iter()
            .find(|side| !(1..=MAX_SIDE).contains(*side))
        {
            Some(side) => Err(format!("holds {side}, and must be 1 to {MAX_SIDE} on each side")),
            None => Ok(()),
        };
        match self {
            Self::Fixed(size) => sides(size),
            Self::Shaped(shaped) => {
                let Shaped { short, long, area, multiple, min, max } = *shaped;
                let wanted = [short, long, area].into_iter().flatten();
                if wanted.clone().count() > 1 {
                    return Err("has several of `short`, `long` and `area`; keep one".into());
                }
                sides(&wanted.chain(min).chain(max).collect::<Vec<_>>())?;
                sides(&[multiple])?;
                let (least, most) = shaped.bounds();
                if least > most {
                    return Err(format!(
                        "leaves no multiple of {multiple} from {} to {}",
                        min.unwrap_or(1),
                        max.unwrap_or(MAX_SIDE)
                    ));
                }
                Ok(())
            }
        }
    }
}

impl Shaped {
    /// As many samples as a square of that side has, both sides being multiples of `multiple`.
    pub const fn of_area(side: usize, multiple: usize) -> Self {
        Self { short: None, long: None, area: Some(side), multiple, min: None, max: None }
    }

    /// The least and the greatest side.
    fn bounds(&self) -> (usize, usize) {
        let multiple = self.multiple.max(1);
        let least = self.min.unwrap_or(1).div_ceil(multiple).max(1) * multiple;
        let most = self.max.or(self.area.map(|side| LONGEST * side)).unwrap_or(MAX_SIDE);
        let most = most.min(MAX_SIDE) / multiple * multiple;
        (least, most)
    }

    fn size(&self, frame: Size) -> Size {
        let (shorter, longer) =
            (frame.width.min(frame.height).max(1), frame.width.max(frame.height).max(1));
        let mut scale = match *self {
            Self { short: Some(short), .. } => short as f64 / shorter as f64,
            Self { long: Some(long), .. } => long as f64 / longer as f64,
            Self { area: Some(side), .. } => side as f64 / (shorter as f64 * longer as f64).sqrt(),
            _ => 1.0,
        };
        // A bound holds for the frame's shape, as far as it can.
        let (least, most) = self.bounds();
        scale = scale.max(least as f64 / shorter as f64).min(most as f64 / longer as f64);
        let multiple = self.multiple.max(1) as f64;
        let side = |side: usize| {
            let wanted = (side as f64 * scale / multiple).round() * multiple;
            (wanted as usize).clamp(least, most.max(least))
        };
        Size { width: side(frame.width), height: side(frame.height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Shaped =
        Shaped { short: Some(512), long: None, area: None, multiple: 32, min: None, max: None };

    fn size(rule: Shaped, width: usize, height: usize) -> (usize, usize) {
        let size = SizeRule::Shaped(rule).size(Size { width, height });
        (size.width, size.height)
    }

    #[test]
    fn the_frames_shape_is_kept_as_far_as_multiples_and_bounds_allow() {
        assert_eq!(size(RULE, 1920, 1080), (896, 512));
        assert_eq!(size(RULE, 1080, 1920), (512, 896));
        assert_eq!(size(Shaped { max: Some(640), ..RULE }, 1920, 1080), (640, 352));
        let long = Shaped { short: None, long: Some(512), multiple: 1, ..RULE };
        assert_eq!(size(long, 1920, 1080), (512, 288));
        let own = Shaped { short: None, multiple: 4, ..RULE };
        assert_eq!(size(own, 642, 361), (644, 360));
        assert_eq!(size(Shaped { min: Some(64), short: Some(8), ..RULE }, 100, 50), (128, 64));
    }

    #[test]
    fn whatever_their_shape_frames_get_as_many_samples() {
        let rule = Shaped { short: None, area: Some(320), ..RULE };
        assert_eq!(size(rule, 1000, 1000), (320, 320));
        assert_eq!(size(rule, 1920, 1080), (416, 256));
        assert_eq!(size(rule, 540, 960), (256, 416));
        assert_eq!(size(rule, 16384, 16), (1280, 32));
    }

    #[test]
    fn no_frame_leads_out_of_the_bounds() {
        let area = Shaped { short: None, area: Some(320), ..RULE };
        for (width, height) in [(1, 1), (1, 65535), (65535, 3), (16384, 16384)] {
            for rule in [RULE, area] {
                let (w, h) = size(rule, width, height);
                let is_one =
                    |side: usize| side.is_multiple_of(32) && (32..=MAX_SIDE).contains(&side);
                assert!(is_one(w) && is_one(h));
            }
        }
    }

    #[test]
    fn contradictions_are_found() {
        for (rule, word) in [
            (Shaped { long: Some(512), ..RULE }, "keep one"),
            (Shaped { area: Some(512), ..RULE }, "keep one"),
            (Shaped { multiple: 0, ..RULE }, "1 to"),
            (Shaped { min: Some(10), max: Some(20), ..RULE }, "no multiple of 32"),
        ] {
            let message = SizeRule::Shaped(rule).check().unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
