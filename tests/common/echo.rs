//! A network for tiles that changes nothing.
#![allow(missing_docs)]

use gstdavidmatte::matting::prelude::*;

/// Gives the coarse mattes of tiles as they are.
pub struct Echo {
    input: Vec<f32>,
    output: Vec<f32>,
}

impl TileNetwork for Echo {
    fn side(&self) -> usize {
        80
    }

    fn batch(&self) -> usize {
        4
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.input
    }

    fn run(&mut self) -> Result<&[f32], Error> {
        let tiles = self.input.chunks_exact(4 * 80 * 80).zip(self.output.chunks_exact_mut(72 * 72));
        for (tile, out) in tiles {
            let coarse = tile[3 * 80 * 80..].chunks_exact(80).skip(4);
            let rows = coarse.zip(out.chunks_exact_mut(72));
            rows.for_each(|(row, out)| out.copy_from_slice(&row[4..76]));
        }
        Ok(&self.output)
    }
}

impl Echo {
    /// One for a detailer.
    pub fn boxed() -> Box<dyn TileNetwork> {
        Box::new(Self { input: vec![0.0; 4 * 4 * 80 * 80], output: vec![0.0; 4 * 72 * 72] })
    }
}
