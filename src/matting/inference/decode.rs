// SPDX-License-Identifier: MIT

//! From a network's raw output to a soft mask.

use crate::matting::error::Error;
use crate::matting::frame::size::Size;
use crate::matting::model::description::Activation;

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

/// Takes `channel` out of `raw`, applies `activation`, and writes the mask.
///
/// # Errors
/// [`Error::NotAMatte`] for a value that is not finite or far outside [0, 1].
pub fn extract(
    raw: &[f32],
    layout: OutputLayout,
    channel: usize,
    activation: Activation,
    mask: &mut [f32],
) -> Result<(), Error> {
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
    check(mask)
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
        let mut mask = vec![f32::NAN; 2];
        extract(raw, layout, channel, activation, &mut mask).unwrap();
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
            let result = extract(&[0.5, bad, 0.0, 0.0], PLANAR, 0, Activation::None, &mut [0.0; 2]);
            assert!(matches!(result, Err(Error::NotAMatte { .. })), "{bad}");
        }
    }
}
