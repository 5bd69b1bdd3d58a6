// SPDX-License-Identifier: MIT

//! From a network's raw output to a soft mask.

use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::model::description::{Activation, Normalize, OutputDescription};

/// How far outside [0, 1] a matte may reach before it counts as none: enough for the overshoot of
/// a network that ends in a cubic or learned upsampling, not for logits.
const OVERSHOOT: f32 = 0.25;

/// How the values of a mask lie in an output tensor of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLayout {
    /// Size of the mask.
    pub size: Size,
    /// Number of channels.
    pub channels: usize,
    /// Whether the channels of one sample lie side by side.
    pub interleaved: bool,
}

impl OutputLayout {
    /// Values from one sample of a channel to the next.
    fn step(&self) -> usize {
        if self.interleaved { self.channels } else { 1 }
    }

    /// Index of the first sample of a channel.
    fn start(&self, channel: usize) -> usize {
        if self.interleaved { channel } else { channel * self.size.area() }
    }

    /// The samples of a channel.
    fn samples<'a>(&self, raw: &'a [f32], channel: usize) -> impl Iterator<Item = f32> + 'a {
        raw[self.start(channel)..].iter().step_by(self.step()).take(self.size.area()).copied()
    }
}

/// The range that mattes are given to fill, where a network leaves it open: that of the picture at hand,
/// damped over time.
///
/// Such networks answer with what is most likely a person, however unlikely; their authors stretch what
/// comes of one picture to 0 to 1. In a stream that makes noise of a picture of nobody, and mattes jump
/// from frame to frame. So what is stretched has to reach from 0 to a half at least, and a greatest value
/// that was seen before is given up slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// The greatest value, as far as it counts still.
    greatest: Option<f32>,
}

impl Range {
    /// The least span that is stretched.
    const LEAST: f32 = 0.5;
    /// How much of the difference to a smaller greatest value one picture makes good.
    const PACE: f32 = 0.1;

    fn stretch(&mut self, mask: &mut [f32]) {
        let extremes = (f32::INFINITY, f32::NEG_INFINITY);
        let (least, greatest) =
            mask.iter().fold(extremes, |(a, b), &value| (a.min(value), b.max(value)));
        let damped = self
            .greatest
            .map_or(greatest, |before| greatest.max(before + Self::PACE * (greatest - before)));
        if !least.is_finite() || !damped.is_finite() {
            return;
        }
        self.greatest = Some(damped);
        let span = (damped - least).max(Self::LEAST);
        mask.iter_mut().for_each(|value| *value = (*value - least) / span);
    }
}

