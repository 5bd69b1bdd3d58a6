// SPDX-License-Identifier: MIT

//! What high dynamic range does to colours: the transfer functions PQ and HLG, and the way between their light
//! and sRGB.
//!
//! R'G'B' is 0 to 255, light is 1 at the reference white, 203 cd/m² (ITU-R BT.2408).

use super::color::{Colorimetry, Primaries, Transfer};

/// Light of the reference white, in cd/m² (ITU-R BT.2408, table 1).
const REFERENCE_WHITE: f32 = 203.0;
/// Light of PQ's largest value, in cd/m² (ITU-R BT.2100, table 4).
const PQ_PEAK: f32 = 10_000.0;
/// Nominal peak of a display for HLG, in cd/m², and its system gamma (ITU-R BT.2100, table 5).
const HLG_PEAK: f32 = 1_000.0;
const HLG_GAMMA: f32 = 1.2;
/// Light up to which the tone curve changes nothing. Faces reflect a half at most.
const KNEE: f32 = 0.6;

/// Luma of linear light with BT.2020's primaries.
const LUMA: [f32; 3] = [0.2627, 0.678, 0.0593];

/// Linear light from the primaries of BT.709 to those of BT.2020 (ITU-R BT.2087, table 2).
const TO_BT2020: [[f32; 3]; 3] =
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]];

/// The inverse (ITU-R BT.2407, clause 2).
const FROM_BT2020: [[f32; 3]; 3] =
    [[1.6605, -0.5877, -0.0728], [-0.1246, 1.1330, -0.0084], [-0.0182, -0.1006, 1.1187]];

/// Linear light from the primaries of BT.709 to those of Display P3 (SMPTE EG 432-1), and back.
const TO_P3: [[f32; 3]; 3] =
    [[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]];
const FROM_P3: [[f32; 3]; 3] =
    [[1.2249, -0.2249, 0.0], [-0.0420, 1.0420, 0.0], [-0.0197, -0.0786, 1.0983]];

const IDENTITY: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

fn times(matrix: [[f32; 3]; 3], x: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * x[0] + row[1] * x[1] + row[2] * x[2])
}

/// sRGB's R'G'B' as the same colour in that of a frame with such colours; what is not of high dynamic range
/// takes it as it is.
pub fn from_srgb(color: Colorimetry, rgb: [f32; 3]) -> [f32; 3] {
    if color.transfer == Transfer::Sdr {
        return rgb;
    }
    let to = match color.primaries {
        Primaries::Bt709 => IDENTITY,
        Primaries::Bt2020 => TO_BT2020,
        Primaries::DisplayP3 => TO_P3,
    };
    let light = times(to, rgb.map(|code| srgb_to_light(code / 255.0)));
    match color.transfer {
        Transfer::Sdr => rgb,
        Transfer::Pq => light.map(|light| 255.0 * light_to_pq(light)),
        Transfer::Hlg => {
            // The display's light to the scene's (ITU-R BT.2100, note 5i).
            let light = light.map(|light| light * (REFERENCE_WHITE / HLG_PEAK));
            let luma: f32 = LUMA.iter().zip(light).map(|(share, light)| share * light).sum();
            let gain = if luma > 0.0 { luma.powf(1.0 / HLG_GAMMA - 1.0) } else { 0.0 };
            light.map(|light| 255.0 * scene_to_hlg(light * gain))
        }
    }
}

/// IEC 61966-2-1.
fn srgb_to_light(value: f32) -> f32 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn light_to_srgb(light: f32) -> f32 {
    if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

/// Constants of SMPTE ST 2084.
const M1: f32 = 2610.0 / 16384.0;
const M2: f32 = 2523.0 / 4096.0 * 128.0;
const C1: f32 = 3424.0 / 4096.0;
const C2: f32 = 2413.0 / 4096.0 * 32.0;
const C3: f32 = 2392.0 / 4096.0 * 32.0;

fn pq_to_light(value: f32) -> f32 {
    let power = value.clamp(0.0, 1.0).powf(1.0 / M2);
    let light = ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1);
    light * (PQ_PEAK / REFERENCE_WHITE)
}

fn light_to_pq(light: f32) -> f32 {
    let power = (light * (REFERENCE_WHITE / PQ_PEAK)).clamp(0.0, 1.0).powf(M1);
    ((C1 + C2 * power) / (1.0 + C3 * power)).powf(M2)
}

/// Constants of ARIB STD-B67.
const A: f32 = 0.178_832_77;
const B: f32 = 0.284_668_92;
const C: f32 = 0.559_910_7;

fn hlg_to_scene(value: f32) -> f32 {
    let value = value.clamp(0.0, 1.0);
    if value <= 0.5 { value * value / 3.0 } else { (((value - C) / A).exp() + B) / 12.0 }
}

fn scene_to_hlg(scene: f32) -> f32 {
    let scene = scene.clamp(0.0, 1.0);
    if scene <= 1.0 / 12.0 { (3.0 * scene).sqrt() } else { A * (12.0 * scene - B).ln() + C }
}

/// What a display of standard range shows of light: the same up to [`KNEE`], and above it ever less more.
fn tone(light: f32) -> f32 {
    if light <= KNEE {
        return light;
    }
    let over = (light - KNEE) / (1.0 - KNEE);
    KNEE + (1.0 - KNEE) * over / (1.0 + over)
}

