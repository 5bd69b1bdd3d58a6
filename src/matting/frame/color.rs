// SPDX-License-Identifier: MIT

//! Luma-chroma and RGB: the matrices of the video standards, and siting of chroma.

use super::pixel_format::Depth;

/// The luma coefficients that define Y'CbCr from R'G'B'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Matrix {
    /// ITU-R BT.601: K_r = 0.299, K_b = 0.114.
    Bt601,
    /// ITU-R BT.709: K_r = 0.2126, K_b = 0.0722.
    #[default]
    Bt709,
    /// ITU-R BT.2020: K_r = 0.2627, K_b = 0.0593.
    Bt2020,
}

impl Matrix {
    /// `(K_r, K_b)`.
    const fn luma_weights(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// Which codes stand for black and white, here in units of an 8-bit one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Range {
    /// All of them: 0 to 255 with 8 bits, 0 to 1023 with 10.
    #[default]
    Full,
    /// Luma and RGB 16 to 235, chroma 16 to 240; doubled with each bit more (ITU-R BT.2100, table 9).
    Limited,
}

impl Range {
    /// Code of black, and the codes from black to white.
    pub const fn luma(self, depth: Depth) -> (f32, f32) {
        match self {
            Self::Full => (0.0, depth.white()),
            Self::Limited => (16.0, 219.0),
        }
    }

    /// The codes that a colour difference spans.
    const fn chroma(self, depth: Depth) -> f32 {
        match self {
            Self::Full => depth.white(),
            Self::Limited => 224.0,
        }
    }
}

/// Where a chroma sample sits among the luma samples that it serves, per axis: on the first of
/// them, or between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ChromaSite {
    /// On the left of its two columns (MPEG-2), rather than between them (JPEG).
    pub h_cosited: bool,
    /// On the upper of its two rows, rather than between them.
    pub v_cosited: bool,
}

/// How codes become light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Transfer {
    /// As standard range has it (BT.709, sRGB and their like), which are taken for the same.
    #[default]
    Sdr,
    /// The perceptual quantiser of ITU-R BT.2100 (SMPTE ST 2084).
    Pq,
    /// Hybrid log-gamma of ITU-R BT.2100 (ARIB STD-B67).
    Hlg,
}

/// The colours of pure red, green and blue. They count where the transfer is of high dynamic range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Primaries {
    /// ITU-R BT.709, and sRGB.
    #[default]
    Bt709,
    /// ITU-R BT.2020.
    Bt2020,
    /// Display P3 (SMPTE EG 432-1).
    DisplayP3,
}

/// How the codes of a frame become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Colorimetry {
    /// Matrix; without meaning for RGB and gray.
    pub matrix: Matrix,
    /// Range of the codes.
    pub range: Range,
    /// Siting of subsampled chroma.
    pub chroma_site: ChromaSite,
    /// How codes become light.
    pub transfer: Transfer,
    /// What red, green and blue are.
    pub primaries: Primaries,
}

/// `y = matrix · x + offset` on three components, all in units of an 8-bit code: R'G'B' is 0 to 255, and codes of
/// more bits have a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Rows of the matrix.
    pub matrix: [[f32; 3]; 3],
    /// Added to the product.
    pub offset: [f32; 3],
}

impl Affine {
    /// Leaves colours alone.
    pub const IDENTITY: Self = Self::diagonal([1.0; 3], [0.0; 3]);

    /// Scales and offsets each component by itself.
    pub const fn diagonal(scale: [f32; 3], offset: [f32; 3]) -> Self {
        let matrix = [[scale[0], 0.0, 0.0], [0.0, scale[1], 0.0], [0.0, 0.0, scale[2]]];
        Self { matrix, offset }
    }

    /// Y'CbCr codes to R'G'B' (ITU-T H.273, equations 38 to 40 inverted).
    pub fn yuv_to_rgb(color: Colorimetry, depth: Depth) -> Self {
        let (kr, kb) = color.matrix.luma_weights();
        let kg = 1.0 - kr - kb;
        let (black, span) = color.range.luma(depth);
        let y = 255.0 / span;
        let c = 255.0 / color.range.chroma(depth);
        let matrix = [
            [y, 0.0, c * 2.0 * (1.0 - kr)],
            [y, -c * 2.0 * (1.0 - kb) * kb / kg, -c * 2.0 * (1.0 - kr) * kr / kg],
            [y, c * 2.0 * (1.0 - kb), 0.0],
        ];
        Self::around(matrix, [black, 128.0, 128.0], [0.0; 3])
    }

