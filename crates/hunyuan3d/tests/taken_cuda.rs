//! On a GPU with kernels of ours, a whole run in half precision is computed by them: nothing falls back to plain Burn, which would be right
//! and many times slower. By itself in its process, since tests of single kernels fall back on purpose.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // Helpers of tests fail as tests do.

use burn_cuda::Cuda;
use orfeas_hunyuan3d::kernels::cuda;
use orfeas_hunyuan3d::presets::preset;
use orfeas_hunyuan3d::volume::{Method, Score, VolumeOptions};
use orfeas_hunyuan3d::weights::RandomWeights;
use orfeas_hunyuan3d::{Begin, Model, Phase, Precision, ShapeModel as _, ShapeRequest, ShapeWatch, image};

#[test]
fn a_whole_run_falls_back_nowhere() {
    if !cuda::has_own_kernels(0) {
        eprintln!("skipped: there is no GPU here that our kernels are for");
        return;
    }
    // A published model's sizes: the parity cases' heads of twelve channels are for plain Burn.
    let (config, device) = (preset("mini-turbo").unwrap(), cuda::device(0).unwrap());
    let random = RandomWeights { seed: 1 };
    let model = Model::<Cuda>::from_source(config, &random, device, Precision::Float16, &mut |_, _| {}).unwrap();
    let size = 256;
    let picture = ::image::RgbaImage::from_fn(size, size, |x, y| {
        let inside = (x as f32 - 128.0).hypot(y as f32 - 128.0) < 90.0;
        ::image::Rgba([x as u8, y as u8, 90, if inside { 255 } else { 0 }])
    });
    let view = image::process(&model.config.image_processor, &picture, 0).unwrap().0;
    // Levels of rows that CubeCL would put apart, and several of them; a field with a surface, so that all of a search is run.
    for (method, resolution) in [Method::Hierarchical, Method::FlashVdm, Method::NarrowBand]
        .into_iter()
        .flat_map(|method| [(method, 64), (method, 258)])
    {
        let volume =
            VolumeOptions { score: Some(Score::TorusAndBall), chunk: 50_000, ..VolumeOptions::new(method, resolution) };
        let request =
            ShapeRequest { views: vec![view.clone()], begin: Begin::Seed(7), steps: 1, guidance: 5.0, volume };
        model.generate(&request, &mut Unwatched).unwrap();
        assert_eq!(cuda::fallen_back(), Vec::<&str>::new(), "{method:?}");
    }
}

struct Unwatched;

impl ShapeWatch for Unwatched {
    fn progress(&mut self, _: Phase, _: usize, _: usize) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Continue(())
    }
}