/// Takes a matte out of `raw` as `description` says, and writes the mask.
///
/// # Errors
/// [`Error::NotAMatte`] for a value that is not finite or far outside [0, 1].
pub fn extract(
    raw: &[f32],
    layout: OutputLayout,
    description: &OutputDescription,
    range: &mut Range,
    mask: &mut [f32],
) -> Result<(), Error> {
    let activation = description.activation;
    match description.channels() {
        [channel] => activate(raw, layout, *channel, activation, mask),
        channels => {
            mask.fill(0.0);
            let mut one = vec![0.0; mask.len()];
            for &channel in channels {
                activate(raw, layout, channel, activation, &mut one);
                mask.iter_mut().zip(&one).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    if description.complement.is_some() {
        mask.iter_mut().for_each(|value| *value = 1.0 - *value);
    }
    if description.normalize == Normalize::MinMax {
        range.stretch(mask);
    }
    check(mask)
}

fn activate(
    raw: &[f32],
    layout: OutputLayout,
    channel: usize,
    activation: Activation,
    mask: &mut [f32],
) {
    match activation {
        Activation::None => {
            if layout.step() == 1 {
                mask.copy_from_slice(&raw[layout.start(channel)..][..layout.size.area()]);
            } else {
                write(mask, layout.samples(raw, channel));
            }
        }
        Activation::Sigmoid => {
            write(mask, layout.samples(raw, channel).map(|x| 1.0 / (1.0 + (-x).exp())));
        }
        Activation::Softmax => softmax(raw, layout, channel, mask),
    }
}

fn write(mask: &mut [f32], values: impl Iterator<Item = f32>) {
    for (mask, value) in mask.iter_mut().zip(values) {
        *mask = value;
    }
}

/// e^x_channel / Σ e^x, with the difference to the channel in the exponent so that nothing
/// overflows to a NaN.
fn softmax(raw: &[f32], layout: OutputLayout, channel: usize, mask: &mut [f32]) {
    mask.fill(0.0);
    for other in 0..layout.channels {
        let pairs = layout.samples(raw, other).zip(layout.samples(raw, channel));
        for (sum, (other, own)) in mask.iter_mut().zip(pairs) {
            *sum += (other - own).exp();
        }
    }
    for value in mask {
        *value = 1.0 / *value;
    }
}

fn check(mask: &[f32]) -> Result<(), Error> {
    // NaN fails the comparison as well. Counted without a branch, so that it vectorises.
    let good = |value: f32| (-OVERSHOOT..=1.0 + OVERSHOOT).contains(&value);
    let bad: u32 = mask.iter().map(|&value| u32::from(!good(value))).sum();
    if bad == 0 {
        return Ok(());
    }
    let example = mask.iter().copied().find(|&value| !good(value)).unwrap_or(f32::NAN);
    Err(Error::NotAMatte {
        found: format!("{bad} of {} values lie outside 0 to 1, such as {example}", mask.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANAR: OutputLayout =
        OutputLayout { size: Size { width: 2, height: 1 }, channels: 2, interleaved: false };
    const INTERLEAVED: OutputLayout = OutputLayout { interleaved: true, ..PLANAR };

    fn mask(raw: &[f32], layout: OutputLayout, channel: usize, activation: Activation) -> Vec<f32> {
        let description = OutputDescription { channel, activation, ..Default::default() };
        described(raw, layout, &description, &mut Range::default())
    }

    fn described(
        raw: &[f32],
        layout: OutputLayout,
        description: &OutputDescription,
        range: &mut Range,
    ) -> Vec<f32> {
        let mut mask = vec![f32::NAN; layout.size.area()];
        extract(raw, layout, description, range, &mut mask).unwrap();
        mask
    }

    #[test]
    fn a_channel_is_taken_from_either_layout() {
        let raw = [0.1, 0.2, 0.3, 0.4];
        assert_eq!(mask(&raw, PLANAR, 1, Activation::None), [0.3, 0.4]);
        assert_eq!(mask(&raw, INTERLEAVED, 1, Activation::None), [0.2, 0.4]);
    }

    #[test]
    fn softmax_is_a_share_and_never_overflows() {
        let raw = [0.0, 500.0, 0.0, -500.0];
        assert_eq!(mask(&raw, PLANAR, 1, Activation::Softmax), [0.5, 0.0]);
        assert_eq!(mask(&raw, PLANAR, 0, Activation::Softmax), [0.5, 1.0]);
    }

    #[test]
    fn sigmoid_of_zero_is_a_half() {
        assert_eq!(mask(&[0.0; 4], PLANAR, 0, Activation::Sigmoid), [0.5, 0.5]);
    }

    #[test]
    fn what_is_no_matte_is_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0, -1.0] {
            let (raw, usual) = ([0.5, bad, 0.0, 0.0], OutputDescription::default());
            let result = extract(&raw, PLANAR, &usual, &mut Range::default(), &mut [0.0; 2]);
            assert!(matches!(result, Err(Error::NotAMatte { .. })), "{bad}");
        }
    }

    #[test]
    fn classes_are_added_up_and_a_complement_taken_from_one() {
        let layout = OutputLayout { channels: 3, ..PLANAR };
        let raw = [0.5, 0.25, 0.25, 0.5, 0.25, 0.25];
        let of = |description| described(&raw, layout, &description, &mut Range::default());
        let classes = OutputDescription { classes: vec![0, 2], ..Default::default() };
        assert_eq!(of(classes), [0.75, 0.5]);
        let complement = OutputDescription { complement: Some(1), ..Default::default() };
        assert_eq!(of(complement), [0.75, 0.5]);
    }

    #[test]
    fn a_range_is_stretched_but_not_that_of_nobody() {
        let description = OutputDescription { normalize: Normalize::MinMax, ..Default::default() };
        let layout = OutputLayout { channels: 1, ..PLANAR };
        let mut range = Range::default();
        assert_eq!(described(&[0.1, 0.9], layout, &description, &mut range), [0.0, 1.0]);
        // Somebody who is seen a little worse is not at once as sure as before.
        let less = described(&[0.1, 0.7], layout, &description, &mut range)[1];
        assert!((0.7..0.85).contains(&less), "{less}");
        // Nobody: far from 1 even where nothing was seen before.
        let nobody = described(&[0.0, 0.05], layout, &description, &mut Range::default());
        assert!(nobody[1] <= 0.1, "{nobody:?}");
        // Logits are stretched as well.
        let logits = described(&[-8.0, 4.0], layout, &description, &mut Range::default());
        assert_eq!(logits, [0.0, 1.0]);
    }
}