    /// R'G'B' to Y'CbCr codes.
    pub fn rgb_to_yuv(color: Colorimetry, depth: Depth) -> Self {
        let (kr, kb) = color.matrix.luma_weights();
        let kg = 1.0 - kr - kb;
        let (black, span) = color.range.luma(depth);
        let y = span / 255.0;
        let c = color.range.chroma(depth) / 255.0;
        let (u, v) = (c / (2.0 * (1.0 - kb)), c / (2.0 * (1.0 - kr)));
        let matrix = [
            [y * kr, y * kg, y * kb],
            [-u * kr, -u * kg, u * (1.0 - kb)],
            [v * (1.0 - kr), -v * kg, -v * kb],
        ];
        Self::around(matrix, [0.0; 3], [black, 128.0, 128.0])
    }

    /// Codes of R'G'B' or luma in `range` to R'G'B'.
    pub fn expand(range: Range, depth: Depth) -> Self {
        let (black, span) = range.luma(depth);
        let scale = 255.0 / span;
        Self::diagonal([scale; 3], [-black * scale; 3])
    }

    /// R'G'B' or luma to codes in `range`.
    pub fn compress(range: Range, depth: Depth) -> Self {
        let (black, span) = range.luma(depth);
        Self::diagonal([span / 255.0; 3], [black; 3])
    }

    /// `matrix · (x − from) + to`.
    fn around(matrix: [[f32; 3]; 3], from: [f32; 3], to: [f32; 3]) -> Self {
        let mut offset = to;
        for (offset, row) in offset.iter_mut().zip(&matrix) {
            *offset -= row.iter().zip(&from).map(|(m, f)| m * f).sum::<f32>();
        }
        Self { matrix, offset }
    }

    /// Applies to one colour.
    pub fn apply(&self, x: [f32; 3]) -> [f32; 3] {
        let mut y = self.offset;
        for (y, row) in y.iter_mut().zip(&self.matrix) {
            *y += row.iter().zip(&x).map(|(m, x)| m * x).sum::<f32>();
        }
        y
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Affine) -> Self {
        let mut matrix = [[0.0; 3]; 3];
        for (row, next_row) in matrix.iter_mut().zip(&next.matrix) {
            for (column, entry) in row.iter_mut().enumerate() {
                *entry = (0..3).map(|k| next_row[k] * self.matrix[k][column]).sum();
            }
        }
        Self { matrix, offset: next.apply(self.offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Colorimetry> {
        [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020].into_iter().flat_map(|matrix| {
            [Range::Full, Range::Limited].map(|range| Colorimetry {
                matrix,
                range,
                ..Default::default()
            })
        })
    }

    const DEPTHS: [Depth; 3] =
        [Depth::EIGHT, Depth { bits: 10, shift: 6 }, Depth { bits: 16, shift: 0 }];

    #[test]
    fn black_white_and_gray_have_no_colour() {
        for (color, depth) in all().flat_map(|color| DEPTHS.map(|depth| (color, depth))) {
            let (black, span) = color.range.luma(depth);
            for (luma, gray) in [(black, 0.0), (black + span, 255.0), (black + span * 0.5, 127.5)] {
                for value in Affine::yuv_to_rgb(color, depth).apply([luma, 128.0, 128.0]) {
                    assert!((value - gray).abs() < 1e-3, "{color:?}: {value} instead of {gray}");
                }
            }
        }
    }

    #[test]
    fn there_and_back() {
        for (color, depth) in all().flat_map(|color| DEPTHS.map(|depth| (color, depth))) {
            let to_rgb = Affine::yuv_to_rgb(color, depth);
            let both = Affine::rgb_to_yuv(color, depth).then(&to_rgb);
            for rgb in [[255.0, 0.0, 0.0], [0.0, 255.0, 0.0], [12.0, 200.0, 77.0]] {
                for (got, want) in both.apply(rgb).iter().zip(rgb) {
                    assert!((got - want).abs() < 1e-2, "{color:?}");
                }
            }
        }
    }

    /// The codes of pure red in limited BT.601, as every table of colour bars prints them.
    #[test]
    fn red_is_81_90_240() {
        let color =
            Colorimetry { matrix: Matrix::Bt601, range: Range::Limited, ..Default::default() };
        let yuv = Affine::rgb_to_yuv(color, Depth::EIGHT).apply([255.0, 0.0, 0.0]).map(f32::round);
        assert_eq!(yuv, [81.0, 90.0, 240.0]);
    }
}
