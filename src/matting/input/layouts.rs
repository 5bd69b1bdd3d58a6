// SPDX-License-Identifier: MIT

//! How the masks of a network lie on whatever part of a frame it is given, to whose shape its input may
//! adapt.

use crate::matting::frame::size::Size;
use crate::matting::inference::network::OpenSides;
use crate::matting::input::geometry::MaskLayout;
use crate::matting::model::size_rule::SizeRule;

/// The layouts of a network's masks, by the size of what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskLayouts {
    usual: MaskLayout,
    follows: Option<(OpenSides, SizeRule)>,
}

impl From<MaskLayout> for MaskLayouts {
    /// The same for all sizes.
    fn from(usual: MaskLayout) -> Self {
        Self { usual, follows: None }
    }
}

impl MaskLayouts {
    /// Of a network whose open sides follow what it is given by that rule.
    pub const fn following(usual: MaskLayout, open: OpenSides, rule: SizeRule) -> Self {
        Self { usual, follows: Some((open, rule)) }
    }

    /// How a mask lies on a frame, or a part of one, of `seen` pixels.
    pub fn of(&self, seen: Size) -> MaskLayout {
        let Some((open, rule)) = self.follows else { return self.usual };
        let wanted = rule.size(self.usual.aspect.shown(seen));
        let input = OpenSides::pick(open.input, self.usual.input, wanted);
        let mask = OpenSides::pick(open.mask, self.usual.mask, input);
        MaskLayout { input, mask, ..self.usual }
    }

    /// Whether the input has the shape of what it is given.
    pub const fn have_its_shape(&self) -> bool {
        self.follows.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::aspect::PixelAspect;
    use crate::matting::model::description::Fit;
    use crate::matting::model::size_rule::Shaped;

    const SQUARE: Size = Size { width: 64, height: 64 };

    fn layouts(aspect: PixelAspect) -> MaskLayouts {
        let usual = MaskLayout { input: SQUARE, mask: SQUARE, fit: Fit::Pad, aspect };
        let open = OpenSides { input: [true; 2], mask: [true; 2] };
        let rule = Shaped::of_area(64, 16);
        MaskLayouts::following(usual, open, SizeRule::Shaped(rule))
    }

    #[test]
    fn a_part_has_a_layout_of_its_own() {
        let of = |width, height| layouts(PixelAspect::SQUARE).of(Size { width, height });
        assert_eq!(of(1600, 400).mask, Size { width: 128, height: 32 });
        assert_eq!(of(300, 300).input, SQUARE);
    }

    #[test]
    fn shapes_are_those_that_are_shown() {
        let layout = layouts(PixelAspect::new(4, 1)).of(Size { width: 100, height: 400 });
        assert_eq!(layout.input, SQUARE);
    }
}
