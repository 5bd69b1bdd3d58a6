// SPDX-License-Identifier: MIT

//! The network's own colours of the person, as what they add to the picture's: what is left where a
//! picture's detail is taken away can be enlarged to the frame, which has the detail.

use ort::session::IoBinding;

use super::contract::{Contract, Sizes};
use super::tensors::Floats;
use crate::matting::model::description::{ChannelOrder, InputDescription, TensorLayout};

/// Premultiplied colours of less than this tell nothing: it is one code of 8 bits.
const LEAST_ALPHA: f32 = 1.0 / 255.0;

/// Colours, bound to the network.
pub struct Foreground {
    colors: Floats,
    interleaved: bool,
    premultiplied: bool,
    input: InputDescription,
    /// Planes of red, green and blue.
    differences: Vec<f32>,
}

impl Foreground {
    /// None where the network has none.
    pub fn bind(
        contract: &Contract,
        sizes: &Sizes,
        binding: &mut IoBinding,
    ) -> ort::Result<Option<Self>> {
        let description = contract.description.foreground.as_ref();
        let (Some(port), Some(description), Some((shape, interleaved))) =
            (&contract.foreground, description, &sizes.foreground)
        else {
            return Ok(None);
        };
        let mut colors = Floats::new(port, shape)?;
        colors.bind_output(binding, &port.name)?;
        Ok(Some(Self {
            colors,
            interleaved: *interleaved,
            premultiplied: description.premultiplied,
            input: contract.description.input.clone(),
            differences: vec![0.0; 3 * sizes.output.size.area()],
        }))
    }

    /// As [`Network::foreground`](crate::matting::inference::network::Network::foreground).
    pub fn differences(&self) -> &[f32] {
        &self.differences
    }

    /// Takes the colours that a run gave for a picture, of which `mask` is the matte.
    pub fn receive(&mut self, picture: &[f32], mask: &[f32]) {
        self.colors.receive();
        let area = mask.len().max(1);
        let at = |values: &[f32], interleaved: bool, channel: usize, sample: usize| {
            let index = if interleaved { 3 * sample + channel } else { channel * area + sample };
            values[index]
        };
        let InputDescription { scale, mean, std, layout, channels, .. } = &self.input;
        let values = self.colors.values();
        for (red_first, plane) in self.differences.chunks_exact_mut(area).enumerate() {
            let channel = match channels {
                ChannelOrder::Rgb => red_first,
                ChannelOrder::Bgr => 2 - red_first,
            };
            // The tensor holds (code · scale − mean) / std.
            let (gain, lift) = (std[channel] / scale / 255.0, mean[channel] / scale / 255.0);
            for (sample, (out, &alpha)) in plane.iter_mut().zip(mask).enumerate() {
                let seen = at(picture, *layout == TensorLayout::Nhwc, channel, sample);
                let color = at(values, self.interleaved, channel, sample);
                let share = if self.premultiplied { alpha.max(LEAST_ALPHA) } else { 1.0 };
                let difference = (color / share).clamp(0.0, 1.0) - (seen * gain + lift);
                *out = if difference.is_finite() { difference } else { 0.0 };
            }
        }
    }
}
