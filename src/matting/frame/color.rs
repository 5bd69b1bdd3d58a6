// SPDX-License-Identifier: MIT

//! Luma-chroma and RGB: the matrices of the video standards, and siting of chroma.

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

/// Which 8-bit codes stand for black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Range {
    /// 0 to 255.
    #[default]
    Full,
    /// Luma and RGB 16 to 235, chroma 16 to 240.
    Limited,
}

impl Range {
    /// Code of black, and the codes from black to white.
    pub const fn luma(self) -> (f32, f32) {
        match self {
            Self::Full => (0.0, 255.0),
            Self::Limited => (16.0, 219.0),
        }
    }

    /// The codes that a colour difference spans.
    const fn chroma(self) -> f32 {
        match self {
            Self::Full => 255.0,
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

/// How the codes of a frame become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Colorimetry {
    /// Matrix; without meaning for RGB and gray.
    pub matrix: Matrix,
    /// Range of the codes.
    pub range: Range,
    /// Siting of subsampled chroma.
    pub chroma_site: ChromaSite,
}

/// `y = matrix · x + offset` on three components, all in 8-bit codes (0 to 255).
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

    /// Y'CbCr codes to full-range R'G'B' codes (ITU-T H.273, equations 38 to 40 inverted).
    pub fn yuv_to_rgb(color: Colorimetry) -> Self {
        let (kr, kb) = color.matrix.luma_weights();
        let kg = 1.0 - kr - kb;
        let (black, span) = color.range.luma();
        let y = 255.0 / span;
        let c = 255.0 / color.range.chroma();
        let matrix = [
            [y, 0.0, c * 2.0 * (1.0 - kr)],
            [y, -c * 2.0 * (1.0 - kb) * kb / kg, -c * 2.0 * (1.0 - kr) * kr / kg],
            [y, c * 2.0 * (1.0 - kb), 0.0],
        ];
        Self::around(matrix, [black, 128.0, 128.0], [0.0; 3])
    }

    /// Full-range R'G'B' codes to Y'CbCr codes.
    pub fn rgb_to_yuv(color: Colorimetry) -> Self {
        let (kr, kb) = color.matrix.luma_weights();
        let kg = 1.0 - kr - kb;
        let (black, span) = color.range.luma();
        let y = span / 255.0;
        let c = color.range.chroma() / 255.0;
        let (u, v) = (c / (2.0 * (1.0 - kb)), c / (2.0 * (1.0 - kr)));
        let matrix = [
            [y * kr, y * kg, y * kb],
            [-u * kr, -u * kg, u * (1.0 - kb)],
            [v * (1.0 - kr), -v * kg, -v * kb],
        ];
        Self::around(matrix, [0.0; 3], [black, 128.0, 128.0])
    }

    /// Codes of R'G'B' or luma in `range` to full-range codes.
    pub fn expand(range: Range) -> Self {
        let (black, span) = range.luma();
        let scale = 255.0 / span;
        Self::diagonal([scale; 3], [-black * scale; 3])
    }

    /// Full-range codes of R'G'B' or luma to codes in `range`.
    pub fn compress(range: Range) -> Self {
        let (black, span) = range.luma();
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

    #[test]
    fn black_white_and_gray_have_no_colour() {
        for color in all() {
            let (black, span) = color.range.luma();
            for (luma, gray) in [(black, 0.0), (black + span, 255.0), (black + span * 0.5, 127.5)] {
                for value in Affine::yuv_to_rgb(color).apply([luma, 128.0, 128.0]) {
                    assert!((value - gray).abs() < 1e-3, "{color:?}: {value} instead of {gray}");
                }
            }
        }
    }

    #[test]
    fn there_and_back() {
        for color in all() {
            let both = Affine::rgb_to_yuv(color).then(&Affine::yuv_to_rgb(color));
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
        let yuv = Affine::rgb_to_yuv(color).apply([255.0, 0.0, 0.0]).map(f32::round);
        assert_eq!(yuv, [81.0, 90.0, 240.0]);
    }
}
