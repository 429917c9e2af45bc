//! From a processed picture to conditioning tokens (`models/conditioner.py`).

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::ModelError;
use crate::config::{ConditionerConfig, Views};
use crate::dino::Dino;
use crate::kernels::Kernels;
use crate::resample::bilinear_antialiased;
use crate::weights::Weights;

/// The mean of ImageNet's pictures, red, green, blue.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Their deviation.
pub const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The image encoder.
#[derive(Module, Debug)]
pub struct Conditioner<B: Backend> {
    dino: Dino<B>,
    width: usize,
    image_size: usize,
    use_class_token: bool,
    several: bool,
}

/// One processed view.
#[derive(Clone, Debug)]
pub struct ProcessedView {
    /// `[3, size, size]`, RGB from -1 to 1.
    pub image: Vec<f32>,
    /// Its side in pixels.
    pub size: usize,
    /// Its place: 0 front, 1 left, 2 back, 3 right.
    pub index: usize,
}

impl<B: Kernels> Conditioner<B> {
    /// Takes the parameters.
    ///
    /// # Errors
    /// As [`Weights::param`].
    pub fn load(weights: &mut Weights<'_, B>, config: &ConditionerConfig) -> Result<Self, ModelError> {
        let dino = weights.within("main_image_encoder.model", |weights| Dino::load(weights, config))?;
        Ok(Self {
            dino,
            width: config.dino.hidden_size,
            image_size: config.image_size,
            use_class_token: config.use_cls_token,
            several: matches!(config.views, Views::Several(_)),
        })
    }

    /// What enters the network: scaled to its size and normalised by ImageNet's colours.
    ///
    /// # Shapes
    /// → `[views, 3, image_size, image_size]`, float32 on the host.
    #[must_use]
    pub fn input(&self, views: &[ProcessedView]) -> Vec<f32> {
        let pixels = self.image_size * self.image_size;
        let mut input = Vec::with_capacity(views.len() * 3 * pixels);
        for view in views {
            let unit: Vec<f32> = view.image.iter().map(|value| (value + 1.0) / 2.0).collect();
            let scaled = bilinear_antialiased(&unit, 3, view.size, self.image_size);
            for (plane, (mean, deviation)) in scaled.chunks_exact(pixels).zip(MEAN.iter().zip(DEVIATION)) {
                input.extend(plane.iter().map(|value| (value - mean) / deviation));
            }
        }
        input
    }

    /// Encodes pictures, each by itself.
    ///
    /// # Shapes
    /// `[pictures, 3, image_size, image_size]`, normalised as [`Self::input`] does → `[pictures, tokens, width]`.
    pub fn encode(&self, pictures: Tensor<B, 4>) -> Tensor<B, 3> {
        let tokens = self.dino.forward(pictures);
        match (self.use_class_token, tokens.dims()[1]) {
            (true, _) => tokens,
            (false, count) => tokens.narrow(1, 1, count - 1),
        }
    }

    /// Encodes views; several become one row of tokens.
    ///
    /// # Shapes
    /// input as [`Self::input`] gives it → `[1, views * tokens, width]`.
    pub fn forward(&self, input: Vec<f32>, views: &[ProcessedView], device: &B::Device, dtype: DType) -> Tensor<B, 3> {
        let shape = [views.len(), 3, self.image_size, self.image_size];
        let pictures = TensorData::new(input, shape).convert_dtype(dtype);
        let mut tokens = self.encode(Tensor::from_data(pictures, (device, dtype)));
        if self.several {
            let marks: Vec<f32> = views.iter().flat_map(|view| place_embedding(self.width, view.index)).collect();
            let marks = TensorData::new(marks, [views.len(), 1, self.width]).convert_dtype(dtype);
            tokens = tokens + Tensor::from_data(marks, (device, dtype));
        }
        let [count, each, width] = tokens.dims();
        tokens.reshape([1, count * each, width])
    }
}

/// Sines, then cosines of a view's place over 10000^(2i / width) (Vaswani et al. 2017).
fn place_embedding(width: usize, place: usize) -> Vec<f32> {
    let half = width / 2;
    let angles = (0..half).map(|i| place as f64 / 10_000f64.powf(i as f64 / half as f64));
    let angles: Vec<f64> = angles.collect();
    angles.iter().map(|angle| angle.sin()).chain(angles.iter().map(|angle| angle.cos())).map(|v| v as f32).collect()
}