/// Frames of high dynamic range as a display of sRGB shows them.
pub struct ToneMapper {
    is_hlg: bool,
    matrix: [[f32; 3]; 3],
    /// By the code, evenly from 0 to 255.
    light: Vec<f32>,
    /// By the square root of light, evenly from 0 to [`BRIGHTEST`](Self::BRIGHTEST).
    shown: Vec<f32>,
}

impl ToneMapper {
    /// Steps of a table, between which there are straight lines.
    const STEPS: usize = 1024;
    /// The square root of more light than any code means.
    const BRIGHTEST: f32 = 7.1;

    /// For frames with such colours; nothing where they are not of high dynamic range.
    pub fn new(color: Colorimetry) -> Option<Self> {
        let to_light = match color.transfer {
            Transfer::Sdr => return None,
            Transfer::Pq => pq_to_light,
            Transfer::Hlg => hlg_to_scene,
        };
        let table = |value: &dyn Fn(f32) -> f32| -> Vec<f32> {
            (0..=Self::STEPS).map(|i| value(i as f32 / Self::STEPS as f32)).collect()
        };
        Some(Self {
            is_hlg: color.transfer == Transfer::Hlg,
            matrix: match color.primaries {
                Primaries::Bt709 => IDENTITY,
                Primaries::Bt2020 => FROM_BT2020,
                Primaries::DisplayP3 => FROM_P3,
            },
            light: table(&to_light),
            shown: table(&|at| 255.0 * light_to_srgb(tone((at * Self::BRIGHTEST).powi(2)))),
        })
    }

    /// R'G'B' as sRGB.
    pub fn apply(&self, rgb: [f32; 3]) -> [f32; 3] {
        let mut light = rgb.map(|code| Self::look_up(&self.light, code / 255.0));
        if self.is_hlg {
            // The scene's light to the display's (ITU-R BT.2100, table 5).
            let luma: f32 = LUMA.iter().zip(light).map(|(share, light)| share * light).sum();
            let gain = luma.powf(HLG_GAMMA - 1.0) * (HLG_PEAK / REFERENCE_WHITE);
            light = light.map(|light| light * gain);
        }
        times(self.matrix, light)
            .map(|light| Self::look_up(&self.shown, light.max(0.0).sqrt() / Self::BRIGHTEST))
    }

    /// What a table says of a value in [0, 1].
    fn look_up(table: &[f32], at: f32) -> f32 {
        let at = (at * Self::STEPS as f32).clamp(0.0, Self::STEPS as f32);
        let index = (at as usize).min(Self::STEPS - 1);
        table[index] + (at - index as f32) * (table[index + 1] - table[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matting::frame::color::{ChromaSite, Matrix, Range};

    const KINDS: [Colorimetry; 3] = {
        let pq = Colorimetry {
            matrix: Matrix::Bt2020,
            range: Range::Limited,
            chroma_site: ChromaSite { h_cosited: true, v_cosited: true },
            transfer: Transfer::Pq,
            primaries: Primaries::Bt2020,
        };
        [
            pq,
            Colorimetry { transfer: Transfer::Hlg, ..pq },
            Colorimetry { primaries: Primaries::DisplayP3, ..pq },
        ]
    };

    /// Signals that ITU-R BT.2408 gives for the reference white, tables 1 and 2.
    #[test]
    fn white_lands_where_it_is_said_to() {
        for (color, want) in KINDS.into_iter().zip([0.58, 0.75, 0.58]) {
            let white = from_srgb(color, [255.0; 3]);
            for value in white {
                assert!((value / 255.0 - want).abs() < 0.003, "{color:?}: {value}");
            }
            assert_eq!(from_srgb(color, [0.0; 3]).map(f32::round), [0.0; 3]);
        }
    }

    /// Skin, and what is darker, is to the network what it is in standard range.
    #[test]
    fn up_to_the_knee_srgb_comes_back() {
        for color in KINDS {
            let mapper = ToneMapper::new(color).unwrap();
            for rgb in [[0.0; 3], [200.0, 150.0, 120.0], [90.0, 60.0, 40.0], [30.0, 120.0, 200.0]] {
                let back = mapper.apply(from_srgb(color, rgb));
                for (got, want) in back.into_iter().zip(rgb) {
                    assert!((got - want).abs() < 1.0, "{color:?}: {back:?} of {rgb:?}");
                }
            }
        }
    }

    #[test]
    fn brighter_is_never_darker_and_never_too_much() {
        for color in KINDS {
            let mapper = ToneMapper::new(color).unwrap();
            let mut before = -1.0;
            for code in 0..=1024 {
                let [value, ..] = mapper.apply([code as f32 / 4.0; 3]);
                assert!(value >= before - 1e-3 && value <= 255.0, "{color:?} {code}: {value}");
                before = value;
            }
            assert!(before > 245.0, "{color:?}: {before}");
            assert!(mapper.apply(from_srgb(color, [255.0; 3]))[1] > 220.0);
        }
    }

    #[test]
    fn standard_range_is_left_alone() {
        let color = Colorimetry::default();
        assert!(ToneMapper::new(color).is_none());
        assert_eq!(from_srgb(color, [1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
    }
}
